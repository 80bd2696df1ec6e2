// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Capturing streams.  Frameworks ask thousands of times whether a stream is
 * captured: while nothing is, the answer is known here.
 */
#include "capture.h"

#include "context.h"
#include "cuda_rpc.h"

static unsigned int active; /* captures begun in this process and not ended */

bool capture_has(CUstream stream)
{
	CUstreamCaptureStatus status = CU_STREAM_CAPTURE_STATUS_NONE;

	if (!__atomic_load_n(&active, __ATOMIC_ACQUIRE))
		return false;
	return rpc_cuStreamIsCapturing(stream, &status) == CUDA_SUCCESS &&
	       status != CU_STREAM_CAPTURE_STATUS_NONE;
}

CUresult cuStreamIsCapturing(CUstream hStream, CUstreamCaptureStatus *captureStatus)
{
	CUresult r = shim_enter_context();

	if (r != CUDA_SUCCESS)
		return r;
	if (!captureStatus)
		return CUDA_ERROR_INVALID_VALUE;
	r = shim_stream(hStream, &hStream);
	if (r != CUDA_SUCCESS)
		return r;
	*captureStatus = CU_STREAM_CAPTURE_STATUS_NONE;
	if (!__atomic_load_n(&active, __ATOMIC_ACQUIRE))
		return CUDA_SUCCESS;
	return rpc_cuStreamIsCapturing(hStream, captureStatus);
}
