/* SPDX-License-Identifier: (GPL-2.0-or-later WITH Linux-syscall-note) OR BSD-3-Clause */
/*
 * The guest-device ABI of the vgpu-stub PCI device: registers, queues, requests.
 *
 * Included unchanged by the guest's kernel module, the guest's library, the
 * device core and the worker.  protocol/abi.md says what each field means and
 * who may write it; this file is the layout.  Everything is little-endian,
 * fixed-width and naturally aligned.
 */
#ifndef VGPU_ABI_H
#define VGPU_ABI_H

#ifdef __KERNEL__
#include <linux/types.h>
typedef __le16 vgpu_le16;
typedef __le32 vgpu_le32;
typedef __le64 vgpu_le64;
typedef __u8 vgpu_u8;
#else
#include <stdint.h>
typedef uint16_t vgpu_le16;
typedef uint32_t vgpu_le32;
typedef uint64_t vgpu_le64;
typedef uint8_t vgpu_u8;
#endif

/* PCI identity.  The device id is in Red Hat's experimental range, unregistered. */
#define VGPU_PCI_VENDOR_ID 0x1af4
#define VGPU_PCI_DEVICE_ID 0x1111
#define VGPU_PCI_CLASS 0x1200 /* processing accelerator */
#define VGPU_PCI_REVISION 1

#define VGPU_BAR_REGS 0      /* 4 KiB, the registers below */
#define VGPU_BAR_DOORBELLS 2 /* one 4 KiB page for each queue */
#define VGPU_BAR_MSIX 4
#define VGPU_BAR_REGS_SIZE 0x1000
#define VGPU_DOORBELL_STRIDE 0x1000

#define VGPU_ABI_MAJOR 1
#define VGPU_ABI_MINOR 2
#define VGPU_ABI_VERSION ((VGPU_ABI_MAJOR << 16) | VGPU_ABI_MINOR)
#define VGPU_MAGIC 0x55504756u /* "VGPU" */

