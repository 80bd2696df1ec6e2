// SPDX-License-Identifier: GPL-2.0-or-later
// Sums with shared memory and atomics, constants and variables of the module.
#include "check.h"

__constant__ unsigned weight[4];
__device__ unsigned long long total;

template <int THREADS> __global__ void reduce(const unsigned *p, unsigned n)
{
	__shared__ unsigned long long part[THREADS];
	unsigned long long sum = 0;

	for (unsigned i = blockIdx.x * THREADS + threadIdx.x; i < n; i += gridDim.x * THREADS)
		sum += (unsigned long long)p[i] * weight[i % 4];
	part[threadIdx.x] = sum;
	for (int step = THREADS / 2; step; step /= 2) {
		__syncthreads();
		if (threadIdx.x < step)
			part[threadIdx.x] += part[threadIdx.x + step];
	}
	if (threadIdx.x == 0)
		atomicAdd(&total, part[0]);
}

int main()
{
	const unsigned n = 3000001;
	unsigned *host = (unsigned *)malloc(n * 4), *p, w[4] = {1, 2, 3, 5};
	unsigned long long want = 0, got = 0;
	cudaFuncAttributes attributes;
	int blocks = 0;

	need_gpu();
	for (unsigned i = 0; i < n; i++) {
		host[i] = i * 2654435761u >> 8;
		want += (unsigned long long)host[i] * w[i % 4];
	}
	CK(cudaMalloc(&p, n * 4));
	CK(cudaMemcpy(p, host, n * 4, cudaMemcpyHostToDevice));
	CK(cudaMemcpyToSymbol(weight, w, sizeof(w)));
	CK(cudaMemcpyToSymbol(total, &got, sizeof(got)));
	CK(cudaFuncGetAttributes(&attributes, reduce<256>));
	CHECK(attributes.sharedSizeBytes == 256 * 8);
	CK(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, reduce<256>, 256, 0));
	CHECK(blocks > 0);
	reduce<256><<<blocks * 16, 256>>>(p, n);
	CK(cudaGetLastError());
	CK(cudaMemcpyFromSymbol(&got, total, sizeof(got)));
	CHECK(got == want);
	reduce<64><<<7, 64>>>(p, n);
	CK(cudaMemcpyFromSymbol(&got, total, sizeof(got)));
	CHECK(got == 2 * want);
	return done("reduction");
}
