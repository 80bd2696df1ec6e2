// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A session's queue: its memory, and how it is started and stopped.
 */
#include <linux/dma-mapping.h>
#include <linux/jiffies.h>
#include <linux/log2.h>
#include <linux/sched/signal.h>

#include "vgpu_drv.h"

/*
 * Pages of their own (not compound), so that a process that still maps one
 * keeps it alive when the rest is freed.
 */
static void *vgpu_pages_alloc(size_t bytes)
{
	return alloc_pages_exact(bytes, GFP_KERNEL_ACCOUNT | __GFP_ZERO |
				 __GFP_NOWARN);
}

static u32 vgpu_slots_wanted(struct vgpu_dev *vdev)
{
	u32 slots = clamp(vgpu_slots, VGPU_SLOTS_MIN, vdev->max_slots);

	return rounddown_pow_of_two(slots);
}

/* Many requests have no response, and those there are, are soon read. */
static u32 vgpu_rsp_slots(u32 req_slots)
{
	return max(req_slots / 4, VGPU_SLOTS_MIN);
}

static size_t vgpu_ring_size(u32 slots)
{
	return VGPU_PAGE + ((size_t)slots + vgpu_rsp_slots(slots)) * VGPU_SLOT;
}

/**
 * vgpu_queue_alloc - allocate rings, buffer table and what goes with them
 * @s: session
 *
 * Takes smaller rings where memory is too fragmented for those asked for.
 *
 * Return: 0 or -ENOMEM; vgpu_queue_free() cleans up in either case.
 */
int vgpu_queue_alloc(struct vgpu_session *s)
{
	u32 slots = vgpu_slots_wanted(s->vdev);

	for (;; slots /= 2) {
		s->ring_bytes = PAGE_ALIGN(vgpu_ring_size(slots));
		s->ring = vgpu_pages_alloc(s->ring_bytes);
		if (s->ring || slots / 2 < VGPU_SLOTS_MIN)
			break;
	}
	s->req_slots = slots;
	s->rsp_slots = vgpu_rsp_slots(slots);
	s->nbuffers = clamp(vgpu_buffers, 1u, s->vdev->max_buffers);
	s->table_bytes = PAGE_ALIGN(s->nbuffers * sizeof(*s->table));
	s->table = vgpu_pages_alloc(s->table_bytes);
	s->buffers = kvcalloc(s->nbuffers, sizeof(*s->buffers),
			      GFP_KERNEL_ACCOUNT);
	s->sink = alloc_page(GFP_KERNEL_ACCOUNT | __GFP_ZERO);
	if (!s->ring || !s->table || !s->buffers || !s->sink)
		return -ENOMEM;
	return 0;
}

/**
 * vgpu_queue_free - free what vgpu_queue_alloc() allocated
 * @s: session that is not attached
 *
 * Memory that the host may still write is left alone for good.
 */
void vgpu_queue_free(struct vgpu_session *s)
{
	if (s->sink)
		__free_page(s->sink);
	kvfree(s->buffers);
	if (s->leak)
		return;
	if (s->table)
		free_pages_exact(s->table, s->table_bytes);
	if (s->ring)
		free_pages_exact(s->ring, s->ring_bytes);
}

/*
 * The device takes guest-physical addresses.  Where the DMA API gives others
 * (an IOMMU or bounce buffers in between) the host would look elsewhere.
 */
static int vgpu_map(struct device *dev, void *mem, size_t bytes,
		    dma_addr_t *dma)
{
	*dma = dma_map_single(dev, mem, bytes, DMA_BIDIRECTIONAL);
	if (dma_mapping_error(dev, *dma))
		return -ENOMEM;
	if (*dma == virt_to_phys(mem))
		return 0;
	dma_unmap_single(dev, *dma, bytes, DMA_BIDIRECTIONAL);
	dev_err_ratelimited(dev, "DMA addresses are not physical ones (IOMMU or bounce buffers): queues cannot be used\n");
	return -EOPNOTSUPP;
}

