/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The core's life, its clock, and what every input ends with.
 */
#include "core_priv.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
	       "registers and messages are taken as they lie in memory");

void core_log(struct vgpu_core *c, enum vgpu_log_level level, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	c->ops->log(c->opaque, level, text);
}

static void refill_log(struct vgpu_core *c)
{
	int64_t more = (c->now - c->log.at) / LOG_INTERVAL;

	c->log.at += more * LOG_INTERVAL;
	if (more >= LOG_BURST - (int64_t)c->log.left)
		c->log.left = LOG_BURST;
	else
		c->log.left += (uint32_t)more;
}

/* The host's disk is not the guest's to fill; what was left out is counted. */
bool core_may_log(struct vgpu_core *c)
{
	refill_log(c);
	if (!c->log.left) {
		c->log.dropped++;
		return false;
	}
	c->log.left--;
	if (c->log.dropped)
		core_log(c, VGPU_LOG_WARNING, "%u lines were left out, as there were too many",
			 c->log.dropped);
	c->log.dropped = 0;
	return true;
}

/* Latches interrupt bits; the vector is raised only for what is new and wanted. */
void core_interrupt(struct vgpu_core *c, uint32_t bits)
{
	uint32_t fresh = bits & ~c->int_status;

	if (c->resetting) /* the end of the reset says it all */
		return;
	c->int_status |= bits;
	if (fresh & c->int_mask)
		c->ops->raise(c->opaque, 0);
}

/* What the guest is offered: nothing without shareable RAM, never more than the daemon knows. */
uint64_t core_features(const struct vgpu_core *c)
{
	return memory_is_shared(c) ? VGPU_F_ALL & c->link.features : 0;
}

/*
 * Every input ends here.  A drop of the connection changes queues, a change of
 * the register session may submit or fail a command, and that may send, which
 * may break the connection again; it then stays down, so this comes to rest.
 */
void core_settle(struct vgpu_core *c)
{
	do {
		bool busy = false;

		link_settle(c);
		FOR_EACH_QUEUE(c, q)
		queue_settle(c, q);
		regcmd_settle(c);
		FOR_EACH_QUEUE(c, q)
		busy |= q->state != VGPU_QUEUE_STATE_STOPPED;
		if (!busy && !c->link.pending_reset)
			c->resetting = false;
	} while (c->link.broken);
}

static void reset_registers(struct vgpu_core *c)
{
	c->status &= VGPU_STATUS_REFUSED;
	c->command = 0;
	c->data_offset = VGPU_REG_DATA;
	c->data_length = 0;
	c->result = 0;
	c->result_length = 0;
	c->int_status = 0;
	c->int_mask = 0;
	c->driver_features = 0;
	c->features_ok = false;
	c->select = 0;
	c->reason_select = 0;
	c->count_doorbells = 0;
	c->count_interrupts = 0;
	memset(c->data, 0, sizeof(c->data));
}

void core_reset(struct vgpu_core *c)
{
	bool any = false;

	reset_registers(c);
	c->resetting = true; /* settling ends it, maybe at once */
	FOR_EACH_QUEUE(c, q)
	any |= q->state != VGPU_QUEUE_STATE_STOPPED;
	if (any && link_agreed(c)) {
		link_send(c, VGPU_MSG_RESET_DEVICE, true, NULL, 0, NULL, 0);
		c->link.pending_reset++;
	}
	FOR_EACH_QUEUE(c, q)
	queue_reset(c, q);
}

uint32_t vgpu_core_vectors(uint32_t queues)
{
	return queues + 1 < VGPU_CORE_VECTORS_MAX ? queues + 1 : VGPU_CORE_VECTORS_MAX;
}

struct vgpu_core *vgpu_core_new(const struct vgpu_core_config *config,
				const struct vgpu_core_ops *ops, void *opaque)
{
	struct vgpu_core *c;

	if (config->queues < 1 || config->queues > VGPU_QUEUES_MAX)
		return NULL;
	c = calloc(1, sizeof(*c));
	if (!c)
		return NULL;
	c->queue = calloc(config->queues + 1, sizeof(*c->queue));
	if (!c->queue) {
		free(c);
		return NULL;
	}
	c->ops = ops;
	c->opaque = opaque;
	c->nqueues = config->queues;
	c->nvectors = vgpu_core_vectors(config->queues);
	memcpy(c->uuid, config->uuid, sizeof(c->uuid));
	snprintf(c->name, sizeof(c->name), "%s", config->name ? config->name : "");
	for (uint32_t i = 0; i < c->nqueues; i++)
		queue_init(&c->queue[i], i);
	queue_init(core_reg_queue(c), VGPU_QUEUE_REGISTERS);
	link_init(&c->link);
	c->link.max_queues = c->nqueues;
	c->link.offered = VGPU_PF_ALL | (config->by_domain ? VGPU_PF_XEN_MMAP : 0);
	c->link.by_domain = config->by_domain;
	c->log.left = LOG_BURST;
	reset_registers(c);
	return c;
}

void vgpu_core_free(struct vgpu_core *c)
{
	if (!c)
		return;
	if (link_agreed(c))
		link_send(c, VGPU_MSG_RESET_DEVICE, false, NULL, 0, NULL, 0);
	FOR_EACH_QUEUE(c, q)
	queue_drop(c, q);
	regcmd_detach(c);
	msg_reset(c);
	if (c->link.state != LINK_DOWN)
		c->ops->disconnect(c->opaque);
	free(c->queue);
	free(c);
}

void vgpu_core_time(struct vgpu_core *c, int64_t now_ms)
{
	if (now_ms > c->now)
		c->now = now_ms;
}

static void sooner(int64_t *t, int64_t other)
{
	if (other < *t)
		*t = other;
}

int64_t vgpu_core_deadline(const struct vgpu_core *c)
{
	int64_t t = NO_DEADLINE;

	if (c->link.started && c->link.state == LINK_DOWN)
		sooner(&t, c->link.retry_at);
	if (c->link.pending)
		sooner(&t, c->link.reply_due);
	FOR_EACH_QUEUE(c, q)
	sooner(&t, q->gone_at);
	return t;
}

void vgpu_core_tick(struct vgpu_core *c)
{
	if (c->link.pending && c->now >= c->link.reply_due)
		link_break(c, false, "no answer for %d s", REPLY_TIMEOUT / 1000);
	if (c->link.started && c->link.state == LINK_DOWN && c->now >= c->link.retry_at)
		link_try(c);
	core_settle(c);
}

void vgpu_core_reset(struct vgpu_core *c)
{
	core_reset(c);
	core_settle(c);
}

uint32_t vgpu_core_workers(const struct vgpu_core *c)
{
	uint32_t n = 0;

	FOR_EACH_QUEUE(c, q)
	n += queue_may_have_worker(q);
	return n;
}

uint32_t vgpu_core_queue_state(const struct vgpu_core *c, uint32_t q)
{
	if (q == VGPU_QUEUE_REGISTERS)
		return c->queue[c->nqueues].state;
	return q < c->nqueues ? c->queue[q].state : VGPU_QUEUE_STATE_STOPPED;
}
