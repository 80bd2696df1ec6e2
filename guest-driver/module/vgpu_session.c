// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Sessions: from open to close, and what becomes of them when the device goes.
 */
#include <linux/jiffies.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "vgpu_drv.h"

/**
 * vgpu_session_error - why nothing more can come of a session
 * @s: session
 *
 * Return: 0, -ENODEV (device gone) or the error it was lost with.
 */
int vgpu_session_error(struct vgpu_session *s)
{
	return READ_ONCE(s->vdev->gone) ? -ENODEV : READ_ONCE(s->lost);
}

static struct vgpu_session *vgpu_session_alloc(struct vgpu_dev *vdev,
					       struct address_space *mapping)
{
	struct vgpu_session *s = kzalloc(sizeof(*s), GFP_KERNEL_ACCOUNT);

	if (!s)
		return NULL;
	s->record = kzalloc(VGPU_RECORD_MAX, GFP_KERNEL_ACCOUNT);
	s->answer = kzalloc(VGPU_RECORD_MAX, GFP_KERNEL_ACCOUNT);
	if (!s->record || !s->answer) {
		kfree(s->record);
		kfree(s->answer);
		kfree(s);
		return NULL;
	}
	get_device(&vdev->dev);
	s->vdev = vdev;
	s->mapping = mapping;
	s->queue = VGPU_NO_QUEUE;
	INIT_LIST_HEAD(&s->node);
	init_waitqueue_head(&s->wait);
	mutex_init(&s->lock);
	mutex_init(&s->buffers_lock);
	return s;
}

/* Frees a closed session that is neither attached nor on the list. */
static void vgpu_session_free(struct vgpu_session *s)
{
	atomic_dec(&s->vdev->closing);
	vgpu_queue_free(s);
	mutex_destroy(&s->buffers_lock);
	mutex_destroy(&s->lock);
	kfree(s->answer);
	kfree(s->record);
	put_device(&s->vdev->dev);
	kfree(s);
}

/* How many queues there are now: the daemon may grant fewer than doorbells. */
static int vgpu_queue_limit(struct vgpu_dev *vdev)
{
	int ret = vgpu_dev_enter(vdev);

	if (ret)
		return ret;
	ret = min(vgpu_read(vdev, VGPU_REG_MAX_QUEUES), vdev->max_queues);
	vgpu_dev_leave(vdev);
	return ret ?: -EBUSY;
}

/* A queue number, waiting a moment for a session that is just being closed. */
static int vgpu_queue_number(struct vgpu_dev *vdev)
{
	unsigned long end = jiffies + msecs_to_jiffies(vgpu_stop_timeout_ms);
	DEFINE_WAIT_FUNC(entry, woken_wake_function);
	int limit = vgpu_queue_limit(vdev);
	int number;

	if (limit < 0)
		return limit;

	add_wait_queue(&vdev->wait, &entry);
	for (;;) {
		number = ida_alloc_max(&vdev->queues, limit - 1, GFP_KERNEL);
		if (number != -ENOSPC)
			break;
		if (READ_ONCE(vdev->gone))
			number = -ENODEV;
		else if (!atomic_read(&vdev->closing) || time_after(jiffies, end))
			number = -EBUSY;
		else if (signal_pending(current))
			number = -ERESTARTSYS;
		if (number != -ENOSPC)
			break;
		wait_woken(&entry, TASK_INTERRUPTIBLE, HZ / 10);
	}
	remove_wait_queue(&vdev->wait, &entry);
	return number;
}

/* Makes the queue the host's; mirrored by vgpu_session_detach(). */
static int vgpu_session_attach(struct vgpu_session *s)
{
	struct vgpu_dev *vdev = s->vdev;
	int ret;

	mutex_lock(&vdev->sessions_lock);
	ret = vgpu_dev_enter(vdev);
	if (ret)
		goto out_unlock;
	ret = vgpu_queue_map(s);
	if (ret)
		goto out_leave;
	ret = vgpu_irq_attach(s);
	if (ret)
		goto out_unmap;
	WRITE_ONCE(s->attached, true);
	list_add_tail(&s->node, &vdev->sessions);
	vgpu_queue_start(s);
	vgpu_dev_leave(vdev);
	mutex_unlock(&vdev->sessions_lock);
	return 0;

out_unmap:
	vgpu_queue_unmap(s);
out_leave:
	vgpu_dev_leave(vdev);
out_unlock:
	mutex_unlock(&vdev->sessions_lock);
	return ret;
}

