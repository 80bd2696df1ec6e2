// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The registers of BAR 0: identity, reset, features, and commands that travel
 * inside the BAR (the way that needs no memory of ours to be shared).
 */
#include <linux/ctype.h>
#include <linux/delay.h>
#include <linux/jiffies.h>

#include "vgpu_drv.h"

/**
 * vgpu_dev_enter - allow the caller to touch registers
 * @vdev: device
 *
 * Context: Process context; may sleep for a moment.  Touch no user memory
 * before vgpu_dev_leave().
 * Return: 0, -ENODEV (removed) or -EIO (being reset).
 */
int vgpu_dev_enter(struct vgpu_dev *vdev)
{
	down_read(&vdev->gate);
	if (likely(vdev->alive))
		return 0;
	up_read(&vdev->gate);
	return READ_ONCE(vdev->gone) ? -ENODEV : -EIO;
}

/**
 * vgpu_dev_leave - end what vgpu_dev_enter() began
 * @vdev: device
 */
void vgpu_dev_leave(struct vgpu_dev *vdev)
{
	up_read(&vdev->gate);
}

/**
 * vgpu_errno - the error to give a process for a status of the host
 * @status: 0 or a negative errno
 *
 * Return: @status if it is one that a process may see, else -EIO.
 */
int vgpu_errno(s32 status)
{
	if (status == 0)
		return 0;
	return status < 0 && status >= -EHWPOISON ? status : -EIO;
}

/**
 * vgpu_regs_reason_locked - why the host refuses the device or the selected queue
 * @vdev: device; the caller holds the gate and select_lock
 * @text: room for VGPU_REASON_TEXT_MAX bytes
 *
 * Empty if it does not, or if the device is too old to say.  Bytes that a
 * terminal might take for more than text are replaced.
 */
void vgpu_regs_reason_locked(struct vgpu_dev *vdev, char *text)
{
	unsigned int i;

	for (i = 0; i < VGPU_REASON_TEXT_MAX; i += 4) {
		__le32 word;

		vgpu_write(vdev, VGPU_REG_REASON_SELECT, i / 4);
		word = cpu_to_le32(vgpu_read(vdev, VGPU_REG_REASON));
		if (!word)
			break;
		memcpy(text + i, &word, sizeof(word));
	}
	text[min(i, VGPU_REASON_TEXT_MAX - 1)] = '\0';
	for (; *text; text++) {
		if (!isascii(*text) || !isprint(*text))
			*text = '?';
	}
}

/**
 * vgpu_regs_reason - why the host refuses the device, or refused a session
 * @vdev: device; the caller holds the gate, or nobody else has the device yet
 * @text: room for VGPU_REASON_TEXT_MAX bytes
 *
 * The session is the last one that wanted to begin.
 */
void vgpu_regs_reason(struct vgpu_dev *vdev, char *text)
{
	spin_lock(&vdev->select_lock);
	if (vgpu_read(vdev, VGPU_REG_STATUS) & VGPU_STATUS_REFUSED)
		vgpu_regs_reason_locked(vdev, text);
	else
		strscpy(text, vdev->refusal, VGPU_REASON_TEXT_MAX);
	spin_unlock(&vdev->select_lock);
}

/**
 * vgpu_regs_identify - check what device this is and read its limits
 * @vdev: device with its BARs mapped
 *
 * Return: 0 or -ENODEV.
 */
int vgpu_regs_identify(struct vgpu_dev *vdev)
{
	struct device *dev = &vdev->pdev->dev;
	u32 magic = vgpu_read(vdev, VGPU_REG_MAGIC);
	u32 version = vgpu_read(vdev, VGPU_REG_ABI_VERSION);
	u64 pages = pci_resource_len(vdev->pdev, VGPU_BAR_DOORBELLS) /
		    VGPU_DOORBELL_STRIDE;

	if (magic != VGPU_MAGIC) {
		dev_err(dev, "magic is 0x%08x, want 0x%08x: not a vgpu-stub\n",
			magic, VGPU_MAGIC);
		return -ENODEV;
	}
	if (version >> 16 != VGPU_ABI_MAJOR) {
		dev_err(dev, "device has ABI %u.%u, this driver speaks %u.x: install a matching driver\n",
			version >> 16, version & 0xffff, VGPU_ABI_MAJOR);
		return -ENODEV;
	}
	vdev->abi_version = version;
	vdev->max_queues = min_t(u64, pages, VGPU_QUEUES_MAX);
	vdev->max_slots = min(vgpu_read(vdev, VGPU_REG_MAX_SLOTS),
			      VGPU_SLOTS_MAX);
	vdev->max_buffers = min(vgpu_read(vdev, VGPU_REG_MAX_BUFFERS),
				VGPU_BUFFERS_MAX);
	return 0;
}

