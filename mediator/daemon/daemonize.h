/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Becoming a daemon, the process id file, telling who waits that we are ready. */
#ifndef VGPU_DAEMON_DAEMONIZE_H
#define VGPU_DAEMON_DAEMONIZE_H

#include <glib.h>
#include <stdbool.h>

/*
 * Forks; the parent waits for daemonize_ready() and exits with its result, so
 * that whoever started us learns of errors.  Returns in the child only.
 */
void daemonize_begin(void);

/* The child: `ok` to the parent; standard streams go to /dev/null. */
void daemonize_ready(bool ok);

bool pidfile_write(const char *path, GError **err);

/* Removes it if it is ours. */
void pidfile_remove(const char *path);

/* To systemd, where it listens: READY=1, RELOADING=1, STOPPING=1. */
void notify(const char *state);

#endif /* VGPU_DAEMON_DAEMONIZE_H */
