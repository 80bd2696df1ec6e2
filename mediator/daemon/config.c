/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The configuration file: one table of keys, one pass that knows no others. */
#include "config.h"

#include <grp.h>
#include <pwd.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#define RUNTIME_DIR "/run/gpu_mediator"
#define AUDIT_FILE "/var/log/gpu_mediator-audit.log"

enum kind { STRING, PATH, NUMBER, NUMBERS, MODE, BOOL, LEVEL, BACKEND, DOMAINS, CONFINE };

struct key {
	const char *group;
	const char *name;
	size_t offset;
	enum kind kind;
	guint min, max; /* of a NUMBER */
	bool restart;   /* a change takes effect at the next start only */
};

#define KEY(group, name, kind, field, ...)                                     \
	{                                                                      \
		group, name, offsetof(struct config, field), kind, __VA_ARGS__ \
	}

static const struct key keys[] = {
	KEY("daemon", "socket-path", PATH, socket_path, 0, 0, true),
	KEY("daemon", "socket-mode", MODE, socket_mode, 0, 0, true),
	KEY("daemon", "socket-group", STRING, socket_group, 0, 0, true),
	KEY("daemon", "runtime-dir", PATH, runtime_dir, 0, 0, true),
	KEY("daemon", "pid-file", PATH, pid_file, 0, 0, true),
	KEY("daemon", "log-file", PATH, log_file, 0, 0, false),
	KEY("daemon", "log-level", LEVEL, log_level, 0, 0, false),
	KEY("daemon", "log-commands", BOOL, log_commands, 0, 0, false),
	KEY("backend", "backend", BACKEND, backend, 0, 0, true),
	KEY("backend", "device", NUMBER, device, 0, 255, true),
	KEY("backend", "devices", NUMBERS, devices, 0, 255, true),
	KEY("backend", "library-dir", PATH, library_dir, 0, 0, true),
	KEY("backend", "probe-timeout", NUMBER, probe_timeout, 1, 600, true),
	KEY("limits", "max-connections", NUMBER, max_connections, 1, 1024, false),
	KEY("limits", "max-sessions", NUMBER, max_sessions, 1, 4096, false),
	KEY("limits", "max-queues", NUMBER, max_queues, 1, 256, false),
	KEY("limits", "max-operand-mib", NUMBER, max_operand_mib, 64, 1024, false),
	KEY("limits", "log-lines", NUMBER, log_lines, 1, 100000, false),
	KEY("limits", "handshake-timeout", NUMBER, handshake_timeout, 1, 600, false),
	KEY("limits", "start-timeout", NUMBER, start_timeout, 1, 600, false),
	KEY("limits", "adopt-timeout", NUMBER, adopt_timeout, 1, 600, false),
	KEY("worker", "path", PATH, worker_path, 0, 0, true),
	KEY("worker", "user", STRING, worker_user, 0, 0, true),
	KEY("worker", "uid-base", NUMBER, worker_uid_base, 0, 2147400000, true),
	KEY("worker", "gpu-groups", STRING, worker_groups, 0, 0, true),
	KEY("worker", "confine", CONFINE, worker_confine, 0, 0, false),
	KEY("worker", "cgroup", PATH, worker_cgroup, 0, 0, true),
	KEY("worker", "visible", STRING, worker_visible, 0, 0, false),
	KEY("worker", "spin-us", NUMBER, spin_us, 0, 10000, false),
	KEY("xen", "domains", DOMAINS, xen_domains, 0, 0, false),
	KEY("xen", "uid-base", NUMBER, xen_uid_base, 1, 2000000000, false),
	KEY("audit", "file", PATH, audit_file, 0, 0, false),
	KEY("audit", "max-mib", NUMBER, audit_max_mib, 1, 4096, false),
	KEY("audit", "keep", NUMBER, audit_keep, 1, 100, false),
	KEY("audit", "lines", NUMBER, audit_lines, 1, 10000, false),
	KEY("control", "admin-group", STRING, admin_group, 0, 0, false),
	KEY("control", "admin-users", STRING, admin_users, 0, 0, false),
	KEY("control", "monitor-users", STRING, monitor_users, 0, 0, false),
	KEY("tenants", "directory", PATH, tenants_dir, 0, 0, false),
	KEY("tenants", "open", BOOL, tenants_open, 0, 0, false),
	KEY("tenants", "memory-watch", PATH, memory_watch, 0, 0, true),
	KEY("tenants", "context-mib", NUMBER, context_mib, 0, 65536, false),
	KEY("tenants", "record", PATH, tenants_record, 0, 0, true),
};

