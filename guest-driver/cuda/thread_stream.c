// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Per-thread default streams: ordinary streams of the host's, one for each
 * thread and context that uses one, destroyed with the thread.
 */
#include <pthread.h>
#include <stdlib.h>

#include "capture.h"
#include "context_priv.h"
#include "cuda_rpc.h"
#include "handles.h"
#include "stream.h"

struct own_stream {
	struct context *context;
	uint64_t host; /* of the context when the stream was made */
	CUstream stream;
	struct own_stream *next;
};

static pthread_key_t key;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void end_of_thread(void *list)
{
	struct context *before = context_top();
	struct own_stream *o = list, *next;

	for (; o; o = next) {
		next = o->next;
		capture_stream_ends(o->stream);
		if (shim_enter() == CUDA_SUCCESS && o->context->alive &&
		    o->context->host == o->host) {
			/* The thread's stack of contexts may be gone already. */
			context_lend(o->context);
			rpc_cuStreamDestroy_v2(o->stream);
		}
		handle_drop(HANDLE_OF(o->stream));
		free(o);
	}
	context_lend(before);
}

static void make_key(void)
{
	pthread_key_create(&key, end_of_thread);
}

static CUresult own_stream(CUstream *out)
{
	struct context *c = context_top();
	struct own_stream *list, *o;
	CUresult r;

	if (!c)
		return CUDA_ERROR_INVALID_CONTEXT;
	pthread_once(&once, make_key);
	list = pthread_getspecific(key);
	for (o = list; o; o = o->next) {
		if (o->context == c && o->host == c->host) {
			*out = o->stream;
			return CUDA_SUCCESS;
		}
	}
	o = calloc(1, sizeof(*o));
	if (!o)
		return CUDA_ERROR_OUT_OF_MEMORY;
	r = stream_make(CU_STREAM_DEFAULT, 0, &o->stream);
	if (r != CUDA_SUCCESS) {
		free(o);
		return r;
	}
	o->context = c;
	o->host = c->host;
	o->next = list;
	pthread_setspecific(key, o);
	*out = o->stream;
	return CUDA_SUCCESS;
}

CUresult shim_stream(CUstream stream, CUstream *out)
{
	if (stream == CU_STREAM_PER_THREAD)
		return own_stream(out);
	if (stream && stream != CU_STREAM_LEGACY &&
	    !handle_valid(HANDLE_OF(stream), VGPU_CUDA_STREAM))
		return CUDA_ERROR_INVALID_HANDLE;
	*out = stream;
	return CUDA_SUCCESS;
}

CUresult shim_stream_ptsz(CUstream stream, CUstream *out)
{
	return shim_stream(stream ? stream : CU_STREAM_PER_THREAD, out);
}

CUresult shim_default_stream(CUstream *out)
{
	return shim_stream(shim_default_per_thread ? CU_STREAM_PER_THREAD : NULL, out);
}
