/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The client of the guest's libcuda.so.1 in a process of many threads: that
 * nothing is mixed up, and what becomes of it when others die.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "frontend.h"

/* A client-load that runs. */
struct load {
	GPid pid;
	int in;
	int out;
};

static void load_start(struct load *l, const struct daemon_proc *p, const char *what)
{
	const char *argv[] = {g_getenv("CLIENT_LOAD"), what, NULL};
	char *where = g_strconcat("unix:", p->socket, NULL);
	GError *err = NULL;

	g_setenv("VGPU_TRANSPORT", where, TRUE);
	g_spawn_async_with_pipes(NULL, (char **)argv, NULL, G_SPAWN_DO_NOT_REAP_CHILD, NULL, NULL,
				 &l->pid, &l->in, &l->out, NULL, &err);
	g_assert_no_error(err);
	/* a daemon that is started later must not keep them open */
	fcntl(l->in, F_SETFD, FD_CLOEXEC);
	fcntl(l->out, F_SETFD, FD_CLOEXEC);
	g_free(where);
}

static void load_expect_ready(const struct load *l)
{
	char c = 0;

	while (c != '\n')
		g_assert_cmpint(read(l->out, &c, 1), ==, 1);
}

static void load_wait(struct load *l)
{
	int status;

	WAIT_UNTIL(waitpid(l->pid, &status, WNOHANG) == l->pid);
	g_assert_cmpint(status, ==, 0);
}

static void load_close(struct load *l)
{
	close(l->in);
	close(l->out);
}

static void run(const char *what)
{
	struct daemon_proc *p = daemon_start(NULL);
	struct load l;

	load_start(&l, p, what);
	load_wait(&l);
	load_close(&l);
	daemon_expect_workers(p, 0);
	daemon_stop(p);
}

static void test_threads(void)
{
	run("threads");
}

static void test_deferred(void)
{
	run("deferred");
}

static void test_notes(void)
{
	run("notes");
}

static void test_worker_killed(void)
{
	struct daemon_proc *p = daemon_start(NULL);
	struct load l;
	GArray *pids;

	load_start(&l, p, "killed");
	load_expect_ready(&l);
	pids = daemon_workers(p);
	g_assert_cmpuint(pids->len, ==, 1);
	g_assert_cmpint(kill(g_array_index(pids, pid_t, 0), SIGKILL), ==, 0);
	g_array_free(pids, TRUE);
	load_wait(&l);
	load_close(&l);
	daemon_stop(p);
}

/* The daemon dies and comes again; who calls and who does not keeps the session. */
static void restart(const char *what)
{
	struct daemon_proc *p = daemon_start(NULL);
	struct load l;

	load_start(&l, p, what);
	load_expect_ready(&l);
	for (int i = 0; i < 2; i++) {
		daemon_crash(p);
		daemon_again(p);
		daemon_expect_log(p, "session resumed");
	}
	close(l.in);
	load_wait(&l);
	close(l.out);
	daemon_expect_workers(p, 0);
	daemon_stop(p);
}

static void test_restart_busy(void)
{
	restart("busy");
}

static void test_restart_idle(void)
{
	restart("idle");
}

/* A child that goes on has nothing of the session and cannot hold it. */
static void test_fork(void)
{
	struct daemon_proc *p = daemon_start(NULL);
	struct load l;

	load_start(&l, p, "fork");
	load_expect_ready(&l);
	load_wait(&l);
	daemon_expect_workers(p, 0);
	load_close(&l);
	daemon_stop(p);
}

#define TEST(path, fn) g_test_add_func("/host/client/" path, fn)

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	TEST("threads", test_threads);
	TEST("deferred", test_deferred);
	TEST("notes", test_notes);
	TEST("worker-killed", test_worker_killed);
	TEST("restart/busy", test_restart_busy);
	TEST("restart/idle", test_restart_idle);
	TEST("fork", test_fork);
	return g_test_run();
}
