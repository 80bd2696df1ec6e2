/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Order within and across streams, events, and functions of the host. */
#include "driver_api.h"
#include "tests.h"

/* A kernel that waits until its flag, which the program can set, is 1. */
struct gate {
	unsigned int *flag;
	CUfunction wait;
};

static struct gate gate_new(CUmodule m)
{
	struct gate g = {.wait = function_of(m, "wait_flag")};

	OK(cuMemHostAlloc, (void **)&g.flag, 64, 0);
	return g;
}

static void gate_close(struct gate *g, CUstream s)
{
	unsigned int open = 1;

	__atomic_store_n(g->flag, 0, __ATOMIC_RELEASE);
	LAUNCH(g->wait, 1, s, &g->flag, &open);
}

static void gate_open(struct gate *g)
{
	__atomic_store_n(g->flag, 1, __ATOMIC_RELEASE);
}

static void order(void)
{
	CUcontext ctx = context_begin();
	CUfunction f = function_of(module_begin(), "_Z9incrementPii");
	CUdeviceptr p;
	CUstream s;
	int n = 16, out[16];

	OK(cuStreamCreate, &s, 0);
	OK(cuMemAlloc_v2, &p, sizeof(out));
	OK(cuMemsetD8Async, p, 0, sizeof(out), s);
	for (int i = 0; i < 1000; i++)
		LAUNCH(f, 32, s, &p, &n);
	OK(cuMemcpyDtoHAsync_v2, out, p, sizeof(out), s);
	OK(cuStreamSynchronize, s);
	g_assert_cmpint(out[15], ==, 1000);
	OK(cuStreamDestroy_v2, s);
	FAILS(CUDA_ERROR_INVALID_HANDLE, cuStreamDestroy_v2, s);
	FAILS(CUDA_ERROR_INVALID_HANDLE, cuStreamSynchronize, s);
	context_end(ctx);
}

/* What is behind the default stream waits for it, unless it says that it does not. */
static void legacy(void)
{
	CUcontext ctx = context_begin();
	CUmodule m = module_begin();
	struct gate g = gate_new(m);
	CUstream blocking, other;
	CUdeviceptr p;

	OK(cuMemAlloc_v2, &p, 4);
	OK(cuStreamCreate, &blocking, CU_STREAM_DEFAULT);
	OK(cuStreamCreate, &other, CU_STREAM_NON_BLOCKING);
	gate_close(&g, NULL);
	OK(cuMemsetD8Async, p, 1, 4, blocking);
	OK(cuMemsetD8Async, p, 2, 4, other);
	OK(cuStreamSynchronize, other); /* would never come back if it waited */
	FAILS(CUDA_ERROR_NOT_READY, cuStreamQuery, blocking);
	FAILS(CUDA_ERROR_NOT_READY, cuStreamQuery, NULL);
	gate_open(&g);
	OK(cuStreamSynchronize, blocking);
	OK(cuStreamQuery, NULL);

	gate_close(&g, blocking);
	OK(cuMemsetD8Async, p, 3, 4, CU_STREAM_LEGACY);
	FAILS(CUDA_ERROR_NOT_READY, cuStreamQuery, CU_STREAM_LEGACY);
	OK(cuStreamQuery, other);
	gate_open(&g);
	OK(cuCtxSynchronize);
	context_end(ctx);
}

static void events(void)
{
	CUcontext ctx = context_begin();
	CUmodule m = module_begin();
	struct gate g = gate_new(m);
	unsigned long long ns = 20000000;
	CUevent start, end, untimed;
	CUstream a, b;
	float ms;

	OK(cuStreamCreate, &a, CU_STREAM_NON_BLOCKING);
	OK(cuStreamCreate, &b, CU_STREAM_NON_BLOCKING);
	OK(cuEventCreate, &start, 0);
	OK(cuEventCreate, &end, 0);
	OK(cuEventCreate, &untimed, CU_EVENT_DISABLE_TIMING);
	OK(cuEventQuery, start); /* never recorded: nothing to wait for */
	OK(cuEventRecord, start, a);
	LAUNCH(function_of(m, "delay"), 1, a, &ns);
	OK(cuEventRecord, end, a);
	OK(cuEventSynchronize, end);
	OK(cuEventElapsedTime_v2, &ms, start, end);
	g_assert_cmpfloat(ms, >=, 20);
	OK(cuEventRecord, untimed, a);
	FAILS(CUDA_ERROR_INVALID_HANDLE, cuEventElapsedTime_v2, &ms, start, untimed);

	gate_close(&g, a);
	OK(cuEventRecord, end, a);
	FAILS(CUDA_ERROR_NOT_READY, cuEventQuery, end);
	FAILS(CUDA_ERROR_NOT_READY, cuEventElapsedTime_v2, &ms, start, end);
	OK(cuStreamWaitEvent, b, end, 0);
	OK(cuEventRecord, untimed, b);
	OK(cuEventDestroy_v2, end); /* b waits all the same */
	FAILS(CUDA_ERROR_NOT_READY, cuEventQuery, untimed);
	gate_open(&g);
	OK(cuEventSynchronize, untimed);
	OK(cuStreamQuery, a);
	FAILS(CUDA_ERROR_INVALID_HANDLE, cuEventQuery, end);
	FAILS(CUDA_ERROR_INVALID_HANDLE, cuEventRecord, (CUevent)a, a);
	context_end(ctx);
}

