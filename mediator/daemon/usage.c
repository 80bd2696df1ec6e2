/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What sessions and tenants have used. */
#include "usage.h"

#include <string.h>

#include "session.h"
#include "tenant.h"

static void add(uint64_t *sum, uint64_t n)
{
	*sum = n > UINT64_MAX - *sum ? UINT64_MAX : *sum + n;
}

void usage_add(struct session_usage *sum, const struct session_usage *u)
{
	add(&sum->gpu_ns, u->gpu_ns);
	add(&sum->calls, u->calls);
	add(&sum->bytes, u->bytes);
	add(&sum->host_copied, u->host_copied);
	add(&sum->launches, u->launches);
	add(&sum->refused, u->refused);
	add(&sum->throttled_ns, u->throttled_ns);
	sum->memory_most = MAX(sum->memory_most, u->memory_most);
}

static void read_slot(const struct tenant *t, guint slot, struct session_usage *u)
{
	const uint64_t *from = (const void *)&t->usage->session[slot];
	uint64_t *to = (void *)u;

	for (size_t i = 0; i < sizeof(*u) / sizeof(*to); i++)
		to[i] = __atomic_load_n(&from[i], __ATOMIC_RELAXED);
}

void usage_of_session(const struct session *s, struct session_usage *u)
{
	memset(u, 0, sizeof(*u));
	if (s->tenant && s->slot < TENANT_SESSIONS_MAX)
		read_slot(s->tenant, s->slot, u);
}

void usage_of_tenant(const struct tenant *t, struct session_usage *u)
{
	struct session_usage one;

	*u = t->gone;
	u->memory = 0;
	for (guint i = 0; i < TENANT_SESSIONS_MAX; i++) {
		if (!t->slot[i])
			continue;
		read_slot(t, i, &one);
		add(&u->memory, one.memory);
		usage_add(u, &one);
	}
}
