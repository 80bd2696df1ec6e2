/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Device memory that is allocated and freed at once, and questions about
 * addresses.
 */
#include <string.h>

#include "driver.h"

#define PITCH_ALIGN ((size_t)512)

static CUresult CUDAAPI cpu_cuMemGetInfo_v2(size_t *free_bytes, size_t *total)
{
	ENTER_CONTEXT(ctx);
	if (free_bytes)
		*free_bytes = CPU_MEMORY_TOTAL - drv.memory_used;
	if (total)
		*total = CPU_MEMORY_TOTAL;
	return CUDA_SUCCESS;
}

static CUresult CUDAAPI cpu_cuMemAlloc_v2(CUdeviceptr *dptr, size_t size)
{
	struct range *r;
	CUresult err;

	ENTER_CONTEXT(ctx);
	if (!dptr)
		return CUDA_ERROR_INVALID_VALUE;
	err = range_new(RANGE_DEVICE, size, ctx, &r);
	if (!err)
		*dptr = r->base;
	return err;
}

static CUresult CUDAAPI cpu_cuMemAllocPitch_v2(CUdeviceptr *dptr, size_t *pitch, size_t width,
					       size_t height, unsigned int element)
{
	struct range *r;
	size_t row, size;
	CUresult err;

	ENTER_CONTEXT(ctx);
	if (!dptr || !pitch || !width || !height || (element != 4 && element != 8 && element != 16))
		return CUDA_ERROR_INVALID_VALUE;
	if (__builtin_add_overflow(width, PITCH_ALIGN - 1, &row))
		return CUDA_ERROR_INVALID_VALUE;
	row &= ~(PITCH_ALIGN - 1);
	if (__builtin_mul_overflow(row, height, &size))
		return CUDA_ERROR_OUT_OF_MEMORY;
	err = range_new(RANGE_DEVICE, size, ctx, &r);
	if (err)
		return err;
	*dptr = r->base;
	*pitch = row;
	return CUDA_SUCCESS;
}

static bool is_freeable(const struct range *r, CUdeviceptr dptr)
{
	return r && r->base == dptr && !r->leaving &&
	       (r->kind == RANGE_DEVICE || r->kind == RANGE_POOL);
}

static CUresult CUDAAPI cpu_cuMemFree_v2(CUdeviceptr dptr)
{
	struct range *r;
	CUresult err;

	ENTER_CONTEXT(ctx);
	if (!dptr)
		return CUDA_SUCCESS;
	r = range_find(dptr);
	if (r && r->base == dptr && r->kind == RANGE_GRAPH) {
		err = graph_memory_free(r);
		if (!err)
			graph_memory_gone(r);
		return err;
	}
	if (!is_freeable(r, dptr))
		return CUDA_ERROR_INVALID_VALUE;
	err = context_wait(NULL);
	if (err)
		return err;
	r = range_find(dptr);
	if (!is_freeable(r, dptr))
		return CUDA_ERROR_INVALID_VALUE;
	range_remove(r);
	return CUDA_SUCCESS;
}

static CUresult CUDAAPI cpu_cuMemGetAddressRange_v2(CUdeviceptr *base, size_t *size,
						    CUdeviceptr dptr)
{
	const struct range *r;

	ENTER_CONTEXT(ctx);
	r = range_find(dptr);
	if (!r || !r->readable)
		return CUDA_ERROR_NOT_FOUND;
	if (base)
		*base = r->base;
	if (size)
		*size = r->size;
	return CUDA_SUCCESS;
}

static bool is_host(const struct range *r)
{
	return r->kind == RANGE_HOST || r->kind == RANGE_REGISTERED;
}

