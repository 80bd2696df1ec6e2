/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The process that serves the guest: privileged until it is set up, then confined. */
#ifndef VGPU_XEN_EMULATOR_H
#define VGPU_XEN_EMULATOR_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct emulator_config {
	uint32_t domid;
	uint32_t queues;
	unsigned int slot; /* device number on bus 0 */
	const char *socket;
	char *name;       /* of the VM */
	uint64_t memory;  /* bytes that the domain may have at most */
	const char *root; /* the directory that becomes this process's root */
	uid_t uid;
	gid_t gid;
	gid_t socket_gid; /* one more group, to get at the socket; (gid_t)-1: none */
	bool verbose;     /* guest errors go to the log, too */
};

/*
 * Serves until it is killed.  `report` is its end of a socket pair.  The exit
 * status.  Handles of Xen's libraries that came with the fork, XenStore's too,
 * lead nowhere afterwards.
 */
int emulator_run(const struct emulator_config *config, int report);

#endif /* VGPU_XEN_EMULATOR_H */
