// SPDX-License-Identifier: GPL-2.0-or-later
/* Memory in the order of a stream, and the pools it comes from. */
#include <pthread.h>
#include <stdint.h>

#include "capture.h"
#include "context.h"
#include "cuda_rpc.h"
#include "device.h"
#include "graph_memory.h"
#include "handles.h"
#include "ranges.h"
#include "reserve.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* a pool has one handle */
static uint64_t current_pool[DEVICES_MAX], default_pool[DEVICES_MAX];

/* ------------------------------------------------------------- allocating */

/*
 * Addresses of a pool come back to it, so that reserving them is of use only
 * the first time; if the program has something there they are used all the same.
 */
static CUresult note(CUdeviceptr p, size_t bytes, uint64_t pool, CUstream stream)
{
	if (capture_has(stream))
		return graph_memory_add(p, bytes);
	reserve_device_range(p, bytes);
	range_evict(p, bytes);
	if (range_add(&(struct range){.base = p,
				      .size = bytes,
				      .kind = RANGE_POOL,
				      .context = context_top(),
				      .owner = pool}) < 0)
		return CUDA_ERROR_OUT_OF_MEMORY;
	return CUDA_SUCCESS;
}

CUresult cuMemAllocAsync(CUdeviceptr *dptr, size_t bytesize, CUstream hStream)
{
	CUresult r = shim_enter_context();

	if (r == CUDA_SUCCESS && (!dptr || !bytesize))
		r = CUDA_ERROR_INVALID_VALUE;
	if (r == CUDA_SUCCESS)
		r = shim_stream(hStream, &hStream);
	if (r == CUDA_SUCCESS)
		r = rpc_cuMemAllocAsync(dptr, bytesize, hStream);
	return r == CUDA_SUCCESS
		       ? note(*dptr, bytesize, current_pool[context_top()->device], hStream)
		       : r;
}

CUresult cuMemAllocFromPoolAsync(CUdeviceptr *dptr, size_t bytesize, CUmemoryPool pool,
				 CUstream hStream)
{
	CUresult r = shim_enter_context();

	if (r == CUDA_SUCCESS &&
	    (!dptr || !bytesize || !handle_valid(HANDLE_OF(pool), VGPU_CUDA_MEMPOOL)))
		r = CUDA_ERROR_INVALID_VALUE;
	if (r == CUDA_SUCCESS)
		r = shim_stream(hStream, &hStream);
	if (r == CUDA_SUCCESS)
		r = rpc_cuMemAllocFromPoolAsync(dptr, bytesize, pool, hStream);
	return r == CUDA_SUCCESS ? note(*dptr, bytesize, HANDLE_OF(pool), hStream) : r;
}

CUresult cuMemFreeAsync(CUdeviceptr dptr, CUstream hStream)
{
	struct range old;
	CUresult r = shim_enter_object(HANDLE_OF(hStream));

	if (r == CUDA_SUCCESS)
		r = shim_stream(hStream, &hStream);
	if (r != CUDA_SUCCESS)
		return r;
	if (!range_find(dptr, &old) || old.base != dptr ||
	    (old.kind != RANGE_POOL && old.kind != RANGE_DEVICE && old.kind != RANGE_GRAPH))
		return CUDA_ERROR_INVALID_VALUE;
	if (old.kind == RANGE_GRAPH)
		return rpc_vgpuGraphFree(dptr, hStream, 1);
	if (!range_remove(dptr, NULL))
		return CUDA_ERROR_INVALID_VALUE; /* another thread was quicker */
	return rpc_cuMemFreeAsync(dptr, hStream);
}

/* ------------------------------------------------------------ a device's pools */

static CUresult ask_pool(CUdevice dev, unsigned int which, uint64_t *out)
{
	CUmemoryPool made = HANDLE_AS(CUmemoryPool, handle_new(VGPU_CUDA_MEMPOOL, NULL));
	CUresult r;

	if (!made)
		return CUDA_ERROR_OUT_OF_MEMORY;
	r = rpc_vgpuDevicePool(&made, dev, which);
	if (r == CUDA_SUCCESS)
		*out = HANDLE_OF(made);
	else
		handle_drop(HANDLE_OF(made));
	return r;
}

static CUresult pool_of(CUdevice dev, unsigned int which, uint64_t *known, CUmemoryPool *out)
{
	CUresult r = shim_enter();

	if (r != CUDA_SUCCESS)
		return r;
	if (!out)
		return CUDA_ERROR_INVALID_VALUE;
	if (!device_valid(dev))
		return CUDA_ERROR_INVALID_DEVICE;
	pthread_mutex_lock(&lock);
	if (!known[dev])
		r = ask_pool(dev, which, &known[dev]);
	*out = HANDLE_AS(CUmemoryPool, known[dev]);
	pthread_mutex_unlock(&lock);
	return r;
}

CUresult cuDeviceGetDefaultMemPool(CUmemoryPool *pool_out, CUdevice dev)
{
	return pool_of(dev, VGPU_POOL_DEFAULT, default_pool, pool_out);
}