static void *field(const struct config *c, const struct key *k)
{
	return (char *)c + k->offset;
}

static bool is_string(const struct key *k)
{
	return k->kind == STRING || k->kind == PATH || k->kind == NUMBERS || k->kind == BACKEND ||
	       k->kind == DOMAINS || k->kind == CONFINE;
}

struct config *config_new(void)
{
	struct config *c = g_new0(struct config, 1);

	c->socket_path = g_strdup("/run/gpu_mediator/gpu_mediator.sock");
	c->socket_mode = 0660;
	c->runtime_dir = g_strdup(RUNTIME_DIR);
	c->log_level = G_LOG_LEVEL_INFO;
	c->backend = g_strdup("auto");
	c->probe_timeout = 30;
	c->max_connections = 64;
	c->max_sessions = 256;
	c->max_queues = 64;
	c->max_operand_mib = 1024;
	c->log_lines = 200;
	c->handshake_timeout = 10;
	c->start_timeout = 8;
	c->adopt_timeout = 10;
	c->spin_us = 50;
	c->worker_uid_base = 1900000000;
	c->worker_confine = g_strdup("try");
	c->worker_gids = g_array_new(FALSE, FALSE, sizeof(gid_t));
	c->context_mib = 768;
	c->xen_domains = g_strdup("none");
	c->xen_uid_base = 65535;
	c->audit_max_mib = 64;
	c->audit_keep = 8;
	c->audit_lines = 20;
	c->admin_gid = (gid_t)-1;
	c->admin_uids = g_array_new(FALSE, FALSE, sizeof(uid_t));
	c->monitor_uids = g_array_new(FALSE, FALSE, sizeof(uid_t));
	c->tenants_dir = g_strdup("/etc/gpu_mediator/tenants");
	c->worker_uid = (uid_t)-1;
	c->worker_gid = (gid_t)-1;
	c->socket_gid = (gid_t)-1;
	return c;
}

void config_free(struct config *c)
{
	if (!c)
		return;
	for (size_t i = 0; i < G_N_ELEMENTS(keys); i++) {
		if (is_string(&keys[i]))
			g_free(*(char **)field(c, &keys[i]));
	}
	g_array_free(c->worker_gids, TRUE);
	g_array_free(c->admin_uids, TRUE);
	g_array_free(c->monitor_uids, TRUE);
	g_free(c);
}

static const struct key *find_key(const char *group, const char *name)
{
	for (size_t i = 0; i < G_N_ELEMENTS(keys); i++) {
		if (strcmp(keys[i].group, group) == 0 && strcmp(keys[i].name, name) == 0)
			return &keys[i];
	}
	return NULL;
}

static bool is_group(const char *group)
{
	for (size_t i = 0; i < G_N_ELEMENTS(keys); i++) {
		if (strcmp(keys[i].group, group) == 0)
			return true;
	}
	return false;
}

static bool parse_level(const char *text, GLogLevelFlags *level)
{
	static const struct {
		const char *name;
		GLogLevelFlags level;
	} levels[] = {{"error", G_LOG_LEVEL_CRITICAL},
		      {"warning", G_LOG_LEVEL_WARNING},
		      {"message", G_LOG_LEVEL_MESSAGE},
		      {"info", G_LOG_LEVEL_INFO},
		      {"debug", G_LOG_LEVEL_DEBUG}};

	for (size_t i = 0; i < G_N_ELEMENTS(levels); i++) {
		if (strcmp(levels[i].name, text) == 0) {
			*level = levels[i].level;
			return true;
		}
	}
	return false;
}

