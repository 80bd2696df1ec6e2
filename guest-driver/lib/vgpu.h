/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * libvgpu: a session on /dev/vgpu_stub from user space.
 *
 * Maps the session's queue and doorbell, so that submitting is a few stores
 * and, unless the host polls, one more.  Functions return 0 or a count, or -1
 * with errno: EIO the session is lost (open another), ENODEV the device is
 * gone, ENOTCONN the host's daemon is not there, ETIMEDOUT, EPROTO the host
 * broke the protocol.  A session may be used by one thread at a time.
 */
#ifndef VGPU_H
#define VGPU_H

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

/* NULL with errno on failure.  `path` NULL means VGPU_DEVICE_PATH. */
struct vgpu_session *vgpu_session_open(const char *path);
void vgpu_session_close(struct vgpu_session *s);
void vgpu_session_set_wait(struct vgpu_session *s, enum vgpu_wait_mode mode);

/* Registers `length` bytes at `addr`; they stay pinned until unregistered or closed. */
int vgpu_buffer_register(struct vgpu_session *s, void *addr, size_t length, uint32_t flags,
			 uint32_t *handle);
int vgpu_buffer_unregister(struct vgpu_session *s, uint32_t handle);

/*
 * Puts a request into the ring; *id receives its id.  Waits for room for at most
 * 30 s (ETIMEDOUT), or until the session is lost.  EAGAIN: the ring is full and
 * the host waits for room in the response ring, so receive first.  After either
 * error nothing was submitted and the call may be repeated.
 */
int vgpu_submit(struct vgpu_session *s, uint16_t command, const struct vgpu_desc *desc,
		unsigned int ndesc, const void *body, size_t length, uint64_t *id);

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

#endif /* VGPU_H */
