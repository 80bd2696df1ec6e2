// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Buffers: memory of a process that is pinned, described by a list of segments
 * and entered in the queue's buffer table.
 *
 * Table and lists are memory that no process can map, so a process reaches its
 * own pages through the device and nothing else.
 */
#include <linux/capability.h>
#include <linux/dma-mapping.h>
#include <linux/jiffies.h>
#include <linux/mm.h>
#include <linux/overflow.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "vgpu_drv.h"

#define VGPU_PIN_CHUNK 1024

/* Bytes that a buffer counts for: whole pages. */
static u64 vgpu_buffer_cost(const struct vgpu_buffer *b)
{
	return (u64)b->npages << PAGE_SHIFT;
}

static int vgpu_account(struct mm_struct *mm, unsigned long npages)
{
	unsigned long limit = rlimit(RLIMIT_MEMLOCK) >> PAGE_SHIFT;
	s64 now = atomic64_add_return(npages, &mm->pinned_vm);

	if (now <= limit || capable(CAP_IPC_LOCK))
		return 0;
	atomic64_sub(npages, &mm->pinned_vm);
	return -ENOMEM;
}

/* May block for as long as a file system likes: hold no lock. */
static void vgpu_buffer_unpin(struct vgpu_buffer *b, unsigned long pinned)
{
	unpin_user_pages_dirty_lock(b->pages, pinned, b->write);
	atomic64_sub(b->npages, &b->mm->pinned_vm);
	mmdrop(b->mm);
	kvfree(b->pages);
}

static long vgpu_pin_some(struct vgpu_buffer *b, unsigned long addr,
			  unsigned long done)
{
	unsigned long want = min(b->npages - done,
				 (unsigned long)VGPU_PIN_CHUNK);
	unsigned long at = (addr & PAGE_MASK) + (done << PAGE_SHIFT);
	unsigned int flags = b->write ? VGPU_FOLL_WRITE : VGPU_FOLL_READ;
	long got = pin_user_pages_fast(at, want, flags, b->pages + done);

	/*
	 * See VGPU_FOLL_READ: this page the process may only read.  One page,
	 * since the next may be one that it may write.
	 */
	if (got == -EFAULT && !b->write && flags != FOLL_LONGTERM)
		got = pin_user_pages_fast(at, 1, FOLL_LONGTERM, b->pages + done);
	return got ?: -EFAULT;
}

/* Pins the pages; no lock is held, since a fault of the process may be slow. */
static int vgpu_buffer_pin(struct vgpu_buffer *b, unsigned long addr)
{
	unsigned long done = 0;
	int ret;

	b->pages = kvmalloc_array(b->npages, sizeof(*b->pages),
				  GFP_KERNEL_ACCOUNT);
	if (!b->pages)
		return -ENOMEM;
	ret = vgpu_account(current->mm, b->npages);
	if (ret) {
		kvfree(b->pages);
		return ret;
	}
	b->mm = current->mm;
	mmgrab(b->mm);
	while (done < b->npages) {
		long got = fatal_signal_pending(current) ?
			   -EINTR : vgpu_pin_some(b, addr, done);

		if (got < 0) {
			vgpu_buffer_unpin(b, done);
			return got;
		}
		done += got;
		cond_resched();
	}
	return 0;
}

static void vgpu_list_free(struct device *dev, struct vgpu_buffer *b)
{
	while (b->nlist) {
		struct vgpu_list_page *p = &b->list[--b->nlist];

		dma_unmap_single(dev, p->dma, VGPU_PAGE, DMA_TO_DEVICE);
		free_page((unsigned long)p->page);
	}
	kvfree(b->list);
	b->list = NULL;
}

