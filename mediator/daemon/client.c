/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One connected device: the connection itself. */
#include "client_priv.h"

#include <errno.h>
#include <glib-unix.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "discard.h"
#include "fdio.h"
#include "session.h"
#include "tenant.h"

/* Messages handled before others have their turn. */
#define MESSAGES_MAX 16

struct log_about client_about(const struct client *c)
{
	return (struct log_about){.vm = c->name};
}

static void drop_source(guint *source)
{
	if (*source)
		g_source_remove(*source);
	*source = 0;
}

static gboolean on_close(gpointer data)
{
	struct client *c = data;

	c->close_source = 0;
	client_free(c);
	return G_SOURCE_REMOVE;
}

static void close_soon(struct client *c)
{
	if (!c->close_source)
		c->close_source = g_idle_add_full(G_PRIORITY_HIGH, on_close, c, NULL);
}

/* Whoever can reach the socket could fill the log by coming and going. */
bool client_may_log(struct client *c)
{
	guint dropped;

	if (!log_may(&c->d->peer_lines, c->d->config->log_lines, &dropped))
		return false;
	if (dropped)
		log_warning(NULL, "%u lines about connections were left out", dropped);
	return true;
}

void client_audit(const struct client *c, enum audit_kind kind, enum audit_cause cause,
		  const char *why)
{
	const struct audit_about about = {.tenant = c->tenant ? c->tenant->name : NULL};
	JsonObject *details = json_object_new();

	json_object_set_string_member(details, "vm", c->name);
	json_object_set_int_member(details, "uid", c->peer.uid);
	json_object_set_int_member(details, "pid", c->peer.pid);
	if (c->via)
		json_object_set_string_member(details, "socket", c->via);
	audit_write(c->d->audit, kind, cause, &about, details, "%s", why);
}

void client_fail(struct client *c, const char *format, ...)
{
	struct log_about about = client_about(c);
	va_list args;
	char *why;

	if (c->close_source)
		return;
	va_start(args, format);
	why = g_strdup_vprintf(format, args);
	va_end(args);
	if (client_may_log(c))
		log_warning(&about, "device disconnected: %s", why);
	g_free(why);
	close_soon(c);
}

/* It went by itself, as devices do. */
static void on_gone(struct client *c)
{
	struct log_about about = client_about(c);

	if (c->close_source)
		return;
	if (client_may_log(c))
		log_info(&about, "device disconnected");
	close_soon(c);
}

static void on_outbox_gone(gpointer opaque)
{
	on_gone(opaque);
}

static void on_outbox_failed(gpointer opaque, const char *why)
{
	client_fail(opaque, "%s", why);
}

static void on_outbox_empty(gpointer opaque)
{
	struct client *c = opaque;

	if (c->refused)
		close_soon(c);
}

static gboolean on_stall(gpointer data)
{
	struct client *c = data;

	c->timer = 0;
	client_fail(c, c->in.hello_seen ? "it began a message and did not end it"
					: "it did not say HELLO");
	return G_SOURCE_REMOVE;
}

/* A peer may be silent between messages, once it has introduced itself.  `progress`: one ended. */
static void set_timer(struct client *c, bool progress)
{
	bool wanted = !c->in.hello_seen || c->in.have;

	if (!wanted || progress)
		drop_source(&c->timer);
	if (wanted && !c->timer)
		c->timer = g_timeout_add_seconds(c->d->config->handshake_timeout, on_stall, c);
}

void client_fill_status(struct vgpu_msg_status *s, int status, const char *reason)
{
	memset(s, 0, sizeof(*s));
	s->status = status;
	g_strlcpy(s->reason, reason ? reason : "", sizeof(s->reason));
}

void client_send_status(struct client *c, uint32_t request, int status, const char *reason)
{
	struct vgpu_msg_status s;

	client_fill_status(&s, status, reason);
	outbox_put(&c->out, request, VGPU_MSG_REPLY, &s, sizeof(s), NULL, 0);
}

static void dispatch(struct client *c)
{
	switch (framing_request(&c->in)) {
	case VGPU_MSG_HELLO:
		client_hello(c);
		break;
	case VGPU_MSG_SET_MEM_TABLE:
		client_set_mem_table(c);
		break;
	case VGPU_MSG_ADD_MEM_REG:
		client_add_mem_reg(c);
		break;
	case VGPU_MSG_REM_MEM_REG:
		client_rem_mem_reg(c);
		break;
	case VGPU_MSG_QUEUE_START:
		client_queue_start(c);
		break;
	case VGPU_MSG_QUEUE_STOP:
		client_queue_stop(c);
		break;
	case VGPU_MSG_QUEUE_RESUME:
		client_queue_resume(c);
		break;
	case VGPU_MSG_RESET_DEVICE:
		client_reset_device(c);
		break;
	}
}

