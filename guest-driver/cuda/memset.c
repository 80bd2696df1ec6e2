// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Filling memory.  Nothing waits: what was filled is not the program's to see
 * before a call that waits anyway.  What is certainly wrong is found here,
 * since these calls have no answer.
 */
#include <stdbool.h>
#include <stdint.h>

#include "capture.h"
#include "context.h"
#include "cuda_rpc.h"
#include "graph_memory.h"
#include "stream.h"

/* What every form checks. */
static CUresult check(CUdeviceptr at, size_t element)
{
	return at % element || range_is_read_only(at) ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
}

/*
 * The error of an address that nobody knows would surface at some later call,
 * but belongs to this one: then wait for the answer.
 */
static CUresult answered(CUresult r, CUdeviceptr at, uint64_t bytes, CUstream s)
{
	if (r == CUDA_SUCCESS && !graph_memory_holds(at, bytes) && !capture_has(s))
		r = stream_wait(s);
	return r;
}

static CUresult enter(CUstream *s, bool own)
{
	CUresult r = shim_enter_context();

	if (r != CUDA_SUCCESS)
		return r;
	return own ? shim_stream(*s, s) : shim_default_stream(s);
}

static CUresult fill8(CUdeviceptr at, unsigned char v, size_t n, CUstream s, bool own)
{
	CUresult r = enter(&s, own);

	if (r == CUDA_SUCCESS)
		r = check(at, 1);
	if (r != CUDA_SUCCESS || !n)
		return r;
	return answered(rpc_cuMemsetD8Async(at, v, n, s), at, n, s);
}

static CUresult fill16(CUdeviceptr at, unsigned short v, size_t n, CUstream s, bool own)
{
	CUresult r = enter(&s, own);

	if (r == CUDA_SUCCESS)
		r = check(at, 2);
	if (r != CUDA_SUCCESS || !n)
		return r;
	return answered(rpc_cuMemsetD16Async(at, v, n, s), at, n * 2, s);
}

static CUresult fill32(CUdeviceptr at, unsigned int v, size_t n, CUstream s, bool own)
{
	CUresult r = enter(&s, own);

	if (r == CUDA_SUCCESS)
		r = check(at, 4);
	if (r != CUDA_SUCCESS || !n)
		return r;
	return answered(rpc_cuMemsetD32Async(at, v, n, s), at, n * 4, s);
}

CUresult cuMemsetD8Async(CUdeviceptr dstDevice, unsigned char uc, size_t N, CUstream hStream)
{
	return fill8(dstDevice, uc, N, hStream, true);
}

CUresult cuMemsetD16Async(CUdeviceptr dstDevice, unsigned short us, size_t N, CUstream hStream)
{
	return fill16(dstDevice, us, N, hStream, true);
}

CUresult cuMemsetD32Async(CUdeviceptr dstDevice, unsigned int ui, size_t N, CUstream hStream)
{
	return fill32(dstDevice, ui, N, hStream, true);
}

CUresult cuMemsetD8_v2(CUdeviceptr dstDevice, unsigned char uc, size_t N)
{
	return fill8(dstDevice, uc, N, NULL, false);
}

CUresult cuMemsetD16_v2(CUdeviceptr dstDevice, unsigned short us, size_t N)
{
	return fill16(dstDevice, us, N, NULL, false);
}

CUresult cuMemsetD32_v2(CUdeviceptr dstDevice, unsigned int ui, size_t N)
{
	return fill32(dstDevice, ui, N, NULL, false);
}

/* ------------------------------------------------------------- with a pitch */

struct rows {
	CUdeviceptr at;
	size_t pitch, element, width, height;
};

static CUresult enter_rows(const struct rows *w, CUstream *s, bool own)
{
	CUresult r = enter(s, own);

	if (r == CUDA_SUCCESS)
		r = check(w->at, w->element);
	if (r == CUDA_SUCCESS && w->height > 1 &&
	    (w->pitch % w->element || w->pitch < w->width * w->element))
		r = CUDA_ERROR_INVALID_VALUE;
	return r;
}

static CUresult answered_rows(CUresult r, const struct rows *w, CUstream s)
{
	return answered(r, w->at, (w->height - 1) * w->pitch + w->width * w->element, s);
}

#define FILL_ROWS(bits, type)                                                                 \
	static CUresult rows##bits(CUdeviceptr at, size_t pitch, type v, size_t width,        \
				   size_t height, CUstream s, bool own)                       \
	{                                                                                     \
		struct rows w = {at, pitch, (bits) / 8, width, height};                       \
		CUresult r = enter_rows(&w, &s, own);                                         \
                                                                                              \
		if (r != CUDA_SUCCESS || !width || !height)                                   \
			return r;                                                             \
		r = rpc_cuMemsetD2D##bits##Async(at, pitch, v, width, height, s);             \
		return answered_rows(r, &w, s);                                               \
	}                                                                                     \
	CUresult cuMemsetD2D##bits##_v2(CUdeviceptr dstDevice, size_t dstPitch, type value,   \
					size_t Width, size_t Height)                          \
	{                                                                                     \
		return rows##bits(dstDevice, dstPitch, value, Width, Height, NULL, false);    \
	}                                                                                     \
	CUresult cuMemsetD2D##bits##Async(CUdeviceptr dstDevice, size_t dstPitch, type value, \
					  size_t Width, size_t Height, CUstream hStream)      \
	{                                                                                     \
		return rows##bits(dstDevice, dstPitch, value, Width, Height, hStream, true);  \
	}

FILL_ROWS(8, unsigned char)
FILL_ROWS(16, unsigned short)
FILL_ROWS(32, unsigned int)
