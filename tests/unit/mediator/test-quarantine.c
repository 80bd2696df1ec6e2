/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Quarantine against a simulated clock: single cases, and thousands of random
 * histories with fixed seeds that are checked against what is promised.
 */
#include <glib.h>
#include <string.h>

#include "quarantine.h"

#define SECOND 1000000000ull
#define HISTORIES 4000
#define STEPS 300

/* Three faults within a minute cost 10 s, up to 80 s. */
static struct policy *rule(void)
{
	struct policy *p = policy_new("vm1", POLICY_LOW);

	p->faults = 3;
	p->faults_ns = 60 * SECOND;
	p->quarantine_ns = 10 * SECOND;
	p->quarantine_most_ns = 80 * SECOND;
	return p;
}

static uint32_t step(struct quarantine *q, const struct policy *p, uint64_t now,
		     enum quarantine_event_kind kind, uint64_t for_ns)
{
	const struct quarantine_event e = {.kind = kind, .for_ns = for_ns};

	return quarantine_step(q, p, now, &e);
}

static uint32_t fail(struct quarantine *q, const struct policy *p, uint64_t now)
{
	return step(q, p, now, QUARANTINE_FAULT, 0);
}

static uint32_t look(struct quarantine *q, const struct policy *p, uint64_t now)
{
	return step(q, p, now, QUARANTINE_LOOK, 0);
}

static void test_counted(void)
{
	struct quarantine q = {0};
	struct policy *p = rule();

	g_assert_cmpuint(fail(&q, p, 100 * SECOND), ==, 0);
	g_assert_cmpuint(fail(&q, p, 101 * SECOND), ==, 0);
	/* The first two are too old by then. */
	g_assert_cmpuint(fail(&q, p, 161 * SECOND), ==, 0);
	g_assert_cmpuint(fail(&q, p, 162 * SECOND), ==, 0);
	g_assert_false(quarantine_is(&q));
	g_assert_cmpuint(fail(&q, p, 163 * SECOND), ==, QUARANTINE_BEGUN);
	g_assert_cmpuint(quarantine_left(&q, 163 * SECOND), ==, 10 * SECOND);
	g_assert_cmpuint(look(&q, p, 173 * SECOND - 1), ==, 0);
	g_assert_cmpuint(look(&q, p, 173 * SECOND), ==, QUARANTINE_ENDED);
	g_assert_cmpuint(quarantine_timer(&q), ==, 0);
	policy_free(p);
}

/* Begins a quarantine at once; how long it lasts. */
static uint64_t shut(struct quarantine *q, const struct policy *p, uint64_t now)
{
	for (guint i = 0; i < p->faults; i++)
		fail(q, p, now);
	return quarantine_left(q, now);
}

static void test_grows_and_shrinks(void)
{
	static const uint64_t lengths[] = {10, 20, 40, 80, 80, 80};
	struct quarantine q = {0};
	struct policy *p = rule();
	uint64_t now = SECOND;

	for (size_t i = 0; i < G_N_ELEMENTS(lengths); i++) {
		g_assert_cmpuint(shut(&q, p, now), ==, lengths[i] * SECOND);
		now = q.until;
		g_assert_cmpuint(look(&q, p, now), ==, QUARANTINE_ENDED);
	}
	/* 80 s for the first doubling, then 60, which is the least. */
	look(&q, p, now + 80 * SECOND - 1);
	g_assert_cmpuint(quarantine_next(&q, p), ==, 80 * SECOND);
	look(&q, p, now + 80 * SECOND);
	g_assert_cmpuint(quarantine_next(&q, p), ==, 40 * SECOND);
	look(&q, p, now + 140 * SECOND - 1);
	g_assert_cmpuint(quarantine_next(&q, p), ==, 40 * SECOND);
	/* A single fault, and the time begins anew. */
	fail(&q, p, now + 139 * SECOND);
	look(&q, p, now + 140 * SECOND);
	g_assert_cmpuint(quarantine_next(&q, p), ==, 40 * SECOND);
	look(&q, p, now + 3600 * SECOND);
	g_assert_cmpuint(quarantine_next(&q, p), ==, 10 * SECOND);
	g_assert_true(quarantine_is_blank(&q));
	policy_free(p);
}

/* Sessions that ran before may fail while it is shut out. */
static void test_faults_inside(void)
{
	struct quarantine q = {0};
	struct policy *p = rule();

	shut(&q, p, SECOND);
	g_assert_cmpuint(fail(&q, p, 2 * SECOND), ==, 0);
	g_assert_cmpuint(fail(&q, p, 3 * SECOND), ==, 0);
	g_assert_cmpuint(fail(&q, p, 4 * SECOND), ==, QUARANTINE_CHANGED);
	g_assert_cmpuint(q.until, ==, 24 * SECOND);
	policy_free(p);
}

