/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The memory that device addresses may name: a sorted list of ranges, and the
 * pins that keep their bytes where they are while work uses them.
 */
#include <sys/mman.h>

#include "driver.h"

/* Away from where programs have their memory, so that theirs can be registered in place. */
#define ARENA_BASE ((uintptr_t)0x200000000000)
#define ARENA_END ((uintptr_t)0x300000000000)

static GPtrArray *ranges; /* by address */

/* Index of the first range that ends behind `address`. */
static unsigned int position(uintptr_t address)
{
	unsigned int low = 0, high = ranges ? ranges->len : 0;

	while (low < high) {
		unsigned int middle = low + (high - low) / 2;
		const struct range *r = ranges->pdata[middle];

		if (r->base + r->size <= address)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

struct range *range_find(uintptr_t address)
{
	unsigned int i = position(address);
	struct range *r = ranges && i < ranges->len ? ranges->pdata[i] : NULL;

	return r && r->base <= address ? r : NULL;
}

bool range_overlaps(uintptr_t base, size_t size)
{
	unsigned int i = position(base);
	const struct range *r = ranges && i < ranges->len ? ranges->pdata[i] : NULL;

	return r && (r->base <= base || r->base - base < size);
}

static CUresult insert(struct range *r)
{
	static uint64_t id;

	if (!ranges)
		ranges = g_ptr_array_new();
	if (ranges->len >= CPU_RANGES_MAX)
		return CUDA_ERROR_OUT_OF_MEMORY;
	r->id = ++id;
	g_ptr_array_insert(ranges, (int)position(r->base), r);
	return CUDA_SUCCESS;
}

void *pages_map(size_t size, bool shared)
{
	static uintptr_t next = ARENA_BASE;
	void *p;

	if (next + size + CPU_GRANULARITY > ARENA_END)
		next = ARENA_BASE;
	p = mmap((void *)next, size, PROT_READ | PROT_WRITE,
		 (shared ? MAP_SHARED : MAP_PRIVATE) | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	/* An address is not used again soon: what was freed stays noticeable. */
	next += (size + 2 * CPU_GRANULARITY - 1) & ~(CPU_GRANULARITY - 1);
	return p == MAP_FAILED ? NULL : p;
}

static size_t *budget(enum range_kind kind, size_t *total)
{
	*total = kind == RANGE_HOST ? CPU_HOST_TOTAL : CPU_MEMORY_TOTAL;
	return kind == RANGE_HOST ? &drv.host_used : &drv.memory_used;
}

CUresult range_new(enum range_kind kind, size_t size, CUcontext ctx, struct range **out)
{
	size_t total, *used = budget(kind, &total);
	struct range *r;
	size_t mapped;
	void *p;

	if (!size)
		return CUDA_ERROR_INVALID_VALUE;
	if (size > total)
		return CUDA_ERROR_OUT_OF_MEMORY;
	mapped = (size + CPU_PAGE - 1) & ~(CPU_PAGE - 1);
	if (mapped > total - *used)
		return CUDA_ERROR_OUT_OF_MEMORY;
	p = pages_map(mapped, false);
	if (!p)
		return CUDA_ERROR_OUT_OF_MEMORY;
	r = g_new0(struct range, 1);
	*r = (struct range){.base = (uintptr_t)p,
			    .size = size,
			    .mapped = mapped,
			    .kind = kind,
			    .readable = true,
			    .writable = true,
			    .ctx = ctx};
	if (insert(r)) {
		munmap(p, mapped);
		g_free(r);
		return CUDA_ERROR_OUT_OF_MEMORY;
	}
	*used += mapped;
	*out = r;
	return CUDA_SUCCESS;
}

CUresult range_adopt(enum range_kind kind, uintptr_t base, size_t size, struct range **out)
{
	struct range *r;

	if (!base || !size || base + size < base)
		return CUDA_ERROR_INVALID_VALUE;
	if (range_overlaps(base, size))
		return CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED;
	r = g_new0(struct range, 1);
	*r = (struct range){
		.base = base, .size = size, .kind = kind, .readable = true, .writable = true};
	if (insert(r)) {
		g_free(r);
		return CUDA_ERROR_OUT_OF_MEMORY;
	}
	*out = r;
	return CUDA_SUCCESS;
}

static void release(struct range *r)
{
	size_t total, *used = budget(r->kind, &total);

	if (r->mapped) {
		munmap((void *)r->base, r->mapped);
		*used -= r->mapped;
	}
	if (r->pool)
		object_unref(r->pool);
	if (r->owner)
		object_unref(r->owner);
	g_free(r);
}

/* Nothing new can pin it. */
static void take_out(struct range *r)
{
	if (!r->gone)
		g_ptr_array_remove_index(ranges, position(r->base));
	r->gone = true;
	if (r->pool)
		pool_account(r->pool, r->size, false);
}

void range_remove(struct range *r)
{
	take_out(r);
	if (!r->pins)
		release(r);
}

void range_remove_unpinned(struct range *r)
{
	r->pins++;
	take_out(r);
	while (r->pins > 1)
		pthread_cond_wait(&drv.changed, &drv.lock);
	release(r);
}

void ranges_remove_of(CUcontext ctx)
{
	for (unsigned int i = ranges ? ranges->len : 0; i-- > 0;) {
		struct range *r = ranges->pdata[i];

		if (r->ctx == ctx)
			range_remove(r);
	}
}

static bool allows(const struct range *r, unsigned int access)
{
	if ((access & ACCESS_LATER) && r->kind == RANGE_GRAPH)
		return true;
	return (!(access & ACCESS_READ) || r->readable) &&
	       (!(access & ACCESS_WRITE) || r->writable);
}

/* The ranges of a span go into `list`, if it is not NULL; false: there is a gap. */
static bool walk(uintptr_t address, size_t size, unsigned int access, GPtrArray *list)
{
	if (size && address + (size - 1) < address)
		return false;
	for (unsigned int i = position(address); size; i++) {
		struct range *r = ranges && i < ranges->len ? ranges->pdata[i] : NULL;
		size_t part;

		if (!r || r->base > address || !allows(r, access))
			return false;
		part = MIN(size, r->base + r->size - address);
		if (list)
			g_ptr_array_add(list, r);
		address += part;
		size -= part;
	}
	return true;
}

bool span_is_valid(uintptr_t address, size_t size, unsigned int access)
{
	return walk(address, size, access, NULL);
}

bool pins_add(struct pins *p, uintptr_t address, size_t size, unsigned int access)
{
	unsigned int before;
	bool ok;

	if (!p->range)
		p->range = g_ptr_array_new();
	before = p->range->len;
	pthread_mutex_lock(&drv.lock);
	ok = walk(address, size, access, p->range);
	if (!ok)
		g_ptr_array_set_size(p->range, (int)before);
	for (unsigned int i = before; i < p->range->len; i++)
		((struct range *)p->range->pdata[i])->pins++;
	pthread_mutex_unlock(&drv.lock);
	return ok;
}

void pins_drop(struct pins *p)
{
	if (!p->range)
		return;
	pthread_mutex_lock(&drv.lock);
	for (unsigned int i = 0; i < p->range->len; i++) {
		struct range *r = p->range->pdata[i];

		if (--r->pins == 0 && r->gone)
			release(r);
	}
	pthread_cond_broadcast(&drv.changed);
	pthread_mutex_unlock(&drv.lock);
	g_ptr_array_free(p->range, TRUE);
	p->range = NULL;
}
