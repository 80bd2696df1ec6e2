// SPDX-License-Identifier: GPL-2.0-or-later
/* Using up what there is: an error, and afterwards everything works. */
#include <stdlib.h>

#include "harness.h"

static void works(void)
{
	CUdeviceptr p = device_alloc(64);

	fill_words(p, 6, 16, NULL);
	expect_words(p, 6, 16);
	CK(cuMemFree(p));
}

static void memory(void)
{
	enum { MOST = 4096 };
	static CUdeviceptr p[MOST];
	size_t free_bytes, total, piece;
	CUresult r = CUDA_SUCCESS;
	int n = 0;

	start();
	works();
	CK(cuMemGetInfo(&free_bytes, &total));
	piece = free_bytes / 64;
	while (n < MOST && (r = cuMemAlloc(&p[n], piece)) == CUDA_SUCCESS)
		n++;
	CHECK_EQ(r, CUDA_ERROR_OUT_OF_MEMORY);
	CHECK(n >= 32);
	while (n)
		CK(cuMemFree(p[--n]));
	works();
}

static void events(void)
{
	enum { MANY = 20000 };
	static CUevent event[MANY];
	int n = 0;

	start();
	while (n < MANY && cuEventCreate(&event[n], CU_EVENT_DISABLE_TIMING) == CUDA_SUCCESS)
		n++;
	CHECK(n >= 1000);
	works();
	while (n)
		CK(cuEventDestroy(event[--n]));
	works();
}

static void streams(void)
{
	enum { MANY = 500 };
	static CUstream stream[MANY];
	int n = 0;

	start();
	while (n < MANY && cuStreamCreate(&stream[n], CU_STREAM_NON_BLOCKING) == CUDA_SUCCESS)
		n++;
	CHECK(n >= 100);
	works();
	while (n)
		CK(cuStreamDestroy(stream[--n]));
	works();
}

static void small_allocations(void)
{
	enum { MANY = 5000 };
	static CUdeviceptr p[MANY];

	start();
	for (int i = 0; i < MANY; i++)
		p[i] = device_alloc(512);
	for (int i = 0; i < MANY; i += 500)
		fill_words(p[i], i, 128, NULL);
	for (int i = 0; i < MANY; i += 500)
		expect_words(p[i], i, 128);
	for (int i = 0; i < MANY; i++)
		CK(cuMemFree(p[i]));
	works();
}

/* The queue fills behind a busy kernel; nothing is lost. */
static void queue(void)
{
	unsigned long long nanoseconds = 500000000;
	void *busy[] = {&nanoseconds};
	unsigned int n = 16, launches = 5000;
	CUdeviceptr p;
	CUstream s;
	void *args[] = {&p, &n};
	CUfunction f;

	start();
	p = device_alloc(64);
	f = kernel("increment");
	CK(cuMemsetD32(p, 0, n));
	CK(cuCtxSynchronize());
	CK(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
	CK(cuLaunchKernel(kernel("delay"), 1, 1, 1, 1, 1, 1, 0, s, busy, NULL));
	for (unsigned int i = 0; i < launches; i++)
		CK(cuLaunchKernel(f, 1, 1, 1, 32, 1, 1, 0, s, args, NULL));
	CK(cuStreamSynchronize(s));
	expect_words(p, launches, n);
}

/* --------------------------------------------------- each way to have memory */

/* The size that the device has not got any more: whole rows of pitches and arrays. */
static size_t piece;
/* The longest row of a mipmapped array: of shorter ones it would be more than there may be. */
#define ARRAY_WIDTH 32768u
#define ROW_BYTES (ARRAY_WIDTH * 4 * sizeof(float))

static CUresult by_alloc(void)
{
	CUdeviceptr p;

	return cuMemAlloc(&p, piece);
}

static CUresult by_pitch(void)
{
	size_t pitch, width = 65536;
	CUdeviceptr p;

	return cuMemAllocPitch(&p, &pitch, width, piece / width, 4);
}

static CUresult by_stream(void)
{
	CUdeviceptr p;

	return cuMemAllocAsync(&p, piece, NULL);
}

static CUresult by_pool(void)
{
	CUmemPoolProps props = {.allocType = CU_MEM_ALLOCATION_TYPE_PINNED,
				.location = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = device}};
	CUmemoryPool pool;
	CUdeviceptr p;

	CK(cuMemPoolCreate(&pool, &props));
	return cuMemAllocFromPoolAsync(&p, piece, pool, NULL);
}

