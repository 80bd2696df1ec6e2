/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A user for the workers of each tenant, so that the kernel keeps them apart:
 * they have nobody else's user id, and cannot signal or trace each other.
 */
#ifndef VGPU_DAEMON_WORKER_USERS_H
#define VGPU_DAEMON_WORKER_USERS_H

#include "daemon.h"

/* User ids from [worker] uid-base on that are ours. */
#define WORKER_USERS 65536u

/*
 * Who a tenant's workers are to be.  A tenant has the same user as long as the
 * runtime directory is there, over restarts of the daemon, and nobody that the
 * system knows.  Those of --open, who are anybody, are one user.  (uid_t)-1 in
 * `uid`: they stay what the daemon is.  False with `err` set: none is left.
 */
bool worker_user_of(struct daemon *d, const char *tenant, uid_t *uid, gid_t *gid, GError **err);

/*
 * Takes these users for this daemon, as far as daemons of this host (that is, of
 * one network namespace) know of each other: the log warns of another with the
 * same [worker] uid-base.
 */
void worker_users_claim(struct daemon *d);

/* The users and the group that reach what all workers need; (uid_t)-1: as it is. */
void worker_users_owner(const struct daemon *d, uid_t *uid, gid_t *gid);

#endif /* VGPU_DAEMON_WORKER_USERS_H */
