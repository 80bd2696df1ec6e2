/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From one set of policies to another, at start and at each reload: what can
 * fail comes first and can be taken back, what cannot comes then.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "audit.h"
#include "call.h"
#include "client.h"
#include "session.h"
#include "tenants_priv.h"

/* A socket that stays but is to look different. */
struct relook {
	struct listener *listener;
	struct listener_look before;
};

struct tenants_change {
	struct daemon *d;
	struct policy_set *set;
	GPtrArray *tenants; /* a reference for each policy, in their order */
	GPtrArray *sockets; /* struct listener, made for this change */
	GArray *relooks;    /* struct relook, what was done already */
};

static struct listener_look look_of(const struct policy *p)
{
	return (struct listener_look){p->socket_mode, p->socket_uid, p->socket_gid};
}

static struct listener *find_socket(const struct daemon *d, const char *path)
{
	for (guint i = 0; i < d->own_sockets->len; i++) {
		struct listener *l = g_ptr_array_index(d->own_sockets, i);

		if (strcmp(l->path, path) == 0)
			return l;
	}
	return NULL;
}

/* What "as it is" meant when the socket was made: the daemon's own. */
static struct listener_look settle(struct listener_look look)
{
	if (look.uid == (uid_t)-1)
		look.uid = geteuid();
	if (look.gid == (gid_t)-1)
		look.gid = getegid();
	return look;
}

static bool change_look(struct tenants_change *c, struct listener *l, const struct policy *p,
			GError **err)
{
	const struct policy *old = policy_set_by_socket(c->d->policies, p->socket);
	struct relook r = {l, settle(look_of(old))};
	struct listener_look look = settle(look_of(p));

	if (look.mode == r.before.mode && look.uid == r.before.uid && look.gid == r.before.gid)
		return true;
	g_array_append_val(c->relooks, r);
	return listener_set_look(l, &look, err);
}

static bool prepare_socket(struct tenants_change *c, const struct policy *p, GError **err)
{
	struct daemon *d = c->d;
	const struct listener_look look = look_of(p);
	struct listener *l = find_socket(d, p->socket);

	if (l)
		return change_look(c, l, p, err);
	if (strcmp(p->socket, d->config->socket_path) == 0) {
		g_set_error(err, G_KEY_FILE_ERROR, G_KEY_FILE_ERROR_INVALID_VALUE,
			    "%s: [tenant] socket: %s is the one that all share; say users= to be "
			    "known there, or give it another path",
			    p->path, p->socket);
		return false;
	}
	l = listener_new(d, p->socket, &look, err);
	if (l)
		g_ptr_array_add(c->sockets, l);
	else
		g_prefix_error(err, "%s: [tenant] socket: ", p->path);
	return l != NULL;
}

static bool prepare_one(struct tenants_change *c, const struct policy *p, GError **err)
{
	struct tenant *t = tenants_make(c->d, p->name, err);

	if (!t)
		return false;
	g_ptr_array_add(c->tenants, t);
	return !p->socket || prepare_socket(c, p, err);
}

struct tenants_change *tenants_prepare(struct daemon *d, const struct config *next, GError **err)
{
	struct policy_set *set = policy_set_load(next->tenants_dir, err);
	struct tenants_change *c;

	if (!set)
		return NULL;
	c = g_new0(struct tenants_change, 1);
	c->d = d;
	c->set = set;
	c->tenants = g_ptr_array_new_with_free_func((GDestroyNotify)tenant_unref);
	c->sockets = g_ptr_array_new_with_free_func((GDestroyNotify)listener_free);
	c->relooks = g_array_new(FALSE, FALSE, sizeof(struct relook));
	for (guint i = 0; i < policy_set_count(set); i++) {
		if (!prepare_one(c, policy_set_at(set, i), err)) {
			tenants_abandon(c);
			return NULL;
		}
	}
	return c;
}

static void free_change(struct tenants_change *c)
{
	g_ptr_array_free(c->sockets, TRUE);
	g_ptr_array_free(c->tenants, TRUE);
	g_array_free(c->relooks, TRUE);
	policy_set_free(c->set);
	g_free(c);
}

