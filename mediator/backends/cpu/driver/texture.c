/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Texture and surface objects, and as much of sampling as a built-in kernel needs.
 */
#include "texture.h"

#include <string.h>

struct texture {
	struct object obj;
	CUDA_RESOURCE_DESC resource;
	CUDA_TEXTURE_DESC texture;
	CUDA_RESOURCE_VIEW_DESC view;
	CUarray array; /* referenced, or NULL */
};

static void finish(void *object)
{
	object_unref(((struct texture *)object)->array);
}

static bool is_sound_2d(const CUDA_RESOURCE_DESC *r)
{
	size_t span;

	if (!r->res.pitch2D.width || !r->res.pitch2D.height)
		return false;
	if (__builtin_mul_overflow(r->res.pitch2D.pitchInBytes, r->res.pitch2D.height, &span))
		return false;
	return span_is_valid(r->res.pitch2D.devPtr, span, ACCESS_READ);
}

static CUresult make(enum object_type type, const CUDA_RESOURCE_DESC *r, struct texture **out)
{
	struct texture *t;
	CUarray array = NULL;

	switch (r->resType) {
	case CU_RESOURCE_TYPE_ARRAY:
		array = object_find(r->res.array.hArray, OBJECT_ARRAY);
		if (!array)
			return CUDA_ERROR_INVALID_HANDLE;
		break;
	case CU_RESOURCE_TYPE_LINEAR:
		if (!span_is_valid(r->res.linear.devPtr, r->res.linear.sizeInBytes, ACCESS_READ))
			return CUDA_ERROR_INVALID_VALUE;
		break;
	case CU_RESOURCE_TYPE_PITCH2D:
		if (!is_sound_2d(r))
			return CUDA_ERROR_INVALID_VALUE;
		break;
	default:
		return CUDA_ERROR_NOT_SUPPORTED;
	}
	t = object_new(type, sizeof(*t), finish);
	if (!t)
		return CUDA_ERROR_OUT_OF_MEMORY;
	t->resource = *r;
	t->array = array ? object_ref(array) : NULL;
	*out = t;
	return CUDA_SUCCESS;
}

static CUresult CUDAAPI cpu_cuTexObjectCreate(CUtexObject *out, const CUDA_RESOURCE_DESC *r,
					      const CUDA_TEXTURE_DESC *d,
					      const CUDA_RESOURCE_VIEW_DESC *view)
{
	struct texture *t;

	ENTER_CONTEXT(ctx);
	if (!out || !r || !d)
		return CUDA_ERROR_INVALID_VALUE;
	enter_error = make(OBJECT_TEXTURE, r, &t);
	if (enter_error)
		return enter_error;
	t->texture = *d;
	if (view)
		t->view = *view;
	*out = (CUtexObject)(uintptr_t)t;
	return CUDA_SUCCESS;
}

static CUresult CUDAAPI cpu_cuSurfObjectCreate(CUsurfObject *out, const CUDA_RESOURCE_DESC *r)
{
	struct texture *t;

	ENTER_CONTEXT(ctx);
	if (!out || !r || r->resType != CU_RESOURCE_TYPE_ARRAY)
		return CUDA_ERROR_INVALID_VALUE;
	enter_error = make(OBJECT_SURFACE, r, &t);
	if (!enter_error)
		*out = (CUsurfObject)(uintptr_t)t;
	return enter_error;
}

static struct texture *find(unsigned long long handle, enum object_type type)
{
	return object_find((const void *)(uintptr_t)handle, type);
}

static CUresult destroy(unsigned long long handle, enum object_type type)
{
	struct texture *t;

	ENTER_CONTEXT(ctx);
	t = find(handle, type);
	if (!t)
		return CUDA_ERROR_INVALID_VALUE;
	object_retire(t);
	return CUDA_SUCCESS;
}

static CUresult CUDAAPI cpu_cuTexObjectDestroy(CUtexObject t)
{
	return destroy(t, OBJECT_TEXTURE);
}

static CUresult CUDAAPI cpu_cuSurfObjectDestroy(CUsurfObject s)
{
	return destroy(s, OBJECT_SURFACE);
}

/* What a texture or surface was made of. */
static CUresult give(void *out, size_t size, const struct texture *t, size_t offset)
{
	if (!out || !t)
		return CUDA_ERROR_INVALID_VALUE;
	memcpy(out, (const char *)t + offset, size);
	return CUDA_SUCCESS;
}

