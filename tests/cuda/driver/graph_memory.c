// SPDX-License-Identifier: GPL-2.0-or-later
/* Memory that graphs allocate, and who frees it: the graph, another one, or the program. */
#include <string.h>

#include "harness.h"

#define N 1000u

static CUstream stream;

static void begin(void)
{
	start();
	CK(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
}

/* A node that allocates and one that fills what it allocated; the address. */
static CUdeviceptr add_memory(CUgraph graph, unsigned int value, CUgraphNode *last)
{
	CUDA_MEM_ALLOC_NODE_PARAMS memory = {
		.poolProps = {.allocType = CU_MEM_ALLOCATION_TYPE_PINNED,
			      .location = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = device}},
		.bytesize = N * 4};
	CUDA_MEMSET_NODE_PARAMS fill = {.value = value, .elementSize = 4, .width = N, .height = 1};
	CUgraphNode made;

	CK(cuGraphAddMemAllocNode(&made, graph, NULL, 0, &memory));
	fill.dst = memory.dptr;
	CK(cuGraphAddMemsetNode(last, graph, &made, 1, &fill, context));
	return memory.dptr;
}

static void run(CUgraphExec exec)
{
	CK(cuGraphLaunch(exec, stream));
	CK(cuStreamSynchronize(stream));
}

/* Not there: before the first launch, and from a free to the next launch. */
static void expect_gone(CUdeviceptr p)
{
	unsigned int word, type;
	CUdeviceptr base;

	EXPECT(cuMemFree(p), CUDA_ERROR_INVALID_VALUE);
	EXPECT(cuMemFreeAsync(p, stream), CUDA_ERROR_INVALID_VALUE);
	EXPECT(cuMemcpyDtoH(&word, p, 4), CUDA_ERROR_INVALID_VALUE);
	EXPECT(cuMemcpyHtoD(p, &word, 4), CUDA_ERROR_INVALID_VALUE);
	EXPECT(cuPointerGetAttribute(&type, CU_POINTER_ATTRIBUTE_MEMORY_TYPE, p),
	       CUDA_ERROR_INVALID_VALUE);
	EXPECT(cuMemGetAddressRange(&base, NULL, p), CUDA_ERROR_NOT_FOUND);
}

static void expect_there(CUdeviceptr p, unsigned int value)
{
	CUdeviceptr base = 0;
	unsigned int type = 0;
	CUcontext owner = context;
	size_t size = 0;

	expect_words(p, value, N);
	CK(cuMemGetAddressRange(&base, &size, p + 100));
	CHECK_EQ(base, p);
	CHECK_EQ(size, N * 4);
	CK(cuPointerGetAttribute(&type, CU_POINTER_ATTRIBUTE_MEMORY_TYPE, p));
	CHECK_EQ(type, CU_MEMORYTYPE_DEVICE);
	CK(cuPointerGetAttribute(&owner, CU_POINTER_ATTRIBUTE_CONTEXT, p));
	CHECK(!owner);
}

/* Freed by the program, it is there again after each launch, at the same address. */
static void freed_outside(void)
{
	CUgraphExec exec, second;
	CUgraphNode last;
	CUgraph graph, copy;
	CUdeviceptr p;

	begin();
	CK(cuGraphCreate(&graph, 0));
	p = add_memory(graph, 7, &last);
	expect_gone(p);
	CK(cuGraphInstantiate(&exec, graph, 0));
	EXPECT(cuGraphInstantiate(&second, graph, 0), CUDA_ERROR_NOT_SUPPORTED);
	EXPECT(cuGraphClone(&copy, graph), CUDA_ERROR_NOT_SUPPORTED);
	expect_gone(p);
	for (int i = 0; i < 3; i++) {
		run(exec);
		expect_there(p, 7);
		EXPECT(cuGraphLaunch(exec, stream), CUDA_ERROR_INVALID_VALUE);
		expect_there(p, 7);
		CK(cuMemFreeAsync(p, stream));
		CK(cuStreamSynchronize(stream));
		expect_gone(p);
		run(exec);
		expect_there(p, 7);
		CK(cuMemFree(p));
		expect_gone(p);
		/* And with nothing between a free and a launch. */
		run(exec);
		CK(cuMemFreeAsync(p, stream));
		run(exec);
		CK(cuMemFree(p));
	}
	CK(cuGraphExecDestroy(exec));
	CK(cuGraphDestroy(graph));
	expect_gone(p);
	CK(cuCtxSynchronize());
}

/* ... also while the GPU has not come to it yet: the graph goes, the work is done. */
static void freed_early(void)
{
	unsigned int *gate;
	CUgraphNode last;
	CUgraphExec exec;
	CUgraph graph;
	CUdeviceptr p;

	begin();
	gate = gate_new();
	CK(cuGraphCreate(&graph, 0));
	p = add_memory(graph, 5, &last);
	CK(cuGraphInstantiate(&exec, graph, 0));
	CK(cuGraphLaunch(exec, stream));
	gate_close(gate, stream);
	CK(cuMemsetD32Async(p, 6, N, stream));
	CK(cuMemFreeAsync(p, stream));
	CK(cuGraphExecDestroy(exec));
	CK(cuGraphDestroy(graph));
	gate_open(gate);
	CK(cuStreamSynchronize(stream));
	expect_gone(p);
}

/* What was launched outlives the graph until it is freed. */
static void outlives(void)
{
	CUgraphNode last;
	CUgraphExec exec;
	CUgraph graph;
	CUdeviceptr p;

	begin();
	CK(cuGraphCreate(&graph, 0));
	p = add_memory(graph, 5, &last);
	CK(cuGraphInstantiate(&exec, graph, 0));
	run(exec);
	CK(cuGraphExecDestroy(exec));
	CK(cuGraphDestroy(graph));
	expect_there(p, 5);
	CK(cuMemFree(p));
	expect_gone(p);
}

