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

const struct test_case exhaustion_cases[] = {
	{"memory", memory, ANYWHERE},   {"events", events, ANYWHERE},
	{"streams", streams, ANYWHERE}, {"small_allocations", small_allocations, ANYWHERE},
	{"queue", queue, ANYWHERE},     {0},
};
