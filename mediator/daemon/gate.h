/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which backend serves.  A driver is not called before a child process has
 * shown that it counts devices, allocates and frees, and comes back in time.
 */
#ifndef VGPU_DAEMON_GATE_H
#define VGPU_DAEMON_GATE_H

#include "daemon.h"

/*
 * Sets d->backend and d->backend_name from the configuration and logs which
 * and why.  False if what is configured cannot be had.
 */
bool gate_choose(struct daemon *d, GError **err);

#endif /* VGPU_DAEMON_GATE_H */
