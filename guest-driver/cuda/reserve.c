// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Device addresses reserved in the program's address space.
 *
 * One record for each GiB with a bit for each chunk of 2 MiB, so that an
 * allocation in a chunk already reserved costs a look at a bit.
 */
#include "reserve.h"

#include <pthread.h>
#include <search.h>
#include <stdlib.h>
#include <sys/mman.h>

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif

#define CHUNK_SHIFT 21
#define CHUNKS 512                /* of a record */
#define LIMIT (UINT64_C(1) << 47) /* beyond it no program has anything */

struct gib {
	uint64_t number;
	uint64_t bits[CHUNKS / 64];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static void *gibs;

static int compare(const void *a, const void *b)
{
	const struct gib *x = a, *y = b;

	return (x->number > y->number) - (x->number < y->number);
}

static struct gib *record_of(uint64_t number)
{
	struct gib key = {.number = number};
	struct gib *g;
	void *node = tfind(&key, &gibs, compare);

	if (node)
		return *(struct gib **)node;
	g = calloc(1, sizeof(*g));
	if (!g)
		return NULL;
	g->number = number;
	if (!tsearch(g, &gibs, compare)) {
		free(g);
		return NULL;
	}
	return g;
}

static bool take(uint64_t first, uint64_t chunks)
{
	uint64_t addr = first << CHUNK_SHIFT;
	size_t length = chunks << CHUNK_SHIFT;
	void *want = (void *)(uintptr_t)addr;
	void *got = mmap(want, length, PROT_NONE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);

	if (got == MAP_FAILED)
		return false;
	if (got != want) { /* a kernel that takes the address for a hint */
		munmap(got, length);
		return false;
	}
	return true;
}

static bool has(const struct gib *g, unsigned int bit)
{
	return g->bits[bit / 64] >> (bit % 64) & 1;
}

/* Reserves what is missing of chunks [from, to) of one GiB, in runs. */
static bool take_in(struct gib *g, unsigned int from, unsigned int to)
{
	unsigned int end;

	for (; from < to; from = end + 1) {
		for (end = from; end < to && !has(g, end); end++)
			;
		if (end == from)
			continue;
		if (!take(g->number * CHUNKS + from, end - from))
			return false;
		for (unsigned int i = from; i < end; i++)
			g->bits[i / 64] |= UINT64_C(1) << (i % 64);
	}
	return true;
}

bool reserve_device_range(uint64_t addr, uint64_t size)
{
	uint64_t chunk = addr >> CHUNK_SHIFT;
	uint64_t end = (addr + size + RESERVE_CHUNK - 1) >> CHUNK_SHIFT;
	bool ok = true;

	if (!size || addr + size < addr || addr + size > LIMIT)
		return true;
	pthread_mutex_lock(&lock);
	while (ok && chunk < end) {
		uint64_t next = (chunk / CHUNKS + 1) * CHUNKS;
		struct gib *g = record_of(chunk / CHUNKS);

		if (next > end)
			next = end;
		ok = g &&
		     take_in(g, chunk % CHUNKS, (unsigned int)(next - chunk / CHUNKS * CHUNKS));
		chunk = next;
	}
	pthread_mutex_unlock(&lock);
	return ok;
}
