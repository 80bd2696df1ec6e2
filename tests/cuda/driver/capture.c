// SPDX-License-Identifier: GPL-2.0-or-later
/* Captures: several at once, ended wrongly, and what their modes forbid to whom. */
#include <pthread.h>
#include <string.h>

#include "harness.h"

static CUstream s, t, u;
static CUdeviceptr words;

static void prepare(void)
{
	start();
	words = device_alloc(4096);
	CK(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
	CK(cuStreamCreate(&t, CU_STREAM_NON_BLOCKING));
	CK(cuStreamCreate(&u, CU_STREAM_NON_BLOCKING));
}

static void expect_status(CUstream stream, CUstreamCaptureStatus want)
{
	CUstreamCaptureStatus status = 99;

	CK(cuStreamIsCapturing(stream, &status));
	CHECK_EQ(status, want);
}

static void expect_nodes(CUgraph graph, size_t want)
{
	size_t n = 0;

	CK(cuGraphGetNodes(graph, NULL, &n));
	CHECK_EQ(n, want);
	CK(cuGraphDestroy(graph));
}

static void join(CUstream to, CUstream from)
{
	CUevent e;

	CK(cuEventCreate(&e, CU_EVENT_DISABLE_TIMING));
	CK(cuEventRecord(e, from));
	CK(cuStreamWaitEvent(to, e, 0));
}

static void fill(CUstream stream, unsigned int times)
{
	while (times--)
		CK(cuMemsetD32Async(words, times, 16, stream));
}

static CUgraph graph_of(CUstream stream)
{
	CUstreamCaptureStatus status;
	CUgraph graph = NULL;

	CK(cuStreamGetCaptureInfo(stream, &status, NULL, &graph, NULL, NULL, NULL));
	CHECK_EQ(status, CU_STREAM_CAPTURE_STATUS_ACTIVE);
	CHECK(graph != NULL);
	return graph;
}

/* One thread captures two streams; a third has joined the first of them. */
static void two_at_once(void)
{
	CUgraph first, second, told;

	prepare();
	CK(cuStreamBeginCapture(s, CU_STREAM_CAPTURE_MODE_GLOBAL));
	CK(cuStreamBeginCapture(u, CU_STREAM_CAPTURE_MODE_RELAXED));
	join(t, s);
	told = graph_of(t);
	CHECK(graph_of(s) == told);
	CHECK(graph_of(u) != told);
	fill(t, 3);
	fill(u, 2);
	join(s, t);
	CK(cuStreamEndCapture(u, &second));
	expect_status(s, CU_STREAM_CAPTURE_STATUS_ACTIVE);
	CK(cuStreamEndCapture(s, &first));
	CHECK(first == told);
	expect_nodes(first, 3);
	expect_nodes(second, 2);
	CK(cuCtxSynchronize());
}

static void *capture_own(void *times)
{
	CUstream own;
	CUgraph graph;

	CK(cuCtxSetCurrent(context));
	CK(cuStreamCreate(&own, CU_STREAM_NON_BLOCKING));
	for (int i = 0; i < 50; i++) {
		CK(cuStreamBeginCapture(own, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL));
		fill(own, *(unsigned int *)times);
		CK(cuStreamEndCapture(own, &graph));
		expect_nodes(graph, *(unsigned int *)times);
	}
	return NULL;
}

static void by_two_threads(void)
{
	unsigned int times[] = {3, 7};
	pthread_t thread[2];

	prepare();
	for (int i = 0; i < 2; i++)
		CHECK(!pthread_create(&thread[i], NULL, capture_own, &times[i]));
	for (int i = 0; i < 2; i++)
		CHECK(!pthread_join(thread[i], NULL));
	CK(cuCtxSynchronize());
}

/* What fails neither begins nor ends anything. */
static void refused(void)
{
	CUgraph graph;

	prepare();
	EXPECT(cuStreamEndCapture(s, &graph), CUDA_ERROR_ILLEGAL_STATE);
	EXPECT(cuStreamBeginCapture(NULL, CU_STREAM_CAPTURE_MODE_RELAXED),
	       CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
	CK(cuStreamBeginCapture(s, CU_STREAM_CAPTURE_MODE_RELAXED));
	EXPECT(cuStreamBeginCapture(s, CU_STREAM_CAPTURE_MODE_RELAXED), CUDA_ERROR_ILLEGAL_STATE);
	expect_status(s, CU_STREAM_CAPTURE_STATUS_ACTIVE);
	EXPECT(cuStreamEndCapture(u, &graph), CUDA_ERROR_ILLEGAL_STATE);
	CK(cuStreamEndCapture(s, &graph));
	expect_nodes(graph, 0);
	CK(cuCtxSynchronize());
}

/* Ending where it was not begun breaks that capture, and no other. */
static void unmatched(void)
{
	CUgraph graph;

	prepare();
	CK(cuStreamBeginCapture(s, CU_STREAM_CAPTURE_MODE_RELAXED));
	CK(cuStreamBeginCapture(u, CU_STREAM_CAPTURE_MODE_RELAXED));
	join(t, s);
	EXPECT(cuStreamBeginCapture(t, CU_STREAM_CAPTURE_MODE_RELAXED), CUDA_ERROR_ILLEGAL_STATE);
	EXPECT(cuStreamEndCapture(t, &graph), CUDA_ERROR_STREAM_CAPTURE_UNMATCHED);
	expect_status(s, CU_STREAM_CAPTURE_STATUS_INVALIDATED);
	EXPECT(cuStreamEndCapture(s, &graph), CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
	expect_status(s, CU_STREAM_CAPTURE_STATUS_NONE);
	expect_status(t, CU_STREAM_CAPTURE_STATUS_NONE);
	fill(u, 4);
	CK(cuStreamSynchronize(s));
	CK(cuStreamEndCapture(u, &graph));
	expect_nodes(graph, 4);
	CK(cuCtxSynchronize());
}

static void not_joined(void)
{
	CUgraph graph;

	prepare();
	CK(cuStreamBeginCapture(s, CU_STREAM_CAPTURE_MODE_RELAXED));
	join(t, s);
	fill(t, 1);
	EXPECT(cuStreamEndCapture(s, &graph), CUDA_ERROR_STREAM_CAPTURE_UNJOINED);
	expect_status(s, CU_STREAM_CAPTURE_STATUS_NONE);
	expect_status(t, CU_STREAM_CAPTURE_STATUS_NONE);
	CK(cuCtxSynchronize());
}

/* A capture goes with its stream or its context, and forbids nothing any more. */
static void gone_with_its_stream(void)
{
	CUcontext own;
	CUstream of_own;

	prepare();
	CK(cuStreamBeginCapture(s, CU_STREAM_CAPTURE_MODE_GLOBAL));
	CK(cuStreamDestroy(s));
	CK(cuCtxSynchronize());
	CK(cuMemFree(device_alloc(100)));
	CK(cuCtxCreate(&own, NULL, 0, device));
	CK(cuStreamCreate(&of_own, CU_STREAM_NON_BLOCKING));
	CK(cuStreamBeginCapture(of_own, CU_STREAM_CAPTURE_MODE_GLOBAL));
	CK(cuCtxDestroy(own));
	CK(cuCtxSetCurrent(context));
	CK(cuMemFree(device_alloc(100)));
	CK(cuCtxSynchronize());
}

/* ----------------------------------------------------- threads and modes */

static CUresult from_thread;

static void *end_it(void *unused)
{
	CUgraph graph = NULL;

	(void)unused;
	CK(cuCtxSetCurrent(context));
	from_thread = cuStreamEndCapture(s, &graph);
	return NULL;
}

static void elsewhere(void *(*run)(void *), void *arg)
{
	pthread_t thread;

	CHECK(!pthread_create(&thread, NULL, run, arg));
	CHECK(!pthread_join(thread, NULL));
}

/* It is over then, though there is no graph. */
static void ended_by_another_thread(void)
{
	CUgraph graph;

	prepare();
	for (int mode = 0; mode <= CU_STREAM_CAPTURE_MODE_RELAXED; mode++) {
		CK(cuStreamBeginCapture(s, (CUstreamCaptureMode)mode));
		fill(s, 1);
		elsewhere(end_it, NULL);
		CHECK_EQ(from_thread, mode == CU_STREAM_CAPTURE_MODE_RELAXED
					      ? CUDA_SUCCESS
					      : CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD);
		expect_status(s, CU_STREAM_CAPTURE_STATUS_NONE);
	}
	CK(cuStreamBeginCapture(s, CU_STREAM_CAPTURE_MODE_GLOBAL));
	fill(s, 2);
	CK(cuStreamEndCapture(s, &graph));
	expect_nodes(graph, 2);
	CK(cuCtxSynchronize());
}

static void *begin_in_own(void *unused)
{
	(void)unused;
	CK(cuCtxSetCurrent(context));
	CK(cuStreamBeginCapture(CU_STREAM_PER_THREAD, CU_STREAM_CAPTURE_MODE_GLOBAL));
	return NULL;
}

/* A thread's own stream goes with it, and so does what was captured there. */
static void gone_with_its_thread(void)
{
	if (!mediated())
		skip("what the driver does with it is not known");
	prepare();
	elsewhere(begin_in_own, NULL);
	CK(cuMemFree(device_alloc(100)));
	expect_status(s, CU_STREAM_CAPTURE_STATUS_NONE);
	CK(cuCtxSynchronize());
}

static void *unsafe_call(void *mode)
{
	CUstreamCaptureMode wanted = *(CUstreamCaptureMode *)mode;
	CUdeviceptr p;

	CK(cuCtxSetCurrent(context));
	CK(cuThreadExchangeStreamCaptureMode(&wanted));
	CHECK_EQ(wanted, CU_STREAM_CAPTURE_MODE_GLOBAL);
	from_thread = cuMemAlloc(&p, 4096);
	return NULL;
}

static void modes(void)
{
	CUgraph graph;

	prepare();
	for (int mode = 0; mode <= CU_STREAM_CAPTURE_MODE_RELAXED; mode++)
		for (int thread = 0; thread <= CU_STREAM_CAPTURE_MODE_RELAXED; thread++) {
			CUstreamCaptureMode theirs = (CUstreamCaptureMode)thread;
			bool broken = mode == CU_STREAM_CAPTURE_MODE_GLOBAL &&
				      thread == CU_STREAM_CAPTURE_MODE_GLOBAL;

			CK(cuStreamBeginCapture(s, (CUstreamCaptureMode)mode));
			elsewhere(unsafe_call, &theirs);
			CHECK_EQ(from_thread,
				 broken ? CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED : CUDA_SUCCESS);
			expect_status(s, broken ? CU_STREAM_CAPTURE_STATUS_INVALIDATED
						: CU_STREAM_CAPTURE_STATUS_ACTIVE);
			EXPECT(cuStreamEndCapture(s, &graph),
			       broken ? CUDA_ERROR_STREAM_CAPTURE_INVALIDATED : CUDA_SUCCESS);
		}
}

static char memory[8192];

static CUresult unsafe(int which, CUevent event)
{
	CUdeviceptr q;
	size_t pitch;
	void *p;

	switch (which) {
	case 0:
		return cuMemAllocHost(&p, 64);
	case 1:
		return cuMemHostRegister(memory, sizeof(memory), 0);
	case 2:
		return cuStreamQuery(t);
	case 3:
		return cuStreamSynchronize(t);
	case 4:
		return cuMemHostUnregister(memory); /* which the relaxed mode let in */
	case 5:
		return cuMemAllocPitch(&q, &pitch, 100, 10, 4);
	default:
		return cuEventQuery(event);
	}
}

/* Calls that the capturing thread may only make in the relaxed mode. */
static void unsafe_calls(void)
{
	CUevent event;
	CUgraph graph;

	prepare();
	CK(cuEventCreate(&event, 0));
	for (int which = 0; which < 7; which++) {
		CK(cuStreamBeginCapture(s, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL));
		EXPECT(unsafe(which, event), CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
		expect_status(s, CU_STREAM_CAPTURE_STATUS_INVALIDATED);
		EXPECT(cuStreamEndCapture(s, &graph), CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
		CK(cuStreamBeginCapture(s, CU_STREAM_CAPTURE_MODE_RELAXED));
		CK(unsafe(which, event));
		CK(cuStreamEndCapture(s, &graph));
		expect_nodes(graph, 0);
	}
	CK(cuCtxSynchronize());
}

const struct test_case capture_cases[] = {
	{"two_at_once", two_at_once, COMPLETE},
	{"by_two_threads", by_two_threads, COMPLETE},
	{"refused", refused, COMPLETE},
	{"unmatched", unmatched, COMPLETE},
	{"not_joined", not_joined, COMPLETE},
	{"gone_with_its_stream", gone_with_its_stream, COMPLETE},
	{"gone_with_its_thread", gone_with_its_thread, COMPLETE},
	{"ended_by_another_thread", ended_by_another_thread, COMPLETE},
	{"modes", modes, COMPLETE},
	{"unsafe_calls", unsafe_calls, COMPLETE},
	{0},
};
