/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Addresses of this process that a guest has taken: which, and which stay taken. */
#include "windows.h"

#include <stdlib.h>
#include <sys/mman.h>

#include "session.h"

#define WINDOWS_MAX 4096u
#define WINDOW_BYTES_MAX ((uint64_t)1 << 42)
#define USER_SPACE_END ((uint64_t)1 << 47)

static bool is_sane(uint64_t start, uint64_t length)
{
	return length && !(start % VGPU_PAGE) && !(length % VGPU_PAGE) &&
	       length <= WINDOW_BYTES_MAX && start >= VGPU_PAGE * 16 && start < USER_SPACE_END &&
	       length <= USER_SPACE_END - start;
}

static uint64_t end_of(const struct window *w)
{
	return w->start + w->length;
}

static bool overlaps(const struct window *w, uint64_t start, uint64_t length)
{
	return w->start < start + length && start < end_of(w);
}

static struct window *first(struct cuda_session *s)
{
	return s->windows ? s->windows->head : NULL;
}

struct window *windows_find(struct cuda_session *s, uint64_t start, uint64_t length, bool mapped)
{
	struct window *w = first(s);

	while (w && (w->start != start || w->length != length || w->mapped != mapped || w->kept))
		w = w->next;
	return w;
}

struct window *windows_overlapping(struct cuda_session *s, uint64_t start, uint64_t length,
				   bool mapped)
{
	struct window *w = first(s);

	while (w && (w->mapped != mapped || !overlaps(w, start, length)))
		w = w->next;
	return w;
}

static struct window *add(struct cuda_session *s, uint64_t start, uint64_t length)
{
	struct window *w;

	if (!s->windows)
		s->windows = calloc(1, sizeof(*s->windows));
	if (!s->windows || s->windows->n >= WINDOWS_MAX)
		return NULL;
	w = calloc(1, sizeof(*w));
	if (!w)
		return NULL;
	w->start = start;
	w->length = length;
	w->next = s->windows->head;
	s->windows->head = w;
	s->windows->n++;
	return w;
}

static void drop(struct cuda_session *s, struct window *w)
{
	struct window **at = &s->windows->head;

	while (*at && *at != w)
		at = &(*at)->next;
	if (*at)
		*at = w->next;
	s->windows->n--;
	s->windows->runs -= w->runs;
	free(w);
}

/* Takes address space; `over`: it is ours already. */
static bool take_space(uint64_t start, uint64_t length, bool over)
{
	void *at = (void *)(uintptr_t)start;

	return mmap(at, length, PROT_NONE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE |
			    (over ? MAP_FIXED : MAP_FIXED_NOREPLACE),
		    -1, 0) == at;
}

static void give_space(uint64_t start, uint64_t length)
{
	munmap((void *)(uintptr_t)start, length);
}

CUresult windows_reserve(struct cuda_session *s, uint64_t start, uint64_t length)
{
	if (!is_sane(start, length) || !take_space(start, length, false))
		return CUDA_ERROR_INVALID_VALUE;
	if (add(s, start, length))
		return CUDA_SUCCESS;
	give_space(start, length);
	return CUDA_ERROR_OUT_OF_MEMORY;
}

/* ---------------------------------------------------- addresses that are kept */

/* Moves *at to the first address that no window has; where the next one begins, or `end`. */
static uint64_t gap_end(struct cuda_session *s, uint64_t *at, uint64_t end)
{
	const struct window *w;

	while (*at < end && (w = windows_overlapping(s, *at, 1, false)))
		*at = end_of(w);
	for (w = first(s); w; w = w->next) {
		if (!w->mapped && w->start > *at && w->start < end)
			end = w->start;
	}
	return end;
}

/* Takes all addresses from `start` to `end` that no window has; all or none. */
static bool take_gaps(struct cuda_session *s, uint64_t start, uint64_t end)
{
	uint64_t at = start, failed, stop;

	for (; (stop = gap_end(s, &at, end)) > at; at = stop) {
		if (!take_space(at, stop - at, false))
			break;
	}
	if (at >= end)
		return true;
	failed = at;
	for (at = start; (stop = gap_end(s, &at, failed)) > at; at = stop)
		give_space(at, stop - at);
	return false;
}

/*
 * What the guest maps may overlap several kept windows: one window instead that
 * has all of it.  NULL: the rest is not free.
 */
static struct window *join_kept(struct cuda_session *s, struct window *w, uint64_t start,
				uint64_t length)
{
	uint64_t low = start, end = start + length;

	if (!take_gaps(s, start, end))
		return NULL;
	for (struct window *next, *o = first(s); o; o = next) {
		next = o->next;
		if (o->mapped || !overlaps(o, start, length))
			continue;
		low = o->start < low ? o->start : low;
		end = end_of(o) > end ? end_of(o) : end;
		if (o != w)
			drop(s, o);
	}
	w->start = low;
	w->length = end - low;
	return w;
}

static bool has(const struct window *w, uint64_t start, uint64_t length)
{
	return start >= w->start && length <= w->length && start - w->start <= w->length - length;
}

/* The reserved or kept window for a map; *r is an error if there cannot be one. */
static struct window *outer_of(struct cuda_session *s, uint64_t start, uint64_t length, CUresult *r)
{
	struct window *outer = windows_overlapping(s, start, length, false);

	*r = CUDA_SUCCESS;
	if (!outer || has(outer, start, length))
		return outer;
	*r = CUDA_ERROR_INVALID_VALUE;
	for (const struct window *w = first(s); w; w = w->next) {
		if (!w->mapped && !w->kept && overlaps(w, start, length))
			return NULL;
	}
	outer = join_kept(s, outer, start, length);
	if (outer)
		*r = CUDA_SUCCESS;
	return outer;
}

CUresult windows_make(struct cuda_session *s, uint64_t start, uint64_t length, struct window **out)
{
	struct window *outer, *w;
	CUresult r;

	if (!is_sane(start, length))
		return CUDA_ERROR_INVALID_VALUE;
	if (windows_overlapping(s, start, length, true))
		return CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED;
	outer = outer_of(s, start, length, &r);
	if (r != CUDA_SUCCESS)
		return r;
	if (!outer && !take_space(start, length, false))
		return CUDA_ERROR_INVALID_VALUE;
	w = add(s, start, length);
	if (!w) {
		if (!outer)
			give_space(start, length);
		return CUDA_ERROR_OUT_OF_MEMORY;
	}
	w->mapped = true;
	w->inside = outer;
	*out = w;
	return CUDA_SUCCESS;
}

bool windows_clear(struct window *w)
{
	return take_space(w->start, w->length, true);
}

void windows_end(struct cuda_session *s, struct window *w)
{
	struct window *outer =
		w->inside ? windows_overlapping(s, w->start, w->length, false) : NULL;

	if (outer) {
		outer->in_graphs |= w->in_graphs;
		drop(s, w);
	} else if (w->in_graphs) {
		s->windows->runs -= w->runs;
		w->runs = 0;
		w->mapped = false;
		w->kept = true;
	} else {
		give_space(w->start, w->length);
		drop(s, w);
	}
}
