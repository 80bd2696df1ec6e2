/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The session's addresses: a sorted list, searched by halves. */
#include "ranges.h"

#include <stdlib.h>
#include <string.h>

#include "charge.h"
#include "session.h"

/* The index of the first range that ends after `addr`. */
static uint32_t first_after(const struct cuda_ranges *r, uint64_t addr)
{
	uint32_t lo = 0, hi = r->n;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (r->range[mid].start + (r->range[mid].length - 1) < addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static bool holds(const struct cuda_range *r, uint64_t addr)
{
	return addr >= r->start && addr - r->start < r->length;
}

struct cuda_range *ranges_find(struct cuda_ranges *r, uint64_t addr)
{
	uint32_t i;

	if (r->last < r->n && holds(&r->range[r->last], addr))
		return &r->range[r->last];
	i = first_after(r, addr);
	if (i >= r->n || !holds(&r->range[i], addr))
		return NULL;
	r->last = i;
	return &r->range[i];
}

bool ranges_check(struct cuda_session *s, uint64_t addr, uint64_t length)
{
	struct cuda_ranges *r = &s->ranges;
	struct cuda_range *at = length ? ranges_find(r, addr) : NULL;

	if (!length)
		return true;
	while (at) {
		uint64_t part = at->length - (addr - at->start);

		/* Which calls end in one, only the driver knows for sure. */
		at->in_graphs |= s->has_graphs;
		if (length <= part)
			return true;
		addr += part;
		length -= part;
		at = at + 1 < r->range + r->n && at[1].start == addr ? at + 1 : NULL;
	}
	return false;
}

CUresult ranges_room(struct cuda_ranges *r)
{
	uint32_t room = r->room ? r->room * 2 : 64;
	void *range;

	if (r->n < r->room)
		return CUDA_SUCCESS;
	if (r->n >= RANGES_MAX)
		return CUDA_ERROR_OUT_OF_MEMORY;
	range = realloc(r->range, room * sizeof(r->range[0]));
	if (!range)
		return CUDA_ERROR_OUT_OF_MEMORY;
	r->range = range;
	r->room = room;
	return CUDA_SUCCESS;
}

bool ranges_add(struct cuda_ranges *r, uint64_t start, uint64_t length, enum range_kind kind,
		uint64_t owner)
{
	uint32_t i;

	if (!length || start + (length - 1) < start || ranges_room(r) != CUDA_SUCCESS)
		return false;
	i = first_after(r, start);
	if (i < r->n && r->range[i].start <= start + (length - 1))
		return false;
	memmove(&r->range[i + 1], &r->range[i], (r->n - i) * sizeof(r->range[0]));
	r->range[i] =
		(struct cuda_range){.start = start, .length = length, .owner = owner, .kind = kind};
	r->n++;
	r->last = i;
	return true;
}

bool ranges_remove(struct cuda_ranges *r, uint64_t start, enum range_kind kind)
{
	uint32_t i = first_after(r, start);
	struct cuda_range gone;

	if (i >= r->n || r->range[i].start != start || r->range[i].kind != kind)
		return false;
	gone = r->range[i];
	r->n--;
	memmove(&r->range[i], &r->range[i + 1], (r->n - i) * sizeof(r->range[0]));
	charge_range_gone(r, &gone);
	return true;
}

void ranges_remove_if(struct cuda_ranges *r,
		      bool (*goes)(const struct cuda_range *range, const void *opaque),
		      const void *opaque)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < r->n; i++) {
		if (goes(&r->range[i], opaque))
			charge_range_gone(r, &r->range[i]);
		else
			r->range[kept++] = r->range[i];
	}
	r->n = kept;
}

static bool is_owners(const struct cuda_range *r, const void *owner)
{
	const uint64_t handle = *(const uint64_t *)owner;

	return r->owner == handle || r->context == handle;
}

void ranges_remove_owner(struct cuda_ranges *r, uint64_t owner)
{
	if (owner)
		ranges_remove_if(r, is_owners, &owner);
}

static bool overlaps(const struct cuda_range *r, const void *opaque)
{
	const struct cuda_range *cut = opaque;

	return r->kind != RANGE_HOST && r->start < cut->start + cut->length &&
	       cut->start < r->start + r->length;
}

void ranges_cut(struct cuda_ranges *r, uint64_t start, uint64_t length)
{
	const struct cuda_range cut = {.start = start, .length = length};

	ranges_remove_if(r, overlaps, &cut);
}

void ranges_free(struct cuda_ranges *r)
{
	for (uint32_t i = 0; i < r->n; i++)
		charge_range_gone(r, &r->range[i]);
	free(r->range);
	*r = (struct cuda_ranges){.session = r->session};
}
