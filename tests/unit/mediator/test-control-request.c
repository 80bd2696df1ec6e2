/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Requests at the control socket: what is understood, and what is not. */
#include <string.h>

#include "audit.h"
#include "control_request.h"

static void accept(struct control_request *r, const char *line)
{
	char *why = control_request_parse(r, line, strlen(line));

	g_assert_cmpstr(why, ==, NULL);
}

static void refuse(const char *line, const char *words)
{
	struct control_request r;
	char *why = control_request_parse(&r, line, strlen(line));

	g_assert_nonnull(why);
	if (!strstr(why, words))
		g_error("%s: \"%s\" lacks \"%s\"", line, why, words);
	g_free(why);
	control_request_clear(&r);
}

static void test_good(void)
{
	struct control_request r;

	accept(&r, "{\"verb\":\"status\"}");
	g_assert_cmpint(r.verb, ==, CONTROL_STATUS);
	g_assert_null(r.id);
	control_request_clear(&r);
	accept(&r, "{\"id\":7,\"verb\":\"sessions\",\"tenant\":\"vm1\"}");
	g_assert_cmpstr(r.id, ==, "7");
	g_assert_cmpstr(r.tenant, ==, "vm1");
	control_request_clear(&r);
	accept(&r, "{\"id\":\"a\\n\\\"b\",\"verb\":\"set\",\"tenant\":\"vm1\",\"key\":\"weight\","
		   "\"value\":\"[{\\\"\"}");
	g_assert_cmpstr(r.id, ==, "\"a\\n\\\"b\"");
	g_assert_cmpstr(r.value, ==, "[{\"");
	control_request_clear(&r);
	accept(&r, "{\"verb\":\"audit\",\"kind\":\"eviction\",\"since\":\"2026-11-27T08:15:02.5Z\","
		   "\"after\":9,\"most\":10}");
	g_assert_cmpint(r.kind, ==, AUDIT_EVICTION);
	g_assert_cmpint(r.since % G_USEC_PER_SEC, ==, 500000);
	g_assert_cmpuint(r.after, ==, 9);
	g_assert_cmpuint(r.most, ==, 10);
	control_request_clear(&r);
	accept(&r, "{\"verb\":\"evict\",\"session\":12}");
	g_assert_cmpuint(r.session, ==, 12);
	control_request_clear(&r);
	accept(&r, "{\"verb\":\"drain\",\"off\":true}");
	g_assert_true(r.off);
	control_request_clear(&r);
	accept(&r, "{\"verb\":\"quarantine\",\"tenant\":\"vm1\",\"for\":\"10m\"}");
	g_assert_cmpstr(r.time, ==, "10m");
	control_request_clear(&r);
	accept(&r, "{\"verb\":\"quarantine\",\"tenant\":\"vm1\",\"off\":true}");
	g_assert_null(r.time);
	control_request_clear(&r);
}

static void test_bad(void)
{
	refuse("", "JSON object");
	refuse("status", "JSON object");
	refuse("[\"verb\"]", "JSON object");
	refuse("{\"verb\":\"status\"} x", "JSON object");
	refuse("{\"verb\":\"status\",\"x\":[1]}", "nothing nested");
	refuse("{\"verb\":\"status\",\"x\":{}}", "nothing nested");
	refuse("{\"verb\":\"status\"/* */}", "nothing nested");
	refuse("{\"verb\":\"\xff\"}", "JSON object");
	refuse("{\"verb\":\"tenants\",\"tenant\":\"5\\uDDO[\"}", "in UTF-8");
	refuse("{}", "needs a \"verb\"");
	refuse("{\"verb\":7}", "needs a \"verb\"");
	refuse("{\"verb\":\"sudo\"}", "no such verb");
	refuse("{\"verb\":\"status\",\"tenant\":\"vm1\"}", "no such member");
	refuse("{\"verb\":\"status\",\"colour\":\"red\"}", "no such member");
	refuse("{\"verb\":\"sessions\",\"tenant\":7}", "must be a text");
	refuse("{\"verb\":\"sessions\",\"tenant\":null}", "must be a text");
	refuse("{\"verb\":\"set\",\"tenant\":\"vm1\",\"key\":\"weight\"}", "needs \"value\"");
	refuse("{\"verb\":\"evict\"}", "either");
	refuse("{\"verb\":\"evict\",\"tenant\":\"a\",\"session\":1}", "either");
	refuse("{\"verb\":\"evict\",\"session\":-1}", "whole number");
	refuse("{\"verb\":\"evict\",\"session\":1.5}", "whole number");
	refuse("{\"verb\":\"quarantine\",\"for\":\"10m\"}", "needs \"tenant\"");
	refuse("{\"verb\":\"quarantine\",\"tenant\":\"a\",\"for\":10}", "must be a text");
	refuse("{\"verb\":\"quarantine\",\"tenant\":\"a\",\"for\":\"1s\",\"off\":true}",
	       "at most one");
	refuse("{\"verb\":\"audit\",\"most\":1001}", "from 1 to 1000");
	refuse("{\"verb\":\"audit\",\"kind\":\"x\"}", "kind");
	refuse("{\"verb\":\"audit\",\"since\":\"yesterday\"}", "a time such as");
	refuse("{\"verb\":\"drain\",\"off\":\"no\"}", "true or false");
}

/* A request that is wrong is still answered by its id. */
static void test_id(void)
{
	static const char line[] = "{\"id\":3,\"verb\":\"sudo\"}";
	struct control_request r;

	g_free(control_request_parse(&r, line, strlen(line)));
	g_assert_cmpstr(r.id, ==, "3");
	control_request_clear(&r);
}

static void test_deep(void)
{
	GString *line = g_string_new("{\"verb\":");
	char *why;
	struct control_request r;

	for (int i = 0; i < 4000; i++)
		g_string_append_c(line, '[');
	why = control_request_parse(&r, line->str, line->len);
	g_assert_nonnull(why);
	g_free(why);
	control_request_clear(&r);
	g_string_free(line, TRUE);
}

static void test_verbs(void)
{
	for (int v = 0; v < CONTROL_VERBS; v++)
		g_assert_nonnull(control_verb_name((enum control_verb)v));
	g_assert_false(control_verb_changes(CONTROL_STATUS));
	g_assert_false(control_verb_changes(CONTROL_AUDIT));
	g_assert_true(control_verb_changes(CONTROL_EVICT));
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/control-request/good", test_good);
	g_test_add_func("/control-request/bad", test_bad);
	g_test_add_func("/control-request/id", test_id);
	g_test_add_func("/control-request/deep", test_deep);
	g_test_add_func("/control-request/verbs", test_verbs);
	return g_test_run();
}
