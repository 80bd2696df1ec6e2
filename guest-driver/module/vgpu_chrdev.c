// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * /dev/vgpu_stub: the file operations.
 *
 * An own character device and not a misc device, since an open waits for the
 * host and must not hold up every other misc device meanwhile.
 */
#include <linux/fs.h>
#include <linux/jiffies.h>
#include <linux/poll.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "vgpu_drv.h"

#define VGPU_MINORS 64

static struct class *vgpu_class;
static dev_t vgpu_devt;
static DEFINE_IDA(vgpu_minors);

static int vgpu_open(struct inode *inode, struct file *file)
{
	struct vgpu_dev *vdev = container_of(inode->i_cdev, struct vgpu_dev,
					     cdev);
	struct vgpu_session *s = vgpu_session_open(vdev, file->f_mapping);

	if (IS_ERR(s))
		return PTR_ERR(s);
	file->private_data = s;
	return stream_open(inode, file);
}

static int vgpu_release(struct inode *inode, struct file *file)
{
	vgpu_session_close(file->private_data);
	return 0;
}

/* read() and write() claim the rings, unless they are mapped. */
static int vgpu_claim(struct vgpu_session *s)
{
	int mode = atomic_cmpxchg(&s->mode, VGPU_MODE_IDLE, VGPU_MODE_KERNEL);

	return mode == VGPU_MODE_MAPPED ? -EBUSY : 0;
}

static bool vgpu_by_registers(struct vgpu_session *s)
{
	return atomic_read(&s->mode) == VGPU_MODE_REGISTERS;
}

static int vgpu_lock(struct vgpu_session *s, struct file *file)
{
	if (file->f_flags & O_NONBLOCK)
		return mutex_trylock(&s->lock) ? 0 : -EAGAIN;
	return mutex_lock_interruptible(&s->lock) ? -ERESTARTSYS : 0;
}

/* What is left of an answer; only a line of text may be read in parts. */
static ssize_t vgpu_read_answer(struct vgpu_session *s, char __user *buf,
				size_t count)
{
	size_t left = s->answer_len - s->answer_done;

	if (count < left && !s->text)
		return -EMSGSIZE;
	count = min(count, left);
	if (copy_to_user(buf, s->answer + s->answer_done, count))
		return -EFAULT;
	s->answer_done += count;
	if (s->answer_done == s->answer_len)
		s->answer_len = 0;
	return count;
}

/* The next response of the ring, or -EAGAIN. */
static ssize_t vgpu_read_response(struct vgpu_session *s, char __user *buf,
				  size_t count)
{
	int length;

	for (;;) {
		length = vgpu_ring_peek(s, s->record);
		if (length < 0)
			return length;
		if (!s->stale)
			break;
		vgpu_ring_advance(s, length);
		s->stale--;
	}
	if (count < length)
		return -EMSGSIZE;
	if (copy_to_user(buf, s->record, length))
		return -EFAULT;
	vgpu_ring_advance(s, length);
	return length;
}

static ssize_t vgpu_read_once(struct vgpu_session *s, char __user *buf,
			      size_t count)
{
	ssize_t ret;

	if (s->answer_len)
		return vgpu_read_answer(s, buf, count);
	if (s->text || vgpu_by_registers(s))
		return vgpu_session_error(s); /* or 0: the end of the text */
	ret = vgpu_read_response(s, buf, count);
	if (ret == -EAGAIN && vgpu_session_error(s))
		ret = vgpu_session_error(s);
	return ret;
}

static ssize_t vgpu_read_file(struct file *file, char __user *buf, size_t count,
			      loff_t *pos)
{
	struct vgpu_session *s = file->private_data;
	ssize_t ret = vgpu_claim(s);

	while (!ret) {
		u32 seen;

		ret = vgpu_lock(s, file);
		if (ret)
			break;
		ret = vgpu_read_once(s, buf, count);
		seen = s->rsp_cons;
		mutex_unlock(&s->lock);
		if (ret != -EAGAIN || file->f_flags & O_NONBLOCK)
			break;
		ret = wait_event_interruptible(s->wait,
					       vgpu_ring_moved(s, seen) ||
					       vgpu_session_error(s));
	}
	return ret;
}

