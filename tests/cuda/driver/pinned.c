// SPDX-License-Identifier: GPL-2.0-or-later
/* Host memory that kernels reach at the address that the program has. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "harness.h"

#define MIB ((size_t)1 << 20)

static void written_by_a_kernel(unsigned int *host, unsigned int n, unsigned int value)
{
	CUdeviceptr at = (CUdeviceptr)(uintptr_t)host;

	memset(host, 0, (size_t)n * 4);
	fill_words(at, value, n, NULL);
	CK(cuCtxSynchronize());
	for (unsigned int i = 0; i < n; i++)
		CHECK_EQ(host[i], value);
}

static void allocated(void)
{
	unsigned int n = 300000, flags = 99, *host = NULL;
	CUdeviceptr at = 0;

	start();
	CK(cuMemHostAlloc((void **)&host, n * 4, CU_MEMHOSTALLOC_DEVICEMAP));
	CK(cuMemHostGetDevicePointer(&at, host, 0));
	CHECK_EQ(at, (uintptr_t)host);
	CK(cuMemHostGetFlags(&flags, host));
	CHECK(flags & CU_MEMHOSTALLOC_DEVICEMAP);
	written_by_a_kernel(host, n, 0xabcd);
	/* A kernel reads it too. */
	host[7] = 1234;
	{
		CUdeviceptr out = device_alloc(4), from = at + 28;
		void *args[] = {&from, &out};

		CK(cuLaunchKernel(kernel("load_at"), 1, 1, 1, 1, 1, 1, 0, NULL, args, NULL));
		expect_words(out, 1234, 1);
	}
	CK(cuMemFreeHost(host));
	EXPECT(cuMemFreeHost(host), CUDA_ERROR_INVALID_VALUE);
}

static void registered(void)
{
	unsigned int n = 200000, *host = NULL;
	CUdeviceptr at = 0;
	void *whole;

	start();
	CHECK(!posix_memalign(&whole, 4096, n * 4));
	host = whole;
	memset(host, 1, n * 4);
	CK(cuMemHostRegister(host, n * 4, CU_MEMHOSTREGISTER_DEVICEMAP));
	EXPECT(cuMemHostRegister(host, n * 4, 0), CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED);
	CK(cuMemHostGetDevicePointer(&at, host, 0));
	CHECK_EQ(at, (uintptr_t)host);
	written_by_a_kernel(host, n, 0x77);
	CK(cuMemHostUnregister(host));
	EXPECT(cuMemHostUnregister(host), CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED);
	/* The program's memory is as it was. */
	for (unsigned int i = 0; i < n; i++)
		CHECK_EQ(host[i], 0x77);
	free(host);
}

/* As frameworks do it: registered in the middle of a heap block, not at a page's start. */
static void registered_inside(void)
{
	unsigned int n = 50000;
	unsigned char *block;

	start();
	block = malloc(n * 4 + 8192);
	memset(block, 3, n * 4 + 8192);
	CK(cuMemHostRegister(block + 1000, n * 4, 0));
	written_by_a_kernel((unsigned int *)(block + 1000), n, 0x99);
	CHECK_EQ(block[999], 3);
	CHECK_EQ(block[1000 + n * 4], 3);
	CK(cuMemHostUnregister(block + 1000));
	free(block);
}

