/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The calls about streams.
 */
#include "driver.h"

#define PRIORITY_GREATEST (-5)

static CUresult create(CUstream *out, unsigned int flags, int priority)
{
	ENTER_CONTEXT(ctx);
	if (!out || (flags & ~(unsigned int)CU_STREAM_NON_BLOCKING))
		return CUDA_ERROR_INVALID_VALUE;
	return stream_new(ctx, flags, CLAMP(priority, PRIORITY_GREATEST, 0), out);
}

static CUresult CUDAAPI cpu_cuStreamCreate(CUstream *out, unsigned int flags)
{
	return create(out, flags, 0);
}

static CUresult CUDAAPI cpu_cuStreamCreateWithPriority(CUstream *out, unsigned int flags,
						       int priority)
{
	return create(out, flags, priority);
}

static CUresult CUDAAPI cpu_cuStreamDestroy_v2(CUstream handle)
{
	CUstream s;

	ENTER();
	s = object_find(handle, OBJECT_STREAM);
	if (!s)
		return CUDA_ERROR_INVALID_HANDLE;
	stream_retire(s);
	return CUDA_SUCCESS;
}

static CUresult CUDAAPI cpu_cuStreamSynchronize(CUstream handle)
{
	CUstream s;

	ENTER_CONTEXT(ctx);
	enter_error = stream_find(ctx, handle, &s);
	if (enter_error)
		return enter_error;
	if (s->capture) {
		capture_invalidate(s->capture);
		return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
	}
	return stream_wait(s);
}

static CUresult CUDAAPI cpu_cuStreamQuery(CUstream handle)
{
	CUstream s;

	ENTER_CONTEXT(ctx);
	enter_error = stream_find(ctx, handle, &s);
	if (enter_error)
		return enter_error;
	if (s->capture) {
		capture_invalidate(s->capture);
		return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
	}
	return stream_is_idle(s) ? CUDA_SUCCESS : CUDA_ERROR_NOT_READY;
}

static CUresult CUDAAPI cpu_cuStreamGetFlags(CUstream handle, unsigned int *flags)
{
	CUstream s;

	ENTER_CONTEXT(ctx);
	if (!flags)
		return CUDA_ERROR_INVALID_VALUE;
	enter_error = stream_find(ctx, handle, &s);
	if (!enter_error)
		*flags = s->flags;
	return enter_error;
}

static CUresult CUDAAPI cpu_cuStreamGetPriority(CUstream handle, int *priority)
{
	CUstream s;

	ENTER_CONTEXT(ctx);
	if (!priority)
		return CUDA_ERROR_INVALID_VALUE;
	enter_error = stream_find(ctx, handle, &s);
	if (!enter_error)
		*priority = s->priority;
	return enter_error;
}

static CUresult CUDAAPI cpu_cuStreamGetId(CUstream handle, unsigned long long *id)
{
	CUstream s;

	ENTER_CONTEXT(ctx);
	if (!id)
		return CUDA_ERROR_INVALID_VALUE;
	enter_error = stream_find(ctx, handle, &s);
	if (!enter_error)
		*id = s->id;
	return enter_error;
}

static CUresult CUDAAPI cpu_cuStreamGetCtx(CUstream handle, CUcontext *out)
{
	CUstream s;

	ENTER_CONTEXT(ctx);
	if (!out)
		return CUDA_ERROR_INVALID_VALUE;
	enter_error = stream_find(ctx, handle, &s);
	if (!enter_error)
		*out = s->ctx;
	return enter_error;
}

static CUresult CUDAAPI cpu_cuStreamGetDevice(CUstream handle, CUdevice *dev)
{
	CUstream s;

	ENTER_CONTEXT(ctx);
	if (!dev)
		return CUDA_ERROR_INVALID_VALUE;
	enter_error = stream_find(ctx, handle, &s);
	if (!enter_error)
		*dev = 0;
	return enter_error;
}

static CUresult CUDAAPI cpu_cuStreamWaitEvent(CUstream handle, CUevent event, unsigned int flags)
{
	struct work *w;
	CUevent e;
	CUstream s;

	ENTER_CONTEXT(ctx);
	if (flags & ~(unsigned int)CU_EVENT_WAIT_EXTERNAL)
		return CUDA_ERROR_INVALID_VALUE;
	enter_error = stream_find(ctx, handle, &s);
	e = object_find(event, OBJECT_EVENT);
	if (!enter_error && !e)
		enter_error = CUDA_ERROR_INVALID_HANDLE;
	if (enter_error)
		return enter_error;
	if (capture_has(e) && !(flags & CU_EVENT_WAIT_EXTERNAL))
		return capture_wait(s, e);
	if (s->capture && !(flags & CU_EVENT_WAIT_EXTERNAL)) {
		capture_invalidate(s->capture);
		return CUDA_ERROR_STREAM_CAPTURE_ISOLATION;
	}
	if (!s->capture && (!e->op || e->op->done))
		return CUDA_SUCCESS;
	w = work_new(WORK_WAIT);
	w->event.event = object_ref(e);
	return stream_submit_or_capture(s, w);
}

