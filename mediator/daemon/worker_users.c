/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A user for the workers of each tenant. */
#include "worker_users.h"

#include <errno.h>
#include <pwd.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "log.h"
#include "state.h"
#include "state_file.h"

#define FILE_NAME "worker-users"
#define GROUP "users"

/* No file can give a tenant such a name. */
static bool is_open(const char *tenant)
{
	return strchr(tenant, ':') != NULL;
}

static bool has_users(const struct daemon *d)
{
	return !d->config->worker_user && d->config->worker_uid_base && geteuid() == 0;
}

void worker_users_owner(const struct daemon *d, uid_t *uid, gid_t *gid)
{
	*uid = d->config->worker_uid;
	*gid = has_users(d) ? d->config->worker_uid_base : (gid_t)-1;
}

/*
 * Daemons have no file in common, so it is a name, which goes with who holds it.
 * Anybody can take one, hence no more than a warning.  Nobody listens there.
 */
void worker_users_claim(struct daemon *d)
{
	const guint base = d->config->worker_uid_base;
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	socklen_t size = offsetof(struct sockaddr_un, sun_path) + 1;

	if (!has_users(d))
		return;
	size += (socklen_t)g_snprintf(addr.sun_path + 1, sizeof(addr.sun_path) - 1,
				      "gpu_mediator-uid-base-%u", base);
	d->users_claim = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (d->users_claim >= 0 && bind(d->users_claim, (struct sockaddr *)&addr, size) < 0 &&
	    errno == EADDRINUSE)
		log_warning(NULL,
			    "another daemon on this host has [worker] uid-base=%u too: workers of "
			    "its tenants and of ours may have the same user, and be able to end "
			    "each other; give one of them another number, at least %u away",
			    base, WORKER_USERS);
}

/* The one that the file has for it; 0: none. */
static guint find(GKeyFile *file, const char *tenant, guint base)
{
	char **keys = g_key_file_get_keys(file, GROUP, NULL, NULL);
	guint found = 0;

	for (char **key = keys; !found && key && *key; key++) {
		char *name = g_key_file_get_string(file, GROUP, *key, NULL);
		guint64 uid;

		/* The base may be another now. */
		if (g_strcmp0(name, tenant) == 0 &&
		    g_ascii_string_to_unsigned(*key, 10, (guint64)base + 1,
					       (guint64)base + WORKER_USERS - 1, &uid, NULL))
			found = (guint)uid;
		g_free(name);
	}
	g_strfreev(keys);
	return found;
}

/* Does a tenant that is there have it, or a user of the system? */
static bool is_taken(const struct daemon *d, GKeyFile *file, guint uid)
{
	char *key = g_strdup_printf("%u", uid);
	char *name = g_key_file_get_string(file, GROUP, key, NULL);
	bool taken = (name && g_hash_table_contains(d->tenants, name)) || getpwuid(uid);

	g_free(name);
	g_free(key);
	return taken;
}

/* Those that nobody had come first, so that a tenant that is away keeps its user. */
static guint choose(const struct daemon *d, GKeyFile *file, guint base)
{
	for (int again = 0; again < 2; again++) {
		for (guint uid = base + 1; uid < base + WORKER_USERS; uid++) {
			char *key = g_strdup_printf("%u", uid);
			bool known = g_key_file_has_key(file, GROUP, key, NULL);

			g_free(key);
			if ((again || !known) && !is_taken(d, file, uid))
				return uid;
		}
	}
	return 0;
}

static bool remember(GKeyFile *file, const char *path, const char *tenant, guint uid, GError **err)
{
	char *key = g_strdup_printf("%u", uid);
	char *text;
	bool ok;

	g_key_file_set_string(file, GROUP, key, tenant);
	text = g_key_file_to_data(file, NULL, NULL);
	/* Two tenants must never be one user: what cannot be kept is not given. */
	ok = state_file_write(path, text, err);
	g_free(text);
	g_free(key);
	return ok;
}

bool worker_user_of(struct daemon *d, const char *tenant, uid_t *uid, gid_t *gid, GError **err)
{
	const guint base = d->config->worker_uid_base;
	GKeyFile *file;
	char *path;
	guint found;
	bool ok = true;

	*uid = d->config->worker_uid;
	*gid = d->config->worker_gid;
	if (!has_users(d))
		return true;
	*uid = *gid = base;
	if (is_open(tenant))
		return true;
	path = state_path_of(d, FILE_NAME);
	file = g_key_file_new();
	g_key_file_load_from_file(file, path, G_KEY_FILE_NONE, NULL);
	found = find(file, tenant, base);
	if (!found || getpwuid(found)) {
		found = choose(d, file, base);
		ok = found && remember(file, path, tenant, found, err);
		if (!found)
			g_set_error(err, G_FILE_ERROR, G_FILE_ERROR_NOSPC,
				    "no user is left for the tenant's workers; see [worker] "
				    "uid-base");
	}
	*uid = found;
	g_key_file_free(file);
	g_free(path);
	return ok;
}
