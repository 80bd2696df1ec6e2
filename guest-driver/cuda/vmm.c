// SPDX-License-Identifier: GPL-2.0-or-later
/* Addresses and memory apart: reserving, mapping, and what is known of both. */
#include <stdint.h>

#include "context.h"
#include "cuda_rpc.h"
#include "handles.h"
#include "ranges.h"
#include "reserve.h"

#define TRIES 8

CUresult cuMemAddressReserve(CUdeviceptr *ptr, size_t size, size_t alignment, CUdeviceptr addr,
			     unsigned long long flags)
{
	CUdeviceptr held[TRIES], p = 0;
	unsigned int n = 0;
	CUresult r = shim_enter();

	if (r != CUDA_SUCCESS)
		return r;
	if (!ptr || !size || flags)
		return CUDA_ERROR_INVALID_VALUE;
	for (;;) {
		r = rpc_cuMemAddressReserve(&p, size, alignment, addr, flags);
		if (r != CUDA_SUCCESS || reserve_device_range(p, size))
			break;
		held[n++] = p;
		addr = 0; /* only a wish, and it did not fit */
		if (n == TRIES) {
			r = CUDA_ERROR_OUT_OF_MEMORY;
			break;
		}
	}
	while (n)
		rpc_cuMemAddressFree(held[--n], size);
	if (r != CUDA_SUCCESS)
		return r;
	if (range_add(&(struct range){.base = p, .size = size, .kind = RANGE_RESERVED}) < 0) {
		rpc_cuMemAddressFree(p, size);
		return CUDA_ERROR_OUT_OF_MEMORY;
	}
	*ptr = p;
	return CUDA_SUCCESS;
}

CUresult cuMemAddressFree(CUdeviceptr ptr, size_t size)
{
	struct range old;
	CUresult r = shim_enter();

	if (r != CUDA_SUCCESS)
		return r;
	if (!range_find_reserved(ptr, &old) || old.base != ptr)
		return CUDA_ERROR_INVALID_VALUE;
	/* First here: then another thread may be given the addresses. */
	range_remove_kind(ptr, RANGE_RESERVED);
	r = rpc_cuMemAddressFree(ptr, size);
	if (r != CUDA_SUCCESS)
		range_add(&old);
	return r;
}

/*
 * Libraries ask for memory that could be given to another process whether they
 * will do so or not.  It is made without; giving it away is what is refused.
 */
CUresult cuMemCreate(CUmemGenericAllocationHandle *handle, size_t size,
		     const CUmemAllocationProp *prop, unsigned long long flags)
{
	CUmemAllocationProp own;
	CUmemGenericAllocationHandle made;
	CUresult r = shim_enter();

	if (r != CUDA_SUCCESS)
		return r;
	if (!handle || !prop || !size)
		return CUDA_ERROR_INVALID_VALUE;
	own = *prop;
	own.requestedHandleTypes = CU_MEM_HANDLE_TYPE_NONE;
	own.win32HandleMetaData = NULL;
	made = handle_new(VGPU_CUDA_ALLOCATION, NULL);
	if (!made)
		return CUDA_ERROR_OUT_OF_MEMORY;
	r = rpc_cuMemCreate(&made, size, &own, flags);
	if (r == CUDA_SUCCESS)
		*handle = made;
	else
		handle_drop(made);
	return r;
}

CUresult cuMemMap(CUdeviceptr ptr, size_t size, size_t offset, CUmemGenericAllocationHandle handle,
		  unsigned long long flags)
{
	CUresult r = shim_enter();

	if (r == CUDA_SUCCESS && !handle_valid(handle, VGPU_CUDA_ALLOCATION))
		r = CUDA_ERROR_INVALID_VALUE;
	if (r == CUDA_SUCCESS)
		r = rpc_cuMemMap(ptr, size, offset, handle, flags);
	if (r == CUDA_SUCCESS)
		range_evict(ptr, size);
	if (r == CUDA_SUCCESS &&
	    range_add(&(struct range){
		    .base = ptr, .size = size, .kind = RANGE_MAPPED, .owner = handle}) < 0) {
		rpc_cuMemUnmap(ptr, size);
		r = CUDA_ERROR_OUT_OF_MEMORY;
	}
	return r;
}

CUresult cuMemSetAccess(CUdeviceptr ptr, size_t size, const CUmemAccessDesc *desc, size_t count)
{
	CUresult r = shim_enter();

	if (r == CUDA_SUCCESS && (!desc || !count))
		r = CUDA_ERROR_INVALID_VALUE;
	if (r == CUDA_SUCCESS)
		r = rpc_cuMemSetAccess(ptr, size, desc, count);
	for (size_t i = 0; r == CUDA_SUCCESS && i < count; i++)
		if (desc[i].location.type == CU_MEM_LOCATION_TYPE_DEVICE)
			range_set_access(ptr, size, (unsigned int)desc[i].flags);
	return r;
}

/* One call may take away several maps that lie side by side. */
CUresult cuMemUnmap(CUdeviceptr ptr, size_t size)
{
	struct range found;
	CUdeviceptr at = ptr;
	CUresult r = shim_enter();

	if (r == CUDA_SUCCESS)
		r = rpc_cuMemUnmap(ptr, size);
	while (r == CUDA_SUCCESS && at - ptr < size && range_find(at, &found) &&
	       found.kind == RANGE_MAPPED) {
		range_remove_kind(found.base, RANGE_MAPPED);
		at = found.base + found.size;
	}
	return r;
}
