// SPDX-License-Identifier: GPL-2.0-or-later
/* Several threads: a stream each, one context for all, contexts that change hands. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "harness.h"

#define THREADS 8

struct worker {
	pthread_t thread;
	unsigned int number;
	CUcontext context;
	void (*body)(struct worker *);
};

static void *enter(void *data)
{
	struct worker *w = data;

	w->body(w);
	return NULL;
}

static void run_all(void (*body)(struct worker *), CUcontext of)
{
	struct worker w[THREADS];

	for (unsigned int i = 0; i < THREADS; i++) {
		w[i] = (struct worker){.number = i, .body = body, .context = of};
		CHECK(!pthread_create(&w[i].thread, NULL, enter, &w[i]));
	}
	for (unsigned int i = 0; i < THREADS; i++)
		pthread_join(w[i].thread, NULL);
}

static void stream_work(struct worker *w)
{
	unsigned int n = 5000, *out = malloc(n * 4), *in = malloc(n * 4);
	CUdeviceptr p;
	CUstream s;
	CUfunction f;
	void *args[] = {&p, &n};

	CK(cuCtxSetCurrent(w->context));
	CK(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
	f = kernel("increment");
	p = device_alloc(n * 4);
	for (unsigned int turn = 0; turn < 50; turn++) {
		unsigned int base = w->number * 1000000 + turn * 10000;

		for (unsigned int i = 0; i < n; i++)
			out[i] = base + i;
		CK(cuMemcpyHtoDAsync(p, out, n * 4, s));
		for (int i = 0; i < 3; i++)
			launch(f, n, s, args);
		CK(cuMemcpyDtoHAsync(in, p, n * 4, s));
		CK(cuStreamSynchronize(s));
		for (unsigned int i = 0; i < n; i++)
			CHECK_EQ(in[i], base + i + 3);
	}
	CK(cuMemFree(p));
	CK(cuStreamDestroy(s));
	free(out);
	free(in);
}

static void streams(void)
{
	start();
	run_all(stream_work, context);
}

/* Memory and streams of one thread, used by another. */
static CUdeviceptr shared_memory;
static CUstream shared_stream;

static void shared_work(struct worker *w)
{
	unsigned int n = 1000, value = w->number + 1;
	CUdeviceptr mine = shared_memory + w->number * n * 4;

	CK(cuCtxSetCurrent(w->context));
	for (int i = 0; i < 100; i++)
		fill_words(mine, value, n, shared_stream);
}

static void shared(void)
{
	start();
	shared_memory = device_alloc(THREADS * 4000);
	CK(cuStreamCreate(&shared_stream, CU_STREAM_NON_BLOCKING));
	run_all(shared_work, context);
	CK(cuStreamSynchronize(shared_stream));
	for (unsigned int i = 0; i < THREADS; i++)
		expect_words(shared_memory + i * 4000, i + 1, 1000);
}

/* The current context is a thread's own matter. */
static void push_work(struct worker *w)
{
	CUcontext got = (CUcontext)1, mine = NULL;

	CK(cuCtxGetCurrent(&got));
	CHECK(got == NULL);
	for (int turn = 0; turn < 5; turn++) {
		CK(cuCtxPushCurrent(w->context));
		CK(cuCtxPushCurrent(w->context));
		CK(cuCtxGetCurrent(&got));
		CHECK(got == w->context);
		expect_words(shared_memory, 42, 16);
		CK(cuCtxPopCurrent(&got));
		CHECK(got == w->context);
		CK(cuCtxPopCurrent(&got));
		EXPECT(cuCtxPopCurrent(&got), CUDA_ERROR_INVALID_CONTEXT);
	}
	if (w->number % 2) {
		CUdeviceptr p;

		CK(cuCtxCreate(&mine, NULL, 0, device));
		CK(cuMemAlloc(&p, 4096));
		CK(cuMemsetD8(p, 1, 4096));
		CK(cuCtxDestroy(mine));
		CK(cuCtxGetCurrent(&got));
		CHECK(got == NULL);
	}
}

static void push_and_pop(void)
{
	start();
	shared_memory = device_alloc(64);
	CK(cuMemsetD32(shared_memory, 42, 16));
	CK(cuCtxSynchronize());
	run_all(push_work, context);
}

/* All threads wait at once, each for something else. */
static void wait_work(struct worker *w)
{
	unsigned long long nanoseconds = 20000000ull * (w->number + 1);
	void *args[] = {&nanoseconds};
	CUevent event;
	CUstream s;

	CK(cuCtxSetCurrent(w->context));
	CK(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
	CK(cuEventCreate(&event, CU_EVENT_BLOCKING_SYNC | CU_EVENT_DISABLE_TIMING));
	for (int turn = 0; turn < 4; turn++) {
		CK(cuLaunchKernel(kernel("delay"), 1, 1, 1, 1, 1, 1, 0, s, args, NULL));
		CK(cuEventRecord(event, s));
		if (turn % 2)
			CK(cuStreamSynchronize(s));
		else
			CK(cuEventSynchronize(event));
		CK(cuEventQuery(event));
	}
}

static void waiting(void)
{
	start();
	run_all(wait_work, context);
}

static void init_work(struct worker *w)
{
	CUcontext mine = NULL;
	CUdevice d;

	(void)w;
	CK(cuInit(0));
	CK(cuDeviceGet(&d, 0));
	CK(cuDevicePrimaryCtxRetain(&mine, d));
	CK(cuCtxSetCurrent(mine));
	CK(cuMemFree(device_alloc(100)));
	CK(cuDevicePrimaryCtxRelease(d));
}

/* The first use, by all at once. */
static void init(void)
{
	run_all(init_work, NULL);
	start();
	expect_words((fill_words(shared_memory = device_alloc(64), 1, 16, NULL), shared_memory), 1,
		     16);
}

const struct test_case thread_cases[] = {
	{"streams", streams, ANYWHERE},
	{"shared", shared, ANYWHERE},
	{"push_and_pop", push_and_pop, ANYWHERE},
	{"waiting", waiting, ANYWHERE},
	{"init", init, ANYWHERE},
	{0},
};
