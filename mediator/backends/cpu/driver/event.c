/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Events: each remembers the piece of work that its newest recording is.
 */
#include "driver.h"

#define FLAGS (CU_EVENT_BLOCKING_SYNC | CU_EVENT_DISABLE_TIMING | CU_EVENT_INTERPROCESS)

static void finish(void *object)
{
	CUevent e = object;

	op_unref(e->op);
	capture_forget_event(e);
}

static CUresult CUDAAPI cpu_cuEventCreate(CUevent *out, unsigned int flags)
{
	CUevent e;

	ENTER_CONTEXT(ctx);
	if (!out || (flags & ~(unsigned int)FLAGS))
		return CUDA_ERROR_INVALID_VALUE;
	if (flags & CU_EVENT_INTERPROCESS)
		return CUDA_ERROR_NOT_SUPPORTED;
	e = object_new(OBJECT_EVENT, sizeof(*e), finish);
	if (!e)
		return CUDA_ERROR_OUT_OF_MEMORY;
	e->ctx = ctx;
	e->flags = flags;
	*out = e;
	return CUDA_SUCCESS;
}

static CUresult CUDAAPI cpu_cuEventDestroy_v2(CUevent handle)
{
	CUevent e;

	ENTER();
	e = object_find(handle, OBJECT_EVENT);
	if (!e)
		return CUDA_ERROR_INVALID_HANDLE;
	object_retire(e);
	return CUDA_SUCCESS;
}

static CUresult record(CUevent handle, CUstream stream, unsigned int flags)
{
	struct work *w;
	CUstream s;
	CUevent e;

	ENTER_CONTEXT(ctx);
	if (flags & ~(unsigned int)CU_EVENT_RECORD_EXTERNAL)
		return CUDA_ERROR_INVALID_VALUE;
	enter_error = stream_find(ctx, stream, &s);
	e = object_find(handle, OBJECT_EVENT);
	if (!enter_error && (!e || e->ctx != s->ctx))
		enter_error = CUDA_ERROR_INVALID_HANDLE;
	if (enter_error)
		return enter_error;
	if (s->capture && !(flags & CU_EVENT_RECORD_EXTERNAL))
		return capture_record(s, e);
	w = work_new(WORK_RECORD);
	w->event.event = object_ref(e);
	if (!s->capture)
		capture_forget_event(e);
	return stream_submit_or_capture(s, w);
}

static CUresult CUDAAPI cpu_cuEventRecord(CUevent e, CUstream s)
{
	return record(e, s, 0);
}

static CUresult CUDAAPI cpu_cuEventRecordWithFlags(CUevent e, CUstream s, unsigned int flags)
{
	return record(e, s, flags);
}

static CUresult CUDAAPI cpu_cuEventQuery(CUevent handle)
{
	CUevent e;

	ENTER();
	e = object_find(handle, OBJECT_EVENT);
	if (!e)
		return CUDA_ERROR_INVALID_HANDLE;
	if (capture_has(e))
		return CUDA_ERROR_CAPTURED_EVENT;
	return !e->op || e->op->done ? CUDA_SUCCESS : CUDA_ERROR_NOT_READY;
}

static CUresult CUDAAPI cpu_cuEventSynchronize(CUevent handle)
{
	struct op *op;
	CUevent e;

	ENTER();
	e = object_find(handle, OBJECT_EVENT);
	if (!e)
		return CUDA_ERROR_INVALID_HANDLE;
	if (capture_has(e))
		return CUDA_ERROR_CAPTURED_EVENT;
	if (!e->op)
		return CUDA_SUCCESS;
	op = op_ref(e->op); /* the event may be recorded anew meanwhile */
	enter_error = op_wait(op);
	op_unref(op);
	return enter_error;
}

static CUresult CUDAAPI cpu_cuEventElapsedTime_v2(float *ms, CUevent start, CUevent end)
{
	CUevent a, b;

	ENTER();
	a = object_find(start, OBJECT_EVENT);
	b = object_find(end, OBJECT_EVENT);
	if (!ms)
		return CUDA_ERROR_INVALID_VALUE;
	if (!a || !b || a->ctx != b->ctx || !a->op || !b->op ||
	    ((a->flags | b->flags) & CU_EVENT_DISABLE_TIMING))
		return CUDA_ERROR_INVALID_HANDLE;
	if (!a->op->done || !b->op->done)
		return CUDA_ERROR_NOT_READY;
	*ms = (float)((double)(int64_t)(b->op->end - a->op->end) / 1e6);
	return CUDA_SUCCESS;
}

CPU_SYMBOLS(cpu_event_symbols, CPU_FN(cuEventCreate), CPU_FN(cuEventDestroy_v2),
	    CPU_FN(cuEventRecord), CPU_FN(cuEventRecordWithFlags), CPU_FN(cuEventQuery),
	    CPU_FN(cuEventSynchronize), CPU_FN(cuEventElapsedTime_v2),
	    {"cuEventElapsedTime", (cpu_fn)cpu_cuEventElapsedTime_v2, 1});
