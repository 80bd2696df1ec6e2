/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a guest's access becomes: a struct ioreq of Xen's, checked and carried
 * out against whoever owns the addresses.
 *
 * Pure but for Xen's public header.  The request is a private copy.  Xen fills
 * it in from what the guest's instruction says, so nothing in it is trusted:
 * what does not fit reads as all ones and writes nothing.
 */
#ifndef VGPU_XEN_IOREQ_H
#define VGPU_XEN_IOREQ_H

#include <stdbool.h>
#include <stdint.h>
#include <xen/hvm/ioreq.h>

/* Repetitions of one request; Xen itself stops at so many. */
#define IOREQ_REPEAT_MAX 4096u

struct ioreq_ops {
	/* A place in a BAR, `size` is 1, 2, 4 or 8.  An address that is nobody's reads all ones. */
	uint64_t (*read)(void *opaque, uint64_t address, uint32_t size);
	void (*write)(void *opaque, uint64_t address, uint64_t value, uint32_t size);
	/* The function's configuration space; `size` is 1, 2 or 4. */
	uint32_t (*config_read)(void *opaque, uint32_t offset, uint32_t size);
	void (*config_write)(void *opaque, uint32_t offset, uint32_t value, uint32_t size);
	/* The guest's own memory, for string instructions.  False: it is not there. */
	bool (*guest_read)(void *opaque, uint64_t address, void *data, uint32_t size);
	bool (*guest_write)(void *opaque, uint64_t address, const void *data, uint32_t size);
	/* The guest has given pages back: what is mapped of it may be void. */
	void (*changed)(void *opaque);
};

/* Which function is ours, as requests name it: segment, bus, device, function. */
#define IOREQ_SBDF(bus, device, function) \
	((uint32_t)(bus) << 8 | (uint32_t)(device) << 3 | (uint32_t)(function))

/*
 * Carries out `r`; a read that is not to memory leaves its value in r->data.
 * False: it made no sense, what was read is all ones.
 */
bool ioreq_run(const struct ioreq_ops *ops, void *opaque, uint32_t sbdf, struct ioreq *r);

#endif /* VGPU_XEN_IOREQ_H */
