/* SPDX-License-Identifier: GPL-2.0-or-later WITH Linux-syscall-note */
/*
 * /dev/vgpu_stub for user space.
 *
 * Each open file is a session with a queue and a worker process of its own.
 *
 * write(): a line of text (RUN_VECTOR_ADD, NOP, QUERY_STATUS, anything else is
 *   a TEXT for the host's log; a newline at the end is dropped), which returns
 *   when the host has answered; or VGPU_STUB_BINARY followed by one request
 *   record (vgpu_abi.h), which returns when the record is in the ring.  CUDA
 *   calls are EOPNOTSUPP here: they need the queue mapped.
 * read(): the answer: a line of text to a text command, a response record to a
 *   binary one.  Blocks unless O_NONBLOCK; EIO once the session is lost.
 * poll(): POLLIN: an answer waits; POLLOUT: there is room for the largest
 *   record; POLLERR: the session is lost; POLLHUP: the device is gone.
 * mmap(): the queue at VGPU_STUB_MMAP_QUEUE, the doorbell page at
 *   VGPU_STUB_MMAP_DOORBELL.  Once the queue is mapped the ring is the
 *   process's own and read() and write() fail with EBUSY.
 */
#ifndef _UAPI_VGPU_STUB_H
#define _UAPI_VGPU_STUB_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define VGPU_STUB_BINARY 0x00425556u /* "VUB\0", little-endian, before a binary record */

#define VGPU_STUB_MMAP_QUEUE 0x0ull
#define VGPU_STUB_MMAP_DOORBELL 0x10000000ull

/**
 * struct vgpu_stub_info - the device and this session
 * @abi_version: VGPU_ABI_VERSION of the device
 * @queue: number of this session's queue
 * @features: feature bits in force
 * @req_slots: slots of the request ring
 * @rsp_slots: slots of the response ring
 * @queue_bytes: length to mmap() at VGPU_STUB_MMAP_QUEUE
 * @max_buffers: buffers a session may register
 * @max_buffer_bytes: largest buffer
 * @pinned_limit: bytes that this session may pin in all
 * @pinned: bytes pinned now
 */
struct vgpu_stub_info {
	__u32 abi_version;
	__u32 queue;
	__u64 features;
	__u32 req_slots;
	__u32 rsp_slots;
	__u32 queue_bytes;
	__u32 max_buffers;
	__u64 max_buffer_bytes;
	__u64 pinned_limit;
	__u64 pinned;
};

#define VGPU_STUB_BUFFER_READ 0x1u  /* the device reads it */
#define VGPU_STUB_BUFFER_WRITE 0x2u /* the device writes it */

/**
 * struct vgpu_stub_buffer - register memory of the caller as a buffer
 * @addr: start, any alignment; the pages are pinned
 * @length: bytes, more than 0
 * @flags: VGPU_STUB_BUFFER_*, at least one
 * @handle: out: what descriptors name it by
 */
struct vgpu_stub_buffer {
	__u64 addr;
	__u64 length;
	__u32 flags;
	__u32 handle;
};

/**
 * struct vgpu_stub_wait - wait for the response ring of a mapped queue
 * @rsp_cons: how far the caller has read
 * @timeout_ms: -1 for no limit
 *
 * Returns 0 when rsp_prod differs from @rsp_cons, else -1 with EIO (session
 * lost), ENODEV (device gone), ETIMEDOUT or EINTR.
 */
struct vgpu_stub_wait {
	__u32 rsp_cons;
	__s32 timeout_ms;
};

#define VGPU_STUB_IOC_MAGIC 'V'
#define VGPU_STUB_IOC_INFO _IOR(VGPU_STUB_IOC_MAGIC, 0x00, struct vgpu_stub_info)
#define VGPU_STUB_IOC_BUFFER_ADD _IOWR(VGPU_STUB_IOC_MAGIC, 0x01, struct vgpu_stub_buffer)
#define VGPU_STUB_IOC_BUFFER_DEL _IOW(VGPU_STUB_IOC_MAGIC, 0x02, __u32)
#define VGPU_STUB_IOC_KICK _IO(VGPU_STUB_IOC_MAGIC, 0x03)
#define VGPU_STUB_IOC_WAIT _IOW(VGPU_STUB_IOC_MAGIC, 0x04, struct vgpu_stub_wait)

#endif /* _UAPI_VGPU_STUB_H */