/* What stands between semicolons, to `to` if it is not NULL: at least one, none twice. */
static bool parse_numbers(const char *text, guint min, guint max, guint *to, guint *n)
{
	char **items = g_strsplit(text, ";", -1);
	guint found[CONFIG_GPUS_MAX], last = g_strv_length(items);
	guint64 number;
	bool ok = true;

	if (last && !*g_strstrip(items[last - 1])) /* GKeyFile's lists may end with one */
		last--;
	*n = 0;
	for (guint i = 0; ok && i < last; i++) {
		ok = *n < CONFIG_GPUS_MAX &&
		     g_ascii_string_to_unsigned(g_strstrip(items[i]), 10, min, max, &number, NULL);
		for (guint k = 0; ok && k < *n; k++)
			ok = found[k] != number;
		if (ok)
			found[(*n)++] = (guint)number;
	}
	g_strfreev(items);
	if (to && ok)
		memcpy(to, found, *n * sizeof(found[0]));
	return ok && *n;
}

/* Stores one value; NULL, or what would have been right. */
static const char *store(struct config *c, const struct key *k, const char *text)
{
	static char range[64];
	guint64 number;
	guint n;

	switch (k->kind) {
	case PATH:
		if (!g_path_is_absolute(text))
			return "an absolute path";
		break;
	case STRING:
		if (!*text)
			return "a name";
		break;
	case BACKEND:
		if (strcmp(text, "auto") != 0 && strcmp(text, "cpu") != 0 &&
		    strcmp(text, "cuda") != 0)
			return "auto, cpu or cuda";
		break;
	case DOMAINS:
		if (strcmp(text, "none") != 0 && strcmp(text, "user") != 0 &&
		    strcmp(text, "root") != 0)
			return "none, user or root";
		break;
	case CONFINE:
		if (strcmp(text, "try") != 0 && strcmp(text, "require") != 0 &&
		    strcmp(text, "off") != 0)
			return "try, require or off";
		break;
	case NUMBER:
		g_snprintf(range, sizeof(range), "a number from %u to %u", k->min, k->max);
		if (!g_ascii_string_to_unsigned(text, 10, k->min, k->max, &number, NULL))
			return range;
		*(guint *)field(c, k) = (guint)number;
		return NULL;
	case NUMBERS:
		if (!parse_numbers(text, k->min, k->max, NULL, &n))
			return "a list of at most 16 numbers from 0 to 255, each once, with "
			       "semicolons between them";
		break;
	case MODE:
		if (!g_ascii_string_to_unsigned(text, 8, 0, 0777, &number, NULL))
			return "an octal mode of at most 0777";
		*(guint *)field(c, k) = (guint)number;
		return NULL;
	case BOOL:
		if (strcmp(text, "true") != 0 && strcmp(text, "false") != 0)
			return "true or false";
		*(gboolean *)field(c, k) = *text == 't';
		return NULL;
	case LEVEL:
		return parse_level(text, field(c, k)) ? NULL
						      : "error, warning, message, info or debug";
	}
	g_free(*(char **)field(c, k));
	*(char **)field(c, k) = g_strdup(text);
	return NULL;
}

static bool apply_key(struct config *c, GKeyFile *file, const char *path, const struct key *k,
		      GError **err)
{
	GError *why = NULL;
	char *text = g_key_file_get_string(file, k->group, k->name, &why);
	const char *wanted = NULL;

	if (why) { /* there may be a text all the same */
		g_propagate_prefixed_error(err, why, "%s: [%s] %s: ", path, k->group, k->name);
		g_free(text);
		return false;
	}
	wanted = store(c, k, g_strstrip(text));
	if (wanted)
		g_set_error(err, G_KEY_FILE_ERROR, G_KEY_FILE_ERROR_INVALID_VALUE,
			    "%s: [%s] %s: \"%s\" is not %s", path, k->group, k->name, text, wanted);
	g_free(text);
	return !wanted;
}

static bool apply_group(struct config *c, GKeyFile *file, const char *path, const char *group,
			GError **err)
{
	char **names = g_key_file_get_keys(file, group, NULL, NULL);
	bool ok = true;

	for (char **name = names; ok && names && *name; name++) {
		const struct key *k = find_key(group, *name);

		if (!k)
			g_set_error(err, G_KEY_FILE_ERROR, G_KEY_FILE_ERROR_KEY_NOT_FOUND,
				    "%s: [%s] %s: there is no such key", path, group, *name);
		ok = k && apply_key(c, file, path, k, err);
	}
	g_strfreev(names);
	return ok;
}

