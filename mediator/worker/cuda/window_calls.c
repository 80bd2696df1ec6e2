/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Host memory at one address on both sides: the guest's pages appear in this
 * process where its program has them, and the driver registers them there.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "cuda_dispatch.h"
#include "session.h"
#include "worker.h"

#define WINDOWS_MAX 4096u
#define WINDOW_BYTES_MAX ((uint64_t)1 << 42)
/* Each run is a mapping of its own, and a process may have 65530 of them. */
#define RUNS_PER_MAP 32768u
#define RUNS_IN_ALL 49152u
#define USER_SPACE_END ((uint64_t)1 << 47)

struct window {
	struct window *next;
	uint64_t start;
	uint64_t length;
	bool mapped; /* else only reserved */
	bool inside; /* mapped within a reserved window */
	uint32_t runs;
	struct buffers_hold hold;
};

struct windows {
	struct window *head;
	unsigned int n;
	uint32_t runs;
};

static bool is_sane(uint64_t address, uint64_t bytes)
{
	return bytes && !(address % VGPU_PAGE) && !(bytes % VGPU_PAGE) &&
	       bytes <= WINDOW_BYTES_MAX && address >= VGPU_PAGE * 16 && address < USER_SPACE_END &&
	       bytes <= USER_SPACE_END - address;
}

static struct window *find(struct cuda_session *s, uint64_t start, uint64_t length, bool mapped)
{
	struct window *w = s->windows ? s->windows->head : NULL;

	while (w && (w->start != start || w->length != length || w->mapped != mapped))
		w = w->next;
	return w;
}

