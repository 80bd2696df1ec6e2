/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What outlives a daemon: a lock, the number of the last session and a file
 * for each session in the runtime directory, and a socket where workers of a
 * dead daemon find the next one.
 *
 * A worker proves what it is by its process id, as the kernel tells it, and a
 * device by the session page that it kept.
 */
#ifndef VGPU_DAEMON_ADOPT_H
#define VGPU_DAEMON_ADOPT_H

#include "daemon.h"
#include "session.h"

/* Makes and locks the runtime directory. */
bool adopt_open(struct daemon *d, GError **err);

/* Finds the workers of the daemon before us and listens for them. */
bool adopt_begin(struct daemon *d, GError **err);

void adopt_close(struct daemon *d);

/* Locks a file; a descriptor, or -1 with `err` saying who else may have it. */
int adopt_lock(const char *path, GError **err);

uint64_t adopt_next_id(struct daemon *d);
void adopt_remember(const struct session *s);
void adopt_forget(const struct daemon *d, uint64_t session);

#endif /* VGPU_DAEMON_ADOPT_H */