static int vgpu_list_page(struct device *dev, struct vgpu_list_page *p)
{
	p->page = (void *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
	if (!p->page)
		return -ENOMEM;
	/* the CPU is done with a list before the host hears of it */
	p->dma = dma_map_single(dev, p->page, VGPU_PAGE, DMA_TO_DEVICE);
	if (!dma_mapping_error(dev, p->dma))
		return 0;
	free_page((unsigned long)p->page);
	return -ENOMEM;
}

static int vgpu_list_alloc(struct device *dev, struct vgpu_buffer *b)
{
	unsigned int want = DIV_ROUND_UP(b->sgt.nents, VGPU_SEGMENTS_PER_PAGE);

	b->list = kvcalloc(want, sizeof(*b->list), GFP_KERNEL_ACCOUNT);
	if (!b->list)
		return -ENOMEM;
	while (b->nlist < want) {
		int ret = vgpu_list_page(dev, &b->list[b->nlist]);

		if (ret) {
			vgpu_list_free(dev, b);
			return ret;
		}
		b->nlist++;
	}
	return 0;
}

/* The device wants guest-physical addresses: see vgpu_map(). */
static int vgpu_list_fill(struct device *dev, struct vgpu_buffer *b)
{
	struct scatterlist *sg;
	unsigned int i;

	for_each_sgtable_dma_sg(&b->sgt, sg, i) {
		struct vgpu_list_page *p = &b->list[i / VGPU_SEGMENTS_PER_PAGE];
		struct vgpu_segment *seg = &p->page->seg[i % VGPU_SEGMENTS_PER_PAGE];

		if (sg_dma_address(sg) != sg_phys(sg))
			return -EOPNOTSUPP;
		seg->addr = cpu_to_le64(sg_dma_address(sg));
		seg->length = cpu_to_le64(sg_dma_len(sg));
		p->page->count = cpu_to_le32(i % VGPU_SEGMENTS_PER_PAGE + 1);
	}
	for (i = 0; i + 1 < b->nlist; i++)
		b->list[i].page->next = cpu_to_le64(b->list[i + 1].dma);
	for (i = 0; i < b->nlist; i++)
		dma_sync_single_for_device(dev, b->list[i].dma, VGPU_PAGE,
					   DMA_TO_DEVICE);
	return 0;
}

static void vgpu_buffer_unmap(struct device *dev, struct vgpu_buffer *b)
{
	vgpu_list_free(dev, b);
	dma_unmap_sgtable(dev, &b->sgt, b->write ? DMA_BIDIRECTIONAL :
			  DMA_TO_DEVICE, DMA_ATTR_SKIP_CPU_SYNC);
	sg_free_table(&b->sgt);
}

/*
 * Makes the segment list.  Called with the gate held.  The device is a program
 * on the same memory, so nothing needs syncing, and a process may register a
 * page more than once.
 */
static int vgpu_buffer_map(struct device *dev, struct vgpu_buffer *b,
			   unsigned int offset)
{
	int ret = sg_alloc_table_from_pages(&b->sgt, b->pages, b->npages,
					    offset, b->length,
					    GFP_KERNEL_ACCOUNT);

	if (ret)
		return ret;
	ret = dma_map_sgtable(dev, &b->sgt, b->write ? DMA_BIDIRECTIONAL :
			      DMA_TO_DEVICE, DMA_ATTR_SKIP_CPU_SYNC);
	if (ret) {
		sg_free_table(&b->sgt);
		return ret;
	}
	if (b->sgt.nents > VGPU_SEGMENTS_MAX)
		ret = -E2BIG;
	if (!ret)
		ret = vgpu_list_alloc(dev, b);
	if (!ret)
		ret = vgpu_list_fill(dev, b);
	if (ret)
		vgpu_buffer_unmap(dev, b);
	return ret;
}

static int vgpu_handle_find(struct vgpu_session *s)
{
	u32 i;

	for (i = 0; i < s->nbuffers; i++)
		if (!s->buffers[i])
			return i;
	return -ENOSPC;
}

/* Enters a mapped buffer in the table; generation last, it makes it valid. */
static void vgpu_buffer_publish(struct vgpu_session *s, struct vgpu_buffer *b,
				u32 handle, u32 flags)
{
	struct vgpu_buffer_entry *e = &s->table[handle];

	s->buffers[handle] = b;
	if (++s->generation == 0)
		s->generation = 1;
	WRITE_ONCE(e->flags, cpu_to_le32(flags));
	WRITE_ONCE(e->length, cpu_to_le64(b->length));
	WRITE_ONCE(e->list, cpu_to_le64(b->list[0].dma));
	WRITE_ONCE(e->nsegments, cpu_to_le32(b->sgt.nents));
	/* the host reads generation first; pairs with its acquire */
	virt_store_release(&e->generation, cpu_to_le32(s->generation));
}

/* Called with buffers_lock held. */
static int vgpu_buffer_install(struct vgpu_session *s, struct vgpu_buffer *b,
			       const struct vgpu_stub_buffer *arg)
{
	int ret = vgpu_dev_enter(s->vdev);
	int handle;

	if (ret)
		return ret;
	ret = vgpu_session_error(s);
	if (!ret && !READ_ONCE(s->attached))
		ret = -EIO;
	handle = vgpu_handle_find(s);
	if (!ret && handle < 0)
		ret = handle;
	if (!ret)
		ret = vgpu_buffer_map(&s->vdev->pdev->dev, b,
				      offset_in_page(arg->addr));
	vgpu_dev_leave(s->vdev);
	if (ret)
		return ret;
	b->mapped = true;
	vgpu_buffer_publish(s, b, handle, arg->flags);
	return handle;
}

/* Checks what does not need the pages; the number of pages or an error. */
static long vgpu_buffer_check(const struct vgpu_stub_buffer *arg)
{
	u64 end;

	if (!arg->length || !arg->flags ||
	    arg->flags & ~(VGPU_STUB_BUFFER_READ | VGPU_STUB_BUFFER_WRITE))
		return -EINVAL;
	if (arg->length > VGPU_BUFFER_BYTES_MAX)
		return -E2BIG;
	if (check_add_overflow(arg->addr, arg->length, &end) ||
	    end > ULONG_MAX - PAGE_SIZE)
		return -EFAULT;
	return (PAGE_ALIGN(end) - (arg->addr & PAGE_MASK)) >> PAGE_SHIFT;
}

static int vgpu_reserve(struct vgpu_session *s, u64 bytes)
{
	u64 limit = (u64)vgpu_max_pinned_mib << 20;
	int ret = 0;

	mutex_lock(&s->buffers_lock);
	if (vgpu_handle_find(s) < 0)
		ret = -ENOSPC;
	else if (bytes > limit || s->pinned > limit - bytes)
		ret = -EDQUOT;
	else
		s->pinned += bytes;
	mutex_unlock(&s->buffers_lock);
	return ret;
}

static void vgpu_unreserve(struct vgpu_session *s, u64 bytes)
{
	mutex_lock(&s->buffers_lock);
	s->pinned -= bytes;
	mutex_unlock(&s->buffers_lock);
}

/**
 * vgpu_buffer_add - register memory of the calling process
 * @s: session with a queue
 * @arg: copy of the caller's argument; its handle is set on success
 *
 * Context: Process context; sleeps.
 * Return: 0, -EINVAL, -E2BIG (larger than a buffer may be), -EFAULT, -ENOMEM
 * (also: over RLIMIT_MEMLOCK), -EDQUOT (over the session's limit), -ENOSPC (no
 * free handle), -EINTR, -EOPNOTSUPP, or the session's error.
 */
int vgpu_buffer_add(struct vgpu_session *s, struct vgpu_stub_buffer *arg)
{
	long npages = vgpu_buffer_check(arg);
	struct vgpu_buffer *b;
	int ret;

	if (npages < 0)
		return npages;
	b = kzalloc(sizeof(*b), GFP_KERNEL_ACCOUNT);
	if (!b)
		return -ENOMEM;
	b->npages = npages;
	b->length = arg->length;
	b->write = arg->flags & VGPU_STUB_BUFFER_WRITE;
	ret = vgpu_reserve(s, vgpu_buffer_cost(b));
	if (ret)
		goto out_free;
	ret = vgpu_buffer_pin(b, arg->addr);
	if (ret)
		goto out_unreserve;
	mutex_lock(&s->buffers_lock);
	ret = vgpu_buffer_install(s, b, arg);
	mutex_unlock(&s->buffers_lock);
	if (ret < 0)
		goto out_unpin;
	arg->handle = ret;
	return 0;

out_unpin:
	vgpu_buffer_unpin(b, b->npages);
out_unreserve:
	vgpu_unreserve(s, vgpu_buffer_cost(b));
out_free:
	kfree(b);
	return ret;
}

/*
 * Takes away a buffer that the host does not use.  buffers_lock is held; the
 * caller lets go of its locks and then frees the buffer.
 */
static struct vgpu_buffer *vgpu_buffer_unhook(struct vgpu_session *s,
					      u32 handle)
{
	struct vgpu_buffer *b = s->buffers[handle];

	s->buffers[handle] = NULL;
	vgpu_buffer_unmap(&s->vdev->pdev->dev, b);
	return b;
}

static void vgpu_buffer_free(struct vgpu_buffer *b)
{
	vgpu_buffer_unpin(b, b->npages);
	kfree(b);
}

static bool vgpu_buffer_in_use(struct vgpu_session *s, u32 handle)
{
	/* what the host did to the pages is done; pairs with its release */
	return virt_load_acquire(&s->table[handle].users) != 0;
}

/*
 * Waits until the host has let go.  It sends no interrupt of its own for that,
 * so the wait looks again by itself, ever more seldom.
 */
static int vgpu_buffer_settle(struct vgpu_session *s, u32 handle)
{
	unsigned long end = jiffies + msecs_to_jiffies(vgpu_buffer_timeout_ms);
	long pause = 1;

	while (vgpu_buffer_in_use(s, handle)) {
		long ret;

		if (vgpu_session_error(s))
			return vgpu_session_error(s);
		if (time_after(jiffies, end))
			return -ETIMEDOUT;
		ret = wait_event_killable_timeout(s->wait,
						  !vgpu_buffer_in_use(s, handle) ||
						  vgpu_session_error(s),
						  pause);
		if (ret < 0)
			return -EINTR;
		pause = min(2 * pause, (long)HZ / 10);
	}
	return 0;
}

static int vgpu_buffer_retire(struct vgpu_session *s, u32 handle,
			      struct vgpu_buffer **retired)
{
	struct vgpu_buffer *b;
	int ret;

	if (handle >= s->nbuffers || !s->buffers[handle])
		return -ENOENT;
	b = s->buffers[handle];
	b->dying = true;
	WRITE_ONCE(s->table[handle].generation, 0);
	virt_mb(); /* the host sets users, then looks at generation again */
	ret = vgpu_buffer_settle(s, handle);
	if (ret)
		return ret;
	ret = vgpu_dev_enter(s->vdev);
	if (ret)
		return ret;
	*retired = vgpu_buffer_unhook(s, handle);
	vgpu_dev_leave(s->vdev);
	return 0;
}

/**
 * vgpu_buffer_del - unregister a buffer
 * @s: session with a queue
 * @handle: what vgpu_buffer_add() gave
 *
 * Waits for requests that use the buffer.  If that fails the handle stays taken
 * and invalid for the host; the call may be repeated, and closing the session
 * frees it.
 *
 * Context: Process context; sleeps, killably and for a bounded time, as far as
 * the host is concerned; then as long as giving back the pages takes.
 * Return: 0, -ENOENT, -ETIMEDOUT, -EINTR, or the session's error.
 */
int vgpu_buffer_del(struct vgpu_session *s, u32 handle)
{
	int ret = mutex_lock_killable(&s->buffers_lock);
	struct vgpu_buffer *b;
	u64 cost;

	if (ret)
		return -EINTR;
	ret = vgpu_buffer_retire(s, handle, &b);
	mutex_unlock(&s->buffers_lock);
	if (ret)
		return ret;
	cost = vgpu_buffer_cost(b);
	vgpu_buffer_free(b);
	vgpu_unreserve(s, cost);
	return 0;
}

/**
 * vgpu_buffers_drop - take all buffers away from a session
 * @s: session whose queue the host has given back
 * @dropped: gets them; the caller hands it to vgpu_buffers_release()
 *
 * Context: sessions_lock held.
 */
void vgpu_buffers_drop(struct vgpu_session *s, struct list_head *dropped)
{
	u32 i;

	mutex_lock(&s->buffers_lock);
	for (i = 0; i < s->nbuffers; i++) {
		struct vgpu_buffer *b;

		if (!s->buffers[i])
			continue;
		b = vgpu_buffer_unhook(s, i);
		s->pinned -= vgpu_buffer_cost(b);
		list_add_tail(&b->node, dropped);
	}
	mutex_unlock(&s->buffers_lock);
}

/**
 * vgpu_buffers_release - unpin and free buffers
 * @dropped: what vgpu_buffers_drop() gave; empty afterwards
 *
 * Their sessions may be gone already.
 *
 * Context: Process context, no lock held; may sleep for long.
 */
void vgpu_buffers_release(struct list_head *dropped)
{
	struct vgpu_buffer *b, *next;

	list_for_each_entry_safe(b, next, dropped, node) {
		list_del(&b->node);
		vgpu_buffer_free(b);
		cond_resched();
	}
}
