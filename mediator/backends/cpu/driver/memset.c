/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Filling memory with bytes, 16-bit and 32-bit values, in one row or several.
 */
#include <string.h>

#include "driver.h"

/* Bytes from the first to the last one; false if there is no such number. */
static bool extent(const CUDA_MEMSET_NODE_PARAMS *m, size_t *row, size_t *span)
{
	size_t rest;

	if (__builtin_mul_overflow(m->width, m->elementSize, row) ||
	    __builtin_mul_overflow(m->height - 1, m->pitch, &rest))
		return false;
	return !__builtin_add_overflow(*row, rest, span);
}

static bool is_empty(const CUDA_MEMSET_NODE_PARAMS *m)
{
	return !m->width || !m->height;
}

CUresult memset_check(const CUDA_MEMSET_NODE_PARAMS *m, unsigned int later)
{
	size_t row, span;

	if (m->elementSize != 1 && m->elementSize != 2 && m->elementSize != 4)
		return CUDA_ERROR_INVALID_VALUE;
	if (m->dst % m->elementSize)
		return CUDA_ERROR_INVALID_VALUE;
	if (is_empty(m))
		return CUDA_SUCCESS;
	if (!extent(m, &row, &span))
		return CUDA_ERROR_INVALID_VALUE;
	if (m->height > 1 && (m->pitch < row || m->pitch % m->elementSize))
		return CUDA_ERROR_INVALID_VALUE;
	return span_is_valid(m->dst, span, ACCESS_WRITE | later) ? CUDA_SUCCESS
								 : CUDA_ERROR_INVALID_VALUE;
}

static void fill(void *at, const CUDA_MEMSET_NODE_PARAMS *m)
{
	if (m->elementSize == 1) {
		memset(at, (int)m->value, m->width);
	} else if (m->elementSize == 2) {
		for (size_t i = 0; i < m->width; i++)
			((uint16_t *)at)[i] = (uint16_t)m->value;
	} else {
		for (size_t i = 0; i < m->width; i++)
			((uint32_t *)at)[i] = m->value;
	}
}

CUresult memset_run(const CUDA_MEMSET_NODE_PARAMS *m)
{
	struct pins pins = PINS_INIT;
	size_t row, span;
	CUresult err = CUDA_SUCCESS;

	if (is_empty(m))
		return CUDA_SUCCESS;
	if (!extent(m, &row, &span) || !pins_add(&pins, m->dst, span, ACCESS_WRITE))
		err = CUDA_ERROR_ILLEGAL_ADDRESS;
	else
		for (size_t y = 0; y < m->height; y++)
			fill((void *)(m->dst + y * m->pitch), m);
	pins_drop(&pins);
	return err;
}

CUresult memset_make(const CUDA_MEMSET_NODE_PARAMS *m, unsigned int later, struct work **out)
{
	CUresult err = memset_check(m, later);

	if (err)
		return err;
	*out = work_new(WORK_MEMSET);
	(*out)->set = *m;
	return CUDA_SUCCESS;
}

static CUresult set(CUDA_MEMSET_NODE_PARAMS m, CUstream stream)
{
	struct work *w;
	CUstream s;

	ENTER_CONTEXT(ctx);
	enter_error = stream_find(ctx, stream, &s);
	if (!enter_error)
		enter_error = memset_make(&m, s->capture ? ACCESS_LATER : 0, &w);
	if (enter_error)
		return enter_error;
	return stream_submit_or_capture(s, w);
}

#define PARAMS(pitch_, value_, size_, width_, height_)     \
	((CUDA_MEMSET_NODE_PARAMS){.dst = dst,             \
				   .pitch = (pitch_),      \
				   .value = (value_),      \
				   .elementSize = (size_), \
				   .width = (width_),      \
				   .height = (height_)})

static CUresult CUDAAPI cpu_cuMemsetD8_v2(CUdeviceptr dst, unsigned char v, size_t n)
{
	return set(PARAMS(0, v, 1, n, 1), NULL);
}

static CUresult CUDAAPI cpu_cuMemsetD16_v2(CUdeviceptr dst, unsigned short v, size_t n)
{
	return set(PARAMS(0, v, 2, n, 1), NULL);
}

static CUresult CUDAAPI cpu_cuMemsetD32_v2(CUdeviceptr dst, unsigned int v, size_t n)
{
	return set(PARAMS(0, v, 4, n, 1), NULL);
}

static CUresult CUDAAPI cpu_cuMemsetD2D8_v2(CUdeviceptr dst, size_t pitch, unsigned char v,
					    size_t width, size_t height)
{
	return set(PARAMS(pitch, v, 1, width, height), NULL);
}

static CUresult CUDAAPI cpu_cuMemsetD2D16_v2(CUdeviceptr dst, size_t pitch, unsigned short v,
					     size_t width, size_t height)
{
	return set(PARAMS(pitch, v, 2, width, height), NULL);
}

static CUresult CUDAAPI cpu_cuMemsetD2D32_v2(CUdeviceptr dst, size_t pitch, unsigned int v,
					     size_t width, size_t height)
{
	return set(PARAMS(pitch, v, 4, width, height), NULL);
}

static CUresult CUDAAPI cpu_cuMemsetD8Async(CUdeviceptr dst, unsigned char v, size_t n, CUstream s)
{
	return set(PARAMS(0, v, 1, n, 1), s);
}

static CUresult CUDAAPI cpu_cuMemsetD16Async(CUdeviceptr dst, unsigned short v, size_t n,
					     CUstream s)
{
	return set(PARAMS(0, v, 2, n, 1), s);
}

static CUresult CUDAAPI cpu_cuMemsetD32Async(CUdeviceptr dst, unsigned int v, size_t n, CUstream s)
{
	return set(PARAMS(0, v, 4, n, 1), s);
}

static CUresult CUDAAPI cpu_cuMemsetD2D8Async(CUdeviceptr dst, size_t pitch, unsigned char v,
					      size_t width, size_t height, CUstream s)
{
	return set(PARAMS(pitch, v, 1, width, height), s);
}

static CUresult CUDAAPI cpu_cuMemsetD2D16Async(CUdeviceptr dst, size_t pitch, unsigned short v,
					       size_t width, size_t height, CUstream s)
{
	return set(PARAMS(pitch, v, 2, width, height), s);
}

static CUresult CUDAAPI cpu_cuMemsetD2D32Async(CUdeviceptr dst, size_t pitch, unsigned int v,
					       size_t width, size_t height, CUstream s)
{
	return set(PARAMS(pitch, v, 4, width, height), s);
}

CPU_SYMBOLS(cpu_memset_symbols, CPU_FN(cuMemsetD8_v2), CPU_FN(cuMemsetD16_v2),
	    CPU_FN(cuMemsetD32_v2), CPU_FN(cuMemsetD2D8_v2), CPU_FN(cuMemsetD2D16_v2),
	    CPU_FN(cuMemsetD2D32_v2), CPU_FN(cuMemsetD8Async), CPU_FN(cuMemsetD16Async),
	    CPU_FN(cuMemsetD32Async), CPU_FN(cuMemsetD2D8Async), CPU_FN(cuMemsetD2D16Async),
	    CPU_FN(cuMemsetD2D32Async));