/* The default one until the program sets another. */
CUresult cuDeviceGetMemPool(CUmemoryPool *pool, CUdevice dev)
{
	if (device_valid(dev) && pool && current_pool[dev]) {
		*pool = HANDLE_AS(CUmemoryPool, current_pool[dev]);
		return shim_enter();
	}
	return cuDeviceGetDefaultMemPool(pool, dev);
}

CUresult cuDeviceSetMemPool(CUdevice dev, CUmemoryPool pool)
{
	CUresult r = shim_enter();

	if (r != CUDA_SUCCESS)
		return r;
	if (!device_valid(dev))
		return CUDA_ERROR_INVALID_DEVICE;
	if (!handle_valid(HANDLE_OF(pool), VGPU_CUDA_MEMPOOL))
		return CUDA_ERROR_INVALID_VALUE;
	r = rpc_cuDeviceSetMemPool(dev, pool);
	if (r == CUDA_SUCCESS)
		current_pool[dev] = HANDLE_OF(pool);
	return r;
}

/* The newer forms, for places of memory; here there are only devices. */
static CUresult device_of(const CUmemLocation *l, CUmemAllocationType type, CUdevice *dev)
{
	if (!l)
		return CUDA_ERROR_INVALID_VALUE;
	if (l->type != CU_MEM_LOCATION_TYPE_DEVICE || type != CU_MEM_ALLOCATION_TYPE_PINNED)
		return CUDA_ERROR_NOT_SUPPORTED;
	*dev = l->id;
	return CUDA_SUCCESS;
}

CUresult cuMemGetDefaultMemPool(CUmemoryPool *pool_out, CUmemLocation *location,
				CUmemAllocationType type)
{
	CUdevice dev;
	CUresult r = device_of(location, type, &dev);

	return r == CUDA_SUCCESS ? cuDeviceGetDefaultMemPool(pool_out, dev) : r;
}

CUresult cuMemGetMemPool(CUmemoryPool *pool, CUmemLocation *location, CUmemAllocationType type)
{
	CUdevice dev;
	CUresult r = device_of(location, type, &dev);

	return r == CUDA_SUCCESS ? cuDeviceGetMemPool(pool, dev) : r;
}

CUresult cuMemSetMemPool(CUmemLocation *location, CUmemAllocationType type, CUmemoryPool pool)
{
	CUdevice dev;
	CUresult r = device_of(location, type, &dev);

	return r == CUDA_SUCCESS ? cuDeviceSetMemPool(dev, pool) : r;
}

/* -------------------------------------------------------------- attributes */

/* Three are switches of 32 bits, the others numbers of 64. */
static bool narrow(CUmemPool_attribute a)
{
	return a == CU_MEMPOOL_ATTR_REUSE_FOLLOW_EVENT_DEPENDENCIES ||
	       a == CU_MEMPOOL_ATTR_REUSE_ALLOW_OPPORTUNISTIC ||
	       a == CU_MEMPOOL_ATTR_REUSE_ALLOW_INTERNAL_DEPENDENCIES;
}

static CUresult enter(CUmemoryPool pool, const void *value)
{
	CUresult r = shim_enter();

	if (r != CUDA_SUCCESS)
		return r;
	return value && handle_valid(HANDLE_OF(pool), VGPU_CUDA_MEMPOOL) ? CUDA_SUCCESS
									 : CUDA_ERROR_INVALID_VALUE;
}

CUresult cuMemPoolSetAttribute(CUmemoryPool pool, CUmemPool_attribute attr, void *value)
{
	CUresult r = enter(pool, value);

	if (r != CUDA_SUCCESS)
		return r;
	return rpc_vgpuPoolSet(pool, (unsigned int)attr,
			       narrow(attr) ? (unsigned long long)*(int *)value
					    : *(cuuint64_t *)value);
}

CUresult cuMemPoolGetAttribute(CUmemoryPool pool, CUmemPool_attribute attr, void *value)
{
	unsigned long long answer = 0;
	CUresult r = enter(pool, value);

	if (r == CUDA_SUCCESS)
		r = rpc_vgpuPoolGet(pool, (unsigned int)attr, &answer);
	if (r != CUDA_SUCCESS)
		return r;
	if (narrow(attr))
		*(int *)value = (int)answer;
	else
		*(cuuint64_t *)value = answer;
	return CUDA_SUCCESS;
}

CUresult cuDeviceSetGraphMemAttribute(CUdevice device, CUgraphMem_attribute attr, void *value)
{
	CUresult r = shim_enter();

	if (r != CUDA_SUCCESS)
		return r;
	return value ? rpc_vgpuGraphMemSet(device, (unsigned int)attr, *(cuuint64_t *)value)
		     : CUDA_ERROR_INVALID_VALUE;
}

CUresult cuDeviceGetGraphMemAttribute(CUdevice device, CUgraphMem_attribute attr, void *value)
{
	unsigned long long answer = 0;
	CUresult r = shim_enter();

	if (r == CUDA_SUCCESS && !value)
		r = CUDA_ERROR_INVALID_VALUE;
	if (r == CUDA_SUCCESS)
		r = rpc_vgpuGraphMemGet(device, (unsigned int)attr, &answer);
	if (r == CUDA_SUCCESS)
		*(cuuint64_t *)value = answer;
	return r;
}
