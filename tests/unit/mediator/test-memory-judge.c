/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Who holds more device memory than it may: rules, and thousands of random histories. */
#include <glib.h>

#include "memory_judge.h"

#define MIB ((uint64_t)1 << 20)
#define NO_LIMIT UINT64_MAX
#define CONTEXT (500 * MIB)

static int judge(struct memory_record *r, uint64_t limit, uint64_t a, uint64_t b)
{
	const struct memory_session s[] = {{.held = a, .claimed = 10 * MIB, .beside = CONTEXT},
					   {.held = b, .claimed = 10 * MIB, .beside = CONTEXT}};

	return memory_judge(r, s, 2, limit, false);
}

static void test_within(void)
{
	struct memory_record r = {0};

	for (int i = 0; i < 10; i++) {
		g_assert_cmpint(judge(&r, 100 * MIB, 0, 0), ==, -1);
		g_assert_cmpint(judge(&r, 100 * MIB, 600 * MIB, 0), ==, -1);
		g_assert_cmpint(judge(&r, 100 * MIB, 550 * MIB, 550 * MIB), ==, -1);
		g_assert_cmpint(judge(&r, NO_LIMIT, UINT64_MAX, UINT64_MAX), ==, -1);
		g_assert_cmpint(memory_judge(&r, NULL, 0, 0, false), ==, -1);
	}
}

/* Not at the first look, as memory may be on its way back; at the second it is certain. */
static void test_beyond(void)
{
	struct memory_record r = {0};

	g_assert_cmpint(judge(&r, 100 * MIB, 550 * MIB, 551 * MIB), ==, -1);
	g_assert_cmpint(judge(&r, 100 * MIB, 550 * MIB, 551 * MIB), ==, 1);
	g_assert_cmpint(judge(&r, 100 * MIB, 551 * MIB, 550 * MIB), ==, -1);
	g_assert_cmpint(judge(&r, 100 * MIB, 500 * MIB, 550 * MIB), ==, -1);
	g_assert_cmpint(judge(&r, 100 * MIB, 551 * MIB, 550 * MIB), ==, -1);
	g_assert_cmpint(judge(&r, 100 * MIB, 551 * MIB, 550 * MIB), ==, 0);
	/* One without a context has no share of it. */
	g_assert_cmpint(judge(&r, 100 * MIB, 0, 601 * MIB), ==, -1);
	g_assert_cmpint(judge(&r, 100 * MIB, 0, 601 * MIB), ==, 1);
}

/* Not who has most, but who has more than it is charged for. */
static void test_who_hides(void)
{
	const struct memory_session s[] = {
		{.held = 900 * MIB, .claimed = 400 * MIB, .beside = CONTEXT},
		{.held = 0, .claimed = UINT64_MAX, .beside = CONTEXT},
		{.held = 700 * MIB, .claimed = 10 * MIB, .beside = CONTEXT}};
	struct memory_record r = {0};

	memory_judge(&r, s, 3, 500 * MIB, false);
	g_assert_cmpint(memory_judge(&r, s, 3, 500 * MIB, false), ==, 2);
}

/* One that needs a context for itself, too, may have that and is not taken for a thief. */
static void test_contexts(void)
{
	struct memory_session s[] = {
		{.held = 1040 * MIB, .claimed = 10 * MIB, .beside = CONTEXT * memory_contexts(2)},
		{.held = 540 * MIB, .claimed = 10 * MIB, .beside = CONTEXT * memory_contexts(1)}};
	struct memory_record r = {0};

	for (int i = 0; i < 10; i++)
		g_assert_cmpint(memory_judge(&r, s, 2, 80 * MIB, false), ==, -1);
	memory_judge(&r, s, 2, 79 * MIB, true);
	g_assert_cmpint(memory_judge(&r, s, 2, 79 * MIB, true), ==, 0);
	/* Who hides something is the other one then. */
	s[1].held = 550 * MIB;
	memory_judge(&r, s, 2, 80 * MIB, true);
	g_assert_cmpint(memory_judge(&r, s, 2, 80 * MIB, true), ==, 1);
}

