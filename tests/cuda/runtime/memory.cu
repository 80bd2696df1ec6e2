// SPDX-License-Identifier: GPL-2.0-or-later
// Memory by the runtime: pitched, three-dimensional, from the pool, pinned, registered.
#include "check.h"

__global__ void fill(unsigned *p, unsigned value, unsigned n)
{
	unsigned i = blockIdx.x * blockDim.x + threadIdx.x;

	if (i < n)
		p[i] = value;
}

static void same(const unsigned *p, unsigned value, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		CHECK(p[i] == value);
}

static void pooled(unsigned *host, unsigned n)
{
	cudaStream_t s;
	unsigned *p;

	CK(cudaStreamCreate(&s));
	for (unsigned i = 0; i < 50; i++) {
		CK(cudaMallocAsync(&p, n * 4, s));
		fill<<<(n + 255) / 256, 256, 0, s>>>(p, i, n);
		CK(cudaMemcpyAsync(host, p, n * 4, cudaMemcpyDeviceToHost, s));
		CK(cudaFreeAsync(p, s));
		CK(cudaStreamSynchronize(s));
		same(host, i, n);
	}
	CK(cudaStreamDestroy(s));
}

static void pinned(unsigned n)
{
	cudaPointerAttributes attributes;
	unsigned *host, *device;

	CK(cudaHostAlloc(&host, n * 4, cudaHostAllocMapped | cudaHostAllocPortable));
	CK(cudaHostGetDevicePointer(&device, host, 0));
	CHECK(device == host);
	fill<<<(n + 255) / 256, 256>>>(host, 12, n);
	CK(cudaDeviceSynchronize());
	same(host, 12, n);
	CK(cudaPointerGetAttributes(&attributes, host + 5));
	CHECK(attributes.type == cudaMemoryTypeHost);
	CK(cudaFreeHost(host));
	host = (unsigned *)malloc(n * 4);
	memset(host, 0, n * 4);
	CK(cudaHostRegister(host, n * 4, cudaHostRegisterMapped));
	fill<<<(n + 255) / 256, 256>>>(host, 13, n);
	CK(cudaDeviceSynchronize());
	same(host, 13, n);
	CK(cudaHostUnregister(host));
	CK(cudaPointerGetAttributes(&attributes, host));
	CHECK(attributes.type == cudaMemoryTypeUnregistered);
	free(host);
}

static void shaped(void)
{
	static unsigned host[6][20][16], got[6][20][16];
	cudaExtent extent = make_cudaExtent(16 * 4, 20, 6);
	cudaMemcpy3DParms copy = {};
	cudaPitchedPtr p;

	for (int i = 0; i < 6 * 20 * 16; i++)
		host[i / 320][i / 16 % 20][i % 16] = i;
	CK(cudaMalloc3D(&p, extent));
	copy.srcPtr = make_cudaPitchedPtr(host, 64, 16, 20);
	copy.dstPtr = p;
	copy.extent = extent;
	copy.kind = cudaMemcpyHostToDevice;
	CK(cudaMemcpy3D(&copy));
	copy.srcPtr = p;
	copy.dstPtr = make_cudaPitchedPtr(got, 64, 16, 20);
	copy.kind = cudaMemcpyDeviceToHost;
	CK(cudaMemcpy3D(&copy));
	CHECK(!memcmp(host, got, sizeof(host)));
	CK(cudaFree(p.ptr));
}

int main()
{
	const unsigned n = 100000;
	unsigned *host = (unsigned *)malloc(n * 4), *p, *q;

	need_gpu();
	CK(cudaMalloc(&p, n * 4));
	CK(cudaMalloc(&q, n * 4));
	fill<<<(n + 255) / 256, 256>>>(p, 3, n);
	CK(cudaMemcpy(q, p, n * 4, cudaMemcpyDefault));
	CK(cudaMemcpy(host, q, n * 4, cudaMemcpyDefault));
	same(host, 3, n);
	pooled(host, n);
	pinned(n);
	shaped();
	EXPECT(cudaMalloc(&p, (size_t)1 << 50), cudaErrorMemoryAllocation);
	EXPECT(cudaGetLastError(), cudaErrorMemoryAllocation);
	CK(cudaGetLastError());
	return done("memory");
}
