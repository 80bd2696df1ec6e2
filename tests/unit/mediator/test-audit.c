/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The audit log: what stands in a line, rates, rotation, files that cannot be written. */
#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "audit.h"
#include "log.h"

#define MIB (1024u * 1024)

static char *dir, *path;
static GString *said; /* in the log */

static GLogWriterOutput hear(GLogLevelFlags level, const GLogField *fields, gsize n,
			     gpointer opaque)
{
	(void)level;
	(void)opaque;
	for (gsize i = 0; i < n; i++) {
		if (strcmp(fields[i].key, "MESSAGE") == 0)
			g_string_append_printf(said, "%s\n", (const char *)fields[i].value);
	}
	return G_LOG_WRITER_HANDLED;
}

/* The log has said this once since it was asked last, and not more often. */
static void expect_said_once(const char *words)
{
	const char *first = strstr(said->str, words);

	g_assert_nonnull(first);
	g_assert_null(strstr(first + 1, words));
	g_string_truncate(said, 0);
}

static struct audit *make(uint64_t most, guint keep, guint lines)
{
	struct audit_options o = {.file = path, .most = most, .keep = keep, .lines = lines};
	GError *err = NULL;
	struct audit *a = audit_new(&o, &err);

	g_assert_no_error(err);
	return a;
}

static void clean(void)
{
	GDir *d = g_dir_open(dir, 0, NULL);
	const char *name;

	while ((name = g_dir_read_name(d))) {
		char *file = g_build_filename(dir, name, NULL);

		g_unlink(file);
		g_free(file);
	}
	g_dir_close(d);
}

static char *read_file(const char *name)
{
	GError *err = NULL;
	char *text = NULL;

	g_file_get_contents(name, &text, NULL, &err);
	g_assert_no_error(err);
	return text;
}

static JsonObject *parse(const char *line)
{
	JsonNode *node;
	JsonObject *o;
	GError *err = NULL;

	node = json_from_string(line, &err);
	g_assert_no_error(err);
	g_assert_true(JSON_NODE_HOLDS_OBJECT(node));
	o = json_object_ref(json_node_get_object(node));
	json_node_unref(node);
	return o;
}

/* Lines of the file that are whole JSON, by kind (NULL: all); a torn one fails the test. */
static guint count_lines(const char *file, const char *kind, gint64 *sum)
{
	char *text = read_file(file);
	char **lines = g_strsplit(text, "\n", -1);
	guint n = 0;

	for (char **l = lines; *l; l++) {
		JsonObject *o = **l ? parse(*l) : NULL;

		if (o && (!kind || strcmp(json_object_get_string_member(o, "kind"), kind) == 0)) {
			n++;
			if (sum)
				*sum += json_object_get_int_member(
					json_object_get_object_member(o, "details"), "lines");
		}
		if (o)
			json_object_unref(o);
	}
	g_strfreev(lines);
	g_free(text);
	return n;
}

