/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The worker without its tenant's accounts, to be measured beside the real one.
 *
 * Included by the compiler in front of each of the worker's files that keep an
 * account of requests: what these call is nothing here, so that the call and its
 * arguments are gone.  unaccounted.c has the rest.  No installed program has any of it.
 */
#ifndef TESTS_BENCH_UNACCOUNTED_H
#define TESTS_BENCH_UNACCOUNTED_H

#include "cuda/marks.h"
#include "tenant.h"
#include "turn.h"

static inline bool unaccounted_charge(const struct worker_tenant *t, uint64_t bytes)
{
	(void)t;
	(void)bytes;
	return true;
}

/* Counters, and what is charged. */
#undef TENANT_COUNT
#define TENANT_COUNT(t, what, by) ((void)0)
#define tenant_bytes(t, now, bytes, copied) ((void)0)
#define tenant_charge unaccounted_charge
#define tenant_discharge(t, bytes) ((void)0)

/* Limits that may have changed, rates, classes of operation. */
#define tenant_look(t) ((void)0)
#define tenant_has_rate(t) false
#define tenant_allows(t, classes) true

/* The gate of leases, and the marks behind calls. */
#undef turn_may_submit
#define turn_may_submit(w) true
#undef turn_is_shut
#define turn_is_shut(w) false
#define turn_poll(w) ((void)0)
#define marks_note(s, stream, calls) true
#define marks_made(s) ((void)0)

#endif /* TESTS_BENCH_UNACCOUNTED_H */
