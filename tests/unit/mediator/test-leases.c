/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Leases: single rules, and random histories with fixed seeds. */
#include <string.h>

#include "leases-world.h"
#include "leases_record.h"

static const struct habit always_10us = {.kernel_ns = 10 * US};
static const struct habit always_1ms = {.kernel_ns = MS};
static const struct habit always_100ms = {.kernel_ns = 100 * MS};

/* -------------------------------------------------------------- single rules */

/* Who is alone hears nothing at all. */
static void test_alone(void)
{
	struct world *w = world_new(1, false);
	uint32_t t = world_tenant(w, 1, 100);

	world_session(w, t, &always_1ms);
	world_session(w, t, &always_10us);
	world_run(w, w->now + 10 * SECOND);
	g_assert_cmpuint(w->words, ==, 0);
	world_free(w);
}

/* One whose neighbour only sits there has no turns, and a word now and then at most. */
static void test_quiet_neighbour(void)
{
	const struct habit seldom = {.kernel_ns = MS, .burst = 1, .rest_ns = SECOND};
	struct world *w = world_new(2, false);
	uint32_t busy = world_tenant(w, 1, 100), quiet = world_tenant(w, 1, 100);

	world_session(w, busy, &always_10us);
	world_session(w, quiet, &seldom);
	world_run(w, w->now + 60 * SECOND);
	/* Each time: a grant, a revoke, a grant. */
	g_assert_cmpuint(w->words, <, 60 * 10 * 3);
	g_assert_cmpuint(w->tenant[busy].all_ns, >, 58 * SECOND);
	world_free(w);
}

/* The neighbour goes: no more words. */
static void test_free_again(void)
{
	const struct habit dies = {.kernel_ns = MS, .lives_ns = SECOND};
	struct world *w = world_new(3, false);
	uint32_t a = world_tenant(w, 1, 100), b = world_tenant(w, 1, 100);
	uint64_t words;

	world_session(w, a, &always_1ms);
	world_session(w, b, &dies);
	world_run(w, w->now + 2 * SECOND);
	g_assert_true(w->session[0].free);
	words = w->words;
	world_run(w, w->now + 2 * SECOND);
	g_assert_cmpuint(w->words, ==, words);
	world_free(w);
}

/* A worker that hangs with the lease: others go on, without it, after the limit. */
static void test_hang(void)
{
	const struct habit hangs = {.kernel_ns = 1, .hangs = true};
	struct world *w = world_new(4, false);
	uint32_t a = world_tenant(w, 1, 100), b = world_tenant(w, 1, 100);

	world_session(w, a, &hangs);
	world_run(w, w->now + SECOND);
	world_session(w, b, &always_1ms);
	world_run(w, w->now + 3 * SECOND);
	g_assert_cmpuint(w->tenant[b].all_ns, >, 1900 * MS);
	world_free(w);
}

/* Death in the midst of a turn is the end of it. */
static void test_death(void)
{
	struct world *w = world_new(5, false);
	uint32_t a = world_tenant(w, 1, 100), b = world_tenant(w, 1, 100);
	struct lease_event gone = {.kind = LEASE_SESSION_GONE};

	world_session(w, a, &always_100ms);
	world_session(w, b, &always_1ms);
	world_run(w, w->now + SECOND);
	gone.session = w->session[0].id;
	while (!w->session[0].holds)
		world_run(w, w->now + MS);
	w->session[0].alive = false;
	world_event(w, &gone);
	g_assert_true(w->session[1].free);
	world_free(w);
}

/* Nonsense changes nothing and says nothing. */
static void test_nonsense(void)
{
	const struct lease_event odd[] = {
		{.kind = LEASE_TENANT, .tenant = 7, .weight = 0, .cap_percent = 100},
		{.kind = LEASE_TENANT, .tenant = 7, .weight = 10001, .cap_percent = 100},
		{.kind = LEASE_TENANT, .tenant = 7, .weight = 1, .cap_percent = 0},
		{.kind = LEASE_TENANT, .tenant = 7, .weight = 1, .cap_percent = 101},
		{.kind = LEASE_TENANT_GONE, .tenant = 9},
		{.kind = LEASE_SESSION, .tenant = 9, .session = 1},
		{.kind = LEASE_SESSION_GONE, .session = 1},
		{.kind = LEASE_WANTS, .session = 1},
		{.kind = LEASE_RETURNS, .session = 1, .serial = 1},
		{.kind = LEASE_TIMER},
	};
	struct leases *l = leases_new(NULL);
	struct lease_account a;

	for (size_t i = 0; i < G_N_ELEMENTS(odd); i++) {
		size_t n;

		leases_step(l, i, &odd[i], &n);
		g_assert_cmpuint(n, ==, 0);
		g_assert_cmpuint(leases_timer(l), ==, 0);
	}
	g_assert_false(leases_account(l, 7, &a));
	leases_free(l);
}

