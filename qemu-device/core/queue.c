/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The life of a queue, and of the register session, which is one more queue.
 *
 * A queue's memory is the guest's again only in state STOPPED, and that is
 * reached only when no worker can touch it any more.  What proves that: the
 * daemon's word (a failed start, a stop, a reset, a loss), or the end of the
 * lifeline, which the worker holds as long as it lives.  Without a daemon we
 * end the lifeline from our side and wait for the worker to follow.
 */
#include "core_priv.h"

#include <stdio.h>

struct queue *queue_by_id(struct vgpu_core *c, uint32_t id)
{
	if (id == VGPU_QUEUE_REGISTERS)
		return core_reg_queue(c);
	return id < c->nqueues ? &c->queue[id] : NULL;
}

void queue_clear_setup(struct queue *q)
{
	q->addr = 0;
	q->table = 0;
	q->req_slots = 0;
	q->rsp_slots = 0;
	q->buffers = 0;
	q->vector = 0;
	q->tag = 0;
	q->error = 0;
}

void queue_init(struct queue *q, uint32_t id)
{
	memset(q, 0, sizeof(*q));
	q->id = id;
	q->lifeline = -1;
	q->page = -1;
	q->gone = true;
	q->gone_at = NO_DEADLINE;
}

bool queue_may_have_worker(const struct queue *q)
{
	return !q->gone;
}

static bool is_reg(const struct queue *q)
{
	return q->id == VGPU_QUEUE_REGISTERS;
}

static void set_state(struct vgpu_core *c, struct queue *q, uint32_t state)
{
	q->state = state;
	if (!is_reg(q))
		core_interrupt(c, VGPU_INT_QUEUE);
}

static void queue_log(struct vgpu_core *c, const struct queue *q, enum vgpu_log_level level,
		      const char *what, const char *reason)
{
	char who[32];

	if (!core_may_log(c))
		return;
	if (is_reg(q))
		snprintf(who, sizeof(who), "register session");
	else
		snprintf(who, sizeof(who), "queue %u", q->id);
	core_log(c, level, "%s (session %llu, tag %u): %s%s%s", who, (unsigned long long)q->session,
		 q->tag, what, *reason ? ": " : "", reason);
}

/* Off the fast paths: no doorbell reaches the worker, no interrupt of it the guest. */
static void take_down(struct vgpu_core *c, struct queue *q)
{
	if (!q->up)
		return;
	q->up = false;
	c->ops->queue_down(c->opaque, q->id);
	if (is_reg(q))
		regcmd_detach(c);
}

static void mark_gone(struct vgpu_core *c, struct queue *q)
{
	q->gone = true;
	q->ending = false;
	q->gone_at = NO_DEADLINE;
	if (q->lifeline >= 0) {
		c->ops->unwatch_lifeline(c->opaque, q->id, q->lifeline);
		c->ops->close_fd(c->opaque, q->lifeline);
		q->lifeline = -1;
	}
	if (q->page >= 0) {
		c->ops->close_fd(c->opaque, q->page);
		q->page = -1;
	}
}

/*
 * Makes the worker go without the daemon's help.  Where the start was under way
 * when the daemon vanished we never got the lifeline; it is closed with the
 * daemon or with the socket, so that worker, if there is one, goes by itself.
 */
static void make_gone(struct vgpu_core *c, struct queue *q)
{
	if (q->gone || q->ending)
		return;
	q->ending = true;
	if (q->lifeline >= 0)
		c->ops->shutdown_lifeline(c->opaque, q->lifeline);
	else
		q->gone_at = c->now + UNKNOWN_WORKER;
}

/* `reason` is what the daemon said, or "": the guest may read it. */
static void fail(struct vgpu_core *c, struct queue *q, int32_t error, const char *reason)
{
	take_down(c, q);
	q->error = error;
	memset(q->reason, 0, sizeof(q->reason));
	snprintf(q->reason, sizeof(q->reason), "%s", reason);
	set_state(c, q, VGPU_QUEUE_STATE_FAILED);
	make_gone(c, q);
}

static bool slots_fit(uint32_t slots)
{
	return slots >= VGPU_SLOTS_MIN && slots <= VGPU_SLOTS_MAX && !(slots & (slots - 1));
}

/* Arithmetic only: whether RAM lies there is for the worker to find out. */
static int check_setup(const struct vgpu_core *c, const struct queue *q)
{
	uint64_t ring, table;

	if (!c->features_ok || !(c->driver_features & VGPU_F_QUEUES) || q->id >= c->link.max_queues)
		return -EINVAL;
	if (!slots_fit(q->req_slots) || !slots_fit(q->rsp_slots) || q->vector >= c->nvectors)
		return -EINVAL;
	ring = vgpu_ring_bytes(q->req_slots, q->rsp_slots);
	if (q->addr % VGPU_PAGE || q->addr > UINT64_MAX - ring)
		return -EINVAL;
	if (!q->buffers)
		return 0;
	table = (uint64_t)q->buffers * sizeof(struct vgpu_buffer_entry);
	if (!(c->driver_features & VGPU_F_BUFFERS) || q->buffers > VGPU_BUFFERS_MAX ||
	    q->table % sizeof(struct vgpu_buffer_entry) || q->table > UINT64_MAX - table)
		return -EINVAL;
	return 0;
}