/* ------------------------------------------------------------------ BAR 0 */
/* Access is 32 bits wide and aligned; anything else reads 0 and writes nothing. */
#define VGPU_REG_COMMAND 0x000            /* RW, write runs the command */
#define VGPU_REG_STATUS 0x004             /* R   VGPU_STATUS_* */
#define VGPU_REG_DATA_OFFSET 0x008        /* RW  where in BAR 0 the payload lies */
#define VGPU_REG_MAGIC 0x00c              /* R   VGPU_MAGIC */
#define VGPU_REG_ABI_VERSION 0x010        /* R   VGPU_ABI_VERSION of the device */
#define VGPU_REG_FEATURES_LO 0x014        /* R   offered by the device */
#define VGPU_REG_FEATURES_HI 0x018        /* R */
#define VGPU_REG_DRIVER_FEATURES_LO 0x01c /* RW  accepted by the driver */
#define VGPU_REG_DRIVER_FEATURES_HI 0x020 /* RW */
#define VGPU_REG_CONTROL 0x024            /* RW  VGPU_CONTROL_* */
#define VGPU_REG_DATA_LENGTH 0x028        /* RW  bytes of payload of the next command */
#define VGPU_REG_RESULT 0x02c             /* R   0 or a negative errno */
#define VGPU_REG_RESULT_LENGTH 0x030      /* R   bytes of answer at DATA_OFFSET */
#define VGPU_REG_INT_STATUS 0x034         /* RW1C VGPU_INT_* */
#define VGPU_REG_INT_MASK 0x038           /* RW  1 = raises vector 0 */
#define VGPU_REG_MAX_QUEUES 0x040         /* R */
#define VGPU_REG_NUM_VECTORS 0x044        /* R   MSI-X vectors, vector 0 included */
#define VGPU_REG_MAX_SLOTS 0x048          /* R   largest ring, in slots */
#define VGPU_REG_MAX_BUFFERS 0x04c        /* R   largest buffer table, in entries */
#define VGPU_REG_QUEUE_SELECT 0x050       /* RW  which queue the registers below mean */
#define VGPU_REG_QUEUE_CONTROL 0x054      /* W   VGPU_QUEUE_START or _STOP */
#define VGPU_REG_QUEUE_STATE 0x058        /* R   VGPU_QUEUE_STATE_* */
#define VGPU_REG_QUEUE_ERROR 0x05c        /* R   negative errno of a failed queue */
#define VGPU_REG_QUEUE_ADDR_LO 0x060      /* RW  guest-physical, page aligned */
#define VGPU_REG_QUEUE_ADDR_HI 0x064      /* RW */
#define VGPU_REG_QUEUE_REQ_SLOTS 0x068    /* RW  power of two */
#define VGPU_REG_QUEUE_RSP_SLOTS 0x06c    /* RW  power of two */
#define VGPU_REG_QUEUE_TABLE_LO 0x070     /* RW  buffer table, 64-byte aligned */
#define VGPU_REG_QUEUE_TABLE_HI 0x074     /* RW */
#define VGPU_REG_QUEUE_BUFFERS 0x078      /* RW  entries of the buffer table */
#define VGPU_REG_QUEUE_VECTOR 0x07c       /* RW  MSI-X vector of the queue */
#define VGPU_REG_QUEUE_TAG 0x080          /* RW  for the host's log, e.g. the pid */
#define VGPU_REG_REASON_SELECT 0x088      /* RW  which word of the reason REASON reads */
#define VGPU_REG_REASON 0x08c             /* R   why STATUS_REFUSED: four bytes of text */
/* Counters, for tests and measuring; they wrap. */
#define VGPU_REG_COUNT_DOORBELLS 0x0c0  /* R   doorbells that left the fast path */
#define VGPU_REG_COUNT_INTERRUPTS 0x0c4 /* R   queue interrupts that left the fast path */
#define VGPU_REG_DATA 0x100             /* RW  data region, to the end of the BAR */
#define VGPU_REASON_TEXT_MAX 256u       /* bytes of the reason, NUL included */
#define VGPU_DATA_SIZE (VGPU_BAR_REGS_SIZE - VGPU_REG_DATA)

#define VGPU_STATUS_BUSY 0x01u     /* a register command runs */
#define VGPU_STATUS_DONE 0x02u     /* the last one ended */
#define VGPU_STATUS_ERROR 0x04u    /* ... with RESULT < 0 */
#define VGPU_STATUS_LINK 0x08u     /* the daemon is connected and agreed */
#define VGPU_STATUS_QUEUES 0x10u   /* guest RAM can be shared: queues may be started */
#define VGPU_STATUS_REFUSED 0x20u  /* the daemon refused this device; REASON says why */
#define VGPU_STATUS_UNSHARED 0x40u /* guest RAM cannot be shared: registers only */

#define VGPU_CONTROL_RESET 0x1u       /* stops everything; reads 1 until that is done */
#define VGPU_CONTROL_FEATURES_OK 0x2u /* freezes the features; reads 0 if refused */

#define VGPU_INT_COMMAND 0x1u /* a register command ended */
#define VGPU_INT_LINK 0x2u    /* STATUS_LINK, _REFUSED or _QUEUES changed */
#define VGPU_INT_QUEUE 0x4u   /* some queue changed its state */
#define VGPU_INT_ALL 0x7u

#define VGPU_QUEUE_STOP 0u
#define VGPU_QUEUE_START 1u

#define VGPU_QUEUE_STATE_STOPPED 0u /* its memory is the guest's own */
#define VGPU_QUEUE_STATE_STARTING 1u
#define VGPU_QUEUE_STATE_RUNNING 2u
#define VGPU_QUEUE_STATE_STOPPING 3u /* still in the host's hands */
#define VGPU_QUEUE_STATE_FAILED 4u   /* must be stopped before it can start again */

/* Feature bits. */
#define VGPU_F_QUEUES (1ull << 0)  /* rings in guest RAM */
#define VGPU_F_POLLING (1ull << 1) /* the polling flags of both sides are honoured */
#define VGPU_F_BUFFERS (1ull << 2) /* the buffer table */
#define VGPU_F_ALL (VGPU_F_QUEUES | VGPU_F_POLLING | VGPU_F_BUFFERS)

