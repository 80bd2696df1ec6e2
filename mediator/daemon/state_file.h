/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A small text in the runtime directory, for the next daemon. */
#ifndef VGPU_DAEMON_STATE_FILE_H
#define VGPU_DAEMON_STATE_FILE_H

#include <glib.h>
#include <stdbool.h>

/*
 * The whole of it, with a zero behind its *length bytes; the caller frees it.
 * NULL without `err`: there is none.  NULL with it: it cannot be read, or it can
 * not have been written by this daemon's user alone.
 */
char *state_file_read(const char *path, gsize *length, GError **err);

/* Writes it as a whole or not at all.  False with `err` set. */
bool state_file_write(const char *path, const char *text, GError **err);

#endif /* VGPU_DAEMON_STATE_FILE_H */