static void test_line(void)
{
	struct audit *a = make(MIB, 2, 20);
	const struct audit_about about = {.tenant = "vm1", .session = 7};
	JsonObject *details = json_object_new(), *o, *d;
	struct stat st;
	char *text;

	json_object_set_string_member(details, "who", "a\n\"b\"\xff\x1b[31m\\");
	json_object_set_int_member(details, "uid", 1000);
	json_object_set_boolean_member(details, "open", TRUE);
	audit_write(a, AUDIT_SESSION_REFUSED, AUDIT_SESSIONS, &about, details,
		    "more than %d \xc3\xa9\xe2\x80\xae\n", 4);
	text = read_file(path);
	g_assert_cmpint(strchr(text, '\n') - text, ==, (long)strlen(text) - 1);
	for (const char *p = text; *p && *p != '\n'; p++)
		g_assert_true((unsigned char)*p >= ' ' && *p != '\x7f');
	g_assert_true(g_utf8_validate(text, -1, NULL));
	o = parse(text);
	d = json_object_get_object_member(o, "details");
	g_assert_cmpstr(json_object_get_string_member(o, "kind"), ==, "session-refused");
	g_assert_cmpstr(json_object_get_string_member(o, "cause"), ==, "sessions");
	g_assert_cmpstr(json_object_get_string_member(o, "tenant"), ==, "vm1");
	g_assert_cmpint(json_object_get_int_member(o, "session"), ==, 7);
	/* An e with an accent may stay; what turns the direction of text may not. */
	g_assert_cmpstr(json_object_get_string_member(o, "reason"), ==,
			"more than 4 \xc3\xa9\\xe2\\x80\\xae\\x0a");
	g_assert_cmpstr(json_object_get_string_member(d, "who"), ==,
			"a\\x0a\"b\"\\xff\\x1b[31m\\\\");
	g_assert_cmpint(json_object_get_int_member(d, "uid"), ==, 1000);
	g_assert_true(json_object_get_boolean_member(d, "open"));
	g_assert_true(g_regex_match_simple("^\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d\\.\\d{3}Z$",
					   json_object_get_string_member(o, "time"), 0, 0));
	g_assert_cmpint(stat(path, &st), ==, 0);
	g_assert_cmpuint(st.st_mode & 0777, ==, 0600);
	json_object_unref(o);
	g_free(text);
	audit_free(a);
	clean();
}

static void test_long_reason(void)
{
	struct audit *a = make(MIB, 2, 20);
	char *reason = g_strnfill(100000, '\n');
	char *text;

	audit_write(a, AUDIT_DAEMON, AUDIT_NONE, NULL, NULL, "%s", reason);
	text = read_file(path);
	g_assert_cmpuint(strlen(text), <, 8192);
	g_assert_cmpuint(count_lines(path, "daemon", NULL), ==, 1);
	g_free(text);
	g_free(reason);
	audit_free(a);
	clean();
}

static void test_names(void)
{
	for (int i = 0; i < AUDIT_KINDS; i++)
		g_assert_cmpint(audit_kind_parse(audit_kind_name((enum audit_kind)i)), ==, i);
	g_assert_cmpint(audit_kind_parse("session"), ==, -1);
	for (int i = 0; i < AUDIT_CAUSES; i++)
		g_assert_nonnull(audit_cause_name((enum audit_cause)i));
}

static void test_recent(void)
{
	struct audit *a = make(MIB, 2, 10000);
	struct audit_filter f = {.kind = -1};
	GPtrArray *found;
	const struct audit_entry *e;

	for (int i = 0; i < (int)AUDIT_RECENT + 5; i++) {
		const struct audit_about about = {.tenant = i % 2 ? "odd" : "even",
						  .session = (uint64_t)i + 1};

		audit_write(a, i % 3 ? AUDIT_POLICY_CHANGED : AUDIT_EVICTION, AUDIT_NONE, &about,
			    NULL, "line %d", i);
	}
	found = audit_find(a, &f);
	g_assert_cmpuint(found->len, ==, AUDIT_RECENT);
	e = g_ptr_array_index(found, 0);
	g_assert_cmpuint(e->number, ==, 6);
	g_ptr_array_unref(found);
	g_assert_cmpuint(audit_last(a), ==, AUDIT_RECENT + 5);
	/* All are in the file. */
	g_assert_cmpuint(count_lines(path, NULL, NULL), ==, AUDIT_RECENT + 5);
	f.tenant = "odd";
	f.kind = AUDIT_EVICTION;
	f.most = 3;
	found = audit_find(a, &f);
	g_assert_cmpuint(found->len, ==, 3);
	e = g_ptr_array_index(found, 2); /* the newest: line 999 */
	g_assert_cmpuint(e->number, ==, 1000);
	g_ptr_array_unref(found);
	f.after = 500;
	found = audit_find(a, &f);
	g_assert_cmpuint(found->len, ==, 3);
	e = g_ptr_array_index(found, 0); /* the oldest after it: line 501 */
	g_assert_cmpuint(e->number, ==, 502);
	g_ptr_array_unref(found);
	f = (struct audit_filter){.kind = -1,
				  .since = g_get_real_time() + (gint64)3600 * G_USEC_PER_SEC};
	found = audit_find(a, &f);
	g_assert_cmpuint(found->len, ==, 0);
	g_ptr_array_unref(found);
	audit_free(a);
	clean();
}

