// SPDX-License-Identifier: GPL-2.0-or-later
/* Streams: creating, destroying, waiting, and what is known of them here. */
#include "stream.h"

#include <stdlib.h>

#include "capture.h"
#include "client.h"
#include "cuda_rpc.h"
#include "device.h"
#include "handles.h"

#define KNOWN_FLAGS CU_STREAM_NON_BLOCKING

static unsigned long long ids = 16; /* the smaller ones are for default streams */

static struct stream *find(CUstream s)
{
	return handle_data(HANDLE_OF(s), VGPU_CUDA_STREAM);
}

static bool is_default(CUstream s)
{
	return !s || s == CU_STREAM_LEGACY;
}

struct context *shim_stream_context(CUstream stream)
{
	struct stream *s = is_default(stream) ? NULL : find(stream);

	return s ? s->context : context_top();
}

/* Priorities outside the device's range count as the nearest one in it. */
static int clamp_priority(const struct context *c, int priority)
{
	const struct vgpu_device_info *d = device_info(c->device);

	if (priority > (int)d->priority_least)
		return (int)d->priority_least;
	return priority < (int)d->priority_greatest ? (int)d->priority_greatest : priority;
}

CUresult stream_make(unsigned int flags, int priority, CUstream *out)
{
	struct stream *s = calloc(1, sizeof(*s));
	CUstream made;
	uint64_t h;
	CUresult r;

	if (!s)
		return CUDA_ERROR_OUT_OF_MEMORY;
	s->context = context_top();
	s->flags = flags;
	s->priority = clamp_priority(s->context, priority);
	s->id = __atomic_fetch_add(&ids, 1, __ATOMIC_RELAXED);
	h = handle_new(VGPU_CUDA_STREAM, s);
	if (!h) {
		free(s);
		return CUDA_ERROR_OUT_OF_MEMORY;
	}
	made = HANDLE_AS(CUstream, h);
	r = rpc_cuStreamCreateWithPriority(&made, flags, s->priority);
	if (r != CUDA_SUCCESS) {
		handle_drop(h);
		return r;
	}
	*out = made;
	return CUDA_SUCCESS;
}

CUresult cuStreamCreateWithPriority(CUstream *phStream, unsigned int flags, int priority)
{
	CUresult r = shim_enter_context();

	if (r != CUDA_SUCCESS)
		return r;
	if (!phStream || (flags & ~(unsigned int)KNOWN_FLAGS))
		return CUDA_ERROR_INVALID_VALUE;
	return stream_make(flags, priority, phStream);
}

CUresult cuStreamCreate(CUstream *phStream, unsigned int Flags)
{
	return cuStreamCreateWithPriority(phStream, Flags, 0);
}

CUresult cuStreamDestroy_v2(CUstream hStream)
{
	CUresult r = shim_enter();

	if (r != CUDA_SUCCESS)
		return r;
	if (is_default(hStream) || hStream == CU_STREAM_PER_THREAD ||
	    !handle_valid(HANDLE_OF(hStream), VGPU_CUDA_STREAM))
		return CUDA_ERROR_INVALID_HANDLE;
	r = rpc_cuStreamDestroy_v2(hStream);
	capture_stream_ends(hStream);
	handle_drop(HANDLE_OF(hStream));
	return r;
}

/* ----------------------------------------------------------------- waiting */

void stream_is_idle(CUstream stream, uint64_t sequence)
{
	struct stream *s = is_default(stream) ? NULL : find(stream);

	if (s)
		__atomic_store_n(&s->synced, sequence + 1, __ATOMIC_RELAXED);
}

/* Was the stream seen idle, and has this process asked for nothing since? */
static bool still_idle(CUstream stream)
{
	struct stream *s = is_default(stream) ? NULL : find(stream);
	struct context *c = s ? s->context : context_top();
	uint64_t now = client_sequence() + 1;

	if (s && __atomic_load_n(&s->synced, __ATOMIC_RELAXED) == now)
		return true;
	return __atomic_load_n(&c->synced, __ATOMIC_RELAXED) == now;
}