/* A lease that was given back is not given back again, nor another's. */
static void test_wrong_serial(void)
{
	struct world *w = world_new(6, false);
	uint32_t a = world_tenant(w, 1, 100), b = world_tenant(w, 1, 100);
	struct lease_event back = {.kind = LEASE_RETURNS, .wants = true};
	struct lease_account account;

	world_session(w, a, &always_1ms);
	world_session(w, b, &always_1ms);
	world_run(w, w->now + SECOND);
	while (!w->session[0].holds)
		world_run(w, w->now + MS);
	back.session = w->session[0].id;
	back.serial = w->session[0].serial - 1;
	world_event(w, &back);
	g_assert_true(leases_account(w->l, w->tenant[a].id, &account));
	g_assert_true(account.holds);
	world_free(w);
}

/* ------------------------------------------------------------------- shares */

/* Two that always want, whatever the length of their kernels: time is as the weights. */
static void test_pairs(void)
{
	static const struct habit *const kind[] = {&always_10us, &always_1ms, &always_100ms};
	static const uint32_t weight[][2] = {{1, 1}, {1, 2}, {2, 1}, {1, 4}, {4, 1}, {100, 300}};

	for (size_t i = 0; i < G_N_ELEMENTS(kind) * G_N_ELEMENTS(kind); i++) {
		for (size_t k = 0; k < G_N_ELEMENTS(weight); k++) {
			struct world *w = world_new((uint32_t)(i * 10 + k), false);
			uint32_t a = world_tenant(w, weight[k][0], 100);
			uint32_t b = world_tenant(w, weight[k][1], 100);
			double wanted = 100.0 * weight[k][0] / (weight[k][0] + weight[k][1]);

			world_session(w, a, kind[i / 3]);
			world_session(w, b, kind[i % 3]);
			world_run(w, w->now + 10 * SECOND);
			if (ABS(world_share(w, a) - wanted) > 5)
				g_error("kernels %zu and %zu, weights %u:%u: %.1f %%", i / 3, i % 3,
					weight[k][0], weight[k][1], world_share(w, a));
			/* Changing hands takes little. */
			g_assert_cmpuint(w->tenant[a].all_ns + w->tenant[b].all_ns, >, 9500 * MS);
			world_free(w);
		}
	}
}

/* Many that always want: shares within bounds that the length of kernels sets. */
static void test_many(void)
{
	for (uint32_t seed = 0; seed < 300; seed++) {
		struct world *w = world_new(seed, false);
		uint32_t n = (uint32_t)g_rand_int_range(w->rand, 2, WORLD_TENANTS + 1);
		const uint64_t window = 60 * SECOND;
		uint64_t longest = 0, sum = 0;

		w->check = seed % 10 == 0;
		for (uint32_t i = 0; i < n; i++) {
			const struct habit h = {
				.kernel_ns = 200 * US,
				.spread_ns = (uint64_t)g_rand_int_range(w->rand, 1, 30) * MS};
			uint32_t t =
				world_tenant(w, (uint32_t)g_rand_int_range(w->rand, 1, 9), 100);

			for (int k = g_rand_int_range(w->rand, 1, 3); k > 0; k--)
				world_session(w, t, &h);
			longest = MAX(longest, w->tenant[t].kernel_ns);
			sum += w->tenant[t].weight;
		}
		world_run(w, w->now + window);
		for (uint32_t i = 0; i < n; i++) {
			struct lease_account a;
			double wanted, got, slack;

			g_assert_true(leases_account(w->l, w->tenant[i].id, &a));
			wanted = (double)w->tenant[i].weight / sum;
			got = (double)a.contended_ns / (double)window;
			/* A few turns, on either side of the window. */
			slack = 0.01 + (double)(4 * longest + 200 * MS) / (double)window;
			if (ABS(wanted - got) > slack)
				g_error("seed %u, tenant %u of %u: %.3f, should be %.3f", seed, i,
					n, got, wanted);
		}
		world_free(w);
	}
}

