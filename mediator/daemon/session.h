/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A session: one worker process, as the daemon sees it.
 *
 * Begins with a QUEUE_START (or is found again after a restart, see adopt.c),
 * ends when its process is gone and not a moment before: only then may the
 * guest have its memory back.
 */
#ifndef VGPU_DAEMON_SESSION_H
#define VGPU_DAEMON_SESSION_H

#include "audit.h"
#include "control.h"
#include "daemon.h"
#include "log.h"
#include "memtable.h"

struct client;
struct tenant;

enum session_state {
	SESSION_STARTING, /* the worker has not said READY */
	SESSION_RUNNING,
	SESSION_ORPHAN, /* of a daemon before us; waits for its device */
	SESSION_ENDING, /* killed, not yet reaped */
};

struct session {
	struct daemon *d;
	struct client *client; /* NULL: an orphan, or its client has gone */
	uint64_t id;
	gint64 since; /* monotonic, microseconds: when we learned of it */
	struct tenant *tenant;
	guint slot; /* in the pages of its tenant */
	guint gpu;  /* its number; a session stays where it is */
	/* turns.c */
	bool entered;
	bool turn_due; /* `turn` could not be sent; again soon */
	struct ctl_turn turn;
	uint32_t queue;
	uint32_t tag;
	uint8_t uuid[16]; /* of the device */
	char *vm;
	enum session_state state;

	pid_t pid;
	bool is_child;
	int pidfd;
	guint pid_source;
	int control; /* -1: an orphan that has not knocked yet */
	guint control_source;
	guint timer;
	guint retry; /* the memory table could not be sent; again soon */

	int page_fd; /* read-only */
	const struct vgpu_session_page *page;
	uint64_t page_dev, page_ino;
	int lifeline; /* the device's end, until it is sent */
	int ring;     /* HOST_RING's memfd, until it is sent */

	bool announced;   /* the device knows the session by its id */
	bool stop_wanted; /* the device waits for the answer to QUEUE_STOP */
	int status;       /* why it ended, once known */
	char reason[VGPU_REASON_MAX];
};

/*
 * Starts a worker for a QUEUE_START.  Takes kick and call.  NULL on failure,
 * with *status and `reason` set.  The client hears of it by
 * client_session_ready() or client_session_gone().
 */
struct session *session_start(struct daemon *d, struct client *c,
			      const struct vgpu_msg_queue_start *start, int kick, int call,
			      int *status, char reason[VGPU_REASON_MAX]);

/* A session whose process was found; takes the pidfd.  adopt.c fills in the rest. */
struct session *session_found(struct daemon *d, uint64_t id, pid_t pid, int pidfd);

/* The worker speaks at `control`, which is the session's then. */
void session_attach(struct session *s, int control);

/*
 * Gives an orphan to the client, if `page_fd` proves that it is its device;
 * takes the fd.  The worker need not have knocked yet: it may be in the midst
 * of a long command.  0 or a negative errno with *why in words.
 */
int session_resume(struct session *s, struct client *c, int page_fd, const char **why);

/* Tells the worker the memory table. */
void session_memory(struct session *s);

/* Ends it; session_gone follows.  `reason`: for the log and for the device. */
void session_kill(struct session *s, int status, const char *reason);

/* Ends it against its will: session_kill(), written down as an eviction with its cause. */
void session_evict(struct session *s, enum audit_cause cause, int status, const char *reason);

/* What its lines in the audit log are about. */
struct audit_about session_audit(const struct session *s);

/* What its log lines are about. */
struct log_about session_about(const struct session *s);

/* At the very end of the daemon: forget it without waiting. */
void session_free(struct session *s);

#endif /* VGPU_DAEMON_SESSION_H */
