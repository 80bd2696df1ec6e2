/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Workers of a daemon that is root: who they are, what they see, what they keep. */
#include <dirent.h>
#include <errno.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "control.h"
#include "frontend.h"
#include "sanitized.h"

#define MIB (1024u * 1024)
#define CPU "[backend]\nbackend=cpu\n"
#define BASE 1900000000u

static int nop(struct fqueue *q)
{
	return fqueue_call(q, VGPU_CMD_NOP, NULL, 0, NULL, 0, NULL, 0);
}

static char *proc_text(pid_t pid, const char *name)
{
	char *path = g_strdup_printf("/proc/%d/%s", (int)pid, name);
	char *text = NULL;

	g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
	g_free(path);
	return text;
}

static char *proc_link(pid_t pid, const char *name)
{
	char *path = g_strdup_printf("/proc/%d/ns/%s", (int)pid, name);
	char *target = g_file_read_link(path, NULL);

	g_assert_nonnull(target);
	g_free(path);
	return target;
}

static void expect_line(const char *text, const char *line)
{
	if (!strstr(text, line))
		g_error("there is no \"%s\" in:\n%s", line, text);
}

static uid_t uid_of(pid_t pid)
{
	char *text = proc_text(pid, "status");
	unsigned int uid[4] = {0};

	g_assert_cmpint(sscanf(strstr(text, "Uid:"), "Uid: %u %u %u %u", &uid[0], &uid[1], &uid[2],
			       &uid[3]),
			==, 4);
	g_assert_true(uid[0] == uid[1] && uid[0] == uid[2] && uid[0] == uid[3]);
	g_free(text);
	return uid[0];
}

static bool knows(const GArray *pids, pid_t pid)
{
	for (guint i = 0; pids && i < pids->len; i++) {
		if (g_array_index(pids, pid_t, i) == pid)
			return true;
	}
	return false;
}

/* The worker that is not among these. */
static pid_t new_worker(const struct daemon_proc *p, const GArray *before)
{
	GArray *now = daemon_workers(p);
	pid_t pid = 0;

	for (guint i = 0; i < now->len; i++) {
		if (!knows(before, g_array_index(now, pid_t, i)))
			pid = g_array_index(now, pid_t, i);
	}
	g_array_free(now, TRUE);
	g_assert_cmpint(pid, >, 0);
	return pid;
}

static void expect_own(pid_t pid, const char *ns)
{
	char *theirs = proc_link(pid, ns), *ours = proc_link(getpid(), ns);

	g_assert_cmpstr(theirs, !=, ours);
	g_free(theirs);
	g_free(ours);
}

/* Nothing is there but the folder of adoption. */
static void expect_empty_root(pid_t pid)
{
	char *path = g_strdup_printf("/proc/%d/root/", (int)pid);
	GDir *dir = g_dir_open(path, 0, NULL);

	g_assert_nonnull(dir);
	g_assert_cmpstr(g_dir_read_name(dir), ==, "adopt");
	g_assert_null(g_dir_read_name(dir));
	g_dir_close(dir);
	g_free(path);
}

static void test_status(void)
{
	struct daemon_proc *p = daemon_start_closed(CPU, "[tenant]\nusers=0\n");
	struct frontend *f = frontend_new(p, "vm", 4 * MIB);
	struct fqueue *q = fqueue_new(f, 0, 256, 0);
	pid_t pid = new_worker(p, NULL);
	char *status = proc_text(pid, "status");

	g_assert_cmpint(nop(q), ==, 0);
	g_assert_cmpuint(uid_of(pid), ==, BASE + 1);
	expect_line(status, "Groups:\t \n");
	expect_line(status, "CapInh:\t0000000000000000");
	expect_line(status, "CapPrm:\t0000000000000000");
	expect_line(status, "CapEff:\t0000000000000000");
	expect_line(status, "CapBnd:\t0000000000000000");
	expect_line(status, "CapAmb:\t0000000000000000");
	expect_line(status, "NoNewPrivs:\t1");
	expect_own(pid, "net");
	expect_own(pid, "ipc");
	expect_own(pid, "uts");
	if (!SANITIZED) {
		expect_line(status, "Seccomp:\t2");
		expect_own(pid, "mnt");
		expect_empty_root(pid);
	}
	g_free(status);
	fqueue_end(q);
	frontend_free(f);
	daemon_stop(p);
}

