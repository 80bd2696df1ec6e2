/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Giving up what a worker does not need. */
#include "confine.h"

#include <errno.h>
#include <grp.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "sanitized.h"

/* A worker has about 45 fds at most of its own (32 regions pass through); drivers open more. */
#define FILES_MAX 1024

static bool fail(GError **err, const char *what)
{
	int code = errno;

	g_set_error(err, G_FILE_ERROR, g_file_error_from_errno(code), "%s: %s", what,
		    g_strerror(code));
	return false;
}

static bool limit(int resource, rlim_t value, GError **err, const char *what)
{
	struct rlimit now;

	if (getrlimit(resource, &now) < 0)
		return fail(err, what);
	if (now.rlim_max != RLIM_INFINITY && now.rlim_max < value)
		value = now.rlim_max;
	now.rlim_cur = now.rlim_max = value;
	return setrlimit(resource, &now) == 0 || fail(err, what);
}

static bool change_user(const struct confinement *c, GError **err)
{
	if (c->uid == (uid_t)-1 || c->uid == geteuid())
		return true;
	if (setgroups(0, NULL) < 0 || setresgid(c->gid, c->gid, c->gid) < 0 ||
	    setresuid(c->uid, c->uid, c->uid) < 0)
		return fail(err, "cannot become the worker's user (the daemon must be root for "
				 "that)");
	return true;
}

bool confine(const struct confinement *c, GError **err)
{
	setpgid(0, 0); /* the daemon has done it already; harmless twice */
	if (!limit(RLIMIT_CORE, 0, err, "RLIMIT_CORE") ||
	    !limit(RLIMIT_NOFILE, FILES_MAX, err, "RLIMIT_NOFILE"))
		return false;
	if (!change_user(c, err))
		return false;
	if (!SANITIZED && !c->may_thread && !limit(RLIMIT_NPROC, 0, err, "RLIMIT_NPROC"))
		return false;
	if (!SANITIZED && prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return fail(err, "PR_SET_DUMPABLE");
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return fail(err, "PR_SET_NO_NEW_PRIVS");
	return true;
}
