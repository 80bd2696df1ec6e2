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
