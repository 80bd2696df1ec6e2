// SPDX-License-Identifier: GPL-2.0-or-later
/* Graphs: captured and built by hand, instantiated, updated, launched again. */
#include <stdlib.h>
#include <string.h>

#include "harness.h"

#define N 1000u

static CUdeviceptr words;
static unsigned int n = N;

static CUgraphExec instantiate(CUgraph graph)
{
	CUgraphExec exec = NULL;

	CK(cuGraphInstantiate(&exec, graph, 0));
	return exec;
}

static void captured(void)
{
	CUstreamCaptureStatus status;
	CUgraphExec exec;
	CUgraph graph;
	CUstream s;
	size_t count = 0;
	void *args[] = {&words, &n};
	CUfunction f;

	start();
	f = kernel("increment");
	words = device_alloc(N * 4);
	CK(cuMemsetD32(words, 0, N));
	CK(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
	CK(cuStreamIsCapturing(s, &status));
	CHECK_EQ(status, CU_STREAM_CAPTURE_STATUS_NONE);
	CK(cuStreamBeginCapture(s, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL));
	CK(cuStreamIsCapturing(s, &status));
	CHECK_EQ(status, CU_STREAM_CAPTURE_STATUS_ACTIVE);
	for (int i = 0; i < 10; i++)
		launch(f, N, s, args);
	EXPECT(cuStreamQuery(s), CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
	cuStreamEndCapture(s, &graph); /* the query broke it */
	CK(cuStreamBeginCapture(s, CU_STREAM_CAPTURE_MODE_RELAXED));
	for (int i = 0; i < 10; i++)
		launch(f, N, s, args);
	CK(cuStreamEndCapture(s, &graph));
	CK(cuStreamIsCapturing(s, &status));
	CHECK_EQ(status, CU_STREAM_CAPTURE_STATUS_NONE);
	CK(cuGraphGetNodes(graph, NULL, &count));
	CHECK_EQ(count, 10);
	CK(cuStreamSynchronize(s));
	expect_words(words, 0, N); /* captured, not run */
	exec = instantiate(graph);
	for (int i = 1; i <= 30; i++)
		CK(cuGraphLaunch(exec, s));
	CK(cuStreamSynchronize(s));
	expect_words(words, 300, N);
	CK(cuGraphDestroy(graph));
	CK(cuGraphLaunch(exec, s));
	CK(cuStreamSynchronize(s));
	expect_words(words, 310, N);
	CK(cuGraphExecDestroy(exec));
}

/* Two streams in one capture, joined by events; copies and memsets in it. */
static void forked(void)
{
	unsigned int *host, value = 4;
	CUevent forks, joins;
	CUgraphExec exec;
	CUstream s, t;
	CUgraph graph;
	void *args[] = {&words, &value, &n};

	start();
	CK(cuMemAllocHost((void **)&host, N * 4));
	words = device_alloc(N * 4);
	CK(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
	CK(cuStreamCreate(&t, CU_STREAM_NON_BLOCKING));
	CK(cuEventCreate(&forks, CU_EVENT_DISABLE_TIMING));
	CK(cuEventCreate(&joins, CU_EVENT_DISABLE_TIMING));
	kernel("fill"); /* loaded before, as it could not be within */
	CK(cuStreamBeginCapture(s, CU_STREAM_CAPTURE_MODE_GLOBAL));
	CK(cuEventRecord(forks, s));
	CK(cuStreamWaitEvent(t, forks, 0));
	CK(cuLaunchKernel(kernel("fill"), 4, 1, 1, 256, 1, 1, 0, t, args, NULL));
	CK(cuEventRecord(joins, t));
	CK(cuStreamWaitEvent(s, joins, 0));
	CK(cuMemcpyDtoHAsync(host, words, N * 4, s));
	CK(cuMemsetD32Async(words, 8, N, s));
	CK(cuStreamEndCapture(s, &graph));
	exec = instantiate(graph);
	for (int i = 0; i < 3; i++) {
		memset(host, 0, N * 4);
		CK(cuGraphLaunch(exec, s));
		CK(cuStreamSynchronize(s));
		for (unsigned int j = 0; j < N; j++)
			CHECK_EQ(host[j], 4);
		expect_words(words, 8, N);
	}
}

static CUgraphNode kernel_node(CUgraph graph, CUgraphNode after, const char *name, void **args)
{
	CUDA_KERNEL_NODE_PARAMS params = {.func = kernel(name),
					  .gridDimX = 4,
					  .gridDimY = 1,
					  .gridDimZ = 1,
					  .blockDimX = 256,
					  .blockDimY = 1,
					  .blockDimZ = 1,
					  .kernelParams = args};
	CUgraphNode node = NULL;

	CK(cuGraphAddKernelNode(&node, graph, after ? &after : NULL, after ? 1 : 0, &params));
	return node;
}

static void by_hand(void)
{
	CUDA_MEMSET_NODE_PARAMS zero = {.value = 0, .elementSize = 4, .width = N, .height = 1};
	CUgraphNode set, add, got[8];
	CUDA_KERNEL_NODE_PARAMS params;
	void *args[] = {&words, &n};
	CUdeviceptr other;
	CUgraphExec exec;
	CUgraphNodeType type;
	CUgraph graph;
	size_t count;
	CUstream s;

	start();
	words = device_alloc(N * 4);
	other = device_alloc(N * 4);
	CK(cuMemsetD32(other, 100, N));
	CK(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
	CK(cuGraphCreate(&graph, 0));
	zero.dst = words;
	CK(cuGraphAddMemsetNode(&set, graph, NULL, 0, &zero, context));
	add = kernel_node(graph, set, "increment", args);
	CK(cuGraphNodeGetType(add, &type));
	CHECK_EQ(type, CU_GRAPH_NODE_TYPE_KERNEL);
	count = 8;
	CK(cuGraphGetNodes(graph, got, &count));
	CHECK_EQ(count, 2);
	exec = instantiate(graph);
	CK(cuGraphLaunch(exec, s));
	CK(cuGraphLaunch(exec, s));
	CK(cuStreamSynchronize(s));
	expect_words(words, 1, N);
	/* The same node with another argument, in what is already instantiated. */
	memset(&params, 0, sizeof(params));
	params.func = kernel("increment");
	params.gridDimX = 4;
	params.gridDimY = params.gridDimZ = params.blockDimY = params.blockDimZ = 1;
	params.blockDimX = 256;
	args[0] = &other;
	params.kernelParams = args;
	CK(cuGraphExecKernelNodeSetParams(exec, add, &params));
	CK(cuGraphLaunch(exec, s));
	CK(cuStreamSynchronize(s));
	expect_words(words, 0, N);
	expect_words(other, 101, N);
	CK(cuGraphExecDestroy(exec));
	CK(cuGraphDestroy(graph));
}

static CUgraph capture_fill(CUstream s, unsigned int value)
{
	void *args[] = {&words, &value, &n};
	CUfunction f = kernel("fill");
	CUgraph graph;

	CK(cuStreamBeginCapture(s, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL));
	launch(f, N, s, args);
	CK(cuStreamEndCapture(s, &graph));
	return graph;
}

static void updated(void)
{
	CUgraphExecUpdateResultInfo info;
	CUgraph first, second;
	CUgraphExec exec;
	CUstream s;

	start();
	words = device_alloc(N * 4);
	CK(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
	first = capture_fill(s, 1);
	second = capture_fill(s, 2);
	exec = instantiate(first);
	CK(cuGraphLaunch(exec, s));
	CK(cuStreamSynchronize(s));
	expect_words(words, 1, N);
	CK(cuGraphExecUpdate(exec, second, &info));
	CHECK_EQ(info.result, CU_GRAPH_EXEC_UPDATE_SUCCESS);
	CK(cuGraphLaunch(exec, s));
	CK(cuStreamSynchronize(s));
	expect_words(words, 2, N);
}

static int host_calls;

static void CUDA_CB in_graph(void *data)
{
	host_calls += *(int *)data;
}

static void host_node(void)
{
	static int step = 3;
	CUDA_HOST_NODE_PARAMS params = {.fn = in_graph, .userData = &step};
	CUgraphNode node;
	CUgraphExec exec;
	CUgraph graph;
	CUstream s;

	start();
	CK(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
	CK(cuGraphCreate(&graph, 0));
	CK(cuGraphAddHostNode(&node, graph, NULL, 0, &params));
	exec = instantiate(graph);
	for (int i = 0; i < 5; i++)
		CK(cuGraphLaunch(exec, s));
	CK(cuStreamSynchronize(s));
	CHECK_EQ(host_calls, 15);
}

const struct test_case graph_cases[] = {
	{"captured", captured, COMPLETE},   {"forked", forked, COMPLETE},
	{"by_hand", by_hand, COMPLETE},     {"updated", updated, COMPLETE},
	{"host_node", host_node, COMPLETE}, {0},
};
