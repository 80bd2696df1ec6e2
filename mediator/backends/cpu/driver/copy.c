/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Copying: every copy is a box of bytes between two sides, each of which is
 * checked when the copy is made and pinned when it is done.
 */
#include <stdlib.h>
#include <string.h>

#include "driver.h"

/* One side: where its first byte lies and how far its rows and slices are apart. */
struct side {
	uintptr_t start;
	size_t row, slice; /* steps */
	size_t span;       /* bytes from the first to the last one */
	bool checked;      /* lies in ranges; otherwise an array or the caller's own memory */
};

static bool mul(size_t a, size_t b, size_t *out)
{
	return !__builtin_mul_overflow(a, b, out);
}

static bool add(size_t *sum, size_t a)
{
	return !__builtin_add_overflow(*sum, a, sum);
}

/* start += z * slice + y * row + x; the span likewise; false if it cannot be. */
static bool place(struct side *s, const CUDA_MEMCPY3D *d, size_t x, size_t y, size_t z)
{
	size_t dy, dz, hy, hz, at = s->start, end;

	if (!mul(y, s->row, &dy) || !mul(z, s->slice, &dz) || !mul(d->Height - 1, s->row, &hy) ||
	    !mul(d->Depth - 1, s->slice, &hz))
		return false;
	if (!add(&at, x) || !add(&at, dy) || !add(&at, dz))
		return false;
	s->start = at;
	s->span = d->WidthInBytes;
	if (!add(&s->span, hy) || !add(&s->span, hz))
		return false;
	end = s->start;
	return add(&end, s->span - 1);
}

static bool fits(size_t at, size_t length, size_t room)
{
	return at <= room && length <= room - at;
}

static bool place_array(struct side *s, const CUDA_MEMCPY3D *d, CUarray a, size_t x, size_t y,
			size_t z)
{
	if (!fits(x, d->WidthInBytes, a->pitch) || !fits(y, d->Height, a->height) ||
	    !fits(z, d->Depth, a->depth))
		return false;
	s->start = (uintptr_t)a->data;
	s->row = a->pitch;
	s->slice = a->pitch * a->height;
	return place(s, d, x, y, z);
}

static bool place_linear(struct side *s, const CUDA_MEMCPY3D *d, size_t pitch, size_t height,
			 size_t x, size_t y, size_t z)
{
	bool rows = d->Height > 1 || d->Depth > 1;

	if (!pitch && !rows && !y && !z)
		pitch = 0;
	else if (!fits(x, d->WidthInBytes, pitch))
		return false;
	if (!height && d->Depth == 1 && !z)
		height = 0;
	else if (!fits(y, d->Height, height))
		return false;
	s->row = pitch;
	return mul(pitch, height, &s->slice) && place(s, d, x, y, z);
}

static CUresult source(const struct copy_work *c, struct side *s)
{
	const CUDA_MEMCPY3D *d = &c->d;

	*s = (struct side){.checked = true};
	switch (d->srcMemoryType) {
	case CU_MEMORYTYPE_ARRAY:
		s->checked = false;
		return place_array(s, d, c->src_array, d->srcXInBytes, d->srcY, d->srcZ)
			       ? CUDA_SUCCESS
			       : CUDA_ERROR_INVALID_VALUE;
	case CU_MEMORYTYPE_HOST:
		s->checked = c->src_pinned;
		s->start = (uintptr_t)d->srcHost;
		break;
	case CU_MEMORYTYPE_DEVICE:
	case CU_MEMORYTYPE_UNIFIED:
		s->start = d->srcDevice;
		break;
	default:
		return CUDA_ERROR_INVALID_VALUE;
	}
	return place_linear(s, d, d->srcPitch, d->srcHeight, d->srcXInBytes, d->srcY, d->srcZ)
		       ? CUDA_SUCCESS
		       : CUDA_ERROR_INVALID_VALUE;
}

static CUresult destination(const struct copy_work *c, struct side *s)
{
	const CUDA_MEMCPY3D *d = &c->d;

	*s = (struct side){.checked = true};
	switch (d->dstMemoryType) {
	case CU_MEMORYTYPE_ARRAY:
		s->checked = false;
		return place_array(s, d, c->dst_array, d->dstXInBytes, d->dstY, d->dstZ)
			       ? CUDA_SUCCESS
			       : CUDA_ERROR_INVALID_VALUE;
	case CU_MEMORYTYPE_HOST:
		s->checked = c->dst_pinned;
		s->start = (uintptr_t)d->dstHost;
		break;
	case CU_MEMORYTYPE_DEVICE:
	case CU_MEMORYTYPE_UNIFIED:
		s->start = d->dstDevice;
		break;
	default:
		return CUDA_ERROR_INVALID_VALUE;
	}
	return place_linear(s, d, d->dstPitch, d->dstHeight, d->dstXInBytes, d->dstY, d->dstZ)
		       ? CUDA_SUCCESS
		       : CUDA_ERROR_INVALID_VALUE;
}

