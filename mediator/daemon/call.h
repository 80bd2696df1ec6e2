/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Devices that cannot come: a virtual machine monitor that gave up its view of
 * the file system waits at a socket of its own, and is called.
 */
#ifndef VGPU_DAEMON_CALL_H
#define VGPU_DAEMON_CALL_H

#include "listener.h"

/*
 * Makes the directory where they wait, beside the socket that they would have
 * come to, and connects to those that are there, as if they had.  What nobody
 * waits at any more is removed.
 */
void call_devices(struct listener *l);

#endif /* VGPU_DAEMON_CALL_H */
