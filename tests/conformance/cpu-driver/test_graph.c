/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Graphs: made by hand, captured, launched again, changed. */
#include "driver_api.h"
#include "tests.h"

static void add_one(void *data)
{
	g_atomic_int_inc((int *)data);
}

static CUDA_KERNEL_NODE_PARAMS kernel_params(CUfunction f, void **params)
{
	return (CUDA_KERNEL_NODE_PARAMS){.func = f,
					 .gridDimX = 1,
					 .gridDimY = 1,
					 .gridDimZ = 1,
					 .blockDimX = 64,
					 .blockDimY = 1,
					 .blockDimZ = 1,
					 .kernelParams = params};
}

static int word(CUdeviceptr p)
{
	int out;

	OK(cuMemcpyDtoH_v2, &out, p, 4);
	return out;
}

/* memset 5 -> increment -> copy to q, with a function of the host beside it. */
static void by_hand(void)
{
	CUcontext ctx = context_begin();
	CUfunction f = function_of(module_begin(), "_Z9incrementPii");
	CUgraphNode set, kernel, copy, host, list[8], from[8], to[8];
	CUgraphExec exec;
	CUgraph g, clone;
	CUgraphNodeType type;
	CUdeviceptr p, q;
	int n = 1, called = 0;
	size_t count;

	OK(cuMemAlloc_v2, &p, 64);
	OK(cuMemAlloc_v2, &q, 64);
	CUDA_MEMSET_NODE_PARAMS fill = {
		.dst = p, .value = 5, .elementSize = 4, .width = 1, .height = 1};
	CUDA_KERNEL_NODE_PARAMS launch = kernel_params(f, (void *[]){&p, &n}), got;
	CUDA_MEMCPY3D box = {.srcMemoryType = CU_MEMORYTYPE_DEVICE,
			     .srcDevice = p,
			     .dstMemoryType = CU_MEMORYTYPE_DEVICE,
			     .dstDevice = q,
			     .WidthInBytes = 4,
			     .Height = 1,
			     .Depth = 1};
	CUDA_HOST_NODE_PARAMS call = {add_one, &called};

	OK(cuGraphCreate, &g, 0);
	OK(cuGraphAddKernelNode_v2, &kernel, g, NULL, 0, &launch);
	OK(cuGraphAddMemsetNode, &set, g, NULL, 0, &fill, ctx);
	OK(cuGraphAddDependencies_v2, g, &set, &kernel, NULL, 1);
	FAILS(CUDA_ERROR_INVALID_VALUE, cuGraphAddDependencies_v2, g, &set, &kernel, NULL, 1);
	OK(cuGraphAddMemcpyNode, &copy, g, &kernel, 1, &box, ctx);
	OK(cuGraphAddHostNode, &host, g, NULL, 0, &call);

	OK(cuGraphGetNodes, g, NULL, &count);
	g_assert_cmpuint(count, ==, 4);
	count = 8;
	OK(cuGraphGetRootNodes, g, list, &count);
	g_assert_cmpuint(count, ==, 2);
	g_assert_true(list[0] == set && list[1] == host && !list[2]);
	count = 8;
	OK(cuGraphGetEdges_v2, g, from, to, NULL, &count);
	g_assert_cmpuint(count, ==, 2);
	OK(cuGraphNodeGetType, copy, &type);
	g_assert_cmpint(type, ==, CU_GRAPH_NODE_TYPE_MEMCPY);
	OK(cuGraphKernelNodeGetParams_v2, kernel, &got);
	g_assert_true(got.func == f && got.blockDimX == 64);
	g_assert_cmpint(*(int *)got.kernelParams[1], ==, 1);

	OK(cuGraphClone, &clone, g);
	OK(cuGraphNodeFindInClone, &list[0], kernel, clone);
	OK(cuGraphNodeGetType, list[0], &type);
	g_assert_cmpint(type, ==, CU_GRAPH_NODE_TYPE_KERNEL);
	OK(cuGraphInstantiateWithFlags, &exec, clone, 0);
	OK(cuGraphDestroy, clone);
	FAILS(CUDA_ERROR_INVALID_VALUE, cuGraphNodeGetType, list[0], &type);
	OK(cuGraphLaunch, exec, NULL);
	OK(cuGraphLaunch, exec, NULL);
	OK(cuCtxSynchronize);
	g_assert_cmpint(word(q), ==, 6);
	g_assert_cmpint(called, ==, 2);
	OK(cuGraphExecDestroy, exec);

	OK(cuGraphInstantiateWithFlags, &exec, g, 0);
	fill.value = 10;
	OK(cuGraphExecMemsetNodeSetParams, exec, set, &fill, ctx);
	OK(cuGraphLaunch, exec, NULL);
	g_assert_cmpint(word(q), ==, 11);
	OK(cuGraphNodeSetEnabled, exec, kernel, 0);
	OK(cuGraphLaunch, exec, NULL);
	g_assert_cmpint(word(q), ==, 10);
	OK(cuGraphExecDestroy, exec);
	FAILS(CUDA_ERROR_INVALID_VALUE, cuGraphLaunch, exec, NULL);

	OK(cuGraphAddDependencies_v2, g, &copy, &set, NULL, 1); /* now it is a circle */
	FAILS(CUDA_ERROR_INVALID_VALUE, cuGraphInstantiateWithFlags, &exec, g, 0);
	OK(cuGraphRemoveDependencies_v2, g, &copy, &set, NULL, 1);
	OK(cuGraphDestroyNode, kernel);
	FAILS(CUDA_ERROR_INVALID_VALUE, cuGraphDestroyNode, kernel);
	OK(cuGraphGetEdges_v2, g, NULL, NULL, NULL, &count);
	g_assert_cmpuint(count, ==, 0);
	OK(cuGraphDestroy, g);
	context_end(ctx);
}

