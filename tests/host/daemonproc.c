/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Starting, watching and ending the daemon under test. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "frontend.h"

static void launch(struct daemon_proc *p)
{
	const char *program = g_getenv("GPU_MEDIATOR");

	g_assert_nonnull(program);
	p->pid = fork();
	g_assert_cmpint(p->pid, >=, 0);
	if (p->pid == 0) {
		char *runtime = g_strdup_printf("--runtime-dir=%s/run", p->dir);
		char *socket = g_strdup_printf("--socket-path=%s", p->socket);
		char *config = g_strdup_printf("--config=%s", p->config);
		char *log = g_strdup_printf("--log-file=%s", p->log);
		char *tenants = g_strdup_printf("--tenants=%s", p->tenants);

		prctl(PR_SET_PDEATHSIG, SIGTERM); /* a test that aborts leaves nothing */
		execl(program, program, "--foreground", runtime, socket, config, log, tenants,
		      p->closed ? NULL : "--open", NULL);
		_exit(127);
	}
	daemon_expect_log(p, "listening at");
}

static struct daemon_proc *prepare(const char *config)
{
	struct daemon_proc *p = g_new0(struct daemon_proc, 1);
	GError *err = NULL;

	p->dir = g_dir_make_tmp("vgpu-host-XXXXXX", &err);
	g_assert_no_error(err);
	/* Workers that have other users, and under a sanitizer no root of their own, come back. */
	g_assert_cmpint(g_chmod(p->dir, 0711), ==, 0);
	p->socket = g_build_filename(p->dir, "sock", NULL);
	p->log = g_build_filename(p->dir, "log", NULL);
	p->config = g_build_filename(p->dir, "config", NULL);
	p->tenants = g_build_filename(p->dir, "tenants", NULL);
	g_file_set_contents(p->config, config ? config : "[backend]\nbackend=cpu\n", -1, &err);
	g_assert_no_error(err);
	return p;
}

struct daemon_proc *daemon_start(const char *config)
{
	struct daemon_proc *p = prepare(config);

	launch(p);
	return p;
}

struct daemon_proc *daemon_start_closed(const char *config, const char *tenant)
{
	struct daemon_proc *p = prepare(config);

	p->closed = true;
	if (tenant)
		daemon_tenant(p, "vm1", tenant);
	launch(p);
	return p;
}

void daemon_tenant(const struct daemon_proc *p, const char *name, const char *text)
{
	char *path = g_strdup_printf("%s/%s.conf", p->tenants, name);

	g_mkdir(p->tenants, 0700);
	if (text)
		g_assert_true(g_file_set_contents(path, text, -1, NULL));
	else
		g_assert_cmpint(g_unlink(path), ==, 0);
	g_free(path);
}

void daemon_again(struct daemon_proc *p)
{
	char *old = g_strconcat(p->log, ".old", NULL);

	/* What the next one writes is looked for in a new file. */
	g_rename(p->log, old);
	g_free(old);
	launch(p);
}

void daemon_signal(struct daemon_proc *p, int signum)
{
	g_assert_cmpint(kill(p->pid, signum), ==, 0);
}

int daemon_wait(struct daemon_proc *p)
{
	int status = 0;
	pid_t got = 0;

	WAIT_UNTIL((got = waitpid(p->pid, &status, WNOHANG)) != 0);
	g_assert_cmpint(got, ==, p->pid);
	p->pid = 0;
	return status;
}

void daemon_crash(struct daemon_proc *p)
{
	daemon_signal(p, SIGKILL);
	daemon_wait(p);
}

void remove_tree(const char *dir)
{
	GDir *d = g_dir_open(dir, 0, NULL);
	const char *name;

	while (d && (name = g_dir_read_name(d))) {
		char *path = g_build_filename(dir, name, NULL);

		if (g_file_test(path, G_FILE_TEST_IS_DIR) &&
		    !g_file_test(path, G_FILE_TEST_IS_SYMLINK))
			remove_tree(path);
		else
			g_unlink(path);
		g_free(path);
	}
	if (d)
		g_dir_close(d);
	g_rmdir(dir);
}

