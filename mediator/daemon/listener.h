/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A Unix socket that devices connect to: the one that all share, or a tenant's own. */
#ifndef VGPU_DAEMON_LISTENER_H
#define VGPU_DAEMON_LISTENER_H

#include "daemon.h"

struct listener {
	struct daemon *d;
	char *path; /* NULL: a descriptor that was given to us */
	bool shared;
	int fd;
	guint source;
	ino_t inode; /* of what we made at `path` */
};

/* How the file of a socket is to look; what is -1 stays as it is. */
struct listener_look {
	guint mode;
	uid_t uid;
	gid_t gid;
};

/*
 * Makes a socket at `path` and listens, but takes nobody before
 * listener_watch().  A socket left by a dead daemon is replaced; one that
 * somebody listens at is not, nor is any other file.
 */
struct listener *listener_new(struct daemon *d, const char *path, const struct listener_look *look,
			      GError **err);

/* The same with a descriptor that listens already, which it takes. */
struct listener *listener_new_fd(struct daemon *d, int fd);

/* Changes mode and owner of its file. */
bool listener_set_look(struct listener *l, const struct listener_look *look, GError **err);

/* Begins to take connections. */
void listener_watch(struct listener *l);

/* Closes it and removes its file. */
void listener_free(struct listener *l);

#endif /* VGPU_DAEMON_LISTENER_H */