static void test_by_hand(void)
{
	struct quarantine q = {0};
	struct policy *p = rule();

	g_assert_cmpuint(step(&q, p, SECOND, QUARANTINE_PUT, 5 * SECOND), ==, QUARANTINE_BEGUN);
	g_assert_cmpuint(q.until, ==, 6 * SECOND);
	/* Faults do not undo the administrator's word, but are not forgotten. */
	shut(&q, p, 2 * SECOND);
	g_assert_cmpuint(q.until, ==, 6 * SECOND);
	g_assert_cmpuint(look(&q, p, 6 * SECOND), ==, QUARANTINE_ENDED);
	g_assert_cmpuint(shut(&q, p, 7 * SECOND), ==, 20 * SECOND);
	g_assert_cmpuint(step(&q, p, 8 * SECOND, QUARANTINE_PUT, QUARANTINE_OPEN), ==,
			 QUARANTINE_CHANGED);
	g_assert_cmpuint(quarantine_timer(&q), ==, 0);
	g_assert_cmpuint(look(&q, p, QUARANTINE_OPEN - 1), ==, 0);
	g_assert_cmpuint(step(&q, p, 0, QUARANTINE_LIFT, 0), ==, QUARANTINE_ENDED);
	g_assert_true(quarantine_is_blank(&q));
	g_assert_cmpuint(step(&q, p, 0, QUARANTINE_LIFT, 0), ==, 0);
	policy_free(p);
}

static void test_policy_changes(void)
{
	struct quarantine q = {0};
	struct policy *p = rule();

	for (int i = 0; i < 4; i++)
		shut(&q, p, SECOND);
	g_assert_cmpuint(q.until, ==, 81 * SECOND);
	p->quarantine_most_ns = 30 * SECOND;
	g_assert_cmpuint(look(&q, p, 2 * SECOND), ==, QUARANTINE_CHANGED);
	g_assert_cmpuint(q.until, ==, 31 * SECOND);
	p->faults = 0;
	g_assert_cmpuint(look(&q, p, 3 * SECOND), ==, QUARANTINE_ENDED);
	for (int i = 0; i < 2000; i++)
		g_assert_cmpuint(fail(&q, p, 3 * SECOND), ==, 0);
	/* An administrator's word is not the policy's. */
	step(&q, p, 4 * SECOND, QUARANTINE_PUT, 100 * SECOND);
	g_assert_cmpuint(look(&q, p, 5 * SECOND), ==, 0);
	g_assert_true(quarantine_is(&q));
	policy_free(p);
}

static void test_most_faults(void)
{
	struct quarantine q = {0};
	struct policy *p = rule();

	p->faults = QUARANTINE_FAULTS_MAX;
	for (guint i = 1; i < QUARANTINE_FAULTS_MAX; i++)
		g_assert_cmpuint(fail(&q, p, SECOND), ==, 0);
	g_assert_cmpuint(fail(&q, p, SECOND), ==, QUARANTINE_BEGUN);
	policy_free(p);
}

/* ------------------------------------------------------------ random histories */
struct history {
	GRand *rand;
	struct policy *p;
	struct quarantine q;
	uint64_t now;
	GArray *faults;  /* uint64_t: when each was, since the last lift */
	uint64_t before; /* `until` before the step */
	uint32_t level;
};

static uint64_t random_ns(struct history *h, uint64_t most)
{
	return 1 + (uint64_t)(g_rand_double(h->rand) * (double)most);
}

static void random_policy(struct history *h)
{
	h->p->faults = (guint)g_rand_int_range(h->rand, 0, 6);
	h->p->faults_ns = random_ns(h, 100 * SECOND);
	h->p->quarantine_ns = random_ns(h, 20 * SECOND);
	h->p->quarantine_most_ns = h->p->quarantine_ns + random_ns(h, 300 * SECOND);
}

