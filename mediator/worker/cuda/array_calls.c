/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Arrays: the tenant is charged for them before they are made. */
#include "charge.h"
#include "cuda_dispatch.h"
#include "session.h"

/* Bytes of a channel; of formats that come later, or are packed, the most that any has. */
static uint64_t channel_bytes(CUarray_format f)
{
	switch (f) {
	case CU_AD_FORMAT_UNSIGNED_INT8:
	case CU_AD_FORMAT_SIGNED_INT8:
		return 1;
	case CU_AD_FORMAT_UNSIGNED_INT16:
	case CU_AD_FORMAT_SIGNED_INT16:
	case CU_AD_FORMAT_HALF:
		return 2;
	default:
		return 4;
	}
}

static uint64_t bytes_of(size_t width, size_t height, size_t depth, CUarray_format format,
			 unsigned int channels)
{
	uint64_t bytes = vgpu_cuda_product(width, height ? height : 1);

	bytes = vgpu_cuda_product(bytes, depth ? depth : 1);
	bytes = vgpu_cuda_product(bytes, channels);
	return charge_of(vgpu_cuda_product(bytes, channel_bytes(format)));
}

static uint64_t bytes_of_3d(const CUDA_ARRAY3D_DESCRIPTOR *d)
{
	return bytes_of(d->Width, d->Height, d->Depth, d->Format, d->NumChannels);
}

/* Each level has half of each side, but for layers, of which all stay. */
static uint64_t bytes_of_levels(const CUDA_ARRAY3D_DESCRIPTOR *d, unsigned int levels)
{
	CUDA_ARRAY3D_DESCRIPTOR level = *d;
	uint64_t sum = 0;

	for (unsigned int i = 0; i < levels && i < 32; i++) {
		if (__builtin_add_overflow(sum, bytes_of_3d(&level), &sum))
			return UINT64_MAX;
		level.Width = level.Width > 1 ? level.Width / 2 : 1;
		level.Height = level.Height > 1 ? level.Height / 2 : level.Height;
		if (!(d->Flags & (CUDA_ARRAY3D_LAYERED | CUDA_ARRAY3D_CUBEMAP)))
			level.Depth = level.Depth > 1 ? level.Depth / 2 : level.Depth;
	}
	return sum;
}

/* The handle that is stored next carries the charge. */
static CUresult made(struct cuda_session *s, CUresult r, uint64_t bytes)
{
	if (r == CUDA_SUCCESS)
		s->new_charged = bytes;
	else
		charge_give(s, bytes);
	return r;
}

CUresult host_cuArrayCreate_v2(struct cuda_session *s, CUarray *array,
			       const CUDA_ARRAY_DESCRIPTOR *d)
{
	const uint64_t bytes = bytes_of(d->Width, d->Height, 1, d->Format, d->NumChannels);
	CUresult r = s->drv->cuArrayCreate_v2 ? charge_take(s, bytes) : CUDA_ERROR_NOT_SUPPORTED;

	return r == CUDA_SUCCESS ? made(s, s->drv->cuArrayCreate_v2(array, d), bytes) : r;
}

CUresult host_cuArray3DCreate_v2(struct cuda_session *s, CUarray *array,
				 const CUDA_ARRAY3D_DESCRIPTOR *d)
{
	const uint64_t bytes = bytes_of_3d(d);
	CUresult r = s->drv->cuArray3DCreate_v2 ? charge_take(s, bytes) : CUDA_ERROR_NOT_SUPPORTED;

	return r == CUDA_SUCCESS ? made(s, s->drv->cuArray3DCreate_v2(array, d), bytes) : r;
}

CUresult host_cuMipmappedArrayCreate(struct cuda_session *s, CUmipmappedArray *array,
				     const CUDA_ARRAY3D_DESCRIPTOR *d, unsigned int levels)
{
	const uint64_t bytes = bytes_of_levels(d, levels);
	CUresult r =
		s->drv->cuMipmappedArrayCreate ? charge_take(s, bytes) : CUDA_ERROR_NOT_SUPPORTED;

	return r == CUDA_SUCCESS ? made(s, s->drv->cuMipmappedArrayCreate(array, d, levels), bytes)
				 : r;
}
