// SPDX-License-Identifier: GPL-2.0-or-later
/* Device memory: allocating, freeing, and which allocation an address is in. */
#include <stdlib.h>

#include "capture.h"
#include "context_priv.h"
#include "cuda_rpc.h"
#include "graph_memory.h"
#include "ranges.h"
#include "reserve.h"
#include "spare.h"

#define TRIES 8

/* What one attempt asks the host for; `pitch` is NULL for plain memory. */
struct wish {
	size_t bytes; /* or the width of a row */
	size_t height;
	unsigned int element;
	size_t *pitch;
};

static CUresult ask(const struct wish *w, CUdeviceptr *p, size_t *size)
{
	CUresult r;

	*size = w->bytes;
	if (!w->pitch) {
		*p = spare_take(w->bytes, context_top());
		return *p ? CUDA_SUCCESS : rpc_cuMemAlloc_v2(p, w->bytes);
	}
	r = rpc_cuMemAllocPitch_v2(p, w->pitch, w->bytes, w->height, w->element);
	if (r == CUDA_SUCCESS)
		*size = *w->pitch * w->height;
	return r;
}

/*
 * Allocates until the addresses are free in the program's own address space
 * too.  What did not fit is held until then, so that it is not offered again.
 */
static CUresult allocate(const struct wish *w, CUdeviceptr *out)
{
	CUdeviceptr held[TRIES], p = 0;
	unsigned int n = 0;
	size_t size = 0;
	CUresult r;

	for (;;) {
		r = ask(w, &p, &size);
		if (r == CUDA_ERROR_OUT_OF_MEMORY && spare_release())
			r = ask(w, &p, &size);
		if (r != CUDA_SUCCESS || reserve_device_range(p, size))
			break;
		held[n++] = p;
		if (n == TRIES) {
			r = CUDA_ERROR_OUT_OF_MEMORY;
			break;
		}
	}
	while (n)
		rpc_cuMemFree_v2(held[--n]);
	if (r != CUDA_SUCCESS)
		return r;
	range_evict(p, size);
	if (range_add(&(struct range){
		    .base = p, .size = size, .kind = RANGE_DEVICE, .context = context_top()}) < 0) {
		rpc_cuMemFree_v2(p);
		return CUDA_ERROR_OUT_OF_MEMORY;
	}
	*out = p;
	return CUDA_SUCCESS;
}

CUresult cuMemAlloc_v2(CUdeviceptr *dptr, size_t bytesize)
{
	struct wish w = {.bytes = bytesize};
	CUresult r = shim_enter_context();

	if (r != CUDA_SUCCESS)
		return r;
	if (!dptr || !bytesize)
		return CUDA_ERROR_INVALID_VALUE;
	r = capture_allows();
	return r == CUDA_SUCCESS ? allocate(&w, dptr) : r;
}

CUresult cuMemAllocPitch_v2(CUdeviceptr *dptr, size_t *pPitch, size_t WidthInBytes, size_t Height,
			    unsigned int ElementSizeBytes)
{
	size_t pitch = 0;
	struct wish w = {WidthInBytes, Height, ElementSizeBytes, &pitch};
	CUresult r = shim_enter_context();

	if (r != CUDA_SUCCESS)
		return r;
	if (!dptr || !pPitch || !WidthInBytes || !Height)
		return CUDA_ERROR_INVALID_VALUE;
	r = capture_allows();
	if (r == CUDA_SUCCESS)
		r = allocate(&w, dptr);
	if (r == CUDA_SUCCESS)
		*pPitch = pitch;
	return r;
}

/*
 * Freeing waits for the GPU, and programs count on it; after that the memory can
 * be had again at once.  What is not kept goes to the host, which takes calls in
 * their order: nobody waits for that.
 */
static CUresult give_back(const struct range *r)
{
	CUresult waited = CUDA_SUCCESS, freed;

	if (r->kind == RANGE_POOL)
		return rpc_cuMemFreeAsync(r->base, NULL);
	if (r->context == context_top() && !capture_any()) {
		waited = cuCtxSynchronize();
		if (waited == CUDA_SUCCESS && spare_keep(r->base, r->size, r->context))
			return CUDA_SUCCESS;
	}
	freed = rpc_cuMemFree_v2(r->base);
	return freed == CUDA_SUCCESS ? waited : freed;
}

/* Out of the table first: then another thread may be given the address. */
static CUresult release(CUdeviceptr dptr)
{
	struct range old;
	CUresult r;

	if (!range_find(dptr, &old) || old.base != dptr ||
	    (old.kind != RANGE_DEVICE && old.kind != RANGE_POOL && old.kind != RANGE_GRAPH))
		return CUDA_ERROR_INVALID_VALUE;
	r = capture_allows();
	if (r != CUDA_SUCCESS)
		return r;
	if (old.kind == RANGE_GRAPH)
		return rpc_vgpuGraphFree(dptr, NULL, 0);
	return range_remove(dptr, &old) ? give_back(&old) : CUDA_ERROR_INVALID_VALUE;
}

/* A thread without a context may free: in the one that the memory was made in. */
CUresult cuMemFree_v2(CUdeviceptr dptr)
{
	struct range known;
	CUresult r = shim_enter();

	if (r != CUDA_SUCCESS)
		return r;
	if (context_top() || !range_find(dptr, &known) || !known.context) {
		r = shim_enter_context();
		return r == CUDA_SUCCESS && dptr ? release(dptr) : r;
	}
	context_lend(known.context);
	r = shim_enter_context();
	if (r == CUDA_SUCCESS)
		r = release(dptr);
	context_lend(NULL);
	return r;
}

CUresult cuMemGetInfo_v2(size_t *free, size_t *total)
{
	CUresult r = shim_enter_context();

	if (r != CUDA_SUCCESS)
		return r;
	if (!free || !total)
		return CUDA_ERROR_INVALID_VALUE;
	spare_release(); /* which the program believes to be free */
	return rpc_cuMemGetInfo_v2(free, total);
}

CUresult cuMemGetAddressRange_v2(CUdeviceptr *pbase, size_t *psize, CUdeviceptr dptr)
{
	struct range found;
	CUresult r = shim_enter_context();

	if (r != CUDA_SUCCESS)
		return r;
	if (!range_find(dptr, &found) || found.kind == RANGE_RESERVED ||
	    (found.kind == RANGE_MAPPED && !found.access) || !graph_memory_there(&found))
		return CUDA_ERROR_NOT_FOUND;
	if (pbase)
		*pbase = found.base;
	if (psize)
		*psize = found.size;
	return CUDA_SUCCESS;
}