/* A second stream joins by an event and comes back by another one. */
static void captured(void)
{
	CUcontext ctx = context_begin();
	CUfunction f = function_of(module_begin(), "_Z9incrementPii");
	CUstreamCaptureStatus status;
	CUgraphExecUpdateResultInfo info;
	CUgraphNode list[8];
	CUgraphExec exec;
	CUstream a, b;
	CUevent e, back;
	CUgraph g, other;
	CUdeviceptr p, q;
	int n = 1;
	size_t count = 8;

	OK(cuMemAlloc_v2, &p, 64);
	OK(cuMemAlloc_v2, &q, 64);
	OK(cuStreamCreate, &a, 0);
	OK(cuStreamCreate, &b, 0);
	OK(cuEventCreate, &e, 0);
	OK(cuEventCreate, &back, 0);
	OK(cuStreamBeginCapture_v2, a, CU_STREAM_CAPTURE_MODE_RELAXED);
	OK(cuMemsetD32Async, p, 1, 1, a);
	OK(cuEventRecord, e, a);
	FAILS(CUDA_ERROR_CAPTURED_EVENT, cuEventQuery, e);
	OK(cuStreamWaitEvent, b, e, 0);
	OK(cuStreamIsCapturing, b, &status);
	g_assert_cmpint(status, ==, CU_STREAM_CAPTURE_STATUS_ACTIVE);
	OK(cuMemsetD32Async, q, 7, 1, b);
	LAUNCH(f, 32, a, &p, &n);
	OK(cuEventRecord, back, b);
	OK(cuStreamWaitEvent, a, back, 0);
	OK(cuMemcpyDtoDAsync_v2, p + 4, q, 4, a);
	OK(cuStreamEndCapture, a, &g);
	OK(cuStreamIsCapturing, b, &status);
	g_assert_cmpint(status, ==, CU_STREAM_CAPTURE_STATUS_NONE);
	OK(cuGraphGetNodes, g, list, &count);
	g_assert_cmpuint(count, ==, 4);
	OK(cuGraphNodeGetDependencies_v2, list[3], NULL, NULL, &count);
	g_assert_cmpuint(count, ==, 2);
	OK(cuGraphInstantiateWithFlags, &exec, g, 0);
	OK(cuMemsetD32_v2, p, 0, 2);
	g_assert_cmpint(word(p), ==, 0); /* nothing ran yet */
	OK(cuGraphLaunch, exec, a);
	OK(cuStreamSynchronize, a);
	g_assert_cmpint(word(p), ==, 2);
	g_assert_cmpint(word(p + 4), ==, 7);

	OK(cuStreamBeginCapture_v2, a, CU_STREAM_CAPTURE_MODE_RELAXED);
	OK(cuMemsetD32Async, p, 3, 1, a);
	OK(cuGraphLaunch, exec, a);
	OK(cuStreamEndCapture, a, &other);
	FAILS(CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE, cuGraphExecUpdate_v2, exec, other, &info);
	g_assert_cmpint(info.result, ==, CU_GRAPH_EXEC_UPDATE_ERROR_TOPOLOGY_CHANGED);
	OK(cuGraphExecUpdate_v2, exec, g, &info);
	OK(cuGraphDestroy, other);
	OK(cuGraphDestroy, g);
	OK(cuGraphExecDestroy, exec);
	context_end(ctx);
}