static ssize_t vgpu_write_text(struct file *file, const char __user *buf,
			       size_t count)
{
	struct vgpu_session *s = file->private_data;
	char *text = memdup_user(buf, min_t(size_t, count, VGPU_TEXT_MAX + 1));
	ssize_t ret;

	if (IS_ERR(text))
		return PTR_ERR(text);
	ret = vgpu_lock(s, file);
	if (!ret) {
		ret = vgpu_text_run(s, text,
				    min_t(size_t, count, VGPU_TEXT_MAX + 1));
		mutex_unlock(&s->lock);
	}
	kfree(text);
	return ret;
}

/* One try to hand a binary record to the host. */
static int vgpu_submit(struct vgpu_session *s, const struct vgpu_request *req,
		       u32 length)
{
	int ret;

	if (!vgpu_by_registers(s)) {
		s->text = false;
		s->answer_len = 0; /* nobody read it */
		return vgpu_ring_push(s, req, length);
	}
	if (s->answer_len)
		return -EBUSY; /* there is room for one answer */
	ret = vgpu_regs_command(s, req, length, (void *)s->answer);
	if (ret)
		return ret;
	s->text = false;
	s->answer_len = le32_to_cpu(((struct vgpu_response *)s->answer)->length);
	s->answer_done = 0;
	return 0;
}

static int vgpu_submit_wait(struct file *file, const struct vgpu_request *req,
			    u32 length)
{
	struct vgpu_session *s = file->private_data;
	int ret;

	for (;;) {
		ret = vgpu_lock(s, file);
		if (ret)
			return ret;
		ret = vgpu_submit(s, req, length);
		mutex_unlock(&s->lock);
		if (ret != -EAGAIN || file->f_flags & O_NONBLOCK)
			return ret;
		ret = wait_event_interruptible(s->wait, vgpu_ring_writable(s) ||
					       vgpu_session_error(s));
		if (ret)
			return ret;
	}
}

static ssize_t vgpu_write_binary(struct file *file, const char __user *buf,
				 size_t count)
{
	size_t length = count - sizeof(u32);
	struct vgpu_request *req;
	ssize_t ret;

	if (length < sizeof(*req))
		return -EINVAL;
	if (length > VGPU_RECORD_MAX)
		return -EMSGSIZE;
	req = memdup_user(buf + sizeof(u32), length);
	if (IS_ERR(req))
		return PTR_ERR(req);
	ret = -EINVAL;
	if (req->command == cpu_to_le16(VGPU_CMD_CUDA))
		ret = -EOPNOTSUPP; /* its answers are not one for each request */
	else if (le32_to_cpu(req->length) == length)
		ret = vgpu_submit_wait(file, req, length);
	kfree(req);
	return ret ?: count;
}

static ssize_t vgpu_write_file(struct file *file, const char __user *buf,
			       size_t count, loff_t *pos)
{
	struct vgpu_session *s = file->private_data;
	__le32 magic;
	int ret = vgpu_claim(s);

	if (ret)
		return ret;
	if (vgpu_session_error(s))
		return vgpu_session_error(s);
	if (count < sizeof(magic))
		return count ? vgpu_write_text(file, buf, count) : 0;
	if (copy_from_user(&magic, buf, sizeof(magic)))
		return -EFAULT;
	if (magic == cpu_to_le32(VGPU_STUB_BINARY))
		return vgpu_write_binary(file, buf, count);
	return vgpu_write_text(file, buf, count);
}

