/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Giving up what serving a guest does not need. */
#include "confine.h"

#include <errno.h>
#include <grp.h>
#include <sched.h>
#include <seccomp.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "sanitized.h"

/* Three descriptors for each of 256 queues, and what one message may bring. */
#define FILES_MAX 1024

/* What the main loop, the socket, eventfds, mappings and Xen's three handles take. */
static const int allowed[] = {
	SCMP_SYS(brk),
	SCMP_SYS(clock_gettime),
	SCMP_SYS(clock_nanosleep),
	SCMP_SYS(close),
	SCMP_SYS(connect),
	SCMP_SYS(dup),
	SCMP_SYS(eventfd2),
	SCMP_SYS(exit),
	SCMP_SYS(exit_group),
	SCMP_SYS(fcntl),
	SCMP_SYS(fstat),
	SCMP_SYS(futex),
	SCMP_SYS(getpid),
	SCMP_SYS(getrandom),
	SCMP_SYS(gettid),
	SCMP_SYS(gettimeofday),
	SCMP_SYS(ioctl),
	SCMP_SYS(lseek),
	SCMP_SYS(madvise),
	SCMP_SYS(mmap),
	SCMP_SYS(mprotect),
	SCMP_SYS(mremap),
	SCMP_SYS(munmap),
	SCMP_SYS(nanosleep),
	SCMP_SYS(newfstatat),
	SCMP_SYS(poll),
	SCMP_SYS(ppoll),
	SCMP_SYS(read),
	SCMP_SYS(recvfrom),
	SCMP_SYS(recvmsg),
	SCMP_SYS(restart_syscall),
	SCMP_SYS(rt_sigaction),
	SCMP_SYS(rt_sigprocmask),
	SCMP_SYS(rt_sigreturn),
	SCMP_SYS(sendmsg),
	SCMP_SYS(sendto),
	SCMP_SYS(shutdown),
	SCMP_SYS(tgkill),
	SCMP_SYS(write),
	SCMP_SYS(writev),
};

static bool fail(GError **err, const char *what, int code)
{
	g_set_error(err, G_FILE_ERROR, g_file_error_from_errno(code), "%s: %s", what,
		    g_strerror(code));
	return false;
}

static bool limit(int resource, rlim_t value, const char *what, GError **err)
{
	const struct rlimit r = {value, value};

	return setrlimit(resource, &r) == 0 || fail(err, what, errno);
}

/* Where a kernel or a container has no such namespaces, the rest must do. */
static void leave_namespaces(void)
{
	unshare(CLONE_NEWNET);
	unshare(CLONE_NEWIPC);
	unshare(CLONE_NEWNS);
}

static bool change_root(const char *root, GError **err)
{
	if (chroot(root) < 0 || chdir("/") < 0)
		return fail(err, "cannot change the root directory", errno);
	return true;
}

static bool change_user(const struct confinement *c, GError **err)
{
	const bool more = c->socket_gid != (gid_t)-1;

	if (setgroups(more, &c->socket_gid) < 0 || setresgid(c->gid, c->gid, c->gid) < 0 ||
	    setresuid(c->uid, c->uid, c->uid) < 0)
		return fail(err, "cannot change the user", errno);
	if (setuid(0) == 0) {
		errno = EPERM;
		return fail(err, "the privileges could be taken back", errno);
	}
	return true;
}

/* Sockets of other families, and memory that can be run, are nothing to us. */
static int add_rules(scmp_filter_ctx filter)
{
	int err = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(socket), 1,
				   SCMP_A0(SCMP_CMP_EQ, AF_UNIX));

	for (size_t i = 0; i < G_N_ELEMENTS(allowed) && !err; i++)
		err = seccomp_rule_add(filter, SCMP_ACT_ALLOW, allowed[i], 0);
	return err;
}

static bool filter_calls(GError **err)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
	int ret = filter ? add_rules(filter) : -ENOMEM;

	if (!ret)
		ret = seccomp_load(filter);
	if (filter)
		seccomp_release(filter);
	return !ret || fail(err, "the filter of system calls cannot be loaded", -ret);
}

bool confine(const struct confinement *c, GError **err)
{
	leave_namespaces();
	if (!change_root(c->root, err) || !change_user(c, err))
		return false;
	if (!limit(RLIMIT_CORE, 0, "RLIMIT_CORE", err) ||
	    !limit(RLIMIT_NOFILE, FILES_MAX, "RLIMIT_NOFILE", err) ||
	    !limit(RLIMIT_NPROC, 0, "RLIMIT_NPROC", err))
		return false;
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return fail(err, "cannot forbid new privileges", errno);
	return SANITIZED || filter_calls(err);
}

char *confine_path(const char *root, const char *path)
{
	size_t n = strlen(root);

	while (n && root[n - 1] == '/')
		n--;
	if (strncmp(path, root, n) != 0 || path[n] != '/')
		return NULL;
	return g_strdup(path + n);
}
