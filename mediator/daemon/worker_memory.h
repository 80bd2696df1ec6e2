/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Workers that the kernel kills for memory. */
#ifndef VGPU_DAEMON_WORKER_MEMORY_H
#define VGPU_DAEMON_WORKER_MEMORY_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

struct tenant;

/* What the kernel has told of a tenant's group so far. */
struct worker_memory {
	uint64_t reached; /* how often a worker could get no more within the limit */
	uint64_t killed;  /* how many were killed for want of memory */
	uint64_t unnamed; /* of these, of which we do not know which they are */
	bool by_limit;    /* those were killed for the limit, not for the host's sake */
	bool known;
};

enum worker_death {
	WORKER_DEATH_OTHER,      /* not for memory, or nothing is known */
	WORKER_DEATH_LIMIT,      /* its tenant's workers are over host-memory */
	WORKER_DEATH_HOST_SHORT, /* the host, or a group above, has no memory left */
};

/* A worker goes into the tenant's group: what was before is nobody's we know. */
void worker_memory_begin(struct tenant *t);

/* A worker of the tenant was killed, and not by us: why?  To be asked once for each. */
enum worker_death worker_memory_death(struct tenant *t);

#endif /* VGPU_DAEMON_WORKER_MEMORY_H */