static __poll_t vgpu_poll(struct file *file, poll_table *table)
{
	struct vgpu_session *s = file->private_data;
	__poll_t mask = 0;

	poll_wait(file, &s->wait, table);
	if (READ_ONCE(s->vdev->gone))
		mask |= EPOLLHUP | EPOLLERR;
	else if (READ_ONCE(s->lost))
		mask |= EPOLLERR;
	if (READ_ONCE(s->answer_len))
		mask |= EPOLLIN | EPOLLRDNORM;
	if (vgpu_by_registers(s))
		return mask | EPOLLOUT | EPOLLWRNORM;
	if (vgpu_ring_readable(s))
		mask |= EPOLLIN | EPOLLRDNORM;
	if (vgpu_ring_writable(s))
		mask |= EPOLLOUT | EPOLLWRNORM;
	return mask;
}

static long vgpu_ioctl_info(struct vgpu_session *s, void __user *arg)
{
	struct vgpu_stub_info info = {
		.abi_version = s->vdev->abi_version,
		.queue = s->queue,
		.features = vgpu_by_registers(s) ? 0 : s->vdev->features,
		.req_slots = s->req_slots,
		.rsp_slots = s->rsp_slots,
		.queue_bytes = s->ring_bytes,
		.max_buffers = s->nbuffers,
		.max_buffer_bytes = VGPU_BUFFER_BYTES_MAX,
		.pinned_limit = (u64)vgpu_max_pinned_mib << 20,
		.pinned = READ_ONCE(s->pinned),
	};

	return copy_to_user(arg, &info, sizeof(info)) ? -EFAULT : 0;
}

static long vgpu_ioctl_buffer_add(struct vgpu_session *s,
				  struct vgpu_stub_buffer __user *arg)
{
	struct vgpu_stub_buffer buffer;
	int ret;

	if (copy_from_user(&buffer, arg, sizeof(buffer)))
		return -EFAULT;
	ret = vgpu_buffer_add(s, &buffer);
	if (ret)
		return ret;
	if (!put_user(buffer.handle, &arg->handle))
		return 0;
	vgpu_buffer_del(s, buffer.handle);
	return -EFAULT;
}

static long vgpu_ioctl_wait(struct vgpu_session *s, void __user *arg)
{
	struct vgpu_stub_wait wait;
	long ret;

	if (copy_from_user(&wait, arg, sizeof(wait)))
		return -EFAULT;
	if (wait.timeout_ms < -1)
		return -EINVAL;
	ret = wait_event_interruptible_timeout(s->wait,
					       vgpu_ring_moved(s, wait.rsp_cons) ||
					       vgpu_session_error(s),
					       wait.timeout_ms < 0 ? MAX_SCHEDULE_TIMEOUT :
					       msecs_to_jiffies(wait.timeout_ms));
	if (ret < 0)
		return -ERESTARTNOHAND; /* also for who was only frozen */
	if (vgpu_ring_moved(s, wait.rsp_cons))
		return 0;
	return vgpu_session_error(s) ?: -ETIMEDOUT;
}

static long vgpu_ioctl(struct file *file, unsigned int command,
		       unsigned long arg)
{
	struct vgpu_session *s = file->private_data;
	void __user *user = (void __user *)arg;
	u32 handle;

	if (command == VGPU_STUB_IOC_INFO)
		return vgpu_ioctl_info(s, user);
	if (_IOC_TYPE(command) != VGPU_STUB_IOC_MAGIC)
		return -ENOTTY;
	if (vgpu_by_registers(s))
		return -EOPNOTSUPP;
	switch (command) {
	case VGPU_STUB_IOC_BUFFER_ADD:
		return vgpu_ioctl_buffer_add(s, user);
	case VGPU_STUB_IOC_BUFFER_DEL:
		if (get_user(handle, (u32 __user *)user))
			return -EFAULT;
		return vgpu_buffer_del(s, handle);
	case VGPU_STUB_IOC_KICK:
		return vgpu_ring_kick(s);
	case VGPU_STUB_IOC_WAIT:
		return vgpu_ioctl_wait(s, user);
	default:
		return -ENOTTY;
	}
}

