/* SPDX-License-Identifier: (GPL-2.0-or-later WITH Linux-syscall-note) OR BSD-3-Clause */
/*
 * The socket between the device (front-end) and gpu_mediator (back-end).
 *
 * A Unix stream socket in the manner of vhost-user: a 12-byte header, a
 * payload, file descriptors by SCM_RIGHTS with the first byte of a message.
 * protocol/socket.md is the specification; this file is the layout.  All
 * fields are little-endian.  Reserved fields must be zero and are checked.
 */
#ifndef VGPU_SOCKET_H
#define VGPU_SOCKET_H

#include <stdint.h>

#define VGPU_SOCKET_VERSION 1u /* bits 0-1 of the flags, as in vhost-user */
#define VGPU_PROTOCOL_VERSION 1u
#define VGPU_HELLO_MAGIC 0x4b4f5356u /* "VSOK" */

/*
 * Where front-ends that cannot come wait for the back-end: in the directory of
 * this name after the back-end's path; one in a Xen domain's service begins its
 * name there with the domain's number.
 */
#define VGPU_CALL_DIR ".devices"
#define VGPU_CALL_XEN "xen-%u-"

struct vgpu_msg_header {
	uint32_t request;
	uint32_t flags;
	uint32_t size; /* of the payload */
};

#define VGPU_MSG_VERSION_MASK 0x3u
#define VGPU_MSG_REPLY 0x4u
#define VGPU_MSG_NEED_REPLY 0x8u
#define VGPU_MSG_FLAGS_ALL 0xfu

#define VGPU_MSG_PAYLOAD_MAX 1024u
#define VGPU_MSG_FDS_MAX 8u
#define VGPU_MSG_REGIONS_MAX 8u  /* of one SET_MEM_TABLE */
#define VGPU_MEM_REGIONS_MAX 32u /* of one device, with ADD_MEM_REG */

/* Numbers below 0x100 are vhost-user's own, with its meaning. */
enum vgpu_msg {
	VGPU_MSG_SET_MEM_TABLE = 5,
	VGPU_MSG_RESET_DEVICE = 34,
	VGPU_MSG_ADD_MEM_REG = 37,
	VGPU_MSG_REM_MEM_REG = 38,
	VGPU_MSG_HELLO = 0x100,
	VGPU_MSG_QUEUE_START = 0x101,
	VGPU_MSG_QUEUE_STOP = 0x102,
	VGPU_MSG_QUEUE_RESUME = 0x103,
	VGPU_MSG_QUEUE_LOST = 0x180, /* back-end to front-end */
};

/* Protocol features, offered by the front-end and accepted by the back-end. */
#define VGPU_PF_REPLY_ACK (1ull << 3)
#define VGPU_PF_INFLIGHT (1ull << 12)  /* session pages, kept by the front-end */
#define VGPU_PF_MEM_SLOTS (1ull << 15) /* ADD_MEM_REG and REM_MEM_REG */
#define VGPU_PF_XEN_MMAP (1ull << 17)  /* regions by (domid, frame) */
/* What any front-end may offer; one in a Xen domain's service offers XEN_MMAP, too. */
#define VGPU_PF_ALL (VGPU_PF_REPLY_ACK | VGPU_PF_INFLIGHT | VGPU_PF_MEM_SLOTS)

#define VGPU_NAME_MAX 64u
#define VGPU_REASON_MAX 160u

/* HELLO: the first message each way. */
struct vgpu_msg_hello {
	uint32_t magic;
	uint32_t protocol_version;
	uint32_t abi_version;
	uint32_t max_queues;
	uint64_t features;
	uint64_t protocol_features;
	uint8_t uuid[16];         /* of the device instance, random, kept across reconnects */
	char name[VGPU_NAME_MAX]; /* of the VM, NUL-terminated; for logs, not an identity */
	uint32_t flags;           /* reserved */
	uint32_t reserved;
};

/* Every reply begins with this. */
struct vgpu_msg_status {
	int32_t status; /* 0 or a negative errno */
	uint32_t reserved;
	char reason[VGPU_REASON_MAX]; /* NUL-terminated, for people; empty on success */
};

struct vgpu_msg_hello_reply {
	struct vgpu_msg_status status;
	uint32_t protocol_version;
	uint32_t abi_version;
	uint32_t max_queues;
	uint32_t backend;           /* VGPU_BACKEND_* */
	uint64_t features;          /* a subset of those offered */
	uint64_t protocol_features; /* a subset of those offered */
};

