// SPDX-License-Identifier: GPL-2.0-or-later
/* Functions of the program that a stream calls. */
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "harness.h"

static atomic_int calls, last, wrong_order;
static pthread_t main_thread;

static void CUDA_CB count(void *data)
{
	int number = (int)(intptr_t)data;

	if (number != atomic_load(&last) + 1)
		atomic_store(&wrong_order, 1);
	atomic_store(&last, number);
	atomic_fetch_add(&calls, 1);
}

static void in_order(void)
{
	CUstream s;

	start();
	CK(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
	for (intptr_t i = 1; i <= 200; i++)
		CK(cuLaunchHostFunc(s, count, (void *)i));
	CK(cuStreamSynchronize(s));
	CHECK_EQ(calls, 200);
	CHECK_EQ(wrong_order, 0);
}

static unsigned int *shared;

static void CUDA_CB write_ten(void *data)
{
	usleep(50000);
	*(volatile unsigned int *)data = 10;
}

/* What the stream does next comes after the function's end. */
static void stream_waits(void)
{
	unsigned int got = 0;
	CUdeviceptr p;
	CUstream s;

	start();
	CK(cuMemAllocHost((void **)&shared, 4096));
	*shared = 1;
	p = device_alloc(4);
	CK(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
	CK(cuLaunchHostFunc(s, write_ten, shared));
	CK(cuMemcpyHtoDAsync(p, shared, 4, s));
	CK(cuStreamSynchronize(s));
	CK(cuMemcpyDtoH(&got, p, 4));
	CHECK_EQ(got, 10);
}

static atomic_int seen_status;

static void CUDA_CB old_style(CUstream stream, CUresult status, void *data)
{
	(void)stream;
	atomic_store(&seen_status, (int)status + 100);
	*(atomic_int *)data += 1;
	CHECK(!pthread_equal(pthread_self(), main_thread));
}

static void with_status(void)
{
	static atomic_int count_here;
	CUstream s;

	start();
	main_thread = pthread_self();
	CK(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
	CK(cuStreamAddCallback(s, old_style, &count_here, 0));
	CK(cuStreamSynchronize(s));
	CHECK_EQ(count_here, 1);
	CHECK_EQ(seen_status, 100);
}

static atomic_int go;

static void CUDA_CB wait_for_go(void *data)
{
	(void)data;
	while (!atomic_load(&go))
		usleep(1000);
}

/* While a function waits for the program, everything else works, memory calls too. */
static void others_go_on(void)
{
	unsigned int n = 1000;
	CUstream s, t;
	CUdeviceptr p;

	start();
	p = device_alloc(n * 4);
	CK(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
	CK(cuStreamCreate(&t, CU_STREAM_NON_BLOCKING));
	fill_words(p, 3, n, t); /* loads the kernel */
	CK(cuCtxSynchronize());
	CK(cuLaunchHostFunc(s, wait_for_go, NULL));
	fill_words(p, 4, n, t);
	CK(cuStreamSynchronize(t));
	EXPECT(cuStreamQuery(s), CUDA_ERROR_NOT_READY);
	atomic_store(&go, 1);
	CK(cuStreamSynchronize(s));
	expect_words(p, 4, n);
}

static void *let_go(void *data)
{
	(void)data;
	usleep(200000);
	atomic_store(&go, 1);
	return NULL;
}

/* A call that waits for the whole device, while a function of the program is in the way. */
static void free_meanwhile(void)
{
	pthread_t thread;
	CUdeviceptr p;
	CUstream s;

	start();
	p = device_alloc(1 << 20);
	CK(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
	CK(cuLaunchHostFunc(s, wait_for_go, NULL));
	CHECK(!pthread_create(&thread, NULL, let_go, NULL));
	CK(cuMemFree(p));
	CK(cuCtxSynchronize());
	pthread_join(thread, NULL);
}

static void CUDA_CB take_time(void *data)
{
	usleep(300000);
	*(volatile unsigned int *)data += 1;
}

/* More behind a function than a stream's queue holds. */
static void long_queue(void)
{
	unsigned int got = 0;
	CUdeviceptr p;
	CUstream s;

	start();
	CK(cuMemAllocHost((void **)&shared, 4096));
	*shared = 0;
	p = device_alloc(4);
	CK(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
	for (unsigned int i = 1; i <= 8000; i++) {
		if (i % 4000 == 1)
			CK(cuLaunchHostFunc(s, take_time, shared));
		CK(cuMemsetD32Async(p, i, 1, s));
	}
	CK(cuMemcpyDtoHAsync(&got, p, 4, s));
	CK(cuStreamSynchronize(s));
	CHECK_EQ(got, 8000);
	CHECK_EQ(*shared, 2);
}

const struct test_case callback_cases[] = {
	{"in_order", in_order, COMPLETE},
	{"stream_waits", stream_waits, COMPLETE},
	{"with_status", with_status, COMPLETE},
	{"others_go_on", others_go_on, COMPLETE},
	{"free_meanwhile", free_meanwhile, COMPLETE},
	{"long_queue", long_queue, COMPLETE},
	{0},
};
