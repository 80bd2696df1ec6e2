/* SPDX-License-Identifier: GPL-2.0-or-later */
/* All tenants: none of them may be taken for another. */
#include <string.h>

#include "policy_priv.h"

struct policy_set {
	GPtrArray *policies; /* struct policy, in the order of names */
};

struct policy_set *policy_set_new(void)
{
	struct policy_set *set = g_new0(struct policy_set, 1);

	set->policies = g_ptr_array_new_with_free_func((GDestroyNotify)policy_free);
	return set;
}

void policy_set_free(struct policy_set *set)
{
	if (!set)
		return;
	g_ptr_array_free(set->policies, TRUE);
	g_free(set);
}

guint policy_set_count(const struct policy_set *set)
{
	return set->policies->len;
}

const struct policy *policy_set_at(const struct policy_set *set, guint i)
{
	return g_ptr_array_index(set->policies, i);
}

const struct policy *policy_set_find(const struct policy_set *set, const char *name)
{
	for (guint i = 0; i < set->policies->len; i++) {
		const struct policy *p = policy_set_at(set, i);

		if (strcmp(p->name, name) == 0)
			return p;
	}
	return NULL;
}

const struct policy *policy_set_by_socket(const struct policy_set *set, const char *path)
{
	for (guint i = 0; i < set->policies->len; i++) {
		const struct policy *p = policy_set_at(set, i);

		if (p->socket && strcmp(p->socket, path) == 0)
			return p;
	}
	return NULL;
}

static bool has_user(const struct policy *p, uid_t uid)
{
	for (guint i = 0; i < p->uids->len; i++) {
		if (g_array_index(p->uids, uid_t, i) == uid)
			return true;
	}
	return false;
}

const struct policy *policy_set_by_uid(const struct policy_set *set, uid_t uid)
{
	for (guint i = 0; i < set->policies->len; i++) {
		if (has_user(policy_set_at(set, i), uid))
			return policy_set_at(set, i);
	}
	return NULL;
}

/* What it is called in messages. */
static const char *place(const struct policy *p)
{
	return p->path ? p->path : p->name;
}

G_GNUC_PRINTF(2, 3)
static bool refuse(GError **err, const char *format, ...)
{
	va_list args;
	char *words;

	va_start(args, format);
	words = g_strdup_vprintf(format, args);
	va_end(args);
	g_set_error_literal(err, G_KEY_FILE_ERROR, G_KEY_FILE_ERROR_INVALID_VALUE, words);
	g_free(words);
	return false;
}

static bool may_add(const struct policy_set *set, const struct policy *p, GError **err)
{
	const struct policy *other = policy_set_find(set, p->name);

	if (other)
		return refuse(err, "%s: there is a tenant \"%s\" already, in %s", place(p), p->name,
			      place(other));
	other = p->socket ? policy_set_by_socket(set, p->socket) : NULL;
	if (other)
		return refuse(err,
			      "%s: [tenant] socket: %s is that of tenant \"%s\" already; give each "
			      "its own",
			      place(p), p->socket, other->name);
	for (guint i = 0; i < p->uids->len; i++) {
		uid_t uid = g_array_index(p->uids, uid_t, i);

		other = policy_set_by_uid(set, uid);
		if (other)
			return refuse(err,
				      "%s: [tenant] users: user %u is tenant \"%s\" already; a "
				      "user can be one tenant only",
				      place(p), uid, other->name);
	}
	return true;
}

static int compare(gconstpointer a, gconstpointer b)
{
	const struct policy *const *one = a, *const *two = b;

	return strcmp((*one)->name, (*two)->name);
}

bool policy_set_add(struct policy_set *set, struct policy *p, GError **err)
{
	if (!may_add(set, p, err)) {
		policy_free(p);
		return false;
	}
	g_ptr_array_add(set->policies, p);
	g_ptr_array_sort(set->policies, compare);
	return true;
}

static int compare_paths(gconstpointer a, gconstpointer b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The names of a folder's files of tenants, sorted, so that messages do not depend on chance. */
static GPtrArray *list(GDir *dir, const char *folder)
{
	GPtrArray *paths = g_ptr_array_new_with_free_func(g_free);
	const char *name;

	while ((name = g_dir_read_name(dir))) {
		/* Editors and packagers leave others, hidden ones among them. */
		if (*name != '.' && g_str_has_suffix(name, ".conf"))
			g_ptr_array_add(paths, g_build_filename(folder, name, NULL));
	}
	g_ptr_array_sort(paths, compare_paths);
	return paths;
}

/* Every file of the folder; what is wrong with them goes to `wrong`. */
static struct policy_set *load(const char *folder, GPtrArray *wrong)
{
	struct policy_set *set = policy_set_new();
	GError *err = NULL;
	GDir *dir = g_dir_open(folder, 0, &err);
	GPtrArray *paths;

	if (!dir) {
		if (g_error_matches(err, G_FILE_ERROR, G_FILE_ERROR_NOENT))
			g_clear_error(&err);
		else
			g_ptr_array_add(wrong, err);
		return set;
	}
	paths = list(dir, folder);
	g_dir_close(dir);
	for (guint i = 0; i < paths->len; i++) {
		struct policy *p = policy_load(g_ptr_array_index(paths, i), &err);

		if (p)
			policy_set_add(set, p, &err);
		if (err)
			g_ptr_array_add(wrong, g_steal_pointer(&err));
	}
	g_ptr_array_free(paths, TRUE);
	return set;
}

struct policy_set *policy_set_load(const char *folder, GError **err)
{
	GPtrArray *wrong = g_ptr_array_new_with_free_func((GDestroyNotify)g_error_free);
	struct policy_set *set = load(folder, wrong);

	if (wrong->len) {
		g_propagate_error(err, g_error_copy(g_ptr_array_index(wrong, 0)));
		policy_set_free(set);
		set = NULL;
	}
	g_ptr_array_free(wrong, TRUE);
	return set;
}

struct policy_set *policy_set_check(const char *folder, GPtrArray **wrong)
{
	*wrong = g_ptr_array_new_with_free_func((GDestroyNotify)g_error_free);
	return load(folder, *wrong);
}