/* Who has slept is not owed the time. */
static void test_no_credit(void)
{
	const struct habit sleeper = {.kernel_ns = MS, .burst = 1, .rest_ns = 1};
	struct world *w = world_new(7, false);
	uint32_t a = world_tenant(w, 1, 100), b = world_tenant(w, 1, 100);
	uint32_t s;

	world_session(w, a, &always_1ms);
	s = world_session(w, b, &sleeper);
	w->session[s].rest_end = w->session[s].next = w->now + 30 * SECOND;
	world_run(w, w->now + 30 * SECOND);
	w->session[s].work = NEVER;
	w->tenant[a].busy_ns = w->tenant[b].busy_ns = 0;
	world_run(w, w->now + SECOND);
	g_assert_cmpfloat(world_share(w, b), <, 54);
	g_assert_cmpfloat(world_share(w, b), >, 46);
	world_free(w);
}

/* A debt is paid, even by one that goes away for a moment. */
static void test_debt_stays(void)
{
	const struct habit cheat = {.kernel_ns = 200 * MS, .burst = 1, .rest_ns = MS};
	struct world *w = world_new(8, false);
	uint32_t honest = world_tenant(w, 1, 100), cheats = world_tenant(w, 1, 100);

	world_session(w, honest, &always_1ms);
	world_session(w, cheats, &cheat);
	world_run(w, w->now + 30 * SECOND);
	g_assert_cmpfloat(world_share(w, honest), >, 45);
	world_free(w);
}

/* ... or for long: only others' work pays it off. */
static void test_debt_is_not_slept_off(void)
{
	const struct habit cheat = {.kernel_ns = 200 * MS, .burst = 1, .rest_ns = 400 * MS};
	struct world *w = world_new(10, false);
	uint32_t honest = world_tenant(w, 1, 100), cheats = world_tenant(w, 1, 100);

	world_session(w, honest, &always_1ms);
	world_session(w, cheats, &cheat);
	world_run(w, w->now + 60 * SECOND);
	/* 200 ms of work, as long a rest, and most of the 200 ms that it owes. */
	g_assert_cmpuint(w->tenant[cheats].all_ns, <, 60 * SECOND * 42 / 100);
	world_free(w);
}

/* Time that nobody else wanted is no debt, however often somebody came for a moment. */
static void test_no_debt_to_nobody(void)
{
	const struct habit visits = {.kernel_ns = 10 * US, .burst = 1, .rest_ns = 2 * MS};
	struct world *w = world_new(12, false);
	uint32_t a = world_tenant(w, 1, 100), b = world_tenant(w, 4, 100);
	uint32_t c = world_tenant(w, 1, 100);

	world_session(w, a, &always_100ms);
	world_session(w, b, &visits);
	world_run(w, w->now + 20 * SECOND);
	w->session[1].rest_end = w->session[1].next = NEVER;
	w->session[1].work = 0;
	world_session(w, c, &always_1ms);
	world_run(w, w->now + SECOND / 2);
	w->tenant[a].busy_ns = w->tenant[b].busy_ns = w->tenant[c].busy_ns = 0;
	world_run(w, w->now + 2 * SECOND);
	g_assert_cmpfloat(world_share(w, a), >, 42);
	g_assert_cmpfloat(world_share(w, a), <, 58);
	world_free(w);
}

/* While a debtor waits the other has long turns; who comes then does not wait for their end. */
static void test_newcomer(void)
{
	struct world *w = world_new(11, false);
	uint32_t a = world_tenant(w, 1, 100), b = world_tenant(w, 1, 100);
	uint32_t c = world_tenant(w, 1, 100), s;
	uint64_t came;

	world_session(w, a, &always_100ms);
	world_session(w, b, &always_10us);
	world_run(w, w->now + SECOND);
	while (!w->session[1].holds || w->session[1].until < w->now + 30 * MS)
		world_run(w, w->now + 100 * US);
	came = w->now;
	s = world_session(w, c, &always_1ms);
	while (!w->session[s].holds)
		world_run(w, w->now + 100 * US);
	g_assert_cmpuint(w->now - came, <, leases_get_config(w->l)->quantum_ns * 3 / 2);
	world_free(w);
}

/* --------------------------------------------------------------------- caps */

static void test_cap(void)
{
	static const uint32_t cap[] = {1, 5, 10, 25, 50, 80, 99};

	for (size_t i = 0; i < G_N_ELEMENTS(cap) * 2; i++) {
		const struct habit *h = i % 2 ? &always_1ms : &always_10us;
		struct world *w = world_new((uint32_t)i, false);
		uint32_t t = world_tenant(w, 1, cap[i / 2]);
		uint64_t least = 10 * SECOND * cap[i / 2] / 100;

		world_session(w, t, h);
		world_run(w, w->now + 10 * SECOND);
		/* A period's burst, and a kernel for each turn's end, which is paid for later. */
		g_assert_cmpuint(w->tenant[t].all_ns, <=, least + cap[i / 2] * MS + 2 * MS);
		g_assert_cmpuint(w->tenant[t].all_ns, >=, least * 9 / 10);
		world_free(w);
	}
}

