/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What --print-capabilities prints. */
#ifndef VGPU_DAEMON_CAPABILITIES_H
#define VGPU_DAEMON_CAPABILITIES_H

/* A JSON object on standard output, as management programs expect of a back-end. */
void capabilities_print(void);

#endif /* VGPU_DAEMON_CAPABILITIES_H */
