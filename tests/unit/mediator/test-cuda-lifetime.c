/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Handles go when the driver's object does, however that comes about. */
#include <glib.h>
#include <string.h>

#include "cuda-calls.h"
#include "waits.h"

#define HANDLE(type, index) vgpu_cuda_handle(VGPU_CUDA_##type, 1, index)
#define CTX HANDLE(CONTEXT, 1)
#define OTHER HANDLE(CONTEXT, 2)
#define STREAM HANDLE(STREAM, 3)
#define GRAPH HANDLE(GRAPH, 10)
#define CHILD HANDLE(GRAPH, 11)
#define CLONE HANDLE(GRAPH, 12)

#define RESULT(...) CALL(__VA_ARGS__)->result
#define OK(...) g_assert_cmpint(RESULT(__VA_ARGS__), ==, CUDA_SUCCESS)
#define IS(want, ...) g_assert_cmpint(RESULT(__VA_ARGS__), ==, want)
#define GONE(...) IS(CUDA_ERROR_INVALID_HANDLE, __VA_ARGS__)

static void start(void)
{
	calls_start();
	OK(vgpuHello, 0, REQ(vgpuHello, .version = VGPU_CUDA_VERSION));
	calls_own_output();
	OK(vgpuCtxRetainPrimary, 0, REQ(vgpuCtxRetainPrimary, .ctx = CTX));
	OK(cuStreamCreate, CTX,
	   REQ(cuStreamCreate, .phStream = STREAM, .Flags = CU_STREAM_NON_BLOCKING));
}

static void stop(void)
{
	CALL(vgpuCtxReleasePrimary, 0, REQ(vgpuCtxReleasePrimary, .ctx = CTX));
	calls_stop();
}

/* -------------------------------------------------------- graphs of captures */

static void begin_capture(void)
{
	OK(cuStreamBeginCapture_v2, CTX,
	   REQ(cuStreamBeginCapture_v2, .hStream = STREAM, .mode = CU_STREAM_CAPTURE_MODE_RELAXED));
}

/* The graph of the capture is GRAPH, with a node. */
static void name_graph(void)
{
	struct vgpu_capture_info info;
	const struct outcome *o =
		CALL(vgpuStreamCaptureInfo, CTX,
		     REQ(vgpuStreamCaptureInfo, .stream = STREAM, .graph = GRAPH));

	g_assert_cmpint(o->result, ==, CUDA_SUCCESS);
	memcpy(&info, o->data, sizeof(info));
	g_assert_cmpuint(info.graph, ==, GRAPH);
	OK(cuGraphAddEmptyNode, CTX,
	   REQ(cuGraphAddEmptyNode, .phGraphNode = HANDLE(NODE, 20), .hGraph = GRAPH));
}

static void no_graph(void)
{
	GONE(cuGraphClone, CTX, REQ(cuGraphClone, .phGraphClone = CLONE, .originalGraph = GRAPH));
	GONE(cuGraphNodeGetType, CTX, REQ(cuGraphNodeGetType, .hNode = HANDLE(NODE, 20)));
}

static CUresult end_capture(uint64_t graph)
{
	return RESULT(vgpuStreamEndCapture, CTX,
		      REQ(vgpuStreamEndCapture, .stream = STREAM, .graph = graph));
}

