/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Workers of a daemon before us.  They run on without one, and look for the
 * next one at a socket in the runtime directory.
 *
 * A worker proves what it is by its process id, as the kernel tells it, and a
 * device by the session page that it kept.
 */
#ifndef VGPU_DAEMON_ADOPT_H
#define VGPU_DAEMON_ADOPT_H

#include "daemon.h"

/* Finds the workers of the daemon before us and listens for them. */
bool adopt_begin(struct daemon *d, GError **err);

void adopt_close(struct daemon *d);

#endif /* VGPU_DAEMON_ADOPT_H */
