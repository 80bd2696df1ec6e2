/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The two pages that a session shares with its tenant: limits and usage. */
#include "tenant.h"

#include <stdlib.h>
#include <string.h>

/* Requests that a session pays for in advance. */
#define AHEAD_MOST 31u

/* Ordered against the look at the others': one of two that ask at once sees the other. */
static void publish_memory(struct worker_tenant *t)
{
	__atomic_store_n(&t->mine->memory, t->own.memory, __ATOMIC_SEQ_CST);
}

/* All sessions together at most a 64th of what may pass at once. */
static uint64_t ahead_of(uint64_t burst)
{
	const uint64_t most = burst / 64 / TENANT_SESSIONS_MAX;

	return most < AHEAD_MOST ? most : AHEAD_MOST;
}

void tenant_renew(struct worker_tenant *t)
{
	const struct tenant_limits before = t->limits, *l = &t->limits;

	if (!tenant_limits_refresh(t->page, &t->limits))
		return;
	if (l->calls_rate != before.calls_rate || l->calls_burst != before.calls_burst)
		t->paid = 0;
	/* What sessions have paid for comes out of the burst, so no more passes than that. */
	t->ahead = l->calls_rate ? ahead_of(l->calls_burst) : AHEAD_MOST;
	t->calls = bucket_rate(&(struct policy_rate){
		.rate = l->calls_rate, .burst = l->calls_burst - TENANT_SESSIONS_MAX * t->ahead});
	t->bytes =
		bucket_rate(&(struct policy_rate){.rate = l->bytes_rate, .burst = l->bytes_burst});
}

bool tenant_open(struct worker_tenant *t, const struct tenant_limits *limits,
		 struct tenant_usage *usage, uint32_t slot)
{
	if (slot >= TENANT_SESSIONS_MAX || limits->version != TENANT_PAGE_VERSION ||
	    usage->version != TENANT_PAGE_VERSION)
		return false;
	t->page = limits;
	t->usage = usage;
	t->mine = &usage->session[slot];
	memset(&t->own, 0, sizeof(t->own));
	/* Until they can be read nothing is allowed. */
	t->limits = (struct tenant_limits){.seq = 1};
	t->calls = t->bytes = (struct bucket_rate){0};
	t->paid = 0;
	tenant_look(t);
	return true;
}

void tenant_alone(struct worker_tenant *t)
{
	struct tenant_limits *limits = calloc(1, sizeof(*limits));
	struct tenant_usage *usage = calloc(1, sizeof(*usage));

	if (!limits || !usage)
		abort();
	*limits = (struct tenant_limits){.version = TENANT_PAGE_VERSION,
					 .classes = POLICY_ALL,
					 .memory = TENANT_NO_LIMIT,
					 .kernel_ns = TENANT_NO_LIMIT,
					 .cap_percent = 100,
					 .weight = 1};
	usage->version = TENANT_PAGE_VERSION;
	tenant_open(t, limits, usage, 0);
}

/* ------------------------------------------------------------------ memory */

uint64_t tenant_memory_most(const struct worker_tenant *t)
{
	/* A part of what is not known is nothing; whoever allocates says before how much there is.
	 */
	if (t->limits.memory_percent)
		return tenant_memory_on(&t->limits, t->device_memory);
	return t->limits.memory;
}

uint64_t tenant_memory(const struct worker_tenant *t)
{
	uint64_t sum = t->own.memory;

	for (uint32_t i = 0; i < TENANT_SESSIONS_MAX; i++) {
		const struct session_usage *u = &t->usage->session[i];
		uint64_t other = 0;

		if (u != t->mine)
			other = __atomic_load_n(&u->memory, __ATOMIC_SEQ_CST);
		if (__builtin_add_overflow(sum, other, &sum))
			return UINT64_MAX;
	}
	return sum;
}

static bool try_charge(struct worker_tenant *t, uint64_t bytes)
{
	if (bytes > UINT64_MAX - t->own.memory)
		return false;
	t->own.memory += bytes;
	publish_memory(t);
	if (tenant_memory_most(t) == TENANT_NO_LIMIT || tenant_memory(t) <= tenant_memory_most(t)) {
		if (t->own.memory > t->own.memory_most)
			TENANT_COUNT(t, memory_most, t->own.memory - t->own.memory_most);
		return true;
	}
	t->own.memory -= bytes;
	publish_memory(t);
	return false;
}

/* What it keeps for later goes, once: giving it back may charge and discharge by itself. */
static bool reclaim(struct worker_tenant *t)
{
	bool some;

	if (!t->reclaim || t->reclaiming)
		return false;
	t->reclaiming = true;
	some = t->reclaim(t->opaque);
	t->reclaiming = false;
	return some;
}

bool tenant_charge(struct worker_tenant *t, uint64_t bytes)
{
	tenant_look(t);
	if (!bytes || try_charge(t, bytes))
		return true;
	if (bytes <= tenant_memory_most(t) && reclaim(t) && try_charge(t, bytes))
		return true;
	TENANT_COUNT(t, refused, 1);
	return false;
}

void tenant_discharge(struct worker_tenant *t, uint64_t bytes)
{
	t->own.memory -= bytes < t->own.memory ? bytes : t->own.memory;
	publish_memory(t);
}

void tenant_memory_seen(const struct worker_tenant *t, uint64_t *free_bytes, uint64_t *total)
{
	const uint64_t limit = tenant_memory_most(t);
	uint64_t used, left;

	if (limit == TENANT_NO_LIMIT)
		return;
	used = tenant_memory(t);
	left = used < limit ? limit - used : 0;
	if (*total > limit)
		*total = limit;
	if (*free_bytes > left)
		*free_bytes = left;
}

/* ------------------------------------------------------------------- rates */

/* Bytes are known only once a request is looked into, so what they cost is waited for here. */
uint64_t tenant_wait(struct worker_tenant *t, uint64_t now)
{
	uint64_t wait = bucket_wait(&t->usage->bytes_due, &t->bytes, now, 0);

	if (wait)
		return wait;
	if (t->paid) {
		t->paid--;
		return 0;
	}
	if (t->ahead && !bucket_take(&t->usage->calls_due, &t->calls, now, 1 + t->ahead)) {
		t->paid = t->ahead;
		return 0;
	}
	return bucket_take(&t->usage->calls_due, &t->calls, now, 1);
}

void tenant_bytes(struct worker_tenant *t, uint64_t now, uint64_t bytes, uint64_t copied)
{
	if (bytes)
		TENANT_COUNT(t, bytes, bytes);
	if (copied)
		TENANT_COUNT(t, host_copied, copied);
	bucket_spend(&t->usage->bytes_due, &t->bytes, now, bytes);
}
