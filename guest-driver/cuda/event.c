// SPDX-License-Identifier: GPL-2.0-or-later
/* Events: what the generated wrappers do not do by themselves. */
#include "context.h"
#include "cuda_rpc.h"
#include "handles.h"

CUresult cuEventElapsedTime_v2(float *pMilliseconds, CUevent hStart, CUevent hEnd)
{
	CUresult r = shim_enter_context();

	if (r != CUDA_SUCCESS)
		return r;
	if (!pMilliseconds)
		return CUDA_ERROR_INVALID_VALUE;
	if (!handle_valid(HANDLE_OF(hStart), VGPU_CUDA_EVENT) ||
	    !handle_valid(HANDLE_OF(hEnd), VGPU_CUDA_EVENT))
		return CUDA_ERROR_INVALID_HANDLE;
	return rpc_cuEventElapsedTime_v2(pMilliseconds, hStart, hEnd);
}