/*
 * Takes back what the host had.  @confirmed: the host is known to have let go.
 * Called with sessions_lock held; without it, the caller then releases what
 * @dropped got.
 */
static void vgpu_session_detach(struct vgpu_session *s, bool confirmed,
				struct list_head *dropped)
{
	struct vgpu_dev *vdev = s->vdev;

	if (!s->attached)
		return;
	WRITE_ONCE(s->attached, false);
	vgpu_irq_detach(s);
	if (s->mapping)
		vgpu_mmap_zap(s);
	if (confirmed) {
		vgpu_buffers_drop(s, dropped);
		vgpu_queue_unmap(s);
		ida_free(&vdev->queues, s->queue);
	} else {
		dev_warn(&vdev->dev, "queue %u was not given back: its memory is lost\n",
			 s->queue);
		s->leak = true;
	}
	wake_up_all(&vdev->wait);
	wake_up_all(&s->wait);
}

static int vgpu_session_start(struct vgpu_session *s)
{
	struct vgpu_dev *vdev = s->vdev;
	int number = vgpu_queue_number(vdev);
	int ret;

	if (number < 0)
		return number;
	s->queue = number;
	ret = vgpu_queue_alloc(s);
	if (!ret)
		ret = vgpu_session_attach(s);
	if (ret) {
		ida_free(&vdev->queues, number);
		return ret;
	}
	return vgpu_queue_wait_started(s);
}

/*
 * A host that came after the driver may turn out not to see this VM's memory, and
 * the next one may see it again; features are agreed on only once.
 */
static bool vgpu_has_memory(struct vgpu_dev *vdev)
{
	u32 status;

	if (!(vdev->features & VGPU_F_QUEUES))
		return false;
	if (vgpu_dev_enter(vdev))
		return true; /* the start of the session says why not */
	status = vgpu_read(vdev, VGPU_REG_STATUS);
	vgpu_dev_leave(vdev);
	return !(status & VGPU_STATUS_UNSHARED);
}

/* Without queues there are still text commands and small binary ones. */
static int vgpu_session_start_registers(struct vgpu_session *s)
{
	struct vgpu_dev *vdev = s->vdev;
	int ret = vgpu_dev_enter(vdev);
	u32 status;

	if (ret)
		return ret;
	status = vgpu_read(vdev, VGPU_REG_STATUS);
	vgpu_dev_leave(vdev);
	if (!(status & VGPU_STATUS_LINK))
		return status & VGPU_STATUS_REFUSED ? -ECONNREFUSED : -ENOTCONN;
	atomic_set(&s->mode, VGPU_MODE_REGISTERS);
	mutex_lock(&vdev->sessions_lock);
	list_add_tail(&s->node, &vdev->sessions);
	mutex_unlock(&vdev->sessions_lock);
	return 0;
}

/**
 * vgpu_session_open - start a session
 * @vdev: device
 * @mapping: of the file that is being opened
 *
 * Context: Process context; waits for the host's answer, interruptibly.
 * Return: The session or an ERR_PTR: -EBUSY (no free queue), -ENOTCONN (no
 * daemon), -ECONNREFUSED (it refuses this device), -ENODEV, -ERESTARTSYS,
 * -ETIMEDOUT, -ENOMEM or what the host said.
 */
struct vgpu_session *vgpu_session_open(struct vgpu_dev *vdev,
				       struct address_space *mapping)
{
	struct vgpu_session *s = vgpu_session_alloc(vdev, mapping);
	int ret;

	if (!s)
		return ERR_PTR(-ENOMEM);
	if (vgpu_has_memory(vdev))
		ret = vgpu_session_start(s);
	else
		ret = vgpu_session_start_registers(s);
	if (ret) {
		vgpu_session_close(s);
		return ERR_PTR(ret);
	}
	return s;
}

/**
 * vgpu_session_close - end a session
 * @s: session; the caller forgets it
 *
 * Waits a little for the host to give the queue back, else leaves that to the
 * reaper.
 */
