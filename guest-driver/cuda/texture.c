// SPDX-License-Identifier: GPL-2.0-or-later
/* Texture and surface objects; what they were made of is kept for who asks. */
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

#include "context.h"
#include "cuda_rpc.h"

struct object {
	unsigned long long number; /* what kernels get */
	bool surface;
	bool has_view;
	CUDA_RESOURCE_DESC resource;
	CUDA_TEXTURE_DESC texture;
	CUDA_RESOURCE_VIEW_DESC view;
	struct object *next;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct object *objects;

static CUresult flatten(const CUDA_RESOURCE_DESC *d, struct vgpu_resource *out)
{
	*out = (struct vgpu_resource){.type = d->resType, .flags = d->flags};
	switch (d->resType) {
	case CU_RESOURCE_TYPE_ARRAY:
		out->object = (uintptr_t)d->res.array.hArray;
		return CUDA_SUCCESS;
	case CU_RESOURCE_TYPE_MIPMAPPED_ARRAY:
		out->object = (uintptr_t)d->res.mipmap.hMipmappedArray;
		return CUDA_SUCCESS;
	case CU_RESOURCE_TYPE_LINEAR:
		out->object = d->res.linear.devPtr;
		out->format = d->res.linear.format;
		out->channels = d->res.linear.numChannels;
		out->width = d->res.linear.sizeInBytes;
		return CUDA_SUCCESS;
	case CU_RESOURCE_TYPE_PITCH2D:
		out->object = d->res.pitch2D.devPtr;
		out->format = d->res.pitch2D.format;
		out->channels = d->res.pitch2D.numChannels;
		out->width = d->res.pitch2D.width;
		out->height = d->res.pitch2D.height;
		out->pitch = d->res.pitch2D.pitchInBytes;
		return CUDA_SUCCESS;
	default:
		return CUDA_ERROR_INVALID_VALUE;
	}
}

static void add(struct object *o)
{
	pthread_mutex_lock(&lock);
	o->next = objects;
	objects = o;
	pthread_mutex_unlock(&lock);
}

static bool look(unsigned long long number, bool surface, struct object *out)
{
	struct object *o;

	pthread_mutex_lock(&lock);
	for (o = objects; o && (o->number != number || o->surface != surface); o = o->next)
		;
	if (o)
		*out = *o;
	pthread_mutex_unlock(&lock);
	return o != NULL;
}

static bool take_out(unsigned long long number, bool surface)
{
	struct object **o, *old;

	pthread_mutex_lock(&lock);
	for (o = &objects; *o && ((*o)->number != number || (*o)->surface != surface);
	     o = &(*o)->next)
		;
	old = *o;
	if (old)
		*o = old->next;
	pthread_mutex_unlock(&lock);
	free(old);
	return old != NULL;
}

CUresult cuTexObjectCreate(CUtexObject *pTexObject, const CUDA_RESOURCE_DESC *pResDesc,
			   const CUDA_TEXTURE_DESC *pTexDesc,
			   const CUDA_RESOURCE_VIEW_DESC *pResViewDesc)
{
	struct vgpu_resource flat;
	struct object *o;
	CUresult r = shim_enter_context();

	if (r == CUDA_SUCCESS && (!pTexObject || !pResDesc || !pTexDesc))
		r = CUDA_ERROR_INVALID_VALUE;
	if (r == CUDA_SUCCESS)
		r = flatten(pResDesc, &flat);
	if (r != CUDA_SUCCESS)
		return r;
	o = calloc(1, sizeof(*o));
	if (!o)
		return CUDA_ERROR_OUT_OF_MEMORY;
	r = rpc_vgpuTexCreate(&flat, pTexDesc, pResViewDesc, pTexObject);
	if (r != CUDA_SUCCESS) {
		free(o);
		return r;
	}
	o->number = *pTexObject;
	o->resource = *pResDesc;
	o->texture = *pTexDesc;
	o->has_view = pResViewDesc != NULL;
	if (pResViewDesc)
		o->view = *pResViewDesc;
	add(o);
	return CUDA_SUCCESS;
}

CUresult cuTexObjectDestroy(CUtexObject texObject)
{
	CUresult r = shim_enter_context();

	if (r != CUDA_SUCCESS)
		return r;
	return take_out(texObject, false) ? rpc_cuTexObjectDestroy(texObject)
					  : CUDA_ERROR_INVALID_VALUE;
}

CUresult cuSurfObjectCreate(CUsurfObject *pSurfObject, const CUDA_RESOURCE_DESC *pResDesc)
{
	struct vgpu_resource flat;
	struct object *o;
	CUresult r = shim_enter_context();

	if (r == CUDA_SUCCESS &&
	    (!pSurfObject || !pResDesc || pResDesc->resType != CU_RESOURCE_TYPE_ARRAY))
		r = CUDA_ERROR_INVALID_VALUE;
	if (r == CUDA_SUCCESS)
		r = flatten(pResDesc, &flat);
	if (r != CUDA_SUCCESS)
		return r;
	o = calloc(1, sizeof(*o));
	if (!o)
		return CUDA_ERROR_OUT_OF_MEMORY;
	r = rpc_vgpuSurfCreate(&flat, pSurfObject);
	if (r != CUDA_SUCCESS) {
		free(o);
		return r;
	}
	o->number = *pSurfObject;
	o->surface = true;
	o->resource = *pResDesc;
	add(o);
	return CUDA_SUCCESS;
}

CUresult cuSurfObjectDestroy(CUsurfObject surfObject)
{
	CUresult r = shim_enter_context();

	if (r != CUDA_SUCCESS)
		return r;
	return take_out(surfObject, true) ? rpc_cuSurfObjectDestroy(surfObject)
					  : CUDA_ERROR_INVALID_VALUE;
}

/* ------------------------------------------------------------------ queries */

static CUresult ask(unsigned long long number, bool surface, const void *out, struct object *o)
{
	CUresult r = shim_enter_context();

	if (r != CUDA_SUCCESS)
		return r;
	return out && look(number, surface, o) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

CUresult cuTexObjectGetResourceDesc(CUDA_RESOURCE_DESC *pResDesc, CUtexObject texObject)
{
	struct object o;
	CUresult r = ask(texObject, false, pResDesc, &o);

	if (r == CUDA_SUCCESS)
		*pResDesc = o.resource;
	return r;
}

CUresult cuTexObjectGetTextureDesc(CUDA_TEXTURE_DESC *pTexDesc, CUtexObject texObject)
{
	struct object o;
	CUresult r = ask(texObject, false, pTexDesc, &o);

	if (r == CUDA_SUCCESS)
		*pTexDesc = o.texture;
	return r;
}

CUresult cuTexObjectGetResourceViewDesc(CUDA_RESOURCE_VIEW_DESC *pResViewDesc,
					CUtexObject texObject)
{
	struct object o;
	CUresult r = ask(texObject, false, pResViewDesc, &o);

	if (r == CUDA_SUCCESS && !o.has_view)
		r = CUDA_ERROR_INVALID_VALUE;
	if (r == CUDA_SUCCESS)
		*pResViewDesc = o.view;
	return r;
}

CUresult cuSurfObjectGetResourceDesc(CUDA_RESOURCE_DESC *pResDesc, CUsurfObject surfObject)
{
	struct object o;
	CUresult r = ask(surfObject, true, pResDesc, &o);

	if (r == CUDA_SUCCESS)
		*pResDesc = o.resource;
	return r;
}
