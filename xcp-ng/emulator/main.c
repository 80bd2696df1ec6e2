/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vgpu-stub-xen: the vgpu-stub device for a domain of Xen, beside whatever
 * device model the domain has.  Two processes: one watches, one serves.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "emulator.h"
#include "options.h"
#include "store.h"
#include "supervise.h"

static bool fail(GError **err, const char *what, const char *path)
{
	int code = errno;

	g_set_error(err, G_FILE_ERROR, g_file_error_from_errno(code), "%s %s: %s", what, path,
		    g_strerror(code));
	return false;
}

/* Held for good, as a domain has one device; the descriptor, or -1. */
static int take_pid_file(const char *path, GError **err)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);

	if (fd < 0)
		fail(err, "cannot write", path);
	else if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		fail(err, "another vgpu-stub-xen serves this domain, it holds", path);
	else if (ftruncate(fd, 0) < 0 || dprintf(fd, "%d\n", (int)getpid()) < 0)
		fail(err, "cannot write", path);
	else
		return fd;
	return -1;
}

static bool redirect(const char *log_file, GError **err)
{
	int fd = open(log_file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0640);

	if (fd < 0)
		return fail(err, "cannot write", log_file);
	dup2(fd, STDOUT_FILENO);
	dup2(fd, STDERR_FILENO);
	close(fd);
	return true;
}

/* The group through which the socket can be had: as told, or that of the socket if not root's. */
static bool find_group(const struct options *o, gid_t *gid, GError **err)
{
	const struct group *g;
	struct stat st;

	*gid = (gid_t)-1;
	if (!o->socket_group) {
		if (stat(o->socket, &st) == 0 && st.st_gid != 0)
			*gid = st.st_gid;
		return true;
	}
	g = getgrnam(o->socket_group);
	if (!g) {
		g_set_error(err, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE,
			    "there is no group \"%s\"", o->socket_group);
		return false;
	}
	*gid = g->gr_gid;
	return true;
}

/* What both processes need is read before there are two; XenStore is the watching one's then. */
static struct emulator_config configure(const struct options *o, struct store *store,
					gid_t socket_gid)
{
	char *name = store_name(store);

	return (struct emulator_config){
		.domid = (uint32_t)o->domid,
		.queues = (uint32_t)o->queues,
		.slot = (unsigned int)o->slot,
		.socket = o->socket,
		.name = name ? name : g_strdup("unnamed"),
		.memory = store_memory(store),
		.root = o->chroot,
		.uid = (uid_t)o->uid,
		.gid = (gid_t)o->gid,
		.socket_gid = socket_gid,
		.verbose = o->verbose,
	};
}

/* `ready` and `pid_file` are not for the process that the guest may take over. */
static int start(const struct options *o, struct store *store, int ready, int pid_file,
		 GError **err)
{
	struct supervision s = {.domid = (uint32_t)o->domid, .store = store, .ready = ready};
	struct emulator_config config;
	gid_t socket_gid;
	int pair[2], ret;

	if (!find_group(o, &socket_gid, err))
		return EXIT_FAILURE;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
		fail(err, "cannot make", "a pair of sockets");
		return EXIT_FAILURE;
	}
	config = configure(o, store, socket_gid);
	s.child = fork();
	if (s.child < 0) {
		fail(err, "cannot start", "the serving process");
		return EXIT_FAILURE;
	}
	if (s.child == 0) {
		close(pair[0]);
		close(pid_file);
		if (ready >= 0)
			close(ready);
		exit(emulator_run(&config, pair[1]));
	}
	close(pair[1]);
	s.report = pair[0];
	ret = supervise(&s);
	g_free(config.name);
	return ret;
}

/* Waits for the one in the background to say that the device is there. */
static int wait_for_ready(int fd, const char *log_file)
{
	char byte;
	ssize_t n;

	do {
		n = read(fd, &byte, 1);
	} while (n < 0 && errno == EINTR);
	if (n == 1)
		return EXIT_SUCCESS;
	fprintf(stderr, "vgpu-stub-xen: it did not start; %s says why\n", log_file);
	return EXIT_FAILURE;
}

/* True: this is the process that goes on.  Else *status is the exit status. */
static bool to_background(const struct options *o, int *ready, int *status, GError **err)
{
	int fd[2];
	pid_t pid;

	*status = EXIT_FAILURE;
	if (pipe2(fd, O_CLOEXEC) < 0 || (pid = fork()) < 0)
		return fail(err, "cannot go to", "the background");
	if (pid > 0) {
		close(fd[1]);
		*status = wait_for_ready(fd[0], o->log_file);
		return false;
	}
	close(fd[0]);
	*ready = fd[1];
	setsid();
	pid = open("/dev/null", O_RDWR | O_CLOEXEC);
	dup2(pid, STDIN_FILENO);
	return redirect(o->log_file, err);
}

static int run(const struct options *o, GError **err)
{
	int ready = -1, status = EXIT_FAILURE, pid_file;
	struct store *store;

	if (o->daemon ? !to_background(o, &ready, &status, err)
		      : (o->log_file && !redirect(o->log_file, err)))
		return status;
	pid_file = take_pid_file(o->pid_file, err);
	if (pid_file < 0)
		return EXIT_FAILURE;
	store = store_open((uint32_t)o->domid, err);
	if (!store)
		return EXIT_FAILURE;
	if (!store_domain_lives(store)) {
		g_set_error(err, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE, "there is no domain %d",
			    o->domid);
		return EXIT_FAILURE;
	}
	status = start(o, store, ready, pid_file, err);
	unlink(o->pid_file);
	return status;
}

int main(int argc, char **argv)
{
	struct options o;
	GError *err = NULL;
	int ret = 2;

	setlocale(LC_ALL, "");
	signal(SIGPIPE, SIG_IGN);
	if (options_parse(&o, argc, argv, &err)) {
		if (o.version) {
			printf("vgpu-stub-xen %s\n", VGPU_VERSION);
			ret = EXIT_SUCCESS;
		} else {
			ret = run(&o, &err);
		}
	}
	if (err)
		fprintf(stderr, "vgpu-stub-xen: %s\n", err->message);
	g_clear_error(&err);
	options_free(&o);
	return ret;
}