/* Others have what the cap leaves; and no longer than until it is lifted. */
static void test_cap_and_others(void)
{
	struct world *w = world_new(9, false);
	uint32_t capped = world_tenant(w, 1000, 10), other = world_tenant(w, 1, 100);
	struct lease_event lift = {.kind = LEASE_TENANT, .weight = 1, .cap_percent = 100};

	world_session(w, capped, &always_1ms);
	world_session(w, other, &always_1ms);
	world_run(w, w->now + 20 * SECOND);
	g_assert_cmpuint(w->tenant[capped].all_ns, <=, 2 * SECOND + 20 * MS);
	g_assert_cmpuint(w->tenant[capped].all_ns, >=, 1500 * MS);
	g_assert_cmpuint(w->tenant[other].all_ns, >=, 17 * SECOND);
	lift.tenant = w->tenant[capped].id;
	w->tenant[capped].cap = 100;
	world_event(w, &lift);
	w->tenant[capped].all_ns = 0;
	world_run(w, w->now + 10 * SECOND);
	g_assert_cmpuint(w->tenant[capped].all_ns, >=, 4500 * MS);
	world_free(w);
}

/* ---------------------------------------------------------- random histories */

static struct habit random_habit(GRand *r)
{
	static const uint64_t kernel[] = {10 * US, 100 * US, MS, 10 * MS, 100 * MS};
	struct habit h = {.kernel_ns = kernel[g_rand_int_range(r, 0, 5)]};

	h.spread_ns = h.kernel_ns * (uint64_t)g_rand_int_range(r, 0, 3);
	if (g_rand_boolean(r)) {
		h.burst = (uint32_t)g_rand_int_range(r, 1, 200);
		h.rest_ns = (uint64_t)g_rand_int_range(r, 1, 300000) * US;
	}
	if (g_rand_int_range(r, 0, 4) == 0)
		h.lives_ns = (uint64_t)g_rand_int_range(r, 1, 2000) * MS;
	return h;
}

static void random_change(struct world *w)
{
	struct lease_event e = {.kind = LEASE_TENANT};
	uint32_t i;

	switch (g_rand_int_range(w->rand, 0, 4)) {
	case 0:
		if (w->tenants < WORLD_TENANTS)
			world_tenant(w, (uint32_t)g_rand_int_range(w->rand, 1, 17),
				     g_rand_boolean(w->rand)
					     ? 100
					     : (uint32_t)g_rand_int_range(w->rand, 1, 101));
		break;
	case 1:
		i = (uint32_t)g_rand_int_range(w->rand, 0, (gint32)w->tenants);
		if (w->sessions < WORLD_SESSIONS && w->tenant[i].present) {
			const struct habit h = random_habit(w->rand);

			world_session(w, i, &h);
		}
		break;
	case 2:
		i = (uint32_t)g_rand_int_range(w->rand, 0, (gint32)w->tenants);
		if (!w->tenant[i].present)
			break;
		e.tenant = w->tenant[i].id;
		e.weight = w->tenant[i].weight = (uint32_t)g_rand_int_range(w->rand, 1, 17);
		e.cap_percent = w->tenant[i].cap =
			g_rand_boolean(w->rand) ? 100 : (uint32_t)g_rand_int_range(w->rand, 1, 101);
		world_event(w, &e);
		break;
	default:
		i = (uint32_t)g_rand_int_range(w->rand, 0, (gint32)w->tenants);
		if (!w->tenant[i].present || g_rand_int_range(w->rand, 0, 4))
			break;
		e.kind = LEASE_TENANT_GONE;
		e.tenant = w->tenant[i].id;
		w->tenant[i].present = false;
		for (uint32_t k = 0; k < w->sessions; k++)
			w->session[k].alive = w->session[k].alive && w->session[k].tenant != i;
		world_event(w, &e);
		break;
	}
}

/* What a wait may be: a turn of each other, which may overstay it by a kernel. */
static uint64_t longest_wait(const struct world *w)
{
	const struct leases_config *c = leases_get_config(w->l);
	uint64_t sum = 0;

	for (uint32_t i = 0; i < w->tenants; i++)
		sum += MIN(w->tenant[i].kernel_ns, c->drain_ns) + w->latency_ns;
	return sum + 2 * c->round_ns;
}

