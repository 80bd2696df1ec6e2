/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A control group for the workers of each tenant, so that what they take of
 * the host's memory and processes has a limit for all of them together.
 */
#ifndef VGPU_DAEMON_WORKER_GROUPS_H
#define VGPU_DAEMON_WORKER_GROUPS_H

#include "daemon.h"

struct tenant;

/*
 * Looks for a control group whose children are ours: [worker] cgroup, or the
 * parent of the group called "daemon" that systemd has put us in.  Without one
 * no tenant has a group, and the log says so.
 */
void worker_groups_open(struct daemon *d);
void worker_groups_close(struct daemon *d);

/* The path of the tenant's group, made or not; NULL: there are none.  The caller frees it. */
char *worker_group_of(const struct tenant *t);

/* Does it have all the processes that it may?  Then no worker of it may begin. */
bool worker_group_is_full(const struct tenant *t);

/*
 * A worker goes into its tenant's group: one that has begun and waits for its
 * first message, or one of a daemon before us.  0, also where there are no
 * groups; else a negative errno, and it is in none, as the log says.
 */
int worker_group_enter(struct tenant *t, pid_t pid);

/* Its limits are others now: for workers that run as well. */
void worker_group_limits(const struct tenant *t);

/* The tenant is gone, and so is its last session. */
void worker_group_remove(const struct tenant *t);

#endif /* VGPU_DAEMON_WORKER_GROUPS_H */
