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

#define MOUNT "/sys/fs/cgroup"

/* What gpu_mediator.service calls the group that the daemon itself is in. */
#define OWN_GROUP "/daemon"

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

static bool has_controllers(const char *group, GError **err)
{
	static const char *const wanted[] = {"memory", "pids"};

	for (size_t i = 0; i < G_N_ELEMENTS(wanted); i++) {
		char *word = g_strdup_printf("+%s", wanted[i]);
		int ret = write_file(group, "cgroup.subtree_control", word);

		g_free(word);
		if (ret) {
			g_set_error(err, G_FILE_ERROR, g_file_error_from_errno(-ret),
				    "%s: controller %s: %s", group, wanted[i], g_strerror(-ret));
			return false;
		}
	}
	return true;
}

void worker_groups_open(struct daemon *d)
{
	GError *err = NULL;

	d->groups =
		d->config->worker_cgroup ? g_strdup(d->config->worker_cgroup) : find_delegated();
	if (d->groups && has_controllers(d->groups, &err)) {
		log_info(NULL, "tenants have control groups in %s", d->groups);
		return;
	}
	log_info(NULL, "tenants have no limits of host memory and processes: %s",
		 err ? err->message : "no control group is delegated");
	g_clear_error(&err);
	confinement_missing(d, CTL_CONFINED_CGROUP);
	g_clear_pointer(&d->groups, g_free);
}

void worker_groups_close(struct daemon *d)
{
	g_clear_pointer(&d->groups, g_free);
}

static char *group_of(const struct tenant *t)
{
	char *name = t->d->groups ? g_strdup_printf("tenant-%s", t->name) : NULL;
	char *path = name ? g_build_filename(t->d->groups, name, NULL) : NULL;

	g_free(name);
	return path;
}

static void set_limit(const char *group, const char *name, uint64_t value)
{
	char *text = value == POLICY_NO_LIMIT ? g_strdup("max")
					      : g_strdup_printf("%" G_GUINT64_FORMAT, value);
	int ret = write_file(group, name, text);

	if (ret)
		log_warning(NULL, "%s/%s: cannot be set to %s: %s", group, name, text,
			    g_strerror(-ret));
	g_free(text);
}

static void set_limits(const struct tenant *t, const char *group)
{
	set_limit(group, "memory.max", policy_host_memory(t->policy));
	set_limit(group, "pids.max", policy_host_processes(t->policy));
}

void worker_group_limits(const struct tenant *t)
{
	char *group = group_of(t);

	if (group && g_file_test(group, G_FILE_TEST_IS_DIR))
		set_limits(t, group);
	g_free(group);
}

void worker_group_enter(struct tenant *t, pid_t pid)
{
	char *group = group_of(t);
	char text[32];
	int ret;

	if (!group)
		return;
	g_mkdir(group, 0755); /* it may be there, from a daemon before us */
	set_limits(t, group);
	g_snprintf(text, sizeof(text), "%d", (int)pid);
	ret = write_file(group, "cgroup.procs", text);
	if (ret) {
		log_warning(NULL, "%s: a worker cannot be put there: %s", group, g_strerror(-ret));
		confinement_missing(t->d, CTL_CONFINED_CGROUP);
	}
	g_free(group);
}

void worker_group_remove(const struct tenant *t)
{
	char *group = group_of(t);

	if (group)
		g_rmdir(group); /* one whose workers live on stays for the next daemon */
	g_free(group);
}
