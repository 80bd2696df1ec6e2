// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The default streams' order.  Compiled twice: as it is, where 0 is the legacy
 * stream, and with CUDA_API_PER_THREAD_DEFAULT_STREAM, where it is each thread's own.
 */
#include <pthread.h>
#include <unistd.h>

#include "harness.h"

#define MS 1000000ull

static void spin_for(unsigned long long nanoseconds, CUstream stream)
{
	void *args[] = {&nanoseconds};

	CK(cuLaunchKernel(kernel("delay"), 1, 1, 1, 1, 1, 1, 0, stream, args, NULL));
}

static unsigned int *gate;

/* Does work in `late` wait for work that was given to `early` before? */
static bool waits_for(CUstream late, CUstream early)
{
	CUresult r = CUDA_ERROR_NOT_READY;

	CK(cuCtxSynchronize());
	gate_close(gate, early);
	spin_for(1, late);
	for (int i = 0; i < 20 && r == CUDA_ERROR_NOT_READY; i++) {
		usleep(5000);
		r = cuStreamQuery(late);
	}
	CHECK(r == CUDA_SUCCESS || r == CUDA_ERROR_NOT_READY);
	EXPECT(cuStreamQuery(early), CUDA_ERROR_NOT_READY);
	gate_open(gate);
	CK(cuCtxSynchronize());
	return r == CUDA_ERROR_NOT_READY;
}

/* The same for streams that must not: a slow machine is no reason to think they do. */
static void expect_independent(CUstream late, CUstream early)
{
	CK(cuCtxSynchronize());
	gate_close(gate, early);
	spin_for(1, late);
	CK(cuStreamSynchronize(late));
	EXPECT(cuStreamQuery(early), CUDA_ERROR_NOT_READY);
	gate_open(gate);
	CK(cuCtxSynchronize());
}

static void streams(CUstream *blocking, CUstream *free_running)
{
	start();
	CK(cuStreamCreate(blocking, CU_STREAM_DEFAULT));
	CK(cuStreamCreate(free_running, CU_STREAM_NON_BLOCKING));
	gate = gate_new();
}

#ifdef CUDA_API_PER_THREAD_DEFAULT_STREAM
static void own_is_independent(void)
{
	CUstream blocking, free_running;

	streams(&blocking, &free_running);
	expect_independent(NULL, blocking);
	expect_independent(blocking, NULL);
	expect_independent(NULL, free_running);
	/* The legacy stream and a thread's own wait for each other. */
	CHECK(waits_for(CU_STREAM_LEGACY, NULL));
	CHECK(waits_for(NULL, CU_STREAM_LEGACY));
	CHECK(waits_for(CU_STREAM_PER_THREAD, NULL));
}

static pthread_barrier_t barrier;
static bool other_was_busy;

static void *thread_body(void *unused)
{
	(void)unused;
	CK(cuCtxSetCurrent(context));
	pthread_barrier_wait(&barrier); /* the main thread's stream is busy now */
	spin_for(1, NULL);
	CK(cuStreamSynchronize(NULL));
	pthread_barrier_wait(&barrier);
	return NULL;
}

static void one_a_thread(void)
{
	CUstream blocking, free_running;
	pthread_t thread;

	streams(&blocking, &free_running);
	CK(cuCtxSynchronize());
	pthread_barrier_init(&barrier, NULL, 2);
	CHECK(!pthread_create(&thread, NULL, thread_body, NULL));
	gate_close(gate, NULL);
	pthread_barrier_wait(&barrier);
	pthread_barrier_wait(&barrier);
	other_was_busy = cuStreamQuery(NULL) == CUDA_ERROR_NOT_READY;
	pthread_join(thread, NULL);
	gate_open(gate);
	CHECK(other_was_busy);
	CK(cuStreamSynchronize(NULL));
}

const struct test_case per_thread_cases[] = {
	{"own_is_independent", own_is_independent, ANYWHERE},
	{"one_a_thread", one_a_thread, ANYWHERE},
	{0},
};
#else
static void legacy_waits(void)
{
	CUstream blocking, free_running;

	streams(&blocking, &free_running);
	CHECK(waits_for(NULL, blocking));
	CHECK(waits_for(blocking, NULL));
	CHECK(waits_for(CU_STREAM_LEGACY, blocking));
	expect_independent(NULL, free_running);
	expect_independent(free_running, NULL);
}

static void per_thread_handle(void)
{
	CUstream blocking, free_running;

	streams(&blocking, &free_running);
	spin_for(1, CU_STREAM_PER_THREAD);
	CHECK(waits_for(NULL, CU_STREAM_PER_THREAD));
	CHECK(waits_for(CU_STREAM_PER_THREAD, NULL));
	expect_independent(CU_STREAM_PER_THREAD, blocking);
}

/* A copy without a stream comes after everything that blocking streams were given. */
static void copies(void)
{
	CUstream blocking, free_running;
	unsigned int n = 1000;
	CUdeviceptr p;

	streams(&blocking, &free_running);
	p = device_alloc(n * 4);
	CK(cuMemsetD32(p, 0, n));
	spin_for(100 * MS, blocking);
	fill_words(p, 5, n, blocking);
	expect_words(p, 5, n);
	spin_for(100 * MS, blocking);
	fill_words(p, 6, n, blocking);
	CK(cuMemsetD32(p, 7, n / 2));
	expect_words(p, 7, n / 2);
	expect_words(p + n * 2, 6, n / 2);
}

const struct test_case default_stream_cases[] = {
	{"legacy_waits", legacy_waits, ANYWHERE},
	{"per_thread_handle", per_thread_handle, ANYWHERE},
	{"copies", copies, ANYWHERE},
	{0},
};
#endif
