/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Who is at the other end of the control socket, and what it may. */
#ifndef VGPU_CONTROL_PEER_H
#define VGPU_CONTROL_PEER_H

#include <sys/types.h>

#include "daemon.h"

/* As the kernel says, from the moment that it connected. */
struct control_peer {
	uid_t uid;
	gid_t gid;
	pid_t pid;
	GArray *groups; /* gid_t, the further ones */
};

enum control_role {
	CONTROL_NOBODY,
	CONTROL_OWNER,   /* may see its own tenants */
	CONTROL_MONITOR, /* may see everything */
	CONTROL_ADMIN,   /* may do everything */
};

/* 0 or a negative errno.  control_peer_clear() it. */
int control_peer_read(struct control_peer *p, int fd);
void control_peer_clear(struct control_peer *p);

/* By the configuration and the tenants as they are now. */
enum control_role control_peer_role(const struct control_peer *p, const struct daemon *d);

/* May it see this tenant (NULL: what is nobody's)? */
bool control_peer_sees(const struct control_peer *p, const struct daemon *d, const char *tenant);

#endif /* VGPU_CONTROL_PEER_H */
