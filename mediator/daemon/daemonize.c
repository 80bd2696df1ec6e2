/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Becoming a daemon, the process id file, telling who waits that we are ready. */
#include "daemonize.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#if VGPU_HAVE_SYSTEMD
#include <systemd/sd-daemon.h>
#endif

static int ready_fd = -1;

void notify(const char *state)
{
#if VGPU_HAVE_SYSTEMD
	sd_notify(0, state);
#else
	(void)state;
#endif
}

static G_NORETURN void die(const char *what)
{
	fprintf(stderr, "gpu_mediator: %s: %s\n", what, g_strerror(errno));
	exit(EXIT_FAILURE);
}

/* The parent's part: waits for one byte, or for the child's death. */
static G_NORETURN void wait_for_child(int fd)
{
	char ok = 0;
	ssize_t n;

	do {
		n = read(fd, &ok, 1);
	} while (n < 0 && errno == EINTR);
	_exit(n == 1 && ok ? EXIT_SUCCESS : EXIT_FAILURE);
}

void daemonize_begin(void)
{
	int fds[2];
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) < 0)
		die("no pipe");
	pid = fork();
	if (pid < 0)
		die("cannot fork");
	if (pid > 0) {
		close(fds[1]);
		wait_for_child(fds[0]);
	}
	close(fds[0]);
	ready_fd = fds[1];
	if (setsid() < 0 || chdir("/") < 0)
		die("cannot become a daemon");
	umask(022);
}

void daemonize_ready(bool ok)
{
	char byte = ok;
	int null;

	if (ready_fd < 0)
		return;
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	for (int fd = 0; ok && null >= 0 && fd < 3; fd++)
		dup2(null, fd);
	if (null >= 0)
		close(null);
	if (write(ready_fd, &byte, 1) != 1)
		g_debug("nobody waits for the daemon");
	close(ready_fd);
	ready_fd = -1;
}

bool pidfile_write(const char *path, GError **err)
{
	char *text = g_strdup_printf("%d\n", (int)getpid());
	bool ok =
		g_file_set_contents_full(path, text, -1, G_FILE_SET_CONTENTS_CONSISTENT, 0644, err);

	g_free(text);
	if (!ok)
		g_prefix_error(err, "cannot write the PID file: ");
	return ok;
}

void pidfile_remove(const char *path)
{
	char *text = NULL;

	if (g_file_get_contents(path, &text, NULL, NULL) && atoi(text) == (int)getpid())
		g_unlink(path);
	g_free(text);
}
