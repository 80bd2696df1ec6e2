// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Pinned memory at one address for the program and its kernels.
 *
 * Large allocations have areas of their own; small ones share a slab of 2 MiB,
 * by pages, because making an area and registering it costs much more than the
 * memory is worth.
 */
#include "window.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "capture.h"
#include "client.h"
#include "context.h"
#include "cuda_rpc.h"

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif

#define MIB ((size_t)1 << 20)
#define PAGE ((size_t)4096)
#define HUGE_PAGE (2 * MIB)
#define WINDOW ((size_t)64 << 30)
#define FIRST UINT64_C(0x600000000000) /* programs have nothing there as a rule */
#define LAST UINT64_C(0x680000000000)
#define TRIES 32

#define AREA_MAX ((size_t)1 << 30)
#define AREAS 16 /* as many as a request can name */

#define SLAB HUGE_PAGE
#define SLAB_PAGES (SLAB / PAGE)
#define SMALL (SLAB / 4)

/* Addresses of a window that nothing lies at; in order. */
struct hole {
	uint64_t at;
	uint64_t bytes;
	struct hole *next;
};

/* Memory that was mapped on both sides in one go. */
struct block {
	uint64_t at;
	size_t bytes;
	const struct context *context; /* that it was registered in */
	struct block *next;
	unsigned int nareas;
	struct vgpu_area area[AREAS];
	uint16_t pages[]; /* of a slab: at the first page of a piece how many it has */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct hole *holes;
static struct block *blocks, *slabs;

/* ------------------------------------------------------------ addresses */

static void add_hole(uint64_t at, uint64_t bytes)
{
	struct hole **h = &holes, *new, *next;

	while (*h && (*h)->at + (*h)->bytes < at)
		h = &(*h)->next;
	if (*h && (*h)->at + (*h)->bytes == at) {
		(*h)->bytes += bytes;
	} else if (*h && at + bytes == (*h)->at) {
		(*h)->at = at;
		(*h)->bytes += bytes;
		return;
	} else {
		new = malloc(sizeof(*new));
		if (!new)
			return; /* these addresses are lost, which harms nobody */
		*new = (struct hole){at, bytes, *h};
		*h = new;
		return;
	}
	next = (*h)->next;
	if (next && (*h)->at + (*h)->bytes == next->at) {
		(*h)->bytes += next->bytes;
		(*h)->next = next->next;
		free(next);
	}
}

/* 0: no hole is large enough. */
static uint64_t take_hole(size_t bytes)
{
	for (struct hole **h = &holes; *h; h = &(*h)->next) {
		struct hole *old = *h;
		uint64_t at = old->at;

		if (old->bytes < bytes)
			continue;
		old->at += bytes;
		old->bytes -= bytes;
		if (!old->bytes) {
			*h = old->next;
			free(old);
		}
		return at;
	}
	return 0;
}

static uint64_t random_place(size_t bytes)
{
	uint64_t r = 0;

	/* by the bare system call, since getrandom() is a cancellation point */
	if (syscall(SYS_getrandom, &r, sizeof(r), GRND_NONBLOCK) != sizeof(r))
		r = (uintptr_t)&r; /* the stack's place is random too */
	return (FIRST + r % (LAST - FIRST - bytes)) & ~(uint64_t)(HUGE_PAGE - 1);
}

/* Reserves a window of at least `bytes` on both sides. */
static CUresult add_window(size_t bytes)
{
	if (bytes < WINDOW)
		bytes = WINDOW;
	for (int i = 0; i < TRIES; i++) {
		uint64_t at = random_place(bytes);
		void *want = (void *)(uintptr_t)at;
		void *got = mmap(want, bytes, PROT_NONE,
				 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE,
				 -1, 0);
		CUresult r;

		if (got == MAP_FAILED && errno == ENOMEM)
			return CUDA_ERROR_OUT_OF_MEMORY;
		if (got == MAP_FAILED)
			continue;
		r = got == want ? rpc_vgpuHostReserve(at, bytes) : CUDA_ERROR_INVALID_VALUE;
		if (r == CUDA_SUCCESS) {
			add_hole(at, bytes);
			return CUDA_SUCCESS;
		}
		munmap(got, bytes);
		if (r != CUDA_ERROR_INVALID_VALUE)
			return r;
	}
	return CUDA_ERROR_OUT_OF_MEMORY;
}

/* --------------------------------------------------------------- blocks */

static void drop_areas(struct block *b)
{
	while (b->nareas)
		client_area_destroy(&b->area[--b->nareas]);
}

static CUresult fill_areas(struct block *b)
{
	for (size_t done = 0; done < b->bytes;) {
		size_t now = b->bytes - done < AREA_MAX ? b->bytes - done : AREA_MAX;

		if (client_area_create((void *)(uintptr_t)(b->at + done), now,
				       &b->area[b->nareas]) < 0) {
			drop_areas(b);
			return errno == EOPNOTSUPP ? CUDA_ERROR_NOT_SUPPORTED
						   : CUDA_ERROR_OUT_OF_MEMORY;
		}
		b->nareas++;
		done += now;
	}
	return CUDA_SUCCESS;
}

static CUresult map_block(struct block *b, unsigned int flags)
{
	struct vgpu_desc desc[AREAS] = {0};
	CUresult r = fill_areas(b);

	if (r != CUDA_SUCCESS)
		return r;
	for (unsigned int i = 0; i < b->nareas; i++) {
		desc[i].buffer = b->area[i].buffer;
		desc[i].length = b->area[i].length;
	}
	r = rpc_vgpuHostMap(b->at, b->bytes, flags, desc, b->nareas);
	if (r != CUDA_SUCCESS)
		drop_areas(b);
	return r;
}

/* Called with the lock held. */
static CUresult make_block(size_t bytes, unsigned int flags, size_t extra, struct block **out)
{
	struct block *b;
	CUresult r;

	if (bytes > AREAS * AREA_MAX)
		return CUDA_ERROR_OUT_OF_MEMORY;
	b = calloc(1, sizeof(*b) + extra);
	if (!b)
		return CUDA_ERROR_OUT_OF_MEMORY;
	b->bytes = bytes;
	b->context = context_top();
	b->at = take_hole(bytes);
	if (!b->at) {
		r = add_window(bytes);
		b->at = r == CUDA_SUCCESS ? take_hole(bytes) : 0;
		if (!b->at) {
			free(b);
			return r == CUDA_SUCCESS ? CUDA_ERROR_OUT_OF_MEMORY : r;
		}
	}
	r = map_block(b, flags);
	if (r != CUDA_SUCCESS) {
		add_hole(b->at, b->bytes);
		free(b);
		return r;
	}
	*out = b;
	return CUDA_SUCCESS;
}

static CUresult drop_block(struct block *b)
{
	CUresult r = rpc_vgpuHostUnmap(b->at, b->bytes);

	if (r == CUDA_SUCCESS) {
		drop_areas(b);
		add_hole(b->at, b->bytes);
	}
	free(b);
	return r;
}

/* ---------------------------------------------------------------- slabs */

/* The first of `n` free pages in a row, or -1. */
static int find_pages(const struct block *s, unsigned int n)
{
	unsigned int run = 0;

	for (unsigned int i = 0; i < SLAB_PAGES;) {
		if (s->pages[i]) {
			i += s->pages[i];
			run = 0;
			continue;
		}
		i++;
		if (++run == n)
			return (int)(i - n);
	}
	return -1;
}

static CUresult small(size_t bytes, void **out)
{
	unsigned int n = (unsigned int)((bytes + PAGE - 1) / PAGE);
	struct block *s;
	int at = -1;
	CUresult r;

	for (s = slabs; s; s = s->next) {
		/* It goes with the context that it was made in. */
		at = s->context == context_top() ? find_pages(s, n) : -1;
		if (at >= 0)
			break;
	}
	if (!s) {
		r = make_block(SLAB, 0, SLAB_PAGES * sizeof(s->pages[0]), &s);
		if (r != CUDA_SUCCESS)
			return r;
		s->next = slabs;
		slabs = s;
		at = 0;
	}
	s->pages[at] = (uint16_t)n;
	*out = (void *)(uintptr_t)(s->at + (size_t)at * PAGE);
	return CUDA_SUCCESS;
}

/* Is it in a slab?  Then it is free now. */
static bool free_small(uint64_t at)
{
	for (struct block *s = slabs; s; s = s->next) {
		if (at - s->at >= SLAB)
			continue;
		s->pages[(at - s->at) / PAGE] = 0;
		return true;
	}
	return false;
}

/* ------------------------------------------------------------------------- */

CUresult window_alloc(size_t bytes, unsigned int flags, void **out)
{
	struct block *b;
	CUresult r;

	if (bytes > AREAS * AREA_MAX)
		return CUDA_ERROR_OUT_OF_MEMORY;
	pthread_mutex_lock(&lock);
	if (bytes <= SMALL) {
		r = small(bytes, out);
	} else {
		r = make_block((bytes + HUGE_PAGE - 1) & ~(HUGE_PAGE - 1), flags, 0, &b);
		if (r == CUDA_SUCCESS) {
			b->next = blocks;
			blocks = b;
			*out = (void *)(uintptr_t)b->at;
		}
	}
	pthread_mutex_unlock(&lock);
	return r;
}

CUresult window_free(void *addr)
{
	uint64_t at = (uintptr_t)addr;
	CUresult r = CUDA_ERROR_INVALID_VALUE;

	/* Copies that were asked for may still be using it. */
	if (context_current() && !capture_any())
		cuCtxSynchronize();
	pthread_mutex_lock(&lock);
	if (free_small(at)) {
		r = CUDA_SUCCESS;
	} else {
		for (struct block **b = &blocks; *b; b = &(*b)->next) {
			struct block *found = *b;

			if (found->at != at)
				continue;
			*b = found->next;
			r = drop_block(found);
			break;
		}
	}
	pthread_mutex_unlock(&lock);
	return r;
}

static void drop_all(struct block **list, const struct context *c)
{
	while (*list) {
		struct block *b = *list;

		if (b->context != c) {
			list = &b->next;
			continue;
		}
		*list = b->next;
		drop_block(b);
	}
}

void window_context_ends(const struct context *c)
{
	pthread_mutex_lock(&lock);
	drop_all(&blocks, c);
	drop_all(&slabs, c);
	pthread_mutex_unlock(&lock);
}
