/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From a stream of bytes and descriptors to checked messages.
 *
 * The daemon is not trusted to be well: whatever does not fit exactly ends the
 * connection, and no descriptor it sent is ever left open by accident.
 */
#include "core_priv.h"

#define HEADER sizeof(struct vgpu_msg_header)

static void close_fds(struct vgpu_core *c, const int *fds, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (fds[i] >= 0)
			c->ops->close_fd(c->opaque, fds[i]);
}

void msg_reset(struct vgpu_core *c)
{
	close_fds(c, c->rx.fds, c->rx.nfds);
	c->rx.nfds = 0;
	c->rx.got = 0;
}

static struct vgpu_msg_header header(const struct vgpu_core *c)
{
	struct vgpu_msg_header h;

	memcpy(&h, c->rx.buf, sizeof(h));
	return h;
}

size_t vgpu_core_want(const struct vgpu_core *c)
{
	return (c->rx.got < HEADER ? HEADER : HEADER + header(c).size) - c->rx.got;
}

static bool header_fits(const struct vgpu_msg_header *h)
{
	uint32_t want = VGPU_SOCKET_VERSION;

	if (h->request != VGPU_MSG_QUEUE_LOST)
		want |= VGPU_MSG_REPLY;
	return h->flags == want && h->size <= VGPU_MSG_PAYLOAD_MAX;
}

/* The answer to a change of memory or a reset: a status and nothing else. */
static bool status_reply(struct vgpu_core *c, uint32_t request, const void *payload)
{
	uint32_t *pending =
		request == VGPU_MSG_RESET_DEVICE ? &c->link.pending_reset : &c->link.pending_mem;
	struct vgpu_msg_status s;
	char reason[VGPU_REASON_MAX];

	memcpy(&s, payload, sizeof(s));
	if (!*pending || s.status > 0 || s.reserved)
		return false;
	--*pending;
	link_text(s.reason, sizeof(s.reason), reason, sizeof(reason));
	if (s.status < 0 && request == VGPU_MSG_RESET_DEVICE)
		link_break(c, false, "reset failed: %s (%d)", reason, s.status);
	else if (s.status < 0)
		link_break(c, true, "it refused the guest's memory: %s (%d)", reason, s.status);
	else if (request == VGPU_MSG_RESET_DEVICE)
		queues_were_reset(c);
	return true;
}

static bool queue_reply(struct vgpu_core *c, uint32_t request, const void *payload)
{
	struct vgpu_msg_queue_reply r;

	memcpy(&r, payload, sizeof(r));
	if (r.status.status > 0 || r.status.reserved || r.queue.reserved)
		return false;
	if (request == VGPU_MSG_QUEUE_STOP)
		return queue_stopped(c, &r);
	if (request == VGPU_MSG_QUEUE_RESUME)
		return queue_resumed(c, &r);
	return queue_lost(c, &r);
}

static bool start_reply(struct vgpu_core *c, const void *payload)
{
	struct vgpu_msg_queue_start_reply r;

	memcpy(&r, payload, sizeof(r));
	return queue_started(c, &r, c->rx.fds, c->rx.nfds);
}

/* Size and descriptors of the message are as its kind wants them, and it is expected. */
static bool dispatch(struct vgpu_core *c, const struct vgpu_msg_header *h, const void *payload)
{
	if (h->request == VGPU_MSG_QUEUE_START)
		return h->size == sizeof(struct vgpu_msg_queue_start_reply) &&
		       start_reply(c, payload);
	if (c->rx.nfds)
		return false;
	switch (h->request) {
	case VGPU_MSG_HELLO:
		return link_hello_reply(c, payload, h->size);
	case VGPU_MSG_SET_MEM_TABLE:
	case VGPU_MSG_ADD_MEM_REG:
	case VGPU_MSG_REM_MEM_REG:
	case VGPU_MSG_RESET_DEVICE:
		return h->size == sizeof(struct vgpu_msg_status) &&
		       status_reply(c, h->request, payload);
	case VGPU_MSG_QUEUE_STOP:
	case VGPU_MSG_QUEUE_RESUME:
	case VGPU_MSG_QUEUE_LOST:
		return h->size == sizeof(struct vgpu_msg_queue_reply) &&
		       queue_reply(c, h->request, payload);
	}
	return false;
}

static void message(struct vgpu_core *c)
{
	struct vgpu_msg_header h = header(c);

	if (!dispatch(c, &h, c->rx.buf + HEADER))
		link_break(c, false,
			   "the daemon broke the protocol (message %u of %u bytes with %zu "
			   "descriptors)",
			   h.request, h.size, c->rx.nfds);
	else if (h.request != VGPU_MSG_QUEUE_LOST)
		link_answered(c);
	msg_reset(c);
	core_settle(c);
}

/* Descriptors come with the first byte of a message or not at all. */
static bool take_fds(struct vgpu_core *c, const int *fds, size_t nfds)
{
	if (!nfds)
		return true;
	if (c->rx.got || c->rx.nfds || nfds > VGPU_MSG_FDS_MAX) {
		close_fds(c, fds, nfds);
		link_break(c, false, "the daemon sent descriptors out of place");
		return false;
	}
	memcpy(c->rx.fds, fds, nfds * sizeof(*fds));
	c->rx.nfds = nfds;
	return true;
}

static bool take_bytes(struct vgpu_core *c, const uint8_t **data, size_t *length)
{
	size_t n = vgpu_core_want(c);
	struct vgpu_msg_header h;

	if (n > *length)
		n = *length;
	memcpy(c->rx.buf + c->rx.got, *data, n);
	c->rx.got += n;
	*data += n;
	*length -= n;
	if (c->rx.got < HEADER)
		return true;
	h = header(c);
	if (c->rx.got == HEADER && !header_fits(&h)) {
		link_break(c, false, "the daemon sent a bad header (%u, flags 0x%x, %u bytes)",
			   h.request, h.flags, h.size);
		return false;
	}
	if (c->rx.got == HEADER + h.size)
		message(c);
	return true;
}

void vgpu_core_receive(struct vgpu_core *c, const void *data, size_t length, const int *fds,
		       size_t nfds)
{
	const uint8_t *p = data;
	bool ok;

	if (c->link.state < LINK_HELLO) {
		close_fds(c, fds, nfds);
		return;
	}
	ok = take_fds(c, fds, nfds);
	/* A message may end the connection; what follows it is then void. */
	while (ok && length && c->link.state >= LINK_HELLO)
		ok = take_bytes(c, &p, &length);
	core_settle(c);
}