void vgpu_session_close(struct vgpu_session *s)
{
	struct vgpu_dev *vdev = s->vdev;
	LIST_HEAD(dropped);
	bool done;

	atomic_inc(&vdev->closing);
	mutex_lock(&vdev->sessions_lock);
	done = !s->attached;
	if (!done)
		vgpu_queue_stop(s);
	mutex_unlock(&vdev->sessions_lock);
	if (!done)
		vgpu_queue_wait_stopped(s);

	mutex_lock(&vdev->sessions_lock);
	s->closed = true;
	s->mapping = NULL;
	if (READ_ONCE(vdev->alive) && s->state == VGPU_QUEUE_STATE_STOPPED)
		vgpu_session_detach(s, true, &dropped);
	done = !s->attached;
	if (done)
		list_del_init(&s->node);
	else if (READ_ONCE(vdev->alive))
		schedule_delayed_work(&vdev->reap, HZ / 10);
	mutex_unlock(&vdev->sessions_lock);
	if (done)
		vgpu_session_free(s);
	vgpu_buffers_release(&dropped);
}

/**
 * vgpu_sessions_refresh - read the state of every queue in use
 * @vdev: device
 */
void vgpu_sessions_refresh(struct vgpu_dev *vdev)
{
	struct vgpu_session *s;
	bool reap = false;

	mutex_lock(&vdev->sessions_lock);
	list_for_each_entry(s, &vdev->sessions, node) {
		if (!s->attached)
			continue;
		vgpu_queue_refresh(s);
		reap |= s->closed && s->state == VGPU_QUEUE_STATE_STOPPED;
	}
	if (reap && READ_ONCE(vdev->alive))
		mod_delayed_work(system_wq, &vdev->reap, 0);
	mutex_unlock(&vdev->sessions_lock);
}

/**
 * vgpu_sessions_reap - free closed sessions whose queue came back
 * @work: &vgpu_dev.reap
 *
 * Tries again while some are left and the device is there.
 */
void vgpu_sessions_reap(struct work_struct *work)
{
	struct vgpu_dev *vdev = container_of(to_delayed_work(work),
					     struct vgpu_dev, reap);
	struct vgpu_session *s, *next;
	LIST_HEAD(dropped);
	bool left = false;

	mutex_lock(&vdev->sessions_lock);
	list_for_each_entry_safe(s, next, &vdev->sessions, node) {
		if (!s->closed || !READ_ONCE(vdev->alive))
			continue;
		vgpu_queue_refresh(s);
		if (s->state != VGPU_QUEUE_STATE_STOPPED) {
			dev_warn_ratelimited(&vdev->dev, "queue %u is still in the host's hands\n",
					     s->queue);
			vgpu_queue_stop(s);
			left = true;
			continue;
		}
		vgpu_session_detach(s, true, &dropped);
		list_del_init(&s->node);
		vgpu_session_free(s);
	}
	if (left && READ_ONCE(vdev->alive))
		schedule_delayed_work(&vdev->reap, HZ);
	mutex_unlock(&vdev->sessions_lock);
	vgpu_buffers_release(&dropped);
}

static void vgpu_sessions_wake(struct vgpu_dev *vdev)
{
	struct vgpu_session *s;

	wake_up_all(&vdev->wait);
	list_for_each_entry(s, &vdev->sessions, node) {
		if (!READ_ONCE(s->lost))
			WRITE_ONCE(s->lost, -EIO);
		wake_up_all(&s->wait);
	}
}

/**
 * vgpu_quiesce - shut the gate, reset the device, detach all sessions
 * @vdev: device
 * @gone: it does not come back
 *
 * Afterwards the device touches no memory of ours and nobody its registers.
 * Open files stay; what they are asked fails with -ENODEV or -EIO.
 *
 * Context: Process context.
 */
void vgpu_quiesce(struct vgpu_dev *vdev, bool gone)
{
	struct vgpu_session *s, *next;
	LIST_HEAD(dropped);
	bool confirmed;

	down_write(&vdev->gate);
	vdev->alive = false;
	if (gone)
		WRITE_ONCE(vdev->gone, true);
	up_write(&vdev->gate);

	mutex_lock(&vdev->sessions_lock);
	vgpu_sessions_wake(vdev);
	confirmed = vgpu_regs_reset(vdev) == 0;
	list_for_each_entry_safe(s, next, &vdev->sessions, node) {
		vgpu_session_detach(s, confirmed, &dropped);
		if (s->closed) {
			list_del_init(&s->node);
			vgpu_session_free(s);
		}
	}
	mutex_unlock(&vdev->sessions_lock);
	cancel_delayed_work_sync(&vdev->reap);
	vgpu_buffers_release(&dropped);
}