static bool is_empty(const CUDA_MEMCPY3D *d)
{
	return !d->WidthInBytes || !d->Height || !d->Depth;
}

CUresult copy_check(struct copy_work *c, unsigned int later)
{
	struct side src, dst;
	CUresult err;

	if (c->d.srcLOD || c->d.dstLOD)
		return CUDA_ERROR_INVALID_VALUE;
	if (c->d.srcMemoryType == CU_MEMORYTYPE_ARRAY && !c->src_array)
		return CUDA_ERROR_INVALID_HANDLE;
	if (c->d.dstMemoryType == CU_MEMORYTYPE_ARRAY && !c->dst_array)
		return CUDA_ERROR_INVALID_HANDLE;
	if (is_empty(&c->d))
		return CUDA_SUCCESS;
	err = source(c, &src);
	if (!err)
		err = destination(c, &dst);
	if (err)
		return err;
	if (!src.start || !dst.start)
		return CUDA_ERROR_INVALID_VALUE;
	if (c->d.srcMemoryType == CU_MEMORYTYPE_HOST)
		c->src_pinned = span_is_valid(src.start, src.span, ACCESS_READ);
	else if (src.checked && !span_is_valid(src.start, src.span, ACCESS_READ | later))
		return CUDA_ERROR_INVALID_VALUE;
	if (c->d.dstMemoryType == CU_MEMORYTYPE_HOST)
		c->dst_pinned = span_is_valid(dst.start, dst.span, ACCESS_WRITE);
	else if (dst.checked && !span_is_valid(dst.start, dst.span, ACCESS_WRITE | later))
		return CUDA_ERROR_INVALID_VALUE;
	return CUDA_SUCCESS;
}

static void move(const CUDA_MEMCPY3D *d, const struct side *src, const struct side *dst)
{
	for (size_t z = 0; z < d->Depth; z++)
		for (size_t y = 0; y < d->Height; y++)
			memmove((void *)(dst->start + z * dst->slice + y * dst->row),
				(const void *)(src->start + z * src->slice + y * src->row),
				d->WidthInBytes);
}

CUresult copy_run(struct copy_work *c)
{
	struct pins pins = PINS_INIT;
	struct side src, dst;
	CUresult err = CUDA_SUCCESS;

	if (is_empty(&c->d))
		return CUDA_SUCCESS;
	if (source(c, &src) || destination(c, &dst))
		return CUDA_ERROR_ILLEGAL_ADDRESS;
	if (c->staged) {
		src.start = (uintptr_t)c->staged;
		src.checked = false;
	}
	if ((src.checked && !pins_add(&pins, src.start, src.span, ACCESS_READ)) ||
	    (dst.checked && !pins_add(&pins, dst.start, dst.span, ACCESS_WRITE)))
		err = CUDA_ERROR_ILLEGAL_ADDRESS;
	else
		move(&c->d, &src, &dst);
	pins_drop(&pins);
	return err;
}

CUresult copy_make(const CUDA_MEMCPY3D *d, unsigned int later, struct work **out)
{
	struct work *w = work_new(WORK_COPY);
	struct copy_work *c = &w->copy;
	CUresult err;

	c->d = *d;
	if (d->srcMemoryType == CU_MEMORYTYPE_ARRAY) {
		c->src_array = object_find(d->srcArray, OBJECT_ARRAY);
		if (c->src_array)
			object_ref(c->src_array);
	}
	if (d->dstMemoryType == CU_MEMORYTYPE_ARRAY) {
		c->dst_array = object_find(d->dstArray, OBJECT_ARRAY);
		if (c->dst_array)
			object_ref(c->dst_array);
	}
	err = copy_check(c, later);
	if (err) {
		work_free(w);
		return err;
	}
	*out = w;
	return CUDA_SUCCESS;
}

/* ---- the ways to ask for one ---- */

#define STAGE_MAX ((size_t)1 << 20)
#define STAGE_TOTAL ((size_t)64 << 20)

/* A pageable source of one row is read before the call returns. */
static bool stage(struct copy_work *c)
{
	if (c->d.srcMemoryType != CU_MEMORYTYPE_HOST || c->src_pinned || c->d.Height != 1 ||
	    c->d.Depth != 1 || !c->d.WidthInBytes || c->d.WidthInBytes > STAGE_MAX ||
	    drv.staged > STAGE_TOTAL)
		return false;
	c->staged = malloc(c->d.WidthInBytes);
	if (!c->staged)
		return false;
	drv.staged += c->d.WidthInBytes;
	memcpy(c->staged, (const char *)c->d.srcHost + c->d.srcXInBytes, c->d.WidthInBytes);
	return true;
}

