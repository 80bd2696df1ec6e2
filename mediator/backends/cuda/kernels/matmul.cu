// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Matrix product in float32.
 *
 * A block computes a tile of BM x BN elements; it walks along k in steps of
 * BK, holding both operands' strips in shared memory, and each thread keeps
 * TM x TN sums in registers.  Every sum is one chain of fused multiply-adds in
 * the order of k, so the result does not depend on the tile's size.
 */
#include "kernels.h"

namespace
{

template <unsigned BM, unsigned BN, unsigned BK, unsigned TM, unsigned TN> struct tile {
	static constexpr unsigned rows = BM / TM; // threads down the tile
	static constexpr unsigned cols = BN / TN; // and across
	static constexpr unsigned threads = rows * cols;
};

template <unsigned BM, unsigned BN, unsigned BK, unsigned TM, unsigned TN>
__global__ void matmul(const float *a, const float *b, float *c, uint32_t m, uint32_t n, uint32_t k)
{
	using shape = tile<BM, BN, BK, TM, TN>;
	__shared__ float as[BK][BM + 1]; // transposed; the odd width keeps banks apart
	__shared__ float bs[BK][BN];
	const unsigned tx = threadIdx.x % shape::cols;
	const unsigned ty = threadIdx.x / shape::cols;
	const uint32_t row0 = blockIdx.y * BM;
	const uint32_t col0 = blockIdx.x * BN;
	float sum[TM][TN] = {};

	for (uint32_t k0 = 0; k0 < k; k0 += BK) {
		for (unsigned i = threadIdx.x; i < BM * BK; i += shape::threads) {
			const uint32_t row = row0 + i / BK, col = k0 + i % BK;

			as[i % BK][i / BK] = row < m && col < k ? a[(size_t)row * k + col] : 0.f;
		}
		for (unsigned i = threadIdx.x; i < BK * BN; i += shape::threads) {
			const uint32_t row = k0 + i / BN, col = col0 + i % BN;

			bs[i / BN][i % BN] = row < k && col < n ? b[(size_t)row * n + col] : 0.f;
		}
		__syncthreads();

		// Past the end of k both strips hold 0, which adds nothing to a sum.
#pragma unroll
		for (unsigned kk = 0; kk < BK; kk++) {
			float x[TM], y[TN];
#pragma unroll
			for (unsigned i = 0; i < TM; i++)
				x[i] = as[kk][ty + i * shape::rows];
#pragma unroll
			for (unsigned j = 0; j < TN; j++)
				y[j] = bs[kk][tx + j * shape::cols];
#pragma unroll
			for (unsigned i = 0; i < TM; i++)
#pragma unroll
				for (unsigned j = 0; j < TN; j++)
					sum[i][j] = __fmaf_rn(x[i], y[j], sum[i][j]);
		}
		__syncthreads();
	}

#pragma unroll
	for (unsigned i = 0; i < TM; i++) {
#pragma unroll
		for (unsigned j = 0; j < TN; j++) {
			const uint32_t row = row0 + ty + i * shape::rows;
			const uint32_t col = col0 + tx + j * shape::cols;

			if (row < m && col < n)
				c[(size_t)row * n + col] = sum[i][j];
		}
	}
}

template <unsigned BM, unsigned BN, unsigned BK, unsigned TM, unsigned TN>
cudaError_t launch(const float *a, const float *b, float *c, uint32_t m, uint32_t n, uint32_t k,
		   cudaStream_t stream)
{
	const dim3 grid((n + BN - 1) / BN, (m + BM - 1) / BM);

	matmul<BM, BN, BK, TM, TN>
		<<<grid, tile<BM, BN, BK, TM, TN>::threads, 0, stream>>>(a, b, c, m, n, k);
	return cudaGetLastError();
}

} // namespace

cudaError_t vgpu_kernel_matmul(const float *a, const float *b, float *c, uint32_t m, uint32_t n,
			       uint32_t k, cudaStream_t stream)
{
	if (m == 0 || n == 0)
		return cudaSuccess;
	// Large tiles need enough of them to occupy the device.
	if ((uint64_t)m * n >= 1024u * 1024u)
		return launch<128, 128, 16, 8, 8>(a, b, c, m, n, k, stream);
	return launch<32, 32, 32, 2, 2>(a, b, c, m, n, k, stream);
}
