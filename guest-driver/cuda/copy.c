// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Plain copies.
 *
 * What is small rides in the request or in its answer.  Pinned memory has the
 * same address on the host, which copies from or to it by itself.
 */
#include "copy.h"

#include <stdint.h>

#include "capture.h"
#include "context.h"
#include "cuda_rpc.h"
#include "graph_memory.h"
#include "ranges.h"
#include "stream.h"

/* As a record has to hold an answer and its own headers too. */
#define INLINE_MAX VGPU_CUDA_INLINE_MAX
/* Several records are still better than registering pages or staging. */
#define PIECES_MAX 4

static CUresult write_pieces(CUdeviceptr dst, const uint8_t *src, size_t n, CUstream stream)
{
	CUresult r = CUDA_SUCCESS;

	while (n && r == CUDA_SUCCESS) {
		unsigned int now = n < INLINE_MAX ? (unsigned int)n : INLINE_MAX;

		r = rpc_vgpuWrite(dst, now, stream, src);
		dst += now;
		src += now;
		n -= now;
	}
	return r;
}

static CUresult read_pieces(uint8_t *dst, CUdeviceptr src, size_t n, CUstream stream)
{
	CUresult r = CUDA_SUCCESS;

	while (n && r == CUDA_SUCCESS) {
		unsigned int now = n < INLINE_MAX ? (unsigned int)n : INLINE_MAX;

		r = rpc_vgpuRead(src, now, stream, dst);
		dst += now;
		src += now;
		n -= now;
	}
	return r;
}

CUresult copy_by_records(unsigned int direction, CUdeviceptr device, void *host, size_t n,
			 CUstream stream)
{
	CUresult r;

	if (direction == VGPU_COPY_FROM_DEVICE)
		return read_pieces(host, device, n, stream);
	r = write_pieces(device, host, n, stream);
	return r == CUDA_SUCCESS ? stream_wait(stream) : r;
}

/*
 * A copy that was asked for quietly: the error of an address that nobody knows
 * would surface at some later call, but belongs to this one.
 */
static CUresult answered(CUresult r, CUdeviceptr at, size_t n, CUstream stream)
{
	if (r != CUDA_SUCCESS || graph_memory_holds(at, n) || capture_has(stream))
		return r;
	return stream_wait(stream);
}

CUresult copy_to_device(CUdeviceptr dst, const void *src, size_t n, CUstream stream, bool wait)
{
	CUresult r;

	if (range_is_pinned(src, n)) {
		r = rpc_cuMemcpyHtoDAsync_v2(dst, src, n, stream);
		return r == CUDA_SUCCESS && wait ? stream_wait(stream)
						 : answered(r, dst, n, stream);
	}
	if (capture_has(stream))
		return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
	if (n <= PIECES_MAX * INLINE_MAX)
		return answered(write_pieces(dst, src, n, stream), dst, n, stream);
	r = bulk_copy(VGPU_COPY_TO_DEVICE, dst, (void *)(uintptr_t)src, n, stream);
	return r == CUDA_SUCCESS && wait ? stream_wait(stream) : r;
}

CUresult copy_from_device(void *dst, CUdeviceptr src, size_t n, CUstream stream, bool wait)
{
	CUresult r;

	if (range_is_pinned(dst, n)) {
		if (range_is_read_only((uintptr_t)dst))
			return CUDA_ERROR_INVALID_VALUE;
		r = rpc_cuMemcpyDtoHAsync_v2(dst, src, n, stream);
		return r == CUDA_SUCCESS && wait ? stream_wait(stream)
						 : answered(r, src, n, stream);
	}
	if (capture_has(stream))
		return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
	if (n <= INLINE_MAX)
		return read_pieces(dst, src, n, stream);
	return bulk_copy(VGPU_COPY_FROM_DEVICE, src, dst, n, stream);
}

/* ------------------------------------------------------- entry points */

/* What each begins with; *stream is replaced by what goes to the host. */
static CUresult enter(CUstream *stream)
{
	CUresult r = shim_enter_context();

	return r == CUDA_SUCCESS ? shim_stream(*stream, stream) : r;
}

static CUresult enter_sync(CUstream *stream)
{
	CUresult r = shim_enter_context();

	return r == CUDA_SUCCESS ? shim_default_stream(stream) : r;
}

CUresult cuMemcpyHtoDAsync_v2(CUdeviceptr dstDevice, const void *srcHost, size_t ByteCount,
			      CUstream hStream)
{
	CUresult r = enter(&hStream);

	if (r != CUDA_SUCCESS || !ByteCount)
		return r;
	if (!srcHost || !dstDevice)
		return CUDA_ERROR_INVALID_VALUE;
	return copy_to_device(dstDevice, srcHost, ByteCount, hStream, false);
}

CUresult cuMemcpyDtoHAsync_v2(void *dstHost, CUdeviceptr srcDevice, size_t ByteCount,
			      CUstream hStream)
{
	CUresult r = enter(&hStream);

	if (r != CUDA_SUCCESS || !ByteCount)
		return r;
	if (!dstHost || !srcDevice)
		return CUDA_ERROR_INVALID_VALUE;
	return copy_from_device(dstHost, srcDevice, ByteCount, hStream, false);
}

