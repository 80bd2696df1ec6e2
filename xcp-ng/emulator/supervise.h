/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The process that watches: keeps the privileges that the serving one gives
 * up, touches nothing of the guest, tells XenStore how things are, and ends
 * the other with the domain.
 */
#ifndef VGPU_XEN_SUPERVISE_H
#define VGPU_XEN_SUPERVISE_H

#include <stdint.h>
#include <sys/types.h>

#include "store.h"

struct supervision {
	uint32_t domid;
	pid_t child;
	int report;          /* our end */
	int ready;           /* a byte is written here once the device is there; -1: nobody waits */
	struct store *store; /* ours from now on */
};

/* Until the domain or the child has ended, or we are told to.  The exit status. */
int supervise(const struct supervision *s);

#endif /* VGPU_XEN_SUPERVISE_H */
