/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One key of a policy in force gets another value. */
#include <string.h>

#include "policy.h"

static struct policy *make(void)
{
	static const char text[] = "[tenant]\nlevel=low\nsocket=/run/vm1.sock\nusers=1001;1002\n"
				   "[allowed]\ngpus=1;2\n[limits]\ncalls-per-second=100\n"
				   "bytes-per-second=none\n";
	GError *err = NULL;
	struct policy *p = policy_parse("vm1", text, strlen(text), &err);

	g_assert_no_error(err);
	return p;
}

static void test_changes(void)
{
	struct policy *p = make(), *c;
	GError *err = NULL;

	c = policy_change(p, "weight", "77", &err);
	g_assert_no_error(err);
	g_assert_cmpuint(c->weight, ==, 77);
	g_assert_cmpuint(p->weight, !=, 77);
	g_assert_true(policy_same(p, p));
	g_assert_false(policy_same(p, c));
	/* All else is as it was, and the copy's own. */
	g_assert_cmpstr(c->name, ==, "vm1");
	g_assert_cmpstr(c->socket, ==, "/run/vm1.sock");
	g_assert_cmpuint(c->uids->len, ==, 2);
	g_assert_cmpuint(g_array_index(c->uids, uid_t, 1), ==, 1002);
	g_assert_cmpuint(c->calls.rate, ==, 100);
	policy_free(p);
	p = policy_change(c, "limits.memory", "25%", &err);
	g_assert_no_error(err);
	g_assert_cmpuint(p->memory_percent, ==, 25);
	g_assert_cmpuint(p->weight, ==, 77);
	policy_free(c);
	c = policy_change(p, "gpus", "any", &err);
	g_assert_no_error(err);
	g_assert_cmpuint(c->gpus->len, ==, 0);
	g_assert_cmpuint(p->gpus->len, ==, 2);
	policy_free(c);
	policy_free(p);
}

static void refuse(const struct policy *p, const char *key, const char *value, const char *words)
{
	GError *err = NULL;

	struct policy *c = policy_change(p, key, value, &err);

	if (c)
		g_error("%s=%s was taken", key, value);
	g_assert_nonnull(err);
	g_assert_nonnull(strstr(err->message, words));
	g_clear_error(&err);
}

static void test_refusals(void)
{
	struct policy *p = make();

	refuse(p, "weight", "0", "from 1 to 10000");
	refuse(p, "weight", "", "from 1 to 10000");
	refuse(p, "wieght", "1", "no key \"wieght\"");
	refuse(p, "faults.weight", "1", "no key");
	refuse(p, "limits", "1", "no key");
	refuse(p, "socket", "/run/other.sock", "only be changed in its file");
	refuse(p, "tenant.level", "system", "only be changed in its file");
	/* Each by itself is right, together they are not. */
	refuse(p, "quarantine", "2h", "quarantine-most");
	refuse(p, "bytes-burst", "1M", "bytes-per-second");
	policy_free(p);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/policy-change/changes", test_changes);
	g_test_add_func("/policy-change/refusals", test_refusals);
	return g_test_run();
}