/* ------------------------------------------------------------------ queues */
#define VGPU_PAGE 4096u
#define VGPU_SLOT 64u         /* bytes of a ring slot */
#define VGPU_RECORD_MAX 8192u /* largest request or response, header included */
#define VGPU_SLOTS_MIN 256u   /* a ring holds at least two of the largest records */
#define VGPU_SLOTS_MAX 4096u
#define VGPU_BUFFERS_MAX 4096u
#define VGPU_QUEUES_MAX 256u
#define VGPU_DESCS_MAX 16u
#define VGPU_BUFFER_BYTES_MAX (1ull << 30)
#define VGPU_SEGMENTS_MAX (1u << 18) /* of one buffer */

/*
 * The first page of a queue; the request ring follows it, then the response
 * ring.  Indices count slots, run freely and wrap at 2^32.
 */
struct vgpu_queue_header {
	vgpu_le32 req_prod; /* guest */
	vgpu_u8 pad0[60];
	vgpu_le32 req_cons; /* host */
	vgpu_u8 pad1[60];
	vgpu_le32 rsp_prod; /* host */
	vgpu_u8 pad2[60];
	vgpu_le32 rsp_cons; /* guest */
	vgpu_u8 pad3[60];
	vgpu_le32 guest_flags; /* guest, VGPU_GUEST_* */
	vgpu_u8 pad4[60];
	vgpu_le32 host_flags; /* host, VGPU_HOST_* */
	vgpu_le32 error;      /* host: 0, or why the queue is broken (negative errno) */
	vgpu_u8 pad5[56];
	vgpu_u8 pad6[VGPU_PAGE - 6 * 64];
};

/* What is written to a doorbell: a hint how the answer will be looked for. */
#define VGPU_DOORBELL_POLLS 0u
#define VGPU_DOORBELL_SLEEPS 1u

#define VGPU_GUEST_POLLS 0x1u /* no interrupt needed */
#define VGPU_HOST_POLLS 0x1u  /* no doorbell needed for new requests */
#define VGPU_HOST_FULL 0x2u   /* ring the doorbell once rsp_cons has moved */

/* No response, whatever comes of it; VGPU_CMD_CUDA only. */
#define VGPU_REQUEST_QUIET 0x1u

/* A request record: this header, ndesc descriptors, then the body to `length`. */
struct vgpu_request {
	vgpu_le32 length; /* bytes of the record; it takes the slots that hold them */
	vgpu_le16 command;
	vgpu_le16 flags; /* VGPU_REQUEST_*, others must be 0 */
	vgpu_le64 id;    /* the guest's own, comes back in the response */
	vgpu_le16 ndesc;
	vgpu_le16 reserved0;
	vgpu_le32 reserved1;
	vgpu_le64 reserved2;
};

/* Names `length` bytes from `offset` on in registered buffer `buffer`. */
struct vgpu_desc {
	vgpu_le32 buffer;
	vgpu_le32 reserved;
	vgpu_le64 offset;
	vgpu_le64 length;
};

/* A response record: this header, then the body to `length`. */
struct vgpu_response {
	vgpu_le32 length;
	vgpu_le32 status; /* 0 or a negative errno */
	vgpu_le64 id;
	vgpu_le16 command; /* of the request */
	vgpu_le16 reserved0;
	vgpu_le32 reserved1;
	vgpu_le64 reserved2;
};

/*
 * An entry of the buffer table, which only the guest's kernel and the host can
 * reach.  generation 0 means free.  `users` is the host's: it is not 0 while
 * the host may touch the pages.
 */
struct vgpu_buffer_entry {
	vgpu_le32 generation;
	vgpu_le32 flags; /* VGPU_BUFFER_* */
	vgpu_le64 length;
	vgpu_le64 list; /* guest-physical address of the first segment page */
	vgpu_le32 nsegments;
	vgpu_le32 reserved0;
	vgpu_u8 pad0[24];
	vgpu_le32 users; /* host */
	vgpu_le32 reserved1;
};

