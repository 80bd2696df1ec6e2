/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The socket where devices connect. */
#ifndef VGPU_DAEMON_SERVER_H
#define VGPU_DAEMON_SERVER_H

#include "daemon.h"

/*
 * Listens at the configured path.  A socket left by a dead daemon is replaced,
 * one that a live daemon listens at is not, nor is any other file.
 */
bool server_open(struct daemon *d, GError **err);

/* Uses a descriptor given to us: a listening socket, or one connected device. */
bool server_open_fd(struct daemon *d, int fd, GError **err);

void server_close(struct daemon *d);

#endif /* VGPU_DAEMON_SERVER_H */
