/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Giving up what a worker does not need. */
#ifndef VGPU_WORKER_CONFINE_H
#define VGPU_WORKER_CONFINE_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

#include "control.h"

#define CONFINE_GROUPS_MAX 16

enum confine_mode {
	CONFINE_TRY,     /* what cannot be had is told */
	CONFINE_REQUIRE, /* what cannot be had is an error */
	CONFINE_OFF,     /* limits, another user and no new privileges, as far as asked for */
};

struct confinement {
	enum confine_mode mode;
	uid_t uid; /* (uid_t)-1: stay */
	gid_t gid;
	bool try_user;                   /* where that user cannot be had, it stays (CONFINE_TRY) */
	gid_t group[CONFINE_GROUPS_MAX]; /* further ones */
	size_t ngroups;
	bool may_thread;     /* the backend's driver makes threads */
	rlim_t processes;    /* of this user, if it has threads; RLIM_INFINITY: as it is */
	bool gpu;            /* the backend is a real driver: it has devices, files, system calls */
	bool foreign;        /* memory of a Xen domain is mapped: by ioctl() */
	const char *root;    /* an empty folder to build a root at; NULL: the root stays */
	const char *adopt;   /* the folder where a restarted daemon is found, or NULL */
	const char *visible; /* more of the file system, with semicolons between; NULL: no more */
};

/* Where the folder `adopt` is in a root of our own. */
#define CONFINE_ADOPT "/" CTL_ADOPT_DIR

/*
 * Own process group, no core dumps, few fds; a user, namespaces and a root of
 * its own; no capabilities, no new privileges, a filter of system calls.
 * Called once, before anything of a guest is touched.  `missing`: bits of enum
 * ctl_confined that could not be had.
 */
bool confine(const struct confinement *c, uint32_t *missing, GError **err);

/* confine_root.c: 0, or a negative errno, and then the root is as it was. */
int confine_root(const struct confinement *c);

/* confine_calls.c: 0, or a negative errno. */
int confine_calls(const struct confinement *c);

#endif /* VGPU_WORKER_CONFINE_H */
