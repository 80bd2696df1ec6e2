// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * libvgpu: sessions of /dev/vgpu_stub.
 *
 * The usual way is the mapped queue.  Where the device has none (the VM's RAM
 * is not shared with the host) requests go through write() and read().
 */
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "session.h"
#include "vgpu_stub.h"

/* The transport's own is only the doorbell's page. */
static volatile uint32_t *doorbell(const struct vgpu_session *s)
{
	return s->own;
}

static void device_kick(struct vgpu_session *s)
{
	*doorbell(s) = s->wait == VGPU_WAIT_INTERRUPT ? VGPU_DOORBELL_SLEEPS : VGPU_DOORBELL_POLLS;
}

static int device_sleep(struct vgpu_session *s, uint32_t seen, int timeout_ms)
{
	struct vgpu_stub_wait w = {.rsp_cons = seen, .timeout_ms = timeout_ms};

	return ioctl(s->fd, VGPU_STUB_IOC_WAIT, &w);
}

/* The kernel says nothing of a queue that is well but that the time is over. */
static int device_tend(struct vgpu_session *s)
{
	return device_sleep(s, rsp_prod(s), 0) < 0 && errno != ETIMEDOUT && errno != EINTR ? -1 : 0;
}

static int device_buffer_add(struct vgpu_session *s, void *addr, size_t length, uint32_t flags,
			     uint32_t *handle)
{
	struct vgpu_stub_buffer b = {
		.addr = (uintptr_t)addr,
		.length = length,
		.flags = flags,
	};

	if (ioctl(s->fd, VGPU_STUB_IOC_BUFFER_ADD, &b) < 0)
		return -1;
	*handle = b.handle;
	return 0;
}

static int device_buffer_del(struct vgpu_session *s, uint32_t handle)
{
	return ioctl(s->fd, VGPU_STUB_IOC_BUFFER_DEL, &handle);
}

static int device_area_create(struct vgpu_session *s, struct vgpu_area *a)
{
	if (mmap(a->addr, a->length, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED)
		return -1;
	madvise(a->addr, a->length, MADV_HUGEPAGE);
	return device_buffer_add(s, a->addr, a->length,
				 VGPU_STUB_BUFFER_READ | VGPU_STUB_BUFFER_WRITE, &a->buffer);
}

static int device_area_destroy(struct vgpu_session *s, const struct vgpu_area *a)
{
	if (device_buffer_del(s, a->buffer) < 0)
		return -1;
	area_unmap(a);
	return 0;
}

static int device_write(struct vgpu_session *s, const struct vgpu_piece *piece, size_t n)
{
	uint32_t magic = VGPU_STUB_BINARY;
	size_t at = sizeof(magic);

	memcpy(s->record, &magic, sizeof(magic));
	for (size_t i = 0; i < n; i++) {
		if (piece[i].length > sizeof(s->record) - at)
			return fail(EMSGSIZE);
		memcpy(s->record + at, piece[i].data, piece[i].length);
		at += piece[i].length;
	}
	return write(s->fd, s->record, at) < 0 ? -1 : 0;
}

static int device_read(struct vgpu_session *s, int64_t deadline)
{
	struct pollfd p = {.fd = s->fd, .events = POLLIN};
	int ret = poll(&p, 1, remaining_ms(deadline));
	ssize_t got;

	if (ret <= 0)
		return ret < 0 ? -1 : fail(ETIMEDOUT);
	got = read(s->fd, s->response, sizeof(s->response));
	if (got >= 0 && got < (ssize_t)sizeof(struct vgpu_response))
		return fail(EPROTO);
	return got < 0 ? -1 : 0;
}

static size_t queue_bytes(const struct vgpu_session *s)
{
	size_t bytes = vgpu_ring_bytes(s->ring.req_slots, s->ring.rsp_slots);

	return (bytes + VGPU_PAGE - 1) & ~(size_t)(VGPU_PAGE - 1);
}

static void device_close(struct vgpu_session *s)
{
	if (s->mapped) {
		munmap(s->own, VGPU_DOORBELL_STRIDE);
		munmap(s->ring.hdr, queue_bytes(s));
	}
	if (s->fd >= 0)
		close(s->fd);
}

static void device_forget(struct vgpu_session *s)
{
	/* the parent's file goes on; what was mapped is not mapped in a child */
	close(s->fd);
	s->fd = -1;
}

static const struct transport device = {
	.kick = device_kick,
	.sleep = device_sleep,
	.watch = device_sleep,
	.tend = device_tend,
	.buffer_add = device_buffer_add,
	.buffer_del = device_buffer_del,
	.area_create = device_area_create,
	.area_destroy = device_area_destroy,
	.close = device_close,
	.forget = device_forget,
	.write = device_write,
	.read = device_read,
};

static int map_queue(struct vgpu_session *s, const struct vgpu_stub_info *info)
{
	void *bell, *queue = mmap(NULL, info->queue_bytes, PROT_READ | PROT_WRITE, MAP_SHARED,
				  s->fd, VGPU_STUB_MMAP_QUEUE);

	if (queue == MAP_FAILED)
		return -1;
	bell = mmap(NULL, VGPU_DOORBELL_STRIDE, PROT_WRITE, MAP_SHARED, s->fd,
		    (off_t)VGPU_STUB_MMAP_DOORBELL);
	if (bell == MAP_FAILED) {
		int error = errno;

		munmap(queue, info->queue_bytes);
		return fail(error);
	}
	madvise(queue, info->queue_bytes, MADV_DONTFORK);
	madvise(bell, VGPU_DOORBELL_STRIDE, MADV_DONTFORK);
	s->own = bell;
	s->mapped = true;
	s->polling = info->features & VGPU_F_POLLING;
	vgpu_ring_init(&s->ring, queue, info->req_slots, info->rsp_slots);
	return 0;
}

/* Did the host say no, to the device or to this session? */
static bool is_refusal(int error)
{
	return error == ECONNREFUSED || error == EACCES || error == EUSERS || error == EDQUOT ||
	       error == ESHUTDOWN;
}

/* The module has the host's words for whoever may look, which is everybody. */
static void find_reason(const char *path)
{
	char where[64], text[VGPU_REASON_TEXT_MAX];
	struct stat st;
	ssize_t n;
	int fd;

	if (stat(path, &st) < 0 || !S_ISCHR(st.st_mode))
		return;
	snprintf(where, sizeof(where), "/sys/dev/char/%u:%u/refusal", major(st.st_rdev),
		 minor(st.st_rdev));
	fd = open(where, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	n = read(fd, text, sizeof(text));
	close(fd);
	if (n > 0)
		open_reason(text, (size_t)n);
}

int device_open(struct vgpu_session *s, const char *path)
{
	struct vgpu_stub_info info;

	s->transport = &device;
	s->fd = open(path, O_RDWR | O_CLOEXEC);
	if (s->fd < 0) {
		int error = errno;

		/* Not where the file's mode says no: those words are about somebody else. */
		if (is_refusal(error) && access(path, R_OK | W_OK) == 0)
			find_reason(path);
		return fail(error);
	}
	if (ioctl(s->fd, VGPU_STUB_IOC_INFO, &info) < 0)
		return -1;
	if (info.abi_version >> 16 != VGPU_ABI_MAJOR)
		return fail(EPROTO);
	if (!(info.features & VGPU_F_QUEUES))
		return 0;
	return map_queue(s, &info);
}