/* As the user of one worker, what can be done to another one? */
static int try_to_hurt(uid_t uid, pid_t victim)
{
	pid_t pid = fork();
	int status;

	g_assert_cmpint(pid, >=, 0);
	if (pid == 0) {
		bool refused = setresgid(BASE, BASE, BASE) == 0 && setresuid(uid, uid, uid) == 0 &&
			       kill(victim, SIGKILL) == -1 && errno == EPERM &&
			       ptrace(PTRACE_ATTACH, victim, NULL, NULL) == -1 && errno == EPERM;

		_exit(refused ? 0 : 1);
	}
	g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
	return status;
}

static void put_socket(const struct daemon_proc *p, const char *name)
{
	char *text = g_strdup_printf("[tenant]\nsocket=%s/%s.sock\n", p->dir, name);

	daemon_tenant(p, name, text);
	g_free(text);
}

/* Each tenant has a user, which another cannot do anything to; and keeps it over a restart. */
static void test_tenants(void)
{
	struct daemon_proc *p = daemon_start_closed(CPU, "[tenant]\nusers=0\n");
	struct frontend *f, *g;
	struct fqueue *mine, *other, *more;
	GArray *known;
	pid_t a, b;

	put_socket(p, "vm2");
	daemon_signal(p, SIGHUP);
	daemon_expect_log(p, "2 tenants in");
	f = frontend_new(p, "vm1", 4 * MIB);
	mine = fqueue_new(f, 0, 256, 0);
	a = new_worker(p, NULL);
	known = daemon_workers(p);
	g = frontend_new_own(p, "vm2", 4 * MIB);
	other = fqueue_new(g, 0, 256, 0);
	b = new_worker(p, known);
	g_array_free(known, TRUE);
	g_assert_cmpuint(uid_of(a), !=, uid_of(b));
	g_assert_cmpint(try_to_hurt(uid_of(a), b), ==, 0);
	g_assert_cmpint(try_to_hurt(uid_of(b), a), ==, 0);

	daemon_crash(p);
	daemon_again(p);
	frontend_reconnect(f);
	g_assert_cmpint(fqueue_resume(mine), ==, 0);
	known = daemon_workers(p);
	more = fqueue_new(f, 1, 256, 0);
	g_assert_cmpuint(uid_of(new_worker(p, known)), ==, uid_of(a));
	g_array_free(known, TRUE);
	g_assert_cmpint(nop(mine), ==, 0);
	fqueue_end(more);
	fqueue_end(mine);
	frontend_free(f);
	fqueue_free(other);
	frontend_free(g);
	daemon_stop(p);
}

static void empty_file(const char *dir, const char *name)
{
	char *path = g_build_filename(dir, name, NULL);

	g_assert_true(g_file_set_contents(path, "", 0, NULL));
	g_free(path);
}

/* Plain files in place of the kernel's control groups, with that of tenant vm1. */
static char *make_group_double(void)
{
	static const char *const files[] = {"memory.max", "pids.max", "cgroup.procs"};
	char *groups = g_dir_make_tmp("vgpu-groups-XXXXXX", NULL);
	char *group = g_build_filename(groups, "tenant-vm1", NULL);

	empty_file(groups, "cgroup.subtree_control");
	g_assert_cmpint(g_mkdir(group, 0755), ==, 0);
	for (size_t i = 0; i < G_N_ELEMENTS(files); i++)
		empty_file(group, files[i]);
	g_free(group);
	return groups;
}

static void expect_refusal(struct frontend *f, const char *why)
{
	struct fqueue *q = fqueue_prepare(f, 0, 256, 0);

	g_assert_cmpint(fqueue_start(q), <, 0);
	if (!strstr(q->reason, why))
		g_error("there is no \"%s\" in: %s", why, q->reason);
	fqueue_free(q);
}

/* What cannot be had is said, unless the administrator insists on it. */
static void check_require(const char *more, const char *why)
{
	char *config = g_strconcat(CPU "[worker]\nuid-base=0\n", more, NULL);
	char *strict = g_strconcat(config, "confine=require\n", NULL);
	struct daemon_proc *p = daemon_start_closed(config, "[tenant]\nusers=0\n");
	struct frontend *f = frontend_new(p, "vm", 4 * MIB);
	struct fqueue *q = fqueue_new(f, 0, 256, 0);

	g_assert_cmpuint(uid_of(new_worker(p, NULL)), ==, 0);
	daemon_expect_log(p, "less confined than they could be: they have the daemon's user");
	fqueue_end(q);
	g_file_set_contents(p->config, strict, -1, NULL);
	daemon_signal(p, SIGHUP);
	daemon_expect_log(p, "configuration reloaded");
	expect_refusal(f, why);
	frontend_free(f);
	daemon_stop(p);
	g_free(strict);
	g_free(config);
}

