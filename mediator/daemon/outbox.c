/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What waits to be written to a device. */
#include "outbox.h"

#include <errno.h>
#include <fcntl.h>
#include <glib-unix.h>
#include <string.h>

#include "fdio.h"
#include "vgpu_socket.h"

/* A peer that takes nothing for so long is gone, whatever it is. */
#define STALL_SECONDS 10

struct parcel {
	gsize length;
	gsize sent;
	int fds[OUTBOX_FDS];
	guint nfds;
	guint8 bytes[];
};

static void parcel_free(gpointer data)
{
	struct parcel *p = data;

	fdio_close_all(p->fds, p->nfds);
	g_free(p);
}

void outbox_init(struct outbox *o, int fd)
{
	memset(o, 0, sizeof(*o));
	o->fd = fd;
	o->queue = g_queue_new();
}

static void drop_source(guint *source)
{
	if (*source)
		g_source_remove(*source);
	*source = 0;
}

void outbox_clear(struct outbox *o)
{
	drop_source(&o->source);
	drop_source(&o->timer);
	g_queue_free_full(o->queue, parcel_free);
	o->queue = NULL;
}

static gboolean stalled(gpointer data)
{
	struct outbox *o = data;

	o->timer = 0;
	o->failed(o->opaque, "it does not read what is sent to it");
	return G_SOURCE_REMOVE;
}

/* Writes as much as the peer takes.  0, or a negative errno but EAGAIN. */
static int flush(struct outbox *o)
{
	struct parcel *p;

	while ((p = g_queue_peek_head(o->queue))) {
		ssize_t n =
			fdio_send(o->fd, p->bytes + p->sent, p->length - p->sent, p->fds, p->nfds);

		if (n == -EAGAIN)
			return 0;
		if (n < 0)
			return (int)n;
		/* The descriptors went with the first byte. */
		fdio_close_all(p->fds, p->nfds);
		p->nfds = 0;
		p->sent += (gsize)n;
		o->bytes -= (gsize)n;
		drop_source(&o->timer);
		if (p->sent == p->length)
			parcel_free(g_queue_pop_head(o->queue));
	}
	return 0;
}

static gboolean on_writable(gint fd, GIOCondition condition, gpointer data);

/* After a flush: waits for the peer if something is left. */
static void settle(struct outbox *o)
{
	if (g_queue_is_empty(o->queue)) {
		drop_source(&o->source);
		drop_source(&o->timer);
		o->empty(o->opaque);
		return;
	}
	if (!o->source)
		o->source = g_unix_fd_add(o->fd, G_IO_OUT, on_writable, o);
	if (!o->timer)
		o->timer = g_timeout_add_seconds(STALL_SECONDS, stalled, o);
}

static void run(struct outbox *o)
{
	int err = flush(o);

	if (err) {
		drop_source(&o->source);
		if (err == -EPIPE || err == -ECONNRESET)
			o->gone(o->opaque);
		else
			o->failed(o->opaque, g_strerror(-err));
	} else {
		settle(o);
	}
}

static gboolean on_writable(gint fd, GIOCondition condition, gpointer data)
{
	(void)fd;
	(void)condition;
	run(data);
	return G_SOURCE_CONTINUE; /* run() has removed the source if it is not needed */
}

void outbox_put(struct outbox *o, uint32_t request, uint32_t flags, const void *payload,
		uint32_t size, const int *fds, guint nfds)
{
	const struct vgpu_msg_header h = {
		.request = request, .flags = VGPU_SOCKET_VERSION | flags, .size = size};
	struct parcel *p = g_malloc0(sizeof(*p) + sizeof(h) + size);

	p->length = sizeof(h) + size;
	memcpy(p->bytes, &h, sizeof(h));
	memcpy(p->bytes + sizeof(h), payload, size);
	for (guint i = 0; i < nfds && i < OUTBOX_FDS; i++) {
		p->fds[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, 3);
		if (p->fds[i] < 0) {
			parcel_free(p);
			o->failed(o->opaque, "the daemon is out of descriptors");
			return;
		}
		p->nfds++;
	}
	if (o->bytes + p->length > OUTBOX_MAX) {
		parcel_free(p);
		o->failed(o->opaque, "it does not read what is sent to it");
		return;
	}
	g_queue_push_tail(o->queue, p);
	o->bytes += p->length;
	if (!o->source)
		run(o);
}
