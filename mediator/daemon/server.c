/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The socket that all devices share. */
#include "server.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "call.h"
#include "client.h"
#include "fdio.h"
#include "listener.h"
#include "state.h"

bool server_open(struct daemon *d, GError **err)
{
	const struct config *c = d->config;
	const struct listener_look look = {c->socket_mode, (uid_t)-1, c->socket_gid};
	char *lock = g_strconcat(c->socket_path, ".lock", NULL);
	char *dir = g_path_get_dirname(c->socket_path);

	g_mkdir_with_parents(dir, 0755); /* if this fails, the lock says why */
	d->socket_lock = state_lock(lock, err);
	g_free(dir);
	g_free(lock);
	if (d->socket_lock < 0)
		return false;
	d->listener = listener_new(d, c->socket_path, &look, err);
	if (!d->listener)
		return false;
	d->listener->shared = true;
	listener_watch(d->listener);
	call_devices(d->listener);
	return true;
}

static bool fail(GError **err)
{
	int code = errno;

	g_set_error(err, G_FILE_ERROR, g_file_error_from_errno(code),
		    "--fd: it must be a Unix stream socket: %s", g_strerror(code));
	return false;
}

bool server_open_fd(struct daemon *d, int fd, GError **err)
{
	int domain, type, listening;
	socklen_t size = sizeof(int);

	if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) < 0 ||
	    getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) < 0 ||
	    getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) < 0)
		return fail(err);
	if (domain != AF_UNIX || type != SOCK_STREAM) {
		errno = EPROTOTYPE;
		return fail(err);
	}
	fcntl(fd, F_SETFD, FD_CLOEXEC);
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	if (listening) {
		d->listener = listener_new_fd(d, fd);
		d->listener->shared = true;
		listener_watch(d->listener);
	} else {
		d->one_client = true;
		client_new(d, fd, NULL);
	}
	return true;
}

void server_close(struct daemon *d)
{
	listener_free(d->listener);
	d->listener = NULL;
	fdio_clear(&d->socket_lock);
}
