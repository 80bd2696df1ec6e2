/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Buckets against a simulated clock: thousands of histories with fixed seeds,
 * several users of one word, and the bound checked over every span of each.
 */
#include <glib.h>
#include <string.h>

#include "bucket.h"

#define SECOND 1000000000ull

__extension__ typedef unsigned __int128 wide;

static struct bucket_rate rate_of(uint64_t rate, uint64_t burst)
{
	return bucket_rate(&(struct policy_rate){.rate = rate, .burst = burst});
}

static void test_plain(void)
{
	const struct bucket_rate r = rate_of(10, 3);
	uint64_t due = 0, now = 50 * SECOND;

	for (int i = 0; i < 3; i++)
		g_assert_cmpuint(bucket_take(&due, &r, now, 1), ==, 0);
	g_assert_cmpuint(bucket_take(&due, &r, now, 1), ==, SECOND / 10);
	g_assert_cmpuint(bucket_wait(&due, &r, now, 2), ==, 2 * SECOND / 10);
	now += SECOND / 10;
	g_assert_cmpuint(bucket_take(&due, &r, now, 1), ==, 0);
	g_assert_cmpuint(bucket_take(&due, &r, now, 1), ==, SECOND / 10);
}

static void test_no_limit(void)
{
	const struct bucket_rate r = rate_of(0, 0);
	uint64_t due = 7;

	for (int i = 0; i < 1000; i++)
		g_assert_cmpuint(bucket_take(&due, &r, 1, UINT64_MAX), ==, 0);
	bucket_spend(&due, &r, 1, UINT64_MAX);
	g_assert_cmpuint(bucket_wait(&due, &r, 1, UINT64_MAX), ==, 0);
	g_assert_cmpuint(due, ==, 7);
}

/* A time of nothing, however long, earns one burst: not less and not more. */
static void test_idle(void)
{
	static const uint64_t idle[] = {10 * SECOND, 86400 * SECOND, 1ull << 62};
	const struct bucket_rate r = rate_of(100, 1000);

	for (size_t i = 0; i < G_N_ELEMENTS(idle); i++) {
		uint64_t due = 0, now = SECOND;

		while (!bucket_take(&due, &r, now, 1))
			;
		now += idle[i];
		for (int k = 0; k < 1000; k++)
			g_assert_cmpuint(bucket_take(&due, &r, now, 1), ==, 0);
		g_assert_cmpuint(bucket_take(&due, &r, now, 1), >, 0);
	}
}

/* More at once than it holds: passes from a full bucket alone, and is paid for after. */
static void test_oversize(void)
{
	const struct bucket_rate r = rate_of(1000, 10);
	uint64_t due = 0, now = 5 * SECOND;

	g_assert_cmpuint(bucket_take(&due, &r, now, 1), ==, 0);
	g_assert_cmpuint(bucket_take(&due, &r, now, 5000), ==, SECOND / 1000);
	now += SECOND / 1000;
	g_assert_cmpuint(bucket_take(&due, &r, now, 5000), ==, 0);
	g_assert_cmpuint(bucket_take(&due, &r, now, 1), ==, 5 * SECOND - 9 * SECOND / 1000);
}

static void test_spend(void)
{
	const struct bucket_rate r = rate_of(1000, 10);
	uint64_t due = 0, now = 5 * SECOND;

	bucket_spend(&due, &r, now, 2000);
	g_assert_cmpuint(bucket_wait(&due, &r, now, 0), ==, 2 * SECOND - SECOND / 100);
	g_assert_cmpuint(bucket_take(&due, &r, now, 1), >, 0);
	now += 2 * SECOND;
	g_assert_cmpuint(bucket_take(&due, &r, now, 10), ==, 0);
	/* Nobody's debt is longer than the horizon. */
	bucket_spend(&due, &r, now, UINT64_MAX);
	bucket_spend(&due, &r, now, UINT64_MAX);
	g_assert_cmpuint(bucket_wait(&due, &r, now, 1), >, BUCKET_HORIZON_NS / 2);
	g_assert_cmpuint(bucket_wait(&due, &r, now, 1), <=, BUCKET_HORIZON_NS + SECOND);
}