static void play_random(uint32_t seed, bool with_changes, uint64_t ns)
{
	struct world *w = world_new(seed, true);
	GError *err = NULL;
	uint64_t end;
	gint64 events;

	for (int i = g_rand_int_range(w->rand, 2, 6); i > 0; i--) {
		uint32_t t = world_tenant(w, (uint32_t)g_rand_int_range(w->rand, 1, 9), 100);
		const struct habit h = random_habit(w->rand);

		world_session(w, t, &h);
	}
	for (end = w->now + ns; w->now < end;) {
		world_run(w, MIN(end, w->now + (uint64_t)g_rand_int_range(w->rand, 1, 300) * MS));
		if (with_changes)
			random_change(w);
	}
	/* Who owes nothing waits for a round at most. */
	for (uint32_t i = 0; i < w->tenants && !with_changes; i++) {
		if (w->tenant[i].waited_ns > longest_wait(w))
			g_error("seed %u: tenant %u waited for %" G_GUINT64_FORMAT " ns", seed, i,
				w->tenant[i].waited_ns);
	}
	/* The same events lead to the same words. */
	events = leases_replay(w->record->str, NULL, NULL, &err);
	g_assert_no_error(err);
	g_assert_cmpint(events, >, 0);
	world_free(w);
}

static void test_random(void)
{
	for (uint32_t seed = 0; seed < 3000; seed++)
		play_random(seed, false, SECOND);
}

static void test_random_changes(void)
{
	for (uint32_t seed = 0; seed < 3000; seed++)
		play_random(1000000 + seed, true, 2 * SECOND);
}

/* ------------------------------------------------------------------- records */

static void refuse(const char *text, const char *words)
{
	GError *err = NULL;

	g_assert_cmpint(leases_replay(text, NULL, NULL, &err), ==, -1);
	g_assert_nonnull(err);
	if (!strstr(err->message, words))
		g_error("\"%s\" lacks \"%s\"", err->message, words);
	g_error_free(err);
}

#define TEXT                                        \
	"leases 1 4000000 100000000 1000000 1000\n" \
	"e 1 tenant 1 1 100\n"                      \
	"e 1 tenant 2 1 100\n"                      \
	"e 2 session 5 1\n"                         \
	"e 3 session 6 2\n"                         \
	"a 5 grant 1 open\n"                        \
	"a 6 wait\n"

static void test_record(void)
{
	GError *err = NULL;

	g_assert_cmpint(leases_replay(TEXT, NULL, NULL, &err), ==, 4);
	g_assert_no_error(err);
	/* Cut off in the midst of a line, or between two: that was a daemon's end. */
	g_assert_cmpint(leases_replay(TEXT "e 4 wan", NULL, NULL, &err), ==, 4);
	g_assert_no_error(err);
	g_assert_cmpint(leases_replay(TEXT "e 4 wants 6\n", NULL, NULL, &err), ==, 5);
	g_assert_no_error(err);
	refuse("", "line 1");
	refuse("leases 2 1 1 1 1\n", "line 1");
	refuse("leases 1 0 1 1 1\n", "line 1");
	refuse(TEXT "e 4 sings 6\n", "line 8");
	refuse(TEXT "e 4 wants\n", "line 8");
	refuse(TEXT "e 4 wants 6 7\n", "line 8");
	refuse(TEXT "a 6 free\n", "line 8");
	refuse(TEXT "e 4 wants 6\na 5 revoke 1 5\n", "line 9");
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/leases/alone", test_alone);
	g_test_add_func("/leases/quiet-neighbour", test_quiet_neighbour);
	g_test_add_func("/leases/free-again", test_free_again);
	g_test_add_func("/leases/hang", test_hang);
	g_test_add_func("/leases/death", test_death);
	g_test_add_func("/leases/nonsense", test_nonsense);
	g_test_add_func("/leases/wrong-serial", test_wrong_serial);
	g_test_add_func("/leases/pairs", test_pairs);
	g_test_add_func("/leases/many", test_many);
	g_test_add_func("/leases/no-credit", test_no_credit);
	g_test_add_func("/leases/debt-stays", test_debt_stays);
	g_test_add_func("/leases/debt-is-not-slept-off", test_debt_is_not_slept_off);
	g_test_add_func("/leases/no-debt-to-nobody", test_no_debt_to_nobody);
	g_test_add_func("/leases/newcomer", test_newcomer);
	g_test_add_func("/leases/cap", test_cap);
	g_test_add_func("/leases/cap-and-others", test_cap_and_others);
	g_test_add_func("/leases/random", test_random);
	g_test_add_func("/leases/random-changes", test_random_changes);
	g_test_add_func("/leases/record", test_record);
	return g_test_run();
}
