/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * BAR 0: the register file, and the doorbells and calls that no eventfd took.
 */
#include "core_priv.h"

#define LO(x) ((uint32_t)(x))
#define HI(x) ((uint32_t)((x) >> 32))

static void set_lo(uint64_t *x, uint32_t value)
{
	*x = (*x & ~0xffffffffull) | value;
}

static void set_hi(uint64_t *x, uint32_t value)
{
	*x = (*x & 0xffffffffull) | (uint64_t)value << 32;
}

static void guest_error(struct vgpu_core *c, const char *what, uint64_t offset, uint32_t value)
{
	core_log(c, VGPU_LOG_GUEST, "%s (register 0x%03x, value 0x%x)", what, (unsigned int)offset,
		 value);
}

static uint32_t read_status(const struct vgpu_core *c)
{
	uint32_t s = c->status;

	if (vgpu_core_link_up(c))
		s |= VGPU_STATUS_LINK;
	return s | (memory_is_shared(c) ? VGPU_STATUS_QUEUES : VGPU_STATUS_UNSHARED);
}

static uint32_t read_control(const struct vgpu_core *c)
{
	return (c->resetting ? VGPU_CONTROL_RESET : 0) |
	       (c->features_ok ? VGPU_CONTROL_FEATURES_OK : 0);
}

/* Text in words: a register for each would be a quarter of all there are. */
static uint32_t read_reason(const struct vgpu_core *c)
{
	const char *text = c->link.refusal;
	size_t size = sizeof(c->link.refusal);
	uint32_t value = 0;

	if (!*text && c->select < c->nqueues &&
	    c->queue[c->select].state == VGPU_QUEUE_STATE_FAILED) {
		text = c->queue[c->select].reason;
		size = sizeof(c->queue[c->select].reason);
	}
	if (c->reason_select >= size / 4)
		return 0;
	for (uint32_t i = 0; i < 4; i++)
		value |= (uint32_t)(uint8_t)text[4 * c->reason_select + i] << 8 * i;
	return value;
}

static uint32_t read_queue(struct vgpu_core *c, uint32_t offset)
{
	const struct queue *q;

	if (c->select >= c->nqueues)
		return 0;
	q = &c->queue[c->select];
	switch (offset) {
	case VGPU_REG_QUEUE_STATE:
		return q->state;
	case VGPU_REG_QUEUE_ERROR:
		return (uint32_t)q->error;
	case VGPU_REG_QUEUE_ADDR_LO:
		return LO(q->addr);
	case VGPU_REG_QUEUE_ADDR_HI:
		return HI(q->addr);
	case VGPU_REG_QUEUE_REQ_SLOTS:
		return q->req_slots;
	case VGPU_REG_QUEUE_RSP_SLOTS:
		return q->rsp_slots;
	case VGPU_REG_QUEUE_TABLE_LO:
		return LO(q->table);
	case VGPU_REG_QUEUE_TABLE_HI:
		return HI(q->table);
	case VGPU_REG_QUEUE_BUFFERS:
		return q->buffers;
	case VGPU_REG_QUEUE_VECTOR:
		return q->vector;
	case VGPU_REG_QUEUE_TAG:
		return q->tag;
	}
	return 0;
}

