/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Buckets of tokens: when the next unit is due. */
#include "bucket.h"

#define NS 1000000000u
/* Others are at it all the time: come again in a moment. */
#define TRIES 16
#define CROWDED_NS 1000u

__extension__ typedef unsigned __int128 wide;

static uint64_t sum(uint64_t a, uint64_t b)
{
	uint64_t r;

	return __builtin_add_overflow(a, b, &r) ? UINT64_MAX : r;
}

/* Time that `units` stand for.  A price is rounded up and room down: never more than the rate. */
static uint64_t price(uint64_t units, uint64_t rate)
{
	const wide ns = ((wide)units * NS + rate - 1) / rate;

	return ns > UINT64_MAX ? UINT64_MAX : (uint64_t)ns;
}

static uint64_t room(const struct policy_rate *r)
{
	/* A bucket that holds nothing would never let anything through. */
	const uint64_t burst = r->burst ? r->burst : 1;
	const wide ns = (wide)burst * NS / r->rate;

	return ns > UINT64_MAX / 2 ? UINT64_MAX / 2 : (uint64_t)ns;
}

struct bucket_rate bucket_rate(const struct policy_rate *r)
{
	struct bucket_rate b = {.rate = r->rate};

	if (!r->rate)
		return b;
	b.one = price(1, r->rate);
	b.most = room(r);
	return b;
}

/* Mostly it is one unit, or none. */
static uint64_t price_of(uint64_t units, const struct bucket_rate *r)
{
	return units > 1 ? price(units, r->rate) : units ? r->one : 0;
}

/* The due time that counts: of an empty past, or of a word that makes no sense, none. */
static uint64_t counted(uint64_t seen, uint64_t now, uint64_t most)
{
	if (seen < now)
		return now;
	if (seen - now > sum(most, BUCKET_HORIZON_NS))
		return sum(now, most);
	return seen;
}

/* 0: there is room for a taking of `cost`. */
static uint64_t wait_of(uint64_t from, uint64_t now, uint64_t cost, uint64_t most)
{
	const uint64_t ahead = from - now;

	if (cost > most) /* more than it ever holds: from a full one */
		return ahead;
	return ahead > most - cost ? ahead - (most - cost) : 0;
}

uint64_t bucket_wait(const uint64_t *due, const struct bucket_rate *r, uint64_t now, uint64_t units)
{
	if (!r->rate)
		return 0;
	return wait_of(counted(__atomic_load_n(due, __ATOMIC_RELAXED), now, r->most), now,
		       price_of(units, r), r->most);
}

uint64_t bucket_take(uint64_t *due, const struct bucket_rate *r, uint64_t now, uint64_t units)
{
	uint64_t cost, seen;

	if (!r->rate || !units)
		return 0;
	cost = price_of(units, r);
	seen = __atomic_load_n(due, __ATOMIC_RELAXED);
	for (int i = 0; i < TRIES; i++) {
		const uint64_t from = counted(seen, now, r->most);
		const uint64_t wait = wait_of(from, now, cost, r->most);

		/* Nonsense is mended, or it would be ahead of us for ever. */
		if (wait && from < seen)
			__atomic_compare_exchange_n(due, &seen, from, false, __ATOMIC_RELAXED,
						    __ATOMIC_RELAXED);
		if (wait)
			return wait;
		if (__atomic_compare_exchange_n(due, &seen, sum(from, cost), false,
						__ATOMIC_RELAXED, __ATOMIC_RELAXED))
			return 0;
	}
	return CROWDED_NS;
}

void bucket_spend(uint64_t *due, const struct bucket_rate *r, uint64_t now, uint64_t units)
{
	uint64_t cost, seen;

	if (!r->rate || !units)
		return;
	cost = price_of(units, r);
	seen = __atomic_load_n(due, __ATOMIC_RELAXED);
	for (int i = 0; i < TRIES; i++) {
		uint64_t to = sum(counted(seen, now, r->most), cost);

		/* A debt beyond the horizon would be taken for nonsense, and so be none. */
		if (to - now > sum(r->most, BUCKET_HORIZON_NS))
			to = sum(now, sum(r->most, BUCKET_HORIZON_NS));
		if (__atomic_compare_exchange_n(due, &seen, to, false, __ATOMIC_RELAXED,
						__ATOMIC_RELAXED))
			return;
	}
}
