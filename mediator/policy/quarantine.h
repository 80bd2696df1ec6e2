/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * When a tenant whose sessions fail is shut out, and for how long.
 *
 * A pure state machine: no I/O, no clock.  Each event comes with the time, in
 * ns of a clock that goes on while the host sleeps; what has changed comes
 * out, and the same events give the same words.
 *
 * So many faults within a time begin a quarantine, also while there is one:
 * sessions that ran before may go on and fail.  Each lasts twice as long as the
 * one before, up to a longest.  Who then behaves for as long as the next one
 * would last, and at least for the time in which faults are counted, has one
 * doubling forgiven, and so on.  What an administrator says holds until the
 * administrator says otherwise or its time is over, whatever faults come; a
 * lift forgives everything.
 */
#ifndef VGPU_QUARANTINE_H
#define VGPU_QUARANTINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policy.h"

/* The most that a policy can ask to be counted. */
#define QUARANTINE_FAULTS_MAX 1000u

/* Until it is lifted. */
#define QUARANTINE_OPEN UINT64_MAX

/* An administrator's is no longer than this, or has no end. */
#define QUARANTINE_MOST_NS (365ull * 24 * 3600 * 1000000000)

/* All zero: nothing has happened.  Only this file's functions write it. */
struct quarantine {
	uint64_t now;   /* of the last event: time never goes back */
	uint64_t began; /* of the quarantine that there is */
	uint64_t until; /* 0: there is none; QUARANTINE_OPEN */
	uint64_t calm;  /* since when it behaves */
	uint32_t level; /* doublings: the next one lasts `quarantine_ns` << level */
	bool by_hand;   /* it is an administrator's */
	uint32_t n;     /* faults that may count yet, oldest first: */
	uint64_t fault[QUARANTINE_FAULTS_MAX];
};

enum quarantine_event_kind {
	QUARANTINE_LOOK = 1, /* time has passed, or the policy has changed */
	QUARANTINE_FAULT,    /* a session failed */
	QUARANTINE_PUT,      /* an administrator shuts it out: `for_ns`, or QUARANTINE_OPEN */
	QUARANTINE_LIFT,     /* an administrator lets it in again */
};

struct quarantine_event {
	enum quarantine_event_kind kind;
	uint64_t for_ns; /* at least 1 */
};

/* What an event has come to; several may be. */
enum quarantine_news {
	QUARANTINE_ENDED = 1u << 0, /* comes before the others */
	QUARANTINE_BEGUN = 1u << 1,
	QUARANTINE_CHANGED = 1u << 2, /* there was one, and now it ends at another time */
};

/* What has changed, enum quarantine_news. */
uint32_t quarantine_step(struct quarantine *q, const struct policy *p, uint64_t now,
			 const struct quarantine_event *e);

/* When there is something to do without an event, by a QUARANTINE_LOOK; 0: never. */
uint64_t quarantine_timer(const struct quarantine *q);

static inline bool quarantine_is(const struct quarantine *q)
{
	return q->until != 0;
}

/* Until it ends, as of `now`; 0: there is none; QUARANTINE_OPEN. */
uint64_t quarantine_left(const struct quarantine *q, uint64_t now);

/* How long the next one would last. */
uint64_t quarantine_next(const struct quarantine *q, const struct policy *p);

/* Is there nothing to remember? */
bool quarantine_is_blank(const struct quarantine *q);

/*
 * As text, and back.  `boot` says which run of the clock it is; in another one
 * `now` takes the place of the time of writing, so that the time in between
 * does not count.  False with `err` set, and `q` all zero, if the text cannot
 * be of our making.
 */
char *quarantine_save(const struct quarantine *q, const char *boot);
bool quarantine_load(struct quarantine *q, const char *text, gsize length, const char *boot,
		     uint64_t now, GError **err);

#endif /* VGPU_QUARANTINE_H */
