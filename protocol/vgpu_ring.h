/* SPDX-License-Identifier: (GPL-2.0-or-later WITH Linux-syscall-note) OR BSD-3-Clause */
/*
 * The guest's side of a queue, in user space: push requests, pop responses.
 *
 * Used by whatever drives a queue outside a kernel: the guest's library, the
 * device core (register path), the tests.  No system calls, no allocation.
 * Not thread-safe: one caller at a time for each direction's function group.
 * What the host writes is checked before it is used.
 */
#ifndef VGPU_RING_H
#define VGPU_RING_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "vgpu_abi.h"

/* What submitting and what receiving changes lie in different cache lines. */
struct vgpu_ring {
	struct vgpu_queue_header *hdr;
	uint8_t *req;
	uint8_t *rsp;
	uint32_t req_slots; /* powers of two */
	uint32_t rsp_slots;
	uint8_t pad0[64];
	uint32_t req_prod; /* private copies of what we publish */
	uint32_t req_cons; /* the host's, when we last looked */
	uint8_t pad1[64];
	uint32_t rsp_cons;
};

struct vgpu_piece {
	const void *data;
	size_t length;
};

/* Bytes of queue memory that rings of these sizes take. */
static inline size_t vgpu_ring_bytes(uint32_t req_slots, uint32_t rsp_slots)
{
	return VGPU_PAGE + ((size_t)req_slots + rsp_slots) * VGPU_SLOT;
}

/* `mem`: zeroed, vgpu_ring_bytes() long, stays the caller's. */
static inline void vgpu_ring_init(struct vgpu_ring *r, void *mem, uint32_t req_slots,
				  uint32_t rsp_slots)
{
	r->hdr = mem;
	r->req = (uint8_t *)mem + VGPU_PAGE;
	r->rsp = r->req + (size_t)req_slots * VGPU_SLOT;
	r->req_slots = req_slots;
	r->rsp_slots = rsp_slots;
	r->req_prod = 0;
	r->req_cons = 0;
	r->rsp_cons = 0;
}

static inline uint32_t vgpu_slots_of(uint32_t bytes)
{
	return (bytes + VGPU_SLOT - 1) / VGPU_SLOT;
}

/* Copies into a ring of `slots` slots from byte position `pos` on, wrapping. */
static inline void vgpu_ring_put(uint8_t *ring, uint32_t slots, uint64_t pos, const void *src,
				 size_t len)
{
	size_t size = (size_t)slots * VGPU_SLOT;
	size_t at = pos & (size - 1);
	size_t first = len < size - at ? len : size - at;

	memcpy(ring + at, src, first);
	if (first < len)
		memcpy(ring, (const uint8_t *)src + first, len - first);
}

static inline void vgpu_ring_get(const uint8_t *ring, uint32_t slots, uint64_t pos, void *dst,
				 size_t len)
{
	size_t size = (size_t)slots * VGPU_SLOT;
	size_t at = pos & (size - 1);
	size_t first = len < size - at ? len : size - at;

	memcpy(dst, ring + at, first);
	if (first < len)
		memcpy((uint8_t *)dst + first, ring, len - first);
}

/*
 * Is there room for a request record of `total` bytes?  0, -EAGAIN (not now) or
 * -EPROTO (the host's index is impossible).  Looks at the host's index only when
 * what it knew of it does not do.
 */
static inline int vgpu_ring_room(struct vgpu_ring *r, size_t total)
{
	uint32_t slots = vgpu_slots_of(total);
	uint32_t used = r->req_prod - r->req_cons;

	if (used <= r->req_slots && r->req_slots - used >= slots)
		return 0;
	r->req_cons = __atomic_load_n(&r->hdr->req_cons, __ATOMIC_ACQUIRE);
	used = r->req_prod - r->req_cons;
	if (used > r->req_slots)
		return -EPROTO;
	return r->req_slots - used < slots ? -EAGAIN : 0;
}

/* Writes `len` bytes of the next request record, `at` bytes from its beginning. */
static inline void vgpu_ring_write(struct vgpu_ring *r, size_t at, const void *src, size_t len)
{
	if (len) /* else `src` may be NULL */
		vgpu_ring_put(r->req, r->req_slots, (uint64_t)r->req_prod * VGPU_SLOT + at, src,
			      len);
}

/* Publishes the record of `total` bytes that was written. */
static inline void vgpu_ring_publish(struct vgpu_ring *r, size_t total)
{
	r->req_prod += vgpu_slots_of(total);
	__atomic_store_n(&r->hdr->req_prod, r->req_prod, __ATOMIC_RELEASE);
}

