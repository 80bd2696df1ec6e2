/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The configuration file, its example, and what the log makes of strangers' bytes. */
#include <glib.h>
#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

#include "config.h"
#include "log.h"

/* Loads `text` as a file. */
static struct config *load(const char *text, GKeyFile *overrides, GError **err)
{
	char *path = NULL;
	int fd = g_file_open_tmp("vgpu-config-XXXXXX", &path, NULL);
	struct config *c;

	g_assert_cmpint(fd, >=, 0);
	close(fd);
	g_assert_true(g_file_set_contents(path, text, -1, NULL));
	c = config_load(path, overrides, err);
	g_unlink(path);
	g_free(path);
	return c;
}

static void test_defaults(void)
{
	GError *err = NULL;
	struct config *c = config_load(NULL, NULL, &err);

	g_assert_no_error(err);
	g_assert_cmpstr(c->backend, ==, "auto");
	g_assert_cmpstr(c->socket_path, ==, "/run/gpu_mediator/gpu_mediator.sock");
	g_assert_cmpstr(c->pid_file, ==, "/run/gpu_mediator/gpu_mediator.pid");
	g_assert_cmpuint(c->max_operand_mib, >=, 64);
	config_free(c);
}

static void test_values(void)
{
	GError *err = NULL;
	struct config *c = load("[daemon]\nsocket-path=/a/b\nsocket-mode=0600\nlog-level=debug\n"
				"log-commands=true\nsocket-group=root\n"
				"[backend]\nbackend=cpu\ndevice=3\n"
				"[limits]\nmax-queues= 7 \n[worker]\nspin-us=0\nuser=root\n",
				NULL, &err);

	g_assert_no_error(err);
	g_assert_cmpstr(c->socket_path, ==, "/a/b");
	g_assert_cmpuint(c->socket_mode, ==, 0600);
	g_assert_cmpuint(c->log_level, ==, G_LOG_LEVEL_DEBUG);
	g_assert_true(c->log_commands);
	g_assert_cmpuint(c->socket_gid, ==, 0);
	g_assert_cmpuint(c->device, ==, 3);
	g_assert_cmpuint(c->ngpus, ==, 1);
	g_assert_cmpuint(c->gpus[0], ==, 3);
	g_assert_cmpuint(c->max_queues, ==, 7);
	g_assert_cmpuint(c->spin_us, ==, 0);
	g_assert_cmpuint(c->worker_uid, ==, 0);
	config_free(c);
}

/* Group and key are named, and what would have been right. */
/* Who may what at the control socket: names and numbers, all of which must be somebody. */
static void test_control(void)
{
	GError *err = NULL;
	struct config *c = load("[control]\nadmin-users= root ; 4711;\nadmin-group=root\n"
				"monitor-users=daemon\n",
				NULL, &err);

	g_assert_no_error(err);
	g_assert_cmpuint(c->admin_uids->len, ==, 2);
	g_assert_cmpuint(g_array_index(c->admin_uids, uid_t, 0), ==, 0);
	g_assert_cmpuint(g_array_index(c->admin_uids, uid_t, 1), ==, 4711);
	g_assert_cmpuint(c->admin_gid, ==, 0);
	g_assert_cmpuint(c->monitor_uids->len, ==, 1);
	config_free(c);
	c = load("[control]\nmonitor-users=root;no-such-user\n", NULL, &err);
	g_assert_null(c);
	g_assert_nonnull(strstr(err->message, "[control] monitor-users: there is no user"));
	g_clear_error(&err);
	c = load("[control]\nadmin-group=no-such-group\n", NULL, &err);
	g_assert_null(c);
	g_assert_nonnull(strstr(err->message, "[control] admin-group: there is no group"));
	g_clear_error(&err);
}

static void expect_audit_file(const char *text, const char *path)
{
	GError *err = NULL;
	struct config *c = load(text, NULL, &err);
	char *file;

	g_assert_no_error(err);
	file = config_audit_file(c);
	g_assert_cmpstr(file, ==, path);
	g_free(file);
	config_free(c);
}

/* A daemon of one's own does not write into the system's audit log. */
static void test_audit_file(void)
{
	expect_audit_file("", "/var/log/gpu_mediator-audit.log");
	expect_audit_file("[daemon]\nruntime-dir=/tmp/mine\n", "/tmp/mine/audit.log");
	expect_audit_file("[daemon]\nruntime-dir=/tmp/mine\n[audit]\nfile=/a/b\n", "/a/b");
}

