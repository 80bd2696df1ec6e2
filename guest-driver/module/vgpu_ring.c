// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The kernel's side of a queue's rings, for files that are not mapped.
 *
 * Once a process maps the queue it may write anything there.  From then on the
 * module only compares indices, to answer poll() and the wait ioctl.
 */
#include <asm/barrier.h>

#include "vgpu_drv.h"

/* One side of the ring memory. */
struct vgpu_span {
	void *base;
	u32 slots;
};

static struct vgpu_span vgpu_req_span(struct vgpu_session *s)
{
	return (struct vgpu_span){ s->ring + VGPU_PAGE, s->req_slots };
}

static struct vgpu_span vgpu_rsp_span(struct vgpu_session *s)
{
	return (struct vgpu_span){ s->ring + VGPU_PAGE +
				   (size_t)s->req_slots * VGPU_SLOT,
				   s->rsp_slots };
}

static u32 vgpu_slots_of(u32 bytes)
{
	return DIV_ROUND_UP(bytes, VGPU_SLOT);
}

static void vgpu_span_put(struct vgpu_span span, u32 index, const void *src,
			  u32 length)
{
	u32 at = (index & (span.slots - 1)) * VGPU_SLOT;
	u32 first = min(length, span.slots * VGPU_SLOT - at);

	memcpy(span.base + at, src, first);
	memcpy(span.base, src + first, length - first);
}

static void vgpu_span_get(struct vgpu_span span, u32 index, void *dst,
			  u32 length)
{
	u32 at = (index & (span.slots - 1)) * VGPU_SLOT;
	u32 first = min(length, span.slots * VGPU_SLOT - at);

	memcpy(dst, span.base + at, first);
	memcpy(dst + first, span.base, length - first);
}

/**
 * vgpu_ring_kick - ring the session's doorbell
 * @s: session with a queue
 *
 * Return: 0, or the error the session was lost with.
 */
int vgpu_ring_kick(struct vgpu_session *s)
{
	struct vgpu_dev *vdev = s->vdev;
	int ret = vgpu_dev_enter(vdev);

	if (ret)
		return ret;
	ret = vgpu_session_error(s);
	if (!ret)
		iowrite32(VGPU_DOORBELL_SLEEPS,
			  vdev->doorbells + s->queue * VGPU_DOORBELL_STRIDE);
	vgpu_dev_leave(vdev);
	return ret;
}

/**
 * vgpu_ring_push - publish a request record and ring the doorbell if needed
 * @s: session in kernel mode
 * @record: whole record
 * @length: its bytes, at most VGPU_RECORD_MAX
 *
 * Context: @s->lock held.
 * Return: 0, -EAGAIN (no room now), -EPROTO (the host's index is impossible)
 * or the error the session was lost with.
 */
int vgpu_ring_push(struct vgpu_session *s, const void *record, u32 length)
{
	struct vgpu_queue_header *hdr = s->ring;
	/* the host has read the slots that we reuse; pairs with its release */
	u32 cons = le32_to_cpu(virt_load_acquire(&hdr->req_cons));
	u32 used = s->req_prod - cons;
	int ret = vgpu_session_error(s);

	if (ret)
		return ret;
	if (used > s->req_slots)
		return -EPROTO;
	if (s->req_slots - used < vgpu_slots_of(length))
		return -EAGAIN;
	vgpu_span_put(vgpu_req_span(s), s->req_prod, record, length);
	s->req_prod += vgpu_slots_of(length);
	/* the record before the index; pairs with the host's acquire */
	virt_store_release(&hdr->req_prod, cpu_to_le32(s->req_prod));
	s->inflight++;
	virt_mb(); /* the host looks at req_prod after it stops polling */
	if (s->vdev->features & VGPU_F_POLLING &&
	    le32_to_cpu(READ_ONCE(hdr->host_flags)) & VGPU_HOST_POLLS)
		return 0;
	return vgpu_ring_kick(s);
}

/**
 * vgpu_ring_peek - copy out the next response without consuming it
 * @s: session in kernel mode
 * @record: gets the record, VGPU_RECORD_MAX bytes
 *
 * Context: @s->lock held.
 * Return: The record's length, -EAGAIN (none) or -EPROTO (nonsense).
 */
int vgpu_ring_peek(struct vgpu_session *s, void *record)
{
	struct vgpu_queue_header *hdr = s->ring;
	/* the index before the record; pairs with the host's release */
	u32 prod = le32_to_cpu(virt_load_acquire(&hdr->rsp_prod));
	u32 avail = prod - s->rsp_cons;
	struct vgpu_response *rsp = record;
	u32 length;

	if (!avail)
		return -EAGAIN;
	if (avail > s->rsp_slots)
		return -EPROTO;
	vgpu_span_get(vgpu_rsp_span(s), s->rsp_cons, rsp, sizeof(*rsp));
	length = le32_to_cpu(rsp->length);
	if (length < sizeof(*rsp) || length > VGPU_RECORD_MAX ||
	    vgpu_slots_of(length) > avail)
		return -EPROTO;
	vgpu_span_get(vgpu_rsp_span(s), s->rsp_cons, record, length);
	rsp->length = cpu_to_le32(length);
	return length;
}

/**
 * vgpu_ring_advance - consume the response that was peeked at
 * @s: session in kernel mode
 * @length: what vgpu_ring_peek() returned
 *
 * Context: @s->lock held.
 */
void vgpu_ring_advance(struct vgpu_session *s, u32 length)
{
	struct vgpu_queue_header *hdr = s->ring;

	s->rsp_cons += vgpu_slots_of(length);
	s->inflight--;
	/* our reads before the room we give; pairs with the host's acquire */
	virt_store_release(&hdr->rsp_cons, cpu_to_le32(s->rsp_cons));
	virt_mb(); /* the host looks at rsp_cons after it sets the flag */
	if (le32_to_cpu(READ_ONCE(hdr->host_flags)) & VGPU_HOST_FULL)
		vgpu_ring_kick(s);
}

/**
 * vgpu_ring_readable - is there a response?
 * @s: session with a queue
 */
bool vgpu_ring_readable(struct vgpu_session *s)
{
	struct vgpu_queue_header *hdr = s->ring;
	__le32 cons = READ_ONCE(hdr->rsp_cons);

	/* pairs with the host's release of rsp_prod */
	return virt_load_acquire(&hdr->rsp_prod) != cons;
}

/**
 * vgpu_ring_writable - is there room for the largest request?
 * @s: session with a queue
 */
bool vgpu_ring_writable(struct vgpu_session *s)
{
	struct vgpu_queue_header *hdr = s->ring;
	u32 prod = le32_to_cpu(READ_ONCE(hdr->req_prod));
	/* pairs with the host's release of req_cons */
	u32 used = prod - le32_to_cpu(virt_load_acquire(&hdr->req_cons));

	return used <= s->req_slots &&
	       s->req_slots - used >= vgpu_slots_of(VGPU_RECORD_MAX);
}

/**
 * vgpu_ring_moved - has the host written responses past a position?
 * @s: session with a queue
 * @rsp_cons: the position
 */
bool vgpu_ring_moved(struct vgpu_session *s, u32 rsp_cons)
{
	struct vgpu_queue_header *hdr = s->ring;

	/* pairs with the host's release of rsp_prod */
	return le32_to_cpu(virt_load_acquire(&hdr->rsp_prod)) != rsp_cons;
}
