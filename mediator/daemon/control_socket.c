/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The control socket: connections, lines in, answers out. */
#include "control_socket.h"

#include <errno.h>
#include <glib-unix.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "audit.h"
#include "control_verbs.h"
#include "fdio.h"
#include "log.h"
#include "state.h"
#include "unix_address.h"

#define CONNECTIONS_MAX 64u
/* Of one user that is not an administrator: it may not keep the others out. */
#define CONNECTIONS_OF_ONE 8u

/* A line that was begun, or an answer that is not read: so long, and it is over. */
#define STALL_SECONDS 10

/* Requests served before others have their turn. */
#define REQUESTS_MAX 16

/* How long to accept nobody when there are no descriptors left. */
#define PAUSE_MS 500

struct control {
	struct daemon *d;
	int listener;
	guint source;
	GPtrArray *conns;
};

struct conn {
	struct control *control;
	int fd;
	struct control_peer peer;
	guint in_source, out_source, timer;
	char in[CONTROL_LINE_MAX];
	size_t have;
	char *out; /* the answer that is being written, or NULL */
	size_t length, sent;
};

static void drop_source(guint *source)
{
	if (*source)
		g_source_remove(*source);
	*source = 0;
}

/* By the array of connections. */
static void conn_free(gpointer data)
{
	struct conn *c = data;

	drop_source(&c->in_source);
	drop_source(&c->out_source);
	drop_source(&c->timer);
	control_peer_clear(&c->peer);
	fdio_clear(&c->fd);
	g_free(c->out);
	g_free(c);
}

static void conn_end(struct conn *c)
{
	g_ptr_array_remove_fast(c->control->conns, c);
}

static gboolean on_stall(gpointer data)
{
	struct conn *c = data;

	c->timer = 0;
	log_info(NULL, "control: user %u, process %d, disconnected: it %s", c->peer.uid,
		 (int)c->peer.pid,
		 c->out ? "does not read its answer" : "began a request and did not end it");
	conn_end(c);
	return G_SOURCE_REMOVE;
}

static gboolean on_writable(gint fd, GIOCondition condition, gpointer data);
static gboolean on_readable(gint fd, GIOCondition condition, gpointer data);

