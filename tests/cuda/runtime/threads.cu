// SPDX-License-Identifier: GPL-2.0-or-later
// Eight threads, a stream each, copies and kernels in all of them at once.
#include <pthread.h>

#include "check.h"

__global__ void step(unsigned *p, unsigned n, unsigned add)
{
	unsigned i = blockIdx.x * blockDim.x + threadIdx.x;

	if (i < n)
		p[i] = p[i] * 3 + add;
}

static void *work(void *data)
{
	const unsigned n = 50000, me = (unsigned)(size_t)data;
	unsigned *host, *device;
	cudaEvent_t event;
	cudaStream_t s;

	CK(cudaStreamCreate(&s));
	CK(cudaEventCreateWithFlags(&event, cudaEventDisableTiming));
	CK(cudaMallocHost(&host, n * 4));
	CK(cudaMalloc(&device, n * 4));
	for (unsigned turn = 0; turn < 100; turn++) {
		unsigned want = me + turn;

		for (unsigned i = 0; i < n; i++)
			host[i] = want;
		CK(cudaMemcpyAsync(device, host, n * 4, cudaMemcpyHostToDevice, s));
		for (unsigned i = 0; i < 5; i++) {
			step<<<(n + 255) / 256, 256, 0, s>>>(device, n, i);
			want = want * 3 + i;
		}
		CK(cudaGetLastError());
		CK(cudaMemcpyAsync(host, device, n * 4, cudaMemcpyDeviceToHost, s));
		CK(cudaEventRecord(event, s));
		CK(cudaEventSynchronize(event));
		for (unsigned i = 0; i < n; i++)
			CHECK(host[i] == want);
	}
	CK(cudaFree(device));
	CK(cudaFreeHost(host));
	CK(cudaEventDestroy(event));
	CK(cudaStreamDestroy(s));
	return NULL;
}

int main()
{
	pthread_t thread[8];

	need_gpu();
	for (size_t i = 0; i < 8; i++)
		CHECK(!pthread_create(&thread[i], NULL, work, (void *)(i * 1000)));
	for (size_t i = 0; i < 8; i++)
		pthread_join(thread[i], NULL);
	CK(cudaDeviceSynchronize());
	return done("threads");
}
