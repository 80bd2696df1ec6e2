// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * libvgpu: sessions, requests and responses.
 *
 * The usual way is the mapped queue.  Where the device has none (the VM's RAM
 * is not shared with the host) requests go through write() and read().
 */
#include "vgpu.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "vgpu_ring.h"
#include "vgpu_stub.h"

#define SPIN_NS 50000       /* how long the adaptive wait polls */
#define LOOK_NS 20000000    /* how often a poller asks whether the session lives */
#define ROOM_MS 100         /* how often a submit looks for room by itself */
#define SUBMIT_MS 30000     /* how long vgpu_submit() waits for room */
#define SPINS_PER_RELAX 8u  /* a pause may leave the virtual CPU */
#define SPINS_PER_CLOCK 64u /* the clock may cost a system call */

struct vgpu_session {
	int fd;
	bool mapped;  /* else read() and write() */
	bool polling; /* both sides honour the polling flags */
	enum vgpu_wait_mode wait;
	struct vgpu_ring ring;
	volatile uint32_t *doorbell;
	void *queue;
	size_t queue_bytes;
	uint64_t next_id;
	uint8_t record[sizeof(uint32_t) + VGPU_RECORD_MAX] __attribute__((aligned(8)));
	uint8_t response[VGPU_RECORD_MAX] __attribute__((aligned(8)));
};

static int64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static inline void relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#endif
}

static int fail(int error)
{
	errno = error;
	return -1;
}

/* A time in the future as ns, INT64_MAX for never. */
static int64_t deadline_of(int timeout_ms)
{
	return timeout_ms < 0 ? INT64_MAX : now_ns() + (int64_t)timeout_ms * 1000000;
}

static int remaining_ms(int64_t deadline)
{
	int64_t left;

	if (deadline == INT64_MAX)
		return -1;
	left = (deadline - now_ns() + 999999) / 1000000;
	if (left <= 0)
		return 0;
	return left > INT_MAX ? INT_MAX : (int)left;
}

/* ------------------------------------------------------------ open and close */

static int map_queue(struct vgpu_session *s, const struct vgpu_stub_info *info)
{
	void *bell;

	s->queue = mmap(NULL, info->queue_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, s->fd,
			VGPU_STUB_MMAP_QUEUE);
	if (s->queue == MAP_FAILED)
		return -1;
	s->queue_bytes = info->queue_bytes;
	bell = mmap(NULL, VGPU_DOORBELL_STRIDE, PROT_WRITE, MAP_SHARED, s->fd,
		    (off_t)VGPU_STUB_MMAP_DOORBELL);
	if (bell == MAP_FAILED) {
		munmap(s->queue, s->queue_bytes);
		return -1;
	}
	s->doorbell = bell;
	s->mapped = true;
	s->polling = info->features & VGPU_F_POLLING;
	vgpu_ring_init(&s->ring, s->queue, info->req_slots, info->rsp_slots);
	return 0;
}

static int start(struct vgpu_session *s, const char *path)
{
	struct vgpu_stub_info info;

	s->fd = open(path ? path : VGPU_DEVICE_PATH, O_RDWR | O_CLOEXEC);
	if (s->fd < 0)
		return -1;
	if (ioctl(s->fd, VGPU_STUB_IOC_INFO, &info) < 0)
		return -1;
	if (info.abi_version >> 16 != VGPU_ABI_MAJOR)
		return fail(EPROTO);
	if (!(info.features & VGPU_F_QUEUES))
		return 0;
	return map_queue(s, &info);
}

struct vgpu_session *vgpu_session_open(const char *path)
{
	struct vgpu_session *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->next_id = 1;
	if (start(s, path) < 0) {
		int error = errno;

		if (s->fd >= 0)
			close(s->fd);
		free(s);
		errno = error;
		return NULL;
	}
	vgpu_session_set_wait(s, VGPU_WAIT_ADAPTIVE);
	return s;
}

void vgpu_session_close(struct vgpu_session *s)
{
	if (!s)
		return;
	if (s->mapped) {
		munmap((void *)(uintptr_t)s->doorbell, VGPU_DOORBELL_STRIDE);
		munmap(s->queue, s->queue_bytes);
	}
	close(s->fd);
	free(s);
}

