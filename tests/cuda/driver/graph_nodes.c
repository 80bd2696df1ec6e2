// SPDX-License-Identifier: GPL-2.0-or-later
/* Graphs by their parts: what nodes hold, what they depend on, what lives with a graph. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "harness.h"

#define N 100u

static CUdeviceptr words;
static unsigned int *pinned;
static CUstream stream;

static void begin(void)
{
	start();
	words = device_alloc(N * 4);
	CK(cuMemAllocHost((void **)&pinned, N * 4));
	memset(pinned, 0, N * 4);
	CK(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
}

static CUgraphNode fill_node(CUgraph graph, unsigned int value)
{
	CUDA_MEMSET_NODE_PARAMS p = {
		.dst = words, .value = value, .elementSize = 4, .width = N, .height = 1};
	CUgraphNode node;

	CK(cuGraphAddMemsetNode(&node, graph, NULL, 0, &p, context));
	return node;
}

static CUDA_MEMCPY3D to_host(void *host)
{
	return (CUDA_MEMCPY3D){.srcMemoryType = CU_MEMORYTYPE_DEVICE,
			       .srcDevice = words,
			       .dstMemoryType = CU_MEMORYTYPE_HOST,
			       .dstHost = host,
			       .WidthInBytes = N * 4,
			       .Height = 1,
			       .Depth = 1};
}

static CUgraphExec run(CUgraph graph)
{
	CUgraphExec exec;

	CK(cuGraphInstantiate(&exec, graph, 0));
	CK(cuGraphLaunch(exec, stream));
	CK(cuStreamSynchronize(stream));
	return exec;
}

static void expect_host(const unsigned int *p, unsigned int value)
{
	for (unsigned int i = 0; i < N; i++)
		CHECK_EQ(p[i], value);
}

static void add_to(void *p)
{
	__atomic_add_fetch((int *)p, 1, __ATOMIC_SEQ_CST);
}

static int calls;

/* Each kind says what it was made of; what is instantiated can be changed. */
static void parameters(void)
{
	CUDA_MEMSET_NODE_PARAMS fill;
	CUDA_HOST_NODE_PARAMS host, host_got;
	CUDA_KERNEL_NODE_PARAMS kernel_got, launch = {.gridDimX = 1,
						      .gridDimY = 1,
						      .gridDimZ = 1,
						      .blockDimX = 256,
						      .blockDimY = 1,
						      .blockDimZ = 1};
	CUDA_MEMCPY3D copy, copy_got;
	CUgraphNode f, k, c, h;
	unsigned int n = N;
	CUgraphExec exec;
	CUgraph graph;
	void *args[] = {&words, &n};

	begin();
	copy = to_host(pinned);
	launch.func = kernel("increment");
	launch.kernelParams = args;
	CK(cuGraphCreate(&graph, 0));
	f = fill_node(graph, 7);
	CK(cuGraphAddKernelNode(&k, graph, &f, 1, &launch));
	CK(cuGraphAddMemcpyNode(&c, graph, &k, 1, &copy, context));
	host = (CUDA_HOST_NODE_PARAMS){.fn = add_to, .userData = &calls};
	CK(cuGraphAddHostNode(&h, graph, &c, 1, &host));
	n = 0; /* was copied when the node was made */
	CK(cuGraphMemsetNodeGetParams(f, &fill));
	CHECK_EQ(fill.dst, words);
	CHECK_EQ(fill.value, 7);
	CHECK_EQ(fill.width, N);
	CK(cuGraphKernelNodeGetParams(k, &kernel_got));
	CHECK_EQ(kernel_got.blockDimX, 256);
	CHECK_EQ(*(CUdeviceptr *)kernel_got.kernelParams[0], words);
	CHECK_EQ(*(unsigned int *)kernel_got.kernelParams[1], N);
	CK(cuGraphMemcpyNodeGetParams(c, &copy_got));
	CHECK_EQ(copy_got.WidthInBytes, N * 4);
	CHECK(copy_got.dstHost == pinned);
	CK(cuGraphHostNodeGetParams(h, &host_got));
	CHECK(host_got.fn == add_to && host_got.userData == &calls);
	exec = run(graph);
	expect_host(pinned, 8);
	CHECK_EQ(calls, 1);
	fill.value = 20;
	CK(cuGraphExecMemsetNodeSetParams(exec, f, &fill, context));
	CK(cuGraphLaunch(exec, stream));
	CK(cuStreamSynchronize(stream));
	expect_host(pinned, 21);
	CHECK_EQ(calls, 2);
	/* What was read can be written back, its pointers and all. */
	CK(cuGraphKernelNodeSetParams(k, &kernel_got));
	CK(cuGraphExecDestroy(exec));
	CK(cuGraphExecDestroy(run(graph)));
	expect_host(pinned, 8);
	CK(cuGraphDestroy(graph));
}