/* Memory that the caller may use again as soon as the call returns: that has to wait. */
static bool is_pageable(const struct copy_work *c)
{
	if (is_empty(&c->d))
		return false;
	return (c->d.srcMemoryType == CU_MEMORYTYPE_HOST && !c->src_pinned && !c->staged) ||
	       (c->d.dstMemoryType == CU_MEMORYTYPE_HOST && !c->dst_pinned);
}

static CUresult copy_async(const CUDA_MEMCPY3D *d, CUstream stream)
{
	struct work *w;
	struct op *op;
	CUstream s;
	bool wait;

	ENTER_CONTEXT(ctx);
	enter_error = stream_find(ctx, stream, &s);
	if (!enter_error)
		enter_error = copy_make(d, s->capture ? ACCESS_LATER : 0, &w);
	if (enter_error)
		return enter_error;
	if (s->capture)
		return stream_submit_or_capture(s, w);
	stage(&w->copy);
	wait = is_pageable(&w->copy);
	enter_error = stream_submit(s, w, &op);
	if (enter_error)
		return enter_error;
	if (wait)
		enter_error = op_wait(op);
	op_unref(op);
	return enter_error;
}

static CUresult copy_sync(const CUDA_MEMCPY3D *d)
{
	struct work *w;
	struct op *op;
	CUstream s;

	ENTER_CONTEXT(ctx);
	enter_error = stream_find(ctx, NULL, &s);
	if (!enter_error)
		enter_error = copy_make(d, s->capture ? ACCESS_LATER : 0, &w);
	if (!enter_error)
		enter_error = stream_submit(s, w, &op);
	if (enter_error)
		return enter_error;
	enter_error = op_wait(op);
	op_unref(op);
	return enter_error;
}

static CUDA_MEMCPY3D linear(CUmemorytype to, CUmemorytype from, size_t n)
{
	return (CUDA_MEMCPY3D){.dstMemoryType = to,
			       .srcMemoryType = from,
			       .WidthInBytes = n,
			       .Height = 1,
			       .Depth = 1};
}

static CUDA_MEMCPY3D host_to_device(CUdeviceptr dst, const void *src, size_t n)
{
	CUDA_MEMCPY3D d = linear(CU_MEMORYTYPE_DEVICE, CU_MEMORYTYPE_HOST, n);

	d.dstDevice = dst;
	d.srcHost = src;
	return d;
}

static CUDA_MEMCPY3D device_to_host(void *dst, CUdeviceptr src, size_t n)
{
	CUDA_MEMCPY3D d = linear(CU_MEMORYTYPE_HOST, CU_MEMORYTYPE_DEVICE, n);

	d.dstHost = dst;
	d.srcDevice = src;
	return d;
}

static CUDA_MEMCPY3D device_to_device(CUdeviceptr dst, CUdeviceptr src, size_t n)
{
	CUDA_MEMCPY3D d = linear(CU_MEMORYTYPE_UNIFIED, CU_MEMORYTYPE_UNIFIED, n);

	d.dstDevice = dst;
	d.srcDevice = src;
	return d;
}

static CUresult CUDAAPI cpu_cuMemcpyHtoD_v2(CUdeviceptr dst, const void *src, size_t n)
{
	const CUDA_MEMCPY3D d = host_to_device(dst, src, n);

	return copy_sync(&d);
}

static CUresult CUDAAPI cpu_cuMemcpyHtoDAsync_v2(CUdeviceptr dst, const void *src, size_t n,
						 CUstream s)
{
	const CUDA_MEMCPY3D d = host_to_device(dst, src, n);

	return copy_async(&d, s);
}

static CUresult CUDAAPI cpu_cuMemcpyDtoH_v2(void *dst, CUdeviceptr src, size_t n)
{
	const CUDA_MEMCPY3D d = device_to_host(dst, src, n);

	return copy_sync(&d);
}

static CUresult CUDAAPI cpu_cuMemcpyDtoHAsync_v2(void *dst, CUdeviceptr src, size_t n, CUstream s)
{
	const CUDA_MEMCPY3D d = device_to_host(dst, src, n);

	return copy_async(&d, s);
}

static CUresult CUDAAPI cpu_cuMemcpyDtoD_v2(CUdeviceptr dst, CUdeviceptr src, size_t n)
{
	const CUDA_MEMCPY3D d = device_to_device(dst, src, n);

	return copy_sync(&d);
}

static CUresult CUDAAPI cpu_cuMemcpyDtoDAsync_v2(CUdeviceptr dst, CUdeviceptr src, size_t n,
						 CUstream s)
{
	const CUDA_MEMCPY3D d = device_to_device(dst, src, n);

	return copy_async(&d, s);
}

