// SPDX-License-Identifier: GPL-2.0-or-later
/* Events: what the generated wrappers do not do by themselves. */
#include "capture.h"
#include "context.h"
#include "cuda_rpc.h"
#include "handles.h"

/* Events of other processes are refused, so that the flag for those is an error too. */
CUresult cuEventCreate(CUevent *phEvent, unsigned int Flags)
{
	CUevent made;
	CUresult r = shim_enter_context();

	if (r != CUDA_SUCCESS)
		return r;
	if (!phEvent || (Flags & ~(unsigned int)(CU_EVENT_BLOCKING_SYNC | CU_EVENT_DISABLE_TIMING |
						 CU_EVENT_INTERPROCESS)))
		return CUDA_ERROR_INVALID_VALUE;
	if (Flags & CU_EVENT_INTERPROCESS)
		return CUDA_ERROR_NOT_SUPPORTED;
	made = HANDLE_AS(CUevent, handle_new(VGPU_CUDA_EVENT, NULL));
	if (!made)
		return CUDA_ERROR_OUT_OF_MEMORY;
	r = rpc_cuEventCreate(&made, Flags);
	if (r == CUDA_SUCCESS)
		*phEvent = made;
	else
		handle_drop(HANDLE_OF(made));
	return r;
}

/* What asks about an event, or waits for it, would break a capture in some modes. */
static CUresult enter(CUevent event)
{
	CUresult r = shim_enter_object(HANDLE_OF(event));

	if (r != CUDA_SUCCESS)
		return r;
	return handle_valid(HANDLE_OF(event), VGPU_CUDA_EVENT) ? capture_allows()
							       : CUDA_ERROR_INVALID_HANDLE;
}

CUresult cuEventQuery(CUevent hEvent)
{
	CUresult r = enter(hEvent);

	return r == CUDA_SUCCESS ? rpc_cuEventQuery(hEvent) : r;
}

CUresult cuEventSynchronize(CUevent hEvent)
{
	CUresult r = enter(hEvent);

	return r == CUDA_SUCCESS ? rpc_cuEventSynchronize(hEvent) : r;
}

CUresult cuEventElapsedTime_v2(float *pMilliseconds, CUevent hStart, CUevent hEnd)
{
	CUresult r = shim_enter_object(HANDLE_OF(hStart));

	if (r != CUDA_SUCCESS)
		return r;
	if (!pMilliseconds)
		return CUDA_ERROR_INVALID_VALUE;
	if (!handle_valid(HANDLE_OF(hStart), VGPU_CUDA_EVENT) ||
	    !handle_valid(HANDLE_OF(hEnd), VGPU_CUDA_EVENT))
		return CUDA_ERROR_INVALID_HANDLE;
	return rpc_cuEventElapsedTime_v2(pMilliseconds, hStart, hEnd);
}
