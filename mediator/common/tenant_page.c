/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The limits of a tenant, in a page that one process writes and others read: a
 * sequence lock.  All words are stored and loaded as atomics, since a reader
 * may look while they change; it then throws away what it has read.
 */
#include "tenant_page.h"

#include <stddef.h>

#define WORDS (sizeof(struct tenant_limits) / sizeof(uint64_t))

/* The word with the version and `seq` is not copied with the others. */
_Static_assert(offsetof(struct tenant_limits, seq) == 4, "the first word");

/* A writer needs some tens of stores: who meets it so often meets one that was stopped or died. */
#define TRIES 16

void tenant_limits_write(struct tenant_limits *page, const struct tenant_limits *limits)
{
	uint64_t *to = (uint64_t *)page;
	const uint64_t *from = (const uint64_t *)limits;
	/* A writer before us may have died in the midst of it. */
	uint32_t odd = __atomic_load_n(&page->seq, __ATOMIC_RELAXED) | 1u;

	__atomic_store_n(&page->seq, odd, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_RELEASE);
	__atomic_store_n(&page->version, TENANT_PAGE_VERSION, __ATOMIC_RELAXED);
	for (size_t i = 1; i < WORDS; i++)
		__atomic_store_n(&to[i], from[i], __ATOMIC_RELAXED);
	__atomic_store_n(&page->seq, odd + 1, __ATOMIC_RELEASE);
}

static bool read_once(const struct tenant_limits *page, struct tenant_limits *copy)
{
	const uint64_t *from = (const uint64_t *)page;
	struct tenant_limits now;
	uint64_t *to = (uint64_t *)&now;
	uint32_t seq = __atomic_load_n(&page->seq, __ATOMIC_ACQUIRE);

	if (seq & 1)
		return false;
	for (size_t i = 1; i < WORDS; i++)
		to[i] = __atomic_load_n(&from[i], __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	if (__atomic_load_n(&page->seq, __ATOMIC_RELAXED) != seq)
		return false;
	now.version = __atomic_load_n(&page->version, __ATOMIC_RELAXED);
	now.seq = seq;
	*copy = now;
	return true;
}

bool tenant_limits_refresh(const struct tenant_limits *page, struct tenant_limits *copy)
{
	if (!tenant_limits_changed(page, copy))
		return false;
	for (int i = 0; i < TRIES; i++) {
		if (read_once(page, copy))
			return true;
	}
	return false;
}

uint64_t tenant_memory_on(const struct tenant_limits *limits, uint64_t total)
{
	/* Not total * percent / 100, which would not fit for the largest totals. */
	if (limits->memory_percent)
		return total / 100 * limits->memory_percent +
		       total % 100 * limits->memory_percent / 100;
	return limits->memory < total ? limits->memory : total;
}
