// SPDX-License-Identifier: GPL-2.0-or-later
/* libvgpu without a VM: messages with gpu_mediator, as vgpu_socket.h lays them out. */
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "unix.h"

union fds_room {
	struct cmsghdr align;
	char bytes[CMSG_SPACE(VGPU_MSG_FDS_MAX * sizeof(int))];
};

/* A message as it came. */
struct incoming {
	struct vgpu_msg_header h;
	uint8_t payload[VGPU_MSG_PAYLOAD_MAX];
	int fds[VGPU_MSG_FDS_MAX];
	size_t nfds;
};

static int send_message(int fd, const struct message *m)
{
	struct vgpu_msg_header h = {.request = m->request,
				    .flags = VGPU_SOCKET_VERSION | VGPU_MSG_NEED_REPLY,
				    .size = (uint32_t)m->size};
	struct iovec iov[2] = {{&h, sizeof(h)}, {(void *)(uintptr_t)m->payload, m->size}};
	struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 2};
	size_t bytes = m->nfds * sizeof(int);
	union fds_room room;
	ssize_t sent;

	if (m->nfds) {
		memset(&room, 0, sizeof(room));
		msg.msg_control = room.bytes;
		msg.msg_controllen = CMSG_SPACE(bytes);
		room.align.cmsg_level = SOL_SOCKET;
		room.align.cmsg_type = SCM_RIGHTS;
		room.align.cmsg_len = CMSG_LEN(bytes);
		memcpy(CMSG_DATA(&room.align), m->fds, bytes);
	}
	/* Small and few: a socket that has no room for it is one that nobody reads. */
	do
		sent = sendmsg(fd, &msg, MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	if (sent != (ssize_t)(sizeof(h) + m->size))
		return errno == EPIPE || errno == ECONNRESET ? fail(ENOTCONN) : -1;
	return 0;
}

static void take_fds(struct msghdr *msg, struct incoming *in)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < n; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
			if (in->nfds < VGPU_MSG_FDS_MAX)
				in->fds[in->nfds++] = fd;
			else
				close(fd);
		}
	}
}

static void drop_fds(struct incoming *in)
{
	for (size_t i = 0; i < in->nfds; i++)
		close(in->fds[i]);
	in->nfds = 0;
}

static int wait_readable(int fd, int64_t deadline)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	int ret;

	do
		ret = poll(&p, 1, remaining_ms(deadline));
	while (ret < 0 && errno == EINTR);
	return ret > 0 ? 0 : ret < 0 ? -1 : fail(ETIMEDOUT);
}

/* Exactly `size` bytes. */
static int receive_bytes(int fd, void *to, size_t size, struct incoming *in, int64_t deadline)
{
	uint8_t *at = to;

	while (size) {
		union fds_room room;
		struct iovec iov = {at, size};
		struct msghdr msg = {.msg_iov = &iov,
				     .msg_iovlen = 1,
				     .msg_control = room.bytes,
				     .msg_controllen = sizeof(room.bytes)};
		ssize_t got;

		if (wait_readable(fd, deadline) < 0)
			return -1;
		got = recvmsg(fd, &msg, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
		if (got < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (got <= 0)
			return fail(ENOTCONN);
		take_fds(&msg, in);
		at += got;
		size -= (size_t)got;
	}
	return 0;
}

static int receive_message(int fd, struct incoming *in, int64_t deadline)
{
	in->nfds = 0;
	if (receive_bytes(fd, &in->h, sizeof(in->h), in, deadline) < 0)
		return -1;
	if (in->h.size > sizeof(in->payload) ||
	    (in->h.flags & VGPU_MSG_VERSION_MASK) != VGPU_SOCKET_VERSION)
		return fail(EPROTO);
	return receive_bytes(fd, in->payload, in->h.size, in, deadline);
}

static bool is_lost(struct unix_link *l, struct incoming *in)
{
	if (in->h.request != VGPU_MSG_QUEUE_LOST || in->h.flags & VGPU_MSG_REPLY)
		return false;
	__atomic_store_n(&l->lost, EIO, __ATOMIC_RELEASE);
	drop_fds(in);
	return true;
}

/* The answer: its status is the errno, and what came with it is the caller's. */
static int take_reply(struct incoming *in, const struct message *m, void *reply, size_t size,
		      int *fds, size_t *nfds)
{
	struct vgpu_msg_status status;
	size_t room = nfds ? *nfds : 0;

	if (in->h.request != m->request || !(in->h.flags & VGPU_MSG_REPLY) ||
	    in->h.size < sizeof(status))
		return fail(EPROTO);
	memcpy(&status, in->payload, sizeof(status));
	if (status.status)
		open_reason(status.reason, sizeof(status.reason));
	if (status.status)
		return fail(status.status < 0 && status.status > -4096 ? -status.status : EPROTO);
	if (in->h.size != size || in->nfds > room)
		return fail(EPROTO);
	memcpy(reply, in->payload, size);
	if (nfds) {
		memcpy(fds, in->fds, in->nfds * sizeof(int));
		*nfds = in->nfds;
	}
	in->nfds = 0;
	return 0;
}

int unix_exchange(struct unix_link *l, int fd, const struct message *m, void *reply, size_t size,
		  int *fds, size_t *nfds, int64_t deadline)
{
	struct incoming in;
	int ret;

	if (send_message(fd, m) < 0)
		return -1;
	do {
		ret = receive_message(fd, &in, deadline);
	} while (ret == 0 && is_lost(l, &in));
	if (ret == 0)
		ret = take_reply(&in, m, reply, size, fds, nfds);
	drop_fds(&in);
	return ret;
}

int unix_news(struct unix_link *l, int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	while (poll(&p, 1, 0) > 0) {
		struct incoming in;
		int ret = receive_message(fd, &in, deadline_of(1000));

		if (ret == 0 && is_lost(l, &in))
			continue;
		drop_fds(&in);
		return ret < 0 ? -1 : fail(EPROTO);
	}
	return 0;
}