CUresult cuMemcpyDtoDAsync_v2(CUdeviceptr dstDevice, CUdeviceptr srcDevice, size_t ByteCount,
			      CUstream hStream)
{
	CUresult r = enter(&hStream);

	if (r != CUDA_SUCCESS || !ByteCount)
		return r;
	if (!dstDevice || !srcDevice)
		return CUDA_ERROR_INVALID_VALUE;
	r = rpc_cuMemcpyDtoDAsync_v2(dstDevice, srcDevice, ByteCount, hStream);
	r = answered(r, dstDevice, ByteCount, hStream);
	return answered(r, srcDevice, ByteCount, hStream);
}

CUresult cuMemcpyHtoD_v2(CUdeviceptr dstDevice, const void *srcHost, size_t ByteCount)
{
	CUstream s;
	CUresult r = enter_sync(&s);

	if (r != CUDA_SUCCESS || !ByteCount)
		return r;
	if (!srcHost || !dstDevice)
		return CUDA_ERROR_INVALID_VALUE;
	return copy_to_device(dstDevice, srcHost, ByteCount, s, true);
}

CUresult cuMemcpyDtoH_v2(void *dstHost, CUdeviceptr srcDevice, size_t ByteCount)
{
	CUstream s;
	CUresult r = enter_sync(&s);

	if (r != CUDA_SUCCESS || !ByteCount)
		return r;
	if (!dstHost || !srcDevice)
		return CUDA_ERROR_INVALID_VALUE;
	return copy_from_device(dstHost, srcDevice, ByteCount, s, true);
}

/* Does not wait for the copy, as between two places of a device nobody can tell. */
CUresult cuMemcpyDtoD_v2(CUdeviceptr dstDevice, CUdeviceptr srcDevice, size_t ByteCount)
{
	CUstream s;
	CUresult r = enter_sync(&s);

	if (r != CUDA_SUCCESS || !ByteCount)
		return r;
	if (!dstDevice || !srcDevice)
		return CUDA_ERROR_INVALID_VALUE;
	r = rpc_cuMemcpyDtoDAsync_v2(dstDevice, srcDevice, ByteCount, s);
	r = answered(r, dstDevice, ByteCount, s);
	return answered(r, srcDevice, ByteCount, s);
}

/* --------------------------------- direction by what the addresses are */

static bool is_device(uint64_t addr)
{
	struct range r;

	return range_find(addr, &r) && r.kind != RANGE_HOST && r.kind != RANGE_REGISTERED;
}

static CUresult copy_any(CUdeviceptr dst, CUdeviceptr src, size_t n, CUstream s, bool wait)
{
	bool to = is_device(dst), from = is_device(src);
	CUresult r;

	if (to && from)
		return rpc_cuMemcpyDtoDAsync_v2(dst, src, n, s);
	if (to)
		return copy_to_device(dst, (const void *)(uintptr_t)src, n, s, wait);
	if (from)
		return copy_from_device((void *)(uintptr_t)dst, src, n, s, wait);
	if (range_is_pinned((void *)(uintptr_t)dst, n) &&
	    range_is_pinned((void *)(uintptr_t)src, n)) {
		if (range_is_read_only(dst))
			return CUDA_ERROR_INVALID_VALUE;
		r = rpc_cuMemcpyAsync(dst, src, n, s);
		return r == CUDA_SUCCESS && wait ? stream_wait(s) : r;
	}
	/* Host to host: what the stream has before it comes first. */
	r = stream_wait(s);
	if (r == CUDA_SUCCESS)
		__builtin_memmove((void *)(uintptr_t)dst, (const void *)(uintptr_t)src, n);
	return r;
}

CUresult cuMemcpyAsync(CUdeviceptr dst, CUdeviceptr src, size_t ByteCount, CUstream hStream)
{
	CUresult r = enter(&hStream);

	if (r != CUDA_SUCCESS || !ByteCount)
		return r;
	if (!dst || !src)
		return CUDA_ERROR_INVALID_VALUE;
	return copy_any(dst, src, ByteCount, hStream, false);
}

CUresult cuMemcpy(CUdeviceptr dst, CUdeviceptr src, size_t ByteCount)
{
	CUstream s;
	CUresult r = enter_sync(&s);

	if (r != CUDA_SUCCESS || !ByteCount)
		return r;
	if (!dst || !src)
		return CUDA_ERROR_INVALID_VALUE;
	return copy_any(dst, src, ByteCount, s, true);
}

/* There is one device, so that peers are contexts of it. */
CUresult cuMemcpyPeer(CUdeviceptr dstDevice, CUcontext dstContext, CUdeviceptr srcDevice,
		      CUcontext srcContext, size_t ByteCount)
{
	if (!context_find(dstContext) || !context_find(srcContext))
		return CUDA_ERROR_INVALID_CONTEXT;
	return cuMemcpyDtoD_v2(dstDevice, srcDevice, ByteCount);
}

CUresult cuMemcpyPeerAsync(CUdeviceptr dstDevice, CUcontext dstContext, CUdeviceptr srcDevice,
			   CUcontext srcContext, size_t ByteCount, CUstream hStream)
{
	if (!context_find(dstContext) || !context_find(srcContext))
		return CUDA_ERROR_INVALID_CONTEXT;
	return cuMemcpyDtoDAsync_v2(dstDevice, srcDevice, ByteCount, hStream);
}