static void test_refused(void)
{
	static const struct {
		const char *text, *words;
	} wrong[] = {
		{"[deamon]\n", "[deamon]: there is no such group"},
		{"[daemon]\nsocket=/x\n", "[daemon] socket: there is no such key"},
		{"[limits]\nspin-us=1\n", "[limits] spin-us: there is no such key"},
		{"[daemon]\nsocket-path=x\n",
		 "[daemon] socket-path: \"x\" is not an absolute path"},
		{"[daemon]\nsocket-mode=999\n", "[daemon] socket-mode"},
		{"[daemon]\nsocket-mode=7777\n", "an octal mode"},
		{"[daemon]\nlog-level=loud\n", "error, warning, message, info or debug"},
		{"[daemon]\nlog-commands=yes\n", "true or false"},
		{"[daemon]\nsocket-group=no-such-group-here\n", "there is no group"},
		{"[backend]\ndevices=\n", "a list of at most 16 numbers from 0 to 255"},
		{"[backend]\ndevices=1;256\n", "a list of at most 16 numbers from 0 to 255"},
		{"[backend]\ndevices=1;2;1\n", "each once"},
		{"[backend]\ndevices=0;1;2;3;4;5;6;7;8;9;10;11;12;13;14;15;16\n", "at most 16"},
		{"[tenants]\ndirectory=x\n", "[tenants] directory: \"x\" is not an absolute path"},
		{"[tenants]\nopen=yes\n", "true or false"},
		{"[backend]\nbackend=abacus\n", "auto, cpu or cuda"},
		{"[limits]\nmax-queues=0\n", "a number from 1 to 256"},
		{"[limits]\nmax-queues=257\n", "a number from 1 to 256"},
		{"[limits]\nmax-queues=-1\n", "a number from 1 to 256"},
		{"[limits]\nmax-queues=1x\n", "a number from 1 to 256"},
		{"[limits]\nmax-queues=\n", "a number from 1 to 256"},
		{"[limits]\nmax-operand-mib=63\n", "a number from 64 to 1024"},
		{"[worker]\nuser=no-such-user-here\n", "there is no user"},
		{"[worker]\nuid-base=-1\n", "a number from 0 to 2147400000"},
		{"[worker]\ngpu-groups=no-such-group-here\n", "there is no group"},
		{"[worker]\nconfine=yes\n", "try, require or off"},
		{"[worker]\nvisible=/opt;opt\n", "\"opt\" is not an absolute path"},
		{"max-queues=1\n", "group"},
		{"[daemon\n", "daemon"},
	};

	for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++) {
		GError *err = NULL;

		g_assert_null(load(wrong[i].text, NULL, &err));
		g_assert_nonnull(err);
		if (!strstr(err->message, wrong[i].words))
			g_error("\"%s\" is not in \"%s\"", wrong[i].words, err->message);
		g_assert_nonnull(strstr(err->message, "vgpu-config-")); /* the file */
		g_clear_error(&err);
	}
}

static void test_overrides(void)
{
	GKeyFile *o = g_key_file_new();
	GError *err = NULL;
	struct config *c;

	g_key_file_set_string(o, "backend", "backend", "cpu");
	c = load("[backend]\nbackend=cuda\n", o, &err);
	g_assert_no_error(err);
	g_assert_cmpstr(c->backend, ==, "cpu");
	config_free(c);
	/* A wrong file is wrong even where the command line says something else. */
	g_assert_null(load("[backend]\nbackend=x\n", o, &err));
	g_clear_error(&err);
	g_key_file_set_string(o, "backend", "backend", "x");
	g_assert_null(load("", o, &err));
	g_assert_nonnull(strstr(err->message, "command line"));
	g_clear_error(&err);
	g_key_file_free(o);
}