static void send_start(struct vgpu_core *c, struct queue *q, const int *fds)
{
	struct vgpu_msg_queue_start m = {
		.queue = q->id,
		.flags = is_reg(q) ? VGPU_QUEUE_HOST_RING : 0,
		.ring_addr = q->addr,
		.table_addr = q->buffers ? q->table : 0,
		.req_slots = is_reg(q) ? REG_SLOTS : q->req_slots,
		.rsp_slots = is_reg(q) ? REG_SLOTS : q->rsp_slots,
		.nbuffers = q->buffers,
		.tag = q->tag,
	};

	q->pending = VGPU_MSG_QUEUE_START;
	q->gone = false;
	set_state(c, q, VGPU_QUEUE_STATE_STARTING);
	link_send(c, VGPU_MSG_QUEUE_START, true, &m, sizeof(m), fds, 2);
}

void queue_start(struct vgpu_core *c, struct queue *q)
{
	int fds[2] = {-1, -1};
	int err = is_reg(q) ? 0 : check_setup(c, q);

	q->error = 0;
	q->session = 0;
	if (!err)
		err = link_error(c);
	if (!err) {
		q->up = true;
		err = c->ops->make_queue_fds(c->opaque, q->id, &fds[0], &fds[1]);
	}
	if (err)
		fail(c, q, err, "");
	else
		send_start(c, q, fds);
}

/*
 * A queue being stopped: what is still to be done for it.  A stop is not sent
 * before the answer to a start or resume is there, as only then we know what
 * to stop.
 */
void queue_settle(struct vgpu_core *c, struct queue *q)
{
	struct vgpu_msg_queue m = {.queue = q->id, .session = q->session};

	if (!q->gone && c->now >= q->gone_at)
		mark_gone(c, q);
	if (q->state != VGPU_QUEUE_STATE_STOPPING || q->pending)
		return;
	if (q->known) {
		if (c->link.pending_reset)
			return;
		q->pending = VGPU_MSG_QUEUE_STOP;
		link_send(c, VGPU_MSG_QUEUE_STOP, true, &m, sizeof(m), NULL, 0);
	} else if (!q->gone) {
		make_gone(c, q);
	} else {
		q->error = 0;
		set_state(c, q, VGPU_QUEUE_STATE_STOPPED);
		if (c->resetting)
			queue_clear_setup(q);
	}
}

static void begin_stop(struct vgpu_core *c, struct queue *q)
{
	if (q->state == VGPU_QUEUE_STATE_STOPPED || q->state == VGPU_QUEUE_STATE_STOPPING)
		return;
	take_down(c, q);
	set_state(c, q, VGPU_QUEUE_STATE_STOPPING);
}

void queue_stop(struct vgpu_core *c, struct queue *q)
{
	begin_stop(c, q);
	queue_settle(c, q);
}

/* As a stop, but at once from our side too: the guest may be gone already. */
void queue_reset(struct vgpu_core *c, struct queue *q)
{
	if (q->state == VGPU_QUEUE_STATE_STOPPED) {
		queue_clear_setup(q);
		return;
	}
	begin_stop(c, q);
	if (q->lifeline >= 0)
		make_gone(c, q);
}

/* The daemon's word for all of them; a start under way answers for itself. */
void queues_were_reset(struct vgpu_core *c)
{
	FOR_EACH_QUEUE(c, q)
	{
		if (q->pending || q->state != VGPU_QUEUE_STATE_STOPPING)
			continue;
		q->known = false;
		mark_gone(c, q);
	}
}

/* The device goes away: closing the lifeline ends the worker. */
void queue_drop(struct vgpu_core *c, struct queue *q)
{
	take_down(c, q);
	mark_gone(c, q);
	q->state = VGPU_QUEUE_STATE_STOPPED;
}

void queue_resume(struct vgpu_core *c, struct queue *q)
{
	struct vgpu_msg_queue m = {.queue = q->id, .session = q->session};

	if (q->state != VGPU_QUEUE_STATE_RUNNING)
		return;
	q->pending = VGPU_MSG_QUEUE_RESUME;
	link_send(c, VGPU_MSG_QUEUE_RESUME, true, &m, sizeof(m), &q->page, 1);
}

void queue_link_lost(struct vgpu_core *c, struct queue *q)
{
	q->pending = 0;
	q->known = false;
	if (q->state == VGPU_QUEUE_STATE_STARTING)
		fail(c, q, -ENOTCONN, "");
	else if (q->state == VGPU_QUEUE_STATE_STOPPING)
		make_gone(c, q);
}