/**
 * vgpu_queue_map - map rings and table for the device
 * @s: session
 *
 * Return: 0, -ENOMEM or -EOPNOTSUPP.
 */
int vgpu_queue_map(struct vgpu_session *s)
{
	struct device *dev = &s->vdev->pdev->dev;
	int ret = vgpu_map(dev, s->ring, s->ring_bytes, &s->ring_dma);

	if (ret)
		return ret;
	ret = vgpu_map(dev, s->table, s->table_bytes, &s->table_dma);
	if (ret)
		dma_unmap_single(dev, s->ring_dma, s->ring_bytes,
				 DMA_BIDIRECTIONAL);
	return ret;
}

/**
 * vgpu_queue_unmap - undo vgpu_queue_map()
 * @s: session whose memory the host has given back
 */
void vgpu_queue_unmap(struct vgpu_session *s)
{
	struct device *dev = &s->vdev->pdev->dev;

	dma_unmap_single(dev, s->table_dma, s->table_bytes, DMA_BIDIRECTIONAL);
	dma_unmap_single(dev, s->ring_dma, s->ring_bytes, DMA_BIDIRECTIONAL);
}

/**
 * vgpu_queue_start - give the queue to the host
 * @s: session, mapped and with its interrupt
 *
 * Context: Between vgpu_dev_enter() and vgpu_dev_leave().
 */
void vgpu_queue_start(struct vgpu_session *s)
{
	struct vgpu_dev *v = s->vdev;

	spin_lock(&v->select_lock);
	vgpu_write(v, VGPU_REG_QUEUE_SELECT, s->queue);
	vgpu_write(v, VGPU_REG_QUEUE_ADDR_LO, lower_32_bits(s->ring_dma));
	vgpu_write(v, VGPU_REG_QUEUE_ADDR_HI, upper_32_bits(s->ring_dma));
	vgpu_write(v, VGPU_REG_QUEUE_REQ_SLOTS, s->req_slots);
	vgpu_write(v, VGPU_REG_QUEUE_RSP_SLOTS, s->rsp_slots);
	vgpu_write(v, VGPU_REG_QUEUE_TABLE_LO, lower_32_bits(s->table_dma));
	vgpu_write(v, VGPU_REG_QUEUE_TABLE_HI, upper_32_bits(s->table_dma));
	vgpu_write(v, VGPU_REG_QUEUE_BUFFERS, s->nbuffers);
	vgpu_write(v, VGPU_REG_QUEUE_VECTOR, 1 + s->queue % (v->nvectors - 1));
	vgpu_write(v, VGPU_REG_QUEUE_TAG, task_tgid_nr(current));
	vgpu_write(v, VGPU_REG_QUEUE_CONTROL, VGPU_QUEUE_START);
	spin_unlock(&v->select_lock);
	WRITE_ONCE(s->state, VGPU_QUEUE_STATE_STARTING);
}

/**
 * vgpu_queue_stop - ask for the queue back
 * @s: attached session
 *
 * Its state becomes STOPPED some time later.
 */
void vgpu_queue_stop(struct vgpu_session *s)
{
	struct vgpu_dev *vdev = s->vdev;

	if (vgpu_dev_enter(vdev))
		return;
	spin_lock(&vdev->select_lock);
	vgpu_write(vdev, VGPU_REG_QUEUE_SELECT, s->queue);
	vgpu_write(vdev, VGPU_REG_QUEUE_CONTROL, VGPU_QUEUE_STOP);
	spin_unlock(&vdev->select_lock);
	vgpu_dev_leave(vdev);
}

/* Once for each session: says why the host has ended it, or did not begin it. */
static void vgpu_queue_failed(struct vgpu_session *s, bool starting, int error,
			      const char *reason)
{
	struct vgpu_dev *vdev = s->vdev;

	if (cmpxchg(&s->lost, 0, error) || !*reason)
		return;
	dev_warn_ratelimited(&vdev->dev, "the host %s: %s\n",
			     starting ? "refuses a session" : "has ended a session",
			     reason);
}

