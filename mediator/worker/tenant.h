/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The tenant that a worker serves: the pages that it shares with the daemon. */
#ifndef VGPU_WORKER_TENANT_H
#define VGPU_WORKER_TENANT_H

#include "tenant_page.h"

struct worker_tenant {
	const struct tenant_limits *page; /* what the daemon writes */
	struct tenant_limits limits;      /* in force; tenant_look() brings it up to date */
	struct tenant_usage *usage;       /* of all sessions of the tenant */
	struct session_usage *mine;       /* of this one, in `usage` */
};

/*
 * Maps the pages; closes both descriptors.  Done again for a new daemon's, the
 * addresses stay and this session's usage is carried over.  0 or a negative errno.
 */
int tenant_take(struct worker_tenant *t, int limits_fd, int usage_fd, uint32_t slot);

/* What the daemon has written since.  True: the limits have changed.  Cheap. */
static inline bool tenant_look(struct worker_tenant *t)
{
	return tenant_limits_refresh(t->page, &t->limits);
}

#endif /* VGPU_WORKER_TENANT_H */