static struct window *overlapping(struct cuda_session *s, uint64_t start, uint64_t length,
				  bool mapped)
{
	struct window *w = s->windows->head;

	while (w &&
	       (w->mapped != mapped || w->start >= start + length || start >= w->start + w->length))
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

	while (*at != w)
		at = &(*at)->next;
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

CUresult host_vgpuHostReserve(struct cuda_session *s, unsigned long long address,
			      unsigned long long bytes)
{
	struct window *w;

	if (!is_sane(address, bytes) || !take_space(address, bytes, false))
		return CUDA_ERROR_INVALID_VALUE;
	w = add(s, address, bytes);
	if (w)
		return CUDA_SUCCESS;
	munmap((void *)(uintptr_t)address, bytes);
	return CUDA_ERROR_OUT_OF_MEMORY;
}

CUresult host_vgpuHostRelease(struct cuda_session *s, unsigned long long address,
			      unsigned long long bytes)
{
	struct window *w = find(s, address, bytes, false);

	if (!w || overlapping(s, address, bytes, true))
		return CUDA_ERROR_INVALID_VALUE;
	munmap((void *)(uintptr_t)address, bytes);
	drop(s, w);
	return CUDA_SUCCESS;
}

/* ------------------------------------------------------------------- maps */

/* The runs of an operand, one after the other from *at on. */
static CUresult place(const struct memory *m, const struct vgpu_operand *op, uint64_t *at)
{
	for (uint32_t i = 0; i < op->nruns; i++) {
		void *to = (void *)(uintptr_t)*at;
		const struct vgpu_run *run = &op->run[i];

		if ((uintptr_t)run->base % VGPU_PAGE || run->length % VGPU_PAGE)
			return CUDA_ERROR_INVALID_VALUE;
		if (memory_alias(m, run->base, run->length, to) < 0)
			return CUDA_ERROR_OUT_OF_MEMORY;
		*at += run->length;
	}
	return CUDA_SUCCESS;
}

static CUresult place_all(struct cuda_session *s, struct window *w)
{
	uint64_t at = w->start;

	for (uint32_t i = 0; i < s->req->ndesc; i++) {
		const struct vgpu_desc *d = &s->req->desc[i];
		struct vgpu_operand op;
		CUresult r;

		if (d->length > w->start + w->length - at ||
		    session_operand(s, i, VGPU_BUFFER_READ | VGPU_BUFFER_WRITE, &op))
			return CUDA_ERROR_INVALID_VALUE;
		if (op.nruns > RUNS_PER_MAP - w->runs || op.nruns > RUNS_IN_ALL - s->windows->runs)
			return CUDA_ERROR_OUT_OF_MEMORY;
		w->runs += op.nruns;
		s->windows->runs += op.nruns;
		r = place(&s->worker->mem, &op, &at);
		if (r != CUDA_SUCCESS)
			return r;
	}
	return at == w->start + w->length ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

static void unplace(const struct window *w)
{
	if (w->inside)
		take_space(w->start, w->length, true);
	else
		munmap((void *)(uintptr_t)w->start, w->length);
}

static CUresult register_with_driver(struct cuda_session *s, const struct window *w,
				     unsigned int flags)
{
	void *at = (void *)(uintptr_t)w->start;
	CUresult r;

	/* A dump must not hold the guest's memory, nor a child have it. */
	madvise(at, w->length, MADV_DONTDUMP);
	madvise(at, w->length, MADV_DONTFORK);
	if (!s->drv->cuMemHostRegister_v2)
		return CUDA_ERROR_NOT_SUPPORTED;
	flags &= CU_MEMHOSTREGISTER_READ_ONLY;
	r = s->drv->cuMemHostRegister_v2(
		at, w->length, flags | CU_MEMHOSTREGISTER_PORTABLE | CU_MEMHOSTREGISTER_DEVICEMAP);
	if (r != CUDA_SUCCESS)
		return r;
	if (ranges_add(&s->ranges, w->start, w->length, RANGE_HOST, 0))
		return CUDA_SUCCESS;
	s->drv->cuMemHostUnregister(at);
	return CUDA_ERROR_OUT_OF_MEMORY;
}

/* Where the map goes: into one reserved window wholly, or where nothing is. */
static struct window *make_space(struct cuda_session *s, uint64_t address, uint64_t bytes,
				 CUresult *r)
{
	struct window *outer, *w = NULL;

	*r = CUDA_ERROR_INVALID_VALUE;
	if (!is_sane(address, bytes))
		return NULL;
	if (s->windows && overlapping(s, address, bytes, true)) {
		*r = CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED;
		return NULL;
	}
	outer = s->windows ? overlapping(s, address, bytes, false) : NULL;
	if (outer && (address < outer->start || bytes > outer->length - (address - outer->start)))
		return NULL;
	if (!outer && !take_space(address, bytes, false))
		return NULL;
	w = add(s, address, bytes);
	if (!w) {
		*r = CUDA_ERROR_OUT_OF_MEMORY;
		if (!outer)
			munmap((void *)(uintptr_t)address, bytes);
		return NULL;
	}
	w->mapped = true;
	w->inside = outer;
	return w;
}

CUresult host_vgpuHostMap(struct cuda_session *s, unsigned long long address,
			  unsigned long long bytes, unsigned int flags)
{
	CUresult r;
	struct window *w = make_space(s, address, bytes, &r);

	if (!w)
		return r;
	r = place_all(s, w);
	if (r == CUDA_SUCCESS)
		r = register_with_driver(s, w, flags);
	if (r == CUDA_SUCCESS) {
		buffers_keep(&s->worker->buffers, &w->hold, false); /* it has its own maps */
		return CUDA_SUCCESS;
	}
	unplace(w);
	drop(s, w);
	return r;
}

/* The pages are the guest's alone again. */
static CUresult unmap(struct cuda_session *s, uint64_t address, uint64_t bytes)
{
	struct window *w = find(s, address, bytes, true);
	CUresult r;

	if (!w)
		return CUDA_ERROR_INVALID_VALUE;
	r = s->drv->cuMemHostUnregister ? s->drv->cuMemHostUnregister((void *)(uintptr_t)address)
					: CUDA_SUCCESS;
	/* With the context that registered it gone, so is the registration. */
	if (r == CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED)
		r = CUDA_SUCCESS;
	if (r != CUDA_SUCCESS)
		return r;
	ranges_remove(&s->ranges, address, RANGE_HOST);
	unplace(w);
	buffers_let_go(&s->worker->buffers, &w->hold);
	drop(s, w);
	return r;
}

CUresult host_vgpuHostUnmap(struct cuda_session *s, unsigned long long address,
			    unsigned long long bytes)
{
	CUresult r;

	if (!find(s, address, bytes, true))
		return CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED;
	r = session_drain_if(s, true);
	return r == CUDA_SUCCESS ? unmap(s, address, bytes) : r;
}
