/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Commands by registers: one at a time, through the ring of a session of the
 * device's own, of which the core is the guest's side.
 */
#include "core_priv.h"

/* Ends the running command; `body` goes to where the guest asked, as far as it fits. */
void regcmd_finish(struct vgpu_core *c, int32_t result, const void *body, size_t length)
{
	size_t room = VGPU_BAR_REGS_SIZE - c->reg.offset;

	if (length > room)
		length = room;
	if (length)
		memcpy(c->data + (c->reg.offset - VGPU_REG_DATA), body, length);
	c->result = result;
	c->result_length = (uint32_t)length;
	c->reg.sent = false;
	c->status &= ~(VGPU_STATUS_BUSY | VGPU_STATUS_DONE | VGPU_STATUS_ERROR);
	c->status |= VGPU_STATUS_DONE | (result < 0 ? VGPU_STATUS_ERROR : 0);
	core_interrupt(c, VGPU_INT_COMMAND);
}

static int check_command(const struct vgpu_core *c)
{
	if (c->data_offset % 4 || c->data_offset < VGPU_REG_DATA ||
	    c->data_offset >= VGPU_BAR_REGS_SIZE ||
	    c->data_length > VGPU_BAR_REGS_SIZE - c->data_offset)
		return -EINVAL;
	if (c->command > UINT16_MAX || c->command == VGPU_CMD_CUDA)
		return -EOPNOTSUPP;
	return link_error(c);
}

/* A write to COMMAND.  Settling goes on from here. */
void regcmd_run(struct vgpu_core *c)
{
	int err = check_command(c);

	c->reg.command = c->command;
	c->reg.length = c->data_length;
	c->reg.offset = VGPU_REG_DATA;
	c->reg.sent = false;
	c->reg.restarted = false;
	if (err) {
		regcmd_finish(c, err, NULL, 0);
		return;
	}
	c->reg.offset = c->data_offset;
	c->status &= ~(VGPU_STATUS_DONE | VGPU_STATUS_ERROR);
	c->status |= VGPU_STATUS_BUSY;
}

static void submit(struct vgpu_core *c)
{
	struct vgpu_request rq = {
		.length = (uint32_t)sizeof(rq) + c->reg.length,
		.command = (uint16_t)c->reg.command,
		.id = ++c->reg.id,
	};
	struct vgpu_piece piece[2] = {
		{&rq, sizeof(rq)},
		{c->data + (c->reg.offset - VGPU_REG_DATA), c->reg.length},
	};
	int err = vgpu_ring_push(&c->reg.ring, piece, 2);

	if (err) { /* the ring is ours and empty, so its other side is not sane */
		queue_stop(c, core_reg_queue(c));
		regcmd_finish(c, -EIO, NULL, 0);
		return;
	}
	c->reg.sent = true;
	if (vgpu_ring_must_kick(&c->reg.ring))
		c->ops->kick(c->opaque, VGPU_QUEUE_REGISTERS);
}

/* A session that failed earlier is replaced once for each command. */
static void session_failed(struct vgpu_core *c, struct queue *q)
{
	if (c->reg.sent || c->reg.restarted) {
		regcmd_finish(c, q->error, NULL, 0);
		return;
	}
	queue_stop(c, q);
}

/* Moves the running command on as far as the register session allows. */
void regcmd_settle(struct vgpu_core *c)
{
	struct queue *q = core_reg_queue(c);

	while (c->status & VGPU_STATUS_BUSY) {
		uint32_t before = q->state;

		if (q->state == VGPU_QUEUE_STATE_RUNNING && !c->reg.sent) {
			submit(c);
		} else if (q->state == VGPU_QUEUE_STATE_STOPPED) {
			c->reg.restarted = true;
			queue_start(c, q);
		} else if (q->state == VGPU_QUEUE_STATE_FAILED) {
			session_failed(c, q);
		} else if (q->state == VGPU_QUEUE_STATE_STOPPING && !vgpu_core_link_up(c)) {
			regcmd_finish(c, -ENOTCONN, NULL, 0);
		}
		if (q->state == before)
			return;
	}
}

static void broken(struct vgpu_core *c, const char *why)
{
	if (core_may_log(c))
		core_log(c, VGPU_LOG_WARNING, "register session: %s, giving it up", why);
	queue_stop(c, core_reg_queue(c));
	if (c->status & VGPU_STATUS_BUSY)
		regcmd_finish(c, -EIO, NULL, 0);
}

/* One look at the ring: there is never more than one answer to expect. */
void regcmd_call(struct vgpu_core *c)
{
	uint8_t record[VGPU_RECORD_MAX];
	struct vgpu_response rsp;
	int n;

	if (core_reg_queue(c)->state != VGPU_QUEUE_STATE_RUNNING)
		return;
	n = vgpu_ring_pop(&c->reg.ring, record);
	if (n == -EAGAIN)
		return;
	if (n < 0) {
		broken(c, "its ring makes no sense");
		return;
	}
	memcpy(&rsp, record, sizeof(rsp));
	if (!c->reg.sent || rsp.id != c->reg.id) {
		broken(c, "an answer to nothing");
		return;
	}
	if (vgpu_ring_must_kick_full(&c->reg.ring))
		c->ops->kick(c->opaque, VGPU_QUEUE_REGISTERS);
	regcmd_finish(c, (int32_t)rsp.status, record + sizeof(rsp), (size_t)n - sizeof(rsp));
}

bool regcmd_attach(struct vgpu_core *c, int fd)
{
	size_t bytes = vgpu_ring_bytes(REG_SLOTS, REG_SLOTS);

	c->reg.ring_mem = c->ops->map(c->opaque, fd, bytes);
	if (!c->reg.ring_mem)
		return false;
	vgpu_ring_init(&c->reg.ring, c->reg.ring_mem, REG_SLOTS, REG_SLOTS);
	return true;
}

void regcmd_detach(struct vgpu_core *c)
{
	if (c->reg.ring_mem)
		c->ops->unmap(c->opaque, c->reg.ring_mem, vgpu_ring_bytes(REG_SLOTS, REG_SLOTS));
	c->reg.ring_mem = NULL;
}
