/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Giving up what a worker does not need. */
#include "confine.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
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

/* Something could not be had: is that an error? */
static bool miss(const struct confinement *c, uint32_t what, uint32_t *missing, GError **err,
		 const char *words)
{
	*missing |= what;
	return c->mode != CONFINE_REQUIRE || fail(err, words);
}

/* A network without a device, no one else's shared memory, semaphores and host name. */
static bool leave_namespaces(const struct confinement *c, uint32_t *missing, GError **err)
{
	static const int others[] = {CLONE_NEWNET, CLONE_NEWIPC, CLONE_NEWUTS};

	for (size_t i = 0; i < G_N_ELEMENTS(others); i++) {
		if (unshare(others[i]) < 0 && !miss(c, CTL_CONFINED_NAMESPACES, missing, err,
						    "namespaces of its own cannot be had"))
			return false;
	}
	return true;
}

static bool leave_root(const struct confinement *c, uint32_t *missing, GError **err)
{
	int ret = -EOPNOTSUPP;

	/* A sanitizer reads /proc when it reports, and looks its symbols up. */
	if (c->root && !SANITIZED)
		ret = unshare(CLONE_NEWNS) < 0 ? -errno : confine_root(c);
	errno = -ret;
	return !ret || miss(c, CTL_CONFINED_ROOT, missing, err,
			    "a root directory of its own cannot be had");
}

/* Nothing that is executed later, by whomever it belongs to, has a capability again. */
static bool drop_bounding(void)
{
	for (unsigned long cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++) {
		if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0)
			return false;
	}
	return true;
}

static bool drop_capabilities(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {0};

	return syscall(SYS_capset, &header, none) == 0;
}

static bool become(const struct confinement *c)
{
	return setgroups(c->ngroups, c->group) == 0 && setresgid(c->gid, c->gid, c->gid) == 0 &&
	       setresuid(c->uid, c->uid, c->uid) == 0;
}

static bool change_user(const struct confinement *c, GError **err)
{
	if (c->uid == (uid_t)-1 || c->uid == geteuid())
		return true;
	if (!become(c))
		return (c->try_user && c->mode == CONFINE_TRY) ||
		       fail(err, "cannot become the worker's user (the daemon must be root for "
				 "that, and the user within its user namespace)");
	if (setuid(0) == 0) {
		errno = EPERM;
		return fail(err, "the worker could become root again");
	}
	return true;
}

/* Root, here or in the user namespace that it is in. */
static bool is_root(void)
{
	return geteuid() == 0;
}

/* The order matters: each step takes something away that those before it need. */
static bool give_up(const struct confinement *c, uint32_t *missing, GError **err)
{
	bool bounded = !is_root(); /* who is not cannot, and no new privileges must do */

	if (!leave_namespaces(c, missing, err) || !leave_root(c, missing, err))
		return false;
	bounded = drop_bounding() || bounded;
	if (!change_user(c, err))
		return false;
	if ((!drop_capabilities() || !bounded) &&
	    !miss(c, CTL_CONFINED_CAPABILITIES, missing, err, "capabilities cannot be given up"))
		return false;
	errno = EPERM;
	return (c->uid != (uid_t)-1 && geteuid() == c->uid) ||
	       miss(c, CTL_CONFINED_USER, missing, err, "it has the daemon's user");
}

static bool filter_calls(const struct confinement *c, uint32_t *missing, GError **err)
{
	/* A sanitizer does more than we do, above all when it reports. */
	int ret = SANITIZED ? -EOPNOTSUPP : confine_calls(c);

	errno = -ret;
	return !ret || miss(c, CTL_CONFINED_CALLS, missing, err,
			    "the filter of system calls cannot be loaded");
}

static bool limit_threads(const struct confinement *c, GError **err)
{
	if (SANITIZED)
		return true;
	if (!c->may_thread)
		return limit(RLIMIT_NPROC, 0, err, "RLIMIT_NPROC");
	return c->processes == RLIM_INFINITY ||
	       limit(RLIMIT_NPROC, c->processes, err, "RLIMIT_NPROC");
}

bool confine(const struct confinement *c, uint32_t *missing, GError **err)
{
	const bool on = c->mode != CONFINE_OFF;

	*missing = on ? 0 : CTL_CONFINED_ALL & ~(uint32_t)CTL_CONFINED_CGROUP;
	setpgid(0, 0); /* the daemon has done it already; harmless twice */
	if (!limit(RLIMIT_CORE, 0, err, "RLIMIT_CORE") ||
	    !limit(RLIMIT_NOFILE, FILES_MAX, err, "RLIMIT_NOFILE"))
		return false;
	if (on ? !give_up(c, missing, err) : !change_user(c, err))
		return false;
	if (!limit_threads(c, err))
		return false;
	/* Another user's is not dumpable already, and a sanitizer needs it to be. */
	if (prctl(PR_SET_DUMPABLE, SANITIZED, 0, 0, 0) < 0)
		return fail(err, "PR_SET_DUMPABLE");
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return fail(err, "PR_SET_NO_NEW_PRIVS");
	return !on || filter_calls(c, missing, err);
}
