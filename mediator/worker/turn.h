/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * May this session submit work to the GPU now?
 *
 * Who is told nothing by the daemon, or has none, may always.  Where several
 * tenants have sessions the daemon says LEASED (control.h): then the session
 * asks for a lease before it submits, submits until the lease's end, lets what
 * it has submitted come to its end without blocking the loop, and gives the
 * lease back; earlier if it has nothing to do.  While it may not submit, calls
 * that would are held back: in the ring, but for one.
 *
 * Also here: how long the session has used the GPU, and since when; and the end
 * of a session whose work takes longer than its tenant may.
 */
#ifndef VGPU_WORKER_TURN_H
#define VGPU_WORKER_TURN_H

#include <stdbool.h>
#include <stdint.h>

#include "control.h"
#include "tenant.h"

struct worker;

struct turn {
	bool leased; /* else: submit as you like */
	bool shut;   /* the last one that would have submitted may not yet */
	bool asked;
	bool draining;
	uint64_t until; /* 0: no lease; CTL_TURN_OPEN */
	uint64_t serial;
	uint64_t returned;           /* serial of the lease that was given back last */
	uint64_t drain_ns;           /* since when */
	uint64_t idle_ns;            /* since when the lease is of no use; 0: it is */
	uint64_t shut_ns;            /* since when; 0: not */
	uint64_t poll_ns;            /* when to look again */
	struct ctl_turn_news unsent; /* type 0: none */
	/* Accounts. */
	bool busy;
	uint64_t busy_ns;   /* counted as far as here */
	uint64_t oldest_ns; /* when the oldest work that is not done was begun */
};

/* The slow path of turn_may_submit(). */
bool turn_ask(struct worker *w);

/*
 * Before work is submitted.  False: not now; whoever was refused tries again
 * when turn_is_shut() has ended.
 */
#define turn_may_submit(w) (!(w)->turn.leased || turn_ask(w))
#define turn_is_shut(w) ((w)->turn.shut)

/* Looks at the GPU and at the clock, if it is time to; also says what must be said. */
void turn_poll(struct worker *w);

/* How long to watch the GPU before sleeping, where there are processors to spare, ns. */
uint64_t turn_spin_ns(const struct worker *w);

/* How long the loop may sleep before turn_poll() has something to do, ns; -1: any time. */
int64_t turn_nap_ns(const struct worker *w);

/* The session waits for the daemon's word alone: there is no point in watching ring or GPU. */
bool turn_is_waiting(const struct worker *w);

/* What the daemon says. */
void turn_word(struct worker *w, const struct ctl_turn *m);
/* The daemon has gone: nobody shares the GPU out. */
void turn_alone(struct worker *w);

/* Around work that is done when the call returns. */
void turn_begin(struct worker *w);
void turn_end(struct worker *w);

/* cuda/marks_look.c: work is under way, the oldest since then; 0: none is. */
void turn_account(struct worker *w, uint64_t now, uint64_t oldest_ns, bool progress);

/*
 * A piece of GPU work of at most `kernels` kernels, begun then, is not done; ends
 * the process if that is more than the tenant may.  `excused`: functions of the
 * guest's program may run in between.
 */
void turn_check_length(struct worker *w, uint64_t now, uint64_t began, uint64_t kernels,
		       bool excused);

#endif /* VGPU_WORKER_TURN_H */