static void test_told(void)
{
	g_assert_cmpuint(memory_contexts(0), ==, 1);
	g_assert_cmpuint(memory_contexts(1), ==, 1);
	g_assert_cmpuint(memory_contexts(2), ==, 2);
	g_assert_cmpuint(memory_contexts(3), ==, 2);
	g_assert_cmpuint(memory_contexts(UINT64_MAX), ==, 2);
}

static void test_lowered(void)
{
	struct memory_record r = {0};

	g_assert_cmpint(judge(&r, 300 * MIB, 700 * MIB, 0), ==, -1);
	/* What is there may stay ... */
	for (int i = 0; i < 10; i++)
		g_assert_cmpint(judge(&r, 100 * MIB, 700 * MIB, 0), ==, -1);
	/* ... and not grow beyond what it might before ... */
	judge(&r, 100 * MIB, 801 * MIB, 0);
	g_assert_cmpint(judge(&r, 100 * MIB, 801 * MIB, 0), ==, 0);
	/* ... and once it fits, the new limit holds. */
	g_assert_cmpint(judge(&r, 100 * MIB, 600 * MIB, 0), ==, -1);
	judge(&r, 100 * MIB, 700 * MIB, 0);
	g_assert_cmpint(judge(&r, 100 * MIB, 700 * MIB, 0), ==, 0);
}

static void test_lowered_evicts(void)
{
	const struct memory_session s = {.held = 700 * MIB, .beside = CONTEXT};
	struct memory_record r = {0};

	g_assert_cmpint(memory_judge(&r, &s, 1, 300 * MIB, true), ==, -1);
	memory_judge(&r, &s, 1, 100 * MIB, true);
	g_assert_cmpint(memory_judge(&r, &s, 1, 100 * MIB, true), ==, 0);
}

/* Whatever comes: who is within is never judged, who is beyond is within two rounds. */
static void one_history(guint32 seed)
{
	GRand *g = g_rand_new_with_seed(seed);
	struct memory_record r = {0};
	guint over = 0;

	for (int i = 0; i < 200; i++) {
		struct memory_session s[6];
		const guint n = (guint)g_rand_int_range(g, 0, 7);
		const uint64_t limit = (uint64_t)g_rand_int_range(g, 0, 1000) * MIB;
		uint64_t held = 0, allowed = limit;
		int gone;

		for (guint k = 0; k < n; k++) {
			s[k] = (struct memory_session){
				.held = (uint64_t)g_rand_int_range(g, 0, 800) * MIB,
				.claimed = (uint64_t)g_rand_int(g) << 20,
				.beside = CONTEXT * (uint64_t)g_rand_int_range(g, 0, 3)};
			held += s[k].held;
			allowed += s[k].held ? s[k].beside : 0;
		}
		gone = memory_judge(&r, s, n, limit, true);
		over = held > allowed ? over + 1 : 0;
		if (held <= allowed)
			g_assert_cmpint(gone, ==, -1);
		if (gone >= 0) {
			g_assert_cmpint(gone, <, (int)n);
			g_assert_cmpuint(s[gone].held, >, 0);
			over = 0;
		}
		g_assert_cmpuint(over, <, MEMORY_STRIKES);
	}
	g_rand_free(g);
}

static void test_histories(void)
{
	for (guint32 seed = 1; seed <= 3000; seed++)
		one_history(seed);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/memory-judge/within", test_within);
	g_test_add_func("/memory-judge/beyond", test_beyond);
	g_test_add_func("/memory-judge/who-hides", test_who_hides);
	g_test_add_func("/memory-judge/contexts", test_contexts);
	g_test_add_func("/memory-judge/told", test_told);
	g_test_add_func("/memory-judge/lowered", test_lowered);
	g_test_add_func("/memory-judge/lowered-evicts", test_lowered_evicts);
	g_test_add_func("/memory-judge/histories", test_histories);
	return g_test_run();
}
