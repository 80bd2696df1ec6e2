/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * libvgpu: sessions with gpu_mediator from user space.
 *
 * A session's queue is memory that this process shares with its worker, so that
 * submitting is a few stores and, unless the host polls, one more.  In a VM the
 * session comes from /dev/vgpu_stub; with no VM, in a container or on the host
 * itself, from the daemon's socket.
 *
 * Functions return 0 or a count, or -1 with errno: EIO the session is lost (open
 * another), ENODEV the device is gone, ENOTCONN the host's daemon is not there,
 * ECONNREFUSED it refuses this machine or user,
 * ETIMEDOUT, EPROTO the host broke the protocol.  A session may be used by one
 * thread at a time, but for what vgpu_session_ring() says.
 */
#ifndef VGPU_H
#define VGPU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vgpu_abi.h"

struct vgpu_session;

#define VGPU_DEVICE_PATH "/dev/vgpu_stub"

/* How to wait for a response. */
enum vgpu_wait_mode {
	VGPU_WAIT_ADAPTIVE, /* poll for a while, then sleep until the interrupt */
	VGPU_WAIT_INTERRUPT,
	VGPU_WAIT_POLL,
};

/*
 * NULL with errno on failure.  `where` is the path of a device, which may have
 * "device:" before it, or "unix:" and the path of the daemon's socket.  NULL
 * means what the environment's VGPU_TRANSPORT says, or VGPU_DEVICE_PATH.
 */
struct vgpu_session *vgpu_session_open(const char *where);

/*
 * After vgpu_session_open() failed: the host's words, such as what its
 * administrator has to do, or "".  Over the socket there are some whenever the
 * host refuses, by a device with ECONNREFUSED only.  Of the last one in this process.
 */
const char *vgpu_open_reason(void);

void vgpu_session_close(struct vgpu_session *s);
void vgpu_session_set_wait(struct vgpu_session *s, enum vgpu_wait_mode mode);

/*
 * In the child of a fork: lets go of the parent's session and changes nothing
 * of it.  Makes no call that is unsafe after a fork of threads; frees nothing.
 */
void vgpu_session_forget(struct vgpu_session *s);

/*
 * Registers `length` bytes at `addr`; they stay pinned until unregistered or
 * closed.  EOPNOTSUPP where memory of the process cannot become visible to the
 * host afterwards: by the daemon's socket, or where the VM's RAM is not shared.
 */
int vgpu_buffer_register(struct vgpu_session *s, void *addr, size_t length, uint32_t flags,
			 uint32_t *handle);
int vgpu_buffer_unregister(struct vgpu_session *s, uint32_t handle);

/* Memory that the host can read and write too. */
struct vgpu_area {
	void *addr;
	size_t length;
	uint32_t buffer; /* what descriptors name it by */
	bool fixed;
	uint64_t place; /* the library's */
};

/*
 * Makes zeroed memory of `length` bytes, a multiple of the page size and at most
 * VGPU_BUFFER_BYTES_MAX.  With `addr` it comes there, instead of what is mapped
 * there now: room that the caller has reserved.  ENOMEM; ENOSPC: no buffer is
 * free; EOPNOTSUPP: not with this device.
 */
int vgpu_area_create(struct vgpu_session *s, void *addr, size_t length, struct vgpu_area *a);

/*
 * Gives the memory back.  What was made at an address of the caller's becomes
 * inaccessible but stays the caller's room.  EBUSY: the host still uses it and
 * nothing was freed.
 */
int vgpu_area_destroy(struct vgpu_session *s, const struct vgpu_area *a);

/*
 * Puts a request into the ring; *id receives its id.  Waits for room for at most
 * 30 s (ETIMEDOUT), or until the session is lost.  EAGAIN: the ring is full and
 * the host waits for room in the response ring, so receive first.  After either
 * error nothing was submitted and the call may be repeated.
 */
int vgpu_submit(struct vgpu_session *s, uint16_t command, const struct vgpu_desc *desc,
		unsigned int ndesc, const void *body, size_t length, uint64_t *id);

/* The same for a request that has no response (VGPU_REQUEST_QUIET). */
int vgpu_submit_quiet(struct vgpu_session *s, uint16_t command, const struct vgpu_desc *desc,
		      unsigned int ndesc, const void *body, size_t length);

/*
 * Takes the next response, whichever request it answers, at most `timeout_ms`
 * (-1: no limit) from now.  *rsp points into the session and is valid until
 * the next call.
 */
int vgpu_receive(struct vgpu_session *s, int timeout_ms, const struct vgpu_response **rsp);

/*
 * Submits one request and waits for its response; no other may be in flight.
 * `timeout_ms` (-1: no limit) holds for both together; without a mapped queue
 * the module's text_timeout_ms bounds the first.  The response of a call that
 * timed out is dropped by a later one.  EAGAIN as vgpu_submit() if many such
 * responses fill the response ring.
 * Copies at most `size` bytes of the response's body to `out`.  Returns the
 * body's length; a negative status becomes -1 with errno.
 */
int vgpu_call(struct vgpu_session *s, uint16_t command, const struct vgpu_desc *desc,
	      unsigned int ndesc, const void *body, size_t length, void *out, size_t size,
	      int timeout_ms);

/* ------------------------------------------------- for callers with threads */

/*
 * The session's ring, NULL if it has none in this process.  Who takes it locks
 * for himself: one thread may submit while another receives.  Any may kick and
 * tend; only the one who receives sleeps.
 */
struct vgpu_ring *vgpu_session_ring(struct vgpu_session *s);

/* After publishing requests: rings the doorbell if the host may not be watching. */
void vgpu_session_kick(struct vgpu_session *s);

/* Rings it once more if the host has not taken all: after some time of waiting in vain. */
void vgpu_session_kick_again(struct vgpu_session *s);

/* After consuming responses: rings it if the host waits for room. */
void vgpu_session_kick_full(struct vgpu_session *s);

/*
 * Sleeps until rsp_prod differs from `seen`; whoever does so must have said in
 * the ring that he does not poll.  -1: ETIMEDOUT, EINTR, or the session's end.
 */
int vgpu_session_sleep(struct vgpu_session *s, uint32_t seen, int timeout_ms);

/*
 * The same for one further thread beside the one that sleeps, which takes
 * nothing away from it.
 */
int vgpu_session_watch(struct vgpu_session *s, uint32_t seen, int timeout_ms);

/*
 * Looks whether the session lives, and sees to it that a daemon that was
 * started anew finds it again.  Sleeping does it too.  0, or the session's end.
 */
int vgpu_session_tend(struct vgpu_session *s);

/*
 * What to poll() for POLLIN, while nobody sleeps, to know when to tend the
 * session; -1 if it needs none or is to be tended in a moment.
 */
int vgpu_session_tend_fd(struct vgpu_session *s, bool *needed);

#endif /* VGPU_H */
