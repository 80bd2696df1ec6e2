/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Do operands share memory in a way that forbids working in place? */
#include "overlap.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

/* A run with its place in the operand. */
struct extent {
	uintptr_t base;
	uint64_t length;
	uint64_t position;
};

static int compare(const void *x, const void *y)
{
	const struct extent *a = x, *b = y;

	return a->base < b->base ? -1 : a->base > b->base;
}

/* The runs in the order of their addresses; the caller frees them. */
static struct extent *sorted(const struct vgpu_operand *op)
{
	struct extent *e = malloc(op->nruns * sizeof(*e));
	uint64_t position = 0;

	if (!e)
		return NULL;
	for (uint32_t i = 0; i < op->nruns; i++) {
		e[i] = (struct extent){(uintptr_t)op->run[i].base, op->run[i].length, position};
		position += op->run[i].length;
	}
	qsort(e, op->nruns, sizeof(*e), compare);
	return e;
}

/* The lowest and highest address: most operands are told apart by these alone. */
static void bounds(const struct vgpu_operand *op, uintptr_t *low, uintptr_t *high)
{
	*low = UINTPTR_MAX;
	*high = 0;
	for (uint32_t i = 0; i < op->nruns; i++) {
		uintptr_t base = (uintptr_t)op->run[i].base;

		*low = MIN(*low, base);
		*high = MAX(*high, base + op->run[i].length);
	}
}

static bool apart(const struct vgpu_operand *x, const struct vgpu_operand *y)
{
	uintptr_t xlow, xhigh, ylow, yhigh;

	bounds(x, &xlow, &xhigh);
	bounds(y, &ylow, &yhigh);
	return xhigh <= ylow || yhigh <= xlow;
}

/* Do two extents meet, and not at the same position of both operands? */
static bool clash(const struct extent *x, const struct extent *y)
{
	if (x->base + x->length <= y->base || y->base + y->length <= x->base)
		return false;
	return x->base - x->position != y->base - y->position;
}

/*
 * Merges the two sorted lists.  Within one operand extents may overlap too (a
 * guest may list a page twice); then its order tells nothing, and the answer
 * is the careful one.
 */
static bool meet(const struct extent *x, uint32_t nx, const struct extent *y, uint32_t ny)
{
	uint32_t i = 0, j = 0;

	for (uint32_t k = 1; k < nx; k++) {
		if (x[k - 1].base + x[k - 1].length > x[k].base)
			return true;
	}
	for (uint32_t k = 1; k < ny; k++) {
		if (y[k - 1].base + y[k - 1].length > y[k].base)
			return true;
	}
	while (i < nx && j < ny) {
		if (clash(&x[i], &y[j]))
			return true;
		if (x[i].base + x[i].length <= y[j].base + y[j].length)
			i++;
		else
			j++;
	}
	return false;
}

static int shifted(const struct vgpu_operand *out, const struct vgpu_operand *in)
{
	struct extent *x, *y;
	int ret;

	if (apart(out, in))
		return 0;
	x = sorted(out);
	y = sorted(in);
	ret = x && y ? meet(x, out->nruns, y, in->nruns) : -ENOMEM;
	free(x);
	free(y);
	return ret;
}

int overlap_is_shifted(const struct vgpu_operand *out, const struct vgpu_operand *a,
		       const struct vgpu_operand *b)
{
	int ret = shifted(out, a);

	return ret ? ret : shifted(out, b);
}
