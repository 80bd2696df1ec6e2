/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Virtual memory: addresses reserved, memory mapped there, a range once it is. */
#include "charge.h"
#include "cuda_dispatch.h"
#include "memory.h"
#include "session.h"

/* Does it lie in one reservation of the session? */
static bool is_reserved(struct cuda_session *s, uint64_t at, uint64_t bytes)
{
	const struct cuda_range *r = bytes ? ranges_find(&s->reserved, at) : NULL;

	return r && bytes <= r->length - (at - r->start);
}

CUresult host_cuMemAddressReserve(struct cuda_session *s, CUdeviceptr *ptr, size_t size,
				  size_t alignment, CUdeviceptr hint, unsigned long long flags)
{
	CUresult r;

	if (!s->drv->cuMemAddressReserve || !s->drv->cuMemAddressFree)
		return CUDA_ERROR_NOT_SUPPORTED;
	r = s->drv->cuMemAddressReserve(ptr, size, alignment, hint, flags);
	if (r != CUDA_SUCCESS)
		return r;
	if (ranges_add(&s->reserved, *ptr, size, RANGE_VMM, 0))
		return CUDA_SUCCESS;
	s->drv->cuMemAddressFree(*ptr, size);
	return CUDA_ERROR_OUT_OF_MEMORY;
}

CUresult host_cuMemAddressFree(struct cuda_session *s, CUdeviceptr ptr, size_t size)
{
	const struct cuda_range *range = ranges_find(&s->reserved, ptr);
	CUresult r;

	if (!range || range->start != ptr || range->length != size)
		return CUDA_ERROR_INVALID_VALUE;
	r = s->drv->cuMemAddressFree(ptr, size);
	if (r == CUDA_SUCCESS)
		ranges_remove(&s->reserved, ptr, RANGE_VMM);
	return r;
}

CUresult host_cuMemCreate(struct cuda_session *s, CUmemGenericAllocationHandle *handle, size_t size,
			  const CUmemAllocationProp *prop, unsigned long long flags)
{
	CUresult r = s->drv->cuMemCreate ? charge_take(s, size) : CUDA_ERROR_NOT_SUPPORTED;

	if (r != CUDA_SUCCESS)
		return r;
	r = s->drv->cuMemCreate(handle, size, prop, flags);
	if (r == CUDA_SUCCESS)
		charge_physical(s, *handle, size); /* the handle that is stored next holds it */
	else
		charge_give(s, size);
	return r;
}

CUresult host_cuMemMap(struct cuda_session *s, CUdeviceptr ptr, size_t size, size_t offset,
		       CUmemGenericAllocationHandle handle, unsigned long long flags)
{
	CUresult r;

	if (!s->drv->cuMemMap || !s->drv->cuMemUnmap)
		return CUDA_ERROR_NOT_SUPPORTED;
	if (!is_reserved(s, ptr, size))
		return CUDA_ERROR_INVALID_VALUE;
	r = s->drv->cuMemMap(ptr, size, offset, handle, flags);
	if (r != CUDA_SUCCESS)
		return r;
	if (ranges_add(&s->ranges, ptr, size, RANGE_VMM, 0)) {
		charge_range(s, ptr, 0, handle);
		charge_physical_hold(s, handle);
		return CUDA_SUCCESS;
	}
	s->drv->cuMemUnmap(ptr, size);
	return CUDA_ERROR_OUT_OF_MEMORY;
}

CUresult host_cuMemUnmap(struct cuda_session *s, CUdeviceptr ptr, size_t size)
{
	CUresult r;

	if (!s->drv->cuMemUnmap)
		return CUDA_ERROR_NOT_SUPPORTED;
	if (!is_reserved(s, ptr, size) || !ranges_check(s, ptr, size))
		return CUDA_ERROR_INVALID_VALUE;
	r = s->drv->cuMemUnmap(ptr, size); /* refuses parts of a mapping */
	if (r == CUDA_SUCCESS)
		ranges_cut(&s->ranges, ptr, size);
	return r;
}

CUresult host_cuMemSetAccess(struct cuda_session *s, CUdeviceptr ptr, size_t size,
			     const CUmemAccessDesc *desc, size_t count)
{
	if (!s->drv->cuMemSetAccess)
		return CUDA_ERROR_NOT_SUPPORTED;
	if (!is_reserved(s, ptr, size))
		return CUDA_ERROR_INVALID_VALUE;
	return s->drv->cuMemSetAccess(ptr, size, desc, count);
}

CUresult host_cuMemGetAllocationPropertiesFromHandle(struct cuda_session *s,
						     CUmemAllocationProp *prop,
						     CUmemGenericAllocationHandle handle)
{
	CUresult r = s->drv->cuMemGetAllocationPropertiesFromHandle
			     ? s->drv->cuMemGetAllocationPropertiesFromHandle(prop, handle)
			     : CUDA_ERROR_NOT_SUPPORTED;

	if (r == CUDA_SUCCESS && prop->location.type == CU_MEM_LOCATION_TYPE_DEVICE)
		prop->location.id = 0; /* as the guest counts */
	prop->win32HandleMetaData = NULL;
	return r;
}