#define VGPU_BUFFER_READ 0x1u  /* the host may read it */
#define VGPU_BUFFER_WRITE 0x2u /* the host may write it */

struct vgpu_segment {
	vgpu_le64 addr; /* guest-physical */
	vgpu_le64 length;
};

#define VGPU_SEGMENTS_PER_PAGE 255u

/* Segment pages form a chain; all but the last are full. */
struct vgpu_segment_page {
	vgpu_le64 next; /* guest-physical address of the next page, 0 in the last */
	vgpu_le32 count;
	vgpu_le32 reserved;
	struct vgpu_segment seg[VGPU_SEGMENTS_PER_PAGE];
};

/* ---------------------------------------------------------------- commands */
#define VGPU_CMD_NOP 0u
#define VGPU_CMD_VECTOR_ADD 1u
#define VGPU_CMD_QUERY_STATUS 2u
#define VGPU_CMD_GPU_INFO 3u
#define VGPU_CMD_MATMUL 4u
#define VGPU_CMD_BANDWIDTH 5u
#define VGPU_CMD_TEXT 6u
#define VGPU_CMD_TENANT 7u
#define VGPU_CMD_CUDA 16u /* a call of the CUDA driver API: vgpu_cuda.h */

#define VGPU_SELF_TEST_ELEMENTS 1024u
#define VGPU_TEXT_MAX 1024u
#define VGPU_MATMUL_DIM_MAX 16384u

#define VGPU_BACKEND_CPU 1u
#define VGPU_BACKEND_CUDA 2u

/*
 * VECTOR_ADD: out[i] = a[i] + b[i], float32.
 * No descriptors, no body: the self-test of 1024 elements.
 * Three descriptors (a, b, out) and this body: the caller's data.
 * No descriptors, this body, then a and b: inline; out follows the answer.
 */
struct vgpu_vector_add {
	vgpu_le64 elements;
};

/* MATMUL: out[m][n] = a[m][k] * b[k][n], row-major float32; forms as VECTOR_ADD's. */
struct vgpu_matmul {
	vgpu_le32 m;
	vgpu_le32 n;
	vgpu_le32 k;
	vgpu_le32 reserved;
};

/* The answer of VECTOR_ADD and MATMUL; an inline result follows it. */
struct vgpu_compute_result {
	vgpu_le32 backend; /* VGPU_BACKEND_* */
	vgpu_le32 errors;  /* self-test only: elements that came out wrong */
	vgpu_le64 elements;
	vgpu_le64 nanoseconds; /* in the backend */
	vgpu_le64 host_copied; /* bytes of payload that a CPU of the host copied */
};

/*
 * BANDWIDTH: one descriptor; the buffer goes to the device and back,
 * `repetitions` times each way, and ends with the bytes it began with.
 */
struct vgpu_bandwidth {
	vgpu_le32 repetitions; /* 1 to 1000 */
	vgpu_le32 reserved;
};

struct vgpu_bandwidth_result {
	vgpu_le32 backend;
	vgpu_le32 checksum; /* sum of the 32-bit words that reached the device, mod 2^32 */
	vgpu_le64 bytes;    /* each way, all repetitions */
	vgpu_le64 to_device_ns;
	vgpu_le64 from_device_ns;
	vgpu_le64 host_copied;
};

/* QUERY_STATUS: counters of this session since its start. */
struct vgpu_status_result {
	vgpu_le32 backend;
	vgpu_le32 reserved;
	vgpu_le64 uptime_ns;
	vgpu_le64 requests;    /* consumed, this one included */
	vgpu_le64 errors;      /* of them answered with a negative status */
	vgpu_le64 bytes_in;    /* payload that commands read */
	vgpu_le64 bytes_out;   /* payload that commands wrote */
	vgpu_le64 host_copied; /* payload bytes copied by a CPU of the host */
	vgpu_le64 kicks;       /* doorbells that arrived */
	vgpu_le64 calls;       /* interrupts asked for */
	vgpu_le64 sleeps;      /* times the worker waited in the kernel */
};

