/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The connection to gpu_mediator: try, agree, tell it again what it must know,
 * and when it breaks, say why once and try again later.
 */
#include "core_priv.h"

#include <stdarg.h>
#include <stdio.h>

#define PF_NEEDED (VGPU_PF_REPLY_ACK | VGPU_PF_INFLIGHT | VGPU_PF_MEM_SLOTS)

void link_init(struct link *l)
{
	l->state = LINK_DOWN;
	l->backoff = BACKOFF_FIRST;
	l->retry_at = NO_DEADLINE;
	l->reply_due = NO_DEADLINE;
	l->features = VGPU_F_ALL;
}

bool link_agreed(const struct vgpu_core *c)
{
	return (c->link.state == LINK_RESUMING || c->link.state == LINK_UP) && !c->link.broken;
}

int link_error(const struct vgpu_core *c)
{
	if (vgpu_core_link_up(c))
		return 0;
	return c->status & VGPU_STATUS_REFUSED ? -ECONNREFUSED : -ENOTCONN;
}

bool vgpu_core_link_up(const struct vgpu_core *c)
{
	return c->link.state == LINK_UP;
}

/* A string of the daemon's, cut to size and made fit for a log. */
const char *link_text(const char *src, size_t size, char *buf, size_t len)
{
	size_t i;

	for (i = 0; i < size && i + 1 < len && src[i]; i++)
		buf[i] = src[i] >= 0x20 && src[i] < 0x7f ? src[i] : '?';
	buf[i] = '\0';
	return buf;
}

/* The first reason of an input counts; the drop happens when the input has been handled. */
void link_break(struct vgpu_core *c, bool refuse, const char *fmt, ...)
{
	va_list ap;

	if (c->link.broken)
		return;
	c->link.broken = true;
	c->link.broken_refuse = refuse;
	va_start(ap, fmt);
	vsnprintf(c->link.why, sizeof(c->link.why), fmt, ap);
	va_end(ap);
}

/* Without this a missing daemon would fill the host's log. */
static void log_once(struct vgpu_core *c, enum vgpu_log_level level, const char *what)
{
	if (!strcmp(c->link.why, c->link.logged))
		return;
	memcpy(c->link.logged, c->link.why, sizeof(c->link.logged));
	core_log(c, level, "%s: %s", what, c->link.why);
}

/* The guest may read the reason, and whoever uses the VM knows whom to ask then. */
static void note_refusal(struct vgpu_core *c, const char *why)
{
	memset(c->link.refusal, 0, sizeof(c->link.refusal));
	snprintf(c->link.refusal, sizeof(c->link.refusal), "%s", why);
}

static void set_refused(struct vgpu_core *c)
{
	note_refusal(c, c->link.why);
	if (c->status & VGPU_STATUS_REFUSED)
		return;
	c->status |= VGPU_STATUS_REFUSED;
	core_interrupt(c, VGPU_INT_LINK);
}

static void plan_retry(struct vgpu_core *c)
{
	struct link *l = &c->link;

	l->retry_at = c->now + (l->broken_refuse ? REFUSED_RETRY : l->backoff);
	l->backoff = l->backoff * 2 < BACKOFF_MAX ? l->backoff * 2 : BACKOFF_MAX;
}

void link_settle(struct vgpu_core *c)
{
	struct link *l = &c->link;
	bool was_up = l->state == LINK_UP;

	if (!l->broken)
		return;
	if (l->state != LINK_DOWN)
		c->ops->disconnect(c->opaque);
	l->state = LINK_DOWN;
	l->pending = l->pending_mem = l->pending_reset = 0;
	plan_retry(c);
	msg_reset(c);
	if (l->broken_refuse)
		log_once(c, VGPU_LOG_ERROR, "gpu_mediator and this device do not come together");
	else
		log_once(c, VGPU_LOG_WARNING, "not connected to gpu_mediator, trying again");
	if (l->broken_refuse)
		set_refused(c);
	l->broken = false;
	if (was_up)
		core_interrupt(c, VGPU_INT_LINK);
	FOR_EACH_QUEUE(c, q)
	queue_link_lost(c, q);
}

void link_send(struct vgpu_core *c, uint32_t request, bool reply, const void *payload, size_t size,
	       const int *fds, size_t nfds)
{
	uint8_t buf[sizeof(struct vgpu_msg_header) + VGPU_MSG_PAYLOAD_MAX];
	struct vgpu_msg_header h = {
		.request = request,
		.flags = VGPU_SOCKET_VERSION | (reply ? VGPU_MSG_NEED_REPLY : 0),
		.size = (uint32_t)size,
	};
	int err;

	if (c->link.broken)
		return;
	memcpy(buf, &h, sizeof(h));
	if (size)
		memcpy(buf + sizeof(h), payload, size);
	err = c->ops->send(c->opaque, buf, sizeof(h) + size, fds, nfds);
	if (err)
		link_break(c, false, "sending failed: %s", strerror(-err));
	else if (reply && !c->link.pending++)
		c->link.reply_due = c->now + REPLY_TIMEOUT;
}

