/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A bucket of tokens that several processes share: one word that says when the
 * next unit is due (GCRA).
 *
 * No clock, no lock, no memory but that word: `now` is the caller's, in ns of
 * one clock for all that share the word.  Whatever stands in the word, by
 * another's mistake or malice, a call ends at once, and no wait is longer than
 * BUCKET_HORIZON_NS beyond what the bucket itself holds.
 *
 * In any span of t ns at most rate * t + burst units pass, whoever takes them
 * (burst: at least 1; where burst / rate is not centuries).
 * A single taking of more than `burst` passes from a full bucket, and what
 * follows waits for all of it; so does what follows units that were spent
 * without asking.
 */
#ifndef VGPU_BUCKET_H
#define VGPU_BUCKET_H

#include <stdint.h>

#include "policy.h"

/* A due time further ahead than this (and the burst) is nobody's honest debt. */
#define BUCKET_HORIZON_NS (3600ull * 1000000000u)

/* A rate, with what would else be divided for each taking; made by bucket_rate(). */
struct bucket_rate {
	uint64_t rate; /* units a second; 0: no limit */
	uint64_t one;  /* ns that a unit stands for, rounded up */
	uint64_t most; /* ns that the burst stands for */
};

struct bucket_rate bucket_rate(const struct policy_rate *r);

/* Takes `units`.  0: taken (also if there is no limit); else ns after which to try again. */
uint64_t bucket_take(uint64_t *due, const struct bucket_rate *r, uint64_t now, uint64_t units);

/* How long until `units` could be taken, if nobody else takes any; 0: now. */
uint64_t bucket_wait(const uint64_t *due, const struct bucket_rate *r, uint64_t now,
		     uint64_t units);

/* Books units that have passed already; later takings wait for them. */
void bucket_spend(uint64_t *due, const struct bucket_rate *r, uint64_t now, uint64_t units);

#endif /* VGPU_BUCKET_H */
