/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Giving up what serving a guest does not need. */
#ifndef VGPU_XEN_CONFINE_H
#define VGPU_XEN_CONFINE_H

#include <glib.h>
#include <stdbool.h>
#include <sys/types.h>

struct confinement {
	const char *root; /* becomes the root directory */
	uid_t uid;
	gid_t gid;
	gid_t socket_gid; /* a supplementary group; (gid_t)-1: none */
};

/*
 * Own namespaces, another root, user and group, no new privileges, no core
 * dumps, no further processes, few descriptors, and a filter of system calls
 * that ends the process at one it has no business with.  Irrevocable.
 */
bool confine(const struct confinement *c, GError **err);

/* How `path` is called inside of `root`; NULL: it is not beneath it.  The caller frees it. */
char *confine_path(const char *root, const char *path);

#endif /* VGPU_XEN_CONFINE_H */
