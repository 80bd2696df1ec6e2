/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which GPU a session goes to: examples, and what holds whatever is there. */
#include <glib.h>
#include <string.h>

#include "policy.h"

static struct policy *make(const char *lines)
{
	char *text = g_strdup_printf("[tenant]\nusers=1\n[allowed]\n%s", lines);
	GError *err = NULL;
	struct policy *p = policy_parse("vm1", text, strlen(text), &err);

	g_assert_no_error(err);
	g_free(text);
	return p;
}

/* The number of the GPU, or -1. */
static int place(const struct policy *p, const struct policy_gpu *gpus, guint n)
{
	const struct policy_gpu *g = policy_place(p, gpus, n);

	return g ? (int)g->number : -1;
}

static void test_examples(void)
{
	const struct policy_gpu idle[] = {{4, 0, 0}, {2, 0, 0}}, others[] = {{4, 0, 3}, {2, 0, 2}};
	const struct policy_gpu mine[] = {{4, 2, 9}, {2, 1, 1}}, even[] = {{4, 1, 9}, {2, 1, 1}};
	struct policy *pack = make("placement=pack\n"), *spread = make("placement=spread\n");
	struct policy *fixed = make("gpus=2\n"), *none = make("gpus=7;8\n");

	g_assert_cmpint(place(pack, idle, 2), ==, 4);
	g_assert_cmpint(place(spread, idle, 2), ==, 4);
	g_assert_cmpint(place(pack, others, 2), ==, 2);
	g_assert_cmpint(place(spread, others, 2), ==, 2);
	g_assert_cmpint(place(pack, mine, 2), ==, 4);
	g_assert_cmpint(place(spread, mine, 2), ==, 2);
	g_assert_cmpint(place(pack, even, 2), ==, 2);
	g_assert_cmpint(place(fixed, idle, 2), ==, 2);
	g_assert_cmpint(place(none, idle, 2), ==, -1);
	g_assert_cmpint(place(pack, idle, 0), ==, -1);
	policy_free(pack);
	policy_free(spread);
	policy_free(fixed);
	policy_free(none);
}

/* Sessions come and go: who packs uses one GPU, who spreads has them even, nobody strays. */
static void test_histories(void)
{
	GRand *rand = g_rand_new_with_seed(20261127);
	struct policy *pack = make("placement=pack\n"), *spread = make("placement=spread\n");
	struct policy *two = make("placement=spread\ngpus=1;3\n");

	for (int round = 0; round < 500; round++) {
		struct policy_gpu of_pack[4], of_spread[4], of_two[4];

		for (guint i = 0; i < 4; i++)
			of_pack[i] = of_spread[i] = of_two[i] = (struct policy_gpu){.number = i};
		for (int i = 0; i < 40; i++) {
			struct policy_gpu *a = (struct policy_gpu *)policy_place(pack, of_pack, 4);
			struct policy_gpu *b =
				(struct policy_gpu *)policy_place(spread, of_spread, 4);
			struct policy_gpu *c = (struct policy_gpu *)policy_place(two, of_two, 4);
			guint stranger = (guint)g_rand_int_range(rand, 0, 4);

			a->own++, a->all++;
			b->own++, b->all++;
			c->own++, c->all++;
			of_pack[stranger].all++, of_spread[stranger].all++, of_two[stranger].all++;
		}
		g_assert_cmpuint(of_pack[0].own + of_pack[1].own + of_pack[2].own + of_pack[3].own,
				 ==, 40);
		for (guint i = 0; i < 4; i++) {
			g_assert_true(of_pack[i].own == 0 || of_pack[i].own == 40);
			g_assert_cmpuint(of_spread[i].own, ==, 10);
			g_assert_cmpuint(of_two[i].own, ==, i % 2 ? 20 : 0);
		}
	}
	policy_free(pack);
	policy_free(spread);
	policy_free(two);
	g_rand_free(rand);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/policy-place/examples", test_examples);
	g_test_add_func("/policy-place/histories", test_histories);
	return g_test_run();
}
