// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Element by element work: the sum of two vectors, and the checksum of a
 * buffer.
 */
#include "kernels.h"

namespace
{

constexpr unsigned THREADS = 256;
constexpr unsigned BLOCKS_MAX = 4096; // more elements than threads: each takes several

unsigned blocks_for(uint64_t items)
{
	const uint64_t blocks = (items + THREADS - 1) / THREADS;

	return blocks < BLOCKS_MAX ? (unsigned)blocks : BLOCKS_MAX;
}

/* __fadd_rn: one IEEE addition, whatever the compiler's flags. */
__device__ float4 add(float4 x, float4 y)
{
	return make_float4(__fadd_rn(x.x, y.x), __fadd_rn(x.y, y.y), __fadd_rn(x.z, y.z),
			   __fadd_rn(x.w, y.w));
}

__global__ void vector_add(float *a, const float *b, uint64_t n)
{
	const uint64_t stride = (uint64_t)gridDim.x * THREADS;
	const uint64_t first = (uint64_t)blockIdx.x * THREADS + threadIdx.x;
	const uint64_t quads = n / 4;

	for (uint64_t i = first; i < quads; i += stride)
		((float4 *)a)[i] = add(((float4 *)a)[i], ((const float4 *)b)[i]);
	for (uint64_t i = quads * 4 + first; i < n; i += stride)
		a[i] = __fadd_rn(a[i], b[i]);
}

__global__ void checksum(const uint32_t *words, uint64_t n, uint32_t *sum)
{
	const uint64_t stride = (uint64_t)gridDim.x * THREADS;
	const uint64_t first = (uint64_t)blockIdx.x * THREADS + threadIdx.x;
	const uint64_t quads = n / 4;
	uint32_t mine = 0;

	for (uint64_t i = first; i < quads; i += stride) {
		const uint4 v = ((const uint4 *)words)[i];

		mine += v.x + v.y + v.z + v.w;
	}
	for (uint64_t i = quads * 4 + first; i < n; i += stride)
		mine += words[i];

	for (int lanes = 16; lanes > 0; lanes /= 2)
		mine += __shfl_down_sync(0xffffffffu, mine, lanes);
	if (threadIdx.x % 32 == 0)
		atomicAdd(sum, mine);
}

} // namespace

cudaError_t vgpu_kernel_vector_add(float *a, const float *b, uint64_t n, cudaStream_t stream)
{
	if (n == 0)
		return cudaSuccess;
	vector_add<<<blocks_for((n + 3) / 4), THREADS, 0, stream>>>(a, b, n);
	return cudaGetLastError();
}

cudaError_t vgpu_kernel_checksum(const uint32_t *words, uint64_t n, uint32_t *sum,
				 cudaStream_t stream)
{
	if (n == 0)
		return cudaSuccess;
	checksum<<<blocks_for((n + 3) / 4), THREADS, 0, stream>>>(words, n, sum);
	return cudaGetLastError();
}
