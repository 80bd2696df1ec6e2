// SPDX-License-Identifier: GPL-2.0-or-later
/* Streams and events: order, time, waiting for values in memory. */
#include <stdlib.h>
#include <unistd.h>

#include "harness.h"

#define MS 1000000ull

static void spin_for(unsigned long long nanoseconds, CUstream stream)
{
	void *args[] = {&nanoseconds};

	CK(cuLaunchKernel(kernel("delay"), 1, 1, 1, 1, 1, 1, 0, stream, args, NULL));
}

static void create(void)
{
	CUstream a, b, c;
	unsigned int flags = 9;
	int priority = 9, least, greatest;
	CUcontext of = NULL;
	unsigned long long id1 = 0, id2 = 0;

	start();
	CK(cuStreamCreate(&a, CU_STREAM_DEFAULT));
	CK(cuStreamCreate(&b, CU_STREAM_NON_BLOCKING));
	CHECK(a && b && a != b);
	CK(cuStreamGetFlags(b, &flags));
	CHECK_EQ(flags, CU_STREAM_NON_BLOCKING);
	CK(cuCtxGetStreamPriorityRange(&least, &greatest));
	CK(cuStreamCreateWithPriority(&c, CU_STREAM_NON_BLOCKING, greatest));
	CK(cuStreamGetPriority(c, &priority));
	CHECK(priority == greatest);
	CK(cuStreamGetCtx(a, &of));
	CHECK(of == context);
	CK(cuStreamGetId(a, &id1));
	CK(cuStreamGetId(b, &id2));
	CHECK(id1 != id2);
	EXPECT(cuStreamCreate(&a, 0x100), CUDA_ERROR_INVALID_VALUE);
	CK(cuStreamDestroy(b));
	CK(cuStreamDestroy(c));
}