static void test_require(void)
{
	char *groups = make_group_double();
	char *more = g_strdup_printf("cgroup=%s\n", groups);

	check_require(more, SANITIZED ? "root directory" : "daemon's user");
	check_require("cgroup=/nowhere\n", "no control group");
	remove_tree(groups);
	g_free(more);
	g_free(groups);
}

/* Of two daemons with the same users the second one says so, and it alone. */
static void test_two_daemons(void)
{
	const guint base = 1000000000u + (guint)getpid() % 10000 * 65536;
	char *config = g_strdup_printf(CPU "[worker]\nuid-base=%u\n", base);
	char *other = g_strdup_printf(CPU "[worker]\nuid-base=%u\n", base + 65536);
	char *warning =
		g_strdup_printf("another daemon on this host has [worker] uid-base=%u", base);
	struct daemon_proc *first = daemon_start(config), *second = daemon_start(config);
	struct daemon_proc *third = daemon_start(other);

	daemon_expect_log(second, warning);
	g_assert_false(daemon_log_has(first, "another daemon"));
	g_assert_false(daemon_log_has(third, "another daemon"));
	/* The name is nobody's once its holder is dead. */
	daemon_crash(first);
	daemon_again(first);
	g_assert_false(daemon_log_has(first, "another daemon"));
	daemon_stop(third);
	daemon_stop(second);
	daemon_stop(first);
	g_free(warning);
	g_free(other);
	g_free(config);
}

static bool sleeps(pid_t pid)
{
	char *stat = proc_text(pid, "stat");
	const bool yes = g_str_has_prefix(strrchr(stat, ')'), ") S ");

	g_free(stat);
	return yes;
}

/* Before the daemon has spoken, it may not be in its group, and does nothing at all. */
static void test_waits(void)
{
	char *dir = g_path_get_dirname(g_getenv("GPU_MEDIATOR"));
	char *program = g_build_filename(dir, "gpu_mediator-worker", NULL);
	int control[2], status;
	char *text;
	pid_t pid;

	g_assert_cmpint(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, control), ==, 0);
	pid = fork();
	g_assert_cmpint(pid, >=, 0);
	if (pid == 0) {
		/* Where it is already there it would be closed. */
		dup2(dup(control[1]), CTL_WORKER_FD);
		execl(program, program, "--backend=cpu", "--confine=try", NULL);
		_exit(127);
	}
	close(control[1]);
	text = g_strdup("");
	WAIT_UNTIL((g_free(text), text = proc_text(pid, "cmdline"), strstr(text, "worker")) &&
		   sleeps(pid));
	g_free(text);
	text = proc_text(pid, "status");
	expect_line(text, "NoNewPrivs:\t0");
	g_free(text);
	close(control[0]);
	g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
	g_assert_true(WIFEXITED(status));
	g_free(program);
	g_free(dir);
}

static bool sees(pid_t pid, const char *path)
{
	char *whole = g_strdup_printf("/proc/%d/root/%s", (int)pid, path);
	bool there = g_file_test(whole, G_FILE_TEST_EXISTS);

	g_free(whole);
	return there;
}

/* With a GPU's backend it sees what a driver needs, and serves; so it was probed. */
static void test_gpu(void)
{
	const char *fake = g_getenv("FAKE_CUDA_DIR");
	char *config = g_strdup_printf("[backend]\nbackend=cuda\nlibrary-dir=%s\n", fake);
	struct daemon_proc *p;
	struct frontend *f;
	struct fqueue *q;
	pid_t pid;

	/* It leaks what a driver would keep, so a sanitizer fails its probe. */
	if (!fake || SANITIZED) {
		g_test_skip("no stand-in of the cuda backend, or a sanitizer");
		g_free(config);
		return;
	}
	p = daemon_start_closed(config, "[tenant]\nusers=0\n");
	f = frontend_new(p, "vm", 4 * MIB);
	q = fqueue_new(f, 0, 256, 0);
	pid = new_worker(p, NULL);
	g_assert_cmpint(nop(q), ==, 0);
	g_assert_cmpuint(uid_of(pid), ==, BASE + 1);
	if (!SANITIZED) {
		g_assert_true(sees(pid, "usr") && sees(pid, "dev/null") && sees(pid, "adopt"));
		g_assert_false(sees(pid, "etc/passwd") || sees(pid, "run") || sees(pid, "root"));
	}
	daemon_crash(p);
	daemon_again(p);
	frontend_reconnect(f);
	g_assert_cmpint(fqueue_resume(q), ==, 0);
	g_assert_cmpint(nop(q), ==, 0);
	fqueue_end(q);
	frontend_free(f);
	daemon_stop(p);
	g_free(config);
}

