/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Devices that cannot come: a virtual machine monitor that gave up its view of
 * the file system waits at a socket of its own, and is called.
 */
#ifndef VGPU_DAEMON_CALL_H
#define VGPU_DAEMON_CALL_H

#include "daemon.h"

/*
 * Makes the directory where they wait, beside the socket, and connects to those
 * that are there.  What nobody waits at any more is removed.
 */
void call_devices(struct daemon *d);

#endif /* VGPU_DAEMON_CALL_H */
