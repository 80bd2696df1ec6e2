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

/* A worker of the tenant has begun, and read nothing yet: it goes into the tenant's group. */
void worker_group_enter(struct tenant *t, pid_t pid);

/* Its limits are others now: for workers that run as well. */
void worker_group_limits(const struct tenant *t);

/* The last of the tenant is gone. */
void worker_group_remove(const struct tenant *t);

#endif /* VGPU_DAEMON_WORKER_GROUPS_H */