#define VGPU_XEN_FOREIGN 0x1u
#define VGPU_XEN_GRANT 0x2u
#define VGPU_XEN_DOMID_END 0x7ff0u /* domains of guests are 1 to below this */

/* As vhost-user's, with the two fields of XEN_MMAP always there. */
struct vgpu_mem_region {
	uint64_t guest_addr;
	uint64_t size;
	uint64_t user_addr; /* reserved */
	uint64_t mmap_offset;
	uint32_t xen_flags; /* VGPU_XEN_*; 0 = by fd */
	uint32_t domid;
};

/* SET_MEM_TABLE: replaces the table; an fd for each region that is not by domain. */
struct vgpu_msg_mem_table {
	uint32_t nregions;
	uint32_t reserved;
	struct vgpu_mem_region regions[VGPU_MSG_REGIONS_MAX];
};

/* ADD_MEM_REG (one fd, by domain none) and REM_MEM_REG (none). */
struct vgpu_msg_mem_region {
	uint64_t reserved;
	struct vgpu_mem_region region;
};

/*
 * QUEUE_START: fds kick, call.  Reply: fds session page, lifeline, and with
 * VGPU_QUEUE_HOST_RING the ring.
 */
struct vgpu_msg_queue_start {
	uint32_t queue;
	uint32_t flags; /* VGPU_QUEUE_HOST_RING */
	uint64_t ring_addr;
	uint64_t table_addr;
	uint32_t req_slots;
	uint32_t rsp_slots;
	uint32_t nbuffers;
	uint32_t tag;
};

/* The rings lie in a memfd that the back-end makes; the session has no other memory. */
#define VGPU_QUEUE_HOST_RING 0x1u

/* The queue number of the register path's session; its ring is a HOST_RING. */
#define VGPU_QUEUE_REGISTERS 0xffffffffu

struct vgpu_msg_queue_start_reply {
	struct vgpu_msg_status status;
	uint32_t queue;
	uint32_t reserved;
	uint64_t session;
};

/* QUEUE_STOP; its reply (the same, after a status) means: the worker is gone. */
struct vgpu_msg_queue {
	uint32_t queue;
	uint32_t reserved;
	uint64_t session;
};

struct vgpu_msg_queue_reply {
	struct vgpu_msg_status status;
	struct vgpu_msg_queue queue;
};

/* QUEUE_RESUME: struct vgpu_msg_queue with the session page's fd; same reply. */
/* QUEUE_LOST: struct vgpu_msg_queue_reply; status says why.  No reply. */

/*
 * The session page: a sealed memfd of one page that the daemon makes and the
 * worker alone writes.  The front-end keeps it and shows it to a restarted
 * daemon; the daemon reads the counters for its accounting.
 */
#define VGPU_SESSION_MAGIC 0x53455356u /* "VSES" */

struct vgpu_session_page {
	uint32_t magic;
	uint32_t version; /* 1 */
	uint64_t session;
	/* The in-flight table: requests taken and not yet answered. */
	uint32_t req_cons;
	uint32_t rsp_prod;
	uint64_t current_id;
	uint32_t in_flight;
	uint32_t current_command;
	/* Counters, as struct vgpu_status_result. */
	uint64_t requests;
	uint64_t errors;
	uint64_t bytes_in;
	uint64_t bytes_out;
	uint64_t host_copied;
	uint64_t kicks;
	uint64_t calls;
	uint64_t sleeps;
};

_Static_assert(sizeof(struct vgpu_msg_header) == 12, "header");
_Static_assert(sizeof(struct vgpu_msg_hello) == 120, "hello");
_Static_assert(sizeof(struct vgpu_msg_status) == 168, "status");
_Static_assert(sizeof(struct vgpu_msg_hello_reply) == 200, "hello reply");
_Static_assert(sizeof(struct vgpu_mem_region) == 40, "region");
_Static_assert(sizeof(struct vgpu_msg_mem_table) == 328, "mem table");
_Static_assert(sizeof(struct vgpu_msg_mem_region) == 48, "mem region");
_Static_assert(sizeof(struct vgpu_msg_queue_start) == 40, "queue start");
_Static_assert(sizeof(struct vgpu_msg_queue_start_reply) == 184, "start reply");
_Static_assert(sizeof(struct vgpu_msg_queue) == 16, "queue");
_Static_assert(sizeof(struct vgpu_msg_queue_reply) == 184, "queue reply");

#endif /* VGPU_SOCKET_H */
