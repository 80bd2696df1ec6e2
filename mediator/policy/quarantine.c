/* SPDX-License-Identifier: GPL-2.0-or-later */
/* When a tenant whose sessions fail is shut out, and for how long. */
#include "quarantine.h"

#include <string.h>

static uint64_t add(uint64_t a, uint64_t b)
{
	uint64_t sum;

	return __builtin_add_overflow(a, b, &sum) ? QUARANTINE_OPEN - 1 : sum;
}

static uint64_t length_at(const struct policy *p, uint32_t level)
{
	uint64_t ns = p->quarantine_ns;

	while (level-- && ns < p->quarantine_most_ns)
		ns = ns > p->quarantine_most_ns / 2 ? p->quarantine_most_ns : ns * 2;
	return MIN(ns, p->quarantine_most_ns);
}

uint64_t quarantine_next(const struct quarantine *q, const struct policy *p)
{
	return length_at(p, q->level);
}

static void forget_old(struct quarantine *q, const struct policy *p)
{
	uint32_t old = 0;

	while (old < q->n && q->now - q->fault[old] >= p->faults_ns)
		old++;
	q->n -= old;
	memmove(q->fault, q->fault + old, q->n * sizeof(q->fault[0]));
}

/* Doublings that count for nothing would have to be forgiven all the same. */
static void clip_level(struct quarantine *q, const struct policy *p)
{
	while (q->level && length_at(p, q->level - 1) >= p->quarantine_most_ns)
		q->level--;
}

/* One doubling for each time as long as the next quarantine in which nothing happened. */
static void forgive(struct quarantine *q, const struct policy *p)
{
	while (q->level && !q->until) {
		const uint64_t due = add(q->calm, MAX(length_at(p, q->level), p->faults_ns));

		if (q->now < due)
			return;
		q->calm = due;
		q->level--;
	}
}

static void end(struct quarantine *q, uint64_t at)
{
	q->calm = at;
	q->until = 0;
	q->began = 0;
	q->by_hand = false;
}

/* A policy that was changed holds for the quarantine that there is. */
static uint64_t until_by(const struct quarantine *q, const struct policy *p)
{
	if (!q->until || q->by_hand)
		return q->until;
	if (!p->faults)
		return q->now;
	return MIN(q->until, add(q->began, p->quarantine_most_ns));
}

/* What time and the policy have done. */
static uint32_t settle(struct quarantine *q, const struct policy *p)
{
	const uint64_t until = until_by(q, p);
	uint32_t news = 0;

	if (until && until <= q->now) {
		end(q, until);
		news = QUARANTINE_ENDED;
	} else if (until != q->until) {
		q->until = until;
		news = QUARANTINE_CHANGED;
	}
	forget_old(q, p);
	clip_level(q, p);
	forgive(q, p);
	return news;
}

static uint32_t set_until(struct quarantine *q, uint64_t until)
{
	const uint32_t news = !q->until           ? QUARANTINE_BEGUN
			      : q->until != until ? QUARANTINE_CHANGED
						  : 0;

	q->until = until;
	q->began = q->now;
	return news;
}

static uint32_t fault(struct quarantine *q, const struct policy *p)
{
	uint64_t until = add(q->now, length_at(p, q->level));

	q->calm = q->now;
	if (!p->faults)
		return 0;
	if (q->n == QUARANTINE_FAULTS_MAX)
		memmove(q->fault, q->fault + 1, --q->n * sizeof(q->fault[0]));
	q->fault[q->n++] = q->now;
	if (q->n < p->faults)
		return 0;
	q->n = 0;
	q->level++;
	clip_level(q, p);
	if (q->until >= until) /* it is shut out for longer already */
		return 0;
	if (q->by_hand)
		return 0; /* it ends when the administrator said; but the next one is longer */
	return set_until(q, until);
}

static uint32_t put(struct quarantine *q, uint64_t for_ns)
{
	uint32_t news = set_until(q, for_ns == QUARANTINE_OPEN
					     ? for_ns
					     : add(q->now, MIN(for_ns, QUARANTINE_MOST_NS)));

	q->by_hand = true;
	return news ? news : QUARANTINE_CHANGED;
}

static uint32_t lift(struct quarantine *q)
{
	const uint32_t news = q->until ? QUARANTINE_ENDED : 0;

	end(q, q->now);
	q->level = 0;
	q->n = 0;
	return news;
}

uint32_t quarantine_step(struct quarantine *q, const struct policy *p, uint64_t now,
			 const struct quarantine_event *e)
{
	uint32_t news;

	q->now = MAX(q->now, now);
	news = settle(q, p);
	switch (e->kind) {
	case QUARANTINE_LOOK:
		break;
	case QUARANTINE_FAULT:
		news |= fault(q, p);
		break;
	case QUARANTINE_PUT:
		news |= put(q, MAX(e->for_ns, 1));
		break;
	case QUARANTINE_LIFT:
		news |= lift(q);
		break;
	}
	return news;
}

uint64_t quarantine_timer(const struct quarantine *q)
{
	return q->until == QUARANTINE_OPEN ? 0 : q->until;
}

uint64_t quarantine_left(const struct quarantine *q, uint64_t now)
{
	if (q->until == QUARANTINE_OPEN)
		return QUARANTINE_OPEN;
	return q->until > now ? q->until - now : 0;
}

bool quarantine_is_blank(const struct quarantine *q)
{
	return !q->until && !q->level && !q->n;
}