static void count_refused(const char *tenant, enum audit_kind kind, enum audit_cause cause,
			  uint64_t count, gpointer opaque)
{
	if (strcmp(tenant, "loud") == 0 && kind == AUDIT_OPERATION_REFUSED && cause == AUDIT_CLASS)
		*(uint64_t *)opaque += count;
}

/* What a guest can cause is limited, its neighbour's lines are not; the sums are right. */
static void test_rates(void)
{
	struct audit *a = make(MIB, 2, 5);
	const struct audit_about loud = {.tenant = "loud"}, calm = {.tenant = "calm"};
	struct audit_health h;
	gint64 left_out = 0;
	uint64_t counted = 0;

	for (int i = 0; i < 500; i++)
		audit_write(a, AUDIT_OPERATION_REFUSED, AUDIT_CLASS, &loud, NULL, "%d", i);
	audit_write(a, AUDIT_LIMIT_REACHED, AUDIT_MEMORY, &calm, NULL, "calm");
	for (int i = 0; i < 50; i++)
		audit_write(a, AUDIT_QUARANTINE, AUDIT_FAULTS, &loud, NULL, "not a guest's: %d", i);
	audit_health(a, &h);
	g_assert_cmpuint(h.left_out, >, 0);
	audit_counts(a, count_refused, &counted);
	g_assert_cmpuint(counted, ==, 500);
	audit_free(a); /* with what it owes */
	g_assert_cmpuint(count_lines(path, "limit-reached", NULL), ==, 1);
	g_assert_cmpuint(count_lines(path, "quarantine", NULL), ==, 50);
	count_lines(path, "lines-left-out", &left_out);
	g_assert_cmpuint((guint)left_out, ==, h.left_out);
	g_assert_cmpuint(count_lines(path, "operation-refused", NULL) + (guint)left_out, ==, 500);
	clean();
}

/* A flood that is over is counted though nothing follows it. */
static void test_settles(void)
{
	struct audit *a = make(MIB, 2, 1);
	gint64 end = g_get_monotonic_time() + 120 * G_USEC_PER_SEC;

	for (int i = 0; i < 10; i++)
		audit_write(a, AUDIT_SESSION_ALLOWED, AUDIT_NONE, NULL, NULL, "%d", i);
	while (count_lines(path, "lines-left-out", NULL) == 0) {
		g_assert_cmpint(g_get_monotonic_time(), <, end);
		g_main_context_iteration(NULL, TRUE);
	}
	audit_free(a);
	clean();
}

/* Names are the guests' where everybody is let in: they must not make us grow. */
static void test_many_tenants(void)
{
	struct audit *a = make(64 * MIB, 2, 1);
	uint64_t counted = 0;

	for (int i = 0; i < 5000; i++) {
		char *name = g_strdup_printf("t%d", i);
		struct audit_about about = {.tenant = name};

		audit_write(a, AUDIT_SESSION_ALLOWED, AUDIT_NONE, &about, NULL, "x");
		g_free(name);
	}
	audit_counts(a, count_refused, &counted);
	g_assert_cmpuint(counted, ==, 0);
	/* The first ones have a rate of their own, all others one together. */
	g_assert_cmpuint(count_lines(path, "session-allowed", NULL), <, 1400);
	audit_free(a);
	clean();
}

