/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copies of memory that the GPU reaches by address: the dispatch has checked both sides. */
#include "cuda_dispatch.h"
#include "session.h"
#include "worker.h"

/* Payload is what crosses between the host's memory and the device's. */
static bool is_host(struct cuda_session *s, uint64_t at)
{
	const struct cuda_range *r = ranges_find(&s->ranges, at);

	return r && r->kind == RANGE_HOST;
}

static CUresult crossed(struct cuda_session *s, uint64_t dst, uint64_t src, size_t bytes,
			CUresult r)
{
	const bool from = is_host(s, src), to = is_host(s, dst);

	if (r == CUDA_SUCCESS && from != to)
		worker_count_bytes(s->worker, from ? bytes : 0, to ? bytes : 0, 0);
	return r;
}

CUresult host_cuMemcpyHtoDAsync_v2(struct cuda_session *s, CUdeviceptr dst, const void *src,
				   size_t bytes, CUstream stream)
{
	if (!s->drv->cuMemcpyHtoDAsync_v2)
		return CUDA_ERROR_NOT_SUPPORTED;
	return crossed(s, dst, (uintptr_t)src, bytes,
		       s->drv->cuMemcpyHtoDAsync_v2(dst, src, bytes, stream));
}

CUresult host_cuMemcpyDtoHAsync_v2(struct cuda_session *s, void *dst, CUdeviceptr src, size_t bytes,
				   CUstream stream)
{
	if (!s->drv->cuMemcpyDtoHAsync_v2)
		return CUDA_ERROR_NOT_SUPPORTED;
	return crossed(s, (uintptr_t)dst, src, bytes,
		       s->drv->cuMemcpyDtoHAsync_v2(dst, src, bytes, stream));
}

CUresult host_cuMemcpyAsync(struct cuda_session *s, CUdeviceptr dst, CUdeviceptr src, size_t bytes,
			    CUstream stream)
{
	if (!s->drv->cuMemcpyAsync)
		return CUDA_ERROR_NOT_SUPPORTED;
	return crossed(s, dst, src, bytes, s->drv->cuMemcpyAsync(dst, src, bytes, stream));
}