static void check_promises(struct history *h, enum quarantine_event_kind kind, uint32_t news)
{
	const struct quarantine *q = &h->q;
	const bool was = h->before != 0;

	/* What is said is what is. */
	g_assert_false(!was && news & (QUARANTINE_ENDED | QUARANTINE_CHANGED));
	g_assert_cmpint(!!(news & QUARANTINE_BEGUN) + was - !!(news & QUARANTINE_ENDED), ==,
			quarantine_is(q));
	if (!news)
		g_assert_cmpuint(q->until, ==, h->before);
	if (quarantine_is(q))
		g_assert_cmpuint(q->until, >, h->now);
	/* Never longer than the policy's most, nor without so many faults. */
	if (quarantine_is(q) && !q->by_hand) {
		g_assert_cmpuint(q->until - h->now, <=, h->p->quarantine_most_ns);
		g_assert_cmpuint(h->p->faults, >, 0);
	}
	if (kind != QUARANTINE_FAULT && kind != QUARANTINE_PUT)
		g_assert_false(news & QUARANTINE_BEGUN);
	if (kind == QUARANTINE_FAULT && news) {
		g_assert_cmpuint(h->faults->len, >=, h->p->faults);
		g_assert_cmpuint(
			h->now - g_array_index(h->faults, uint64_t, h->faults->len - h->p->faults),
			<, h->p->faults_ns);
	}
	/* Doublings come with quarantines, one at a time, and go with time. */
	g_assert_cmpuint(q->level, <=, h->level + (kind == QUARANTINE_FAULT));
	/* Never so many faults within the time without one. */
	if (kind == QUARANTINE_FAULT && h->p->faults)
		g_assert_cmpuint(q->n, <, h->p->faults);
	if (kind == QUARANTINE_LIFT)
		g_assert_true(quarantine_is_blank(q));
}

/* The next daemon goes on where this one was. */
static void save_and_load(struct history *h)
{
	char *text = quarantine_save(&h->q, "one");
	struct quarantine again;
	GError *err = NULL;

	g_assert_true(quarantine_load(&again, text, strlen(text), "one", h->now, &err));
	g_assert_no_error(err);
	g_assert_cmpuint(again.n, ==, h->q.n);
	/* What is behind the last fault is nobody's business. */
	memcpy(again.fault + again.n, h->q.fault + again.n,
	       sizeof(again.fault) - again.n * sizeof(again.fault[0]));
	g_assert_cmpmem(&again, sizeof(again), &h->q, sizeof(h->q));
	g_free(text);
}

static void random_step(struct history *h)
{
	static const enum quarantine_event_kind kinds[] = {
		QUARANTINE_LOOK,  QUARANTINE_LOOK,  QUARANTINE_LOOK,  QUARANTINE_FAULT,
		QUARANTINE_FAULT, QUARANTINE_FAULT, QUARANTINE_FAULT, QUARANTINE_FAULT,
		QUARANTINE_FAULT, QUARANTINE_FAULT, QUARANTINE_PUT,   QUARANTINE_LIFT};
	const int pick = g_rand_int_range(h->rand, 0, 100);
	const enum quarantine_event_kind kind = kinds[pick < 94 ? pick % 10 : 10 + pick % 2];
	const uint64_t for_ns = pick % 4 ? random_ns(h, 50 * SECOND) : QUARANTINE_OPEN;
	const uint64_t timer = quarantine_timer(&h->q);
	uint32_t news;

	if (g_rand_int_range(h->rand, 0, 40) == 0)
		random_policy(h);
	h->now = timer && pick % 3 == 0
			 ? MAX(timer, h->now)
			 : h->now + random_ns(h, pick % 5 ? 10 * SECOND : 400 * SECOND);
	h->before = h->q.until;
	h->level = h->q.level;
	if (kind == QUARANTINE_FAULT && h->p->faults)
		g_array_append_val(h->faults, h->now);
	/* What the policy changed is seen by a look, and what comes then is the event's. */
	look(&h->q, h->p, h->now);
	h->before = h->q.until;
	news = step(&h->q, h->p, h->now, kind, for_ns);
	check_promises(h, kind, news);
	if (kind == QUARANTINE_LIFT)
		g_array_set_size(h->faults, 0);
	if (pick % 7 == 0)
		save_and_load(h);
}

static void test_histories(void)
{
	for (guint32 seed = 1; seed <= HISTORIES; seed++) {
		struct history h = {.rand = g_rand_new_with_seed(seed),
				    .p = rule(),
				    .now = SECOND,
				    .faults = g_array_new(FALSE, FALSE, sizeof(uint64_t))};

		random_policy(&h);
		for (int i = 0; i < STEPS; i++)
			random_step(&h);
		/* All is forgiven in the end, whatever it was. */
		step(&h.q, h.p, h.now, QUARANTINE_PUT, 1);
		look(&h.q, h.p, h.now + 1000000 * SECOND);
		g_assert_true(quarantine_is_blank(&h.q));
		g_array_free(h.faults, TRUE);
		g_rand_free(h.rand);
		policy_free(h.p);
	}
}

