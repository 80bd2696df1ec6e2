/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The control socket: where administrators and the owners of tenants ask and
 * command; protocol/control.md.
 *
 * The main loop never waits for a peer: a line is bounded, a peer's next
 * request is looked at when it has read the answer to the one before, and who
 * stalls in the midst of either is disconnected.
 */
#ifndef VGPU_CONTROL_SOCKET_H
#define VGPU_CONTROL_SOCKET_H

#include "daemon.h"

/* Listens at control.sock in the runtime directory, whose lock we have. */
bool control_open(struct daemon *d, GError **err);

void control_close(struct daemon *d);

#endif /* VGPU_CONTROL_SOCKET_H */
