/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The socket where devices connect. */
#include "server.h"

#include <errno.h>
#include <fcntl.h>
#include <glib-unix.h>
#include <glib/gstdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "call.h"
#include "client.h"
#include "discard.h"
#include "fdio.h"
#include "log.h"
#include "state.h"

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

static void watch(struct daemon *d)
{
	d->listener_source = g_unix_fd_add(d->listener, G_IO_IN, on_connection, d);
}

static gboolean on_pause_over(gpointer data)
{
	struct daemon *d = data;

	d->listener_source = 0;
	watch(d);
	return G_SOURCE_REMOVE;
}

/* Without this a full table of descriptors would make us spin. */
static gboolean on_connection(gint fd, GIOCondition condition, gpointer data)
{
	static struct log_bucket bucket;
	struct daemon *d = data;
	int conn = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	guint dropped;

	(void)condition;
	if (conn < 0) {
		if (errno != EMFILE && errno != ENFILE && errno != ENOMEM && errno != ENOBUFS)
			return G_SOURCE_CONTINUE;
		log_error(NULL, "cannot take a connection: %s", g_strerror(errno));
		d->listener_source = g_timeout_add(PAUSE_MS, on_pause_over, d);
		return G_SOURCE_REMOVE;
	}
	if (discard_is_full()) {
		if (log_may(&bucket, 1, &dropped))
			log_warning(NULL, "connection refused: too many descriptors that devices "
					  "sent hang when they are closed");
		discard(conn);
	} else if (d->clients->len < d->config->max_connections) {
		client_new(d, conn);
	} else {
		if (log_may(&bucket, 1, &dropped))
			log_warning(NULL,
				    "connection refused: there are %u already; raise "
				    "max-connections if they are yours (%u such lines left out)",
				    d->clients->len, dropped);
		discard(conn);
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

static bool set_owner(const struct config *c, GError **err)
{
	if (chmod(c->socket_path, c->socket_mode) < 0)
		return fail(err, "cannot set the mode of", c->socket_path);
	if (c->socket_gid != (gid_t)-1 && chown(c->socket_path, (uid_t)-1, c->socket_gid) < 0)
		return fail(err, "cannot set the group of", c->socket_path);
	return true;
}

static bool make_listener(struct daemon *d, GError **err)
{
	const struct config *c = d->config;
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	mode_t old;
	int ret;

	if (g_strlcpy(addr.sun_path, c->socket_path, sizeof(addr.sun_path)) >=
	    sizeof(addr.sun_path)) {
		errno = ENAMETOOLONG;
		return fail(err, "a socket's path has at most 107 bytes:", c->socket_path);
	}
	if (!remove_stale(&addr, err))
		return false;
	d->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (d->listener < 0)
		return fail(err, "cannot make the socket", c->socket_path);
	old = umask(0177); /* nobody gets in before the mode is what it should be */
	ret = bind(d->listener, (struct sockaddr *)&addr, sizeof(addr));
	umask(old);
	if (ret < 0)
		return fail(err, "cannot make the socket", c->socket_path);
	d->listener_is_ours = true;
	if (!set_owner(c, err))
		return false;
	return listen(d->listener, 64) == 0 || fail(err, "cannot listen at", c->socket_path);
}

bool server_open(struct daemon *d, GError **err)
{
	char *lock = g_strconcat(d->config->socket_path, ".lock", NULL);
	char *dir = g_path_get_dirname(d->config->socket_path);

	g_mkdir_with_parents(dir, 0755); /* if this fails, the lock says why */
	d->socket_lock = state_lock(lock, err);
	g_free(dir);
	g_free(lock);
	if (d->socket_lock < 0 || !make_listener(d, err))
		return false;
	watch(d);
	call_devices(d);
	return true;
}

bool server_open_fd(struct daemon *d, int fd, GError **err)
{
	int domain, type, listening;
	socklen_t size = sizeof(int);

	if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) < 0 ||
	    getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) < 0 ||
	    getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) < 0)
		return fail(err, "--fd:", "it must be a socket");
	if (domain != AF_UNIX || type != SOCK_STREAM) {
		errno = EPROTOTYPE;
		return fail(err, "--fd:", "it must be a Unix stream socket");
	}
	fcntl(fd, F_SETFD, FD_CLOEXEC);
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	if (listening) {
		d->listener = fd;
		watch(d);
	} else {
		d->one_client = true;
		client_new(d, fd);
	}
	return true;
}

void server_close(struct daemon *d)
{
	if (d->listener_source)
		g_source_remove(d->listener_source);
	d->listener_source = 0;
	if (d->listener_is_ours)
		g_unlink(d->config->socket_path);
	d->listener_is_ours = false;
	fdio_clear(&d->listener);
	fdio_clear(&d->socket_lock);
}
