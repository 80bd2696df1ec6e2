/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The host's side of a queue's two rings.
 *
 * The guest may write anything anywhere in them at any time: each index is
 * read once per look, a record is copied before it is checked, and the copies
 * of our own indices that count are private.
 */
#ifndef VGPU_WORKER_QUEUE_H
#define VGPU_WORKER_QUEUE_H

#include <stdbool.h>
#include <stdint.h>

#include "vgpu_abi.h"
#include "vgpu_socket.h"

struct queue {
	struct vgpu_queue_header *hdr;
	uint8_t *req;
	uint8_t *rsp;
	uint32_t req_slots; /* powers of two */
	uint32_t rsp_slots;
	uint32_t req_cons;
	uint32_t rsp_prod;
	uint32_t host_flags; /* as last written */
	int call_fd;
	bool call_due; /* responses were published and not announced */
	struct vgpu_session_page *page;
};

/* `mem`: the ring, in guest RAM or a memfd, stays mapped; indices begin at 0. */
void queue_init(struct queue *q, void *mem, const struct vgpu_msg_queue_start *start, int call_fd,
		struct vgpu_session_page *page);

/* The ring moved to `mem`. */
void queue_move(struct queue *q, void *mem);

/* Copies the next request record to `buf` (VGPU_RECORD_MAX).  Its length, 0 (none) or -EPROTO. */
int queue_take(struct queue *q, void *buf);

/* Is there anything to take?  One load; says yes for a broken index too. */
bool queue_has_request(const struct queue *q);

/* Does the guest poll for responses (as it says itself; only ever a hint)? */
bool queue_guest_polls(const struct queue *q);

/* Publishes a response record of `len` bytes.  0, -EAGAIN (no room) or -EPROTO. */
int queue_put(struct queue *q, const void *rec, uint32_t len);

/* Interrupts the guest for what was published, unless it polls. */
void queue_call(struct queue *q);

/* Sets or clears bits of host_flags. */
void queue_flags(struct queue *q, uint32_t set, uint32_t clear);

/* Tells the guest that the queue is dead, and why. */
void queue_break(struct queue *q, int error);

/* Adds to a counter of the session page, which only this process writes. */
static inline void queue_count(uint64_t *counter, uint64_t by)
{
	__atomic_store_n(counter, *counter + by, __ATOMIC_RELAXED);
}

#endif /* VGPU_WORKER_QUEUE_H */
