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
};

/* Of a tenant, from round to round; begins as zeros. */
struct memory_record {
	uint64_t limit; /* of the last round */
	uint64_t grace; /* before it was lowered, while what is there exceeds the new one */
	guint strikes;  /* rounds in a row beyond what is allowed */
};

/* Rounds in a row before anything is done: memory that is being freed is charged to nobody. */
#define MEMORY_STRIKES 2u

/*
 * One round: `limit` for all sessions together (UINT64_MAX: none), `context` for
 * each that has one, beside that.  What is over a limit that was lowered may
 * stay as it is, unless `evicts`.  The place of the session that has to go, the
 * one that holds most beyond what it is charged for; -1: none.
 */
int memory_judge(struct memory_record *r, const struct memory_session *session, guint n,
		 uint64_t limit, uint64_t context, bool evicts);

#endif /* VGPU_DAEMON_MEMORY_JUDGE_H */