static const struct file_operations vgpu_fops = {
	.owner = THIS_MODULE,
	.open = vgpu_open,
	.release = vgpu_release,
	.read = vgpu_read_file,
	.write = vgpu_write_file,
	.poll = vgpu_poll,
	.unlocked_ioctl = vgpu_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.mmap = vgpu_mmap,
};

/* Why the host refuses the device, for whoever cannot read the kernel's log. */
static ssize_t refusal_show(struct device *dev, struct device_attribute *attr,
			    char *buf)
{
	struct vgpu_dev *vdev = container_of(dev, struct vgpu_dev, dev);
	char reason[VGPU_REASON_TEXT_MAX];
	int ret = vgpu_dev_enter(vdev);

	if (ret)
		return ret;
	vgpu_regs_reason(vdev, reason);
	vgpu_dev_leave(vdev);
	return sysfs_emit(buf, "%s\n", reason);
}
static DEVICE_ATTR_RO(refusal);

static struct attribute *vgpu_attrs[] = {
	&dev_attr_refusal.attr,
	NULL,
};
ATTRIBUTE_GROUPS(vgpu);

static void vgpu_dev_release(struct device *dev)
{
	struct vgpu_dev *vdev = container_of(dev, struct vgpu_dev, dev);

	if (vdev->minor >= 0)
		ida_free(&vgpu_minors, vdev->minor);
	ida_destroy(&vdev->queues);
	kfree(vdev);
}

/**
 * vgpu_chrdev_prepare - make the character device, not yet visible
 * @vdev: zeroed device; on success put_device(&vdev->dev) frees it, else the
 *	caller does
 * @parent: the PCI device
 *
 * The first device is vgpu_stub, further ones vgpu_stub1 and so on.
 *
 * Return: 0 or a negative errno.
 */
int vgpu_chrdev_prepare(struct vgpu_dev *vdev, struct device *parent)
{
	int minor = ida_alloc_max(&vgpu_minors, VGPU_MINORS - 1, GFP_KERNEL);

	if (minor < 0)
		return minor;
	vdev->minor = minor;
	device_initialize(&vdev->dev);
	vdev->dev.class = vgpu_class;
	vdev->dev.parent = parent;
	vdev->dev.devt = MKDEV(MAJOR(vgpu_devt), minor);
	vdev->dev.release = vgpu_dev_release;
	vdev->dev.groups = vgpu_groups;
	cdev_init(&vdev->cdev, &vgpu_fops);
	vdev->cdev.owner = THIS_MODULE;
	return 0;
}

/**
 * vgpu_chrdev_add - let processes open the device
 * @vdev: device that is ready
 *
 * Return: 0 or a negative errno.
 */
int vgpu_chrdev_add(struct vgpu_dev *vdev)
{
	return cdev_device_add(&vdev->cdev, &vdev->dev);
}

/**
 * vgpu_chrdev_del - let no further process open the device
 * @vdev: device; files that are open stay so
 */
void vgpu_chrdev_del(struct vgpu_dev *vdev)
{
	cdev_device_del(&vdev->cdev, &vdev->dev);
	/* a device plugged in later gets the same name, whatever is still open */
	ida_free(&vgpu_minors, vdev->minor);
	vdev->minor = -1;
}

/**
 * vgpu_chrdev_init - get the device numbers and the class
 *
 * Return: 0 or a negative errno.
 */
int vgpu_chrdev_init(void)
{
	int ret = alloc_chrdev_region(&vgpu_devt, 0, VGPU_MINORS, VGPU_NAME);

	if (ret)
		return ret;
	vgpu_class = vgpu_class_create(VGPU_NAME);
	if (!IS_ERR(vgpu_class))
		return 0;
	unregister_chrdev_region(vgpu_devt, VGPU_MINORS);
	return PTR_ERR(vgpu_class);
}

/**
 * vgpu_chrdev_exit - undo vgpu_chrdev_init()
 */
void vgpu_chrdev_exit(void)
{
	class_destroy(vgpu_class);
	unregister_chrdev_region(vgpu_devt, VGPU_MINORS);
	ida_destroy(&vgpu_minors);
}
