/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The session as one of its tenant's: what it may do, and what it has used.
 *
 * Two pages are shared (tenant_page.h).  The limits are the daemon's: they are
 * read-only here, copied when they have changed, and hold from the next request
 * on.  The usage is written by all sessions of the tenant, some of which a
 * guest may have taken over: what this session is charged for stands in private
 * memory and is only published there, and what others have published is added
 * up as if it were true, since it is only their own tenant that they deceive.
 */
#ifndef VGPU_WORKER_TENANT_H
#define VGPU_WORKER_TENANT_H

#include <stdbool.h>
#include <stdint.h>

#include "bucket.h"
#include "policy.h"
#include "tenant_page.h"

struct worker_tenant {
	const struct tenant_limits *page; /* what the daemon writes */
	struct tenant_limits limits;      /* in force; tenant_look() brings it up to date */
	struct bucket_rate calls, bytes;  /* of the limits */
	uint64_t ahead;                   /* requests that it pays for in advance; 0: none */
	uint64_t paid;                    /* of them, those that are still to come */
	struct tenant_usage *usage;       /* of all sessions of the tenant */
	struct session_usage *mine;       /* of this one, in `usage` */
	struct session_usage own;         /* what is true of it; `mine` only tells others */
	uint64_t device_memory;           /* what the GPU has; 0: not known yet */
	/* Gives back what is kept for later, to make room; NULL: nothing is. */
	bool (*reclaim)(void *opaque);
	void *opaque;
	bool reclaiming;
};

/*
 * Begins with these pages, which stay mapped.  False: the slot is none, or they
 * are of another version.
 */
bool tenant_open(struct worker_tenant *t, const struct tenant_limits *limits,
		 struct tenant_usage *usage, uint32_t slot);

/*
 * Maps the pages; closes both descriptors.  Done again for a new daemon's, the
 * addresses stay and this session's usage is carried over.  0 or a negative errno.
 */
int tenant_take(struct worker_tenant *t, int limits_fd, int usage_fd, uint32_t slot);

/* The worker is about to end by itself; safe in a handler of signals. */
static inline void tenant_ends(struct worker_tenant *t)
{
	if (t->mine)
		__atomic_store_n(&t->mine->life, USAGE_ENDED, __ATOMIC_RELAXED);
}

/* Pages of its own and no limits: a worker that belongs to nobody, as in tests. */
void tenant_alone(struct worker_tenant *t);

/* tenant.c: takes limits that have changed. */
void tenant_renew(struct worker_tenant *t);

/* Looks whether the limits have changed; a load, if they have not. */
static inline void tenant_look(struct worker_tenant *t)
{
	if (tenant_limits_changed(t->page, &t->limits))
		tenant_renew(t);
}

/* May it do what needs these classes (enum policy_class), all of them? */
static inline bool tenant_allows(const struct worker_tenant *t, uint32_t classes)
{
	return !(classes & ~t->limits.classes);
}

/* Is there a rate to be kept, of requests or bytes? */
static inline bool tenant_has_rate(const struct worker_tenant *t)
{
	return t->calls.rate || t->bytes.rate;
}

/* Adds to a counter of this session, for all to see. */
static inline void tenant_count(struct worker_tenant *t, uint64_t *own, uint64_t by)
{
	uint64_t *shared = (uint64_t *)((char *)t->mine + ((char *)own - (char *)&t->own));

	*own += by;
	__atomic_store_n(shared, *own, __ATOMIC_RELAXED);
}

#define TENANT_COUNT(t, what, by) tenant_count(t, &(t)->own.what, by)

/* ------------------------------------------------------------------ memory */
/*
 * Before `bytes` of device memory are allocated.  False: they would exceed the
 * tenant's limit, also after all that is kept for later was given back; nothing
 * is charged then, and the refusal is counted.  Of two sessions that ask at the
 * same time for the last of it both may be refused, but never both be served.
 */
bool tenant_charge(struct worker_tenant *t, uint64_t bytes);
void tenant_discharge(struct worker_tenant *t, uint64_t bytes);

/* The limit in bytes; TENANT_NO_LIMIT. */
uint64_t tenant_memory_most(const struct worker_tenant *t);

/* What all sessions of the tenant are charged for. */
uint64_t tenant_memory(const struct worker_tenant *t);

/* From a device's figures to the tenant's: it sees no more than it may have. */
void tenant_memory_seen(const struct worker_tenant *t, uint64_t *free_bytes, uint64_t *total);

/* ------------------------------------------------------------------- rates */
/*
 * One request is about to be taken, and was paid for with an earlier one.  False:
 * tenant_wait() has to say.  So a word that all sessions share is not written for each.
 */
static inline bool tenant_has_paid(struct worker_tenant *t, uint64_t now)
{
	if (!t->paid ||
	    (t->bytes.rate && __atomic_load_n(&t->usage->bytes_due, __ATOMIC_RELAXED) > now))
		return false;
	t->paid--;
	return true;
}

/* The same: 0, or ns until it may be. */
uint64_t tenant_wait(struct worker_tenant *t, uint64_t now);

/* Payload went to or from the device. */
void tenant_bytes(struct worker_tenant *t, uint64_t now, uint64_t bytes, uint64_t copied);

#endif /* VGPU_WORKER_TENANT_H */
