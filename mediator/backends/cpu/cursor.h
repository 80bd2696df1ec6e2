/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Walking over an operand as if it were one array of floats. */
#ifndef VGPU_CPU_CURSOR_H
#define VGPU_CPU_CURSOR_H

#include <string.h>

#include "backend.h"

struct cursor {
	const struct vgpu_run *run; /* the run we are in */
	uint64_t at;                /* bytes into it */
};

static inline void cursor_init(struct cursor *c, const struct vgpu_operand *op)
{
	c->run = op->run;
	c->at = 0;
}

static inline float *cursor_at(const struct cursor *c)
{
	return (float *)(void *)(c->run->base + c->at);
}

/* Elements up to the end of this run; more than 0 until the operand ends. */
static inline uint64_t cursor_left(const struct cursor *c)
{
	/* The analyzer cannot know that operands are as long as their callers say.
	 * NOLINTNEXTLINE(clang-analyzer-core.UndefinedBinaryOperatorResult) */
	return (c->run->length - c->at) / sizeof(float);
}

/* At most cursor_left() elements on. */
static inline void cursor_step(struct cursor *c, uint64_t n)
{
	c->at += n * sizeof(float);
	if (c->at == c->run->length) {
		c->run++;
		c->at = 0;
	}
}

/* Writes `n` elements and moves on. */
static inline void cursor_put(struct cursor *c, const float *src, uint64_t n)
{
	while (n) {
		uint64_t left = cursor_left(c);
		uint64_t part = n < left ? n : left;

		memcpy(cursor_at(c), src, part * sizeof(float));
		cursor_step(c, part);
		src += part;
		n -= part;
	}
}

/* All of the operand from, or into, one block of memory. */
static inline void cursor_store(const struct vgpu_operand *op, const void *src)
{
	const uint8_t *from = src;

	for (uint32_t i = 0; i < op->nruns; i++) {
		memcpy(op->run[i].base, from, op->run[i].length);
		from += op->run[i].length;
	}
}

static inline void cursor_load(void *dst, const struct vgpu_operand *op)
{
	uint8_t *to = dst;

	for (uint32_t i = 0; i < op->nruns; i++) {
		memcpy(to, op->run[i].base, op->run[i].length);
		to += op->run[i].length;
	}
}

#endif /* VGPU_CPU_CURSOR_H */
