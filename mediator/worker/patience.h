/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How long to watch the ring of a guest that polls, before sleeping.
 *
 * A guest that had to ring is held up by its doorbell, on Xen until the device
 * model has had its turn.  If we sleep before it is back it rings for the next
 * request as well, and so on for ever, though neither side has anything else
 * to do.  So after a doorbell we sometimes watch for much longer, for a few
 * requests: if the guest keeps up by then it was only the doorbell; if it does
 * not it is simply slow, and the next such try comes after twice as many
 * doorbells.
 */
#ifndef VGPU_WORKER_PATIENCE_H
#define VGPU_WORKER_PATIENCE_H

#include <stdbool.h>
#include <stdint.h>

/* A long watch is so many times a usual one, but never longer than this. */
#define PATIENCE_TIMES 100u
#define PATIENCE_MAX_NS 10000000u
/* A try succeeds with so many requests that a usual watch would have seen ... */
#define PATIENCE_QUICK 2u
/* ... and fails with so many that it would have missed: the first comes with the doorbell's end. */
#define PATIENCE_SLOW 4u
/* Doorbells between two tries at most. */
#define PATIENCE_SKIP_MAX 1023u

/* Zero it before its first use. */
struct patience {
	bool rung;   /* a doorbell has woken us since we last watched */
	bool trying; /* watches are long */
	uint64_t usual;
	uint32_t quick, slow;
	uint32_t missed; /* doubled by each try that failed */
	uint32_t skip;   /* doorbells left */
};

/* We slept, and a doorbell woke us. */
void patience_rung(struct patience *p);

/* The watch that begins now: its length, if a usual one takes `usual`. */
uint64_t patience_begin(struct patience *p, uint64_t usual);
/* ... and whether it ended by a request, after how long; both only matter while trying. */
void patience_end(struct patience *p, bool came, uint64_t after);

#endif /* VGPU_WORKER_PATIENCE_H */