static CUresult CUDAAPI cpu_cuMemcpy(CUdeviceptr dst, CUdeviceptr src, size_t n)
{
	const CUDA_MEMCPY3D d = device_to_device(dst, src, n);

	return copy_sync(&d);
}

static CUresult CUDAAPI cpu_cuMemcpyAsync(CUdeviceptr dst, CUdeviceptr src, size_t n, CUstream s)
{
	const CUDA_MEMCPY3D d = device_to_device(dst, src, n);

	return copy_async(&d, s);
}

static bool are_contexts(CUcontext a, CUcontext b)
{
	bool ok;

	pthread_mutex_lock(&drv.lock);
	ok = object_find(a, OBJECT_CONTEXT) && object_find(b, OBJECT_CONTEXT);
	pthread_mutex_unlock(&drv.lock);
	return ok;
}

static CUresult CUDAAPI cpu_cuMemcpyPeer(CUdeviceptr dst, CUcontext to, CUdeviceptr src,
					 CUcontext from, size_t n)
{
	return are_contexts(to, from) ? cpu_cuMemcpy(dst, src, n) : CUDA_ERROR_INVALID_CONTEXT;
}

static CUresult CUDAAPI cpu_cuMemcpyPeerAsync(CUdeviceptr dst, CUcontext to, CUdeviceptr src,
					      CUcontext from, size_t n, CUstream s)
{
	return are_contexts(to, from) ? cpu_cuMemcpyAsync(dst, src, n, s)
				      : CUDA_ERROR_INVALID_CONTEXT;
}

static CUDA_MEMCPY3D from_2d(const CUDA_MEMCPY2D *c)
{
	return (CUDA_MEMCPY3D){
		.srcXInBytes = c->srcXInBytes,
		.srcY = c->srcY,
		.srcMemoryType = c->srcMemoryType,
		.srcHost = c->srcHost,
		.srcDevice = c->srcDevice,
		.srcArray = c->srcArray,
		.srcPitch = c->srcPitch,
		.dstXInBytes = c->dstXInBytes,
		.dstY = c->dstY,
		.dstMemoryType = c->dstMemoryType,
		.dstHost = c->dstHost,
		.dstDevice = c->dstDevice,
		.dstArray = c->dstArray,
		.dstPitch = c->dstPitch,
		.WidthInBytes = c->WidthInBytes,
		.Height = c->Height,
		.Depth = 1,
	};
}

static CUresult CUDAAPI cpu_cuMemcpy2D_v2(const CUDA_MEMCPY2D *copy)
{
	CUDA_MEMCPY3D d;

	if (!copy)
		return CUDA_ERROR_INVALID_VALUE;
	d = from_2d(copy);
	return copy_sync(&d);
}

static CUresult CUDAAPI cpu_cuMemcpy2DUnaligned_v2(const CUDA_MEMCPY2D *copy)
{
	return cpu_cuMemcpy2D_v2(copy);
}

static CUresult CUDAAPI cpu_cuMemcpy2DAsync_v2(const CUDA_MEMCPY2D *copy, CUstream s)
{
	CUDA_MEMCPY3D d;

	if (!copy)
		return CUDA_ERROR_INVALID_VALUE;
	d = from_2d(copy);
	return copy_async(&d, s);
}

static CUresult CUDAAPI cpu_cuMemcpy3D_v2(const CUDA_MEMCPY3D *copy)
{
	return copy ? copy_sync(copy) : CUDA_ERROR_INVALID_VALUE;
}

static CUresult CUDAAPI cpu_cuMemcpy3DAsync_v2(const CUDA_MEMCPY3D *copy, CUstream s)
{
	return copy ? copy_async(copy, s) : CUDA_ERROR_INVALID_VALUE;
}

CPU_SYMBOLS(cpu_copy_symbols, CPU_FN(cuMemcpyHtoD_v2), CPU_FN(cuMemcpyHtoDAsync_v2),
	    CPU_FN(cuMemcpyDtoH_v2), CPU_FN(cuMemcpyDtoHAsync_v2), CPU_FN(cuMemcpyDtoD_v2),
	    CPU_FN(cuMemcpyDtoDAsync_v2), CPU_FN(cuMemcpy), CPU_FN(cuMemcpyAsync),
	    CPU_FN(cuMemcpyPeer), CPU_FN(cuMemcpyPeerAsync), CPU_FN(cuMemcpy2D_v2),
	    CPU_FN(cuMemcpy2DUnaligned_v2), CPU_FN(cuMemcpy2DAsync_v2), CPU_FN(cuMemcpy3D_v2),
	    CPU_FN(cuMemcpy3DAsync_v2));
