/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The check of memory from outside: gpu_mediator-watch tells what each process
 * holds, and a tenant that holds more than it may loses a session.
 */
#ifndef VGPU_DAEMON_MEMORY_WATCH_H
#define VGPU_DAEMON_MEMORY_WATCH_H

#include "daemon.h"

/*
 * Starts the watching program: the configured one, else with the cuda backend
 * the one beside the daemon.  It is started anew if it ends; without any nothing
 * is checked, and the log says so.
 */
void memory_watch_start(struct daemon *d);
void memory_watch_stop(struct daemon *d);

#endif /* VGPU_DAEMON_MEMORY_WATCH_H */
