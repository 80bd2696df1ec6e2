/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A tenant's file: one pass over the keys that there are, and no others. */
#include <string.h>

#include "keys.h"
#include "policy_priv.h"

static const struct policy_key *find_key(const char *group, const char *name)
{
	for (size_t i = 0; i < policy_n_keys; i++) {
		if (strcmp(policy_keys[i].group, group) == 0 &&
		    (!name || strcmp(policy_keys[i].name, name) == 0))
			return &policy_keys[i];
	}
	return NULL;
}

/* Nothing may be there that nobody would read: a limit with a wrong name is no limit. */
static bool check_names(GKeyFile *file, const char *path, GError **err)
{
	char **groups = g_key_file_get_groups(file, NULL);
	bool ok = true;

	for (char **group = groups; ok && *group; group++) {
		char **names = g_key_file_get_keys(file, *group, NULL, NULL);

		ok = find_key(*group, NULL) != NULL;
		if (!ok)
			g_set_error(err, G_KEY_FILE_ERROR, G_KEY_FILE_ERROR_GROUP_NOT_FOUND,
				    "%s: [%s]: there is no such group; there are [tenant], "
				    "[allowed], [limits] and [faults]",
				    path, *group);
		for (char **name = names; ok && names && *name; name++) {
			ok = find_key(*group, *name) != NULL;
			if (!ok)
				g_set_error(err, G_KEY_FILE_ERROR, G_KEY_FILE_ERROR_KEY_NOT_FOUND,
					    "%s: [%s] %s: there is no such key", path, *group,
					    *name);
		}
		g_strfreev(names);
	}
	g_strfreev(groups);
	return ok;
}

void policy_key_wrong(GError **err, const char *path, const struct policy_key *k, const char *text)
{
	char range[64];

	g_snprintf(range, sizeof(range), "a number from %u to %u", k->min, k->max);
	g_set_error(err, G_KEY_FILE_ERROR, G_KEY_FILE_ERROR_INVALID_VALUE,
		    "%s: [%s] %s: \"%s\" is not %s", path, k->group, k->name, text,
		    k->right ? k->right : range);
}

static bool apply(struct policy *p, GKeyFile *file, const struct policy_key *k, const char *path,
		  GError **err)
{
	GError *why = NULL;
	char *text;
	bool ok;

	if (!g_key_file_has_key(file, k->group, k->name, NULL))
		return true;
	text = g_key_file_get_string(file, k->group, k->name, &why);
	if (why) { /* there may be a text all the same */
		g_propagate_prefixed_error(err, why, "%s: [%s] %s: ", path, k->group, k->name);
		g_free(text);
		return false;
	}
	g_strstrip(text);
	ok = k->store(p, k, text);
	if (!ok)
		policy_key_wrong(err, path, k, text);
	g_free(text);
	return ok;
}

/* The others stand on what the level gives; a wrong one is found with them. */
static enum policy_level find_level(GKeyFile *file)
{
	char *text = g_key_file_get_string(file, "tenant", "level", NULL);
	enum policy_level level = POLICY_UNTRUSTED;

	if (text)
		policy_level_parse(g_strstrip(text), &level);
	g_free(text);
	return level;
}

bool policy_check_whole(const struct policy *p, const char *path, GError **err)
{
	const char *what = NULL;

	if (!p->socket && !p->uids->len)
		what = "[tenant]: nobody would be this tenant; it needs a socket of its own "
		       "(socket=), or users that are known by it at the shared one (users=)";
	else if (p->calls.burst && !p->calls.rate)
		what = "[limits] calls-burst: has no meaning without calls-per-second";
	else if (p->bytes.burst && !p->bytes.rate)
		what = "[limits] bytes-burst: has no meaning without bytes-per-second";
	else if (p->quarantine_most_ns < p->quarantine_ns)
		what = "[faults] quarantine-most: must not be shorter than quarantine";
	if (what)
		g_set_error(err, G_KEY_FILE_ERROR, G_KEY_FILE_ERROR_INVALID_VALUE, "%s: %s", path,
			    what);
	return !what;
}

static struct policy *build(const char *name, GKeyFile *file, const char *path, GError **err)
{
	struct policy *p;
	bool ok = true;

	if (!policy_name_is_good(name)) {
		g_set_error(err, G_KEY_FILE_ERROR, G_KEY_FILE_ERROR_INVALID_VALUE,
			    "%s: \"%s\" cannot be a tenant's name, which is the file's without "
			    ".conf: at most %u letters, digits, dots, hyphens and underlines, a "
			    "letter or digit first",
			    path, name, POLICY_NAME_MAX);
		return NULL;
	}
	p = policy_new(name, find_level(file));
	ok = check_names(file, path, err);
	for (size_t i = 0; ok && i < policy_n_keys; i++)
		ok = apply(p, file, &policy_keys[i], path, err);
	if (ok && policy_check_whole(p, path, err))
		return p;
	policy_free(p);
	return NULL;
}

struct policy *policy_parse(const char *name, const char *text, gsize length, GError **err)
{
	GKeyFile *file = g_key_file_new();
	struct policy *p = NULL;

	/* GLib takes a length of nothing for an error of its caller. */
	if (!length || g_key_file_load_from_data(file, text, length, G_KEY_FILE_NONE, err))
		p = build(name, file, name, err);
	else
		g_prefix_error(err, "%s: ", name);
	g_key_file_free(file);
	return p;
}

struct policy *policy_load(const char *path, GError **err)
{
	GKeyFile *file = g_key_file_new();
	char *name = g_path_get_basename(path);
	struct policy *p = NULL;

	if (g_str_has_suffix(name, ".conf"))
		name[strlen(name) - strlen(".conf")] = '\0';
	if (g_key_file_load_from_file(file, path, G_KEY_FILE_NONE, err))
		p = build(name, file, path, err);
	else
		g_prefix_error(err, "%s: ", path);
	if (p)
		p->path = g_strdup(path);
	g_free(name);
	g_key_file_free(file);
	return p;
}
