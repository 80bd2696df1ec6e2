/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A tenant's file: what each key does, and what is said of each wrong value. */
#include <glib.h>
#include <glib/gstdio.h>
#include <pwd.h>
#include <string.h>
#include <unistd.h>

#include "policy.h"
#include "policy_priv.h"

#define MIB (1ull << 20)
#define SECOND 1000000000ull

/* Every file needs somebody who is the tenant. */
#define SOMEBODY "[tenant]\nsocket=/run/a.sock\n"

static struct policy *parse(const char *text)
{
	GError *err = NULL;
	struct policy *p = policy_parse("vm1", text, strlen(text), &err);

	g_assert_no_error(err);
	g_assert_nonnull(p);
	return p;
}

/* The table. */
static void test_levels(void)
{
	static const struct {
		const char *name;
		uint64_t mib;
		guint weight;
		const char *classes;
	} table[] = {
		{"untrusted", 128, 10, "builtin"},
		{"low", 256, 25, "builtin;memory;kernels"},
		{"medium", 512, 50, "builtin;memory;kernels;graphs;callbacks;pinned"},
		{"high", 1024, 80, "builtin;memory;kernels;graphs;callbacks;pinned"},
		{"system", 2048, 100, "builtin;memory;kernels;graphs;callbacks;pinned;admin"},
	};

	for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
		char *text = g_strdup_printf(SOMEBODY "level=%s\n", table[i].name);
		struct policy *p = parse(text);
		char *classes = policy_classes_text(p->classes);

		g_assert_cmpuint(p->level, ==, i);
		g_assert_cmpstr(policy_level_name(p->level), ==, table[i].name);
		g_assert_cmpuint(p->memory, ==, table[i].mib * MIB);
		g_assert_cmpuint(p->memory_percent, ==, 0);
		g_assert_cmpuint(p->weight, ==, table[i].weight);
		g_assert_cmpuint(p->cap_percent, ==, 100);
		g_assert_cmpstr(classes, ==, table[i].classes);
		g_assert_cmpint(p->over, ==, POLICY_OVER_REFUSE);
		g_free(classes);
		policy_free(p);
		g_free(text);
	}
}

/* Who says nothing gets the least. */
static void test_defaults(void)
{
	struct policy *p = parse(SOMEBODY);

	g_assert_cmpint(p->level, ==, POLICY_UNTRUSTED);
	g_assert_cmpstr(p->name, ==, "vm1");
	g_assert_null(p->path);
	g_assert_cmpuint(p->socket_mode, ==, 0660);
	g_assert_cmpuint(p->socket_uid, ==, (uid_t)-1);
	g_assert_cmpuint(p->socket_gid, ==, (gid_t)-1);
	g_assert_cmpuint(p->owner, ==, (uid_t)-1);
	g_assert_cmpuint(p->uids->len, ==, 0);
	g_assert_cmpuint(p->gpus->len, ==, 0);
	g_assert_cmpuint(p->queue_depth, ==, 4096);
	policy_free(p);
}

static void test_who(void)
{
	struct policy *p =
		parse("[tenant]\nsocket=/run//vm/../a.sock\nsocket-mode=0600\n"
		      "socket-user=root\nsocket-group= 7 \nusers=1000; root;4294967294;\n"
		      "owner=1001\n");

	g_assert_cmpstr(p->socket, ==, "/run/a.sock");
	g_assert_cmpuint(p->socket_mode, ==, 0600);
	g_assert_cmpuint(p->socket_uid, ==, 0);
	g_assert_cmpuint(p->socket_gid, ==, 7);
	g_assert_cmpuint(p->owner, ==, 1001);
	g_assert_cmpuint(p->uids->len, ==, 3);
	g_assert_cmpuint(g_array_index(p->uids, uid_t, 0), ==, 1000);
	g_assert_cmpuint(g_array_index(p->uids, uid_t, 1), ==, 0);
	g_assert_cmpuint(g_array_index(p->uids, uid_t, 2), ==, 4294967294u);
	policy_free(p);
}

