// SPDX-License-Identifier: GPL-2.0-or-later
/* The entry points for copies in two and three dimensions and of arrays. */
#include "box.h"
#include "context.h"
#include "cuda_rpc.h"

static CUresult copy_sync(const CUDA_MEMCPY3D *copy)
{
	CUstream s;
	CUresult r = shim_enter_context();

	if (r == CUDA_SUCCESS && !copy)
		r = CUDA_ERROR_INVALID_VALUE;
	if (r == CUDA_SUCCESS)
		r = shim_default_stream(&s);
	return r == CUDA_SUCCESS ? box_copy(copy, s, true) : r;
}

static CUresult copy_async(const CUDA_MEMCPY3D *copy, CUstream s)
{
	CUresult r = shim_enter_context();

	if (r == CUDA_SUCCESS && !copy)
		r = CUDA_ERROR_INVALID_VALUE;
	if (r == CUDA_SUCCESS)
		r = shim_stream(s, &s);
	return r == CUDA_SUCCESS ? box_copy(copy, s, false) : r;
}

CUresult cuMemcpy3D_v2(const CUDA_MEMCPY3D *pCopy)
{
	return copy_sync(pCopy);
}

CUresult cuMemcpy3DAsync_v2(const CUDA_MEMCPY3D *pCopy, CUstream hStream)
{
	return copy_async(pCopy, hStream);
}

/* ---------------------------------------------------------- two dimensions */

static CUDA_MEMCPY3D *deepen(const CUDA_MEMCPY2D *c, CUDA_MEMCPY3D *room)
{
	if (!c)
		return NULL;
	*room = (CUDA_MEMCPY3D){.srcXInBytes = c->srcXInBytes,
				.srcY = c->srcY,
				.srcMemoryType = c->srcMemoryType,
				.srcHost = c->srcHost,
				.srcDevice = c->srcDevice,
				.srcArray = c->srcArray,
				.srcPitch = c->srcPitch,
				.dstXInBytes = c->dstXInBytes,
				.dstY = c->dstY,
				.dstMemoryType = c->dstMemoryType,
				.dstHost = c->dstHost,
				.dstDevice = c->dstDevice,
				.dstArray = c->dstArray,
				.dstPitch = c->dstPitch,
				.WidthInBytes = c->WidthInBytes,
				.Height = c->Height,
				.Depth = 1};
	return room;
}

CUresult cuMemcpy2D_v2(const CUDA_MEMCPY2D *pCopy)
{
	CUDA_MEMCPY3D c;

	return copy_sync(deepen(pCopy, &c));
}

CUresult cuMemcpy2DUnaligned_v2(const CUDA_MEMCPY2D *pCopy)
{
	return cuMemcpy2D_v2(pCopy);
}

CUresult cuMemcpy2DAsync_v2(const CUDA_MEMCPY2D *pCopy, CUstream hStream)
{
	CUDA_MEMCPY3D c;

	return copy_async(deepen(pCopy, &c), hStream);
}

/* -------------------------------------------- between contexts of a device */

static CUDA_MEMCPY3D *from_peers(const CUDA_MEMCPY3D_PEER *c, CUDA_MEMCPY3D *room)
{
	if (!c)
		return NULL;
	*room = (CUDA_MEMCPY3D){.srcXInBytes = c->srcXInBytes,
				.srcY = c->srcY,
				.srcZ = c->srcZ,
				.srcLOD = c->srcLOD,
				.srcMemoryType = c->srcMemoryType,
				.srcHost = c->srcHost,
				.srcDevice = c->srcDevice,
				.srcArray = c->srcArray,
				.srcPitch = c->srcPitch,
				.srcHeight = c->srcHeight,
				.dstXInBytes = c->dstXInBytes,
				.dstY = c->dstY,
				.dstZ = c->dstZ,
				.dstLOD = c->dstLOD,
				.dstMemoryType = c->dstMemoryType,
				.dstHost = c->dstHost,
				.dstDevice = c->dstDevice,
				.dstArray = c->dstArray,
				.dstPitch = c->dstPitch,
				.dstHeight = c->dstHeight,
				.WidthInBytes = c->WidthInBytes,
				.Height = c->Height,
				.Depth = c->Depth};
	return room;
}

CUresult cuMemcpy3DPeer(const CUDA_MEMCPY3D_PEER *pCopy)
{
	CUDA_MEMCPY3D c;

	return copy_sync(from_peers(pCopy, &c));
}

CUresult cuMemcpy3DPeerAsync(const CUDA_MEMCPY3D_PEER *pCopy, CUstream hStream)
{
	CUDA_MEMCPY3D c;

	return copy_async(from_peers(pCopy, &c), hStream);
}