void tenants_abandon(struct tenants_change *c)
{
	for (guint i = 0; i < c->relooks->len; i++) {
		const struct relook *r = &g_array_index(c->relooks, struct relook, i);

		listener_set_look(r->listener, &r->before, NULL);
	}
	free_change(c);
}

static void audit_change(struct daemon *d, const char *name, const char *what)
{
	const struct audit_about about = {.tenant = name};

	audit_write(d->audit, AUDIT_POLICY_CHANGED, AUDIT_ADMINISTRATOR, &about, NULL, "%s", what);
}

static void close_sockets(struct daemon *d)
{
	for (guint i = d->own_sockets->len; i-- > 0;) {
		struct listener *l = g_ptr_array_index(d->own_sockets, i);

		if (!policy_set_by_socket(d->policies, l->path))
			g_ptr_array_remove_index(d->own_sockets, i);
	}
}

static void open_sockets(struct tenants_change *c)
{
	while (c->sockets->len) {
		struct listener *l = g_ptr_array_steal_index(c->sockets, c->sockets->len - 1);

		g_ptr_array_add(c->d->own_sockets, l);
		listener_watch(l);
		call_devices(l);
	}
}

/* Until the last of it has ended it may do nothing. */
static void remove_tenant(struct daemon *d, const char *name)
{
	struct tenant *t = tenants_find(d, name);
	struct policy *nothing = policy_new(name, POLICY_UNTRUSTED);

	nothing->classes = 0;
	t->removed = true;
	tenant_set_policy(t, nothing, true);
	log_info(NULL, "tenant %s: removed", name);
	audit_change(d, name, "the tenant was removed");
	tenant_unref(t);
}

/* Whoever is not what it was has to come again; so does who is nobody now. */
static void judge_clients(struct daemon *d)
{
	for (guint i = 0; i < d->clients->len; i++) {
		struct client *c = g_ptr_array_index(d->clients, i);
		const struct policy *p = tenants_policy_of(d->policies, c);

		if (!c->tenant || p == c->tenant->policy)
			continue;
		if (p || c->tenant->removed || !c->tenant->own || !d->config->tenants_open)
			client_fail(c, "it is no longer tenant %s", c->tenant->name);
	}
}

static void judge_sessions(struct daemon *d)
{
	GHashTableIter iter;
	gpointer value;

	g_hash_table_iter_init(&iter, d->sessions);
	while (g_hash_table_iter_next(&iter, NULL, &value)) {
		struct session *s = value;

		if (s->tenant && s->tenant->removed)
			session_evict(s, AUDIT_NO_POLICY, -EACCES, "its tenant was removed");
	}
}

void tenants_commit(struct tenants_change *c)
{
	struct daemon *d = c->d;
	struct policy_set *old = d->policies;

	d->policies = g_steal_pointer(&c->set);
	for (guint i = 0; i < c->tenants->len; i++) {
		struct tenant *t = g_ptr_array_index(c->tenants, i);
		const struct policy *p = policy_set_at(d->policies, i);

		if (!t->policy || t->removed)
			audit_change(d, t->name, "the tenant was added");
		else if (!policy_same(t->policy, p))
			audit_change(d, t->name, "its policy is another now");
		t->removed = false;
		tenant_set_policy(t, p, false);
		/* The set has one reference to each of its tenants. */
		if (!policy_set_find(old, t->name))
			tenant_ref(t);
	}
	for (guint i = 0; i < policy_set_count(old); i++) {
		const char *name = policy_set_at(old, i)->name;

		if (!policy_set_find(d->policies, name))
			remove_tenant(d, name);
	}
	open_sockets(c);
	close_sockets(d);
	judge_clients(d);
	judge_sessions(d);
	for (guint i = 0; i < c->tenants->len; i++)
		tenant_shed(g_ptr_array_index(c->tenants, i));
	policy_set_free(old);
	free_change(c);
}

void tenants_close(struct daemon *d)
{
	g_ptr_array_free(d->own_sockets, TRUE);
	for (guint i = 0; i < policy_set_count(d->policies); i++)
		tenant_unref(tenants_find(d, policy_set_at(d->policies, i)->name));
	policy_set_free(d->policies);
	g_hash_table_destroy(d->tenants);
	d->own_sockets = NULL;
	d->policies = NULL;
	d->tenants = NULL;
}
