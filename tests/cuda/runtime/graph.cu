// SPDX-License-Identifier: GPL-2.0-or-later
// A captured graph with a copy, kernels, a host function; launched many times.
#include "check.h"

__global__ void increment(unsigned *p, unsigned n)
{
	unsigned i = blockIdx.x * blockDim.x + threadIdx.x;

	if (i < n)
		p[i]++;
}

static void count(void *data)
{
	++*(int *)data;
}

int main()
{
	const unsigned n = 10000;
	cudaGraphExec_t exec;
	cudaGraph_t graph;
	cudaStream_t s;
	unsigned *host, *p;
	int calls = 0;

	need_gpu();
	CK(cudaStreamCreateWithFlags(&s, cudaStreamNonBlocking));
	CK(cudaMallocHost(&host, n * 4));
	CK(cudaMalloc(&p, n * 4));
	CK(cudaMemset(p, 0, n * 4));
	CK(cudaDeviceSynchronize());
	CK(cudaStreamBeginCapture(s, cudaStreamCaptureModeGlobal));
	for (int i = 0; i < 20; i++)
		increment<<<(n + 255) / 256, 256, 0, s>>>(p, n);
	CK(cudaMemcpyAsync(host, p, n * 4, cudaMemcpyDeviceToHost, s));
	CK(cudaLaunchHostFunc(s, count, &calls));
	CK(cudaStreamEndCapture(s, &graph));
	CK(cudaGraphInstantiate(&exec, graph, 0));
	for (unsigned i = 1; i <= 50; i++) {
		CK(cudaGraphLaunch(exec, s));
		CK(cudaStreamSynchronize(s));
		for (unsigned j = 0; j < n; j++)
			CHECK(host[j] == 20 * i);
	}
	CHECK(calls == 50);
	CK(cudaGraphExecDestroy(exec));
	CK(cudaGraphDestroy(graph));
	return done("graph");
}
