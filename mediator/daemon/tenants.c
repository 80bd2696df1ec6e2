/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Who a connection is. */
#include "tenants.h"

#include <string.h>

#include "client.h"
#include "tenants_priv.h"

/* What tenants without a policy are called; no file can have such a name. */
#define OPEN_PREFIX "open:"

struct tenant *tenants_find(struct daemon *d, const char *name)
{
	return g_hash_table_lookup(d->tenants, name);
}

struct tenant *tenants_make(struct daemon *d, const char *name, GError **err)
{
	struct tenant *t = tenants_find(d, name);

	if (t)
		return tenant_ref(t);
	t = tenant_new(d, name, err);
	if (t)
		g_hash_table_insert(d->tenants, t->name, t);
	return t;
}

/* For trying things out: no limits, and one for each virtual machine. */
static struct tenant *make_open(struct daemon *d, const char *name)
{
	struct tenant *t = tenants_make(d, name, NULL);
	struct policy *p;

	if (!t || t->policy)
		return t;
	p = policy_new(name, POLICY_SYSTEM);
	p->classes &= ~(uint32_t)POLICY_ADMIN;
	p->memory = POLICY_NO_LIMIT;
	p->sessions = TENANT_SESSIONS_MAX;
	tenant_set_policy(t, p, true);
	return t;
}

/* By what the device says, since nobody is believed anyway; programs without a VM by process. */
static char *open_name(const struct client *c)
{
	static const uint8_t none[sizeof(c->uuid)];
	GString *name = g_string_new(OPEN_PREFIX);

	if (memcmp(c->uuid, none, sizeof(none)) == 0)
		g_string_append_printf(name, "pid-%d", (int)c->peer.pid);
	else
		for (size_t i = 0; i < sizeof(c->uuid) / 2; i++)
			g_string_append_printf(name, "%02x", c->uuid[i]);
	return g_string_free(name, FALSE);
}

const struct policy *tenants_policy_of(const struct policy_set *set, const struct client *c)
{
	/* A socket of its own is for its tenant alone, whoever connects there. */
	return c->via ? policy_set_by_socket(set, c->via) : policy_set_by_uid(set, c->peer.uid);
}

static void explain(const struct client *c, char reason[VGPU_REASON_MAX])
{
	g_snprintf(reason, VGPU_REASON_MAX,
		   "no tenant: the host does not know user %u; its administrator must name it in "
		   "a tenant's file (users=%u) or give the VM a socket of its own",
		   c->peer.uid, c->peer.uid);
}

struct tenant *tenants_identify(struct client *c, char reason[VGPU_REASON_MAX])
{
	struct daemon *d = c->d;
	const struct policy *p = tenants_policy_of(d->policies, c);
	struct tenant *t;
	char *name;

	if (p)
		return tenant_ref(tenants_find(d, p->name));
	if (!d->config->tenants_open) {
		explain(c, reason);
		return NULL;
	}
	name = open_name(c);
	t = make_open(d, name);
	g_free(name);
	if (!t)
		g_strlcpy(reason, "the host has no memory for another tenant", VGPU_REASON_MAX);
	return t;
}

struct tenant *tenants_again(struct daemon *d, const char *name)
{
	if (policy_set_find(d->policies, name))
		return tenant_ref(tenants_find(d, name));
	if (d->config->tenants_open && g_str_has_prefix(name, OPEN_PREFIX))
		return make_open(d, name);
	return NULL;
}

static void close_listener(gpointer data)
{
	listener_free(data);
}

void tenants_init(struct daemon *d)
{
	d->tenants = g_hash_table_new(g_str_hash, g_str_equal);
	d->policies = policy_set_new();
	d->own_sockets = g_ptr_array_new_with_free_func(close_listener);
}
