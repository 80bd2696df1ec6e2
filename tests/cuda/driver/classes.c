// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * One thing of each kind, with as little else as there can be: a context, which is
 * memory, and nothing but what the case is named after.  Where somebody may not do
 * everything these tell what he may (tests/vm/test_matrix.py).
 */
#include <string.h>

#include "harness.h"

#define BYTES 4096u

static void begin(void)
{
	start_driver();
	CK(cuDevicePrimaryCtxRetain(&context, device));
	CK(cuCtxSetCurrent(context));
}

static void any(void)
{
	size_t total = 0;

	start_driver();
	CK(cuDeviceTotalMem(&total, device));
	CHECK(total > 0);
}

static void memory(void)
{
	unsigned char there[BYTES], back[BYTES] = {0};
	CUdeviceptr p, q;
	CUstream s;
	CUevent e;

	begin();
	memset(there, 7, sizeof(there));
	CK(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
	CK(cuEventCreate(&e, 0));
	p = device_alloc(BYTES);
	CK(cuMemAllocAsync(&q, BYTES, s));
	CK(cuMemcpyHtoDAsync(p, there, BYTES, s));
	CK(cuMemcpyDtoDAsync(q, p, BYTES, s));
	CK(cuMemsetD8Async(q, 9, 1, s));
	CK(cuEventRecord(e, s));
	CK(cuEventSynchronize(e));
	CK(cuMemcpyDtoH(back, q, BYTES));
	there[0] = 9;
	CHECK(!memcmp(back, there, BYTES));
	CK(cuMemFreeAsync(q, s));
	CK(cuMemFree(p));
	CK(cuStreamSynchronize(s));
}

static void kernels(void)
{
	CUdeviceptr p;

	start();
	p = device_alloc(BYTES);
	fill_words(p, 3, BYTES / 4, NULL);
	expect_words(p, 3, BYTES / 4);
}

static void graphs(void)
{
	CUDA_MEMSET_NODE_PARAMS fill = {
		.value = 5, .elementSize = 4, .width = BYTES / 4, .height = 1};
	CUgraphNode node;
	CUgraphExec exec;
	CUgraph graph;

	begin();
	fill.dst = device_alloc(BYTES);
	CK(cuGraphCreate(&graph, 0));
	CK(cuGraphAddMemsetNode(&node, graph, NULL, 0, &fill, context));
	CK(cuGraphInstantiate(&exec, graph, 0));
	CK(cuGraphLaunch(exec, NULL));
	CK(cuCtxSynchronize());
	expect_words(fill.dst, 5, BYTES / 4);
}

static void count(void *opaque)
{
	__atomic_add_fetch((int *)opaque, 1, __ATOMIC_SEQ_CST);
}

static void callbacks(void)
{
	static int called;

	begin();
	CK(cuLaunchHostFunc(NULL, count, &called));
	CK(cuCtxSynchronize());
	CHECK_EQ(__atomic_load_n(&called, __ATOMIC_SEQ_CST), 1);
}

static void pinned(void)
{
	unsigned char *host = NULL;
	CUdeviceptr p;

	begin();
	CK(cuMemHostAlloc((void **)&host, BYTES, 0));
	memset(host, 4, BYTES);
	p = device_alloc(BYTES);
	CK(cuMemcpyHtoD(p, host, BYTES));
	expect_words(p, 0x04040404, BYTES / 4);
	CK(cuMemFreeHost(host));
}

const struct test_case classes_cases[] = {
	{"any", any, ANYWHERE},
	{"memory", memory, ANYWHERE},
	{"kernels", kernels, ANYWHERE},
	{"graphs", graphs, ANYWHERE},
	{"callbacks", callbacks, ANYWHERE},
	{"pinned", pinned, ANYWHERE},
	{0},
};