/* TENANT: what this virtual machine may use of the GPU, and what all its sessions have used. */
#define VGPU_TENANT_QUARANTINED 0x1u /* no new sessions for a while, because of faults */
#define VGPU_TENANT_NO_LIMIT UINT64_MAX

/* Classes of operation that are allowed. */
#define VGPU_CLASS_BUILTIN 0x01u
#define VGPU_CLASS_MEMORY 0x02u
#define VGPU_CLASS_KERNELS 0x04u
#define VGPU_CLASS_GRAPHS 0x08u
#define VGPU_CLASS_CALLBACKS 0x10u
#define VGPU_CLASS_PINNED 0x20u
#define VGPU_CLASS_ADMIN 0x40u

struct vgpu_tenant_result {
	vgpu_le32 backend;
	vgpu_le32 flags;   /* VGPU_TENANT_* */
	vgpu_le32 classes; /* VGPU_CLASS_* */
	vgpu_le32 weight;  /* shares of GPU time are as the weights of who wants it */
	vgpu_le32 cap_percent;
	vgpu_le32 sessions;
	vgpu_le32 sessions_most;
	vgpu_le32 reserved;
	vgpu_le64 memory_total; /* what the tenant may have of the device's; 0: not known */
	vgpu_le64 memory_used;
	vgpu_le64 memory_limit; /* VGPU_TENANT_NO_LIMIT: all that the device has */
	vgpu_le64 calls_rate;   /* requests a second, 0: any number */
	vgpu_le64 bytes_rate;   /* of payload to and from the device, likewise */
	vgpu_le64 gpu_ns;       /* time of the GPU */
	vgpu_le64 requests;
	vgpu_le64 bytes;
	vgpu_le64 launches;
	vgpu_le64 refused;      /* not allowed, or beyond a limit */
	vgpu_le64 throttled_ns; /* time that requests waited because of the tenant's limits */
	char name[128];         /* of the GPU, NUL-terminated */
};

struct vgpu_info_result {
	vgpu_le32 backend;
	vgpu_le32 compute_major;
	vgpu_le32 compute_minor;
	vgpu_le32 multiprocessors;
	vgpu_le32 driver_version;  /* as cuDriverGetVersion, 0 for cpu */
	vgpu_le32 runtime_version; /* as cudaRuntimeGetVersion, 0 for cpu */
	vgpu_le64 memory_total;
	vgpu_le64 memory_free;
	char name[128]; /* NUL-terminated */
};

#define VGPU_ASSERT(what) _Static_assert(what, #what)
VGPU_ASSERT(sizeof(struct vgpu_queue_header) == VGPU_PAGE);
VGPU_ASSERT(sizeof(struct vgpu_request) == 32);
VGPU_ASSERT(sizeof(struct vgpu_desc) == 24);
VGPU_ASSERT(sizeof(struct vgpu_response) == 32);
VGPU_ASSERT(sizeof(struct vgpu_buffer_entry) == 64);
VGPU_ASSERT(__builtin_offsetof(struct vgpu_buffer_entry, users) == 56);
VGPU_ASSERT(__builtin_offsetof(struct vgpu_queue_header, host_flags) == 0x140);
VGPU_ASSERT(sizeof(struct vgpu_segment_page) == VGPU_PAGE);
VGPU_ASSERT(sizeof(struct vgpu_vector_add) == 8);
VGPU_ASSERT(sizeof(struct vgpu_matmul) == 16);
VGPU_ASSERT(sizeof(struct vgpu_compute_result) == 32);
VGPU_ASSERT(sizeof(struct vgpu_bandwidth_result) == 40);
VGPU_ASSERT(sizeof(struct vgpu_status_result) == 80);
VGPU_ASSERT(sizeof(struct vgpu_info_result) == 168);
VGPU_ASSERT(sizeof(struct vgpu_tenant_result) == 248);

#endif /* VGPU_ABI_H */
