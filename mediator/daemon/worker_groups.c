/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A control group (version 2) for the workers of each tenant. */
#include "worker_groups.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

#include "confinement.h"
#include "control.h"
#include "log.h"
#include "tenant.h"
#include "worker_memory.h"

#define MOUNT "/sys/fs/cgroup"

/* What gpu_mediator.service calls the group that the daemon itself is in. */
#define OWN_GROUP "/daemon"

/* What a tenant's group is called, before its name. */
#define PREFIX "tenant-"

#define SWAP "memory.swap.max"

/* Files of this kind are written to by one write() and never made. */
static int write_file(const char *dir, const char *name, const char *text)
{
	char *path = g_build_filename(dir, name, NULL);
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : write(fd, text, strlen(text));
	int err = n < 0 ? -errno : 0;

	if (fd >= 0)
		close(fd);
	g_free(path);
	return err;
}

/* The parent of our own group, if that is as our unit has it; the caller frees it. */
static char *find_delegated(void)
{
	char *text = NULL, *line, *found = NULL;

	if (!g_file_get_contents("/proc/self/cgroup", &text, NULL, NULL))
		return NULL;
	line = g_str_has_prefix(text, "0::") ? text : strstr(text, "\n0::");
	if (line) {
		char *path = strstr(line, "0::") + strlen("0::");

		path[strcspn(path, "\n")] = '\0';
		if (g_str_has_suffix(path, OWN_GROUP)) {
			path[strlen(path) - strlen(OWN_GROUP)] = '\0';
			found = g_build_filename(MOUNT, path, NULL);
		}
	}
	g_free(text);
	return found;
}

/* What an administrator can do about it. */
static const char *hint_of(const char *group, int err)
{
	char *path = g_build_filename(group, "cgroup.subtree_control", NULL);
	const bool is_group = g_file_test(path, G_FILE_TEST_EXISTS);

	g_free(path);
	if (!is_group)
		return "it is no control group of version 2; is cgroup2 mounted there, and the "
		       "group made?";
	if (err == -ENOENT)
		return "it does not have the controller; write +memory +pids to "
		       "cgroup.subtree_control of the group above it";
	return err == -EBUSY ? "a process is in it, and it may have none itself" : g_strerror(-err);
}

static bool has_controllers(const char *group, GError **err)
{
	static const char *const wanted[] = {"memory", "pids"};

	for (size_t i = 0; i < G_N_ELEMENTS(wanted); i++) {
		char *word = g_strdup_printf("+%s", wanted[i]);
		int ret = write_file(group, "cgroup.subtree_control", word);

		g_free(word);
		if (ret) {
			g_set_error(err, G_FILE_ERROR, g_file_error_from_errno(-ret),
				    "%s: controller %s cannot be used: %s", group, wanted[i],
				    hint_of(group, ret));
			return false;
		}
	}
	return true;
}

/* Groups of tenants that are no more; one with a worker in it cannot be removed. */
static void sweep(const char *groups)
{
	GDir *dir = g_dir_open(groups, 0, NULL);
	const char *name;

	while (dir && (name = g_dir_read_name(dir))) {
		char *path = g_build_filename(groups, name, NULL);

		if (g_str_has_prefix(name, PREFIX))
			g_rmdir(path);
		g_free(path);
	}
	if (dir)
		g_dir_close(dir);
}

void worker_groups_open(struct daemon *d)
{
	GError *err = NULL;

	d->groups =
		d->config->worker_cgroup ? g_strdup(d->config->worker_cgroup) : find_delegated();
	if (d->groups && has_controllers(d->groups, &err)) {
		log_info(NULL, "tenants have control groups in %s", d->groups);
		sweep(d->groups);
		return;
	}
	log_warning(NULL, "tenants have no limits of host memory and processes: %s",
		    err ? err->message
			: "[worker] cgroup is not set, and the daemon is not in a control group "
			  "called daemon, whose parent would be delegated to it");
	g_clear_error(&err);
	confinement_missing(d, CTL_CONFINED_CGROUP);
	g_clear_pointer(&d->groups, g_free);
}

void worker_groups_close(struct daemon *d)
{
	if (d->groups)
		sweep(d->groups);
	g_clear_pointer(&d->groups, g_free);
}

char *worker_group_of(const struct tenant *t)
{
	char *name = t->d->groups ? g_strdup_printf(PREFIX "%s", t->name) : NULL;
	char *path = name ? g_build_filename(t->d->groups, name, NULL) : NULL;

	g_free(name);
	return path;
}

static void set_limit(const char *group, const char *name, uint64_t value)
{
	char *text = value == POLICY_NO_LIMIT ? g_strdup("max")
					      : g_strdup_printf("%" G_GUINT64_FORMAT, value);
	int ret = write_file(group, name, text);

	/* A kernel without swap has no limit of it. */
	if (ret && !(ret == -ENOENT && strcmp(name, SWAP) == 0))
		log_warning(NULL, "%s/%s: cannot be set to %s: %s", group, name, text,
			    g_strerror(-ret));
	g_free(text);
}

/*
 * Swap comes first: who is over a new limit of memory would go there.  That
 * would be no limit at all, only a slow host.  The kernel does not return from
 * setting memory.max below what is in use until that has been given back or a
 * worker killed for it, which is a matter of milliseconds.
 */
static void set_limits(const struct tenant *t, const char *group)
{
	const uint64_t memory = policy_host_memory(t->policy);

	set_limit(group, SWAP, memory == POLICY_NO_LIMIT ? POLICY_NO_LIMIT : 0);
	set_limit(group, "memory.max", memory);
	set_limit(group, "pids.max", policy_host_processes(t->policy));
}

void worker_group_limits(const struct tenant *t)
{
	char *group = worker_group_of(t);

	if (group && g_file_test(group, G_FILE_TEST_IS_DIR))
		set_limits(t, group);
	g_free(group);
}

bool worker_group_is_full(const struct tenant *t)
{
	char *group = worker_group_of(t);
	char *path = group ? g_build_filename(group, "pids.current", NULL) : NULL;
	char *text = NULL;
	bool full = false;

	/* The kernel asks it when a process makes another, not when one comes from elsewhere. */
	if (path && g_file_get_contents(path, &text, NULL, NULL))
		full = g_ascii_strtoull(text, NULL, 10) >= policy_host_processes(t->policy);
	g_free(text);
	g_free(path);
	g_free(group);
	return full;
}

int worker_group_enter(struct tenant *t, pid_t pid)
{
	char *group = worker_group_of(t);
	char text[32];
	int ret;

	if (!group)
		return 0;
	g_mkdir(group, 0755); /* it may be there, from a worker or a daemon before */
	set_limits(t, group);
	worker_memory_begin(t);
	g_snprintf(text, sizeof(text), "%d", (int)pid);
	ret = write_file(group, "cgroup.procs", text);
	/* One that has ended meanwhile needs none. */
	if (ret && ret != -ESRCH) {
		log_warning(NULL, "%s: a worker cannot be put there: %s", group, g_strerror(-ret));
		confinement_missing(t->d, CTL_CONFINED_CGROUP);
	}
	g_free(group);
	return ret == -ESRCH ? 0 : ret;
}

void worker_group_remove(const struct tenant *t)
{
	char *group = worker_group_of(t);

	if (group)
		g_rmdir(group); /* one whose workers live on stays for the next daemon */
	g_free(group);
}