/* Reads once.  1: a whole message was handled; 0: nothing more now. */
static int read_some(struct client *c)
{
	int fds[VGPU_MSG_FDS_MAX];
	size_t nfds = VGPU_MSG_FDS_MAX, room;
	void *to = framing_room(&c->in, &room);
	ssize_t got = fdio_recv(c->fd, to, room, fds, &nfds);
	const char *why = NULL;
	int ret;

	if (got == -EAGAIN)
		return 0;
	if (got == 0 && c->in.have) {
		client_fail(c, "it closed the connection in the midst of a message");
		return 0;
	}
	if (got == 0 || got == -ECONNRESET) {
		on_gone(c);
		return 0;
	}
	if (got < 0) {
		client_fail(c, "%s",
			    got == -EBADMSG ? "it sent more descriptors than any message "
					      "has"
					    : g_strerror((int)-got));
		return 0;
	}
	ret = framing_added(&c->in, (size_t)got, fds, nfds, &why);
	if (ret < 0) {
		client_fail(c, "it broke the protocol with %s", why);
		return 0;
	}
	if (ret == 0)
		return c->in.have >= sizeof(struct vgpu_msg_header); /* the payload may be there */
	dispatch(c);
	if (discard_is_full())
		client_fail(c, "too many descriptors of devices hang when they are closed");
	framing_next(&c->in, discard);
	c->messages++;
	return 1;
}

static gboolean on_readable(gint fd, GIOCondition condition, gpointer data)
{
	struct client *c = data;
	uint64_t before = c->messages;

	(void)fd;
	(void)condition;
	for (int i = 0; i < 2 * MESSAGES_MAX && !c->close_source && !c->refused; i++) {
		if (!read_some(c))
			break;
	}
	if (c->close_source || c->refused) {
		c->in_source = 0;
		return G_SOURCE_REMOVE;
	}
	set_timer(c, c->messages != before);
	return G_SOURCE_CONTINUE;
}

struct client *client_new(struct daemon *d, int fd, const char *via)
{
	struct client *c = g_new0(struct client, 1);
	socklen_t size = sizeof(c->peer);

	c->d = d;
	c->fd = fd;
	c->via = g_strdup(via);
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &c->peer, &size) < 0)
		c->peer = (struct ucred){.pid = -1, .uid = (uid_t)-1, .gid = (gid_t)-1};
	c->name = g_strdup("unknown");
	c->queues = g_hash_table_new(NULL, NULL);
	framing_init(&c->in);
	memtable_init(&c->mem);
	outbox_init(&c->out, fd);
	c->out.failed = on_outbox_failed;
	c->out.gone = on_outbox_gone;
	c->out.empty = on_outbox_empty;
	c->out.opaque = c;
	c->in_source = g_unix_fd_add(fd, G_IO_IN | G_IO_HUP, on_readable, c);
	set_timer(c, false);
	g_ptr_array_add(d->clients, c);
	return c;
}

/* The sessions end by themselves; nobody waits to hear of it any more. */
static void leave_sessions(struct client *c)
{
	GHashTableIter iter;
	gpointer s;

	client_kill_sessions(c, "its device is gone");
	g_hash_table_iter_init(&iter, c->queues);
	while (g_hash_table_iter_next(&iter, NULL, &s))
		((struct session *)s)->client = NULL;
}

void client_free(struct client *c)
{
	struct daemon *d = c->d;

	leave_sessions(c);
	drop_source(&c->in_source);
	drop_source(&c->timer);
	drop_source(&c->close_source);
	drop_source(&c->memory_timer);
	outbox_clear(&c->out);
	framing_next(&c->in, discard);
	memtable_clear(&c->mem);
	g_hash_table_destroy(c->queues);
	shutdown(c->fd, SHUT_RDWR);
	discard(c->fd); /* it may hold descriptors that nobody has read */
	g_free(c->name);
	g_free(c->via);
	if (c->tenant) {
		c->tenant->connections--;
		tenant_unref(c->tenant);
	}
	g_ptr_array_remove_fast(d->clients, c);
	g_free(c);
	daemon_check_idle(d);
}