static CUresult by_handle(void)
{
	CUmemAllocationProp props = {
		.type = CU_MEM_ALLOCATION_TYPE_PINNED,
		.location = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = device}};
	CUmemGenericAllocationHandle handle;
	size_t grain;

	CK(cuMemGetAllocationGranularity(&grain, &props, CU_MEM_ALLOC_GRANULARITY_MINIMUM));
	return cuMemCreate(&handle, (piece + grain - 1) / grain * grain, &props, 0);
}

static CUresult by_array(void)
{
	CUDA_ARRAY_DESCRIPTOR d = {
		.Width = ARRAY_WIDTH, .Format = CU_AD_FORMAT_FLOAT, .NumChannels = 4};
	CUarray array;

	d.Height = piece / ROW_BYTES;
	return cuArrayCreate(&array, &d);
}

static CUresult by_mipmapped_array(void)
{
	CUDA_ARRAY3D_DESCRIPTOR d = {
		.Width = ARRAY_WIDTH, .Format = CU_AD_FORMAT_FLOAT, .NumChannels = 4};
	CUmipmappedArray array;

	d.Height = piece / ROW_BYTES;
	return cuMipmappedArrayCreate(&array, &d, 2);
}

/* It is up to the driver which of these is too much. */
static CUresult run_graph(CUgraph graph)
{
	CUgraphExec exec;
	CUresult r = cuGraphInstantiate(&exec, graph, 0);

	if (r == CUDA_SUCCESS)
		r = cuGraphLaunch(exec, NULL);
	return r == CUDA_SUCCESS ? cuCtxSynchronize() : r;
}

static CUresult by_graph(void)
{
	CUDA_MEM_ALLOC_NODE_PARAMS p = {
		.poolProps = {.allocType = CU_MEM_ALLOCATION_TYPE_PINNED,
			      .location = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = device}},
		.bytesize = piece};
	CUgraphNode node;
	CUgraph graph;
	CUresult r;

	CK(cuGraphCreate(&graph, 0));
	r = cuGraphAddMemAllocNode(&node, graph, NULL, 0, &p);
	return r == CUDA_SUCCESS ? run_graph(graph) : r;
}

static CUresult by_capture(void)
{
	CUgraph graph = NULL;
	CUdeviceptr p;
	CUstream s;
	CUresult r;

	CK(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
	CK(cuStreamBeginCapture(s, CU_STREAM_CAPTURE_MODE_RELAXED));
	r = cuMemAllocAsync(&p, piece, s);
	if (cuStreamEndCapture(s, &graph) == CUDA_SUCCESS && r == CUDA_SUCCESS)
		r = run_graph(graph);
	return r;
}

static const struct way {
	const char *name;
	CUresult (*ask)(void);
} ways[] = {
	{"cuMemAlloc", by_alloc},
	{"cuMemAllocPitch", by_pitch},
	{"cuMemAllocAsync", by_stream},
	{"cuMemAllocFromPoolAsync", by_pool},
	{"cuMemCreate", by_handle},
	{"cuArrayCreate", by_array},
	{"cuMipmappedArrayCreate", by_mipmapped_array},
	{"cuGraphAddMemAllocNode", by_graph},
	{"cuMemAllocAsync, captured", by_capture},
};

/* The same word by every way, what there is stays what it is, and then all goes on. */
static void every_way(void)
{
	enum { MOST = 4096 };
	static CUdeviceptr p[MOST];
	size_t free_bytes, total;
	int n = 0;

	start();
	works();
	CK(cuMemGetInfo(&free_bytes, &total));
	piece = free_bytes / 16 / ROW_BYTES * ROW_BYTES;
	while (n < MOST && cuMemAlloc(&p[n], piece) == CUDA_SUCCESS)
		n++;
	CHECK(n >= 8);
	for (size_t i = 0; i < sizeof(ways) / sizeof(*ways); i++) {
		CUresult r = ways[i].ask();

		if (r == CUDA_ERROR_NOT_SUPPORTED && !on_gpu)
			continue; /* a backend without a GPU may lack it */
		expect_result(__FILE__, __LINE__, ways[i].name, r, CUDA_ERROR_OUT_OF_MEMORY);
		CK(cuMemGetInfo(&free_bytes, &total));
		CHECK(free_bytes < piece);
	}
	while (n)
		CK(cuMemFree(p[--n]));
	works();
}

const struct test_case exhaustion_cases[] = {
	{"memory", memory, ANYWHERE},
	{"events", events, ANYWHERE},
	{"streams", streams, ANYWHERE},
	{"small_allocations", small_allocations, ANYWHERE},
	{"queue", queue, ANYWHERE},
	{"every_way", every_way, ANYWHERE},
	{0},
};
