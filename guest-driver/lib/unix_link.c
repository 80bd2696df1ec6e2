// SPDX-License-Identifier: GPL-2.0-or-later
/* libvgpu without a VM: what is said to gpu_mediator, in its order. */
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "unix.h"

#define PF_NEEDED (VGPU_PF_REPLY_ACK | VGPU_PF_INFLIGHT)
#define F_NEEDED (VGPU_F_QUEUES | VGPU_F_POLLING | VGPU_F_BUFFERS)

static int say_hello(struct unix_link *l, int fd, int64_t deadline)
{
	struct vgpu_msg_hello h = {.magic = VGPU_HELLO_MAGIC,
				   .protocol_version = VGPU_PROTOCOL_VERSION,
				   .abi_version = VGPU_ABI_VERSION,
				   .max_queues = 1,
				   .features = F_NEEDED,
				   .protocol_features = VGPU_PF_ALL};
	const struct message m = {VGPU_MSG_HELLO, &h, sizeof(h), NULL, 0};
	struct vgpu_msg_hello_reply r;

	memcpy(h.uuid, l->uuid, sizeof(h.uuid));
	memcpy(h.name, l->name, sizeof(h.name));
	/* Not to be taken for what connect() says of the socket's permissions. */
	if (unix_exchange(l, fd, &m, &r, sizeof(r), NULL, NULL, deadline) < 0)
		return errno == EACCES ? fail(ECONNREFUSED) : -1;
	if (r.protocol_version != VGPU_PROTOCOL_VERSION || r.abi_version >> 16 != VGPU_ABI_MAJOR ||
	    PF_NEEDED & ~r.protocol_features || F_NEEDED & ~r.features)
		return fail(EPROTONOSUPPORT);
	return r.max_queues ? 0 : fail(EUSERS);
}

static int tell_memory(struct unix_link *l, int fd, int64_t deadline)
{
	struct vgpu_msg_queue_start start;
	struct vgpu_msg_mem_table t;
	struct vgpu_msg_status r;
	int fds[VGPU_MSG_REGIONS_MAX];
	struct message m = {VGPU_MSG_SET_MEM_TABLE, &t, sizeof(t), fds, 0};

	unix_memory_describe(&l->memory, &start, &t);
	for (uint32_t i = 0; i < t.nregions; i++)
		fds[m.nfds++] = l->memory.fd;
	return unix_exchange(l, fd, &m, &r, sizeof(r), NULL, NULL, deadline);
}

/* What was interrupted has not begun: a socket of this kind is not left half connected. */
static int connect_to(const struct unix_link *l, int fd)
{
	int ret;

	do
		ret = connect(fd, (const struct sockaddr *)&l->addr, sizeof(l->addr));
	while (ret < 0 && errno == EINTR);
	return ret;
}

int unix_connect(struct unix_link *l, int64_t deadline)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int error;

	if (fd < 0)
		return -1;
	if (connect_to(l, fd) < 0)
		error = errno == ECONNREFUSED ? ENOTCONN : errno;
	else if (say_hello(l, fd, deadline) < 0 || tell_memory(l, fd, deadline) < 0)
		error = errno;
	else
		return fd;
	close(fd);
	return fail(error);
}

int unix_start_queue(struct unix_link *l, int fd, int64_t deadline)
{
	const int ours[2] = {l->kick, l->call};
	struct vgpu_msg_mem_table t;
	struct vgpu_msg_queue_start start;
	const struct message m = {VGPU_MSG_QUEUE_START, &start, sizeof(start), ours, 2};
	struct vgpu_msg_queue_start_reply r;
	int theirs[2];
	size_t n = 2;

	unix_memory_describe(&l->memory, &start, &t);
	start.tag = (uint32_t)getpid();
	if (unix_exchange(l, fd, &m, &r, sizeof(r), theirs, &n, deadline) < 0)
		return -1;
	if (n != 2) {
		for (size_t i = 0; i < n; i++)
			close(theirs[i]);
		return fail(EPROTO);
	}
	l->session = r.session;
	l->page = theirs[0];
	l->lifeline = theirs[1];
	return 0;
}

int unix_resume_queue(struct unix_link *l, int fd, int64_t deadline)
{
	const struct vgpu_msg_queue q = {.session = l->session};
	const struct message m = {VGPU_MSG_QUEUE_RESUME, &q, sizeof(q), &l->page, 1};
	struct vgpu_msg_queue_reply r;

	return unix_exchange(l, fd, &m, &r, sizeof(r), NULL, NULL, deadline);
}

void unix_stop_queue(struct unix_link *l, int fd, int64_t deadline)
{
	const struct vgpu_msg_queue q = {.session = l->session};
	const struct message m = {VGPU_MSG_QUEUE_STOP, &q, sizeof(q), NULL, 0};
	struct vgpu_msg_queue_reply r;

	unix_exchange(l, fd, &m, &r, sizeof(r), NULL, NULL, deadline);
}
