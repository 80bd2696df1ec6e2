/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Memory pools, and memory that is allocated and freed in a stream's order.
 *
 * Memory of a pool is there at once: the stream's order only tells when it
 * goes.  Nothing is kept for later, so what is reserved is what is used.
 */
#include <string.h>

#include "driver.h"

static CUmemoryPool default_pool, current_pool;

void pool_account(CUmemoryPool pool, size_t size, bool more)
{
	if (!more) {
		pool->used -= size;
		return;
	}
	pool->used += size;
	pool->used_high = MAX(pool->used_high, pool->used);
}

static CUmemoryPool pool_new(bool is_default)
{
	CUmemoryPool pool = object_new(OBJECT_POOL, sizeof(*pool), NULL);

	if (!pool)
		return NULL;
	pool->is_default = is_default;
	pool->access = CU_MEM_ACCESS_FLAGS_PROT_READWRITE;
	for (size_t i = 0; i < G_N_ELEMENTS(pool->reuse); i++)
		pool->reuse[i] = 1;
	return pool;
}

static CUmemoryPool get_default(void)
{
	if (!default_pool)
		default_pool = pool_new(true);
	return default_pool;
}

static CUresult give(CUmemoryPool pool, CUmemoryPool *out, CUdevice dev)
{
	if (!out)
		return CUDA_ERROR_INVALID_VALUE;
	if (!device_is_valid(dev))
		return CUDA_ERROR_INVALID_DEVICE;
	*out = pool;
	return pool ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

static CUresult CUDAAPI cpu_cuDeviceGetDefaultMemPool(CUmemoryPool *out, CUdevice dev)
{
	ENTER();
	return give(get_default(), out, dev);
}

static CUresult CUDAAPI cpu_cuDeviceGetMemPool(CUmemoryPool *out, CUdevice dev)
{
	ENTER();
	return give(current_pool ? current_pool : get_default(), out, dev);
}

static CUresult CUDAAPI cpu_cuDeviceSetMemPool(CUdevice dev, CUmemoryPool handle)
{
	CUmemoryPool pool;

	ENTER();
	if (!device_is_valid(dev))
		return CUDA_ERROR_INVALID_DEVICE;
	pool = object_find(handle, OBJECT_POOL);
	if (!pool)
		return CUDA_ERROR_INVALID_HANDLE;
	current_pool = pool;
	return CUDA_SUCCESS;
}

static CUresult CUDAAPI cpu_cuMemPoolCreate(CUmemoryPool *out, const CUmemPoolProps *props)
{
	ENTER();
	if (!out || !props || props->allocType != CU_MEM_ALLOCATION_TYPE_PINNED)
		return CUDA_ERROR_INVALID_VALUE;
	if (props->handleTypes != CU_MEM_HANDLE_TYPE_NONE ||
	    props->location.type != CU_MEM_LOCATION_TYPE_DEVICE)
		return CUDA_ERROR_NOT_SUPPORTED;
	if (!device_is_valid(props->location.id))
		return CUDA_ERROR_INVALID_DEVICE;
	*out = pool_new(false);
	return *out ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

/* What was allocated from it stays until it is freed. */
static CUresult CUDAAPI cpu_cuMemPoolDestroy(CUmemoryPool handle)
{
	CUmemoryPool pool;

	ENTER();
	pool = object_find(handle, OBJECT_POOL);
	if (!pool)
		return CUDA_ERROR_INVALID_HANDLE;
	if (pool->is_default)
		return CUDA_ERROR_NOT_PERMITTED;
	if (current_pool == pool)
		current_pool = NULL;
	object_retire(pool);
	return CUDA_SUCCESS;
}

static CUresult CUDAAPI cpu_cuMemPoolTrimTo(CUmemoryPool handle, size_t keep)
{
	(void)keep;
	ENTER();
	return object_find(handle, OBJECT_POOL) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
}

static CUresult CUDAAPI cpu_cuMemPoolGetAttribute(CUmemoryPool handle, CUmemPool_attribute which,
						  void *value)
{
	CUmemoryPool pool;

	ENTER();
	pool = object_find(handle, OBJECT_POOL);
	if (!value || !pool)
		return value ? CUDA_ERROR_INVALID_HANDLE : CUDA_ERROR_INVALID_VALUE;
	switch (which) {
	case CU_MEMPOOL_ATTR_REUSE_FOLLOW_EVENT_DEPENDENCIES:
	case CU_MEMPOOL_ATTR_REUSE_ALLOW_OPPORTUNISTIC:
	case CU_MEMPOOL_ATTR_REUSE_ALLOW_INTERNAL_DEPENDENCIES:
		*(int *)value =
			pool->reuse[which - CU_MEMPOOL_ATTR_REUSE_FOLLOW_EVENT_DEPENDENCIES];
		break;
	case CU_MEMPOOL_ATTR_RELEASE_THRESHOLD:
		*(cuuint64_t *)value = pool->threshold;
		break;
	case CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT:
	case CU_MEMPOOL_ATTR_USED_MEM_CURRENT:
		*(cuuint64_t *)value = pool->used;
		break;
	case CU_MEMPOOL_ATTR_RESERVED_MEM_HIGH:
	case CU_MEMPOOL_ATTR_USED_MEM_HIGH:
		*(cuuint64_t *)value = pool->used_high;
		break;
	default:
		return CUDA_ERROR_INVALID_VALUE;
	}
	return CUDA_SUCCESS;
}

static CUresult CUDAAPI cpu_cuMemPoolSetAttribute(CUmemoryPool handle, CUmemPool_attribute which,
						  void *value)
{
	CUmemoryPool pool;

	ENTER();
	pool = object_find(handle, OBJECT_POOL);
	if (!value || !pool)
		return value ? CUDA_ERROR_INVALID_HANDLE : CUDA_ERROR_INVALID_VALUE;
	switch (which) {
	case CU_MEMPOOL_ATTR_REUSE_FOLLOW_EVENT_DEPENDENCIES:
	case CU_MEMPOOL_ATTR_REUSE_ALLOW_OPPORTUNISTIC:
	case CU_MEMPOOL_ATTR_REUSE_ALLOW_INTERNAL_DEPENDENCIES:
		pool->reuse[which - CU_MEMPOOL_ATTR_REUSE_FOLLOW_EVENT_DEPENDENCIES] =
			*(int *)value != 0;
		break;
	case CU_MEMPOOL_ATTR_RELEASE_THRESHOLD:
		pool->threshold = *(cuuint64_t *)value;
		break;
	case CU_MEMPOOL_ATTR_RESERVED_MEM_HIGH:
	case CU_MEMPOOL_ATTR_USED_MEM_HIGH:
		if (*(cuuint64_t *)value)
			return CUDA_ERROR_INVALID_VALUE;
		pool->used_high = pool->used;
		break;
	default:
		return CUDA_ERROR_INVALID_VALUE;
	}
	return CUDA_SUCCESS;
}

static CUresult CUDAAPI cpu_cuMemPoolSetAccess(CUmemoryPool handle, const CUmemAccessDesc *map,
					       size_t n)
{
	CUmemoryPool pool;

	ENTER();
	pool = object_find(handle, OBJECT_POOL);
	if (!pool)
		return CUDA_ERROR_INVALID_HANDLE;
	for (size_t i = 0; i < n; i++) {
		if (!map || map[i].location.type != CU_MEM_LOCATION_TYPE_DEVICE ||
		    !device_is_valid(map[i].location.id))
			return CUDA_ERROR_INVALID_VALUE;
		if (map[i].flags != CU_MEM_ACCESS_FLAGS_PROT_READWRITE)
			return CUDA_ERROR_INVALID_VALUE; /* its own device cannot lose it */
	}
	return CUDA_SUCCESS;
}

static CUresult CUDAAPI cpu_cuMemPoolGetAccess(CUmemAccess_flags *flags, CUmemoryPool handle,
					       CUmemLocation *location)
{
	CUmemoryPool pool;

	ENTER();
	pool = object_find(handle, OBJECT_POOL);
	if (!pool)
		return CUDA_ERROR_INVALID_HANDLE;
	if (!flags || !location || location->type != CU_MEM_LOCATION_TYPE_DEVICE ||
	    !device_is_valid(location->id))
		return CUDA_ERROR_INVALID_VALUE;
	*flags = pool->access;
	return CUDA_SUCCESS;
}

static CUresult alloc(CUdeviceptr *out, size_t size, CUmemoryPool pool, CUstream stream,
		      CUcontext ctx)
{
	struct range *r;
	struct work *w;
	CUresult err;
	CUstream s;

	if (!out)
		return CUDA_ERROR_INVALID_VALUE;
	err = stream_find(ctx, stream, &s);
	if (err)
		return err;
	if (s->capture) {
		err = graph_memory_new(size, &w);
		if (err)
			return err;
		*out = w->free.address;
		return capture_add(s, w);
	}
	err = range_new(RANGE_POOL, size, ctx, &r);
	if (err)
		return err;
	r->pool = object_ref(pool);
	pool_account(pool, size, true);
	*out = r->base;
	return CUDA_SUCCESS;
}

static CUresult CUDAAPI cpu_cuMemAllocAsync(CUdeviceptr *out, size_t size, CUstream stream)
{
	CUmemoryPool pool;

	ENTER_CONTEXT(ctx);
	pool = current_pool ? current_pool : get_default();
	return pool ? alloc(out, size, pool, stream, ctx) : CUDA_ERROR_OUT_OF_MEMORY;
}

static CUresult CUDAAPI cpu_cuMemAllocFromPoolAsync(CUdeviceptr *out, size_t size,
						    CUmemoryPool handle, CUstream stream)
{
	CUmemoryPool pool;

	ENTER_CONTEXT(ctx);
	pool = object_find(handle, OBJECT_POOL);
	return pool ? alloc(out, size, pool, stream, ctx) : CUDA_ERROR_INVALID_HANDLE;
}

static CUresult CUDAAPI cpu_cuMemFreeAsync(CUdeviceptr dptr, CUstream stream)
{
	struct range *r;
	struct work *w;
	CUstream s;

	ENTER_CONTEXT(ctx);
	if (!dptr)
		return CUDA_SUCCESS;
	enter_error = stream_find(ctx, stream, &s);
	if (enter_error)
		return enter_error;
	r = range_find(dptr);
	if (!r || r->base != dptr || r->leaving ||
	    (r->kind != RANGE_DEVICE && r->kind != RANGE_POOL && r->kind != RANGE_GRAPH))
		return CUDA_ERROR_INVALID_VALUE;
	if (s->capture && r->kind != RANGE_GRAPH) {
		capture_invalidate(s->capture);
		return CUDA_ERROR_NOT_SUPPORTED;
	}
	if (!s->capture && r->kind == RANGE_GRAPH)
		enter_error = graph_memory_free(r);
	if (enter_error)
		return enter_error;
	w = work_new(WORK_FREE);
	w->free.id = r->id;
	w->free.address = dptr;
	graph_memory_ref(&w->free);
	if (s->capture)
		return capture_add(s, w);
	r->leaving = r->kind != RANGE_GRAPH;
	enter_error = stream_submit(s, w, NULL);
	if (enter_error)
		r->leaving = false;
	return enter_error;
}

CPU_SYMBOLS(cpu_pool_symbols, CPU_FN(cuDeviceGetDefaultMemPool), CPU_FN(cuDeviceGetMemPool),
	    CPU_FN(cuDeviceSetMemPool), CPU_FN(cuMemPoolCreate), CPU_FN(cuMemPoolDestroy),
	    CPU_FN(cuMemPoolTrimTo), CPU_FN(cuMemPoolGetAttribute), CPU_FN(cuMemPoolSetAttribute),
	    CPU_FN(cuMemPoolSetAccess), CPU_FN(cuMemPoolGetAccess), CPU_FN(cuMemAllocAsync),
	    CPU_FN(cuMemAllocFromPoolAsync), CPU_FN(cuMemFreeAsync));
