/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What workers are to give up, and what of that could not be had on this host. */
#include "confinement.h"

#include "control.h"
#include "worker_users.h"

static const struct {
	const char *name;
	const char *words;
} parts[] = {
	{"user", "they have the daemon's user: it must be root, and [worker] uid-base or user set"},
	{"capabilities", "they keep capabilities"},
	{"namespaces", "they share network, IPC and host name with the host"},
	{"root", "they see the host's file system"},
	{"system-calls", "they have all system calls: the kernel has no filters, or this was "
			 "built without libseccomp or with a sanitizer"},
	{"cgroup", "they have no control group, so a tenant has no limit of host memory"},
};

_Static_assert(CTL_CONFINED_ALL == (1u << G_N_ELEMENTS(parts)) - 1, "each part has a name");

const char *confinement_part(guint bit)
{
	return bit < G_N_ELEMENTS(parts) ? parts[bit].name : NULL;
}

void confinement_missing(struct daemon *d, uint32_t missing)
{
	for (guint i = 0; i < G_N_ELEMENTS(parts); i++) {
		if (missing & ~d->unconfined & 1u << i)
			log_warning(NULL, "workers are less confined than they could be: %s",
				    parts[i].words);
	}
	d->unconfined |= missing & CTL_CONFINED_ALL;
}

static char *numbers(const GArray *gids)
{
	GString *s = g_string_new(NULL);

	for (guint i = 0; i < gids->len; i++)
		g_string_append_printf(s, "%s%u", i ? "," : "", g_array_index(gids, gid_t, i));
	return g_string_free(s, FALSE);
}

static void add_user(const struct config *c, uid_t uid, gid_t gid, guint processes, GPtrArray *argv)
{
	g_ptr_array_add(argv, g_strdup_printf("--uid=%u", uid));
	g_ptr_array_add(argv, g_strdup_printf("--gid=%u", gid));
	if (c->worker_user)
		return;
	/* Nobody asked for it by name, and its processes are those of the tenant alone. */
	g_ptr_array_add(argv, g_strdup("--try-user"));
	g_ptr_array_add(argv, g_strdup_printf("--processes=%u", processes));
}

bool confinement_arguments(struct daemon *d, const char *tenant, guint processes, GPtrArray *argv,
			   GError **err)
{
	const struct config *c = d->config;
	char *groups = numbers(c->worker_gids);
	uid_t uid;
	gid_t gid;
	bool ok = worker_user_of(d, tenant, &uid, &gid, err);

	g_ptr_array_add(argv, g_strdup_printf("--runtime-dir=%s", c->runtime_dir));
	g_ptr_array_add(argv, g_strdup_printf("--confine=%s", c->worker_confine));
	if (ok && uid != (uid_t)-1)
		add_user(c, uid, gid, processes, argv);
	if (*groups)
		g_ptr_array_add(argv, g_strdup_printf("--groups=%s", groups));
	if (c->worker_visible)
		g_ptr_array_add(argv, g_strdup_printf("--visible=%s", c->worker_visible));
	g_free(groups);
	return ok;
}