static CUresult submit_host(CUstream handle, const struct host_work *h)
{
	struct work *w;
	CUstream s;

	ENTER_CONTEXT(ctx);
	enter_error = stream_find(ctx, handle, &s);
	if (enter_error)
		return enter_error;
	if (s->capture && h->callback) {
		capture_invalidate(s->capture);
		return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
	}
	w = work_new(WORK_HOST);
	w->host = *h;
	return stream_submit_or_capture(s, w);
}

static CUresult CUDAAPI cpu_cuLaunchHostFunc(CUstream s, CUhostFn fn, void *data)
{
	const struct host_work h = {.fn = fn, .data = data};

	return fn ? submit_host(s, &h) : CUDA_ERROR_INVALID_VALUE;
}

static CUresult CUDAAPI cpu_cuStreamAddCallback(CUstream s, CUstreamCallback callback, void *data,
						unsigned int flags)
{
	const struct host_work h = {.callback = callback, .data = data, .stream = s};

	return callback && !flags ? submit_host(s, &h) : CUDA_ERROR_INVALID_VALUE;
}

static bool is_known(CUstreamAttrID which)
{
	return which == CU_LAUNCH_ATTRIBUTE_ACCESS_POLICY_WINDOW ||
	       which == CU_LAUNCH_ATTRIBUTE_SYNCHRONIZATION_POLICY ||
	       which == CU_LAUNCH_ATTRIBUTE_PRIORITY ||
	       which == CU_LAUNCH_ATTRIBUTE_MEM_SYNC_DOMAIN_MAP ||
	       which == CU_LAUNCH_ATTRIBUTE_MEM_SYNC_DOMAIN;
}

static CUresult CUDAAPI cpu_cuStreamGetAttribute(CUstream handle, CUstreamAttrID which,
						 CUstreamAttrValue *value)
{
	CUstream s;

	ENTER_CONTEXT(ctx);
	enter_error = stream_find(ctx, handle, &s);
	if (enter_error)
		return enter_error;
	if (!value || !is_known(which))
		return CUDA_ERROR_INVALID_VALUE;
	*value = (CUstreamAttrValue){0};
	if (which == CU_LAUNCH_ATTRIBUTE_PRIORITY)
		value->priority = s->priority;
	else if (which == CU_LAUNCH_ATTRIBUTE_SYNCHRONIZATION_POLICY)
		value->syncPolicy = CU_SYNC_POLICY_AUTO;
	return CUDA_SUCCESS;
}

/* Hints all of them, and there is nothing here that could follow one. */
static CUresult CUDAAPI cpu_cuStreamSetAttribute(CUstream handle, CUstreamAttrID which,
						 const CUstreamAttrValue *value)
{
	CUstream s;

	ENTER_CONTEXT(ctx);
	enter_error = stream_find(ctx, handle, &s);
	if (enter_error)
		return enter_error;
	return value && is_known(which) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

static CUresult CUDAAPI cpu_cuStreamCopyAttributes(CUstream to, CUstream from)
{
	CUstream s;

	ENTER_CONTEXT(ctx);
	enter_error = stream_find(ctx, to, &s);
	return enter_error ? enter_error : stream_find(ctx, from, &s);
}

/* There is no managed memory, so nothing can be attached. */
static CUresult CUDAAPI cpu_cuStreamAttachMemAsync(CUstream s, CUdeviceptr dptr, size_t length,
						   unsigned int flags)
{
	(void)s;
	(void)dptr;
	(void)length;
	(void)flags;
	return CUDA_ERROR_NOT_SUPPORTED;
}

CPU_SYMBOLS(cpu_stream_symbols, CPU_FN(cuStreamCreate), CPU_FN(cuStreamCreateWithPriority),
	    CPU_FN(cuStreamDestroy_v2), CPU_FN(cuStreamSynchronize), CPU_FN(cuStreamQuery),
	    CPU_FN(cuStreamGetFlags), CPU_FN(cuStreamGetPriority), CPU_FN(cuStreamGetId),
	    CPU_FN(cuStreamGetCtx), CPU_FN(cuStreamGetDevice), CPU_FN(cuStreamWaitEvent),
	    CPU_FN(cuLaunchHostFunc), CPU_FN(cuStreamAddCallback), CPU_FN(cuStreamGetAttribute),
	    CPU_FN(cuStreamSetAttribute), CPU_FN(cuStreamCopyAttributes),
	    CPU_FN(cuStreamAttachMemAsync));
