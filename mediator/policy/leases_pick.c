/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Whose turn is next, and how long: deficit round robin, and caps. */
#include "leases_priv.h"

/* A tenant that waits alone for debtors gets so many quanta at once at most. */
#define EXTRA_MAX 15

/* A debt is forgotten in so many times its length, while its owner wants nothing. */
#define FORGET 16

/* ------------------------------------------------------------------- caps */

int64_t leases_least(const struct leases *l)
{
	return (int64_t)(l->config.quantum_ns / 2);
}

static int64_t burst(const struct leases *l, const struct lease_tenant *t)
{
	return (int64_t)(l->config.period_ns / 100 * t->cap);
}

static int64_t least_budget(const struct leases *l, const struct lease_tenant *t)
{
	return MAX(MIN(leases_least(l), burst(l, t)), 1);
}

void leases_refill(const struct leases *l, struct lease_tenant *t, uint64_t now)
{
	const int64_t most = burst(l, t);
	/* Longer ago than it takes to pay any debt off counts as that. */
	const uint64_t passed = MIN(now - t->budget_ns, 3600ull * 1000000000u);

	t->budget_ns = now;
	t->budget = MIN(t->budget + (int64_t)(passed * t->cap / 100), most);
}

uint64_t leases_ready_ns(const struct leases *l, const struct lease_tenant *t, uint64_t now)
{
	const int64_t lacking = least_budget(l, t) - t->budget;

	if (t->cap >= 100 || lacking <= 0)
		return now;
	/* `budget` is of budget_ns. */
	return t->budget_ns + ((uint64_t)lacking * 100 + t->cap - 1) / t->cap;
}

bool leases_is_candidate(const struct leases *l, const struct lease_tenant *t, uint64_t now)
{
	return t != l->holder && t->wanting && leases_ready_ns(l, t, now) <= now;
}

/* ----------------------------------------------------------------- rounds */

void leases_join(struct lease_tenant *t, uint64_t now)
{
	if (t->contends)
		return;
	t->contends = true;
	t->deficit = MIN(0, t->deficit + (int64_t)((now - t->left_ns) / FORGET));
}

/* What a round gives to each: by the weights, the smallest a quantum. */
static void set_quanta(struct leases *l, uint64_t now)
{
	uint64_t sum = 0, least = LEASE_WEIGHT_MAX;

	for (guint i = 0; i < l->tenants->len; i++) {
		struct lease_tenant *t = leases_tenant_at(l, i);

		if (!leases_is_candidate(l, t, now))
			continue;
		leases_join(t, now);
		sum += t->weight;
		least = MIN(least, t->weight);
	}
	for (guint i = 0; i < l->tenants->len; i++) {
		struct lease_tenant *t = leases_tenant_at(l, i);
		uint64_t q = l->config.quantum_ns * t->weight / least;

		if (l->config.quantum_ns * sum / least > l->config.round_ns && sum)
			q = l->config.round_ns * t->weight / sum;
		t->quantum = (int64_t)MAX(q, 1);
	}
}

static int64_t most_credit(const struct leases *l, const struct lease_tenant *t)
{
	return t->quantum + MAX(t->quantum, leases_least(l));
}

/* Rounds until it may have a turn, this one included. */
static int64_t rounds_to_go(const struct leases *l, const struct lease_tenant *t)
{
	const int64_t lacking = leases_least(l) - t->deficit;

	return lacking <= t->quantum ? 1 : (lacking + t->quantum - 1) / t->quantum;
}

bool leases_is_solvent(const struct leases *l, const struct lease_tenant *t)
{
	return !t->contends || rounds_to_go(l, t) == 1;
}

static void credit(const struct leases *l, struct lease_tenant *t, int64_t rounds)
{
	t->deficit = MIN(t->deficit + rounds * t->quantum, most_credit(l, t));
}

/* The first that can pay; among those of the same round the one next in turn. */
static guint find_first(const struct leases *l, uint64_t now, int64_t *rounds)
{
	const guint n = l->tenants->len;
	guint found = n;

	for (guint k = 1; k <= n; k++) {
		const guint i = (guint)(l->last + (gint)k) % n;
		const struct lease_tenant *t = leases_tenant_at(l, i);

		if (!leases_is_candidate(l, t, now))
			continue;
		if (found == n || rounds_to_go(l, t) < *rounds) {
			found = i;
			*rounds = rounds_to_go(l, t);
		}
	}
	return found;
}

/* So many rounds pass, the last one as far as the winner. */
static void pass_rounds(struct leases *l, uint64_t now, guint winner, int64_t rounds)
{
	const guint n = l->tenants->len;
	int64_t each = rounds;

	for (guint k = 1; k <= n; k++) {
		const guint i = (guint)(l->last + (gint)k) % n;
		struct lease_tenant *t = leases_tenant_at(l, i);

		if (leases_is_candidate(l, t, now))
			credit(l, t, each);
		if (i == winner)
			each--;
	}
}

/* Turns in a row that the winner would have. */
static int64_t turns_in_a_row(const struct leases *l, uint64_t now,
			      const struct lease_tenant *winner)
{
	int64_t turns = EXTRA_MAX + 1;

	for (guint i = 0; i < l->tenants->len; i++) {
		const struct lease_tenant *t = leases_tenant_at(l, i);

		if (t != winner && leases_is_candidate(l, t, now))
			turns = MIN(turns, rounds_to_go(l, t));
	}
	return turns;
}

struct lease_tenant *leases_pick(struct leases *l, uint64_t now)
{
	struct lease_tenant *t;
	int64_t rounds = 0;
	guint winner;

	set_quanta(l, now);
	winner = find_first(l, now, &rounds);
	pass_rounds(l, now, winner, rounds);
	t = leases_tenant_at(l, winner);
	l->extra = MIN(turns_in_a_row(l, now, t) - 1, (int64_t)l->config.round_ns / t->quantum);
	l->plain_ns = now + (uint64_t)t->deficit;
	l->last = (gint)winner;
	return t;
}

void leases_settle_extra(struct leases *l, struct lease_tenant *t)
{
	int64_t rounds = t->deficit < 0 ? (-t->deficit + t->quantum - 1) / t->quantum : 0;

	rounds = MIN(rounds, l->extra);
	l->extra = 0;
	for (guint i = 0; rounds && i < l->tenants->len; i++) {
		struct lease_tenant *o = leases_tenant_at(l, i);

		if (o == t || (o->contends && o->wanting))
			credit(l, o, rounds);
	}
}
