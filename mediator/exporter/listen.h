/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Where the exporter is asked: on this machine only. */
#ifndef VGPU_EXPORTER_LISTEN_H
#define VGPU_EXPORTER_LISTEN_H

#include <glib.h>

/*
 * A listening socket: the one that systemd gave, or one at `where`, which is
 * unix:PATH or a port of the loopback (127.0.0.1:PORT, [::1]:PORT).  -1 with
 * `err` set.
 */
int listen_open(const char *where, guint mode, GError **err);

#endif /* VGPU_EXPORTER_LISTEN_H */
