/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A Unix socket that devices connect to. */
#include "listener.h"

#include <errno.h>
#include <glib-unix.h>
#include <glib/gstdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "audit.h"
#include "client.h"
#include "discard.h"
#include "fdio.h"
#include "log.h"
#include "unix_address.h"

/* How long to accept nobody when there are no descriptors left. */
#define PAUSE_MS 500

static gboolean on_connection(gint fd, GIOCondition condition, gpointer data);

static bool fail(GError **err, const char *what, const char *path)
{
	int code = errno;

	g_set_error(err, G_FILE_ERROR, g_file_error_from_errno(code), "%s %s: %s", what, path,
		    g_strerror(code));
	return false;
}

void listener_watch(struct listener *l)
{
	l->source = g_unix_fd_add(l->fd, G_IO_IN, on_connection, l);
}

static gboolean on_pause_over(gpointer data)
{
	struct listener *l = data;

	l->source = 0;
	listener_watch(l);
	return G_SOURCE_REMOVE;
}

/* Turned away before anybody asked what it wants. */
static void turn_away(struct daemon *d, int conn, enum audit_cause cause, const char *why)
{
	JsonObject *details = json_object_new();
	struct ucred peer;
	socklen_t size = sizeof(peer);

	if (getsockopt(conn, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0) {
		json_object_set_int_member(details, "uid", peer.uid);
		json_object_set_int_member(details, "pid", peer.pid);
	}
	audit_write(d->audit, AUDIT_CONNECTION_REFUSED, cause, NULL, details, "%s", why);
	discard(conn);
}

/* Without this a full table of descriptors would make us spin. */
static gboolean on_connection(gint fd, GIOCondition condition, gpointer data)
{
	static struct log_bucket bucket;
	struct listener *l = data;
	struct daemon *d = l->d;
	int conn = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	guint dropped;

	(void)condition;
	if (conn < 0) {
		if (errno != EMFILE && errno != ENFILE && errno != ENOMEM && errno != ENOBUFS)
			return G_SOURCE_CONTINUE;
		log_error(NULL, "cannot take a connection: %s", g_strerror(errno));
		l->source = g_timeout_add(PAUSE_MS, on_pause_over, l);
		return G_SOURCE_REMOVE;
	}
	if (discard_is_full()) {
		if (log_may(&bucket, 1, &dropped))
			log_warning(NULL, "connection refused: too many descriptors that devices "
					  "sent hang when they are closed");
		turn_away(d, conn, AUDIT_RESOURCES,
			  "too many descriptors that devices sent hang when they are closed");
	} else if (d->clients->len < d->config->max_connections) {
		client_new(d, conn, l->shared ? NULL : l->path);
	} else {
		if (log_may(&bucket, 1, &dropped))
			log_warning(NULL,
				    "connection refused: there are %u already; raise "
				    "max-connections if they are yours (%u such lines left out)",
				    d->clients->len, dropped);
		turn_away(d, conn, AUDIT_HOST_LIMIT,
			  "there are as many connections as the configuration allows");
	}
	return G_SOURCE_CONTINUE;
}

/* What lies at the path: may it be removed? */
static bool remove_stale(const struct sockaddr_un *addr, GError **err)
{
	const char *path = addr->sun_path;
	struct stat st;
	int fd, ret;

	if (lstat(path, &st) < 0)
		return errno == ENOENT || fail(err, "cannot look at", path);
	if (!S_ISSOCK(st.st_mode)) {
		errno = EEXIST;
		return fail(err, "what is there is not a socket, so it is left alone:", path);
	}
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return fail(err, "cannot make a socket for", path);
	ret = connect(fd, (const struct sockaddr *)addr, sizeof(*addr)) < 0 ? errno : 0;
	close(fd);
	if (ret != ECONNREFUSED) {
		errno = EADDRINUSE;
		return fail(err, "somebody listens at", path);
	}
	return g_unlink(path) == 0 || fail(err, "cannot remove the stale socket", path);
}

bool listener_set_look(struct listener *l, const struct listener_look *look, GError **err)
{
	if (chmod(l->path, look->mode) < 0)
		return fail(err, "cannot set the mode of", l->path);
	if ((look->uid != (uid_t)-1 || look->gid != (gid_t)-1) &&
	    chown(l->path, look->uid, look->gid) < 0)
		return fail(err, "cannot set user and group of", l->path);
	return true;
}

static bool make(struct listener *l, const struct listener_look *look, GError **err)
{
	struct sockaddr_un addr;
	struct stat st;
	mode_t old;
	int ret;

	if (!unix_address(&addr, l->path))
		return fail(err, "a socket's path has at most 107 bytes:", l->path);
	if (!remove_stale(&addr, err))
		return false;
	l->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (l->fd < 0)
		return fail(err, "cannot make the socket", l->path);
	old = umask(0177); /* nobody gets in before the mode is what it should be */
	ret = bind(l->fd, (struct sockaddr *)&addr, sizeof(addr));
	umask(old);
	if (ret < 0)
		return fail(err, "cannot make the socket", l->path);
	if (lstat(l->path, &st) == 0)
		l->inode = st.st_ino;
	if (!listener_set_look(l, look, err))
		return false;
	return listen(l->fd, 64) == 0 || fail(err, "cannot listen at", l->path);
}

struct listener *listener_new(struct daemon *d, const char *path, const struct listener_look *look,
			      GError **err)
{
	struct listener *l = listener_new_fd(d, -1);
	char *dir = g_path_get_dirname(path);

	l->path = g_strdup(path);
	g_mkdir_with_parents(dir, 0755); /* if this fails, bind() says why */
	g_free(dir);
	if (make(l, look, err))
		return l;
	listener_free(l);
	return NULL;
}

struct listener *listener_new_fd(struct daemon *d, int fd)
{
	struct listener *l = g_new0(struct listener, 1);

	l->d = d;
	l->fd = fd;
	return l;
}

void listener_free(struct listener *l)
{
	struct stat st;

	if (!l)
		return;
	if (l->source)
		g_source_remove(l->source);
	/* Somebody may have put another one in its place. */
	if (l->inode && lstat(l->path, &st) == 0 && st.st_ino == l->inode)
		g_unlink(l->path);
	fdio_clear(&l->fd);
	g_free(l->path);
	g_free(l);
}