static void dependencies(void)
{
	CUgraphNode many[400], all, got[400];
	CUgraphEdgeData edge = {0};
	CUgraphNodeParams params = {.type = CU_GRAPH_NODE_TYPE_EMPTY};
	CUgraph graph;
	size_t n;

	begin();
	CK(cuGraphCreate(&graph, 0));
	for (int i = 0; i < 400; i++)
		CK(cuGraphAddEmptyNode(&many[i], graph, NULL, 0));
	CK(cuGraphAddEmptyNode(&all, graph, many, 400));
	n = 0;
	CK(cuGraphNodeGetDependencies(all, NULL, NULL, &n));
	CHECK_EQ(n, 400);
	CK(cuGraphNodeGetDependencies(all, got, NULL, &n));
	for (int i = 0; i < 400; i++)
		CHECK(got[i] != NULL);
	CK(cuGraphGetEdges(graph, NULL, NULL, NULL, &n));
	CHECK_EQ(n, 400);
	CK(cuGraphAddNode(&all, graph, many, &edge, 1, &params));
	CK(cuGraphGetNodes(graph, NULL, &n));
	CHECK_EQ(n, 402);
	CK(cuGraphDestroyNode(all));
	CK(cuGraphGetNodes(graph, NULL, &n));
	CHECK_EQ(n, 401);
	CK(cuGraphDestroy(graph));
}

static void wait_for(const int *p, int value)
{
	for (int i = 0; i < 1000 && __atomic_load_n(p, __ATOMIC_SEQ_CST) != value; i++)
		usleep(10000);
	CHECK_EQ(__atomic_load_n(p, __ATOMIC_SEQ_CST), value);
}

/* An object ends with the last of the graph, its copy and what was instantiated. */
static void user_objects(void)
{
	static int ended;
	CUgraph graph, copy;
	CUuserObject object;
	CUgraphExec exec;

	begin();
	CK(cuGraphCreate(&graph, 0));
	fill_node(graph, 3);
	CK(cuUserObjectCreate(&object, &ended, add_to, 2, CU_USER_OBJECT_NO_DESTRUCTOR_SYNC));
	CK(cuGraphRetainUserObject(graph, object, 1, CU_GRAPH_USER_OBJECT_MOVE));
	CK(cuUserObjectRelease(object, 1));
	CK(cuGraphClone(&copy, graph));
	CK(cuGraphDestroy(graph));
	exec = run(copy);
	CK(cuGraphDestroy(copy));
	expect_words(words, 3, N);
	CHECK_EQ(ended, 0);
	CK(cuGraphExecDestroy(exec));
	wait_for(&ended, 1);
}

static void child(void)
{
	CUgraph graph, inner, got, again;
	CUgraphNodeType type;
	CUgraphNode node;
	size_t n;

	begin();
	CK(cuGraphCreate(&graph, 0));
	CK(cuGraphCreate(&inner, 0));
	fill_node(inner, 9);
	CK(cuGraphAddChildGraphNode(&node, graph, NULL, 0, inner));
	CK(cuGraphNodeGetType(node, &type));
	CHECK_EQ(type, CU_GRAPH_NODE_TYPE_GRAPH);
	CK(cuGraphDestroy(inner)); /* the node has its own */
	CK(cuGraphChildGraphNodeGetGraph(node, &got));
	CK(cuGraphChildGraphNodeGetGraph(node, &again));
	CHECK(got == again);
	CK(cuGraphGetNodes(got, NULL, &n));
	CHECK_EQ(n, 1);
	CK(cuGraphExecDestroy(run(graph)));
	expect_words(words, 9, N);
	CK(cuGraphDestroy(graph));
}

/* A graph may name memory that is nobody's but the program's. */
static void ordinary_memory(void)
{
	unsigned int *own = calloc(N, 4);
	CUDA_MEMCPY3D copy;
	CUgraphNode fill, node;
	CUgraphExec exec;
	CUgraph graph;
	CUresult r;

	begin();
	copy = to_host(own);
	CK(cuGraphCreate(&graph, 0));
	fill = fill_node(graph, 77);
	r = cuGraphAddMemcpyNode(&node, graph, &fill, 1, &copy, context);
	if (r == CUDA_ERROR_NOT_SUPPORTED && mediated())
		skip("pages cannot be pinned here");
	CK(r);
	exec = run(graph);
	CK(cuGraphDestroy(graph));
	expect_host(own, 77);
	memset(own, 0, N * 4);
	CK(cuGraphLaunch(exec, stream));
	CK(cuStreamSynchronize(stream));
	expect_host(own, 77);
	CK(cuGraphExecDestroy(exec));
	free(own);
}

/* As programs do that capture anew each time and look at all nodes. */
static void captured_again(void)
{
	CUgraphNode nodes[64];
	CUgraph graph;
	size_t n;

	begin();
	for (int i = 0; i < 200; i++) {
		CK(cuStreamBeginCapture(stream, CU_STREAM_CAPTURE_MODE_RELAXED));
		for (unsigned int j = 0; j < 50; j++)
			CK(cuMemsetD32Async(words, j, N, stream));
		CK(cuStreamEndCapture(stream, &graph));
		n = 64;
		CK(cuGraphGetNodes(graph, nodes, &n));
		CHECK_EQ(n, 50);
		if (i == 199)
			CK(cuGraphExecDestroy(run(graph)));
		CK(cuGraphDestroy(graph));
	}
	expect_words(words, 49, N);
}

const struct test_case graph_node_cases[] = {
	{"parameters", parameters, COMPLETE},
	{"dependencies", dependencies, COMPLETE},
	{"user_objects", user_objects, COMPLETE},
	{"child", child, COMPLETE},
	{"ordinary_memory", ordinary_memory, COMPLETE},
	{"captured_again", captured_again, COMPLETE},
	{0},
};
