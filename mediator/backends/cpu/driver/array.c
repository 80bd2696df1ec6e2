/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Arrays: plain memory here, row after row, that only copies and textures reach.
 */
#include <sys/mman.h>

#include "driver.h"

static size_t format_size(CUarray_format f)
{
	switch (f) {
	case CU_AD_FORMAT_UNSIGNED_INT8:
	case CU_AD_FORMAT_SIGNED_INT8:
		return 1;
	case CU_AD_FORMAT_UNSIGNED_INT16:
	case CU_AD_FORMAT_SIGNED_INT16:
	case CU_AD_FORMAT_HALF:
		return 2;
	case CU_AD_FORMAT_UNSIGNED_INT32:
	case CU_AD_FORMAT_SIGNED_INT32:
	case CU_AD_FORMAT_FLOAT:
		return 4;
	default:
		return 0;
	}
}

#define FLAGS                                                                      \
	(CUDA_ARRAY3D_LAYERED | CUDA_ARRAY3D_SURFACE_LDST | CUDA_ARRAY3D_CUBEMAP | \
	 CUDA_ARRAY3D_TEXTURE_GATHER)
#define SIDE_MAX 131072u

static void finish(void *object)
{
	CUarray a = object;

	if (!a->data)
		return;
	munmap(a->data, a->bytes);
	drv.memory_used -= a->bytes;
}

static CUresult check(const CUDA_ARRAY3D_DESCRIPTOR *d)
{
	if (!d->Width || d->Width > SIDE_MAX || d->Height > SIDE_MAX || d->Depth > SIDE_MAX)
		return CUDA_ERROR_INVALID_VALUE;
	if (d->NumChannels != 1 && d->NumChannels != 2 && d->NumChannels != 4)
		return CUDA_ERROR_INVALID_VALUE;
	if ((d->Flags & ~(unsigned int)FLAGS) || !format_size(d->Format))
		return CUDA_ERROR_NOT_SUPPORTED;
	if ((d->Flags & CUDA_ARRAY3D_CUBEMAP) && (d->Width != d->Height || d->Depth % 6))
		return CUDA_ERROR_INVALID_VALUE;
	return CUDA_SUCCESS;
}

static CUresult create(const CUDA_ARRAY3D_DESCRIPTOR *d, CUcontext ctx, CUarray *out)
{
	CUresult err = check(d);
	size_t row, bytes;
	CUarray a;

	if (err)
		return err;
	row = d->Width * d->NumChannels * format_size(d->Format);
	if (__builtin_mul_overflow(row, MAX(d->Height, 1), &bytes) ||
	    __builtin_mul_overflow(bytes, MAX(d->Depth, 1), &bytes) || bytes > CPU_MEMORY_TOTAL)
		return CUDA_ERROR_OUT_OF_MEMORY;
	bytes = (bytes + CPU_PAGE - 1) & ~(CPU_PAGE - 1);
	if (bytes > CPU_MEMORY_TOTAL - drv.memory_used)
		return CUDA_ERROR_OUT_OF_MEMORY;
	a = object_new(OBJECT_ARRAY, sizeof(*a), finish);
	if (!a)
		return CUDA_ERROR_OUT_OF_MEMORY;
	a->data = pages_map(bytes, false);
	if (!a->data) {
		object_retire(a);
		return CUDA_ERROR_OUT_OF_MEMORY;
	}
	drv.memory_used += bytes;
	a->bytes = bytes;
	a->d = *d;
	a->pitch = row;
	a->height = MAX(d->Height, 1);
	a->depth = MAX(d->Depth, 1);
	a->ctx = ctx;
	*out = a;
	return CUDA_SUCCESS;
}

static CUresult CUDAAPI cpu_cuArray3DCreate_v2(CUarray *out, const CUDA_ARRAY3D_DESCRIPTOR *d)
{
	ENTER_CONTEXT(ctx);
	return out && d ? create(d, ctx, out) : CUDA_ERROR_INVALID_VALUE;
}

static CUresult CUDAAPI cpu_cuArrayCreate_v2(CUarray *out, const CUDA_ARRAY_DESCRIPTOR *d)
{
	CUDA_ARRAY3D_DESCRIPTOR full;

	ENTER_CONTEXT(ctx);
	if (!out || !d)
		return CUDA_ERROR_INVALID_VALUE;
	full = (CUDA_ARRAY3D_DESCRIPTOR){.Width = d->Width,
					 .Height = d->Height,
					 .Format = d->Format,
					 .NumChannels = d->NumChannels};
	return create(&full, ctx, out);
}

static CUresult CUDAAPI cpu_cuArray3DGetDescriptor_v2(CUDA_ARRAY3D_DESCRIPTOR *d, CUarray handle)
{
	CUarray a;

	ENTER_CONTEXT(ctx);
	a = object_find(handle, OBJECT_ARRAY);
	if (!d || !a)
		return d ? CUDA_ERROR_INVALID_HANDLE : CUDA_ERROR_INVALID_VALUE;
	*d = a->d;
	return CUDA_SUCCESS;
}

static CUresult CUDAAPI cpu_cuArrayGetDescriptor_v2(CUDA_ARRAY_DESCRIPTOR *d, CUarray handle)
{
	CUarray a;

	ENTER_CONTEXT(ctx);
	a = object_find(handle, OBJECT_ARRAY);
	if (!d || !a)
		return d ? CUDA_ERROR_INVALID_HANDLE : CUDA_ERROR_INVALID_VALUE;
	*d = (CUDA_ARRAY_DESCRIPTOR){.Width = a->d.Width,
				     .Height = a->d.Height,
				     .Format = a->d.Format,
				     .NumChannels = a->d.NumChannels};
	return CUDA_SUCCESS;
}

/* Copies that are queued have references of their own. */
static CUresult CUDAAPI cpu_cuArrayDestroy(CUarray handle)
{
	CUarray a;

	ENTER_CONTEXT(ctx);
	a = object_find(handle, OBJECT_ARRAY);
	if (!a)
		return CUDA_ERROR_INVALID_HANDLE;
	object_retire(a);
	return CUDA_SUCCESS;
}

static CUresult CUDAAPI cpu_cuArrayGetMemoryRequirements(CUDA_ARRAY_MEMORY_REQUIREMENTS *out,
							 CUarray handle, CUdevice dev)
{
	CUarray a;

	ENTER_CONTEXT(ctx);
	if (!device_is_valid(dev))
		return CUDA_ERROR_INVALID_DEVICE;
	a = object_find(handle, OBJECT_ARRAY);
	if (!out || !a)
		return out ? CUDA_ERROR_INVALID_HANDLE : CUDA_ERROR_INVALID_VALUE;
	*out = (CUDA_ARRAY_MEMORY_REQUIREMENTS){.size = a->bytes, .alignment = CPU_PAGE};
	return CUDA_SUCCESS;
}

CPU_SYMBOLS(cpu_array_symbols, CPU_FN(cuArray3DCreate_v2), CPU_FN(cuArrayCreate_v2),
	    CPU_FN(cuArray3DGetDescriptor_v2), CPU_FN(cuArrayGetDescriptor_v2),
	    CPU_FN(cuArrayDestroy), CPU_FN(cuArrayGetMemoryRequirements));
