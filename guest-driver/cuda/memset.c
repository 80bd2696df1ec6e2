// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Filling memory.  The synchronous forms return before the device is done,
 * as the driver's do; those with a pitch are for the host to check.
 */
#include "context.h"
#include "cuda_rpc.h"

#define SYNC_FORM(form, call)                                   \
	{                                                       \
		CUstream s;                                     \
		CUresult r = shim_enter_context();              \
                                                                \
		if (r == CUDA_SUCCESS)                          \
			r = shim_default_stream(&s);            \
		return r == CUDA_SUCCESS ? rpc_##form call : r; \
	}

CUresult cuMemsetD8_v2(CUdeviceptr dstDevice, unsigned char uc, size_t N)
	SYNC_FORM(cuMemsetD8Async, (dstDevice, uc, N, s))

		CUresult cuMemsetD16_v2(CUdeviceptr dstDevice, unsigned short us, size_t N)
			SYNC_FORM(cuMemsetD16Async, (dstDevice, us, N, s))

				CUresult
	cuMemsetD32_v2(CUdeviceptr dstDevice, unsigned int ui, size_t N)
		SYNC_FORM(cuMemsetD32Async, (dstDevice, ui, N, s))

			CUresult
	cuMemsetD2D8_v2(CUdeviceptr dstDevice, size_t dstPitch, unsigned char uc, size_t Width,
			size_t Height)
		SYNC_FORM(cuMemsetD2D8Async, (dstDevice, dstPitch, uc, Width, Height, s))

			CUresult
	cuMemsetD2D16_v2(CUdeviceptr dstDevice, size_t dstPitch, unsigned short us, size_t Width,
			 size_t Height)
		SYNC_FORM(cuMemsetD2D16Async, (dstDevice, dstPitch, us, Width, Height, s))

			CUresult
	cuMemsetD2D32_v2(CUdeviceptr dstDevice, size_t dstPitch, unsigned int ui, size_t Width,
			 size_t Height)
		SYNC_FORM(cuMemsetD2D32Async, (dstDevice, dstPitch, ui, Width, Height, s))