/*
 * Writes one request record made of `n` pieces and publishes it.
 * 0, -EMSGSIZE, -EAGAIN (no room now) or -EPROTO (the host's index is impossible).
 */
static inline int vgpu_ring_push(struct vgpu_ring *r, const struct vgpu_piece *piece, size_t n)
{
	size_t total = 0, at = 0;
	int ret;

	for (size_t i = 0; i < n; i++)
		total += piece[i].length;
	if (total < sizeof(struct vgpu_request) || total > VGPU_RECORD_MAX)
		return -EMSGSIZE;
	r->req_cons = __atomic_load_n(&r->hdr->req_cons, __ATOMIC_ACQUIRE);
	ret = vgpu_ring_room(r, total);
	if (ret)
		return ret;
	for (size_t i = 0; i < n; i++) {
		vgpu_ring_write(r, at, piece[i].data, piece[i].length);
		at += piece[i].length;
	}
	vgpu_ring_publish(r, total);
	return 0;
}

/* After a push: must the doorbell be rung? */
static inline bool vgpu_ring_must_kick(struct vgpu_ring *r)
{
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return !(__atomic_load_n(&r->hdr->host_flags, __ATOMIC_RELAXED) & VGPU_HOST_POLLS);
}

static inline bool vgpu_ring_has_response(struct vgpu_ring *r)
{
	return __atomic_load_n(&r->hdr->rsp_prod, __ATOMIC_ACQUIRE) != r->rsp_cons;
}

/* Copies `len` bytes of the next response record, `at` bytes from its beginning. */
static inline void vgpu_ring_read(const struct vgpu_ring *r, size_t at, void *dst, size_t len)
{
	vgpu_ring_get(r->rsp, r->rsp_slots, (uint64_t)r->rsp_cons * VGPU_SLOT + at, dst, len);
}

/*
 * Copies the header of the next response record, and checks its length, but
 * leaves the record in the ring.  Its length, -EAGAIN (none) or -EPROTO (the
 * host wrote nonsense).
 */
static inline int vgpu_ring_peek(const struct vgpu_ring *r, struct vgpu_response *rsp)
{
	uint32_t prod = __atomic_load_n(&r->hdr->rsp_prod, __ATOMIC_ACQUIRE);
	uint32_t avail = prod - r->rsp_cons;

	if (!avail)
		return -EAGAIN;
	if (avail > r->rsp_slots)
		return -EPROTO;
	vgpu_ring_read(r, 0, rsp, sizeof(*rsp));
	if (rsp->length < sizeof(*rsp) || rsp->length > VGPU_RECORD_MAX ||
	    vgpu_slots_of(rsp->length) > avail)
		return -EPROTO;
	return (int)rsp->length;
}

/* Gives the room of the response record of `length` bytes back. */
static inline void vgpu_ring_consume(struct vgpu_ring *r, uint32_t length)
{
	r->rsp_cons += vgpu_slots_of(length);
	__atomic_store_n(&r->hdr->rsp_cons, r->rsp_cons, __ATOMIC_RELEASE);
}

/*
 * Takes the next response record into `buf` (VGPU_RECORD_MAX bytes or more).
 * Its length, -EAGAIN (none) or -EPROTO (the host wrote nonsense).
 */
static inline int vgpu_ring_pop(struct vgpu_ring *r, void *buf)
{
	struct vgpu_response rsp;
	int length = vgpu_ring_peek(r, &rsp);

	if (length < 0)
		return length;
	memcpy(buf, &rsp, sizeof(rsp)); /* what was checked is what is used */
	vgpu_ring_read(r, sizeof(rsp), (uint8_t *)buf + sizeof(rsp), (size_t)length - sizeof(rsp));
	vgpu_ring_consume(r, (uint32_t)length);
	return length;
}

/* After pops: does the host wait for room in the response ring? */
static inline bool vgpu_ring_must_kick_full(struct vgpu_ring *r)
{
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return __atomic_load_n(&r->hdr->host_flags, __ATOMIC_RELAXED) & VGPU_HOST_FULL;
}

/* Says whether we poll; after turning it off, look once more before sleeping. */
static inline void vgpu_ring_set_polling(struct vgpu_ring *r, bool on)
{
	__atomic_store_n(&r->hdr->guest_flags, on ? VGPU_GUEST_POLLS : 0, __ATOMIC_SEQ_CST);
}

#endif /* VGPU_RING_H */
