/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Giving up what a worker does not need. */
#ifndef VGPU_WORKER_CONFINE_H
#define VGPU_WORKER_CONFINE_H

#include <glib.h>
#include <stdbool.h>
#include <sys/types.h>

struct confinement {
	uid_t uid; /* (uid_t)-1: stay */
	gid_t gid;
	bool may_thread; /* the backend's driver makes threads */
};

/*
 * Own process group, no core dumps, no new privileges, few fds, another user
 * if asked.  Called once, before anything of a guest is touched.
 */
bool confine(const struct confinement *c, GError **err);

#endif /* VGPU_WORKER_CONFINE_H */
