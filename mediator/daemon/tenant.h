/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One tenant, as long as anything of it is there: its policy, the pages that
 * its workers share (tenant_page.h), and a slot in them for each session.
 */
#ifndef VGPU_DAEMON_TENANT_H
#define VGPU_DAEMON_TENANT_H

#include "daemon.h"
#include "faults.h"
#include "memory_judge.h"
#include "policy.h"
#include "tenant_page.h"
#include "worker_memory.h"

struct session;

struct tenant {
	struct daemon *d;
	char *name;
	guint refs;
	const struct policy *policy; /* never NULL */
	struct policy *own;          /* `policy`, if it is in no file: an open tenant */
	bool removed;                /* its policy is gone: no session may begin */

	int limits_fd; /* read-only, for workers */
	int usage_fd;
	struct tenant_limits *limits; /* we alone can write */
	struct tenant_usage *usage;   /* believe nothing of it: workers write */
	struct session *slot[TENANT_SESSIONS_MAX];
	guint sessions;                   /* slots in use */
	uint64_t number;                  /* turns.c; 0: it has none yet */
	guint connections;                /* client.c */
	struct memory_record memory;      /* memory_watch.c */
	struct worker_memory host_memory; /* worker_memory.c */
	struct faults *faults;            /* faults.c; never NULL */
	uint32_t flags; /* TENANT_*: what its guests are told; tenant_publish() after a change */
	struct session_usage gone; /* what sessions that have ended used; usage.c */
};

/* With one reference; NULL with `err` set if there is no memory for its pages. */
struct tenant *tenant_new(struct daemon *d, const char *name, GError **err);

struct tenant *tenant_ref(struct tenant *t);
/* The last one frees it. */
void tenant_unref(struct tenant *t);

/*
 * Puts a policy in force, for sessions that run as well.  It is the caller's
 * and must live until the next call, or with `own` the tenant's.
 */
void tenant_set_policy(struct tenant *t, const struct policy *p, bool own);

/* Writes the page of limits: the policy's, and what guests are told of their tenant. */
void tenant_publish(struct tenant *t);

/*
 * Gives a session a slot and sets its `tenant` and `slot`.  False: it has as
 * many sessions as it may.
 */
bool tenant_enter(struct tenant *t, struct session *s);

/* As tenant_enter(), for a session that runs and has its slot.  False: another one has it. */
bool tenant_enter_at(struct tenant *t, struct session *s, guint slot);

/* The session has ended: its slot is clean for the next one. */
void tenant_leave(struct session *s);

/* Ends the youngest sessions of a tenant that has more than it may, if its policy wants that. */
void tenant_shed(struct tenant *t);

#endif /* VGPU_DAEMON_TENANT_H */