static void test_allowed(void)
{
	/* The level's classes are not added to. */
	struct policy *p = parse("[allowed]\nclasses=builtin;graphs\ngpus=0;255\nplacement=spread\n"
				 "[tenant]\nusers=1\nlevel=system\n");

	g_assert_cmpuint(p->classes, ==, POLICY_BUILTIN | POLICY_GRAPHS);
	g_assert_cmpuint(p->gpus->len, ==, 2);
	g_assert_cmpuint(g_array_index(p->gpus, guint, 1), ==, 255);
	g_assert_cmpint(p->placement, ==, POLICY_SPREAD);
	policy_free(p);
	p = parse(SOMEBODY "[allowed]\ngpus=any\nplacement=pack\n");
	g_assert_cmpuint(p->gpus->len, ==, 0);
	g_assert_cmpint(p->placement, ==, POLICY_PACK);
	policy_free(p);
}

static void test_limits(void)
{
	struct policy *p =
		parse(SOMEBODY "[limits]\nmemory=3G\nweight=10000\ncap=50%\nsessions=256\n"
			       "queue-depth=256\ncalls-per-second=5000\nbytes-burst=1K\n"
			       "bytes-per-second=64M\nlongest-kernel=100ms\nover-limit=evict\n");

	g_assert_cmpuint(p->memory, ==, 3072 * MIB);
	g_assert_cmpuint(p->weight, ==, 10000);
	g_assert_cmpuint(p->cap_percent, ==, 50);
	g_assert_cmpuint(p->sessions, ==, 256);
	g_assert_cmpuint(p->queue_depth, ==, 256);
	g_assert_cmpuint(p->calls.rate, ==, 5000);
	g_assert_cmpuint(p->calls.burst, ==, 5000); /* that of a second */
	g_assert_cmpuint(p->bytes.rate, ==, 64 * MIB);
	g_assert_cmpuint(p->bytes.burst, ==, 1024); /* whatever the order in the file */
	g_assert_cmpuint(p->kernel_ns, ==, SECOND / 10);
	g_assert_cmpint(p->over, ==, POLICY_OVER_EVICT);
	policy_free(p);
}

static void test_no_limits(void)
{
	struct policy *p = parse(SOMEBODY "[limits]\nmemory=none\ncap=none\ncalls-per-second=none\n"
					  "bytes-per-second=none\nlongest-kernel=none\n"
					  "[faults]\nfaults=0\n");

	g_assert_cmpuint(p->memory, ==, POLICY_NO_LIMIT);
	g_assert_cmpuint(p->cap_percent, ==, 100);
	g_assert_cmpuint(p->calls.rate, ==, 0);
	g_assert_cmpuint(p->calls.burst, ==, 0);
	g_assert_cmpuint(p->bytes.rate, ==, 0);
	g_assert_cmpuint(p->kernel_ns, ==, POLICY_NO_LIMIT);
	g_assert_cmpuint(p->faults, ==, 0);
	policy_free(p);
}

static void test_faults(void)
{
	struct policy *p = parse(SOMEBODY "[faults]\nfaults=1000\nwithin=5m\nquarantine=2s\n"
					  "quarantine-most=24h\n");

	g_assert_cmpuint(p->faults, ==, 1000);
	g_assert_cmpuint(p->faults_ns, ==, 300 * SECOND);
	g_assert_cmpuint(p->quarantine_ns, ==, 2 * SECOND);
	g_assert_cmpuint(p->quarantine_most_ns, ==, 86400 * SECOND);
	policy_free(p);
}

static void test_memory_on(void)
{
	struct policy *p = parse(SOMEBODY "[limits]\nmemory=25%\n");

	g_assert_cmpuint(p->memory_percent, ==, 25);
	g_assert_cmpuint(policy_memory_on(p, 4096 * MIB), ==, 1024 * MIB);
	g_assert_cmpuint(policy_memory_on(p, 3), ==, 0);
	g_assert_cmpuint(policy_memory_on(p, G_MAXUINT64), ==, G_MAXUINT64 / 4);
	policy_free(p);
	p = parse(SOMEBODY "[limits]\nmemory=512M\n");
	g_assert_cmpuint(policy_memory_on(p, 4096 * MIB), ==, 512 * MIB);
	g_assert_cmpuint(policy_memory_on(p, 256 * MIB), ==, 256 * MIB);
	policy_free(p);
	p = parse(SOMEBODY "[limits]\nmemory=none\n");
	g_assert_cmpuint(policy_memory_on(p, 4096 * MIB), ==, 4096 * MIB);
	policy_free(p);
}