void daemon_stop(struct daemon_proc *p)
{
	char *pid_file = g_build_filename(p->dir, "run", "gpu_mediator.pid", NULL);
	char *adopt = g_build_filename(p->dir, "run", "adopt", "adopt.sock", NULL);
	int status;

	if (p->pid) {
		daemon_signal(p, SIGTERM);
		status = daemon_wait(p);
		g_assert_true(WIFEXITED(status));
		g_assert_cmpint(WEXITSTATUS(status), ==, 0);
		g_assert_false(g_file_test(p->socket, G_FILE_TEST_EXISTS));
		g_assert_false(g_file_test(pid_file, G_FILE_TEST_EXISTS));
		g_assert_false(g_file_test(adopt, G_FILE_TEST_EXISTS));
		g_assert_cmpuint(daemon_worker_count(p), ==, 0);
	}
	remove_tree(p->dir);
	g_free(pid_file);
	g_free(adopt);
	g_free(p->dir);
	g_free(p->socket);
	g_free(p->log);
	g_free(p->config);
	g_free(p->tenants);
	g_free(p);
}

bool daemon_log_has(const struct daemon_proc *p, const char *text)
{
	char *log = NULL;
	bool found;

	if (!g_file_get_contents(p->log, &log, NULL, NULL))
		return false;
	found = strstr(log, text) != NULL;
	g_free(log);
	return found;
}

void daemon_expect_log(const struct daemon_proc *p, const char *text)
{
	gint64 end = g_get_monotonic_time() + PATIENCE;

	while (!daemon_log_has(p, text)) {
		char *log = NULL;

		if (g_get_monotonic_time() > end) {
			g_file_get_contents(p->log, &log, NULL, NULL);
			g_error("the log has no \"%s\":\n%s", text, log ? log : "(none)");
		}
		g_usleep(5000);
	}
}

/* A worker is known by its command line, which names the runtime directory. */
static bool is_worker(const struct daemon_proc *p, const char *pid)
{
	char *path = g_strdup_printf("/proc/%s/cmdline", pid);
	char *wanted = g_strdup_printf("--runtime-dir=%s/run", p->dir);
	char *text = NULL;
	gsize length = 0;
	bool found = false;

	if (g_file_get_contents(path, &text, &length, NULL) && strstr(text, "worker"))
		found = memmem(text, length, wanted, strlen(wanted) + 1) != NULL;
	g_free(text);
	g_free(wanted);
	g_free(path);
	return found;
}

GArray *daemon_workers(const struct daemon_proc *p)
{
	GArray *pids = g_array_new(FALSE, FALSE, sizeof(pid_t));
	GDir *proc = g_dir_open("/proc", 0, NULL);
	const char *name;

	while ((name = g_dir_read_name(proc))) {
		pid_t pid = atoi(name);

		if (pid > 0 && is_worker(p, name))
			g_array_append_val(pids, pid);
	}
	g_dir_close(proc);
	return pids;
}

unsigned int daemon_worker_count(const struct daemon_proc *p)
{
	GArray *pids = daemon_workers(p);
	unsigned int n = pids->len;

	g_array_free(pids, TRUE);
	return n;
}

void daemon_expect_workers(const struct daemon_proc *p, unsigned int n)
{
	WAIT_UNTIL(daemon_worker_count(p) == n);
}

unsigned int process_fds(pid_t pid)
{
	char *path = g_strdup_printf("/proc/%d/fd", (int)pid);
	GDir *dir = g_dir_open(path, 0, NULL);
	unsigned int n = 0;

	while (dir && g_dir_read_name(dir))
		n++;
	if (dir)
		g_dir_close(dir);
	g_free(path);
	return n;
}
