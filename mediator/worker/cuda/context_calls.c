/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Contexts: made, given up, waited for. */
#include "contexts.h"
#include "cuda_dispatch.h"
#include "session.h"
#include "waits.h"

/* Keeps ours beside the handle that the dispatch makes next. */
static bool keep(struct cuda_session *s, CUcontext ctx, bool primary)
{
	s->new_data = contexts_new(ctx, primary);
	return s->new_data;
}

bool session_borrow(struct cuda_session *s)
{
	const uint64_t one = contexts_any(s);

	/* Whichever will do, and that costs nothing. */
	if (one)
		return session_context(s, one) == CUDA_SUCCESS;
	if (!s->extra.cuDevicePrimaryCtxRetain || !s->drv->cuDevicePrimaryCtxRelease_v2)
		return false;
	if (!s->borrowed &&
	    s->extra.cuDevicePrimaryCtxRetain(&s->borrowed, s->device) != CUDA_SUCCESS) {
		s->borrowed = NULL;
		return false;
	}
	contexts_settle(s);
	return s->drv->cuCtxSetCurrent(s->borrowed) == CUDA_SUCCESS;
}

/* The guest has a context of its own from now on, or is to give the primary one up wholly. */
static void end_borrowing(struct cuda_session *s)
{
	if (!s->borrowed)
		return;
	s->drv->cuDevicePrimaryCtxRelease_v2(s->device);
	s->borrowed = NULL;
	contexts_settle(s);
}

CUresult host_vgpuCtxCreate(struct cuda_session *s, CUcontext *ctx, unsigned int flags,
			    CUdevice dev)
{
	CUresult r = session_open(s);

	(void)dev;
	if (r != CUDA_SUCCESS)
		return r;
	if (!s->drv->cuCtxCreate_v2 || !s->drv->cuCtxDestroy_v2)
		return CUDA_ERROR_NOT_SUPPORTED;
	r = contexts_pay(s);
	if (r != CUDA_SUCCESS)
		return r;
	end_borrowing(s);
	session_forget_context(s); /* the driver makes the new one current */
	r = s->drv->cuCtxCreate_v2(ctx, flags, s->device);
	if (r != CUDA_SUCCESS || keep(s, *ctx, false))
		return r;
	s->drv->cuCtxDestroy_v2(*ctx);
	return CUDA_ERROR_OUT_OF_MEMORY;
}

CUresult host_vgpuCtxRetainPrimary(struct cuda_session *s, CUcontext *ctx, unsigned int flags,
				   CUdevice dev)
{
	CUresult r = session_open(s);

	(void)dev;
	if (r != CUDA_SUCCESS)
		return r;
	if (!s->extra.cuDevicePrimaryCtxRetain || !s->drv->cuDevicePrimaryCtxRelease_v2)
		return CUDA_ERROR_NOT_SUPPORTED;
	r = contexts_pay(s);
	if (r != CUDA_SUCCESS)
		return r;
	if (flags && s->drv->cuDevicePrimaryCtxSetFlags_v2)
		s->drv->cuDevicePrimaryCtxSetFlags_v2(s->device, flags);
	r = s->extra.cuDevicePrimaryCtxRetain(ctx, s->device);
	if (r != CUDA_SUCCESS)
		return r;
	/* What we keep of a context, its streams above all, stands with its one handle. */
	if (handles_find(s, VGPU_CUDA_CONTEXT, *ctx))
		r = CUDA_ERROR_INVALID_VALUE;
	else if (!keep(s, *ctx, true))
		r = CUDA_ERROR_OUT_OF_MEMORY;
	if (r == CUDA_SUCCESS)
		end_borrowing(s);
	else
		s->drv->cuDevicePrimaryCtxRelease_v2(s->device);
	return r;
}

static bool is_primary(struct cuda_session *s, uint64_t handle)
{
	const struct cuda_context *c = contexts_of(s, handle);

	return c && c->primary;
}

CUresult host_vgpuCtxReleasePrimary(struct cuda_session *s, CUcontext ctx, CUdevice dev)
{
	uint64_t handle = REQUEST(s, vgpuCtxReleasePrimary)->ctx;
	CUresult r;

	(void)dev;
	if (!is_primary(s, handle))
		return CUDA_ERROR_INVALID_CONTEXT;
	r = session_drain_all(s);
	if (r != CUDA_SUCCESS)
		return r;
	helpers_leave(&s->waits->helpers, ctx);
	contexts_shut(s, handle);
	session_release_backend(s);
	end_borrowing(s);
	session_forget_context(s);
	return s->drv->cuDevicePrimaryCtxRelease_v2(s->device);
}

/* The handle of the primary context is void afterwards, but it may be retained anew. */
CUresult host_vgpuCtxResetPrimary(struct cuda_session *s, CUdevice dev)
{
	CUcontext primary = NULL;
	CUresult r = session_open(s);
	uint64_t handle;

	(void)dev;
	if (r != CUDA_SUCCESS)
		return r;
	if (!s->drv->cuDevicePrimaryCtxReset_v2 || !s->extra.cuDevicePrimaryCtxRetain)
		return CUDA_ERROR_NOT_SUPPORTED;
	r = session_drain_all(s);
	if (r != CUDA_SUCCESS)
		return r;
	session_release_backend(s);
	end_borrowing(s);
	r = s->extra.cuDevicePrimaryCtxRetain(&primary, s->device);
	if (r == CUDA_SUCCESS)
		s->drv->cuDevicePrimaryCtxRelease_v2(s->device);
	helpers_leave(&s->waits->helpers, primary);
	r = s->drv->cuDevicePrimaryCtxReset_v2(s->device);
	while (r == CUDA_SUCCESS && (handle = handles_find(s, VGPU_CUDA_CONTEXT, primary)))
		handles_remove(s, handle);
	session_forget_context(s);
	return r;
}

static CUresult destroy(struct cuda_session *s, uint64_t handle)
{
	const struct cuda_object *o = handles_object(&s->handles, handle, VGPU_CUDA_CONTEXT);
	CUresult r;

	if (!o)
		return CUDA_ERROR_INVALID_CONTEXT;
	helpers_leave(&s->waits->helpers, (CUcontext)(uintptr_t)o->real);
	contexts_shut(s, handle);
	session_release_backend(s);
	r = s->drv->cuCtxDestroy_v2((CUcontext)(uintptr_t)o->real);
	session_forget_context(s);
	return r;
}

CUresult host_vgpuCtxDestroy(struct cuda_session *s, CUcontext ctx)
{
	uint64_t handle = REQUEST(s, vgpuCtxDestroy)->ctx;
	CUresult r;

	(void)ctx;
	if (is_primary(s, handle))
		return CUDA_ERROR_INVALID_CONTEXT;
	r = session_drain_all(s);
	return r == CUDA_SUCCESS ? destroy(s, handle) : r;
}

CUresult host_vgpuCtxSynchronize(struct cuda_session *s)
{
	struct wait *w;

	if (waits_is_captured(s)) /* the driver refuses, and says why */
		return s->drv->cuCtxSynchronize();
	w = waits_new(s);
	return w ? waits_context(s, w) : CUDA_ERROR_OUT_OF_MEMORY;
}
