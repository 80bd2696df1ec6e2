/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Device memory: every allocation is a range of the session. */
#include "charge.h"
#include "cuda_dispatch.h"
#include "memory.h"
#include "session.h"
#include "worker.h"

bool memory_note(struct cuda_session *s, uint64_t at, uint64_t bytes, enum range_kind kind)
{
	if (ranges_add(&s->ranges, at, bytes, kind, s->context))
		return true;
	ranges_cut(&s->ranges, at, bytes);
	return ranges_add(&s->ranges, at, bytes, kind, s->context);
}

/* Notes what the driver gave, and what was charged for it; if that cannot be, gives it back. */
static CUresult keep(struct cuda_session *s, CUdeviceptr at, size_t bytes, uint64_t charged)
{
	if (memory_note(s, at, bytes, RANGE_DEVICE)) {
		charge_range(s, at, charged, 0);
		return CUDA_SUCCESS;
	}
	s->drv->cuMemFree_v2(at);
	charge_give(s, charged);
	return CUDA_ERROR_OUT_OF_MEMORY;
}

/* Memory that is about to be freed is there a little later. */
static CUresult short_of(struct cuda_session *s)
{
	CUresult r = session_has_put_off(s) ? session_drain(s) : CUDA_SUCCESS;

	return r == CUDA_SUCCESS ? CUDA_ERROR_OUT_OF_MEMORY : r;
}

static CUresult may_allocate(struct cuda_session *s, bool there, uint64_t charged)
{
	CUresult r =
		there && s->drv->cuMemFree_v2 ? ranges_room(&s->ranges) : CUDA_ERROR_NOT_SUPPORTED;

	return r == CUDA_SUCCESS ? charge_take(s, charged) : r;
}

CUresult host_cuMemAlloc_v2(struct cuda_session *s, CUdeviceptr *dptr, size_t bytes)
{
	const uint64_t charged = charge_of(bytes);
	CUresult r = may_allocate(s, s->drv->cuMemAlloc_v2, charged);

	if (r == CUDA_SUCCESS) {
		r = s->drv->cuMemAlloc_v2(dptr, bytes);
		if (r == CUDA_SUCCESS)
			return keep(s, *dptr, bytes, charged);
		charge_give(s, charged);
	}
	return r == CUDA_ERROR_OUT_OF_MEMORY ? short_of(s) : r;
}

/*
 * Drivers make rows as wide as a multiple of this.  What one makes wider is charged
 * afterwards; only if that fails something is freed at once, which waits for the GPU.
 */
#define PITCH 512u

static uint64_t charge_of_rows(uint64_t width, uint64_t height)
{
	const uint64_t row = vgpu_cuda_product(width / PITCH + !!(width % PITCH), PITCH);

	return charge_of(vgpu_cuda_product(row, height));
}

static CUresult keep_pitched(struct cuda_session *s, CUdeviceptr at, uint64_t bytes,
			     uint64_t charged)
{
	const uint64_t all = charge_of(bytes);

	if (all <= charged || charge_take(s, all - charged) == CUDA_SUCCESS)
		return keep(s, at, bytes, MAX(all, charged));
	s->drv->cuMemFree_v2(at);
	charge_give(s, charged);
	return CUDA_ERROR_OUT_OF_MEMORY;
}

CUresult host_cuMemAllocPitch_v2(struct cuda_session *s, CUdeviceptr *dptr, size_t *pitch,
				 size_t width, size_t height, unsigned int element)
{
	const uint64_t charged = charge_of_rows(width, height);
	CUresult r = may_allocate(s, s->drv->cuMemAllocPitch_v2, charged);

	if (r == CUDA_SUCCESS) {
		r = s->drv->cuMemAllocPitch_v2(dptr, pitch, width, height, element);
		if (r == CUDA_SUCCESS)
			return keep_pitched(s, *dptr, *pitch * height, charged);
		charge_give(s, charged);
	}
	return r == CUDA_ERROR_OUT_OF_MEMORY ? short_of(s) : r;
}

