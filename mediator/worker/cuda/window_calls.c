/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Host memory at one address on both sides: the guest's pages appear in this
 * process where its program has them, and the driver registers them there.
 */
#include <errno.h>
#include <sys/mman.h>

#include "cuda_dispatch.h"
#include "session.h"
#include "windows.h"
#include "worker.h"

/* Each run is a mapping of its own, and a process may have 65530 of them. */
#define RUNS_PER_MAP 32768u
#define RUNS_IN_ALL 49152u

CUresult host_vgpuHostReserve(struct cuda_session *s, unsigned long long address,
			      unsigned long long bytes)
{
	return windows_reserve(s, address, bytes);
}

CUresult host_vgpuHostRelease(struct cuda_session *s, unsigned long long address,
			      unsigned long long bytes)
{
	struct window *w = windows_find(s, address, bytes, false);

	if (!w || windows_overlapping(s, address, bytes, true))
		return CUDA_ERROR_INVALID_VALUE;
	windows_end(s, w);
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

static CUresult place_all(struct cuda_session *s, struct window *w, uint32_t access)
{
	uint64_t at = w->start;

	for (uint32_t i = 0; i < s->req->ndesc; i++) {
		const struct vgpu_desc *d = &s->req->desc[i];
		struct vgpu_operand op;
		CUresult r;

		if (d->length > w->start + w->length - at || session_operand(s, i, access, &op))
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
	/* The guest may have lent pages that its program itself may only read. */
	if (flags && mprotect(at, w->length, PROT_READ))
		return CUDA_ERROR_OUT_OF_MEMORY;
	r = s->drv->cuMemHostRegister_v2(
		at, w->length, flags | CU_MEMHOSTREGISTER_PORTABLE | CU_MEMHOSTREGISTER_DEVICEMAP);
	if (r != CUDA_SUCCESS)
		return r;
	if (ranges_add(&s->ranges, w->start, w->length, RANGE_HOST, 0))
		return CUDA_SUCCESS;
	s->drv->cuMemHostUnregister(at);
	return CUDA_ERROR_OUT_OF_MEMORY;
}

CUresult host_vgpuHostMap(struct cuda_session *s, unsigned long long address,
			  unsigned long long bytes, unsigned int flags)
{
	uint32_t access = VGPU_BUFFER_READ;
	struct window *w;
	CUresult r = windows_make(s, address, bytes, &w);

	if (r != CUDA_SUCCESS)
		return r;
	flags &= CU_MEMHOSTREGISTER_READ_ONLY;
	if (!flags)
		access |= VGPU_BUFFER_WRITE;
	r = place_all(s, w, access);
	if (r == CUDA_SUCCESS)
		r = register_with_driver(s, w, flags);
	if (r == CUDA_SUCCESS) {
		buffers_keep(&s->worker->buffers, &w->hold, false); /* it has its own maps */
		return CUDA_SUCCESS;
	}
	if (w->inside && !windows_clear(w)) /* as long as they are there they are held */
		buffers_keep(&s->worker->buffers, &w->hold, false);
	else
		windows_end(s, w);
	return r;
}

/* The pages are the guest's alone again. */
static CUresult unmap(struct cuda_session *s, uint64_t address, uint64_t bytes)
{
	struct window *w = windows_find(s, address, bytes, true);
	const struct cuda_range *range;
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
	range = ranges_find(&s->ranges, address);
	if (range && range->in_graphs)
		w->in_graphs = true;
	ranges_remove(&s->ranges, address, RANGE_HOST);
	/* Else they stay, and the guest may try again. */
	if (!windows_clear(w))
		return CUDA_ERROR_OUT_OF_MEMORY;
	buffers_let_go(&s->worker->buffers, &w->hold);
	windows_end(s, w);
	return r;
}

CUresult host_vgpuHostUnmap(struct cuda_session *s, unsigned long long address,
			    unsigned long long bytes)
{
	CUresult r;

	if (!windows_find(s, address, bytes, true))
		return CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED;
	r = session_drain_each(s); /* each may have work that uses them */
	return r == CUDA_SUCCESS ? unmap(s, address, bytes) : r;
}
