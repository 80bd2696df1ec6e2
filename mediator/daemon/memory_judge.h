/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Whether a tenant holds more device memory than it may, by the word of the GPU
 * and not of its workers, and which session has to go.  Pure: no clock, no I/O.
 */
#ifndef VGPU_DAEMON_MEMORY_JUDGE_H
#define VGPU_DAEMON_MEMORY_JUDGE_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

struct memory_session {
	uint64_t held;    /* what its process has of GPUs; 0: it has made no context */
	uint64_t claimed; /* what the worker says that it is charged for */
	uint64_t beside;  /* what it may hold beside that, for contexts */
};

/*
 * How many contexts a session may have beside what it is charged for: one of its
 * guest's, and one that the worker needs for itself, if it says so.  More is not
 * believed, as the guest may have taken the worker over.
 */
guint memory_contexts(uint64_t told);

/* Of a tenant, from round to round; begins as zeros. */
struct memory_record {
	uint64_t limit; /* of the last round */
	uint64_t grace; /* before it was lowered, while what is there exceeds the new one */
	guint strikes;  /* rounds in a row beyond what is allowed */
};

/* Rounds in a row before anything is done: memory that is being freed is charged to nobody. */
#define MEMORY_STRIKES 2u

/*
 * One round: `limit` for all sessions together (UINT64_MAX: none), and beside it
 * what is `beside` of each that has a context.  What is over a limit that was
 * lowered may stay as it is, unless `evicts`.  The place of the session that has to
 * go, the one that holds most beyond what it is charged for; -1: none.
 */
int memory_judge(struct memory_record *r, const struct memory_session *session, guint n,
		 uint64_t limit, bool evicts);

#endif /* VGPU_DAEMON_MEMORY_JUDGE_H */