/* Writes what goes.  1: all is written; 0: the peer must read first; -1: it is gone. */
static int flush(struct conn *c)
{
	while (c->sent < c->length) {
		ssize_t n = send(c->fd, c->out + c->sent, c->length - c->sent,
				 MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN ? 0 : -1;
		c->sent += (size_t)n;
		drop_source(&c->timer); /* it reads: the time begins anew */
	}
	g_free(c->out);
	c->out = NULL;
	return 1;
}

/* A line is there: the answer to it is in c->out. */
static void serve(struct conn *c, const char *line, size_t length)
{
	struct control_request r;
	char *why = control_request_parse(&r, line, length);

	c->out = why ? control_answer_error(r.id, CONTROL_BAD_REQUEST, why)
		     : control_serve(c->control->d, &c->peer, &r);
	c->length = strlen(c->out);
	c->sent = 0;
	g_free(why);
	control_request_clear(&r);
}

/* Serves whole lines while their answers are read.  False: the peer is gone. */
static bool work(struct conn *c)
{
	char *end;

	for (int i = 0; i < REQUESTS_MAX; i++) {
		if (c->out) {
			int ret = flush(c);

			if (ret <= 0)
				return ret == 0;
		}
		end = memchr(c->in, '\n', c->have);
		if (!end)
			return c->have < sizeof(c->in);
		serve(c, c->in, (size_t)(end - c->in));
		c->have -= (size_t)(end + 1 - c->in);
		memmove(c->in, end + 1, c->have);
	}
	return true;
}

/* What is waited for next: the peer's reading, more of its line, or nothing in particular. */
static void settle(struct conn *c)
{
	bool more = c->out || memchr(c->in, '\n', c->have);

	if (more && !c->out_source)
		c->out_source = g_unix_fd_add(c->fd, G_IO_OUT, on_writable, c);
	if (!more && !c->in_source)
		c->in_source = g_unix_fd_add(c->fd, G_IO_IN | G_IO_HUP, on_readable, c);
	if (!c->out && !c->have)
		drop_source(&c->timer);
	else if (!c->timer)
		c->timer = g_timeout_add_seconds(STALL_SECONDS, on_stall, c);
}

static gboolean on_writable(gint fd, GIOCondition condition, gpointer data)
{
	struct conn *c = data;

	(void)fd;
	(void)condition;
	c->out_source = 0;
	if (work(c))
		settle(c);
	else
		conn_end(c);
	return G_SOURCE_REMOVE;
}

static gboolean on_readable(gint fd, GIOCondition condition, gpointer data)
{
	struct conn *c = data;
	ssize_t n = recv(fd, c->in + c->have, sizeof(c->in) - c->have, MSG_DONTWAIT);

	(void)condition;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return G_SOURCE_CONTINUE;
	c->in_source = 0;
	if (n > 0) {
		c->have += (size_t)n;
		drop_source(&c->timer);
	}
	if (n > 0 && work(c))
		settle(c);
	else
		conn_end(c);
	return G_SOURCE_REMOVE;
}

static guint connections_of(const struct control *control, uid_t uid)
{
	guint n = 0;

	for (guint i = 0; i < control->conns->len; i++)
		n += ((struct conn *)g_ptr_array_index(control->conns, i))->peer.uid == uid;
	return n;
}

/* Words for one who is not let in; it reads them or it does not. */
static void refuse(struct control *control, int fd, const struct control_peer *p, const char *why,
		   enum audit_cause cause)
{
	char *line = control_answer_error(NULL, CONTROL_NOT_PERMITTED, why);
	JsonObject *details = json_object_new();

	json_object_set_int_member(details, "uid", p->uid);
	json_object_set_int_member(details, "pid", p->pid);
	audit_write(control->d->audit, AUDIT_CONNECTION_REFUSED, cause, NULL, details,
		    "control socket: %s", why);
	if (send(fd, line, strlen(line), MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		log_debug(NULL, "control: a refusal could not be sent");
	g_free(line);
}

static void take_in(struct control *control, int fd)
{
	struct conn *c = g_new0(struct conn, 1);
	int ret = control_peer_read(&c->peer, fd);
	enum control_role role = ret < 0 ? CONTROL_NOBODY : control_peer_role(&c->peer, control->d);

	c->control = control;
	c->fd = fd;
	if (role == CONTROL_NOBODY)
		refuse(control, fd, &c->peer,
		       "this user is neither an administrator nor the owner of a tenant",
		       AUDIT_NOT_PERMITTED);
	else if (control->conns->len >= CONNECTIONS_MAX ||
		 (role != CONTROL_ADMIN &&
		  connections_of(control, c->peer.uid) >= CONNECTIONS_OF_ONE))
		refuse(control, fd, &c->peer, "there are too many connections", AUDIT_HOST_LIMIT);
	else {
		g_ptr_array_add(control->conns, c);
		settle(c);
		return;
	}
	conn_free(c);
}

static gboolean on_connection(gint fd, GIOCondition condition, gpointer data);

static gboolean on_pause_over(gpointer data)
{
	struct control *control = data;

	control->source = g_unix_fd_add(control->listener, G_IO_IN, on_connection, control);
	return G_SOURCE_REMOVE;
}

static gboolean on_connection(gint fd, GIOCondition condition, gpointer data)
{
	struct control *control = data;
	int conn = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	(void)condition;
	if (conn >= 0) {
		take_in(control, conn);
		return G_SOURCE_CONTINUE;
	}
	if (errno != EMFILE && errno != ENFILE && errno != ENOMEM && errno != ENOBUFS)
		return G_SOURCE_CONTINUE;
	/* Without this a full table of descriptors would make us spin. */
	control->source = g_timeout_add(PAUSE_MS, on_pause_over, control);
	return G_SOURCE_REMOVE;
}

/* Everybody may connect: who it is decides, not the file's mode. */
static int listen_at(const char *path)
{
	struct sockaddr_un addr;
	int fd, err;

	if (!unix_address(&addr, path))
		return -errno;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	g_unlink(path); /* a dead daemon's: we hold the lock */
	if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0 && chmod(path, 0666) == 0 &&
	    listen(fd, 64) == 0)
		return fd;
	err = -errno;
	close(fd);
	return err;
}

bool control_open(struct daemon *d, GError **err)
{
	struct control *control = g_new0(struct control, 1);
	char *path = state_path_of(d, "control.sock");

	control->d = d;
	control->conns = g_ptr_array_new_with_free_func(conn_free);
	control->listener = listen_at(path);
	d->control = control;
	if (control->listener >= 0)
		control->source = g_unix_fd_add(control->listener, G_IO_IN, on_connection, control);
	else
		g_set_error(err, G_FILE_ERROR, g_file_error_from_errno(-control->listener),
			    "cannot listen at %s: %s", path, g_strerror(-control->listener));
	g_free(path);
	return control->listener >= 0;
}

void control_close(struct daemon *d)
{
	struct control *control = d->control;
	char *path;

	if (!control)
		return;
	d->control = NULL;
	drop_source(&control->source);
	g_ptr_array_free(control->conns, TRUE);
	if (control->listener >= 0) {
		path = state_path_of(d, "control.sock");
		g_unlink(path);
		g_free(path);
		close(control->listener);
	}
	g_free(control);
}
