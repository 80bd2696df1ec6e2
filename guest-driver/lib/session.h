/* SPDX-License-Identifier: GPL-2.0-or-later */
/* libvgpu's inside: a session, and what a way to the host must be able to do. */
#ifndef VGPU_SESSION_H
#define VGPU_SESSION_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "vgpu.h"
#include "vgpu_ring.h"

/* All return 0, or -1 with errno.  NULL: EOPNOTSUPP. */
struct transport {
	void (*kick)(struct vgpu_session *s);
	/* Until rsp_prod is not `seen`: ETIMEDOUT, EINTR, or the session's end. */
	int (*sleep)(struct vgpu_session *s, uint32_t seen, int timeout_ms);
	int (*watch)(struct vgpu_session *s, uint32_t seen, int timeout_ms);
	int (*tend)(struct vgpu_session *s);
	int (*buffer_add)(struct vgpu_session *s, void *addr, size_t length, uint32_t flags,
			  uint32_t *handle);
	int (*buffer_del)(struct vgpu_session *s, uint32_t handle);
	int (*area_create)(struct vgpu_session *s, struct vgpu_area *a);
	int (*area_destroy)(struct vgpu_session *s, const struct vgpu_area *a);
	/* Frees what the transport has; the session itself is the caller's. */
	void (*close)(struct vgpu_session *s);
	void (*forget)(struct vgpu_session *s);
	/* Where there is no mapped queue: whole records. */
	int (*write)(struct vgpu_session *s, const struct vgpu_piece *piece, size_t n);
	int (*read)(struct vgpu_session *s, int64_t deadline);
};

struct vgpu_session {
	const struct transport *transport;
	int fd;       /* the device, or the daemon's socket (-1 while it is away) */
	bool mapped;  /* else write() and read() of the transport */
	bool polling; /* both sides honour the polling flags */
	enum vgpu_wait_mode wait;
	uint64_t next_id;
	uint64_t kicked; /* the host's req_cons, and our req_prod, when we rang last */
	void *own;       /* the transport's */
	struct vgpu_ring ring;
	uint8_t record[sizeof(uint32_t) + VGPU_RECORD_MAX] __attribute__((aligned(8)));
	uint8_t response[VGPU_RECORD_MAX] __attribute__((aligned(8)));
};

extern const struct transport unix_transport;

/* device.c and unix.c: set the session up. */
int device_open(struct vgpu_session *s, const char *path);
int unix_open(struct vgpu_session *s, const char *path);

/* session.c: what vgpu_open_reason() says; what is not printable is left out. */
void open_reason(const char *text, size_t size);

/* wait.c: until rsp_prod leaves `seen`, as the wait mode says. */
int wait_moved(struct vgpu_session *s, uint32_t seen, int64_t deadline);

/* A time in the future as ns, INT64_MAX for never; what is left until then in ms. */
int64_t deadline_of(int timeout_ms);
int remaining_ms(int64_t deadline);

/* area.c: address space for `length` bytes, apt for huge pages; NULL with errno. */
void *area_reserve(size_t length);
/* area.c: undoes the mapping of an area, or of one that could not be made. */
void area_unmap(const struct vgpu_area *a);

static inline int fail(int error)
{
	errno = error;
	return -1;
}

static inline int64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static inline uint32_t rsp_prod(const struct vgpu_session *s)
{
	return __atomic_load_n(&s->ring.hdr->rsp_prod, __ATOMIC_ACQUIRE);
}

#endif /* VGPU_SESSION_H */
