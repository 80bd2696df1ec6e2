/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Faults of a tenant's sessions, and its quarantine: what policy/quarantine.h
 * decides, put into effect, written down, and kept for the next daemon.
 *
 * A quarantine lets no session begin.  Those that run go on: who is there may
 * end its work, and an administrator can evict it.
 */
#ifndef VGPU_DAEMON_FAULTS_H
#define VGPU_DAEMON_FAULTS_H

#include "quarantine.h"

struct session;
struct tenant;

enum fault_cause {
	FAULT_CRASH,       /* the worker was killed by a signal, and not by us */
	FAULT_GPU_ERROR,   /* its GPU work ended its context, as its worker says */
	FAULT_KERNEL_TIME, /* a piece of GPU work took too long */
	FAULT_MEMORY,      /* it held more device memory than it admitted to */
	FAULT_QUEUE,       /* its guest made nonsense of the queue */
	FAULT_HOST_MEMORY, /* the kernel killed its worker for the tenant's host-memory */
	FAULT_CAUSES,
};

/* Of one tenant; for all others to read. */
struct faults {
	struct quarantine q;
	uint64_t count[FAULT_CAUSES]; /* since this daemon began */
	uint64_t quarantines;         /* likewise */
	guint timer;
};

/* For programs: "crash". */
const char *fault_cause_name(enum fault_cause cause);

/* With what a daemon before us knew of the tenant. */
struct faults *faults_open(struct tenant *t);
void faults_close(struct faults *f);

/* The tenant's policy is another. */
void faults_policy(struct tenant *t);

/* A session failed; only its first fault counts. */
void faults_count(struct session *s, enum fault_cause cause);

/* May no session begin now?  Then `why` says so to the guest, and for how long. */
bool faults_shut_out(struct tenant *t, char *why, gsize size);

/* An administrator's word: `for_ns`, or QUARANTINE_OPEN.  Lifting forgives everything. */
void faults_put(struct tenant *t, uint64_t for_ns);
/* False: it was not shut out. */
bool faults_lift(struct tenant *t);

/* Brings it up to date; how long the quarantine still lasts, as quarantine_left(). */
uint64_t faults_left(struct tenant *t);

#endif /* VGPU_DAEMON_FAULTS_H */
