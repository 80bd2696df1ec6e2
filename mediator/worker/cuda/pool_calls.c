/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Memory that is allocated and freed in the order of a stream. */
#include "charge.h"
#include "cuda_dispatch.h"
#include "graph_memory.h"
#include "memory.h"
#include "session.h"
#include "waits.h"

/* What a captured stream allocates is its graph's. */
static CUresult keep(struct cuda_session *s, CUdeviceptr at, size_t bytes, CUstream stream,
		     bool captured, uint64_t pool)
{
	s->captured_memory |= captured;
	if (memory_note(s, at, bytes, captured ? RANGE_GRAPH : RANGE_DEVICE)) {
		charge_range(s, at, charge_of(bytes), pool);
		return CUDA_SUCCESS;
	}
	if (s->drv->cuMemFreeAsync)
		s->drv->cuMemFreeAsync(at, stream);
	charge_pool_undo(s, pool, charge_of(bytes));
	return CUDA_ERROR_OUT_OF_MEMORY;
}

/* `pool`: NULL for the device's current one. */
static CUresult allocate(struct cuda_session *s, CUdeviceptr *dptr, size_t bytes, CUmemoryPool pool,
			 CUstream stream)
{
	const bool captured = waits_is_capturing(s, stream);
	const uint64_t from =
		captured ? CHARGE_GRAPHS : (pool ? (uintptr_t)pool : charge_current_pool(s));
	CUresult r = charge_pool_take(s, from, charge_of(bytes));

	if (r != CUDA_SUCCESS)
		return r;
	r = pool ? s->drv->cuMemAllocFromPoolAsync(dptr, bytes, pool, stream)
		 : s->drv->cuMemAllocAsync(dptr, bytes, stream);
	if (r == CUDA_SUCCESS)
		return keep(s, *dptr, bytes, stream, captured, from);
	charge_pool_undo(s, from, charge_of(bytes));
	return r;
}

CUresult host_cuMemAllocAsync(struct cuda_session *s, CUdeviceptr *dptr, size_t bytes,
			      CUstream stream)
{
	return s->drv->cuMemAllocAsync ? allocate(s, dptr, bytes, NULL, stream)
				       : CUDA_ERROR_NOT_SUPPORTED;
}

CUresult host_cuMemAllocFromPoolAsync(struct cuda_session *s, CUdeviceptr *dptr, size_t bytes,
				      CUmemoryPool pool, CUstream stream)
{
	return s->drv->cuMemAllocFromPoolAsync ? allocate(s, dptr, bytes, pool, stream)
					       : CUDA_ERROR_NOT_SUPPORTED;
}

CUresult host_cuMemFreeAsync(struct cuda_session *s, CUdeviceptr dptr, CUstream stream)
{
	const struct cuda_range *range = ranges_find(&s->ranges, dptr);
	bool later;
	CUresult r;

	if (!s->drv->cuMemFreeAsync)
		return CUDA_ERROR_NOT_SUPPORTED;
	if (!range || range->start != dptr || range->kind != RANGE_DEVICE)
		return CUDA_ERROR_INVALID_VALUE;
	later = waits_is_capturing(s, stream); /* it is freed by each launch of the graph */
	r = s->drv->cuMemFreeAsync(dptr, stream);
	if (r == CUDA_SUCCESS && !later)
		memory_freed(s, dptr);
	return r;
}

/*
 * Memory of a graph, freed outside of it or by another graph that is captured.
 * The next launch makes it again at the same place, so that the range stays; who
 * uses the address meanwhile is refused by the driver.
 */
CUresult host_vgpuGraphFree(struct cuda_session *s, CUdeviceptr at, CUstream stream,
			    unsigned int in_order)
{
	const struct cuda_range *range = ranges_find(&s->ranges, at);
	bool later;
	CUresult r;

	if (!range || range->start != at || range->kind != RANGE_GRAPH)
		return CUDA_ERROR_INVALID_VALUE;
	if (!s->drv->cuMemFreeAsync || !s->drv->cuMemFree_v2)
		return CUDA_ERROR_NOT_SUPPORTED;
	later = in_order && waits_is_capturing(s, stream);
	/* The second does not wait either: the program says that the memory is not in use. */
	r = in_order ? s->drv->cuMemFreeAsync(at, stream) : s->drv->cuMemFree_v2(at);
	if (r == CUDA_SUCCESS && !later)
		graph_memory_freed(s, at);
	return r;
}