static void add_one(void *data)
{
	g_atomic_int_inc((int *)data);
}

static void note_status(CUstream s, CUresult status, void *data)
{
	(void)s;
	*(CUresult *)data = status;
}

static void callbacks(void)
{
	CUcontext ctx = context_begin();
	struct gate g = gate_new(module_begin());
	CUresult status = CUDA_ERROR_UNKNOWN;
	int called = 0;
	CUstream s;

	OK(cuStreamCreate, &s, CU_STREAM_NON_BLOCKING);
	gate_close(&g, s);
	OK(cuLaunchHostFunc, s, add_one, &called);
	OK(cuStreamAddCallback, s, note_status, &status, 0);
	g_assert_cmpint(g_atomic_int_get(&called), ==, 0);
	gate_open(&g);
	OK(cuStreamSynchronize, s);
	g_assert_cmpint(g_atomic_int_get(&called), ==, 1);
	g_assert_cmpint(status, ==, CUDA_SUCCESS);
	context_end(ctx);
}

/* A stream that is destroyed still does its work; memory is freed after what uses it. */
static void late(void)
{
	CUcontext ctx = context_begin();
	struct gate g = gate_new(module_begin());
	int called = 0;
	CUstream s;

	OK(cuStreamCreate, &s, 0);
	gate_close(&g, s);
	OK(cuLaunchHostFunc, s, add_one, &called);
	OK(cuStreamDestroy_v2, s);
	gate_open(&g);
	while (!g_atomic_int_get(&called))
		g_usleep(1000);
	context_end(ctx);
}

struct worker {
	CUcontext ctx;
	CUfunction f;
};

static gpointer work(gpointer data)
{
	const struct worker *w = data;
	CUdeviceptr p;
	CUstream s;
	int n = 256, out[256];

	OK(cuCtxSetCurrent, w->ctx);
	for (int round = 0; round < 20; round++) {
		OK(cuStreamCreate, &s, round & 1);
		OK(cuMemAlloc_v2, &p, sizeof(out));
		OK(cuMemsetD32Async, p, (unsigned int)round, 256, s);
		for (int i = 0; i < 10; i++)
			LAUNCH(w->f, 256, s, &p, &n);
		OK(cuMemcpyDtoHAsync_v2, out, p, sizeof(out), s);
		OK(cuStreamSynchronize, s);
		g_assert_cmpint(out[255], ==, round + 10);
		OK(cuMemFree_v2, p);
		OK(cuStreamDestroy_v2, s);
	}
	return NULL;
}

static void threads(void)
{
	CUcontext ctx = context_begin();
	struct worker w = {ctx, function_of(module_begin(), "_Z9incrementPii")};
	GThread *t[8];

	for (int i = 0; i < 8; i++)
		t[i] = g_thread_new("worker", work, &w);
	for (int i = 0; i < 8; i++)
		g_thread_join(t[i]);
	context_end(ctx);
}

void add_stream_tests(void)
{
	g_test_add_func("/cpu-driver/stream/order", order);
	g_test_add_func("/cpu-driver/stream/legacy", legacy);
	g_test_add_func("/cpu-driver/stream/events", events);
	g_test_add_func("/cpu-driver/stream/callbacks", callbacks);
	g_test_add_func("/cpu-driver/stream/late", late);
	g_test_add_func("/cpu-driver/stream/threads", threads);
}