/* Whatever a peer writes into the word, the wait is bounded and so is what passes. */
static void test_garbage(void)
{
	const struct bucket_rate r = rate_of(1000, 10);
	static const uint64_t words[] = {0, 1, UINT64_MAX, UINT64_MAX - 1, 1ull << 63, 1ull << 40};

	for (size_t i = 0; i < G_N_ELEMENTS(words); i++) {
		const uint64_t now = 100 * SECOND;
		uint64_t due = words[i];
		uint64_t wait = bucket_take(&due, &r, now, 1);

		g_assert_cmpuint(wait, <=, BUCKET_HORIZON_NS + SECOND);
		if (wait && wait < SECOND)
			g_assert_cmpuint(bucket_take(&due, &r, now + wait, 1), ==, 0);
	}
}

static void test_extremes(void)
{
	static const uint64_t some[] = {1, 2, 999, 1ull << 32, 1ull << 63, UINT64_MAX};

	for (size_t a = 0; a < G_N_ELEMENTS(some); a++) {
		for (size_t b = 0; b < G_N_ELEMENTS(some); b++) {
			for (size_t c = 0; c < G_N_ELEMENTS(some); c++) {
				const struct bucket_rate r = rate_of(some[a], some[b]);
				uint64_t due = 0;

				/* From a full bucket anything passes, at any time. */
				g_assert_cmpuint(bucket_take(&due, &r, some[c], some[b]), ==, 0);
				bucket_take(&due, &r, some[c], some[c]);
				bucket_spend(&due, &r, UINT64_MAX, some[c]);
				bucket_wait(&due, &r, 0, some[c]);
			}
		}
	}
}

/* -------------------------------------------------------------- histories */
#define STEPS 160

struct taking {
	uint64_t at;
	uint64_t units;
};

/* Some magnitude, then some value of it. */
static uint64_t any(GRand *g, unsigned int bits)
{
	const uint64_t v = (uint64_t)g_rand_int(g) << 32 | g_rand_int(g);

	return v >> (63 - (unsigned int)g_rand_int_range(g, 0, (gint32)bits));
}

/* Over each span: no more than its time is worth, the burst, or the one taking beyond it. */
static void check_spans(const struct taking *t, unsigned int n, uint64_t rate, uint64_t burst)
{
	for (unsigned int i = 0; i < n; i++) {
		wide units = 0;
		uint64_t largest = MAX(burst, 1);

		for (unsigned int k = i; k < n; k++) {
			const wide earned = (wide)(t[k].at - t[i].at) * rate / SECOND + 1;

			units += t[k].units;
			largest = MAX(largest, t[k].units);
			g_assert_true(units <= earned + largest);
		}
	}
}

static void one_history(guint32 seed)
{
	GRand *g = g_rand_new_with_seed(seed);
	const uint64_t rate = 1 + any(g, 40);
	/* Bursts of years are saturated, see test_extremes(). */
	const uint64_t burst = any(g, 40) % (rate * 1000);
	const struct bucket_rate r = rate_of(rate, burst);
	struct taking taken[STEPS];
	uint64_t due = any(g, 20), now = any(g, 50);
	unsigned int n = 0;

	for (unsigned int i = 0; i < STEPS; i++) {
		const uint64_t units =
			g_rand_boolean(g) ? 1 + any(g, 8) : 1 + any(g, 44) % (MAX(burst, 1) + 2);
		uint64_t wait = bucket_take(&due, &r, now, units);

		/* It tells how long exactly: then it passes, and a moment before it does not. */
		if (wait && g_rand_boolean(g)) {
			g_assert_cmpuint(bucket_take(&due, &r, now + wait - 1, units), >, 0);
			now += wait;
			wait = bucket_take(&due, &r, now, units);
			g_assert_cmpuint(wait, ==, 0);
		}
		if (!wait)
			taken[n++] = (struct taking){now, units};
		if (g_rand_int_range(g, 0, 3) == 0)
			now += any(g, 36);
	}
	check_spans(taken, n, rate, burst);
	g_rand_free(g);
}

