/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The daemon's state, and who does what in it. */
#ifndef VGPU_DAEMON_H
#define VGPU_DAEMON_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "config.h"
#include "log.h"

struct audit;
struct control;
struct listener;
struct policy_set;
struct turns;

struct daemon {
	struct config *config;
	GMainLoop *loop;
	char *worker_path;
	uint32_t backend;         /* VGPU_BACKEND_* */
	const char *backend_name; /* cpu or cuda */
	GHashTable *sessions;     /* id -> struct session, all that have a process */
	GPtrArray *clients;       /* struct client */
	uint64_t last_session;
	struct log_bucket peer_lines; /* of connections that come and go */
	gint64 started;               /* monotonic, microseconds */
	bool quitting;
	GDateTime *draining;     /* since when no session may begin; NULL: it may; drain.c */
	struct audit *audit;     /* NULL before it is open */
	struct control *control; /* control_socket.c */
	bool one_client;         /* --fd gave a connected device: its end is ours */

	/* tenants.c */
	GHashTable *tenants;         /* name -> struct tenant, all of which anything is there */
	struct policy_set *policies; /* in force */
	GPtrArray *own_sockets;      /* struct listener, of single tenants */

	int users_claim;     /* worker_users.c; -1: none */
	char *groups;        /* worker_groups.c; NULL: tenants have no control groups */
	uint32_t unconfined; /* enum ctl_confined_part that workers lack; confinement.c */
	struct memory_watch *memory_watch; /* memory_watch.c; NULL: nothing is checked */
	struct turns *turns;               /* turns.c */

	/* server.c */
	struct listener *listener; /* that all share; NULL: none */
	int socket_lock;
	int runtime_lock; /* state.c */
	/* adopt.c */
	int adoption;
	guint adoption_source;
	guint orphan_timer;
	GPtrArray *knocking; /* workers that have not said who they are */
};

/* main.c: ends the main loop once everything is gone. */
void daemon_check_idle(struct daemon *d);

/* main.c: begins the clean end. */
void daemon_quit(struct daemon *d);

/*
 * main.c: reads the configuration and all tenants again.  False with `err`
 * set: something is wrong, and nothing has changed.
 */
bool daemon_reload(struct daemon *d, GError **err);

#endif /* VGPU_DAEMON_H */