void memory_freed(struct cuda_session *s, uint64_t at)
{
	struct cuda_range *r = ranges_find(&s->ranges, at);

	/* Memory of cuMemAlloc() that is freed in a stream's order is gone a little later: no
	 * matter. */
	if (r && r->source)
		charge_pool_freed(s, r);
	ranges_remove(&s->ranges, at, RANGE_DEVICE);
}

static CUresult give_back(struct cuda_session *s, CUdeviceptr at)
{
	CUresult r = s->drv->cuMemFree_v2(at);

	if (r == CUDA_SUCCESS)
		memory_freed(s, at);
	return r;
}

/*
 * Freeing waits for the GPU, which may itself wait for what the program's other
 * threads have yet to ask for.
 */
CUresult host_cuMemFree_v2(struct cuda_session *s, CUdeviceptr dptr)
{
	const struct cuda_range *range = ranges_find(&s->ranges, dptr);
	CUresult r;

	if (!dptr)
		return CUDA_SUCCESS;
	if (!range || range->start != dptr || range->kind != RANGE_DEVICE)
		return CUDA_ERROR_INVALID_VALUE;
	r = session_context(s, range->owner); /* it is this one's work that is waited for */
	if (r == CUDA_SUCCESS)
		r = session_drain(s);
	return r == CUDA_SUCCESS ? give_back(s, dptr) : r;
}

/* The tenant's truth: it has no more than it may, and others' memory is none of its business. */
CUresult host_cuMemGetInfo_v2(struct cuda_session *s, size_t *free_bytes, size_t *total)
{
	uint64_t left, all;
	CUresult r = s->drv->cuMemGetInfo_v2 ? s->drv->cuMemGetInfo_v2(free_bytes, total)
					     : CUDA_ERROR_NOT_SUPPORTED;

	if (r != CUDA_SUCCESS)
		return r;
	charge_settle(s);
	left = *free_bytes;
	all = *total;
	tenant_look(&s->worker->tenant);
	tenant_memory_seen(&s->worker->tenant, &left, &all);
	*free_bytes = left;
	*total = all;
	return CUDA_SUCCESS;
}

bool memory_has_rows(struct cuda_session *s, uint64_t at, uint64_t pitch, uint64_t width,
		     uint64_t height)
{
	uint64_t last;

	if (!width || !height)
		return true;
	if ((height > 1 && pitch < width) || __builtin_mul_overflow(pitch, height - 1, &last) ||
	    __builtin_add_overflow(last, width, &last))
		return false;
	return ranges_check(s, at, last);
}

CUresult host_cuMemsetD2D8Async(struct cuda_session *s, CUdeviceptr dst, size_t pitch,
				unsigned char value, size_t width, size_t height, CUstream stream)
{
	if (!s->drv->cuMemsetD2D8Async)
		return CUDA_ERROR_NOT_SUPPORTED;
	if (!memory_has_rows(s, dst, pitch, width, height))
		return CUDA_ERROR_INVALID_VALUE;
	return s->drv->cuMemsetD2D8Async(dst, pitch, value, width, height, stream);
}

CUresult host_cuMemsetD2D16Async(struct cuda_session *s, CUdeviceptr dst, size_t pitch,
				 unsigned short value, size_t width, size_t height, CUstream stream)
{
	if (!s->drv->cuMemsetD2D16Async)
		return CUDA_ERROR_NOT_SUPPORTED;
	if (width > SIZE_MAX / 2 || !memory_has_rows(s, dst, pitch, width * 2, height))
		return CUDA_ERROR_INVALID_VALUE;
	return s->drv->cuMemsetD2D16Async(dst, pitch, value, width, height, stream);
}

CUresult host_cuMemsetD2D32Async(struct cuda_session *s, CUdeviceptr dst, size_t pitch,
				 unsigned int value, size_t width, size_t height, CUstream stream)
{
	if (!s->drv->cuMemsetD2D32Async)
		return CUDA_ERROR_NOT_SUPPORTED;
	if (width > SIZE_MAX / 4 || !memory_has_rows(s, dst, pitch, width * 4, height))
		return CUDA_ERROR_INVALID_VALUE;
	return s->drv->cuMemsetD2D32Async(dst, pitch, value, width, height, stream);
}