/* A launch comes back at once; query and synchronise say when it is done. */
static void does_not_wait(void)
{
	unsigned int *gate;
	double began;
	CUstream s;

	start();
	CK(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
	gate = gate_new();
	CK(cuStreamQuery(s));
	gate_close(gate, s);
	EXPECT(cuStreamQuery(s), CUDA_ERROR_NOT_READY);
	gate_open(gate);
	CK(cuStreamSynchronize(s));
	CK(cuStreamQuery(s));
	began = now();
	spin_for(100 * MS, s);
	CK(cuStreamSynchronize(s));
	CHECK(now() - began >= 0.099);
}

static void order(void)
{
	unsigned int n = 100000;
	CUdeviceptr p;
	CUstream s;

	start();
	CK(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
	p = device_alloc(n * 4);
	spin_for(50 * MS, s);
	for (unsigned int i = 0; i < 200; i++)
		fill_words(p, i, n, s);
	CK(cuStreamSynchronize(s));
	expect_words(p, 199, n);
}

static void events(void)
{
	CUstream s, t;
	CUevent begin, end, plain;
	float ms = -1;
	unsigned int n = 1000, *gate;
	CUdeviceptr p;

	start();
	CK(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
	CK(cuStreamCreate(&t, CU_STREAM_NON_BLOCKING));
	CK(cuEventCreate(&begin, CU_EVENT_DEFAULT));
	CK(cuEventCreate(&end, CU_EVENT_BLOCKING_SYNC));
	CK(cuEventCreate(&plain, CU_EVENT_DISABLE_TIMING));
	CK(cuEventQuery(plain)); /* never recorded: nothing to wait for */
	gate = gate_new();
	CK(cuEventRecord(begin, s));
	spin_for(100 * MS, s);
	gate_close(gate, s);
	CK(cuEventRecord(end, s));
	EXPECT(cuEventQuery(end), CUDA_ERROR_NOT_READY);
	gate_open(gate);
	CK(cuEventSynchronize(end));
	CK(cuEventQuery(end));
	CK(cuEventElapsedTime(&ms, begin, end));
	CHECK(ms >= 99);
	CK(cuEventRecord(plain, s));
	CK(cuEventSynchronize(plain));
	EXPECT(cuEventElapsedTime(&ms, begin, plain), CUDA_ERROR_INVALID_HANDLE);
	/* One stream waits for the other. */
	p = device_alloc(n * 4);
	spin_for(100 * MS, s);
	fill_words(p, 1, n, s);
	CK(cuEventRecordWithFlags(plain, s, CU_EVENT_RECORD_DEFAULT));
	CK(cuStreamWaitEvent(t, plain, 0));
	fill_words(p, 2, n, t);
	CK(cuStreamSynchronize(t));
	CK(cuStreamQuery(s));
	expect_words(p, 2, n);
	CK(cuEventDestroy(begin));
	CK(cuEventDestroy(end));
	CK(cuEventDestroy(plain));
	EXPECT(cuEventCreate(&end, 0x100), CUDA_ERROR_INVALID_VALUE);
}

/* A stream destroyed with work in it finishes that work. */
static void destroyed_early(void)
{
	unsigned int n = 1000;
	CUdeviceptr p;
	CUstream s;

	start();
	p = device_alloc(n * 4);
	CK(cuMemsetD32(p, 0, n));
	CK(cuCtxSynchronize());
	CK(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
	spin_for(100 * MS, s);
	fill_words(p, 77, n, s);
	CK(cuStreamDestroy(s));
	CK(cuCtxSynchronize());
	expect_words(p, 77, n);
}

static void wait_and_write(void)
{
	CUstream s, t;
	CUdeviceptr flag, data;
	cuuint64_t value = 0;
	unsigned int n = 256;

	start();
	flag = device_alloc(16);
	data = device_alloc(n * 4);
	CK(cuMemsetD8(flag, 0, 16));
	/* Loaded now: that may wait for every stream. */
	fill_words(data, 0, n, NULL);
	CK(cuCtxSynchronize());
	CK(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
	CK(cuStreamCreate(&t, CU_STREAM_NON_BLOCKING));
	CK(cuStreamWaitValue64(s, flag, 5, CU_STREAM_WAIT_VALUE_GEQ));
	fill_words(data, 3, n, s);
	CK(cuStreamWriteValue32(s, flag + 8, 99, CU_STREAM_WRITE_VALUE_DEFAULT));
	usleep(50000);
	EXPECT(cuStreamQuery(s), CUDA_ERROR_NOT_READY);
	CK(cuStreamWriteValue64(t, flag, 6, CU_STREAM_WRITE_VALUE_DEFAULT));
	CK(cuStreamSynchronize(s));
	expect_words(data, 3, n);
	CK(cuMemcpyDtoH(&value, flag + 8, 8));
	CHECK_EQ(value, 99);
}

/*
 * A thread without a context may use streams and events, and give back what was
 * made; also that of a context which is not the current one.
 */
static void without_context(void)
{
	unsigned int n = 64, flags = 9;
	CUcontext other, popped;
	CUstream s, t;
	CUgraphExec exec;
	CUdeviceptr p, q;
	CUgraph graph;
	CUevent event;

	start();
	p = device_alloc(n * 4);
	q = device_alloc(32 << 20);
	CK(cuMemsetD32(p, 0, n));
	CK(cuCtxSynchronize()); /* which the streams below do not wait for */
	CK(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
	CK(cuStreamCreate(&t, CU_STREAM_NON_BLOCKING));
	CK(cuEventCreate(&event, CU_EVENT_DEFAULT));
	CK(cuGraphCreate(&graph, 0));
	CK(cuGraphInstantiate(&exec, graph, 0));
	CK(cuMemsetD32Async(p, 8, n, s));
	CK(cuCtxPopCurrent(&popped));
	EXPECT(cuCtxSynchronize(), CUDA_ERROR_INVALID_CONTEXT);
	EXPECT(cuStreamQuery(NULL), CUDA_ERROR_INVALID_CONTEXT);
	EXPECT(cuEventRecord(event, NULL), CUDA_ERROR_INVALID_CONTEXT);
	CK(cuEventRecord(event, s));
	CK(cuStreamWaitEvent(t, event, 0));
	CK(cuEventSynchronize(event));
	CK(cuEventQuery(event));
	CK(cuStreamSynchronize(t));
	CK(cuStreamQuery(s));
	CK(cuStreamGetFlags(s, &flags));
	CHECK_EQ(flags, CU_STREAM_NON_BLOCKING);
	CK(cuGraphLaunch(exec, s));
	CK(cuGraphExecDestroy(exec));
	CK(cuGraphDestroy(graph));
	CK(cuEventDestroy(event));
	CK(cuMemFree(q));
	CK(cuStreamDestroy(s));
	CK(cuCtxPushCurrent(popped));
	expect_words(p, 8, n); /* and nothing is left to be reported here */
	CHECK(cuStreamQuery(s) != CUDA_SUCCESS);
	CK(cuCtxCreate(&other, NULL, 0, device));
	CK(cuMemsetD32Async(p, 9, n, t));
	CK(cuStreamDestroy(t));
	CK(cuCtxPopCurrent(&other));
	CK(cuCtxSynchronize());
	expect_words(p, 9, n);
	CK(cuCtxDestroy(other));
}

/* While one stream is busy, another one's work is done: calls do not queue behind waits. */
static void independent(void)
{
	unsigned int n = 1000;
	CUstream busy, other;
	unsigned int *gate;
	CUdeviceptr p;

	start();
	p = device_alloc(n * 4);
	CK(cuStreamCreate(&busy, CU_STREAM_NON_BLOCKING));
	CK(cuStreamCreate(&other, CU_STREAM_NON_BLOCKING));
	gate = gate_new();
	gate_close(gate, busy);
	for (unsigned int i = 1; i <= 20; i++) {
		fill_words(p, i, n, other);
		CK(cuStreamSynchronize(other));
	}
	EXPECT(cuStreamQuery(busy), CUDA_ERROR_NOT_READY);
	gate_open(gate);
	CK(cuStreamSynchronize(busy));
	expect_words(p, 20, n);
}

const struct test_case stream_cases[] = {
	{"create", create, ANYWHERE},
	{"does_not_wait", does_not_wait, ANYWHERE},
	{"order", order, ANYWHERE},
	{"events", events, ANYWHERE},
	{"destroyed_early", destroyed_early, ANYWHERE},
	{"wait_and_write", wait_and_write, COMPLETE},
	{"without_context", without_context, COMPLETE},
	{"independent", independent, ANYWHERE},
	{0},
};