static void test_rotation(void)
{
	struct audit *a = make(4000, 3, 20);
	guint total = 0;
	struct stat st;

	for (int i = 0; i < 200; i++)
		audit_write(a, AUDIT_DAEMON, AUDIT_NONE, NULL, NULL, "line %d of two hundred", i);
	for (int i = 0; i < 4; i++) {
		char *name = i ? g_strdup_printf("%s.%d", path, i) : g_strdup(path);

		g_assert_cmpint(stat(name, &st), ==, 0);
		g_assert_cmpint(st.st_size, <=, 4000);
		g_assert_cmpuint(st.st_mode & 0777, ==, 0600);
		total += count_lines(name, "daemon", NULL);
		g_free(name);
	}
	g_assert_cmpuint(total, <, 200);
	g_assert_cmpuint(total, >, 60);
	{
		char *fourth = g_strdup_printf("%s.4", path);

		g_assert_cmpint(g_access(fourth, F_OK), !=, 0);
		g_free(fourth);
	}
	audit_free(a);
	clean();
}

/* The old files cannot be moved: it grows, and no line is lost. */
static void test_rotation_fails(void)
{
	char *first = g_strdup_printf("%s.1", path);
	struct audit *a;
	struct audit_health h;

	g_assert_cmpint(g_mkdir(first, 0700), ==, 0);
	a = make(1000, 1, 20);
	for (int i = 0; i < 15; i++)
		audit_write(a, AUDIT_DAEMON, AUDIT_NONE, NULL, NULL, "a line of some length: %d",
			    i);
	audit_health(a, &h);
	g_assert_cmpuint(h.lost, ==, 0);
	g_assert_cmpuint(count_lines(path, "daemon", NULL), ==, 15);
	audit_free(a);
	g_rmdir(first);
	g_free(first);
	clean();
}

static void test_reopen(void)
{
	struct audit *a = make(MIB, 2, 20);
	struct audit_options o = {.file = path, .most = MIB, .keep = 2, .lines = 20};
	char *moved = g_strconcat(path, ".moved", NULL);
	GError *err = NULL;

	audit_write(a, AUDIT_DAEMON, AUDIT_NONE, NULL, NULL, "before");
	g_assert_cmpint(g_rename(path, moved), ==, 0);
	audit_write(a, AUDIT_DAEMON, AUDIT_NONE, NULL, NULL, "still there");
	g_assert_true(audit_reopen(a, &o, &err));
	audit_write(a, AUDIT_DAEMON, AUDIT_NONE, NULL, NULL, "after");
	g_assert_cmpuint(count_lines(moved, NULL, NULL), ==, 2);
	g_assert_cmpuint(count_lines(path, NULL, NULL), ==, 1);
	/* A place that cannot be is refused, and the old one stays. */
	o.file = "/proc/no/such/place";
	g_assert_false(audit_reopen(a, &o, &err));
	g_assert_nonnull(strstr(err->message, "/proc/no/such/place"));
	g_clear_error(&err);
	o.file = dir;
	g_assert_false(audit_reopen(a, &o, &err));
	g_clear_error(&err);
	audit_write(a, AUDIT_DAEMON, AUDIT_NONE, NULL, NULL, "again");
	g_assert_cmpuint(count_lines(path, NULL, NULL), ==, 2);
	g_free(moved);
	audit_free(a);
	clean();
}

/* A pipe is no file, and must not make us wait for a reader. */
static void test_pipe(void)
{
	struct audit_options o = {.file = path, .most = MIB, .keep = 1, .lines = 1};
	GError *err = NULL;

	g_assert_cmpint(mkfifo(path, 0600), ==, 0);
	g_assert_null(audit_new(&o, &err));
	g_assert_nonnull(err);
	g_clear_error(&err);
	clean();
}

/* A crash of the machine may leave half a line: the next one begins anew. */
static void test_torn(void)
{
	struct audit *a;
	char *text;

	g_assert_true(g_file_set_contents(path, "{\"time\":\"2026", -1, NULL));
	a = make(MIB, 2, 20);
	audit_write(a, AUDIT_DAEMON, AUDIT_NONE, NULL, NULL, "whole");
	text = read_file(path);
	g_assert_true(g_str_has_prefix(text, "{\"time\":\"2026\n{\"time\""));
	g_free(text);
	audit_free(a);
	clean();
}

