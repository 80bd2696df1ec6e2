// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Gather and scatter: the device itself reads and writes scattered pages of
 * host memory.
 *
 * A warp takes a piece of at most 4 KiB.  What limits the speed is how many
 * reads are on their way over the bus at once, so each lane starts all its
 * loads of a round before it stores the first of them.
 */
#include "kernels.h"

namespace
{

constexpr unsigned LANES = 32;
constexpr unsigned WARPS = 8; // of a block
constexpr unsigned LOADS = 8; // that a lane has under way

template <typename T> __device__ void copy(T *to, const T *from, unsigned n, unsigned lane)
{
	for (unsigned first = 0; first < n; first += LANES * LOADS) {
		T value[LOADS];
#pragma unroll
		for (unsigned i = 0; i < LOADS; i++) {
			const unsigned at = first + i * LANES + lane;
			if (at < n)
				value[i] = from[at];
		}
#pragma unroll
		for (unsigned i = 0; i < LOADS; i++) {
			const unsigned at = first + i * LANES + lane;
			if (at < n)
				to[at] = value[i];
		}
	}
}

/* The widest access that both addresses and the length allow. */
__device__ void copy_piece(char *to, const char *from, unsigned length, unsigned lane)
{
	const uint64_t bits = (uint64_t)to | (uint64_t)from | length;

	if (bits % sizeof(uint4) == 0)
		copy((uint4 *)to, (const uint4 *)from, length / sizeof(uint4), lane);
	else if (bits % sizeof(uint32_t) == 0)
		copy((uint32_t *)to, (const uint32_t *)from, length / sizeof(uint32_t), lane);
	else
		copy(to, from, length, lane);
}

template <bool GATHER> __global__ void move(char *device, const vgpu_piece *pieces, uint64_t count)
{
	const uint64_t index = (uint64_t)blockIdx.x * WARPS + threadIdx.x / LANES;

	if (index >= count)
		return;

	const vgpu_piece piece = pieces[index];
	char *host = (char *)piece.host;
	char *here = device + (piece.where >> 16);
	const unsigned length = piece.where & 0xffff;

	if (GATHER)
		copy_piece(here, host, length, threadIdx.x % LANES);
	else
		copy_piece(host, here, length, threadIdx.x % LANES);
}

template <bool GATHER>
cudaError_t launch(char *device, const vgpu_piece *pieces, uint64_t count, cudaStream_t stream)
{
	const uint64_t blocks = (count + WARPS - 1) / WARPS;

	if (count == 0)
		return cudaSuccess;
	if (blocks > INT32_MAX)
		return cudaErrorInvalidValue;
	move<GATHER><<<(unsigned)blocks, WARPS * LANES, 0, stream>>>(device, pieces, count);
	return cudaGetLastError();
}

} // namespace

cudaError_t vgpu_kernel_gather(void *device, const vgpu_piece *pieces, uint64_t count,
			       cudaStream_t stream)
{
	return launch<true>((char *)device, pieces, count, stream);
}

cudaError_t vgpu_kernel_scatter(const void *device, const vgpu_piece *pieces, uint64_t count,
				cudaStream_t stream)
{
	return launch<false>((char *)device, pieces, count, stream);
}