static void test_units(void)
{
	uint64_t value;
	guint percent;

	g_assert_true(policy_size_parse("0", &value) && value == 0);
	g_assert_true(policy_size_parse("12", &value) && value == 12);
	g_assert_true(policy_size_parse("1 K", &value) && value == 1024);
	g_assert_true(policy_size_parse("1024T", &value) && value == 1ull << 50);
	g_assert_true(policy_time_parse("1ns", &value) && value == 1);
	g_assert_true(policy_time_parse("7us", &value) && value == 7000);
	g_assert_true(policy_time_parse("8760h", &value) && value == 31536000 * SECOND);
	g_assert_true(policy_percent_parse("100 %", &percent) && percent == 100);
	g_assert_false(policy_size_parse("1025T", &value));
	g_assert_false(policy_size_parse("99999999999999999999", &value));
	g_assert_false(policy_size_parse("18446744073709551615T", &value));
	g_assert_false(policy_time_parse("8761h", &value));
	g_assert_false(policy_percent_parse("101%", &percent));
}

/* File, group and key are named, and what would have been right. */
static void test_wrong_values(void)
{
	static const struct {
		const char *group, *key, *values, *right; /* values with | between them */
	} wrong[] = {
		{"tenant", "level", "root||High", "untrusted, low, medium, high or system"},
		{"tenant", "socket", "a.sock|", "an absolute path"},
		{"tenant", "socket-mode", "999|7777|-1||rw", "an octal mode of at most 0777"},
		{"tenant", "socket-user", "no-such-user-here|4294967295|-1|", "a user of this"},
		{"tenant", "socket-group", "no-such-group-here|4294967295|", "a group of this"},
		{"tenant", "users", "no-such-user-here|;|1;;2|1,2||1;x y", "a list of users"},
		{"tenant", "owner", "no-such-user-here|*|", "a user of this system"},
		{"allowed", "classes", "everything||builtin,memory|builtin;kernel|;", "a list of"},
		{"allowed", "gpus", "256|-1||a|1,2|0;any", "any, or a list of numbers"},
		{"allowed", "placement", "random||Pack", "pack or spread"},
		{"limits", "memory", "512MB|0%|101%|-1||1.5G|2000T|M|512M 3", "a size such as"},
		{"limits", "weight", "0|10001|1.5||-1|0x10", "a number from 1 to 10000"},
		{"limits", "cap", "0%|101%|50||-5%", "a share from 1% to 100%"},
		{"limits", "sessions", "0|257||many", "a number from 1 to 256"},
		{"limits", "queue-depth", "255|4097||none", "a number from 256 to 4096"},
		{"limits", "calls-per-second", "0|-1||fast|2000T", "a number such as"},
		{"limits", "calls-burst", "0||none|-1", "a number such as"},
		{"limits", "bytes-per-second", "0|64MB/s||1e9", "a number such as"},
		{"limits", "bytes-burst", "0||none", "a number such as"},
		{"limits", "host-memory", "-1|0|much|", "a size such as 16G"},
		{"limits", "host-processes", "0|1000001|none", "a number from 1 to 1000000"},
		{"limits", "longest-kernel", "2|0s|-1s||2 seconds|9000h", "a time such as"},
		{"limits", "over-limit", "kill||Evict", "refuse or evict"},
		{"faults", "faults", "-1|1001||none", "a number from 0 to 1000"},
		{"faults", "within", "0s|60||none", "a time such as"},
		{"faults", "quarantine", "0s|10||ever", "a time such as"},
		{"faults", "quarantine-most", "0s|1y||none", "a time such as"},
	};

	for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++) {
		char **values = g_strsplit(wrong[i].values, "|", -1);

		for (char **v = values; *v; v++) {
			char *text =
				g_strdup_printf("[%s]\n%s=%s\n", wrong[i].group, wrong[i].key, *v);
			char *words =
				g_strdup_printf("vm1: [%s] %s: \"%s\" is not %s", wrong[i].group,
						wrong[i].key, *v, wrong[i].right);
			GError *err = NULL;

			g_assert_null(policy_parse("vm1", text, strlen(text), &err));
			g_assert_nonnull(err);
			if (!g_str_has_prefix(err->message, words))
				g_error("\"%s\" does not begin with \"%s\"", err->message, words);
			g_clear_error(&err);
			g_free(words);
			g_free(text);
		}
		g_strfreev(values);
	}
}

