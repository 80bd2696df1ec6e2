/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Starting the worker program and learning how it ended. */
#include "launch.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "control.h"
#include "fdio.h"

#define WORKER_NAME "gpu_mediator-worker"

char *launch_program_path(const char *configured, const char *name)
{
	char *self, *dir, *beside;

	if (configured)
		return g_strdup(configured);
	self = g_file_read_link("/proc/self/exe", NULL);
	dir = g_path_get_dirname(self ? self : ".");
	beside = g_build_filename(dir, name, NULL);
	g_free(self);
	g_free(dir);
	if (g_file_test(beside, G_FILE_TEST_IS_EXECUTABLE))
		return beside;
	g_free(beside);
	return g_build_filename(VGPU_LIBEXECDIR, name, NULL);
}

char *launch_worker_path(const char *configured)
{
	return launch_program_path(configured, WORKER_NAME);
}

static void set_attributes(posix_spawnattr_t *attr)
{
	sigset_t mask;

	posix_spawnattr_init(attr);
	posix_spawnattr_setflags(attr, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK |
					       POSIX_SPAWN_SETSIGDEF);
	posix_spawnattr_setpgroup(attr, 0);
	sigemptyset(&mask);
	posix_spawnattr_setsigmask(attr, &mask);
	sigfillset(&mask);
	sigdelset(&mask, SIGKILL);
	sigdelset(&mask, SIGSTOP);
	posix_spawnattr_setsigdefault(attr, &mask);
}

static void set_files(posix_spawn_file_actions_t *files, int control, int out_fd)
{
	posix_spawn_file_actions_init(files);
	posix_spawn_file_actions_addopen(files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	if (out_fd >= 0)
		posix_spawn_file_actions_adddup2(files, out_fd, STDOUT_FILENO);
	else
		posix_spawn_file_actions_addopen(files, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
	if (control >= 0)
		posix_spawn_file_actions_adddup2(files, control, CTL_WORKER_FD);
	posix_spawn_file_actions_addclosefrom_np(files, control >= 0 ? CTL_WORKER_FD + 1 : 3);
}

int launch_worker(char *const argv[], int control, int out_fd, pid_t *pid, GError **err)
{
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;
	int ret, pidfd;

	set_attributes(&attr);
	set_files(&files, control, out_fd);
	ret = posix_spawn(pid, argv[0], &files, &attr, argv, environ);
	posix_spawn_file_actions_destroy(&files);
	posix_spawnattr_destroy(&attr);
	if (ret) {
		g_set_error(err, G_SPAWN_ERROR, G_SPAWN_ERROR_FAILED, "cannot start %s: %s",
			    argv[0], g_strerror(ret));
		return -1;
	}
	pidfd = fdio_pidfd_open(*pid);
	if (pidfd < 0) {
		kill(*pid, SIGKILL);
		waitpid(*pid, NULL, 0);
		g_set_error(err, G_SPAWN_ERROR, G_SPAWN_ERROR_FAILED, "cannot watch %s: %s",
			    argv[0], g_strerror(-pidfd));
		return -1;
	}
	return pidfd;
}

char *launch_reap(pid_t pid, int *signum)
{
	int status;
	pid_t ret;

	do {
		ret = waitpid(pid, &status, WNOHANG);
	} while (ret < 0 && errno == EINTR);
	*signum = ret == pid && WIFSIGNALED(status) ? WTERMSIG(status) : 0;
	if (ret != pid)
		return g_strdup("the worker ended");
	if (WIFSIGNALED(status))
		return g_strdup_printf("the worker was killed by signal %d (%s)", WTERMSIG(status),
				       strsignal(WTERMSIG(status)));
	if (WEXITSTATUS(status) == WORKER_EXIT_LIFELINE)
		return g_strdup("the device closed the lifeline");
	return g_strdup_printf("the worker exited with status %d", WEXITSTATUS(status));
}