static CUresult CUDAAPI cpu_cuTexObjectGetResourceDesc(CUDA_RESOURCE_DESC *out, CUtexObject t)
{
	ENTER_CONTEXT(ctx);
	return give(out, sizeof(*out), find(t, OBJECT_TEXTURE), offsetof(struct texture, resource));
}

static CUresult CUDAAPI cpu_cuTexObjectGetTextureDesc(CUDA_TEXTURE_DESC *out, CUtexObject t)
{
	ENTER_CONTEXT(ctx);
	return give(out, sizeof(*out), find(t, OBJECT_TEXTURE), offsetof(struct texture, texture));
}

static CUresult CUDAAPI cpu_cuTexObjectGetResourceViewDesc(CUDA_RESOURCE_VIEW_DESC *out,
							   CUtexObject t)
{
	ENTER_CONTEXT(ctx);
	return give(out, sizeof(*out), find(t, OBJECT_TEXTURE), offsetof(struct texture, view));
}

static CUresult CUDAAPI cpu_cuSurfObjectGetResourceDesc(CUDA_RESOURCE_DESC *out, CUsurfObject s)
{
	ENTER_CONTEXT(ctx);
	return give(out, sizeof(*out), find(s, OBJECT_SURFACE), offsetof(struct texture, resource));
}

/* ---- sampling ---- */

struct texels {
	const uint8_t *data;
	size_t pitch, width, height, step; /* step: bytes of a texel */
	bool checked;
};

/* Rows of floats; false for anything else. */
static bool texels_of(const struct texture *t, struct texels *x)
{
	const CUDA_RESOURCE_DESC *r = &t->resource;

	if (t->array && t->array->d.Format == CU_AD_FORMAT_FLOAT) {
		*x = (struct texels){.data = t->array->data,
				     .pitch = t->array->pitch,
				     .width = t->array->d.Width,
				     .height = t->array->height,
				     .step = 4 * (size_t)t->array->d.NumChannels};
		return true;
	}
	if (r->resType != CU_RESOURCE_TYPE_PITCH2D || r->res.pitch2D.format != CU_AD_FORMAT_FLOAT)
		return false;
	*x = (struct texels){.data = (const uint8_t *)(uintptr_t)r->res.pitch2D.devPtr,
			     .pitch = r->res.pitch2D.pitchInBytes,
			     .width = r->res.pitch2D.width,
			     .height = r->res.pitch2D.height,
			     .step = 4 * (size_t)r->res.pitch2D.numChannels,
			     .checked = true};
	return x->step / 4 <= 4 && x->width <= x->pitch / x->step;
}

/* The nearest texel's first channel, clamped at the borders. */
static void fetch(const struct texels *x, float *out, size_t width, size_t height)
{
	for (size_t j = 0; j < height; j++)
		for (size_t i = 0; i < width; i++)
			memcpy(&out[j * width + i],
			       x->data + MIN(j, x->height - 1) * x->pitch +
				       MIN(i, x->width - 1) * x->step,
			       sizeof(float));
}

CUresult texture_sample(unsigned long long handle, float *out, size_t width, size_t height)
{
	struct pins pins = PINS_INIT;
	CUresult err = CUDA_SUCCESS;
	struct texture *t;
	struct texels x;

	pthread_mutex_lock(&drv.lock);
	t = find(handle, OBJECT_TEXTURE);
	if (t)
		object_ref(t);
	pthread_mutex_unlock(&drv.lock);
	if (!t)
		return CUDA_ERROR_ILLEGAL_ADDRESS;
	if (!texels_of(t, &x))
		err = CUDA_ERROR_NOT_SUPPORTED;
	else if (x.checked && !pins_add(&pins, (uintptr_t)x.data,
					(x.height - 1) * x.pitch + x.width * x.step, ACCESS_READ))
		err = CUDA_ERROR_ILLEGAL_ADDRESS;
	else
		fetch(&x, out, width, height);
	pins_drop(&pins);
	pthread_mutex_lock(&drv.lock);
	object_unref(t);
	pthread_mutex_unlock(&drv.lock);
	return err;
}

CPU_SYMBOLS(cpu_texture_symbols, CPU_FN(cuTexObjectCreate), CPU_FN(cuTexObjectDestroy),
	    CPU_FN(cuTexObjectGetResourceDesc), CPU_FN(cuTexObjectGetTextureDesc),
	    CPU_FN(cuTexObjectGetResourceViewDesc), CPU_FN(cuSurfObjectCreate),
	    CPU_FN(cuSurfObjectDestroy), CPU_FN(cuSurfObjectGetResourceDesc));
