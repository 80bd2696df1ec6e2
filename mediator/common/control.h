/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the daemon and a worker say to each other.
 *
 * A SOCK_SEQPACKET pair: one message is one packet, beginning with `type`.
 * Both are of the same build (or an adopted worker of the same CTL_VERSION),
 * so the layout is the compiler's.  The daemon does not trust a worker: it
 * checks every length and terminates every string itself.
 */
#ifndef VGPU_CONTROL_H
#define VGPU_CONTROL_H

#include <stdint.h>

#include "vgpu_socket.h"

#define CTL_VERSION 2u
#define CTL_PACKET_MAX 4096u
#define CTL_FDS_MAX VGPU_MEM_REGIONS_MAX
#define CTL_TEXT_MAX 1024u

/* With a ring; there is one less without. */
#define CTL_SETUP_FDS 7

/* The fd that a worker finds its control socket at. */
#define CTL_WORKER_FD 3

/*
 * Where it looks for a daemon after this one: a folder of the runtime directory
 * with nothing else in it, which is all that confined workers see of that.
 */
#define CTL_ADOPT_DIR "adopt"
#define CTL_ADOPT_SOCKET "adopt.sock"
/* An empty folder there, over which each worker builds a root of its own. */
#define CTL_ROOT_DIR "root"

/* How a worker ends by itself. */
#define WORKER_EXIT_LIFELINE 0 /* the device closed the lifeline */
#define WORKER_EXIT_SETUP 1    /* could not be set up */
#define WORKER_EXIT_BROKEN 3   /* the queue is broken */

enum ctl_type {
	/* daemon to worker */
	CTL_SETUP = 1,   /* fds: kick, call, session page, lifeline, limits, usage[, ring] */
	CTL_MEM = 2,     /* the whole memory table; an fd for each region that is not by domain */
	CTL_ADOPTED = 3, /* a new daemon takes the worker; fds: limits, usage */
	CTL_TURN = 0x20, /* may it submit to the GPU, and until when; see leases.h */
	/* worker to daemon */
	CTL_READY = 0x80,    /* answer to SETUP and the first MEM */
	CTL_LOG = 0x81,      /* a line for the log */
	CTL_BROKEN = 0x82,   /* the queue is broken; the worker exits after this */
	CTL_ADOPT = 0x83,    /* first packet on the adoption socket */
	CTL_CONFINED = 0x84, /* before READY: what of its confinement could not be had */
	CTL_REFUSED = 0x90,  /* something that the tenant may not do, or have */
	CTL_FAULT = 0x91,    /* its GPU work failed in a way that ended its context */
	CTL_WANT = 0xa0,     /* it has work for the GPU, and no lease */
	CTL_RETURN = 0xa1,   /* it gives its lease back */
};

struct ctl_setup {
	uint32_t type;
	uint32_t version;
	uint64_t session;
	uint32_t slot; /* the session's, in its tenant's pages; see tenant_page.h */
	uint32_t reserved;
	struct vgpu_msg_queue_start start;
	uint64_t max_operand; /* bytes */
	uint32_t spin_us;
	uint32_t verbose; /* a line for each command */
};

/* The tenant's pages in place of those of the daemon before. */
struct ctl_adopted {
	uint32_t type;
	uint32_t slot;
};

struct ctl_mem {
	uint32_t type;
	uint32_t nregions;
	/* user_addr: of a region by domain, its generation; see struct memtable. */
	struct vgpu_mem_region region[VGPU_MEM_REGIONS_MAX];
};

/* READY and BROKEN. */
struct ctl_status {
	uint32_t type;
	int32_t status;
	char reason[VGPU_REASON_MAX];
};

enum ctl_log_kind {
	CTL_LOG_TEXT = 1,    /* bytes of the guest, not escaped */
	CTL_LOG_COMMAND = 2, /* a command ended: `command`, `status` */
	CTL_LOG_WARNING = 3, /* words of the worker */
};

struct ctl_log {
	uint32_t type;
	uint32_t kind;
	uint64_t request;
	int32_t status;
	uint32_t command;
	uint64_t nanoseconds; /* the command took */
	uint32_t dropped;     /* lines left out before this one */
	uint32_t length;      /* of the text */
	char text[CTL_TEXT_MAX];
};

/* Parts of a worker's confinement. */
enum ctl_confined_part {
	CTL_CONFINED_USER = 1u << 0,         /* another user than the daemon's */
	CTL_CONFINED_CAPABILITIES = 1u << 1, /* none */
	CTL_CONFINED_NAMESPACES = 1u << 2,   /* network, IPC and host name of its own */
	CTL_CONFINED_ROOT = 1u << 3,         /* a root directory of its own */
	CTL_CONFINED_CALLS = 1u << 4,        /* a filter of system calls */
	CTL_CONFINED_CGROUP = 1u << 5,       /* limits for its tenant; the daemon's part */
	CTL_CONFINED_ALL = (1u << 6) - 1,
};

struct ctl_confined {
	uint32_t type;
	uint32_t missing; /* enum ctl_confined_part */
};

enum ctl_refused_kind {
	CTL_REFUSED_CLASS,  /* `value`: classes (enum policy_class) that are missing */
	CTL_REFUSED_MEMORY, /* `value`: bytes of device memory that were asked for */
	CTL_REFUSED_KINDS
};

/* At most one of each kind a second; `count` of them since the last one, this one included. */
struct ctl_refused {
	uint32_t type;
	uint32_t kind;
	uint64_t request;
	uint64_t value;
	uint32_t count;
	char what[68]; /* the command's or function's name */
};

/* At most one of a session. */
struct ctl_fault {
	uint32_t type;
	int32_t error; /* CUresult */
};

struct ctl_adopt {
	uint32_t type;
	uint32_t version;
	uint64_t session;
};

/* A lease without an end. */
#define CTL_TURN_OPEN UINT64_MAX

/* Each replaces the one before, so that the last one is all that matters. */
struct ctl_turn {
	uint32_t type;
	uint32_t leased; /* 0: submit as you like, and say nothing */
	uint64_t until;  /* CLOCK_MONOTONIC; 0: no lease, ask for one; CTL_TURN_OPEN */
	uint64_t serial; /* of the lease */
};

/* WANT and RETURN. */
struct ctl_turn_news {
	uint32_t type;
	uint32_t wants;  /* RETURN: there is more to submit */
	uint64_t serial; /* RETURN: the lease that it was */
};

_Static_assert(sizeof(struct ctl_mem) <= CTL_PACKET_MAX, "a packet holds the table");
_Static_assert(sizeof(struct ctl_log) <= CTL_PACKET_MAX, "a packet holds a line");

#endif /* VGPU_CONTROL_H */
