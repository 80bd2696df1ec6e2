// SPDX-License-Identifier: GPL-2.0-or-later
/* What an address is: answered from the table of ranges. */
#include <stdbool.h>
#include <string.h>

#include "context.h"
#include "cuda_rpc.h"
#include "graph_memory.h"
#include "handles.h"
#include "ranges.h"

/* What an address is in; addresses that are only reserved are nobody's. */
static bool find(CUdeviceptr ptr, struct range *r)
{
	return range_find(ptr, r) && r->kind != RANGE_RESERVED && graph_memory_there(r);
}

static bool is_host(const struct range *r)
{
	return r->kind == RANGE_HOST || r->kind == RANGE_REGISTERED;
}

/* The whole reservation around mapped memory, what there is of it else. */
static struct range whole(const struct range *r)
{
	struct range around;

	return r->kind == RANGE_MAPPED && range_find_reserved(r->base, &around) ? around : *r;
}

/* The only one that depends on who asks: mapped memory needs a context that may use it. */
static CUresult device_pointer(void *data, const struct range *r, CUdeviceptr ptr)
{
	if (r->kind == RANGE_MAPPED && !context_top())
		return CUDA_ERROR_INVALID_CONTEXT;
	if (r->kind == RANGE_MAPPED && !r->access)
		return CUDA_ERROR_INVALID_VALUE;
	*(CUdeviceptr *)data = ptr;
	return CUDA_SUCCESS;
}

static unsigned int access_of(const struct range *r)
{
	if (r->kind != RANGE_MAPPED)
		return CU_POINTER_ATTRIBUTE_ACCESS_FLAG_READWRITE;
	return context_top() ? r->access : 0; /* of both types the values are the same */
}

/* Of what cuMemAllocAsync() took from the default pool, which may not be known here yet. */
static CUmemoryPool pool_of_range(const struct range *r)
{
	CUmemoryPool pool = HANDLE_AS(CUmemoryPool, r->owner);

	if (!pool && cuDeviceGetDefaultMemPool(&pool, r->context ? r->context->device : 0))
		return NULL;
	return pool;
}

/* Attributes of a known range; the sizes of the answers are CUDA's. */
static CUresult answer(void *data, CUpointer_attribute a, const struct range *r, CUdeviceptr ptr)
{
	switch (a) {
	case CU_POINTER_ATTRIBUTE_CONTEXT:
		*(CUcontext *)data = r->context && r->kind != RANGE_POOL &&
						     r->kind != RANGE_MAPPED &&
						     r->kind != RANGE_GRAPH
					     ? HANDLE_AS(CUcontext, r->context->self)
					     : NULL;
		return CUDA_SUCCESS;
	case CU_POINTER_ATTRIBUTE_MEMORY_TYPE:
		*(CUmemorytype *)data = is_host(r) ? CU_MEMORYTYPE_HOST : CU_MEMORYTYPE_DEVICE;
		return CUDA_SUCCESS;
	case CU_POINTER_ATTRIBUTE_DEVICE_POINTER:
		return device_pointer(data, r, ptr);
	case CU_POINTER_ATTRIBUTE_HOST_POINTER:
		if (!is_host(r))
			return CUDA_ERROR_INVALID_VALUE;
		*(void **)data = (void *)(uintptr_t)ptr;
		return CUDA_SUCCESS;
	case CU_POINTER_ATTRIBUTE_SYNC_MEMOPS:
		*(unsigned int *)data = r->sync_memops;
		return CUDA_SUCCESS;
	case CU_POINTER_ATTRIBUTE_BUFFER_ID:
	case CU_POINTER_ATTRIBUTE_MEMORY_BLOCK_ID:
		*(unsigned long long *)data =
			r->kind == RANGE_MAPPED && a == CU_POINTER_ATTRIBUTE_MEMORY_BLOCK_ID
				? r->owner
				: r->id;
		return CUDA_SUCCESS;
	case CU_POINTER_ATTRIBUTE_IS_MANAGED: /* the runtime reads a whole int */
		*(unsigned int *)data = 0;
		return CUDA_SUCCESS;
	case CU_POINTER_ATTRIBUTE_IS_LEGACY_CUDA_IPC_CAPABLE:
	case CU_POINTER_ATTRIBUTE_IS_GPU_DIRECT_RDMA_CAPABLE:
	case CU_POINTER_ATTRIBUTE_IS_HW_DECOMPRESS_CAPABLE:
		*(bool *)data = false;
		return CUDA_SUCCESS;
	case CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL:
		*(int *)data = r->context ? r->context->device : 0;
		return CUDA_SUCCESS;
	case CU_POINTER_ATTRIBUTE_RANGE_START_ADDR:
		*(CUdeviceptr *)data = whole(r).base;
		return CUDA_SUCCESS;
	case CU_POINTER_ATTRIBUTE_RANGE_SIZE:
		*(size_t *)data = whole(r).size;
		return CUDA_SUCCESS;
	case CU_POINTER_ATTRIBUTE_MAPPING_BASE_ADDR:
		*(CUdeviceptr *)data = r->base;
		return CUDA_SUCCESS;
	case CU_POINTER_ATTRIBUTE_MAPPING_SIZE:
		*(size_t *)data = r->size;
		return CUDA_SUCCESS;
	case CU_POINTER_ATTRIBUTE_MAPPED:
		*(bool *)data = true;
		return CUDA_SUCCESS;
	case CU_POINTER_ATTRIBUTE_ALLOWED_HANDLE_TYPES:
		*(unsigned long long *)data = 0;
		return CUDA_SUCCESS;
	case CU_POINTER_ATTRIBUTE_ACCESS_FLAGS:
		*(unsigned int *)data = access_of(r);
		return CUDA_SUCCESS;
	case CU_POINTER_ATTRIBUTE_MEMPOOL_HANDLE:
		*(CUmemoryPool *)data = r->kind == RANGE_POOL ? pool_of_range(r) : NULL;
		return CUDA_SUCCESS;
	case CU_POINTER_ATTRIBUTE_P2P_TOKENS:
		return CUDA_ERROR_NOT_SUPPORTED;
	default:
		return CUDA_ERROR_INVALID_VALUE;
	}
}