/**
 * vgpu_queue_refresh - read the queue's state and tell who waits for it
 * @s: attached session
 */
void vgpu_queue_refresh(struct vgpu_session *s)
{
	struct vgpu_dev *vdev = s->vdev;
	bool starting = READ_ONCE(s->state) == VGPU_QUEUE_STATE_STARTING;
	char reason[VGPU_REASON_TEXT_MAX] = "";
	u32 state, error;

	if (vgpu_dev_enter(vdev))
		return;
	spin_lock(&vdev->select_lock);
	vgpu_write(vdev, VGPU_REG_QUEUE_SELECT, s->queue);
	state = vgpu_read(vdev, VGPU_REG_QUEUE_STATE);
	error = vgpu_read(vdev, VGPU_REG_QUEUE_ERROR);
	if (state == VGPU_QUEUE_STATE_FAILED && (starting || !READ_ONCE(s->lost)))
		vgpu_regs_reason_locked(vdev, reason);
	/* before anybody learns that it failed, and looks for it */
	if (starting && state != VGPU_QUEUE_STATE_STARTING)
		strscpy(vdev->refusal, reason, sizeof(vdev->refusal));
	spin_unlock(&vdev->select_lock);
	vgpu_dev_leave(vdev);

	if (state == VGPU_QUEUE_STATE_FAILED)
		vgpu_queue_failed(s, starting, vgpu_errno(error) ?: -EIO, reason);
	if (state != READ_ONCE(s->state)) {
		WRITE_ONCE(s->state, state);
		wake_up_all(&s->wait);
	}
}

static bool vgpu_queue_settled(struct vgpu_session *s)
{
	return READ_ONCE(s->state) != VGPU_QUEUE_STATE_STARTING ||
	       vgpu_session_error(s);
}

/**
 * vgpu_queue_wait_started - wait until the host has answered a start
 * @s: session after vgpu_queue_start()
 *
 * Return: 0, -ERESTARTSYS, -ETIMEDOUT, or why the host did not start the queue.
 */
int vgpu_queue_wait_started(struct vgpu_session *s)
{
	unsigned long end = jiffies + msecs_to_jiffies(vgpu_start_timeout_ms);

	for (;;) {
		long ret;

		vgpu_queue_refresh(s);
		if (vgpu_queue_settled(s))
			break;
		if (time_after(jiffies, end))
			return -ETIMEDOUT;
		/* in steps: a lost interrupt must not cost the whole time */
		ret = wait_event_interruptible_timeout(s->wait,
						       vgpu_queue_settled(s),
						       HZ / 10);
		if (ret < 0)
			return ret;
	}
	if (vgpu_session_error(s))
		return vgpu_session_error(s);
	return READ_ONCE(s->state) == VGPU_QUEUE_STATE_RUNNING ? 0 : -EIO;
}

/**
 * vgpu_queue_wait_stopped - wait a little for the queue to come back
 * @s: session after vgpu_queue_stop()
 *
 * Look at @s->state afterwards: a killed process or a slow host ends the wait.
 */
void vgpu_queue_wait_stopped(struct vgpu_session *s)
{
	unsigned long end = jiffies + msecs_to_jiffies(vgpu_stop_timeout_ms);

	for (;;) {
		long ret;

		vgpu_queue_refresh(s);
		if (READ_ONCE(s->state) == VGPU_QUEUE_STATE_STOPPED ||
		    !READ_ONCE(s->vdev->alive) || time_after(jiffies, end))
			return;
		ret = wait_event_killable_timeout(s->wait,
						  READ_ONCE(s->state) == VGPU_QUEUE_STATE_STOPPED,
						  HZ / 10);
		if (ret < 0)
			return;
	}
}