/* Every write fails as on a full disk: all goes on, is counted, and is said once. */
static void test_full_device(void)
{
	struct audit_options o = {.file = "/dev/full", .most = MIB, .keep = 2, .lines = 20};
	struct audit_filter f = {.kind = -1};
	struct audit_health h;
	struct audit *a;
	GPtrArray *found;
	GError *err = NULL;

	if (g_access("/dev/full", W_OK) < 0) {
		g_test_skip("there is no /dev/full");
		return;
	}
	a = audit_new(&o, &err);
	g_assert_no_error(err);
	for (int i = 0; i < 10; i++)
		audit_write(a, AUDIT_DAEMON, AUDIT_NONE, NULL, NULL, "%d", i);
	expect_said_once("No space left on device; work goes on");
	audit_health(a, &h);
	g_assert_cmpint(h.error, ==, -ENOSPC);
	g_assert_cmpuint(h.lost, ==, 10);
	found = audit_find(a, &f);
	g_assert_cmpuint(found->len, ==, 10);
	g_ptr_array_unref(found);
	audit_free(a);
}

/* The file may grow to a limit and no further: no half line stays; then there is room again. */
static void test_room_again(void)
{
	struct rlimit before, small;
	struct audit_health h;
	gint64 lost = 0;
	struct audit *a = make(MIB, 2, 20);

	g_assert_cmpint(getrlimit(RLIMIT_FSIZE, &before), ==, 0);
	small = (struct rlimit){.rlim_cur = 1000, .rlim_max = before.rlim_max};
	signal(SIGXFSZ, SIG_IGN);
	g_assert_cmpint(setrlimit(RLIMIT_FSIZE, &small), ==, 0);
	for (int i = 0; i < 20; i++)
		audit_write(a, AUDIT_DAEMON, AUDIT_NONE, NULL, NULL, "line %d", i);
	g_assert_cmpint(setrlimit(RLIMIT_FSIZE, &before), ==, 0);
	expect_said_once("cannot be written");
	audit_health(a, &h);
	g_assert_cmpuint(h.lost, >, 0);
	g_assert_cmpint(h.error, <, 0);
	g_assert_cmpuint(count_lines(path, "daemon", NULL) + h.lost, ==, 20);
	audit_write(a, AUDIT_DAEMON, AUDIT_NONE, NULL, NULL, "there is room");
	expect_said_once("can be written again");
	g_assert_cmpuint(count_lines(path, "lines-lost", &lost), ==, 1);
	g_assert_cmpuint((guint64)lost, ==, h.lost);
	audit_health(a, &h);
	g_assert_cmpint(h.error, ==, 0);
	audit_free(a);
	clean();
}

static void test_nobody(void)
{
	audit_write(NULL, AUDIT_DAEMON, AUDIT_NONE, NULL, json_object_new(), "no log");
}

int main(int argc, char **argv)
{
	int ret;

	g_test_init(&argc, &argv, NULL);
	said = g_string_new(NULL);
	g_log_set_writer_func(hear, NULL, NULL);
	dir = g_dir_make_tmp("vgpu-audit-XXXXXX", NULL);
	path = g_build_filename(dir, "audit.log", NULL);
	g_test_add_func("/audit/line", test_line);
	g_test_add_func("/audit/long-reason", test_long_reason);
	g_test_add_func("/audit/names", test_names);
	g_test_add_func("/audit/recent", test_recent);
	g_test_add_func("/audit/rates", test_rates);
	g_test_add_func("/audit/settles", test_settles);
	g_test_add_func("/audit/many-tenants", test_many_tenants);
	g_test_add_func("/audit/rotation", test_rotation);
	g_test_add_func("/audit/rotation-fails", test_rotation_fails);
	g_test_add_func("/audit/reopen", test_reopen);
	g_test_add_func("/audit/pipe", test_pipe);
	g_test_add_func("/audit/torn", test_torn);
	g_test_add_func("/audit/full-device", test_full_device);
	g_test_add_func("/audit/room-again", test_room_again);
	g_test_add_func("/audit/nobody", test_nobody);
	ret = g_test_run();
	g_rmdir(dir);
	g_free(path);
	g_free(dir);
	g_string_free(said, TRUE);
	return ret;
}