static void adopt(struct vgpu_core *c, struct queue *q, const struct vgpu_msg_queue_start_reply *r,
		  int *fds)
{
	q->pending = 0;
	q->known = true;
	q->session = r->session;
	q->page = fds[0];
	q->lifeline = fds[1];
	fds[0] = -1;
	fds[1] = -1;
	c->ops->watch_lifeline(c->opaque, q->id, q->lifeline);
	if (q->state != VGPU_QUEUE_STATE_STARTING)
		return; /* stopped meanwhile; settling sends the stop */
	if (is_reg(q) && !regcmd_attach(c, fds[2])) {
		queue_log(c, q, VGPU_LOG_ERROR, "the ring the daemon made cannot be used", "");
		fail(c, q, -EIO, "");
		return;
	}
	c->ops->queue_up(c->opaque, q->id, q->vector);
	set_state(c, q, VGPU_QUEUE_STATE_RUNNING);
}

static void refused(struct vgpu_core *c, struct queue *q, const struct vgpu_msg_status *s)
{
	char reason[VGPU_REASON_MAX];

	q->pending = 0;
	mark_gone(c, q);
	link_text(s->reason, sizeof(s->reason), reason, sizeof(reason));
	queue_log(c, q, VGPU_LOG_WARNING, "the daemon refused to start it", reason);
	if (q->state == VGPU_QUEUE_STATE_STARTING)
		fail(c, q, s->status, reason);
}

bool queue_started(struct vgpu_core *c, const struct vgpu_msg_queue_start_reply *r, int *fds,
		   size_t nfds)
{
	struct queue *q = queue_by_id(c, r->queue);

	if (!q || q->pending != VGPU_MSG_QUEUE_START || r->reserved || r->status.reserved)
		return false;
	if (r->status.status < 0 && !nfds)
		refused(c, q, &r->status);
	else if (!r->status.status && nfds == (is_reg(q) ? 3 : 2))
		adopt(c, q, r, fds);
	else
		return false;
	return true;
}

bool queue_stopped(struct vgpu_core *c, const struct vgpu_msg_queue_reply *r)
{
	struct queue *q = queue_by_id(c, r->queue.queue);
	char reason[VGPU_REASON_MAX];

	if (!q || q->pending != VGPU_MSG_QUEUE_STOP || r->queue.session != q->session)
		return false;
	q->pending = 0;
	q->known = false;
	if (!r->status.status || r->status.status == -ENOENT) {
		mark_gone(c, q);
	} else {
		link_text(r->status.reason, sizeof(r->status.reason), reason, sizeof(reason));
		queue_log(c, q, VGPU_LOG_WARNING, "the daemon could not stop it", reason);
	}
	return true;
}

bool queue_resumed(struct vgpu_core *c, const struct vgpu_msg_queue_reply *r)
{
	struct queue *q = queue_by_id(c, r->queue.queue);
	char reason[VGPU_REASON_MAX];

	if (!q || q->pending != VGPU_MSG_QUEUE_RESUME || r->queue.session != q->session)
		return false;
	q->pending = 0;
	if (!r->status.status) {
		q->known = true;
		return true;
	}
	link_text(r->status.reason, sizeof(r->status.reason), reason, sizeof(reason));
	queue_log(c, q, VGPU_LOG_WARNING, "could not be resumed", reason);
	if (q->state == VGPU_QUEUE_STATE_RUNNING)
		fail(c, q, -EIO, reason);
	return true;
}

/* `how` is for the log; `reason` the daemon's word, if it was that. */
static void worker_lost(struct vgpu_core *c, struct queue *q, const char *how, const char *reason)
{
	bool running = q->state == VGPU_QUEUE_STATE_RUNNING;

	mark_gone(c, q);
	if (running) {
		queue_log(c, q, VGPU_LOG_WARNING, "its worker is gone", how);
		fail(c, q, -EIO, reason);
	}
}

/* A loss may cross our stop on the wire, so one that fits nothing is no error. */
bool queue_lost(struct vgpu_core *c, const struct vgpu_msg_queue_reply *r)
{
	struct queue *q = queue_by_id(c, r->queue.queue);
	char reason[VGPU_REASON_MAX];

	if (!q)
		return false;
	if (r->queue.session != q->session || q->pending == VGPU_MSG_QUEUE_START ||
	    q->state == VGPU_QUEUE_STATE_STOPPED)
		return true;
	link_text(r->status.reason, sizeof(r->status.reason), reason, sizeof(reason));
	q->known = false;
	worker_lost(c, q, reason, reason);
	return true;
}

void vgpu_core_lifeline_hup(struct vgpu_core *c, uint32_t id)
{
	struct queue *q = queue_by_id(c, id);

	if (q && q->lifeline >= 0)
		worker_lost(c, q, "lifeline", "");
	core_settle(c);
}
