/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One connected device.
 *
 * Whatever it does, the daemon neither blocks nor grows: reading and writing
 * are non-blocking, what waits to be written is bounded, and a device that
 * breaks the protocol, stalls or never reads is disconnected and its sessions
 * end.
 */
#ifndef VGPU_DAEMON_CLIENT_H
#define VGPU_DAEMON_CLIENT_H

#include <sys/socket.h>

#include "daemon.h"
#include "framing.h"
#include "log.h"
#include "memtable.h"
#include "outbox.h"

struct session;
struct tenant;

struct client {
	struct daemon *d;
	int fd;
	char *via;         /* the tenant's own socket that it came in on; NULL: the shared one */
	struct ucred peer; /* who connected, as the kernel says */
	struct tenant *tenant; /* NULL before HELLO */
	guint in_source;
	guint timer;        /* HELLO, or the rest of a message, must come before it */
	guint close_source; /* the end is decided and happens from the main loop */
	struct framing in;
	uint64_t messages; /* handled */
	struct outbox out;
	struct memtable mem;
	bool called;
	uint32_t called_domid;
	char *name; /* of the VM, fit for the log */
	uint8_t uuid[16];
	uint32_t max_queues;
	guint memory_timer;         /* the workers are about to be told of memory */
	bool refused;               /* closes once the refusal is sent */
	unsigned int resets_wanted; /* replies owed once all sessions are gone */
	GHashTable *queues;         /* number -> struct session */
	struct log_bucket lines;
};

/* A new connection; takes the fd.  `via`: path of the tenant's own socket, or NULL. */
struct client *client_new(struct daemon *d, int fd, const char *via);

/*
 * It is one that waited to be called, in a place made for this domain or, with
 * MEMTABLE_NO_DOMAIN, for none.
 */
void client_called(struct client *c, uint32_t domid);

/* Ends the connection and its sessions, now. */
void client_free(struct client *c);

/* Ends the connection soon, for the reason logged. */
void client_fail(struct client *c, const char *format, ...) G_GNUC_PRINTF(2, 3);

/* A session's news. */
void client_session_ready(struct client *c, struct session *s);
void client_session_gone(struct client *c, struct session *s);

#endif /* VGPU_DAEMON_CLIENT_H */
