/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Streams and events, as far as the driver's own functions are not enough. */
#include "contexts.h"
#include "cuda_dispatch.h"
#include "session.h"
#include "waits.h"

CUresult host_cuStreamCreate(struct cuda_session *s, CUstream *stream, unsigned int flags)
{
	CUresult r = s->drv->cuStreamCreate ? flow_new_stream(s) : CUDA_ERROR_NOT_SUPPORTED;

	return r == CUDA_SUCCESS ? s->drv->cuStreamCreate(stream, flags) : r;
}

CUresult host_cuStreamCreateWithPriority(struct cuda_session *s, CUstream *stream,
					 unsigned int flags, int priority)
{
	CUresult r =
		s->drv->cuStreamCreateWithPriority ? flow_new_stream(s) : CUDA_ERROR_NOT_SUPPORTED;

	return r == CUDA_SUCCESS ? s->drv->cuStreamCreateWithPriority(stream, flags, priority) : r;
}

CUresult host_cuStreamDestroy_v2(struct cuda_session *s, CUstream stream)
{
	uint64_t own = handles_context(s, REQUEST(s, cuStreamDestroy_v2)->hStream);

	if (session_context(s, own) == CUDA_SUCCESS) { /* which is to wait for what is left */
		contexts_leave(s, stream);
		marks_stream_goes(s, stream);
	}
	return s->drv->cuStreamDestroy_v2 ? s->drv->cuStreamDestroy_v2(stream)
					  : CUDA_ERROR_NOT_SUPPORTED;
}

CUresult host_cuStreamWaitEvent(struct cuda_session *s, CUstream stream, CUevent event,
				unsigned int flags)
{
	if (!s->drv->cuStreamWaitEvent)
		return CUDA_ERROR_NOT_SUPPORTED;
	if (s->captures) /* it may become part of one now */
		contexts_leave(s, stream);
	marks_forget(s); /* what it waits for is work, but itself is none */
	return s->drv->cuStreamWaitEvent(stream, event, flags);
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

/* ------------------------------------------------------------- attributes */

CUresult host_cuStreamGetAttribute(struct cuda_session *s, CUstream stream, CUstreamAttrID attr,
				   CUstreamAttrValue *value)
{
	return s->drv->cuStreamGetAttribute ? s->drv->cuStreamGetAttribute(stream, attr, value)
					    : CUDA_ERROR_NOT_SUPPORTED;
}

CUresult host_cuStreamSetAttribute(struct cuda_session *s, CUstream stream, CUstreamAttrID attr,
				   const CUstreamAttrValue *value)
{
	CUstreamAttrValue v = *value;

	if (!s->drv->cuStreamSetAttribute)
		return CUDA_ERROR_NOT_SUPPORTED;
	switch ((unsigned int)attr) {
	case CU_LAUNCH_ATTRIBUTE_ACCESS_POLICY_WINDOW:
		if (!ranges_check(s, (uintptr_t)v.accessPolicyWindow.base_ptr,
				  v.accessPolicyWindow.num_bytes))
			return CUDA_ERROR_INVALID_VALUE;
		break;
	case CU_LAUNCH_ATTRIBUTE_SYNCHRONIZATION_POLICY:
	case CU_LAUNCH_ATTRIBUTE_PRIORITY:
	case CU_LAUNCH_ATTRIBUTE_MEM_SYNC_DOMAIN_MAP:
	case CU_LAUNCH_ATTRIBUTE_MEM_SYNC_DOMAIN:
		break;
	default:
		return CUDA_ERROR_NOT_SUPPORTED;
	}
	return s->drv->cuStreamSetAttribute(stream, attr, &v);
}

/* -------------------------------------------------------- batched mem ops */

#define MEM_OPS_MAX 256u

static bool mem_op_is_sane(struct cuda_session *s, const CUstreamBatchMemOpParams *p)
{
	switch (p->operation) {
	case CU_STREAM_MEM_OP_WAIT_VALUE_32:
	case CU_STREAM_MEM_OP_WRITE_VALUE_32:
		return ranges_check(s, p->waitValue.address, 4); /* of one layout, both */
	case CU_STREAM_MEM_OP_WAIT_VALUE_64:
	case CU_STREAM_MEM_OP_WRITE_VALUE_64:
		return ranges_check(s, p->waitValue.address, 8);
	case CU_STREAM_MEM_OP_BARRIER:
	case CU_STREAM_MEM_OP_FLUSH_REMOTE_WRITES:
		return true;
	default:
		return false;
	}
}

CUresult host_cuStreamBatchMemOp_v2(struct cuda_session *s, CUstream stream, unsigned int count,
				    CUstreamBatchMemOpParams *params, unsigned int flags)
{
	CUresult r;

	if (!s->drv->cuStreamBatchMemOp_v2)
		return CUDA_ERROR_NOT_SUPPORTED;
	if (count > MEM_OPS_MAX)
		return CUDA_ERROR_INVALID_VALUE;
	for (unsigned int i = 0; i < count; i++) {
		if (!mem_op_is_sane(s, &params[i]))
			return CUDA_ERROR_INVALID_VALUE;
	}
	r = flow_room_for(s, stream, count);
	if (r != CUDA_SUCCESS)
		return r;
	return s->drv->cuStreamBatchMemOp_v2(stream, count, params, flags);
}