CUresult host_vgpuGraphMemory(struct cuda_session *s, CUdeviceptr at)
{
	const struct cuda_range *range = ranges_find(&s->ranges, at);
	CUdeviceptr base;
	size_t bytes;

	if (!range || range->kind != RANGE_GRAPH)
		return CUDA_ERROR_INVALID_VALUE;
	return s->drv->cuMemGetAddressRange_v2 ? s->drv->cuMemGetAddressRange_v2(&base, &bytes, at)
					       : CUDA_ERROR_NOT_SUPPORTED;
}

CUresult host_cuMemPoolDestroy(struct cuda_session *s, CUmemoryPool pool)
{
	CUresult r = s->drv->cuMemPoolDestroy ? s->drv->cuMemPoolDestroy(pool)
					      : CUDA_ERROR_NOT_SUPPORTED;
	uint64_t handle;

	if (r == CUDA_SUCCESS)
		charge_pool_gone(s, (uintptr_t)pool);
	/* As a device's own it may have been asked for, and have more handles. */
	while (r == CUDA_SUCCESS && (handle = handles_find(s, VGPU_CUDA_MEMPOOL, pool)))
		handles_remove(s, handle);
	return r;
}

CUresult host_vgpuDevicePool(struct cuda_session *s, CUmemoryPool *pool, CUdevice dev,
			     unsigned int which)
{
	CUresult (*get)(CUmemoryPool *, CUdevice) = which == VGPU_POOL_CURRENT
							    ? s->drv->cuDeviceGetMemPool
							    : s->drv->cuDeviceGetDefaultMemPool;

	if (which > VGPU_POOL_CURRENT)
		return CUDA_ERROR_INVALID_VALUE;
	return get ? get(pool, dev) : CUDA_ERROR_NOT_SUPPORTED;
}

/* All attributes are 32 or 64 bits wide: an address of 64 does for both. */
CUresult host_vgpuPoolSet(struct cuda_session *s, CUmemoryPool pool, unsigned int attribute,
			  unsigned long long value)
{
	cuuint64_t v = value;

	return s->drv->cuMemPoolSetAttribute
		       ? s->drv->cuMemPoolSetAttribute(pool, (CUmemPool_attribute)attribute, &v)
		       : CUDA_ERROR_NOT_SUPPORTED;
}

CUresult host_vgpuPoolGet(struct cuda_session *s, CUmemoryPool pool, unsigned int attribute,
			  unsigned long long *value)
{
	cuuint64_t v[8] = {0}; /* room for what a later driver may answer */
	CUresult r =
		s->drv->cuMemPoolGetAttribute
			? s->drv->cuMemPoolGetAttribute(pool, (CUmemPool_attribute)attribute, v)
			: CUDA_ERROR_NOT_SUPPORTED;

	*value = v[0];
	return r;
}

CUresult host_vgpuGraphMemSet(struct cuda_session *s, CUdevice dev, unsigned int attribute,
			      unsigned long long value)
{
	cuuint64_t v = value;

	return s->drv->cuDeviceSetGraphMemAttribute
		       ? s->drv->cuDeviceSetGraphMemAttribute(dev, (CUgraphMem_attribute)attribute,
							      &v)
		       : CUDA_ERROR_NOT_SUPPORTED;
}

CUresult host_vgpuGraphMemGet(struct cuda_session *s, CUdevice dev, unsigned int attribute,
			      unsigned long long *value)
{
	cuuint64_t v[8] = {0};
	CUresult r = s->drv->cuDeviceGetGraphMemAttribute
			     ? s->drv->cuDeviceGetGraphMemAttribute(
				       dev, (CUgraphMem_attribute)attribute, v)
			     : CUDA_ERROR_NOT_SUPPORTED;

	*value = v[0];
	return r;
}
