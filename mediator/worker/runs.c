/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Lists of runs: how an operand lies in this process's memory. */
#include <errno.h>
#include <stdlib.h>

#include "memory.h"

/* Each segment may straddle each border between regions once. */
#define RUNS_MAX (VGPU_SEGMENTS_MAX + VGPU_MEM_REGIONS_MAX * 2)

void runs_free(struct runs *r)
{
	free(r->run);
	free(r->end);
	*r = (struct runs){0};
}

uint64_t runs_length(const struct runs *r)
{
	return r->n ? r->end[r->n - 1] : 0;
}

static int grow(struct runs *r)
{
	uint32_t room = r->room ? r->room * 2 : 16;
	void *run, *end;

	if (r->n >= RUNS_MAX)
		return -EMSGSIZE;
	run = realloc(r->run, room * sizeof(r->run[0]));
	if (!run)
		return -ENOMEM;
	r->run = run;
	end = realloc(r->end, room * sizeof(r->end[0]));
	if (!end)
		return -ENOMEM;
	r->end = end;
	r->room = room;
	return 0;
}

int runs_append(struct runs *r, uint8_t *base, uint64_t length, bool join)
{
	uint64_t before = runs_length(r);

	if (before + length < before)
		return -EMSGSIZE;
	if (join && r->n && r->run[r->n - 1].base + r->run[r->n - 1].length == base) {
		r->run[r->n - 1].length += length;
		r->end[r->n - 1] += length;
		return 0;
	}
	if (r->n == r->room) {
		int err = grow(r);

		if (err)
			return err;
	}
	r->run[r->n] = (struct vgpu_run){.base = base, .length = length};
	r->end[r->n] = before + length;
	r->n++;
	return 0;
}

/* The run that holds byte `offset`. */
static uint32_t run_at(const struct runs *r, uint64_t offset)
{
	uint32_t lo = 0, hi = r->n;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (r->end[mid] <= offset)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

int runs_slice(struct runs *r, const struct runs *from, uint64_t offset, uint64_t length)
{
	for (uint32_t i = run_at(from, offset); length; i++) {
		uint64_t skip, part;
		int err;

		if (i >= from->n)
			return -ERANGE;
		skip = offset - (from->end[i] - from->run[i].length);
		part = from->run[i].length - skip;
		if (part > length)
			part = length;
		err = runs_append(r, from->run[i].base + skip, part, false);
		if (err)
			return err;
		offset += part;
		length -= part;
	}
	return 0;
}
