/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What built-in commands are charged, and what a guest is told of its tenant. */
#include "tenant_tell.h"

#include <stddef.h>

_Static_assert(VGPU_CLASS_BUILTIN == POLICY_BUILTIN && VGPU_CLASS_MEMORY == POLICY_MEMORY &&
		       VGPU_CLASS_KERNELS == POLICY_KERNELS && VGPU_CLASS_GRAPHS == POLICY_GRAPHS &&
		       VGPU_CLASS_CALLBACKS == POLICY_CALLBACKS &&
		       VGPU_CLASS_PINNED == POLICY_PINNED && VGPU_CLASS_ADMIN == POLICY_ADMIN,
	       "the guest counts as we do");
_Static_assert(VGPU_TENANT_QUARANTINED == TENANT_QUARANTINED, "the guest counts as we do");
_Static_assert(VGPU_TENANT_NO_LIMIT == TENANT_NO_LIMIT, "the guest counts as we do");

void tenant_identify(struct worker *w)
{
	uint64_t memory = 0;

	if (*w->device_name || !w->ops->identity)
		return;
	if (w->ops->identity(w->be, w->device_name, &memory))
		return;
	w->device_name[sizeof(w->device_name) - 1] = '\0';
	/* The driver's own word about CUDA's memory, where it has come, stands. */
	if (!w->tenant.device_memory)
		w->tenant.device_memory = memory;
}

static bool take(void *opaque, uint64_t bytes)
{
	struct worker *w = opaque;

	if (w->tenant.limits.memory_percent && !w->tenant.device_memory)
		tenant_identify(w);
	if (tenant_charge(&w->tenant, bytes))
		return true;
	control_refused(w, CTL_REFUSED_MEMORY, w->page->current_id, bytes, "a built-in command");
	return false;
}

static void give(void *opaque, uint64_t bytes)
{
	struct worker *w = opaque;

	tenant_discharge(&w->tenant, bytes);
}

void tenant_pays(struct worker *w)
{
	const struct vgpu_account account = {.take = take, .give = give, .opaque = w};

	if (w->ops->account)
		w->ops->account(w->be, &account);
}

/* Of a counter of all sessions, as they say it. */
static uint64_t sum(const struct worker_tenant *t, size_t offset)
{
	uint64_t all = 0;

	for (uint32_t i = 0; i < TENANT_SESSIONS_MAX; i++) {
		const struct session_usage *u = &t->usage->session[i];
		const uint64_t *other = (const uint64_t *)((const char *)u + offset);

		if (__builtin_add_overflow(all, __atomic_load_n(other, __ATOMIC_RELAXED), &all))
			return UINT64_MAX;
	}
	return all;
}

#define SUM(t, field) sum(t, offsetof(struct session_usage, field))

void tenant_tell(struct worker_tenant *t, struct vgpu_tenant_result *out)
{
	const struct tenant_limits *l = &t->limits;
	uint64_t total, left;

	tenant_look(t);
	total = left = t->device_memory;
	if (total)
		tenant_memory_seen(t, &left, &total);
	*out = (struct vgpu_tenant_result){
		.flags = l->flags,
		.classes = l->classes,
		.weight = l->weight,
		.cap_percent = (uint32_t)l->cap_percent,
		.sessions = l->sessions,
		.sessions_most = l->sessions_most,
		.memory_total = total,
		.memory_used = tenant_memory(t),
		.memory_limit = tenant_memory_most(t),
		.calls_rate = l->calls_rate,
		.bytes_rate = l->bytes_rate,
		.gpu_ns = SUM(t, gpu_ns),
		.requests = SUM(t, calls),
		.bytes = SUM(t, bytes),
		.launches = SUM(t, launches),
		.refused = SUM(t, refused),
		.throttled_ns = SUM(t, throttled_ns),
	};
}
