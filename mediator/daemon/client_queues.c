/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A device's queues: starts, stops, resumes, the reset, and news of their sessions. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "client_priv.h"
#include "discard.h"
#include "fdio.h"
#include "session.h"
#include "tenant.h"
#include "vgpu_abi.h"
#include "worker_groups.h"

static void send_queue(struct client *c, uint32_t request, uint32_t flags, uint32_t queue,
		       uint64_t session, int status, const char *reason)
{
	struct vgpu_msg_queue_reply r = {.queue = {.queue = queue, .session = session}};

	client_fill_status(&r.status, status, reason);
	outbox_put(&c->out, request, flags, &r, sizeof(r), NULL, 0);
}

static void send_started(struct client *c, uint32_t queue, uint64_t session, const int *fds,
			 guint nfds, int status, const char *reason)
{
	struct vgpu_msg_queue_start_reply r = {.queue = queue, .session = session};

	client_fill_status(&r.status, status, reason);
	outbox_put(&c->out, VGPU_MSG_QUEUE_START, VGPU_MSG_REPLY, &r, sizeof(r), fds, nfds);
}

static bool slots_fit(uint32_t slots)
{
	return slots >= VGPU_SLOTS_MIN && slots <= VGPU_SLOTS_MAX && !(slots & (slots - 1));
}

/* What can be said of a QUEUE_START without looking at memory. */
static const char *judge_start(const struct client *c, const struct vgpu_msg_queue_start *m)
{
	bool registers = m->queue == VGPU_QUEUE_REGISTERS;

	if (m->flags & ~VGPU_QUEUE_HOST_RING)
		return "unknown flags";
	if (!registers && m->queue >= c->max_queues)
		return "no such queue";
	if (registers != !!(m->flags & VGPU_QUEUE_HOST_RING))
		return "a host ring is for the register session, and it has no other";
	if (!slots_fit(m->req_slots) || !slots_fit(m->rsp_slots))
		return "a ring's slots must be a power of two from 256 to 4096";
	if (m->nbuffers > VGPU_BUFFERS_MAX)
		return "too many buffers";
	if (registers && (m->ring_addr || m->table_addr || m->nbuffers))
		return "the register session has neither a ring in RAM nor buffers";
	if (m->ring_addr % VGPU_PAGE || m->table_addr % sizeof(struct vgpu_buffer_entry))
		return "the ring or the buffer table is not aligned";
	return NULL;
}

/* In `words` or elsewhere, *why. */
static int may_start(const struct client *c, const struct vgpu_msg_queue_start *m,
		     char words[VGPU_REASON_MAX], const char **why)
{
	*why = judge_start(c, m);
	if (*why)
		return -EINVAL;
	if (g_hash_table_contains(c->queues, GUINT_TO_POINTER(m->queue))) {
		*why = "the queue has a session";
		return -EBUSY;
	}
	if (m->req_slots > c->tenant->policy->queue_depth) {
		*why = "the tenant's queues may not be so deep; ask the host's administrator";
		return -EDQUOT;
	}
	if (faults_shut_out(c->tenant, words, VGPU_REASON_MAX)) {
		*why = words;
		return -EACCES;
	}
	if (c->d->draining) {
		*why = "the host takes no new sessions for now: it is being drained";
		return -ESHUTDOWN;
	}
	if (g_hash_table_size(c->d->sessions) >= c->d->config->max_sessions) {
		*why = "the host has as many sessions as its configuration allows";
		return -EUSERS;
	}
	return 0;
}

/* There are too many of something. */
static enum audit_cause cause_of_many(const struct tenant *t)
{
	if (t->sessions >= t->policy->sessions)
		return AUDIT_SESSIONS;
	return worker_group_is_full(t) ? AUDIT_HOST_PROCESSES : AUDIT_HOST_LIMIT;
}

/* The statuses that may_start() and session_start() give. */
static enum audit_cause cause_of(const struct client *c, int status)
{
	if (status == -EDQUOT)
		return AUDIT_QUEUE_DEPTH;
	if (status == -EACCES && c->tenant->flags & TENANT_QUARANTINED)
		return AUDIT_QUARANTINED;
	if (status == -ESHUTDOWN)
		return AUDIT_DRAINING;
	if (status == -ENODEV)
		return AUDIT_GPUS;
	if (status == -EUSERS)
		return cause_of_many(c->tenant);
	return status == -EINVAL || status == -EBUSY ? AUDIT_PROTOCOL : AUDIT_RESOURCES;
}

