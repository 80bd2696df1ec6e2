/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Requests of the guest, carried out. */
#include "ioreq.h"

static uint64_t all_ones(uint32_t size)
{
	return size >= 8 ? UINT64_MAX : (1ull << 8 * size) - 1;
}

static bool is_size(uint32_t size)
{
	return size == 1 || size == 2 || size == 4 || size == 8;
}

/* Where repetition `i` is, on from or back from the first one. */
static uint64_t place(const struct ioreq *r, uint64_t first, uint32_t i)
{
	uint64_t distance = (uint64_t)i * r->size;

	return r->df ? first - distance : first + distance;
}

/* Do all repetitions lie in the address space? */
static bool fits(const struct ioreq *r, uint64_t first)
{
	uint64_t distance = (uint64_t)(r->count - 1) * r->size;

	return first <= UINT64_MAX - r->size + 1 &&
	       (r->df ? first >= distance : first <= UINT64_MAX - r->size + 1 - distance);
}

static bool from_memory(const struct ioreq_ops *ops, void *opaque, const struct ioreq *r)
{
	for (uint32_t i = 0; i < r->count; i++) {
		uint64_t value = 0;

		if (!ops->guest_read(opaque, place(r, r->data, i), &value, r->size))
			return false;
		ops->write(opaque, place(r, r->addr, i), value, r->size);
	}
	return true;
}

static bool to_memory(const struct ioreq_ops *ops, void *opaque, const struct ioreq *r)
{
	for (uint32_t i = 0; i < r->count; i++) {
		uint64_t value = ops->read(opaque, place(r, r->addr, i), r->size);

		if (!ops->guest_write(opaque, place(r, r->data, i), &value, r->size))
			return false;
	}
	return true;
}

static bool run_memory(const struct ioreq_ops *ops, void *opaque, struct ioreq *r)
{
	if (!is_size(r->size) || !r->count || r->count > IOREQ_REPEAT_MAX || !fits(r, r->addr))
		return false;
	if (r->data_is_ptr) {
		if (!fits(r, r->data))
			return false;
		return r->dir == IOREQ_READ ? to_memory(ops, opaque, r)
					    : from_memory(ops, opaque, r);
	}
	for (uint32_t i = 0; i < r->count; i++) {
		if (r->dir == IOREQ_READ)
			r->data = ops->read(opaque, place(r, r->addr, i), r->size) &
				  all_ones(r->size);
		else
			ops->write(opaque, place(r, r->addr, i), r->data & all_ones(r->size),
				   r->size);
	}
	return true;
}

static bool run_config(const struct ioreq_ops *ops, void *opaque, uint32_t sbdf, struct ioreq *r)
{
	uint32_t offset = (uint32_t)r->addr;

	if (r->addr >> 32 != sbdf || !is_size(r->size) || r->size == 8 || r->count != 1 ||
	    r->data_is_ptr)
		return false;
	if (r->dir == IOREQ_READ)
		r->data = ops->config_read(opaque, offset, r->size) & all_ones(r->size);
	else
		ops->config_write(opaque, offset, (uint32_t)(r->data & all_ones(r->size)), r->size);
	return true;
}

bool ioreq_run(const struct ioreq_ops *ops, void *opaque, uint32_t sbdf, struct ioreq *r)
{
	bool ok = false;

	switch (r->type) {
	case IOREQ_TYPE_COPY:
		ok = run_memory(ops, opaque, r);
		break;
	case IOREQ_TYPE_PCI_CONFIG:
		ok = run_config(ops, opaque, sbdf, r);
		break;
	case IOREQ_TYPE_INVALIDATE: /* goes to all servers */
		ops->changed(opaque);
		return true;
	case IOREQ_TYPE_TIMEOFFSET: /* likewise, and is nothing to us */
		return true;
	}
	if (!ok && r->dir == IOREQ_READ && !r->data_is_ptr)
		r->data = all_ones(r->size);
	return ok;
}