static void freed_by_launch(void)
{
	CUgraphNode last;
	CUgraphExec exec;
	CUgraph graph;
	CUdeviceptr p;

	begin();
	CK(cuGraphCreate(&graph, 0));
	p = add_memory(graph, 3, &last);
	CK(cuGraphInstantiate(&exec, graph, CUDA_GRAPH_INSTANTIATE_FLAG_AUTO_FREE_ON_LAUNCH));
	for (int i = 0; i < 5; i++)
		run(exec);
	expect_there(p, 3);
	CK(cuMemFree(p));
	run(exec);
	expect_there(p, 3);
	CK(cuMemFree(p));
	CK(cuGraphExecDestroy(exec));
	CK(cuGraphDestroy(graph));
}

/* A graph that frees what it allocates can be launched again and again. */
static void freed_inside(void)
{
	CUdeviceptr p, out;
	CUgraphNode last, copied, freed;
	CUgraphExec exec;
	CUgraph graph;
	CUDA_MEMCPY3D copy = {.srcMemoryType = CU_MEMORYTYPE_DEVICE,
			      .dstMemoryType = CU_MEMORYTYPE_DEVICE,
			      .WidthInBytes = N * 4,
			      .Height = 1,
			      .Depth = 1};

	begin();
	out = device_alloc(N * 4);
	CK(cuGraphCreate(&graph, 0));
	p = add_memory(graph, 11, &last);
	copy.srcDevice = p;
	copy.dstDevice = out;
	CK(cuGraphAddMemcpyNode(&copied, graph, &last, 1, &copy, context));
	CK(cuGraphAddMemFreeNode(&freed, graph, &copied, 1, p));
	CK(cuGraphInstantiate(&exec, graph, 0));
	for (int i = 0; i < 5; i++) {
		CK(cuMemsetD32Async(out, 0, N, stream));
		run(exec);
		run(exec);
		expect_words(out, 11, N);
		expect_gone(p);
	}
	CK(cuGraphExecDestroy(exec));
	CK(cuGraphDestroy(graph));
}

/* The same by capture, allocated in one graph and freed in another. */
static void captured(void)
{
	CUgraphExec allocates, frees;
	CUgraph graph;
	CUdeviceptr p = 0;

	begin();
	CK(cuStreamBeginCapture(stream, CU_STREAM_CAPTURE_MODE_RELAXED));
	CK(cuMemAllocAsync(&p, N * 4, stream));
	CK(cuMemsetD32Async(p, 9, N, stream));
	CK(cuStreamEndCapture(stream, &graph));
	CK(cuGraphInstantiate(&allocates, graph, 0));
	CK(cuGraphDestroy(graph));
	run(allocates);
	expect_there(p, 9);
	CK(cuStreamBeginCapture(stream, CU_STREAM_CAPTURE_MODE_RELAXED));
	CK(cuMemFreeAsync(p, stream));
	CK(cuStreamEndCapture(stream, &graph));
	CK(cuGraphInstantiate(&frees, graph, 0));
	CK(cuGraphDestroy(graph));
	for (int i = 0; i < 3; i++) {
		expect_there(p, 9);
		run(frees);
		expect_gone(p);
		run(allocates);
	}
	CK(cuMemFree(p));
	expect_gone(p);
	CK(cuGraphExecDestroy(allocates));
	CK(cuGraphExecDestroy(frees));
}

/* Addresses that were a graph's serve for anything else, once it is gone. */
static void addresses_again(void)
{
	CUmemAllocationProp property = {.type = CU_MEM_ALLOCATION_TYPE_PINNED,
					.location = {.type = CU_MEM_LOCATION_TYPE_DEVICE}};
	CUmemAccessDesc access = {.location = {.type = CU_MEM_LOCATION_TYPE_DEVICE},
				  .flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE};
	CUDA_MEM_ALLOC_NODE_PARAMS memory = {
		.poolProps = {.allocType = CU_MEM_ALLOCATION_TYPE_PINNED,
			      .location = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = device}}};
	CUmemGenericAllocationHandle handle;
	CUdeviceptr p = 0, wish;
	CUgraphNode made;
	CUgraph graph;
	size_t grain = 0;

	begin();
	CK(cuMemGetAllocationGranularity(&grain, &property, CU_MEM_ALLOC_GRANULARITY_MINIMUM));
	memory.bytesize = 4 * grain;
	CK(cuGraphCreate(&graph, 0));
	CK(cuGraphAddMemAllocNode(&made, graph, NULL, 0, &memory));
	CK(cuGraphDestroy(graph));
	wish = (memory.dptr + grain - 1) / grain * grain;
	CK(cuMemAddressReserve(&p, grain, 0, wish, 0));
	if (p != wish)
		skip("the driver gives other addresses");
	CK(cuMemCreate(&handle, grain, &property, 0));
	CK(cuMemMap(p, grain, 0, handle, 0));
	CK(cuMemSetAccess(p, grain, &access, 1));
	fill_words(p, 7, N, stream);
	CK(cuStreamSynchronize(stream));
	expect_words(p, 7, N);
	CK(cuMemUnmap(p, grain));
	CK(cuMemRelease(handle));
	CK(cuMemAddressFree(p, grain));
}

const struct test_case graph_memory_cases[] = {
	{"freed_outside", freed_outside, COMPLETE},
	{"freed_early", freed_early, COMPLETE},
	{"outlives", outlives, COMPLETE},
	{"freed_by_launch", freed_by_launch, COMPLETE},
	{"freed_inside", freed_inside, COMPLETE},
	{"captured", captured, COMPLETE},
	{"addresses_again", addresses_again, COMPLETE},
	{0},
};