static CUresult attribute(void *out, CUpointer_attribute which, const struct range *r,
			  CUdeviceptr dptr)
{
	switch (which) {
	case CU_POINTER_ATTRIBUTE_CONTEXT:
		*(CUcontext *)out = r->ctx;
		break;
	case CU_POINTER_ATTRIBUTE_MEMORY_TYPE:
		*(unsigned int *)out = is_host(r) ? CU_MEMORYTYPE_HOST : CU_MEMORYTYPE_DEVICE;
		break;
	case CU_POINTER_ATTRIBUTE_DEVICE_POINTER:
		*(CUdeviceptr *)out = dptr;
		break;
	case CU_POINTER_ATTRIBUTE_HOST_POINTER:
		if (!is_host(r))
			return CUDA_ERROR_INVALID_VALUE;
		*(void **)out = (void *)dptr;
		break;
	case CU_POINTER_ATTRIBUTE_BUFFER_ID:
		*(unsigned long long *)out = r->id;
		break;
	case CU_POINTER_ATTRIBUTE_IS_MANAGED:
	case CU_POINTER_ATTRIBUTE_IS_LEGACY_CUDA_IPC_CAPABLE:
	case CU_POINTER_ATTRIBUTE_IS_GPU_DIRECT_RDMA_CAPABLE:
		*(bool *)out = false;
		break;
	case CU_POINTER_ATTRIBUTE_MAPPED:
		*(bool *)out = true;
		break;
	case CU_POINTER_ATTRIBUTE_SYNC_MEMOPS:
		*(bool *)out = false;
		break;
	case CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL:
		*(int *)out = 0;
		break;
	case CU_POINTER_ATTRIBUTE_RANGE_START_ADDR:
		*(CUdeviceptr *)out = r->base;
		break;
	case CU_POINTER_ATTRIBUTE_RANGE_SIZE:
		*(size_t *)out = r->size;
		break;
	case CU_POINTER_ATTRIBUTE_ALLOWED_HANDLE_TYPES:
		*(unsigned long long *)out = 0;
		break;
	case CU_POINTER_ATTRIBUTE_ACCESS_FLAGS:
		*(int *)out = r->writable   ? CU_POINTER_ATTRIBUTE_ACCESS_FLAG_READWRITE
			      : r->readable ? CU_POINTER_ATTRIBUTE_ACCESS_FLAG_READ
					    : CU_POINTER_ATTRIBUTE_ACCESS_FLAG_NONE;
		break;
	case CU_POINTER_ATTRIBUTE_MEMPOOL_HANDLE:
		*(CUmemoryPool *)out = r->pool;
		break;
	default:
		return CUDA_ERROR_INVALID_VALUE;
	}
	return CUDA_SUCCESS;
}

static CUresult CUDAAPI cpu_cuPointerGetAttribute(void *data, CUpointer_attribute which,
						  CUdeviceptr dptr)
{
	const struct range *r;

	ENTER_CONTEXT(ctx);
	r = range_find(dptr);
	if (!data || !r)
		return CUDA_ERROR_INVALID_VALUE;
	return attribute(data, which, r, dptr);
}

/* What a question about memory that is none of the driver's is answered with. */
static void attribute_unknown(void *out, CUpointer_attribute which)
{
	switch (which) {
	case CU_POINTER_ATTRIBUTE_IS_MANAGED:
	case CU_POINTER_ATTRIBUTE_MAPPED:
	case CU_POINTER_ATTRIBUTE_SYNC_MEMOPS:
	case CU_POINTER_ATTRIBUTE_IS_LEGACY_CUDA_IPC_CAPABLE:
	case CU_POINTER_ATTRIBUTE_IS_GPU_DIRECT_RDMA_CAPABLE:
		*(bool *)out = false;
		break;
	case CU_POINTER_ATTRIBUTE_MEMORY_TYPE:
	case CU_POINTER_ATTRIBUTE_ACCESS_FLAGS:
		*(unsigned int *)out = 0;
		break;
	case CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL:
		*(int *)out = -2;
		break;
	default:
		memset(out, 0, 8);
		break;
	}
}

static CUresult CUDAAPI cpu_cuPointerGetAttributes(unsigned int n, CUpointer_attribute *which,
						   void **data, CUdeviceptr dptr)
{
	const struct range *r;

	ENTER_CONTEXT(ctx);
	if (!n || !which || !data)
		return CUDA_ERROR_INVALID_VALUE;
	r = range_find(dptr);
	for (unsigned int i = 0; i < n; i++) {
		if (!data[i])
			return CUDA_ERROR_INVALID_VALUE;
		if (!r || attribute(data[i], which[i], r, dptr))
			attribute_unknown(data[i], which[i]);
	}
	return CUDA_SUCCESS;
}

CPU_SYMBOLS(cpu_memory_symbols, CPU_FN(cuMemGetInfo_v2), CPU_FN(cuMemAlloc_v2),
	    CPU_FN(cuMemAllocPitch_v2), CPU_FN(cuMemFree_v2), CPU_FN(cuMemGetAddressRange_v2),
	    CPU_FN(cuPointerGetAttribute), CPU_FN(cuPointerGetAttributes));