static uint32_t read_device(struct vgpu_core *c, uint32_t offset)
{
	switch (offset) {
	case VGPU_REG_COMMAND:
		return c->command;
	case VGPU_REG_STATUS:
		return read_status(c);
	case VGPU_REG_DATA_OFFSET:
		return c->data_offset;
	case VGPU_REG_MAGIC:
		return VGPU_MAGIC;
	case VGPU_REG_ABI_VERSION:
		return VGPU_ABI_VERSION;
	case VGPU_REG_FEATURES_LO:
		return LO(core_features(c));
	case VGPU_REG_FEATURES_HI:
		return HI(core_features(c));
	case VGPU_REG_DRIVER_FEATURES_LO:
		return LO(c->driver_features);
	case VGPU_REG_DRIVER_FEATURES_HI:
		return HI(c->driver_features);
	case VGPU_REG_CONTROL:
		return read_control(c);
	case VGPU_REG_DATA_LENGTH:
		return c->data_length;
	case VGPU_REG_RESULT:
		return (uint32_t)c->result;
	case VGPU_REG_RESULT_LENGTH:
		return c->result_length;
	case VGPU_REG_INT_STATUS:
		return c->int_status;
	case VGPU_REG_INT_MASK:
		return c->int_mask;
	case VGPU_REG_MAX_QUEUES:
		return c->link.max_queues;
	case VGPU_REG_NUM_VECTORS:
		return c->nvectors;
	case VGPU_REG_MAX_SLOTS:
		return VGPU_SLOTS_MAX;
	case VGPU_REG_MAX_BUFFERS:
		return VGPU_BUFFERS_MAX;
	case VGPU_REG_QUEUE_SELECT:
		return c->select;
	case VGPU_REG_REASON_SELECT:
		return c->reason_select;
	case VGPU_REG_REASON:
		return read_reason(c);
	case VGPU_REG_COUNT_DOORBELLS:
		return c->count_doorbells;
	case VGPU_REG_COUNT_INTERRUPTS:
		return c->count_interrupts;
	}
	return read_queue(c, offset);
}

static bool bad_access(struct vgpu_core *c, uint64_t offset, unsigned int size)
{
	if (size == 4 && !(offset & 3) && offset <= VGPU_BAR_REGS_SIZE - 4)
		return false;
	core_log(c, VGPU_LOG_GUEST, "access of %u bytes at 0x%llx; only aligned 32-bit works", size,
		 (unsigned long long)offset);
	return true;
}

uint32_t vgpu_core_read(struct vgpu_core *c, uint64_t offset, unsigned int size)
{
	uint32_t value;

	if (bad_access(c, offset, size))
		return 0;
	if (offset < VGPU_REG_DATA)
		return read_device(c, (uint32_t)offset);
	memcpy(&value, c->data + (offset - VGPU_REG_DATA), sizeof(value));
	return value;
}

static void write_queue_control(struct vgpu_core *c, struct queue *q, uint32_t value)
{
	if (value == VGPU_QUEUE_STOP)
		queue_stop(c, q);
	else if (value != VGPU_QUEUE_START)
		guest_error(c, "unknown queue control", VGPU_REG_QUEUE_CONTROL, value);
	else if (q->state != VGPU_QUEUE_STATE_STOPPED || c->resetting)
		guest_error(c, "start of a queue that is not stopped", VGPU_REG_QUEUE_CONTROL,
			    value);
	else
		queue_start(c, q);
}

/* Where a set-up register lives; 64-bit ones are not here. */
static uint32_t *queue_word(struct queue *q, uint64_t offset)
{
	switch (offset) {
	case VGPU_REG_QUEUE_REQ_SLOTS:
		return &q->req_slots;
	case VGPU_REG_QUEUE_RSP_SLOTS:
		return &q->rsp_slots;
	case VGPU_REG_QUEUE_BUFFERS:
		return &q->buffers;
	case VGPU_REG_QUEUE_VECTOR:
		return &q->vector;
	case VGPU_REG_QUEUE_TAG:
		return &q->tag;
	}
	return NULL;
}

static void write_queue(struct vgpu_core *c, uint64_t offset, uint32_t value)
{
	struct queue *q;
	uint32_t *word;

	if (c->select >= c->nqueues) {
		guest_error(c, "no such queue is selected", offset, value);
		return;
	}
	q = &c->queue[c->select];
	if (offset == VGPU_REG_QUEUE_CONTROL) {
		write_queue_control(c, q, value);
		return;
	}
	if (q->state != VGPU_QUEUE_STATE_STOPPED) {
		guest_error(c, "set-up of a queue that is not stopped", offset, value);
		return;
	}
	word = queue_word(q, offset);
	if (word)
		*word = value;
	else if (offset == VGPU_REG_QUEUE_ADDR_LO)
		set_lo(&q->addr, value);
	else if (offset == VGPU_REG_QUEUE_ADDR_HI)
		set_hi(&q->addr, value);
	else if (offset == VGPU_REG_QUEUE_TABLE_LO)
		set_lo(&q->table, value);
	else if (offset == VGPU_REG_QUEUE_TABLE_HI)
		set_hi(&q->table, value);
	else
		guest_error(c, "write to a register that takes none", offset, value);
}

