/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How long a worker watches the ring, by the kinds of guests that there are. */
#include <glib.h>

#include "patience.h"

#define USUAL 50000u

/* A guest whose next request comes `gap` after an answer; false: we slept, and it rang. */
static bool request(struct patience *p, uint64_t gap, uint64_t *watched)
{
	uint64_t ns = patience_begin(p, USUAL);
	bool came = gap < ns;

	*watched += came ? gap : ns;
	patience_end(p, came, gap);
	if (!came)
		patience_rung(p);
	return came;
}

/* Held up by its doorbell for 1 ms, quick else: one doorbell is all it rings. */
static void test_held_up(void)
{
	struct patience p = {0};
	uint64_t watched = 0;
	unsigned int rung = 0;
	bool last = false;

	for (int i = 0; i < 1000; i++) {
		last = request(&p, last ? 2000 : 1000000, &watched);
		rung += !last;
	}
	g_assert_cmpuint(rung, ==, 1);
	/* ... and after a pause it is helped again at once. */
	for (int i = 0; i < 20; i++) {
		g_assert_false(request(&p, UINT64_MAX, &watched));
		g_assert_true(request(&p, 1000000, &watched));
		for (int k = 0; k < 10; k++)
			g_assert_true(request(&p, 2000, &watched));
	}
}

/* A hiccup of a guest that has just been let go on is no slowness. */
static void test_hiccup(void)
{
	struct patience p = {0};
	uint64_t watched = 0;

	g_assert_false(request(&p, 1000000, &watched));
	g_assert_true(request(&p, 1000000, &watched));
	g_assert_true(request(&p, 2000, &watched));
	g_assert_true(request(&p, 2 * USUAL, &watched));
	g_assert_true(request(&p, 2 * USUAL, &watched));
	g_assert_true(request(&p, 2000, &watched));
	g_assert_false(p.trying);
	g_assert_cmpuint(p.missed, ==, 0);
	g_assert_false(request(&p, 2 * USUAL, &watched));
	/* ... but one that is always like that is slow. */
	for (unsigned int i = 0; i < PATIENCE_SLOW; i++)
		g_assert_true(request(&p, 2 * USUAL, &watched));
	g_assert_false(request(&p, 2 * USUAL, &watched));
	g_assert_cmpuint(p.missed, ==, 1);
}

/* Slow by itself, at several speeds: what is watched in vain stays next to nothing. */
static void test_slow(void)
{
	static const uint64_t gap[] = {USUAL + 1, 1000000, 20000000, 1000000000};

	for (size_t g = 0; g < G_N_ELEMENTS(gap); g++) {
		struct patience p = {0};
		uint64_t watched = 0;

		for (int i = 0; i < 100000; i++)
			request(&p, gap[g], &watched);
		g_assert_cmpuint(watched / 100000, <, 2 * USUAL);
	}
}

/* A spell of slowness costs no more than so many doorbells afterwards. */
static void test_forgives(void)
{
	struct patience p = {0};
	uint64_t watched = 0;
	unsigned int rung = 0;
	bool last = false;

	for (int i = 0; i < 100000; i++)
		request(&p, 1000000000, &watched);
	for (int i = 0; i < 10000; i++) {
		last = request(&p, last ? 2000 : 1000000, &watched);
		rung += !last;
	}
	g_assert_true(last);
	g_assert_cmpuint(rung, <=, PATIENCE_SKIP_MAX + 1);
}

static void test_limits(void)
{
	struct patience p = {0};

	g_assert_cmpuint(patience_begin(&p, USUAL), ==, USUAL);
	patience_end(&p, false, USUAL);
	patience_rung(&p);
	g_assert_cmpuint(patience_begin(&p, USUAL), ==, (uint64_t)USUAL * PATIENCE_TIMES);
	p = (struct patience){.rung = true};
	g_assert_cmpuint(patience_begin(&p, 1000000), ==, PATIENCE_MAX_NS);
	patience_end(&p, true, 1);
	g_assert_cmpuint(patience_begin(&p, 1000000), ==, PATIENCE_MAX_NS);
	patience_end(&p, true, 1);
	g_assert_cmpuint(patience_begin(&p, 1000000), ==, 1000000);
	p = (struct patience){.rung = true};
	g_assert_cmpuint(patience_begin(&p, 2 * PATIENCE_MAX_NS), ==, 2 * PATIENCE_MAX_NS);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/patience/held-up", test_held_up);
	g_test_add_func("/patience/hiccup", test_hiccup);
	g_test_add_func("/patience/slow", test_slow);
	g_test_add_func("/patience/forgives", test_forgives);
	g_test_add_func("/patience/limits", test_limits);
	return g_test_run();
}