static void copies(void)
{
	size_t bytes = on_gpu ? 64 * MIB : 10 * MIB;
	unsigned char *host = NULL, *back = NULL, *want;
	CUdeviceptr p;
	CUstream s;

	start();
	want = host_pattern(bytes, 8);
	CK(cuMemAllocHost((void **)&host, bytes));
	CK(cuMemAllocHost((void **)&back, bytes));
	CK(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
	memcpy(host, want, bytes);
	p = device_alloc(bytes);
	CK(cuMemcpyHtoDAsync(p, host, bytes, s));
	CK(cuMemcpyDtoHAsync(back, p, bytes, s));
	CK(cuStreamSynchronize(s));
	CHECK(!memcmp(back, want, bytes));
	/* Between the two, and from the middle to the middle. */
	memset(back, 0, bytes);
	CK(cuMemcpyDtoHAsync(back + 5, p + 3, bytes - 100, s));
	CK(cuStreamSynchronize(s));
	CHECK(!memcmp(back + 5, want + 3, bytes - 100));
	CHECK_EQ(back[4], 0);
	CK(cuMemFreeHost(host));
	CK(cuMemFreeHost(back));
}

/* A copy queued behind work takes what the pinned memory holds when its turn comes. */
static void late_binding(void)
{
	unsigned long long nanoseconds = 200000000;
	void *args[] = {&nanoseconds};
	volatile unsigned int *host = NULL;
	unsigned int got = 0;
	CUdeviceptr p;
	CUstream s;

	start();
	CK(cuMemAllocHost((void **)&host, 4096));
	p = device_alloc(4);
	CK(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
	*host = 1;
	CK(cuMemcpyHtoDAsync(p, (void *)host, 4, s));
	CK(cuStreamSynchronize(s));
	CK(cuLaunchKernel(kernel("delay"), 1, 1, 1, 1, 1, 1, 0, s, args, NULL));
	CK(cuMemcpyHtoDAsync(p, (void *)host, 4, s));
	*host = 2;
	CK(cuStreamSynchronize(s));
	CK(cuMemcpyDtoH(&got, p, 4));
	CHECK_EQ(got, 2);
}

static void many(void)
{
	enum { COUNT = 200 };
	void *host[COUNT];

	start();
	for (int turn = 0; turn < 3; turn++) {
		for (int i = 0; i < COUNT; i++) {
			CK(cuMemAllocHost(&host[i], 4096 + 999 * i));
			memset(host[i], i, 4096 + 999 * i);
		}
		for (int i = 0; i < COUNT; i++)
			for (int j = 0; j < 4096 + 999 * i; j += 997)
				CHECK_EQ(((unsigned char *)host[i])[j], i);
		for (int i = 0; i < COUNT; i++)
			CK(cuMemFreeHost(host[(i * 7) % COUNT]));
	}
}

static void large(void)
{
	size_t bytes = on_gpu ? 1024 * MIB : 40 * MIB;
	unsigned char *host = NULL;
	CUdeviceptr p;

	start();
	CK(cuMemHostAlloc((void **)&host, bytes, CU_MEMHOSTALLOC_PORTABLE));
	for (size_t i = 0; i < bytes; i += 4096)
		CHECK_EQ(host[i], 0);
	memset(host, 0x3c, bytes);
	p = device_alloc(bytes);
	CK(cuMemcpyHtoD(p, host, bytes));
	expect_words(p + bytes - 4096, 0x3c3c3c3c, 1024);
	CK(cuMemFreeHost(host));
}

static unsigned char *in_use;
static size_t in_use_bytes;
static CUcontext freed_in;

/* Gives the memory back in that context, or in none, and takes as much again. */
static void *free_and_take(void *unused)
{
	(void)unused;
	CK(cuCtxSetCurrent(freed_in));
	CK(cuMemFreeHost(in_use));
	CK(cuCtxSetCurrent(context));
	CK(cuMemAllocHost((void **)&in_use, in_use_bytes));
	memset(in_use, 0x55, in_use_bytes);
	return NULL;
}

/* Freeing waits for the copies that were asked for, whichever context the thread has. */
static void free_while_busy(size_t bytes, CUcontext in)
{
	CUdeviceptr data = device_alloc(bytes);
	unsigned int *gate = gate_new();
	pthread_t thread;
	CUstream s;

	freed_in = in;
	in_use_bytes = bytes;
	CK(cuMemsetD8(data, 0xaa, bytes));
	CK(cuMemAllocHost((void **)&in_use, bytes));
	CK(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
	CK(cuCtxSynchronize());
	gate_close(gate, s);
	CK(cuMemcpyDtoHAsync(in_use, data, bytes, s));
	CHECK(!pthread_create(&thread, NULL, free_and_take, NULL));
	usleep(200000);
	gate_open(gate);
	CHECK(!pthread_join(thread, NULL));
	CK(cuStreamSynchronize(s));
	for (size_t i = 0; i < bytes; i++)
		CHECK_EQ(in_use[i], 0x55);
	CK(cuMemFreeHost(in_use));
	CK(cuMemFree(data));
	CK(cuStreamDestroy(s));
}

static void freed_while_busy(void)
{
	CUcontext other;

	start();
	free_while_busy(8192, context);
	free_while_busy(8192, NULL);
	free_while_busy(4 * MIB, NULL);
	CK(cuCtxCreate(&other, NULL, 0, device));
	CK(cuCtxPopCurrent(&other));
	free_while_busy(8192, other);
	CK(cuCtxDestroy(other));
	CK(cuCtxSynchronize());
}

const struct test_case pinned_cases[] = {
	{"allocated", allocated, ANYWHERE},
	{"registered", registered, COMPLETE},
	{"registered_inside", registered_inside, COMPLETE},
	{"copies", copies, ANYWHERE},
	{"late_binding", late_binding, ANYWHERE},
	{"many", many, ANYWHERE},
	{"large", large, ANYWHERE},
	{"freed_while_busy", freed_while_busy, COMPLETE},
	{0},
};
