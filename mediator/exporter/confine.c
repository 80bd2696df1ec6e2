/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The exporter gives up what it does not need. */
#include "confine.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#if VGPU_HAVE_SECCOMP
#include <seccomp.h>
#endif

#include "sanitized.h"

#define FILES_MAX 64

static bool fail(GError **err, const char *what, int code)
{
	g_set_error(err, G_FILE_ERROR, g_file_error_from_errno(code), "cannot %s: %s", what,
		    g_strerror(code));
	return false;
}

bool confine_user(const char *user, GError **err)
{
	const struct passwd *pw = user ? getpwnam(user) : NULL;

	if (!user)
		return true;
	if (!pw)
		return fail(err, "find the user", ENOENT);
	if (pw->pw_uid == geteuid())
		return true;
	if (setgroups(0, NULL) < 0 || setresgid(pw->pw_gid, pw->pw_gid, pw->pw_gid) < 0 ||
	    setresuid(pw->pw_uid, pw->pw_uid, pw->pw_uid) < 0)
		return fail(err, "become the user", errno);
	return true;
}

#if VGPU_HAVE_SECCOMP
/*
 * What serving takes: sockets, memory, time, threads that wait for each other,
 * and what a thread does first, as ours may not have come so far yet.
 */
static const int calls[] = {
	SCMP_SYS(accept4),       SCMP_SYS(brk),
	SCMP_SYS(clock_gettime), SCMP_SYS(clock_nanosleep),
	SCMP_SYS(close),         SCMP_SYS(connect),
	SCMP_SYS(epoll_ctl),     SCMP_SYS(epoll_pwait),
	SCMP_SYS(epoll_wait),    SCMP_SYS(exit),
	SCMP_SYS(exit_group),    SCMP_SYS(fcntl),
	SCMP_SYS(fstat),         SCMP_SYS(futex),
	SCMP_SYS(getpeername),   SCMP_SYS(getpid),
	SCMP_SYS(getrandom),     SCMP_SYS(getsockname),
	SCMP_SYS(getsockopt),    SCMP_SYS(gettid),
	SCMP_SYS(gettimeofday),  SCMP_SYS(madvise),
	SCMP_SYS(mmap),          SCMP_SYS(mprotect),
	SCMP_SYS(mremap),        SCMP_SYS(munmap),
	SCMP_SYS(newfstatat),    SCMP_SYS(poll),
	SCMP_SYS(ppoll),         SCMP_SYS(pselect6),
	SCMP_SYS(read),          SCMP_SYS(recvfrom),
	SCMP_SYS(recvmsg),       SCMP_SYS(restart_syscall),
	SCMP_SYS(rt_sigaction),  SCMP_SYS(rt_sigprocmask),
	SCMP_SYS(rseq),          SCMP_SYS(set_robust_list),
	SCMP_SYS(rt_sigreturn),  SCMP_SYS(rt_sigtimedwait),
	SCMP_SYS(sched_yield),   SCMP_SYS(select),
	SCMP_SYS(sendmsg),       SCMP_SYS(sendto),
	SCMP_SYS(setsockopt),    SCMP_SYS(shutdown),
	SCMP_SYS(tgkill),        SCMP_SYS(time),
	SCMP_SYS(unlink),        SCMP_SYS(write),
	SCMP_SYS(writev),
};

static int filter(void)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	int ret = ctx ? 0 : -ENOMEM;

	for (size_t i = 0; !ret && i < G_N_ELEMENTS(calls); i++)
		ret = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, calls[i], 0);
	/* The daemon's socket, and no network. */
	if (!ret)
		ret = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(socket), 1,
				       SCMP_A0(SCMP_CMP_EQ, AF_UNIX));
	if (!ret)
		ret = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_TSYNC, 1);
	if (!ret)
		ret = seccomp_load(ctx);
	if (ctx)
		seccomp_release(ctx);
	return ret;
}
#endif

bool confine(GError **err)
{
	const struct rlimit files = {FILES_MAX, FILES_MAX}, none = {0, 0};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_DUMPABLE, 0) < 0 ||
	    setrlimit(RLIMIT_NOFILE, &files) < 0 || setrlimit(RLIMIT_CORE, &none) < 0)
		return fail(err, "give up privileges", errno);
#if VGPU_HAVE_SECCOMP
	/* A sanitizer does more than we do. */
	if (!SANITIZED) {
		int ret = filter();

		if (ret < 0)
			return fail(err, "filter system calls", -ret);
	}
#endif
	return true;
}
