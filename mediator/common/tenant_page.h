/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the daemon and the workers of one tenant share without a message.
 *
 * Two memfds for each tenant, made by the daemon and given to each of its
 * workers with CTL_SETUP.  The limits are written by the daemon alone; workers
 * have them read-only and look at them on their way, so that new limits hold
 * at once.  The usage is written by workers.  A worker that its guest has
 * taken over may write nonsense there: it deceives its own tenant's sessions
 * and the daemon's display, and nobody else.  What must hold against it, the
 * daemon checks from outside.
 */
#ifndef VGPU_TENANT_PAGE_H
#define VGPU_TENANT_PAGE_H

#include <stdbool.h>
#include <stdint.h>

#define TENANT_PAGE_VERSION 1u
#define TENANT_SESSIONS_MAX 256u
#define TENANT_NO_LIMIT UINT64_MAX

struct tenant_limits {
	uint32_t version;
	uint32_t seq;     /* odd while the daemon writes what follows */
	uint32_t classes; /* enum policy_class */
	uint32_t weight;
	uint64_t memory;     /* bytes of device memory; TENANT_NO_LIMIT */
	uint64_t calls_rate; /* requests a second; 0: no limit */
	uint64_t calls_burst;
	uint64_t bytes_rate; /* of payload to and from the device, a second; 0: no limit */
	uint64_t bytes_burst;
	uint64_t kernel_ns;      /* longest piece of GPU work; TENANT_NO_LIMIT */
	uint64_t cap_percent;    /* of GPU time; 100: no cap */
	uint32_t memory_percent; /* of the GPU's memory; 0: `memory` counts */
	/* Only told to the guest, by VGPU_CMD_TENANT. */
	uint32_t flags; /* TENANT_* */
	uint32_t sessions;
	uint32_t sessions_most;
	/* Bytes that each context of a session beyond its first is charged for. */
	uint64_t context;
};

#define TENANT_QUARANTINED 0x1u /* no new sessions for a while */

/* One session's; a line of its own in the processor's cache, written by its worker alone. */
struct session_usage {
	uint64_t memory; /* bytes of device memory that it is charged for */
	uint64_t memory_most;
	uint64_t gpu_ns;      /* GPU time used */
	uint64_t calls;       /* requests taken */
	uint64_t bytes;       /* payload to and from the device */
	uint64_t host_copied; /* ... of it, bytes that a CPU of the host copied */
	uint64_t launches;
	uint64_t refused;      /* by class, limit or rate */
	uint64_t throttled_ns; /* waited because of a rate, a cap or another's turn */
	uint64_t busy_since; /* CLOCK_MONOTONIC: the oldest GPU work not done was begun; 0: none */
	uint64_t progress;   /* moves whenever GPU work is done */
	uint64_t contexts;   /* that the driver really has, and nobody is charged for */
	uint64_t life;       /* enum usage_life */
	uint64_t reserved[3];
};

/* What a daemon after the one that started a worker knows of its end: it is no parent. */
enum usage_life {
	USAGE_UNKNOWN = 0, /* the worker has not taken this page */
	USAGE_SERVES = 1,
	USAGE_ENDED = 2, /* by itself, and not by a crash */
};

struct tenant_usage {
	uint32_t version;
	uint32_t reserved;
	/* Buckets of all sessions: when the next unit is due, CLOCK_MONOTONIC in ns. */
	uint64_t calls_due;
	uint64_t bytes_due;
	uint64_t pad[13];
	/* By slot; the daemon gives a session one at CTL_SETUP and clears it when it has ended. */
	struct session_usage session[TENANT_SESSIONS_MAX];
};

/* Of the memfds; whole pages. */
#define TENANT_LIMITS_BYTES 4096u
#define TENANT_USAGE_BYTES ((sizeof(struct tenant_usage) + 4095u) / 4096u * 4096u)

/* The daemon: puts new limits in force.  Its `seq` and `version` are the page's business. */
void tenant_limits_write(struct tenant_limits *page, const struct tenant_limits *limits);

/* A worker: is there something that its copy does not have yet? */
static inline bool tenant_limits_changed(const struct tenant_limits *page,
					 const struct tenant_limits *copy)
{
	return __atomic_load_n(&page->seq, __ATOMIC_ACQUIRE) != copy->seq;
}

/*
 * A worker: brings its copy up to date, which is all zero at first.  True: it
 * has changed.  Costs a load if there is nothing new, and never waits: while
 * the daemon writes, what was in force remains so.
 */
bool tenant_limits_refresh(const struct tenant_limits *page, struct tenant_limits *copy);

/* Device memory that the tenant may have on a GPU with so much. */
uint64_t tenant_memory_on(const struct tenant_limits *limits, uint64_t total);

_Static_assert(sizeof(struct tenant_limits) % 8 == 0, "copied in words");
_Static_assert(sizeof(struct session_usage) == 128, "lines of their own");
_Static_assert(sizeof(struct tenant_usage) == 128 + 128 * TENANT_SESSIONS_MAX, "no holes");

#endif /* VGPU_TENANT_PAGE_H */