/* ---------------------------------------------- arrays of one dimension */

struct end {
	CUmemorytype type;
	const void *host;
	CUdeviceptr device;
	CUarray array;
	size_t x;
};

static CUDA_MEMCPY3D between(struct end dst, struct end src, size_t n)
{
	return (CUDA_MEMCPY3D){.srcMemoryType = src.type,
			       .srcHost = src.host,
			       .srcDevice = src.device,
			       .srcArray = src.array,
			       .srcXInBytes = src.x,
			       .dstMemoryType = dst.type,
			       .dstHost = (void *)(uintptr_t)dst.host,
			       .dstDevice = dst.device,
			       .dstArray = dst.array,
			       .dstXInBytes = dst.x,
			       .WidthInBytes = n,
			       .Height = 1,
			       .Depth = 1};
}

#define HOST(p) ((struct end){.type = CU_MEMORYTYPE_HOST, .host = (p)})
#define DEVICE(p) ((struct end){.type = CU_MEMORYTYPE_DEVICE, .device = (p)})
#define ARRAY(a, at) ((struct end){.type = CU_MEMORYTYPE_ARRAY, .array = (a), .x = (at)})

CUresult cuMemcpyDtoA_v2(CUarray dstArray, size_t dstOffset, CUdeviceptr srcDevice,
			 size_t ByteCount)
{
	CUDA_MEMCPY3D c = between(ARRAY(dstArray, dstOffset), DEVICE(srcDevice), ByteCount);

	return copy_sync(&c);
}

CUresult cuMemcpyAtoD_v2(CUdeviceptr dstDevice, CUarray srcArray, size_t srcOffset,
			 size_t ByteCount)
{
	CUDA_MEMCPY3D c = between(DEVICE(dstDevice), ARRAY(srcArray, srcOffset), ByteCount);

	return copy_sync(&c);
}

CUresult cuMemcpyHtoA_v2(CUarray dstArray, size_t dstOffset, const void *srcHost, size_t ByteCount)
{
	CUDA_MEMCPY3D c = between(ARRAY(dstArray, dstOffset), HOST(srcHost), ByteCount);

	return copy_sync(&c);
}

CUresult cuMemcpyAtoH_v2(void *dstHost, CUarray srcArray, size_t srcOffset, size_t ByteCount)
{
	CUDA_MEMCPY3D c = between(HOST(dstHost), ARRAY(srcArray, srcOffset), ByteCount);

	return copy_sync(&c);
}

CUresult cuMemcpyAtoA_v2(CUarray dstArray, size_t dstOffset, CUarray srcArray, size_t srcOffset,
			 size_t ByteCount)
{
	CUDA_MEMCPY3D c =
		between(ARRAY(dstArray, dstOffset), ARRAY(srcArray, srcOffset), ByteCount);

	return copy_sync(&c);
}

CUresult cuMemcpyHtoAAsync_v2(CUarray dstArray, size_t dstOffset, const void *srcHost,
			      size_t ByteCount, CUstream hStream)
{
	CUDA_MEMCPY3D c = between(ARRAY(dstArray, dstOffset), HOST(srcHost), ByteCount);

	return copy_async(&c, hStream);
}

CUresult cuMemcpyAtoHAsync_v2(void *dstHost, CUarray srcArray, size_t srcOffset, size_t ByteCount,
			      CUstream hStream)
{
	CUDA_MEMCPY3D c = between(HOST(dstHost), ARRAY(srcArray, srcOffset), ByteCount);

	return copy_async(&c, hStream);
}

/* ------------------------------------------------------------------ batches */

/* Attributes only say how soon a source is read, and single copies read it at once. */
CUresult cuMemcpyBatchAsync_v2(CUdeviceptr *dsts, CUdeviceptr *srcs, size_t *sizes, size_t count,
			       CUmemcpyAttributes *attrs, size_t *attrsIdxs, size_t numAttrs,
			       CUstream hStream)
{
	CUresult r = shim_enter_context();

	if (r != CUDA_SUCCESS)
		return r;
	if (!dsts || !srcs || !sizes || !count || !attrs || !attrsIdxs || !numAttrs || !hStream ||
	    hStream == CU_STREAM_LEGACY)
		return CUDA_ERROR_INVALID_VALUE;
	for (size_t i = 0; i < count && r == CUDA_SUCCESS; i++)
		r = cuMemcpyAsync(dsts[i], srcs[i], sizes[i], hStream);
	return r;
}