/**
 * vgpu_regs_reset - reset the device and wait until it has let go of memory
 * @vdev: device; nobody else touches its registers
 *
 * Return: 0, or -ETIMEDOUT if the device did not confirm.
 */
int vgpu_regs_reset(struct vgpu_dev *vdev)
{
	unsigned long end = jiffies + msecs_to_jiffies(VGPU_RESET_TIMEOUT_MS);
	unsigned int pause_us = 50;

	vgpu_write(vdev, VGPU_REG_CONTROL, VGPU_CONTROL_RESET);
	for (;;) {
		bool last = time_after(jiffies, end);
		u32 control = vgpu_read(vdev, VGPU_REG_CONTROL);

		/* all ones is what a device that was pulled out reads */
		if (control != U32_MAX && !(control & VGPU_CONTROL_RESET))
			return 0;
		if (last || control == U32_MAX)
			break;
		usleep_range(pause_us, 2 * pause_us);
		pause_us = min(2 * pause_us, 10000u);
	}
	dev_err(&vdev->pdev->dev, "the device did not confirm its reset\n");
	return -ETIMEDOUT;
}

/* Queues need all of this, since a queue without buffers carries no data. */
static bool vgpu_has_queues(u64 features)
{
	u64 need = VGPU_F_QUEUES | VGPU_F_BUFFERS;

	return (features & need) == need;
}

/**
 * vgpu_regs_negotiate - agree on features
 * @vdev: device after a reset
 *
 * Return: 0 or -EPROTO.
 */
int vgpu_regs_negotiate(struct vgpu_dev *vdev)
{
	u64 features = vgpu_read(vdev, VGPU_REG_FEATURES_LO) |
		       (u64)vgpu_read(vdev, VGPU_REG_FEATURES_HI) << 32;

	features &= VGPU_F_ALL;
	if (!vgpu_has_queues(features) || vdev->nvectors < 2 ||
	    vdev->max_queues == 0 || vdev->max_buffers == 0 || vdev->max_slots < VGPU_SLOTS_MIN)
		features = 0;
	vgpu_write(vdev, VGPU_REG_DRIVER_FEATURES_LO, lower_32_bits(features));
	vgpu_write(vdev, VGPU_REG_DRIVER_FEATURES_HI, upper_32_bits(features));
	vgpu_write(vdev, VGPU_REG_CONTROL, VGPU_CONTROL_FEATURES_OK);
	if (!(vgpu_read(vdev, VGPU_REG_CONTROL) & VGPU_CONTROL_FEATURES_OK)) {
		dev_err(&vdev->pdev->dev, "the device refused features 0x%llx\n",
			features);
		return -EPROTO;
	}
	vdev->features = features;
	return 0;
}

/**
 * vgpu_regs_listen - allow interrupts
 * @vdev: device that is alive, so that no event is taken and dropped
 */
void vgpu_regs_listen(struct vgpu_dev *vdev)
{
	vgpu_write(vdev, VGPU_REG_INT_STATUS, VGPU_INT_ALL);
	vgpu_write(vdev, VGPU_REG_INT_MASK, VGPU_INT_ALL);
}

static void vgpu_data_write(struct vgpu_dev *vdev, const void *body, u32 length)
{
	u32 at;

	for (at = 0; at < length; at += 4) {
		__le32 word = 0;

		memcpy(&word, body + at, min(length - at, 4u));
		vgpu_write(vdev, VGPU_REG_DATA + at, le32_to_cpu(word));
	}
}

static void vgpu_data_read(struct vgpu_dev *vdev, void *body, u32 length)
{
	u32 at;

	for (at = 0; at < length; at += 4) {
		__le32 word = cpu_to_le32(vgpu_read(vdev, VGPU_REG_DATA + at));

		memcpy(body + at, &word, min(length - at, 4u));
	}
}