/* What must not happen during a capture, and what becomes of it then. */
static void spoilt(void)
{
	CUcontext ctx = context_begin();
	CUstream a, b;
	CUdeviceptr p;
	CUevent e;
	CUgraph g;

	OK(cuMemAlloc_v2, &p, 64);
	OK(cuStreamCreate, &a, 0);
	OK(cuStreamCreate, &b, 0);
	OK(cuEventCreate, &e, 0);
	FAILS(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, cuStreamBeginCapture_v2, NULL, 0);
	FAILS(CUDA_ERROR_ILLEGAL_STATE, cuStreamEndCapture, a, &g);

	OK(cuStreamBeginCapture_v2, a, CU_STREAM_CAPTURE_MODE_RELAXED);
	FAILS(CUDA_ERROR_ILLEGAL_STATE, cuStreamBeginCapture_v2, a, 0);
	FAILS(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, cuStreamSynchronize, a);
	FAILS(CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, cuMemsetD8Async, p, 0, 1, a);
	FAILS(CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, cuStreamEndCapture, a, &g);
	g_assert_null(g);

	OK(cuStreamBeginCapture_v2, a, CU_STREAM_CAPTURE_MODE_RELAXED);
	FAILS(CUDA_ERROR_STREAM_CAPTURE_IMPLICIT, cuMemsetD8Async, p, 0, 1, NULL);
	FAILS(CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, cuStreamEndCapture, a, &g);

	OK(cuStreamBeginCapture_v2, a, CU_STREAM_CAPTURE_MODE_RELAXED);
	OK(cuEventRecord, e, a);
	OK(cuStreamWaitEvent, b, e, 0);
	OK(cuMemsetD8Async, p, 0, 1, b);
	FAILS(CUDA_ERROR_STREAM_CAPTURE_UNJOINED, cuStreamEndCapture, a, &g);
	OK(cuEventQuery, e);

	OK(cuStreamBeginCapture_v2, a, CU_STREAM_CAPTURE_MODE_RELAXED);
	OK(cuEventRecord, e, a);
	OK(cuStreamWaitEvent, b, e, 0);
	FAILS(CUDA_ERROR_STREAM_CAPTURE_UNMATCHED, cuStreamEndCapture, b, &g);
	FAILS(CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, cuStreamEndCapture, a, &g);

	OK(cuStreamBeginCapture_v2, a, CU_STREAM_CAPTURE_MODE_RELAXED);
	OK(cuEventRecord, e, a);
	OK(cuStreamWaitEvent, b, e, 0);
	OK(cuStreamDestroy_v2, a);
	OK(cuStreamSynchronize, b);
	context_end(ctx);
}

/* Graphs within graphs end somewhere. */
static void nested(void)
{
	CUcontext ctx = context_begin();
	CUgraphNode node;
	CUgraph g[64], child;
	CUgraphExec exec;
	CUresult err = CUDA_SUCCESS;
	int depth;

	OK(cuGraphCreate, &g[0], 0);
	OK(cuGraphAddEmptyNode, &node, g[0], NULL, 0);
	for (depth = 1; depth < 64 && !err; depth++) {
		OK(cuGraphCreate, &g[depth], 0);
		for (int i = 0; i < 3 && !err; i++)
			err = CALL(cuGraphAddChildGraphNode, &node, g[depth], NULL, 0,
				   g[depth - 1]);
	}
	g_assert_cmpint(err, ==, CUDA_ERROR_OUT_OF_MEMORY);
	g_assert_cmpint(depth, <, 32);
	OK(cuGraphGetNodes, g[2], &node, &(size_t){1});
	OK(cuGraphChildGraphNodeGetGraph, node, &child);
	FAILS(CUDA_ERROR_INVALID_VALUE, cuGraphDestroy, child);
	OK(cuGraphInstantiateWithFlags, &exec, g[5], 0);
	OK(cuGraphLaunch, exec, NULL);
	while (depth--)
		OK(cuGraphDestroy, g[depth]);
	context_end(ctx);
}

void add_graph_tests(void)
{
	g_test_add_func("/cpu-driver/graph/by-hand", by_hand);
	g_test_add_func("/cpu-driver/graph/captured", captured);
	g_test_add_func("/cpu-driver/graph/spoilt", spoilt);
	g_test_add_func("/cpu-driver/graph/nested", nested);
}
