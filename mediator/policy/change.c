/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One key of a policy that is in force gets another value, by an administrator's command. */
#include <string.h>

#include "keys.h"
#include "policy_priv.h"

static struct policy *copy(const struct policy *p)
{
	struct policy *c = policy_new(p->name, p->level);
	struct policy made = *c;

	*c = *p;
	c->name = made.name;
	c->path = g_strdup(p->path);
	c->socket = g_strdup(p->socket);
	c->uids = made.uids;
	c->gpus = made.gpus;
	g_array_append_vals(c->uids, p->uids->data, p->uids->len);
	g_array_append_vals(c->gpus, p->gpus->data, p->gpus->len);
	return c;
}

static bool same_array(const GArray *a, const GArray *b)
{
	return a->len == b->len &&
	       (!a->len ||
		memcmp(a->data, b->data, a->len * g_array_get_element_size((GArray *)a)) == 0);
}

static bool same_rate(const struct policy_rate *a, const struct policy_rate *b)
{
	return a->rate == b->rate && a->burst == b->burst;
}

static bool same_identity(const struct policy *a, const struct policy *b)
{
	return strcmp(a->name, b->name) == 0 && a->level == b->level &&
	       g_strcmp0(a->socket, b->socket) == 0 && a->socket_mode == b->socket_mode &&
	       a->socket_uid == b->socket_uid && a->socket_gid == b->socket_gid &&
	       same_array(a->uids, b->uids) && a->owner == b->owner;
}

static bool same_faults(const struct policy *a, const struct policy *b)
{
	return a->faults == b->faults && a->faults_ns == b->faults_ns &&
	       a->quarantine_ns == b->quarantine_ns &&
	       a->quarantine_most_ns == b->quarantine_most_ns;
}

bool policy_same(const struct policy *a, const struct policy *b)
{
	return same_identity(a, b) && a->classes == b->classes && same_array(a->gpus, b->gpus) &&
	       a->placement == b->placement && a->memory == b->memory &&
	       a->memory_percent == b->memory_percent && a->weight == b->weight &&
	       a->cap_percent == b->cap_percent && a->sessions == b->sessions &&
	       a->queue_depth == b->queue_depth && same_rate(&a->calls, &b->calls) &&
	       same_rate(&a->bytes, &b->bytes) && a->kernel_ns == b->kernel_ns &&
	       a->host_memory == b->host_memory && a->host_processes == b->host_processes &&
	       a->over == b->over && same_faults(a, b);
}

/* Names are not twice in a file, so the group may be left out. */
static const struct policy_key *find(const char *key)
{
	for (size_t i = 0; i < policy_n_keys; i++) {
		const struct policy_key *k = &policy_keys[i];
		size_t n = strlen(k->group);

		if (strcmp(k->name, key) == 0 || (strncmp(k->group, key, n) == 0 && key[n] == '.' &&
						  strcmp(k->name, key + n + 1) == 0))
			return k;
	}
	return NULL;
}

struct policy *policy_change(const struct policy *p, const char *key, const char *value,
			     GError **err)
{
	const struct policy_key *k = find(key);
	struct policy *c;

	if (!k) {
		g_set_error(err, G_KEY_FILE_ERROR, G_KEY_FILE_ERROR_KEY_NOT_FOUND,
			    "%s: there is no key \"%s\"; gpu_mediator.tenant(5) lists them",
			    p->name, key);
		return NULL;
	}
	if (strcmp(k->group, "tenant") == 0) {
		g_set_error(err, G_KEY_FILE_ERROR, G_KEY_FILE_ERROR_INVALID_VALUE,
			    "%s: [tenant] %s: can only be changed in its file", p->name, k->name);
		return NULL;
	}
	c = copy(p);
	if (!k->store(c, k, value))
		policy_key_wrong(err, p->name, k, value);
	else if (policy_check_whole(c, p->name, err))
		return c;
	policy_free(c);
	return NULL;
}