static bool apply(struct config *c, GKeyFile *file, const char *path, GError **err)
{
	char **groups = g_key_file_get_groups(file, NULL);
	bool ok = true;

	for (char **group = groups; ok && *group; group++) {
		ok = is_group(*group);
		if (!ok)
			g_set_error(err, G_KEY_FILE_ERROR, G_KEY_FILE_ERROR_GROUP_NOT_FOUND,
				    "%s: [%s]: there is no such group", path, *group);
		else
			ok = apply_group(c, file, path, *group, err);
	}
	g_strfreev(groups);
	return ok;
}

static bool no_such(GError **err, const char *path, const char *key, const char *what,
		    const char *name)
{
	g_set_error(err, G_KEY_FILE_ERROR, G_KEY_FILE_ERROR_INVALID_VALUE,
		    "%s: %s: there is no %s \"%s\"", path, key, what, name);
	return false;
}

static bool find_group(const char *name, gid_t *gid, const char *path, const char *key,
		       GError **err)
{
	const struct group *gr = name ? getgrnam(name) : NULL;

	if (name && !gr)
		return no_such(err, path, key, "group", name);
	if (gr)
		*gid = gr->gr_gid;
	return true;
}

/* "video;44": names of groups, or numbers. */
static bool find_groups(const char *list, GArray *gids, const char *path, const char *key,
			GError **err)
{
	char **names = g_strsplit(list ? list : "", ";", -1);
	bool ok = true;

	for (char **name = names; ok && *name; name++) {
		const struct group *gr = getgrnam(g_strstrip(*name));
		guint64 number;
		gid_t gid;

		if (!**name)
			continue;
		ok = (gr || g_ascii_string_to_unsigned(*name, 10, 0, G_MAXINT32, &number, NULL)) &&
		     gids->len < CONFIG_GROUPS_MAX;
		if (!ok) {
			no_such(err, path, key, "group (or there are too many)", *name);
			break;
		}
		gid = gr ? gr->gr_gid : (gid_t)number;
		g_array_append_val(gids, gid);
	}
	g_strfreev(names);
	return ok;
}

/* What workers see of the file system beside what they need: absolute paths. */
static bool check_visible(const struct config *c, const char *path, GError **err)
{
	char **items = g_strsplit(c->worker_visible ? c->worker_visible : "", ";", -1);
	bool ok = true;

	for (char **item = items; ok && *item; item++) {
		ok = !*g_strstrip(*item) || g_path_is_absolute(*item);
		if (!ok)
			g_set_error(err, G_KEY_FILE_ERROR, G_KEY_FILE_ERROR_INVALID_VALUE,
				    "%s: [worker] visible: \"%s\" is not an absolute path", path,
				    *item);
	}
	g_strfreev(items);
	return ok;
}

/* A group that somebody has must not be that of all workers. */
static bool check_uid_base(const struct config *c, const char *path, GError **err)
{
	const struct group *gr =
		c->worker_uid_base && !c->worker_user ? getgrgid(c->worker_uid_base) : NULL;

	if (gr)
		g_set_error(err, G_KEY_FILE_ERROR, G_KEY_FILE_ERROR_INVALID_VALUE,
			    "%s: [worker] uid-base: %u is the group \"%s\" of this system; say "
			    "where 65536 ids are free",
			    path, c->worker_uid_base, gr->gr_name);
	return !gr;
}

/* "alice;1001": names of users, or numbers. */
static bool find_users(const char *list, GArray *uids, const char *path, const char *key,
		       GError **err)
{
	char **names = g_strsplit(list ? list : "", ";", -1);
	bool ok = true;

	for (char **name = names; ok && *name; name++) {
		const struct passwd *pw = getpwnam(g_strstrip(*name));
		guint64 number;
		uid_t uid;

		if (!**name)
			continue;
		ok = pw || g_ascii_string_to_unsigned(*name, 10, 0, G_MAXINT32, &number, NULL);
		if (!ok) {
			no_such(err, path, key, "user", *name);
			break;
		}
		uid = pw ? pw->pw_uid : (uid_t)number;
		g_array_append_val(uids, uid);
	}
	g_strfreev(names);
	return ok;
}