/* Two that hear the same say the same. */
static void test_same(void)
{
	struct policy *p = rule();

	for (guint32 seed = 1; seed <= 500; seed++) {
		GRand *rand = g_rand_new_with_seed(seed);
		struct quarantine a = {0}, b = {0};
		uint64_t now = 0;

		for (int i = 0; i < STEPS; i++) {
			const struct quarantine_event e = {
				.kind = (enum quarantine_event_kind)g_rand_int_range(rand, 1, 5),
				.for_ns = g_rand_int(rand)};

			now += g_rand_int(rand) * 8ull;
			g_assert_cmpuint(quarantine_step(&a, p, now, &e), ==,
					 quarantine_step(&b, p, now, &e));
			g_assert_cmpmem(&a, sizeof(a), &b, sizeof(b));
		}
		g_rand_free(rand);
	}
	policy_free(p);
}

/* ------------------------------------------------------------------------ text */

/* After the host has begun anew what was left is left. */
static void test_another_boot(void)
{
	struct quarantine q = {0}, next;
	struct policy *p = rule();
	char *text;

	shut(&q, p, 5000 * SECOND);
	fail(&q, p, 5001 * SECOND);
	fail(&q, p, 5002 * SECOND);
	text = quarantine_save(&q, "one");
	g_assert_true(quarantine_load(&next, text, strlen(text), "two", 30 * SECOND, NULL));
	g_assert_cmpuint(quarantine_left(&next, 30 * SECOND), ==, 8 * SECOND);
	g_assert_cmpuint(next.fault[0], ==, 29 * SECOND);
	g_assert_cmpuint(fail(&next, p, 31 * SECOND), ==, QUARANTINE_CHANGED);
	/* What is older than the clock. */
	g_assert_true(quarantine_load(&next, text, strlen(text), "two", SECOND / 2, NULL));
	g_assert_cmpuint(next.fault[0], ==, 0);
	g_assert_cmpuint(quarantine_left(&next, SECOND / 2), ==, 8 * SECOND);
	g_free(text);
	policy_free(p);
}

static char *replace(const char *text, const char *key, const char *value)
{
	char *pattern = g_strdup_printf("^%s=.*$", key),
	     *line = g_strdup_printf("%s=%s", key, value);
	GRegex *regex = g_regex_new(pattern, G_REGEX_MULTILINE, 0, NULL);
	char *out = g_regex_replace_literal(regex, text, -1, 0, line, 0, NULL);

	g_regex_unref(regex);
	g_free(pattern);
	g_free(line);
	return out;
}

static void test_nonsense(void)
{
	static const struct {
		const char *key, *value;
	} wrong[] = {{"now", "-1"},
		     {"now", "99999999999999999999"},
		     {"now", "1"},
		     {"now", "5003000000001"}, /* it has not been yet */
		     {"until", "5001000000000"},
		     {"until", "18446744073709551615"}, /* without an administrator */
		     {"until", "17446744073709551615"},
		     {"until", "0"},
		     {"began", "6000000000000"},
		     {"calm", "6000000000000"},
		     {"level", "65"},
		     {"level", "much"},
		     {"by-hand", "perhaps"},
		     {"faults", "5001000000000;x;"},
		     {"faults", "5002000000000;5001000000000;"},
		     {"faults", "5004000000000;"}};
	struct quarantine q = {0}, next;
	struct policy *p = rule();
	char *text;

	shut(&q, p, 5000 * SECOND);
	fail(&q, p, 5002 * SECOND);
	text = quarantine_save(&q, "one");
	for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++) {
		char *bad = replace(text, wrong[i].key, wrong[i].value);
		GError *err = NULL;

		g_assert_false(
			quarantine_load(&next, bad, strlen(bad), "one", 5003 * SECOND, &err));
		g_assert_nonnull(err);
		g_assert_true(quarantine_is_blank(&next));
		g_clear_error(&err);
		g_free(bad);
	}
	/* And cut off anywhere it is refused, or says the same of what counts. */
	for (size_t n = 0; n < strlen(text); n++) {
		if (quarantine_load(&next, text, n, "one", 5003 * SECOND, NULL))
			g_assert_cmpuint(next.until, ==, q.until);
	}
	g_free(text);
	policy_free(p);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/quarantine/counted", test_counted);
	g_test_add_func("/quarantine/grows-and-shrinks", test_grows_and_shrinks);
	g_test_add_func("/quarantine/faults-inside", test_faults_inside);
	g_test_add_func("/quarantine/by-hand", test_by_hand);
	g_test_add_func("/quarantine/policy-changes", test_policy_changes);
	g_test_add_func("/quarantine/most-faults", test_most_faults);
	g_test_add_func("/quarantine/histories", test_histories);
	g_test_add_func("/quarantine/same", test_same);
	g_test_add_func("/quarantine/another-boot", test_another_boot);
	g_test_add_func("/quarantine/nonsense", test_nonsense);
	return g_test_run();
}