void client_queue_start(struct client *c)
{
	struct vgpu_msg_queue_start m;
	char reason[VGPU_REASON_MAX] = "";
	struct log_about about = client_about(c);
	struct session *s = NULL;
	const char *why = reason;
	int kick = framing_take_fd(&c->in, 0), call = framing_take_fd(&c->in, 1);
	int status;

	framing_payload(&c->in, &m, sizeof(m));
	status = may_start(c, &m, reason, &why);
	if (status == 0 && (!fdio_is_eventfd(kick) || !fdio_is_eventfd(call))) {
		why = "kick and call must be eventfds";
		status = -EINVAL;
	}
	if (status < 0) {
		discard(kick);
		discard(call);
	} else {
		s = session_start(c->d, c, &m, kick, call, &status, reason);
		why = reason;
	}
	if (s) {
		g_hash_table_insert(c->queues, GUINT_TO_POINTER(m.queue), s);
		return;
	}
	if (client_may_log(c))
		log_warning(&about, "queue %u refused: %s", m.queue, why);
	client_audit(c, AUDIT_SESSION_REFUSED, cause_of(c, status), why);
	send_started(c, m.queue, 0, NULL, 0, status, why);
}

void client_queue_stop(struct client *c)
{
	struct vgpu_msg_queue m;
	struct session *s;

	framing_payload(&c->in, &m, sizeof(m));
	s = g_hash_table_lookup(c->queues, GUINT_TO_POINTER(m.queue));
	if (!s || s->id != m.session || s->stop_wanted) {
		send_queue(c, VGPU_MSG_QUEUE_STOP, VGPU_MSG_REPLY, m.queue, m.session, -ENOENT,
			   "no such session");
		return;
	}
	s->stop_wanted = true;
	session_kill(s, 0, "stopped by the guest");
}

void client_queue_resume(struct client *c)
{
	struct vgpu_msg_queue m;
	struct session *s;
	const char *why = "no such session";
	int page = framing_take_fd(&c->in, 0);
	int status = -ENOENT;

	framing_payload(&c->in, &m, sizeof(m));
	s = g_hash_table_lookup(c->d->sessions, &m.session);
	if (s && s->state == SESSION_ORPHAN && s->queue == m.queue && s->tenant == c->tenant &&
	    memcmp(s->uuid, c->uuid, sizeof(s->uuid)) == 0 &&
	    !g_hash_table_contains(c->queues, GUINT_TO_POINTER(m.queue))) {
		g_hash_table_insert(c->queues, GUINT_TO_POINTER(m.queue), s);
		status = session_resume(s, c, page, &why);
		if (status < 0)
			g_hash_table_remove(c->queues, GUINT_TO_POINTER(m.queue));
	} else {
		discard(page);
	}
	send_queue(c, VGPU_MSG_QUEUE_RESUME, VGPU_MSG_REPLY, m.queue, m.session, status,
		   status < 0 ? why : "");
}

void client_kill_sessions(struct client *c, const char *reason)
{
	GHashTableIter iter;
	gpointer s;

	g_hash_table_iter_init(&iter, c->queues);
	while (g_hash_table_iter_next(&iter, NULL, &s))
		session_kill(s, -ECANCELED, reason);
}

static void finish_reset(struct client *c)
{
	if (!c->resets_wanted || g_hash_table_size(c->queues))
		return;
	for (; c->resets_wanted; c->resets_wanted--)
		client_send_status(c, VGPU_MSG_RESET_DEVICE, 0, "");
}

void client_reset_device(struct client *c)
{
	struct log_about about = client_about(c);

	if (client_may_log(c))
		log_info(&about, "device reset: %u sessions end", g_hash_table_size(c->queues));
	c->resets_wanted += framing_wants_reply(&c->in);
	client_kill_sessions(c, "the device was reset");
	finish_reset(c);
}

void client_session_ready(struct client *c, struct session *s)
{
	int fds[OUTBOX_FDS] = {s->page_fd, s->lifeline, s->ring};

	send_started(c, s->queue, s->id, fds, s->ring >= 0 ? 3 : 2, 0, "");
}

/* Tells the device what it waits for, or the news. */
void client_session_gone(struct client *c, struct session *s)
{
	g_hash_table_remove(c->queues, GUINT_TO_POINTER(s->queue));
	if (!s->announced)
		send_started(c, s->queue, 0, NULL, 0, s->status < 0 ? s->status : -ECANCELED,
			     s->reason);
	else if (s->stop_wanted)
		send_queue(c, VGPU_MSG_QUEUE_STOP, VGPU_MSG_REPLY, s->queue, s->id, 0, "");
	else if (!c->resets_wanted)
		send_queue(c, VGPU_MSG_QUEUE_LOST, 0, s->queue, s->id,
			   s->status < 0 ? s->status : -EIO, s->reason);
	finish_reset(c);
}