static void test_wrong_files(void)
{
	static const struct {
		const char *text, *words;
	} wrong[] = {
		{"", "vm1: [tenant]: nobody would be this tenant"},
		{"[tenant]\nlevel=low\n", "it needs a socket of its own (socket=)"},
		{"[tenants]\n", "vm1: [tenants]: there is no such group"},
		{SOMEBODY "memory=1G\n", "vm1: [tenant] memory: there is no such key"},
		{SOMEBODY "[limits]\nMemory=1G\n", "vm1: [limits] Memory: there is no such key"},
		{"level=low\n", "vm1: "},
		{"[tenant]\nsocket=/\xff\n", "vm1: [tenant] socket: "},
		{SOMEBODY "[allowed]\nclasses=mem\\cry\n", "vm1: [allowed] classes: "},
		{SOMEBODY "[limits]\ncalls-per-second=none\ncalls-burst=3\n",
		 "[limits] calls-burst: has no meaning without calls-per-second"},
		{SOMEBODY "level=high\n[limits]\nbytes-burst=3\n",
		 "[limits] bytes-burst: has no meaning without bytes-per-second"},
		{SOMEBODY "[faults]\nquarantine=2h\n", "must not be shorter than quarantine"},
	};

	for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++) {
		GError *err = NULL;

		g_assert_null(policy_parse("vm1", wrong[i].text, strlen(wrong[i].text), &err));
		g_assert_nonnull(err);
		if (!strstr(err->message, wrong[i].words))
			g_error("\"%s\" lacks \"%s\"", err->message, wrong[i].words);
		g_clear_error(&err);
	}
}

static void test_names(void)
{
	static const char *const wrong[] = {"",
					    ".",
					    "..",
					    ".vm",
					    "-vm",
					    "a/b",
					    "a b",
					    "\xc3\xa4",
					    "0123456789012345678901234567890123456789012345678901"
					    "234567890123"};

	for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++) {
		GError *err = NULL;

		g_assert_null(policy_parse(wrong[i], SOMEBODY, strlen(SOMEBODY), &err));
		g_assert_nonnull(strstr(err->message, "cannot be a tenant's name"));
		g_clear_error(&err);
	}
	g_assert_true(policy_name_is_good("vm-1.example_org"));
}

static void test_socket_length(void)
{
	char path[109], *text;
	GError *err = NULL;

	memset(path, 'a', sizeof(path));
	path[0] = '/';
	path[107] = '\0';
	text = g_strdup_printf("[tenant]\nsocket=%s\n", path);
	policy_free(parse(text));
	g_free(text);
	path[107] = 'a';
	path[108] = '\0';
	text = g_strdup_printf("[tenant]\nsocket=%s\n", path);
	g_assert_null(policy_parse("vm1", text, strlen(text), &err));
	g_assert_nonnull(strstr(err->message, "at most 107 bytes"));
	g_clear_error(&err);
	g_free(text);
}

/* The example in the man page and that of the installation is one that works. */
static void test_example(void)
{
	GError *err = NULL;
	struct policy *p = policy_load(g_getenv("TENANT_EXAMPLE"), &err);

	g_assert_no_error(err);
	g_assert_cmpstr(p->name, ==, "vm1");
	g_assert_cmpstr(p->path, ==, g_getenv("TENANT_EXAMPLE"));
	policy_free(p);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/policy/levels", test_levels);
	g_test_add_func("/policy/defaults", test_defaults);
	g_test_add_func("/policy/who", test_who);
	g_test_add_func("/policy/allowed", test_allowed);
	g_test_add_func("/policy/limits", test_limits);
	g_test_add_func("/policy/no-limits", test_no_limits);
	g_test_add_func("/policy/faults", test_faults);
	g_test_add_func("/policy/memory-on", test_memory_on);
	g_test_add_func("/policy/units", test_units);
	g_test_add_func("/policy/wrong-values", test_wrong_values);
	g_test_add_func("/policy/wrong-files", test_wrong_files);
	g_test_add_func("/policy/names", test_names);
	g_test_add_func("/policy/socket-length", test_socket_length);
	g_test_add_func("/policy/example", test_example);
	return g_test_run();
}