static size_t size_of(CUpointer_attribute a)
{
	switch (a) {
	case CU_POINTER_ATTRIBUTE_MEMORY_TYPE:
	case CU_POINTER_ATTRIBUTE_SYNC_MEMOPS:
	case CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL:
	case CU_POINTER_ATTRIBUTE_ACCESS_FLAGS:
	case CU_POINTER_ATTRIBUTE_IS_MANAGED:
		return 4;
	case CU_POINTER_ATTRIBUTE_IS_LEGACY_CUDA_IPC_CAPABLE:
	case CU_POINTER_ATTRIBUTE_IS_GPU_DIRECT_RDMA_CAPABLE:
	case CU_POINTER_ATTRIBUTE_IS_HW_DECOMPRESS_CAPABLE:
	case CU_POINTER_ATTRIBUTE_MAPPED:
		return sizeof(bool);
	default:
		return 8;
	}
}

CUresult cuPointerGetAttribute(void *data, CUpointer_attribute attribute, CUdeviceptr ptr)
{
	struct range r;
	CUresult result = shim_enter();

	if (result != CUDA_SUCCESS)
		return result;
	if (!data || !ptr || !find(ptr, &r))
		return CUDA_ERROR_INVALID_VALUE;
	return answer(data, attribute, &r, ptr);
}

/* Of memory that CUDA does not know all attributes are 0, which is no error here. */
CUresult cuPointerGetAttributes(unsigned int numAttributes, CUpointer_attribute *attributes,
				void **data, CUdeviceptr ptr)
{
	struct range r;
	bool known;
	CUresult result = shim_enter();

	if (result != CUDA_SUCCESS)
		return result;
	if (!numAttributes || !attributes || !data)
		return CUDA_ERROR_INVALID_VALUE;
	known = find(ptr, &r);
	for (unsigned int i = 0; i < numAttributes; i++) {
		if (!data[i])
			return CUDA_ERROR_INVALID_VALUE;
		memset(data[i], 0, size_of(attributes[i]));
		if (attributes[i] == CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL && !known)
			*(int *)data[i] = CU_DEVICE_INVALID;
		if (!known)
			continue;
		result = answer(data[i], attributes[i], &r, ptr);
		/* A device address has no host pointer, and one that is not to be used none: 0. */
		if (result != CUDA_SUCCESS && attributes[i] != CU_POINTER_ATTRIBUTE_HOST_POINTER &&
		    attributes[i] != CU_POINTER_ATTRIBUTE_DEVICE_POINTER &&
		    attributes[i] != CU_POINTER_ATTRIBUTE_P2P_TOKENS)
			return result;
	}
	return CUDA_SUCCESS;
}

CUresult cuPointerSetAttribute(const void *value, CUpointer_attribute attribute, CUdeviceptr ptr)
{
	struct range known;
	CUresult r = shim_enter_context();

	if (r != CUDA_SUCCESS)
		return r;
	if (!value || attribute != CU_POINTER_ATTRIBUTE_SYNC_MEMOPS)
		return CUDA_ERROR_INVALID_VALUE;
	if (!find(ptr, &known))
		return CUDA_ERROR_INVALID_VALUE;
	if (known.kind == RANGE_MAPPED)
		return CUDA_ERROR_NOT_SUPPORTED;
	return range_set_sync(ptr, *(const unsigned int *)value) ? CUDA_SUCCESS
								 : CUDA_ERROR_INVALID_VALUE;
}