static bool vgpu_command_idle(struct vgpu_dev *vdev)
{
	bool idle;

	if (vgpu_dev_enter(vdev))
		return true;
	idle = !(vgpu_read(vdev, VGPU_REG_STATUS) & VGPU_STATUS_BUSY);
	vgpu_dev_leave(vdev);
	return idle;
}

/* Waits in short steps, so that a lost interrupt costs little. */
static int vgpu_command_wait(struct vgpu_dev *vdev)
{
	unsigned long end = jiffies + msecs_to_jiffies(vgpu_text_timeout_ms);
	DEFINE_WAIT_FUNC(entry, woken_wake_function);
	int ret = 0;

	add_wait_queue(&vdev->wait, &entry);
	while (!vgpu_command_idle(vdev)) {
		if (signal_pending(current))
			ret = -EINTR;
		else if (time_after(jiffies, end))
			ret = -ETIMEDOUT;
		if (ret)
			break;
		wait_woken(&entry, TASK_INTERRUPTIBLE, HZ / 10);
	}
	remove_wait_queue(&vdev->wait, &entry);
	return ret;
}

static int vgpu_command_start(struct vgpu_dev *vdev, u16 command,
			      const void *body, u32 length)
{
	int ret = vgpu_dev_enter(vdev);

	if (ret)
		return ret;
	vgpu_write(vdev, VGPU_REG_DATA_OFFSET, VGPU_REG_DATA);
	vgpu_write(vdev, VGPU_REG_DATA_LENGTH, length);
	vgpu_data_write(vdev, body, length);
	vgpu_write(vdev, VGPU_REG_COMMAND, command);
	vgpu_dev_leave(vdev);
	return 0;
}

static int vgpu_command_result(struct vgpu_dev *vdev,
			       struct vgpu_response *rsp)
{
	int ret = vgpu_dev_enter(vdev);
	u32 length;

	if (ret)
		return ret;
	/* a reset since then took the answer away; RESULT would read as success */
	if (!(vgpu_read(vdev, VGPU_REG_STATUS) & VGPU_STATUS_DONE)) {
		vgpu_dev_leave(vdev);
		return -EIO;
	}
	rsp->status = cpu_to_le32(vgpu_read(vdev, VGPU_REG_RESULT));
	length = min_t(u32, vgpu_read(vdev, VGPU_REG_RESULT_LENGTH),
		       VGPU_DATA_SIZE);
	vgpu_data_read(vdev, rsp + 1, length);
	vgpu_dev_leave(vdev);
	rsp->length = cpu_to_le32(sizeof(*rsp) + length);
	return 0;
}

/**
 * vgpu_regs_command - run a request through the registers
 * @s: session
 * @req: request record
 * @length: its bytes, at least the header's
 * @rsp: gets the response record, VGPU_RECORD_MAX bytes
 *
 * Context: Process context, @s->lock held; sleeps until the host has answered.
 * Return: 0 (look at the response's status), -EOPNOTSUPP (it has descriptors),
 * -EMSGSIZE, -ETIMEDOUT, -ERESTARTSYS, -EINTR, -EIO or -ENODEV.
 */
int vgpu_regs_command(struct vgpu_session *s, const struct vgpu_request *req,
		      u32 length, struct vgpu_response *rsp)
{
	struct vgpu_dev *vdev = s->vdev;
	u32 body = length - sizeof(*req);
	int ret;

	if (req->ndesc)
		return -EOPNOTSUPP;
	if (body > VGPU_DATA_SIZE)
		return -EMSGSIZE;
	memset(rsp, 0, sizeof(*rsp));
	rsp->id = req->id;
	rsp->command = req->command;
	ret = mutex_lock_interruptible(&vdev->command_lock);
	if (ret)
		return -ERESTARTSYS; /* nothing has been done yet */
	ret = vgpu_command_wait(vdev); /* one that was given up may still run */
	if (!ret)
		ret = vgpu_command_start(vdev, le16_to_cpu(req->command),
					 req + 1, body);
	if (!ret)
		ret = vgpu_command_wait(vdev);
	if (!ret)
		ret = vgpu_command_result(vdev, rsp);
	mutex_unlock(&vdev->command_lock);
	return ret;
}
