/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What waits to be written to a device: messages with their descriptors, bounded. */
#ifndef VGPU_DAEMON_OUTBOX_H
#define VGPU_DAEMON_OUTBOX_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#define OUTBOX_MAX (64u * 1024)
#define OUTBOX_FDS 3

struct outbox {
	int fd;
	GQueue *queue;
	gsize bytes; /* waiting */
	guint source;
	guint timer; /* the peer must have read something before it */
	/* The peer is not worth waiting for; called once, from the main loop or from put. */
	void (*failed)(gpointer opaque, const char *why);
	/* The peer has gone. */
	void (*gone)(gpointer opaque);
	/* All is written. */
	void (*empty)(gpointer opaque);
	gpointer opaque;
};

void outbox_init(struct outbox *o, int fd);

/*
 * Sends a message, now or when the peer reads.  `fds` are duplicated, so they
 * stay the caller's.
 */
void outbox_put(struct outbox *o, uint32_t request, uint32_t flags, const void *payload,
		uint32_t size, const int *fds, guint nfds);

void outbox_clear(struct outbox *o);

#endif /* VGPU_DAEMON_OUTBOX_H */
