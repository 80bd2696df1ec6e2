// SPDX-License-Identifier: GPL-2.0-or-later
// The first program that anyone writes.  Runs without a GPU too: the cpu
// backend knows this kernel by its name.
#include "check.h"

extern "C" __global__ void vector_add(const float *a, const float *b, float *c, unsigned n)
{
	unsigned i = blockIdx.x * blockDim.x + threadIdx.x;

	if (i < n)
		c[i] = a[i] + b[i];
}

int main()
{
	const unsigned n = 1 << 20;
	const size_t bytes = n * sizeof(float);
	float *a = (float *)malloc(bytes), *b = (float *)malloc(bytes), *c = (float *)malloc(bytes);
	float *da, *db, *dc;
	cudaDeviceProp p;

	CK(cudaGetDeviceProperties(&p, 0));
	printf("%s, compute capability %d.%d\n", p.name, p.major, p.minor);
	for (unsigned i = 0; i < n; i++) {
		a[i] = i * 0.5f;
		b[i] = i * 0.25f;
	}
	CK(cudaMalloc(&da, bytes));
	CK(cudaMalloc(&db, bytes));
	CK(cudaMalloc(&dc, bytes));
	CK(cudaMemcpy(da, a, bytes, cudaMemcpyHostToDevice));
	CK(cudaMemcpy(db, b, bytes, cudaMemcpyHostToDevice));
	vector_add<<<(n + 255) / 256, 256>>>(da, db, dc, n);
	CK(cudaGetLastError());
	CK(cudaMemcpy(c, dc, bytes, cudaMemcpyDeviceToHost));
	for (unsigned i = 0; i < n; i++)
		CHECK(c[i] == a[i] + b[i]);
	CK(cudaFree(da));
	CK(cudaFree(db));
	CK(cudaFree(dc));
	return done("vector_add");
}