static void test_histories(void)
{
	for (guint32 seed = 1; seed <= 4000; seed++)
		one_history(seed);
}

/* The same inputs give the same outputs. */
static void test_repeatable(void)
{
	const struct bucket_rate r = rate_of(12345, 678);
	uint64_t a = 0, b = 0;
	GRand *g = g_rand_new_with_seed(9);

	for (uint64_t now = SECOND, i = 0; i < 20000; i++, now += any(g, 24)) {
		const uint64_t units = any(g, 9);

		g_assert_cmpuint(bucket_take(&a, &r, now, units), ==,
				 bucket_take(&b, &r, now, units));
	}
	g_assert_cmpuint(a, ==, b);
	g_rand_free(g);
}

/* A clock that goes back lets nothing through that the time before did not earn. */
static void test_clock_jumps(void)
{
	const struct bucket_rate r = rate_of(1000, 50);

	for (guint32 seed = 1; seed <= 500; seed++) {
		GRand *g = g_rand_new_with_seed(seed);
		uint64_t due = 0, now = 1000 * SECOND, first = now, last = now, units = 0;

		for (int i = 0; i < 300; i++) {
			if (!bucket_take(&due, &r, now, 1))
				units++;
			now += any(g, 26);
			if (g_rand_int_range(g, 0, 8) == 0)
				now -= MIN(any(g, 30), now - first);
			last = MAX(last, now);
		}
		g_assert_cmpuint(units, <=, (last - first) / (SECOND / 1000) + 51);
		g_rand_free(g);
	}
}

/* ------------------------------------------------------- users at the same time */
#define USERS 4

static struct crowd {
	struct bucket_rate r;
	uint64_t due, now, end;
	uint64_t units[USERS];
} crowd;

static gpointer one_user(gpointer number)
{
	const unsigned int me = GPOINTER_TO_UINT(number);
	uint64_t now;

	do {
		now = __atomic_add_fetch(&crowd.now, 250, __ATOMIC_SEQ_CST);
		if (!bucket_take(&crowd.due, &crowd.r, now, 1 + me))
			crowd.units[me] += 1 + me;
	} while (now < crowd.end);
	return NULL;
}

static void test_crowd(void)
{
	GThread *thread[USERS];
	uint64_t units = 0;

	crowd = (struct crowd){
		.r = rate_of(400000, 1000), .now = SECOND, .end = SECOND + SECOND / 20};
	for (guint i = 0; i < USERS; i++)
		thread[i] = g_thread_new("user", one_user, GUINT_TO_POINTER(i));
	for (guint i = 0; i < USERS; i++) {
		g_thread_join(thread[i]);
		units += crowd.units[i];
	}
	/* The last steps of the clock are a little beyond the end. */
	g_assert_cmpuint(units, <=, 400000 / 20 + 1000 + USERS * USERS);
	g_assert_cmpuint(units, >, 400000 / 20);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/bucket/plain", test_plain);
	g_test_add_func("/bucket/no-limit", test_no_limit);
	g_test_add_func("/bucket/idle", test_idle);
	g_test_add_func("/bucket/oversize", test_oversize);
	g_test_add_func("/bucket/spend", test_spend);
	g_test_add_func("/bucket/garbage", test_garbage);
	g_test_add_func("/bucket/extremes", test_extremes);
	g_test_add_func("/bucket/histories", test_histories);
	g_test_add_func("/bucket/repeatable", test_repeatable);
	g_test_add_func("/bucket/clock-jumps", test_clock_jumps);
	g_test_add_func("/bucket/crowd", test_crowd);
	return g_test_run();
}
