/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Who is at the other end of the control socket. */
#include "control_peer.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tenant.h"

/* Linux 4.13; older headers do not name it. */
#ifndef SO_PEERGROUPS
#define SO_PEERGROUPS 59
#endif

#define GROUPS_MAX 65536u

static int read_groups(struct control_peer *p, int fd)
{
	socklen_t size = 64 * sizeof(gid_t);

	g_array_set_size(p->groups, 64);
	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, p->groups->data, &size) < 0) {
		if (errno != ERANGE || size > GROUPS_MAX * sizeof(gid_t))
			return -errno;
		g_array_set_size(p->groups, size / sizeof(gid_t));
		if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, p->groups->data, &size) < 0)
			return -errno;
	}
	g_array_set_size(p->groups, size / sizeof(gid_t));
	return 0;
}

int control_peer_read(struct control_peer *p, int fd)
{
	struct ucred c;
	socklen_t size = sizeof(c);

	*p = (struct control_peer){.uid = (uid_t)-1,
				   .groups = g_array_new(FALSE, FALSE, sizeof(gid_t))};
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &c, &size) < 0)
		return -errno;
	p->uid = c.uid;
	p->gid = c.gid;
	p->pid = c.pid;
	return read_groups(p, fd);
}

void control_peer_clear(struct control_peer *p)
{
	if (p->groups)
		g_array_free(p->groups, TRUE);
	p->groups = NULL;
}

static bool has_uid(const GArray *uids, uid_t uid)
{
	for (guint i = 0; i < uids->len; i++) {
		if (g_array_index(uids, uid_t, i) == uid)
			return true;
	}
	return false;
}

static bool is_in_group(const struct control_peer *p, gid_t gid)
{
	if (gid == (gid_t)-1)
		return false;
	for (guint i = 0; i < p->groups->len; i++) {
		if (g_array_index(p->groups, gid_t, i) == gid)
			return true;
	}
	return p->gid == gid;
}

static enum control_role role_by_tenants(const struct control_peer *p, const struct daemon *d)
{
	enum control_role role = CONTROL_NOBODY;
	GHashTableIter iter;
	gpointer value;

	g_hash_table_iter_init(&iter, d->tenants);
	while (g_hash_table_iter_next(&iter, NULL, &value)) {
		const struct tenant *t = value;

		if (t->removed || !t->policy || t->policy->owner == (uid_t)-1 ||
		    t->policy->owner != p->uid)
			continue;
		if (t->policy->classes & POLICY_ADMIN)
			return CONTROL_ADMIN;
		role = CONTROL_OWNER;
	}
	return role;
}

enum control_role control_peer_role(const struct control_peer *p, const struct daemon *d)
{
	const struct config *c = d->config;
	enum control_role role;

	/* Who is the daemon's own user can do with it as it likes, anyhow. */
	if (p->uid == 0 || p->uid == geteuid() || has_uid(c->admin_uids, p->uid) ||
	    is_in_group(p, c->admin_gid))
		return CONTROL_ADMIN;
	role = role_by_tenants(p, d);
	return role < CONTROL_MONITOR && has_uid(c->monitor_uids, p->uid) ? CONTROL_MONITOR : role;
}

bool control_peer_sees(const struct control_peer *p, const struct daemon *d, const char *tenant)
{
	const struct tenant *t = tenant ? g_hash_table_lookup(d->tenants, tenant) : NULL;
	enum control_role role = control_peer_role(p, d);

	if (role >= CONTROL_MONITOR)
		return true;
	return role == CONTROL_OWNER && t && !t->removed && t->policy->owner == p->uid;
}