/* Looks names up, so that a wrong one is refused before anything takes effect. */
static bool resolve(struct config *c, const char *path, GError **err)
{
	const struct passwd *pw = c->worker_user ? getpwnam(c->worker_user) : NULL;

	if (c->worker_user && !pw)
		return no_such(err, path, "[worker] user", "user", c->worker_user);
	if (pw) {
		c->worker_uid = pw->pw_uid;
		c->worker_gid = pw->pw_gid;
	}
	if (!find_group(c->socket_group, &c->socket_gid, path, "[daemon] socket-group", err) ||
	    !find_groups(c->worker_groups, c->worker_gids, path, "[worker] gpu-groups", err) ||
	    !check_visible(c, path, err) || !check_uid_base(c, path, err) ||
	    !find_group(c->admin_group, &c->admin_gid, path, "[control] admin-group", err) ||
	    !find_users(c->admin_users, c->admin_uids, path, "[control] admin-users", err) ||
	    !find_users(c->monitor_users, c->monitor_uids, path, "[control] monitor-users", err))
		return false;
	c->gpus[0] = c->device;
	c->ngpus = 1;
	if (c->devices)
		parse_numbers(c->devices, 0, 255, c->gpus, &c->ngpus);
	if (!c->pid_file)
		c->pid_file = g_build_filename(c->runtime_dir, "gpu_mediator.pid", NULL);
	return true;
}

char *config_audit_file(const struct config *c)
{
	if (c->audit_file)
		return g_strdup(c->audit_file);
	if (strcmp(c->runtime_dir, RUNTIME_DIR) == 0)
		return g_strdup(AUDIT_FILE);
	return g_build_filename(c->runtime_dir, "audit.log", NULL);
}

struct config *config_load(const char *path, GKeyFile *overrides, GError **err)
{
	struct config *c = config_new();
	GKeyFile *file = g_key_file_new();
	bool ok = true;

	if (path) {
		ok = g_key_file_load_from_file(file, path, G_KEY_FILE_NONE, err);
		if (!ok)
			g_prefix_error(err, "%s: ", path);
	}
	ok = ok && apply(c, file, path ? path : "", err);
	ok = ok && (!overrides || apply(c, overrides, "command line", err));
	ok = ok && resolve(c, path ? path : "command line", err);
	g_key_file_free(file);
	if (ok)
		return c;
	config_free(c);
	return NULL;
}

static bool differs(const struct config *a, const struct config *b, const struct key *k)
{
	if (is_string(k))
		return g_strcmp0(*(char **)field(a, k), *(char **)field(b, k)) != 0;
	return *(guint *)field(a, k) != *(guint *)field(b, k);
}

const char *config_needs_restart(const struct config *now, const struct config *next)
{
	for (size_t i = 0; i < G_N_ELEMENTS(keys); i++) {
		if (keys[i].restart && differs(now, next, &keys[i]))
			return keys[i].name;
	}
	return NULL;
}

void config_merge(struct config *next, const struct config *now)
{
	for (size_t i = 0; i < G_N_ELEMENTS(keys); i++) {
		const struct key *k = &keys[i];

		if (!k->restart)
			continue;
		if (is_string(k)) {
			g_free(*(char **)field(next, k));
			*(char **)field(next, k) = g_strdup(*(char **)field(now, k));
		} else {
			*(guint *)field(next, k) = *(guint *)field(now, k);
		}
	}
	memcpy(next->gpus, now->gpus, sizeof(next->gpus));
	next->ngpus = now->ngpus;
	next->worker_uid = now->worker_uid;
	next->worker_gid = now->worker_gid;
	g_array_set_size(next->worker_gids, 0);
	g_array_append_vals(next->worker_gids, now->worker_gids->data, now->worker_gids->len);
	next->socket_gid = now->socket_gid;
}
