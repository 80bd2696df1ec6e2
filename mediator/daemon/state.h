/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What outlives a daemon in its runtime directory: a lock, the number of the
 * last session, and a file for each session that says which process serves it
 * and which device it belongs to.
 */
#ifndef VGPU_DAEMON_STATE_H
#define VGPU_DAEMON_STATE_H

#include "daemon.h"
#include "session.h"

/* Makes and locks the runtime directory. */
bool state_open(struct daemon *d, GError **err);

/* Locks a file; a descriptor, or -1 with `err` saying who else may have it. */
int state_lock(const char *path, GError **err);

/* A name in the runtime directory; the caller frees it. */
char *state_path_of(const struct daemon *d, const char *name);

/* A number that no session of this directory has had. */
uint64_t state_next_id(struct daemon *d);

void state_remember(const struct session *s);
void state_forget(const struct daemon *d, uint64_t session);

/* Makes a session of each worker that is alive; removes the files of the others. */
void state_find_workers(struct daemon *d);

#endif /* VGPU_DAEMON_STATE_H */
