/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Memory as a worker sees it: a shared file mapping that plays guest RAM, and
 * operands cut out of it in many shapes.
 *
 * Every byte of RAM that a test uses has a known value in a second, private
 * copy.  After a command the two are compared whole, so a write beside the
 * result is found as well as a wrong result.
 */
#ifndef VGPU_CONFORMANCE_RAM_H
#define VGPU_CONFORMANCE_RAM_H

#include "subject.h"

enum shape {
	SHAPE_CONTIGUOUS,
	SHAPE_PAGES, /* 4 KiB pages in random order */
	SHAPE_ODD,   /* the same, starting in the middle of a page */
	SHAPE_TINY,  /* runs of 4 to 64 bytes */
	SHAPE_MIXED, /* 4 bytes to 1 MiB, at any multiple of 4 */
	SHAPE_HUGE,  /* 2 MiB pages in random order */
	SHAPES,
};

extern const char *const shape_name[SHAPES];

struct ram {
	uint8_t *base;
	size_t size;
	size_t used;     /* handed out */
	uint8_t *shadow; /* what `base` must hold, as far as `used` */
	int fd;
	struct vgpu_backend *be; /* to which it is mapped, or NULL */
};

/* A region of `size` bytes, mapped to `be` where that is not NULL. */
struct ram *ram_new(struct vgpu_backend *be, size_t size);
/* Unmaps and frees. */
void ram_free(struct ram *ram);
/* Gives back all that was handed out; operands are no longer valid. */
void ram_reset(struct ram *ram);

/* An operand of `length` bytes; the caller frees it with operand_free(). */
struct vgpu_operand *operand_new(struct ram *ram, enum shape shape, uint64_t length);
/* One that is a single run of memory of the caller's. */
struct vgpu_operand *operand_around(void *base, uint64_t length);
void operand_free(struct vgpu_operand *op);

/* Writes to the operand's memory and, for RAM, to what it must hold. */
void operand_store(struct ram *ram, const struct vgpu_operand *op, const void *data);
/* Says what the operand must hold from now on. */
void operand_expect(struct ram *ram, const struct vgpu_operand *op, const void *data);
void operand_load(const struct vgpu_operand *op, void *data);

/* Fails the test where RAM does not hold what it must; `what` is for the message. */
void ram_check(const struct ram *ram, const char *what);

/* `n` finite floats of many magnitudes, the same for the same seed. */
float *random_floats(uint32_t seed, uint64_t n);
void fill_random(void *at, uint64_t length, uint32_t seed);

#endif /* VGPU_CONFORMANCE_RAM_H */