static void write_control(struct vgpu_core *c, uint32_t value)
{
	if (c->resetting) {
		guest_error(c, "control during a reset", VGPU_REG_CONTROL, value);
		return;
	}
	if (value & ~(VGPU_CONTROL_RESET | VGPU_CONTROL_FEATURES_OK))
		guest_error(c, "unknown control bits", VGPU_REG_CONTROL, value);
	if (value & VGPU_CONTROL_RESET) {
		core_reset(c);
		return;
	}
	c->features_ok = false;
	if (!(value & VGPU_CONTROL_FEATURES_OK))
		return;
	if (c->driver_features & ~core_features(c))
		guest_error(c, "features that were not offered", VGPU_REG_CONTROL, value);
	else
		c->features_ok = true;
}

static void write_driver_features(struct vgpu_core *c, uint64_t offset, uint32_t value)
{
	if (c->features_ok)
		guest_error(c, "the features are frozen", offset, value);
	else if (offset == VGPU_REG_DRIVER_FEATURES_LO)
		set_lo(&c->driver_features, value);
	else
		set_hi(&c->driver_features, value);
}

static void write_int_mask(struct vgpu_core *c, uint32_t value)
{
	uint32_t fresh = value & ~c->int_mask & c->int_status;

	c->int_mask = value & VGPU_INT_ALL;
	if (fresh)
		c->ops->raise(c->opaque, 0);
}

static void write_command(struct vgpu_core *c, uint32_t value)
{
	if ((c->status & VGPU_STATUS_BUSY) || c->resetting) {
		guest_error(c, "command while another runs", VGPU_REG_COMMAND, value);
		return;
	}
	c->command = value;
	regcmd_run(c);
}

static void write_device(struct vgpu_core *c, uint64_t offset, uint32_t value)
{
	switch (offset) {
	case VGPU_REG_COMMAND:
		write_command(c, value);
		break;
	case VGPU_REG_DATA_OFFSET:
		c->data_offset = value;
		break;
	case VGPU_REG_DRIVER_FEATURES_LO:
	case VGPU_REG_DRIVER_FEATURES_HI:
		write_driver_features(c, offset, value);
		break;
	case VGPU_REG_CONTROL:
		write_control(c, value);
		break;
	case VGPU_REG_DATA_LENGTH:
		c->data_length = value;
		break;
	case VGPU_REG_INT_STATUS:
		c->int_status &= ~value;
		break;
	case VGPU_REG_INT_MASK:
		write_int_mask(c, value);
		break;
	case VGPU_REG_QUEUE_SELECT:
		c->select = value;
		break;
	case VGPU_REG_REASON_SELECT:
		c->reason_select = value;
		break;
	default:
		if (offset >= VGPU_REG_QUEUE_CONTROL && offset <= VGPU_REG_QUEUE_TAG)
			write_queue(c, offset, value);
		else
			guest_error(c, "write to a register that takes none", offset, value);
	}
}

void vgpu_core_write(struct vgpu_core *c, uint64_t offset, uint32_t value, unsigned int size)
{
	if (bad_access(c, offset, size))
		return;
	if (offset < VGPU_REG_DATA)
		write_device(c, offset, value);
	else if (c->status & VGPU_STATUS_BUSY)
		guest_error(c, "data written while a command runs", offset, value);
	else
		memcpy(c->data + (offset - VGPU_REG_DATA), &value, sizeof(value));
	core_settle(c);
}

void vgpu_core_doorbell(struct vgpu_core *c, uint32_t q)
{
	c->count_doorbells++;
	if (q < c->nqueues && c->queue[q].state == VGPU_QUEUE_STATE_RUNNING)
		c->ops->kick(c->opaque, q);
}

void vgpu_core_call(struct vgpu_core *c, uint32_t q)
{
	if (q == VGPU_QUEUE_REGISTERS) {
		regcmd_call(c);
		core_settle(c);
	} else if (q < c->nqueues && c->queue[q].state == VGPU_QUEUE_STATE_RUNNING) {
		c->count_interrupts++;
		c->ops->raise(c->opaque, c->queue[q].vector);
	}
}
