/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Streams and events, as far as the driver's own functions are not enough. */
#include "cuda_dispatch.h"
#include "session.h"
#include "waits.h"

CUresult host_cuStreamCreate(struct cuda_session *s, CUstream *stream, unsigned int flags)
{
	return s->drv->cuStreamCreate ? s->drv->cuStreamCreate(stream, flags)
				      : CUDA_ERROR_NOT_SUPPORTED;
}

CUresult host_cuStreamCreateWithPriority(struct cuda_session *s, CUstream *stream,
					 unsigned int flags, int priority)
{
	return s->drv->cuStreamCreateWithPriority
		       ? s->drv->cuStreamCreateWithPriority(stream, flags, priority)
		       : CUDA_ERROR_NOT_SUPPORTED;
}

CUresult host_cuStreamDestroy_v2(struct cuda_session *s, CUstream stream)
{
	return s->drv->cuStreamDestroy_v2 ? s->drv->cuStreamDestroy_v2(stream)
					  : CUDA_ERROR_NOT_SUPPORTED;
}

CUresult host_cuStreamSynchronize(struct cuda_session *s, CUstream stream)
{
	struct wait *w = waits_new(s);

	return w ? waits_stream(s, w, stream) : CUDA_ERROR_OUT_OF_MEMORY;
}

CUresult host_cuEventSynchronize(struct cuda_session *s, CUevent event)
{
	struct wait *w = waits_new(s);

	return w ? waits_event(s, w, event) : CUDA_ERROR_OUT_OF_MEMORY;
}