static void expect_file(const char *dir, const char *name, const char *wanted)
{
	char *path = g_build_filename(dir, name, NULL);
	char *text = NULL;

	g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
	g_assert_cmpstr(g_strchomp(text), ==, wanted);
	g_free(text);
	g_free(path);
}

/* In a group (or what looks like one) a worker has its tenant's limits, also new ones. */
static void check_group(const char *groups, const char *group)
{
	char *config = g_strdup_printf(CPU "[worker]\ncgroup=%s\n", groups);
	struct daemon_proc *p = daemon_start_closed(
		config, "[tenant]\nusers=0\n[limits]\nhost-memory=96M\nhost-processes=77\n");
	struct frontend *f = frontend_new(p, "vm", 4 * MIB);
	struct fqueue *q = fqueue_new(f, 0, 256, 0);
	char *pid = g_strdup_printf("%d", (int)new_worker(p, NULL));

	daemon_expect_log(p, "tenants have control groups in");
	expect_file(group, "memory.max", "100663296");
	expect_file(group, "pids.max", "77");
	expect_file(group, "cgroup.procs", pid);
	g_assert_cmpint(nop(q), ==, 0);
	daemon_tenant(p, "vm1",
		      "[tenant]\nusers=0\n[limits]\nhost-memory=192M\n"
		      "host-processes=88\n");
	daemon_signal(p, SIGHUP);
	daemon_expect_log(p, "configuration reloaded");
	expect_file(group, "memory.max", "201326592");
	expect_file(group, "pids.max", "88");
	fqueue_end(q);
	frontend_free(f);
	daemon_stop(p);
	g_free(pid);
	g_free(config);
}

/* What is written where. */
static void test_group_double(void)
{
	char *groups = make_group_double();
	char *group = g_build_filename(groups, "tenant-vm1", NULL);

	check_group(groups, group);
	remove_tree(groups);
	g_free(group);
	g_free(groups);
}

/* The kernel's own, where it has given version 2 the controllers. */
static void test_group(void)
{
	char *groups = g_strdup_printf("/sys/fs/cgroup/vgpu-test-%d", (int)getpid());
	char *group = g_build_filename(groups, "tenant-vm1", NULL);
	char *path = g_build_filename(groups, "cgroup.controllers", NULL);
	char *text = NULL;

	if (g_mkdir(groups, 0755) < 0 || !g_file_get_contents(path, &text, NULL, NULL) ||
	    !strstr(text, "memory") || !strstr(text, "pids")) {
		g_test_skip("no cgroup of version 2 with memory and pids at /sys/fs/cgroup");
	} else {
		check_group(groups, group);
		/* It went with its tenant. */
		g_assert_false(g_file_test(group, G_FILE_TEST_EXISTS));
	}
	g_rmdir(groups);
	g_free(text);
	g_free(path);
	g_free(group);
	g_free(groups);
}

/* Without control groups the number of processes is still the tenant's. */
static void test_processes(void)
{
	struct daemon_proc *p =
		daemon_start_closed(CPU, "[tenant]\nusers=0\n[limits]\nhost-processes=99\n");
	struct frontend *f = frontend_new(p, "vm", 4 * MIB);
	struct fqueue *q = fqueue_new(f, 0, 256, 0);
	char *limits = proc_text(new_worker(p, NULL), "limits"), *line;
	unsigned int most = 1000;

	line = strstr(limits, "Max processes");
	g_assert_nonnull(line);
	g_assert_cmpint(sscanf(line, "Max processes %u", &most), ==, 1);
	g_assert_cmpuint(most, <=, 99); /* 0 in a build that makes no threads */
	fqueue_end(q);
	frontend_free(f);
	daemon_stop(p);
	g_free(limits);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	if (getuid() != 0) {
		g_print("1..0 # SKIP only root can make somebody else of a worker\n");
		return 0;
	}
	g_test_add_func("/confine/status", test_status);
	g_test_add_func("/confine/tenants", test_tenants);
	g_test_add_func("/confine/require", test_require);
	g_test_add_func("/confine/waits", test_waits);
	g_test_add_func("/confine/two-daemons", test_two_daemons);
	g_test_add_func("/confine/gpu", test_gpu);
	g_test_add_func("/confine/group-double", test_group_double);
	g_test_add_func("/confine/group", test_group);
	if (!SANITIZED)
		g_test_add_func("/confine/processes", test_processes);
	return g_test_run();
}
