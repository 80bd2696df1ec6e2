/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The host's side of the rings. */
#include "queue.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "vgpu_ring.h"

void queue_move(struct queue *q, void *mem)
{
	q->hdr = mem;
	q->req = (uint8_t *)mem + VGPU_PAGE;
	q->rsp = q->req + (size_t)q->req_slots * VGPU_SLOT;
}

void queue_init(struct queue *q, void *mem, const struct vgpu_msg_queue_start *start, int call_fd,
		struct vgpu_session_page *page)
{
	*q = (struct queue){.req_slots = start->req_slots,
			    .rsp_slots = start->rsp_slots,
			    .call_fd = call_fd,
			    .page = page};
	queue_move(q, mem);
}

bool queue_has_request(const struct queue *q)
{
	return __atomic_load_n(&q->hdr->req_prod, __ATOMIC_ACQUIRE) != q->req_cons;
}

bool queue_guest_polls(const struct queue *q)
{
	return __atomic_load_n(&q->hdr->guest_flags, __ATOMIC_RELAXED) & VGPU_GUEST_POLLS;
}

int queue_take(struct queue *q, void *buf)
{
	uint32_t prod = __atomic_load_n(&q->hdr->req_prod, __ATOMIC_ACQUIRE);
	uint32_t avail = prod - q->req_cons;
	uint64_t pos = (uint64_t)(q->req_cons & (q->req_slots - 1)) * VGPU_SLOT;
	uint32_t length;

	if (!avail)
		return 0;
	if (avail > q->req_slots)
		return -EPROTO;
	vgpu_ring_get(q->req, q->req_slots, pos, &length, sizeof(length));
	if (length < sizeof(struct vgpu_request) || length > VGPU_RECORD_MAX ||
	    vgpu_slots_of(length) > avail)
		return -EPROTO;
	vgpu_ring_get(q->req, q->req_slots, pos, buf, length);
	memcpy(buf, &length, sizeof(length)); /* what was checked is what is used */
	q->req_cons += vgpu_slots_of(length);
	__atomic_store_n(&q->hdr->req_cons, q->req_cons, __ATOMIC_RELEASE);
	__atomic_store_n(&q->page->req_cons, q->req_cons, __ATOMIC_RELAXED);
	return (int)length;
}

int queue_put(struct queue *q, const void *rec, uint32_t len)
{
	uint32_t used = q->rsp_prod - __atomic_load_n(&q->hdr->rsp_cons, __ATOMIC_ACQUIRE);
	uint64_t pos = (uint64_t)(q->rsp_prod & (q->rsp_slots - 1)) * VGPU_SLOT;

	if (used > q->rsp_slots)
		return -EPROTO;
	if (q->rsp_slots - used < vgpu_slots_of(len))
		return -EAGAIN;
	vgpu_ring_put(q->rsp, q->rsp_slots, pos, rec, len);
	q->rsp_prod += vgpu_slots_of(len);
	__atomic_store_n(&q->hdr->rsp_prod, q->rsp_prod, __ATOMIC_RELEASE);
	__atomic_store_n(&q->page->rsp_prod, q->rsp_prod, __ATOMIC_RELAXED);
	q->call_due = true;
	return 0;
}

static void signal_guest(struct queue *q)
{
	const uint64_t one = 1;

	/* Full counters and closed ends are the guest's loss. */
	if (write(q->call_fd, &one, sizeof(one)) == sizeof(one))
		queue_count(&q->page->calls, 1);
}

void queue_call(struct queue *q)
{
	if (!q->call_due)
		return;
	q->call_due = false;
	/* Our rsp_prod must be visible before we look at what the guest says of itself. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (!queue_guest_polls(q))
		signal_guest(q);
}

void queue_flags(struct queue *q, uint32_t set, uint32_t clear)
{
	uint32_t flags = (q->host_flags & ~clear) | set;

	if (flags == q->host_flags)
		return;
	q->host_flags = flags;
	__atomic_store_n(&q->hdr->host_flags, flags, __ATOMIC_SEQ_CST);
}

void queue_break(struct queue *q, int error)
{
	__atomic_store_n(&q->hdr->error, (uint32_t)error, __ATOMIC_SEQ_CST);
	signal_guest(q);
}
