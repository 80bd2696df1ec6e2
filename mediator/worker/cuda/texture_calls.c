/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Texture and surface objects.  Kernels take them as numbers, so they cross as
 * they are; which of them are the session's is kept here.
 */
#include <string.h>

#include "cuda_dispatch.h"
#include "memory.h"
#include "session.h"

static CUresult take_linear(struct cuda_session *s, const struct vgpu_resource *in,
			    CUDA_RESOURCE_DESC *out)
{
	if (in->type == CU_RESOURCE_TYPE_LINEAR) {
		if (!ranges_check(s, in->object, in->width))
			return CUDA_ERROR_INVALID_VALUE;
		out->res.linear.devPtr = in->object;
		out->res.linear.format = (CUarray_format)in->format;
		out->res.linear.numChannels = in->channels;
		out->res.linear.sizeInBytes = in->width;
		return CUDA_SUCCESS;
	}
	if (!memory_has_rows(s, in->object, in->pitch, in->pitch, in->height))
		return CUDA_ERROR_INVALID_VALUE;
	out->res.pitch2D.devPtr = in->object;
	out->res.pitch2D.format = (CUarray_format)in->format;
	out->res.pitch2D.numChannels = in->channels;
	out->res.pitch2D.width = in->width; /* in elements */
	out->res.pitch2D.height = in->height;
	out->res.pitch2D.pitchInBytes = in->pitch;
	return in->width <= in->pitch ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

static CUresult take_resource(struct cuda_session *s, const struct vgpu_resource *in,
			      CUDA_RESOURCE_DESC *out)
{
	void *real = NULL;
	CUresult r;

	memset(out, 0, sizeof(*out));
	out->resType = (CUresourcetype)in->type;
	out->flags = in->flags;
	switch (in->type) {
	case CU_RESOURCE_TYPE_ARRAY:
		r = handles_get(s, in->object, VGPU_CUDA_ARRAY, &real);
		out->res.array.hArray = real;
		return r;
	case CU_RESOURCE_TYPE_MIPMAPPED_ARRAY:
		r = handles_get(s, in->object, VGPU_CUDA_MIPMAP, &real);
		out->res.mipmap.hMipmappedArray = real;
		return r;
	case CU_RESOURCE_TYPE_LINEAR:
	case CU_RESOURCE_TYPE_PITCH2D:
		return take_linear(s, in, out);
	default:
		return CUDA_ERROR_INVALID_VALUE;
	}
}

CUresult host_vgpuTexCreate(struct cuda_session *s, const struct vgpu_resource *resource,
			    const CUDA_TEXTURE_DESC *texture, const CUDA_RESOURCE_VIEW_DESC *view,
			    CUtexObject *object)
{
	CUDA_RESOURCE_DESC desc;
	CUresult r;

	if (!s->drv->cuTexObjectCreate || !s->drv->cuTexObjectDestroy)
		return CUDA_ERROR_NOT_SUPPORTED;
	r = take_resource(s, resource, &desc);
	if (r == CUDA_SUCCESS)
		r = s->drv->cuTexObjectCreate(object, &desc, texture, view);
	if (r != CUDA_SUCCESS || ranges_add(&s->textures, *object, 1, RANGE_DEVICE, s->context))
		return r;
	s->drv->cuTexObjectDestroy(*object);
	return CUDA_ERROR_OUT_OF_MEMORY;
}

CUresult host_cuTexObjectDestroy(struct cuda_session *s, CUtexObject object)
{
	if (!s->drv->cuTexObjectDestroy)
		return CUDA_ERROR_NOT_SUPPORTED;
	if (!ranges_remove(&s->textures, object, RANGE_DEVICE))
		return CUDA_ERROR_INVALID_VALUE;
	return s->drv->cuTexObjectDestroy(object);
}

CUresult host_vgpuSurfCreate(struct cuda_session *s, const struct vgpu_resource *resource,
			     CUsurfObject *object)
{
	CUDA_RESOURCE_DESC desc;
	CUresult r;

	if (!s->drv->cuSurfObjectCreate || !s->drv->cuSurfObjectDestroy)
		return CUDA_ERROR_NOT_SUPPORTED;
	r = take_resource(s, resource, &desc);
	if (r == CUDA_SUCCESS)
		r = s->drv->cuSurfObjectCreate(object, &desc);
	if (r != CUDA_SUCCESS || ranges_add(&s->surfaces, *object, 1, RANGE_DEVICE, s->context))
		return r;
	s->drv->cuSurfObjectDestroy(*object);
	return CUDA_ERROR_OUT_OF_MEMORY;
}

CUresult host_cuSurfObjectDestroy(struct cuda_session *s, CUsurfObject object)
{
	if (!s->drv->cuSurfObjectDestroy)
		return CUDA_ERROR_NOT_SUPPORTED;
	if (!ranges_remove(&s->surfaces, object, RANGE_DEVICE))
		return CUDA_ERROR_INVALID_VALUE;
	return s->drv->cuSurfObjectDestroy(object);
}