/* The example documents each key, with the default it really has. */
static void test_example(void)
{
	char *text = NULL, *path = g_test_build_filename(G_TEST_DIST, "config.conf.in", NULL);
	const char *source = g_getenv("CONFIG_EXAMPLE");
	GError *err = NULL;
	struct config *c, *d = config_load(NULL, NULL, NULL);
	GString *all = g_string_new(NULL);
	char **lines;

	g_assert_true(g_file_get_contents(source ? source : path, &text, NULL, &err));
	g_assert_no_error(err);
	lines = g_strsplit(text, "\n", -1);
	for (char **l = lines; *l; l++) {
		const char *eq = strchr(*l, '=');

		/* "#key=value" with a value: the default, as if it were set. */
		if ((*l)[0] == '#' && (*l)[1] != ' ' && eq && eq[1])
			g_string_append_printf(all, "%s\n", *l + 1);
		else if ((*l)[0] == '[')
			g_string_append_printf(all, "%s\n", *l);
	}
	c = load(all->str, NULL, &err);
	g_assert_no_error(err);
	g_assert_null(config_needs_restart(c, d));
	g_assert_cmpuint(c->start_timeout, ==, d->start_timeout);
	g_assert_cmpuint(c->log_lines, ==, d->log_lines);
	g_assert_cmpuint(c->spin_us, ==, d->spin_us);
	g_assert_cmpuint(c->max_connections, ==, d->max_connections);
	g_assert_cmpuint(c->max_sessions, ==, d->max_sessions);
	g_assert_cmpuint(c->adopt_timeout, ==, d->adopt_timeout);
	g_assert_cmpuint(c->handshake_timeout, ==, d->handshake_timeout);
	config_free(c);
	config_free(d);
	g_string_free(all, TRUE);
	g_strfreev(lines);
	g_free(text);
	g_free(path);
}

static void test_merge(void)
{
	struct config *now = load("[backend]\nbackend=cpu\n[limits]\nmax-queues=3\n", NULL, NULL);
	struct config *next = load("[backend]\nbackend=cuda\n[limits]\nmax-queues=4\n", NULL, NULL);

	g_assert_cmpstr(config_needs_restart(now, next), ==, "backend");
	config_merge(next, now);
	g_assert_cmpstr(next->backend, ==, "cpu");
	g_assert_cmpuint(next->max_queues, ==, 4);
	g_assert_null(config_needs_restart(now, next));
	config_free(now);
	config_free(next);
}

static void expect_escaped(const char *bytes, size_t length, const char *expected)
{
	char *s = log_escape(bytes, length);

	g_assert_cmpstr(s, ==, expected);
	g_free(s);
}

static void test_escape(void)
{
	expect_escaped("", 0, "");
	expect_escaped("plain text", 10, "plain text");
	expect_escaped("a\nb\r\x1b[31m", 9, "a\\x0ab\\x0d\\x1b[31m");
	expect_escaped("\"\\", 2, "\\\"\\\\");
	expect_escaped("a\0b", 3, "a\\x00b");
	expect_escaped("\xc3\xa9", 2, "\xc3\xa9");
	expect_escaped("\xc3", 1, "\\xc3");
	expect_escaped("\xff\xfe", 2, "\\xff\\xfe");
	/* Controls that are not ASCII: next line, right-to-left override. */
	expect_escaped("\xc2\x85", 2, "\\xc2\\x85");
	expect_escaped("\xe2\x80\xae", 3, "\\xe2\\x80\\xae");
	expect_escaped("\xed\xa0\x80", 3, "\\xed\\xa0\\x80");
}

static void test_bucket(void)
{
	struct log_bucket b = {0};
	unsigned int allowed = 0;
	guint dropped;

	for (int i = 0; i < 100; i++)
		allowed += log_may(&b, 10, &dropped);
	/* The second may have turned in between. */
	g_assert_cmpuint(allowed, >=, 10);
	g_assert_cmpuint(allowed, <=, 30);
	b.since -= G_USEC_PER_SEC;
	g_assert_true(log_may(&b, 10, &dropped));
	g_assert_cmpuint(dropped, ==, 100 - allowed);
	g_assert_true(log_may(&b, 10, &dropped));
	g_assert_cmpuint(dropped, ==, 0);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/config/defaults", test_defaults);
	g_test_add_func("/config/values", test_values);
	g_test_add_func("/config/control", test_control);
	g_test_add_func("/config/audit-file", test_audit_file);
	g_test_add_func("/config/refused", test_refused);
	g_test_add_func("/config/overrides", test_overrides);
	g_test_add_func("/config/example", test_example);
	g_test_add_func("/config/merge", test_merge);
	g_test_add_func("/log/escape", test_escape);
	g_test_add_func("/log/bucket", test_bucket);
	return g_test_run();
}