void vgpu_session_set_wait(struct vgpu_session *s, enum vgpu_wait_mode mode)
{
	s->wait = mode;
	if (s->mapped)
		vgpu_ring_set_polling(&s->ring, mode != VGPU_WAIT_INTERRUPT);
}

/* ------------------------------------------------------------------- buffers */

int vgpu_buffer_register(struct vgpu_session *s, void *addr, size_t length, uint32_t flags,
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

int vgpu_buffer_unregister(struct vgpu_session *s, uint32_t handle)
{
	return ioctl(s->fd, VGPU_STUB_IOC_BUFFER_DEL, &handle);
}

/* ------------------------------------------------------------------- waiting */

static uint32_t rsp_prod(struct vgpu_session *s)
{
	return __atomic_load_n(&s->ring.hdr->rsp_prod, __ATOMIC_ACQUIRE);
}

static int sleep_until_moved(struct vgpu_session *s, uint32_t seen, int timeout_ms)
{
	struct vgpu_stub_wait w = {.rsp_cons = seen, .timeout_ms = timeout_ms};

	return ioctl(s->fd, VGPU_STUB_IOC_WAIT, &w);
}

/* Polls until rsp_prod leaves `seen` or the time is `until`: 0 or -1. */
static int spin(struct vgpu_session *s, uint32_t seen, int64_t until)
{
	for (unsigned int i = 1;; i++) {
		if (rsp_prod(s) != seen)
			return 0;
		if (i % SPINS_PER_CLOCK == 0 && now_ns() >= until)
			return -1;
		if (i % SPINS_PER_RELAX == 0)
			relax();
	}
}

/* A poller sees no error in the ring, so it asks the kernel now and then. */
static int poll_until_moved(struct vgpu_session *s, uint32_t seen, int64_t deadline)
{
	for (;;) {
		int64_t look = now_ns() + LOOK_NS;

		if (spin(s, seen, look < deadline ? look : deadline) == 0)
			return 0;
		if (sleep_until_moved(s, seen, 0) == 0)
			return 0;
		if (errno != ETIMEDOUT || now_ns() >= deadline)
			return -1;
	}
}

static int doze_until_moved(struct vgpu_session *s, uint32_t seen, int64_t deadline)
{
	int ret;

	/* the kernel looks again itself, after our flag is off */
	vgpu_ring_set_polling(&s->ring, false);
	ret = sleep_until_moved(s, seen, remaining_ms(deadline));
	if (s->wait == VGPU_WAIT_ADAPTIVE)
		vgpu_ring_set_polling(&s->ring, true);
	return ret;
}

static int wait_moved(struct vgpu_session *s, uint32_t seen, int64_t deadline)
{
	if (rsp_prod(s) != seen)
		return 0;
	if (s->wait == VGPU_WAIT_POLL)
		return poll_until_moved(s, seen, deadline);
	if (s->wait == VGPU_WAIT_ADAPTIVE && spin(s, seen, now_ns() + SPIN_NS) == 0)
		return 0;
	return doze_until_moved(s, seen, deadline);
}

/* ------------------------------------------------------------------ requests */

static void ring_doorbell(struct vgpu_session *s)
{
	*s->doorbell = s->wait == VGPU_WAIT_INTERRUPT ? VGPU_DOORBELL_SLEEPS : VGPU_DOORBELL_POLLS;
}

/* Waits for any sign of the host, as it takes requests without one. */
static int wait_room(struct vgpu_session *s, uint32_t seen, int64_t deadline)
{
	int64_t look = deadline_of(ROOM_MS);

	if (wait_moved(s, seen, look < deadline ? look : deadline) == 0)
		return 0;
	return errno == ETIMEDOUT && now_ns() < deadline ? 0 : -1;
}

static int submit_mapped(struct vgpu_session *s, const struct vgpu_piece *piece, size_t n,
			 int64_t deadline)
{
	for (;;) {
		uint32_t seen = rsp_prod(s);
		int ret = vgpu_ring_push(&s->ring, piece, n);

		if (ret == 0)
			break;
		if (ret != -EAGAIN)
			return fail(-ret);
		/* the host takes no requests while we leave no room for its responses */
		if (vgpu_ring_must_kick_full(&s->ring))
			return fail(EAGAIN);
		if (wait_room(s, seen, deadline) < 0)
			return -1;
	}
	if (!s->polling || vgpu_ring_must_kick(&s->ring))
		ring_doorbell(s);
	return 0;
}

static int submit_stream(struct vgpu_session *s, const struct vgpu_piece *piece, size_t n)
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

static int submit(struct vgpu_session *s, uint16_t command, const struct vgpu_desc *desc,
		  unsigned int ndesc, const void *body, size_t length, uint64_t *id,
		  int64_t deadline)
{
	struct vgpu_request req = {.command = command, .id = s->next_id, .ndesc = ndesc};
	struct vgpu_piece piece[3] = {{&req, sizeof(req)}};
	size_t n = 1;

	if (ndesc > VGPU_DESCS_MAX)
		return fail(EINVAL);
	if (length > VGPU_RECORD_MAX)
		return fail(EMSGSIZE);
	if (ndesc)
		piece[n++] = (struct vgpu_piece){desc, ndesc * sizeof(*desc)};
	if (length)
		piece[n++] = (struct vgpu_piece){body, length};
	req.length = sizeof(req) + ndesc * sizeof(*desc) + length;
	if ((s->mapped ? submit_mapped(s, piece, n, deadline) : submit_stream(s, piece, n)) < 0)
		return -1;
	*id = s->next_id++;
	return 0;
}

int vgpu_submit(struct vgpu_session *s, uint16_t command, const struct vgpu_desc *desc,
		unsigned int ndesc, const void *body, size_t length, uint64_t *id)
{
	return submit(s, command, desc, ndesc, body, length, id, deadline_of(SUBMIT_MS));
}

static int receive_mapped(struct vgpu_session *s, int64_t deadline)
{
	int ret;

	if (!vgpu_ring_has_response(&s->ring) && wait_moved(s, s->ring.rsp_cons, deadline) < 0)
		return -1;
	ret = vgpu_ring_pop(&s->ring, s->response);
	if (ret < 0)
		return fail(-ret);
	if (vgpu_ring_must_kick_full(&s->ring))
		ring_doorbell(s);
	return 0;
}

static int receive_stream(struct vgpu_session *s, int64_t deadline)
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

int vgpu_receive(struct vgpu_session *s, int timeout_ms, const struct vgpu_response **rsp)
{
	int64_t deadline = deadline_of(timeout_ms);

	if ((s->mapped ? receive_mapped(s, deadline) : receive_stream(s, deadline)) < 0)
		return -1;
	*rsp = (const struct vgpu_response *)s->response;
	return 0;
}

/* The response to `id`; older ones are of calls that timed out. */
static int receive_id(struct vgpu_session *s, uint64_t id, int64_t deadline,
		      const struct vgpu_response **rsp)
{
	do {
		if (vgpu_receive(s, remaining_ms(deadline), rsp) < 0)
			return -1;
	} while ((*rsp)->id < id);
	return (*rsp)->id == id ? 0 : fail(EPROTO);
}

int vgpu_call(struct vgpu_session *s, uint16_t command, const struct vgpu_desc *desc,
	      unsigned int ndesc, const void *body, size_t length, void *out, size_t size,
	      int timeout_ms)
{
	int64_t deadline = deadline_of(timeout_ms);
	const struct vgpu_response *rsp;
	uint64_t id;
	size_t got;
	int32_t status;

	if (submit(s, command, desc, ndesc, body, length, &id, deadline) < 0 ||
	    receive_id(s, id, deadline, &rsp) < 0)
		return -1;
	status = (int32_t)rsp->status;
	if (status < 0)
		return fail(status == INT32_MIN ? EPROTO : -status);
	got = rsp->length - sizeof(*rsp);
	if (size)
		memcpy(out, rsp + 1, got < size ? got : size);
	return (int)got;
}