static void test_capture_failed(void)
{
	uint32_t live;

	start();
	live = test_worker->cuda->handles.live;
	begin_capture();
	name_graph();
	OK(cuGraphNodeGetType, CTX, REQ(cuGraphNodeGetType, .hNode = HANDLE(NODE, 20)));
	/* A question ends it; from then on nobody knows when the graph is freed. */
	IS(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, cuStreamQuery, CTX,
	   REQ(cuStreamQuery, .hStream = STREAM));
	no_graph();
	/* Under another name than the one that it has. */
	g_assert_cmpint(end_capture(CHILD), ==, CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
	no_graph();
	g_assert_cmpuint(test_worker->cuda->handles.live, ==, live);
	g_assert_cmpuint(test_worker->cuda->captures, ==, 0);
	stop();
}

static void test_capture_lost(void)
{
	start();
	begin_capture();
	name_graph();
	OK(cuStreamDestroy_v2, CTX, REQ(cuStreamDestroy_v2, .hStream = STREAM));
	no_graph();
	g_assert_cmpuint(test_worker->cuda->captures, ==, 0);
	stop();
}

static void test_capture_kept(void)
{
	start();
	begin_capture();
	name_graph();
	IS(CUDA_ERROR_ILLEGAL_STATE, cuGraphDestroy, CTX, REQ(cuGraphDestroy, .hGraph = GRAPH));
	g_assert_cmpint(end_capture(GRAPH), ==, CUDA_SUCCESS);
	/* The program's own now. */
	OK(cuStreamDestroy_v2, CTX, REQ(cuStreamDestroy_v2, .hStream = STREAM));
	OK(cuGraphNodeGetType, CTX, REQ(cuGraphNodeGetType, .hNode = HANDLE(NODE, 20)));
	OK(cuGraphDestroy, CTX, REQ(cuGraphDestroy, .hGraph = GRAPH));
	no_graph();
	stop();
}

static void test_capture_to_graph(void)
{
	start();
	OK(cuGraphCreate, CTX, REQ(cuGraphCreate, .phGraph = GRAPH));
	OK(cuStreamBeginCaptureToGraph, CTX,
	   REQ(cuStreamBeginCaptureToGraph, .hStream = STREAM, .hGraph = GRAPH,
	       .mode = CU_STREAM_CAPTURE_MODE_RELAXED));
	IS(CUDA_ERROR_ILLEGAL_STATE, cuGraphDestroy, CTX, REQ(cuGraphDestroy, .hGraph = GRAPH));
	IS(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, cuStreamQuery, CTX,
	   REQ(cuStreamQuery, .hStream = STREAM));
	g_assert_cmpint(end_capture(CHILD), ==, CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
	GONE(cuGraphClone, CTX, REQ(cuGraphClone, .phGraphClone = CLONE, .originalGraph = GRAPH));
	stop();
}

/* ---------------------------------------------------- graphs within, and clones */

/* GRAPH has a node 30 with a graph in it, which is CHILD. */
static void make_child(void)
{
	OK(cuGraphCreate, CTX, REQ(cuGraphCreate, .phGraph = GRAPH));
	OK(cuGraphCreate, CTX, REQ(cuGraphCreate, .phGraph = CLONE));
	OK(cuGraphAddChildGraphNode, CTX,
	   REQ(cuGraphAddChildGraphNode, .phGraphNode = HANDLE(NODE, 30), .hGraph = GRAPH,
	       .childGraph = CLONE));
	OK(cuGraphDestroy, CTX, REQ(cuGraphDestroy, .hGraph = CLONE));
	OK(vgpuGraphChild, CTX, REQ(vgpuGraphChild, .node = HANDLE(NODE, 30), .fresh = CHILD));
}

/* Whether a driver refuses it by itself is not to matter. */
static CUresult CUDAAPI not_called(CUgraph graph)
{
	(void)graph;
	g_assert_not_reached();
}

static void test_child(void)
{
	struct cuda_driver *drv;
	CUresult(CUDAAPI * destroy)(CUgraph);

	start();
	make_child();
	drv = (struct cuda_driver *)test_worker->cuda->drv;
	destroy = drv->cuGraphDestroy;
	drv->cuGraphDestroy = not_called;
	IS(CUDA_ERROR_INVALID_VALUE, cuGraphDestroy, CTX, REQ(cuGraphDestroy, .hGraph = CHILD));
	drv->cuGraphDestroy = destroy;
	IS(CUDA_ERROR_INVALID_VALUE, cuStreamBeginCaptureToGraph, CTX,
	   REQ(cuStreamBeginCaptureToGraph, .hStream = STREAM, .hGraph = CHILD,
	       .mode = CU_STREAM_CAPTURE_MODE_RELAXED));
	OK(cuGraphAddEmptyNode, CTX,
	   REQ(cuGraphAddEmptyNode, .phGraphNode = HANDLE(NODE, 31), .hGraph = CHILD));
	OK(cuGraphDestroy, CTX, REQ(cuGraphDestroy, .hGraph = GRAPH));
	GONE(cuGraphClone, CTX, REQ(cuGraphClone, .phGraphClone = CLONE, .originalGraph = CHILD));
	GONE(cuGraphNodeGetType, CTX, REQ(cuGraphNodeGetType, .hNode = HANDLE(NODE, 31)));
	stop();
}

static void find_in_clone(uint64_t fresh)
{
	OK(cuGraphNodeFindInClone, CTX,
	   REQ(cuGraphNodeFindInClone, .phNode = fresh, .hOriginalNode = HANDLE(NODE, 30),
	       .hClonedGraph = CLONE));
}

/* A node that has two handles goes by either, and so does what is in it. */
static void test_node_twice(void)
{
	const uint64_t a = HANDLE(NODE, 40), b = HANDLE(NODE, 41), inner = HANDLE(GRAPH, 42);

	start();
	make_child();
	OK(cuGraphClone, CTX, REQ(cuGraphClone, .phGraphClone = CLONE, .originalGraph = GRAPH));
	find_in_clone(a);
	find_in_clone(b);
	OK(vgpuGraphChild, CTX, REQ(vgpuGraphChild, .node = a, .fresh = inner));
	OK(cuGraphNodeGetType, CTX, REQ(cuGraphNodeGetType, .hNode = b));
	OK(cuGraphDestroyNode, CTX, REQ(cuGraphDestroyNode, .hNode = b));
	GONE(cuGraphNodeGetType, CTX, REQ(cuGraphNodeGetType, .hNode = a));
	GONE(cuGraphNodeGetType, CTX, REQ(cuGraphNodeGetType, .hNode = b));
	GONE(cuGraphClone, CTX,
	     REQ(cuGraphClone, .phGraphClone = HANDLE(GRAPH, 43), .originalGraph = inner));
	OK(cuGraphNodeGetType, CTX, REQ(cuGraphNodeGetType, .hNode = HANDLE(NODE, 30)));
	OK(cuGraphDestroy, CTX, REQ(cuGraphDestroy, .hGraph = CLONE));
	stop();
}

/* -------------------------------------------------------- of two owners, or two names */

static const char ptx[] = ".version 6.0\n.target sm_50\n.address_size 64\n"
			  ".visible .entry empty()\n{\nret;\n}\n";
#define LIBRARY HANDLE(LIBRARY, 50)
#define KERNEL HANDLE(KERNEL, 51)

static void load_library(void)
{
	QUIET(vgpuBlobBegin, 0, REQ(vgpuBlobBegin, .blob = 1, .bytes = sizeof(ptx)));
	QUIET(vgpuBlobData, 0, REQ(vgpuBlobData, .blob = 1, .bytes = sizeof(ptx)),
	      {ptx, sizeof(ptx)});
	OK(vgpuLibraryLoad, 0, REQ(vgpuLibraryLoad, .library = LIBRARY, .blob = 1));
	QUIET(vgpuBlobEnd, 0, REQ(vgpuBlobEnd, .blob = 1));
	OK(vgpuLibraryGetKernel, 0,
	   REQ(vgpuLibraryGetKernel, .k = KERNEL, .library = LIBRARY, .name_length = 6),
	   {"empty", 6});
}

static void get_function(uint64_t context, uint64_t function, uint64_t module)
{
	OK(vgpuKernelGetFunction, context,
	   REQ(vgpuKernelGetFunction, .f = function, .kernel = KERNEL));
	OK(vgpuLibraryGetModule, context,
	   REQ(vgpuLibraryGetModule, .module = module, .library = LIBRARY));
	OK(cuFuncGetAttribute, context, REQ(cuFuncGetAttribute, .hfunc = function));
}

static void function_is_gone(uint64_t function, uint64_t module)
{
	GONE(cuFuncGetAttribute, CTX, REQ(cuFuncGetAttribute, .hfunc = function));
	GONE(vgpuModuleNames, CTX, REQ(vgpuModuleNames, .module = module, .bytes = 64));
}

/* What a context has of a library goes with either of them. */
static void test_kernel_function(void)
{
	const uint64_t fa = HANDLE(FUNCTION, 52), ma = HANDLE(MODULE, 53);
	const uint64_t fb = HANDLE(FUNCTION, 54), mb = HANDLE(MODULE, 55);

	start();
	OK(vgpuCtxCreate, 0, REQ(vgpuCtxCreate, .ctx = OTHER));
	load_library();
	get_function(CTX, fa, ma);
	get_function(OTHER, fb, mb);
	OK(vgpuCtxDestroy, 0, REQ(vgpuCtxDestroy, .ctx = OTHER));
	function_is_gone(fb, mb);
	OK(cuFuncGetAttribute, CTX, REQ(cuFuncGetAttribute, .hfunc = fa));
	/* The library's, not the program's. */
	IS(CUDA_ERROR_NOT_PERMITTED, cuModuleUnload, CTX, REQ(cuModuleUnload, .hmod = ma));
	OK(cuLibraryUnload, CTX, REQ(cuLibraryUnload, .library = LIBRARY));
	function_is_gone(fa, ma);
	g_assert_cmpuint(test_worker->cuda->handles.bound, ==, 0);
	load_library();
	get_function(CTX, fa, ma);
	OK(vgpuCtxResetPrimary, 0, REQ(vgpuCtxResetPrimary, .dev = 0));
	OK(vgpuCtxRetainPrimary, 0, REQ(vgpuCtxRetainPrimary, .ctx = CTX));
	function_is_gone(fa, ma);
	OK(cuLibraryUnload, CTX, REQ(cuLibraryUnload, .library = LIBRARY));
	stop();
}

/* The refusal does not wait for the context, nor comes a second time. */
static void test_library_module(void)
{
	const uint64_t module = HANDLE(MODULE, 53);
	struct vgpu_cuMemAlloc_v2_rsp gate;
	const struct outcome *o;

	start();
	load_library();
	OK(vgpuLibraryGetModule, CTX,
	   REQ(vgpuLibraryGetModule, .module = module, .library = LIBRARY));
	o = CALL(cuMemAlloc_v2, CTX, REQ(cuMemAlloc_v2, .bytesize = 4));
	memcpy(&gate, o->data, sizeof(gate));
	memset((void *)(uintptr_t)gate.dptr, 0, 4);
	OK(cuStreamWaitValue32_v2, CTX,
	   REQ(cuStreamWaitValue32_v2, .stream = STREAM, .addr = gate.dptr, .value = 1));
	IS(CUDA_ERROR_NOT_PERMITTED, cuModuleUnload, CTX, REQ(cuModuleUnload, .hmod = module));
	OK(cuStreamWriteValue32_v2, CTX,
	   REQ(cuStreamWriteValue32_v2, .addr = gate.dptr, .value = 1));
	OK(cuStreamSynchronize, CTX, REQ(cuStreamSynchronize, .hStream = STREAM));
	g_assert_cmpuint(test_worker->cuda->waits->n, ==, 0);
	stop();
}

/* One handle a context: what is kept of its streams stands with that. */
static void test_primary_twice(void)
{
	start();
	IS(CUDA_ERROR_INVALID_VALUE, vgpuCtxRetainPrimary, 0,
	   REQ(vgpuCtxRetainPrimary, .ctx = OTHER));
	GONE(vgpuCtxReleasePrimary, 0, REQ(vgpuCtxReleasePrimary, .ctx = OTHER));
	OK(cuStreamSynchronize, CTX, REQ(cuStreamSynchronize, .hStream = STREAM));
	OK(vgpuCtxReleasePrimary, 0, REQ(vgpuCtxReleasePrimary, .ctx = CTX));
	OK(vgpuCtxRetainPrimary, 0, REQ(vgpuCtxRetainPrimary, .ctx = OTHER));
	OK(vgpuCtxReleasePrimary, 0, REQ(vgpuCtxReleasePrimary, .ctx = OTHER));
	stop();
}

static void test_pool_twice(void)
{
	const uint64_t a = HANDLE(MEMPOOL, 60), b = HANDLE(MEMPOOL, 61);
	const CUmemPoolProps props = {.allocType = CU_MEM_ALLOCATION_TYPE_PINNED,
				      .location = {.type = CU_MEM_LOCATION_TYPE_DEVICE}};

	uint32_t live;

	start();
	live = test_worker->cuda->handles.live;
	OK(cuMemPoolCreate, CTX, REQ(cuMemPoolCreate, .pool = a), {&props, sizeof(props)});
	OK(cuDeviceSetMemPool, CTX, REQ(cuDeviceSetMemPool, .pool = a));
	OK(vgpuDevicePool, CTX, REQ(vgpuDevicePool, .pool = b, .which = VGPU_POOL_CURRENT));
	OK(cuMemPoolTrimTo, CTX, REQ(cuMemPoolTrimTo, .pool = b));
	OK(cuMemPoolDestroy, CTX, REQ(cuMemPoolDestroy, .pool = b));
	GONE(cuMemPoolTrimTo, CTX, REQ(cuMemPoolTrimTo, .pool = b));
	GONE(cuMemPoolTrimTo, CTX, REQ(cuMemPoolTrimTo, .pool = a));
	g_assert_cmpuint(test_worker->cuda->handles.live, ==, live);
	stop();
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/mediator/cuda-lifetime/capture-failed", test_capture_failed);
	g_test_add_func("/mediator/cuda-lifetime/capture-lost", test_capture_lost);
	g_test_add_func("/mediator/cuda-lifetime/capture-kept", test_capture_kept);
	g_test_add_func("/mediator/cuda-lifetime/capture-to-graph", test_capture_to_graph);
	g_test_add_func("/mediator/cuda-lifetime/child", test_child);
	g_test_add_func("/mediator/cuda-lifetime/node-twice", test_node_twice);
	g_test_add_func("/mediator/cuda-lifetime/kernel-function", test_kernel_function);
	g_test_add_func("/mediator/cuda-lifetime/library-module", test_library_module);
	g_test_add_func("/mediator/cuda-lifetime/primary-twice", test_primary_twice);
	g_test_add_func("/mediator/cuda-lifetime/pool-twice", test_pool_twice);
	return g_test_run();
}