CUresult stream_wait(CUstream stream)
{
	uint64_t before;
	CUresult r;

	if (still_idle(stream))
		return CUDA_SUCCESS;
	before = client_sequence();
	r = rpc_cuStreamSynchronize(stream);
	/* The wait itself is one call; more mean that another thread asked for something. */
	if (r == CUDA_SUCCESS)
		stream_is_idle(stream, before + 1);
	return r;
}

CUresult cuStreamSynchronize(CUstream hStream)
{
	CUresult r = shim_enter_object(HANDLE_OF(hStream));

	if (r == CUDA_SUCCESS)
		r = shim_stream(hStream, &hStream);
	if (r == CUDA_SUCCESS)
		r = capture_allows();
	return r == CUDA_SUCCESS ? stream_wait(hStream) : r;
}

CUresult cuStreamQuery(CUstream hStream)
{
	uint64_t before;
	CUresult r = shim_enter_object(HANDLE_OF(hStream));

	if (r == CUDA_SUCCESS)
		r = shim_stream(hStream, &hStream);
	if (r == CUDA_SUCCESS)
		r = capture_allows();
	if (r != CUDA_SUCCESS || still_idle(hStream))
		return r;
	before = client_sequence();
	r = rpc_cuStreamQuery(hStream);
	if (r == CUDA_SUCCESS)
		stream_is_idle(hStream, before + 1);
	return r;
}

/* -------------------------------------------------- what is known locally */

/* The stream, in *s NULL for the legacy default one, if it can be asked. */
static CUresult ask(CUstream stream, const void *out, struct stream **s)
{
	CUresult r = shim_enter_object(HANDLE_OF(stream));

	if (r == CUDA_SUCCESS && !out)
		r = CUDA_ERROR_INVALID_VALUE;
	if (r == CUDA_SUCCESS)
		r = shim_stream(stream, &stream);
	if (r == CUDA_SUCCESS)
		*s = is_default(stream) ? NULL : find(stream);
	return r;
}

CUresult cuStreamGetPriority(CUstream hStream, int *priority)
{
	struct stream *s;
	CUresult r = ask(hStream, priority, &s);

	if (r == CUDA_SUCCESS)
		*priority = s ? s->priority : 0;
	return r;
}

CUresult cuStreamGetFlags(CUstream hStream, unsigned int *flags)
{
	struct stream *s;
	CUresult r = ask(hStream, flags, &s);

	if (r == CUDA_SUCCESS)
		*flags = s ? s->flags : CU_STREAM_DEFAULT;
	return r;
}

CUresult cuStreamGetId(CUstream hStream, unsigned long long *streamId)
{
	struct stream *s;
	CUresult r = ask(hStream, streamId, &s);

	if (r == CUDA_SUCCESS)
		*streamId = s ? s->id : 1;
	return r;
}

CUresult cuStreamGetDevice(CUstream hStream, CUdevice *device)
{
	struct stream *s;
	CUresult r = ask(hStream, device, &s);

	if (r == CUDA_SUCCESS)
		*device = s ? s->context->device : context_top()->device;
	return r;
}

CUresult cuStreamGetCtx(CUstream hStream, CUcontext *pctx)
{
	struct stream *s;
	CUresult r = ask(hStream, pctx, &s);

	if (r == CUDA_SUCCESS)
		*pctx = HANDLE_AS(CUcontext, s ? s->context->self : context_top()->self);
	return r;
}

CUresult cuStreamGetCtx_v2(CUstream hStream, CUcontext *pCtx, CUgreenCtx *pGreenCtx)
{
	CUresult r = cuStreamGetCtx(hStream, pCtx);

	if (r == CUDA_SUCCESS && pGreenCtx)
		*pGreenCtx = NULL;
	return r;
}