static void send_hello(struct vgpu_core *c)
{
	struct vgpu_msg_hello m = {
		.magic = VGPU_HELLO_MAGIC,
		.protocol_version = VGPU_PROTOCOL_VERSION,
		.abi_version = VGPU_ABI_VERSION,
		.max_queues = c->nqueues,
		.features = VGPU_F_ALL,
		.protocol_features = c->link.offered,
	};

	memcpy(m.uuid, c->uuid, sizeof(m.uuid));
	memcpy(m.name, c->name, sizeof(m.name));
	c->link.state = LINK_HELLO;
	msg_reset(c);
	link_send(c, VGPU_MSG_HELLO, true, &m, sizeof(m), NULL, 0);
}

void link_try(struct vgpu_core *c)
{
	int err;

	c->link.state = LINK_CONNECTING;
	err = c->ops->connect(c->opaque);
	if (!err)
		send_hello(c);
	else if (err != -EINPROGRESS)
		link_break(c, false, "%s", strerror(-err));
}

void vgpu_core_start(struct vgpu_core *c)
{
	c->link.started = true;
	link_try(c);
	core_settle(c);
}

void vgpu_core_connected(struct vgpu_core *c)
{
	if (c->link.state == LINK_DOWN || c->link.state == LINK_CONNECTING)
		send_hello(c);
	core_settle(c);
}

void vgpu_core_disconnected(struct vgpu_core *c)
{
	if (c->link.state != LINK_DOWN)
		link_break(c, false, "the connection was closed");
	core_settle(c);
}

/* Called for each reply; the last one of the resumption opens the link to the guest. */
void link_answered(struct vgpu_core *c)
{
	struct link *l = &c->link;

	l->reply_due = c->now + REPLY_TIMEOUT;
	if (l->pending)
		l->pending--;
	if (l->state != LINK_RESUMING || l->pending || l->broken)
		return;
	l->state = LINK_UP;
	l->backoff = BACKOFF_FIRST;
	l->logged[0] = '\0';
	core_log(c, VGPU_LOG_INFO, "connected to gpu_mediator");
	c->status &= ~VGPU_STATUS_REFUSED;
	note_refusal(c, "");
	core_interrupt(c, VGPU_INT_LINK);
}

static bool versions_fit(struct vgpu_core *c, const struct vgpu_msg_hello_reply *r)
{
	if (r->protocol_version != VGPU_PROTOCOL_VERSION)
		link_break(c, true,
			   "it speaks version %u of the socket protocol, this device version %u",
			   r->protocol_version, VGPU_PROTOCOL_VERSION);
	else if (r->abi_version >> 16 != VGPU_ABI_MAJOR)
		link_break(c, true,
			   "it knows version %u of the guest's ABI, this device version %u",
			   r->abi_version >> 16, VGPU_ABI_MAJOR);
	return !c->link.broken;
}

static bool features_fit(struct vgpu_core *c, const struct vgpu_msg_hello_reply *r)
{
	uint64_t used = c->features_ok ? c->driver_features : 0;

	if ((r->features & ~VGPU_F_ALL) || (r->protocol_features & ~c->link.offered))
		link_break(c, true, "it accepted features that were not offered");
	else if (PF_NEEDED & ~r->protocol_features)
		link_break(c, true, "it lacks protocol features 0x%llx",
			   (unsigned long long)(PF_NEEDED & ~r->protocol_features));
	else if (used & ~r->features)
		link_break(c, true, "it lacks features 0x%llx, which the guest already uses",
			   (unsigned long long)(used & ~r->features));
	return !c->link.broken;
}

/* False: the message is malformed.  A refusal may end after the status. */
bool link_hello_reply(struct vgpu_core *c, const void *payload, size_t size)
{
	struct vgpu_msg_hello_reply r = {0};
	char reason[VGPU_REASON_MAX];

	if (c->link.state != LINK_HELLO || size < sizeof(r.status))
		return false;
	memcpy(&r, payload, size < sizeof(r) ? size : sizeof(r));
	if (r.status.status) {
		link_text(r.status.reason, sizeof(r.status.reason), reason, sizeof(reason));
		link_break(c, true, "%s (%d)", *reason ? reason : "no reason given",
			   r.status.status);
		return true;
	}
	if (!versions_fit(c, &r))
		return true;
	if (size != sizeof(r))
		return false;
	if (!features_fit(c, &r))
		return true;
	c->link.features = r.features;
	memory_judge(c, r.protocol_features & VGPU_PF_XEN_MMAP);
	c->link.max_queues = r.max_queues < c->nqueues ? r.max_queues : c->nqueues;
	c->link.state = LINK_RESUMING;
	memory_send_all(c);
	FOR_EACH_QUEUE(c, q)
	queue_resume(c, q);
	return true;
}
