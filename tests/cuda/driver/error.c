// SPDX-License-Identifier: GPL-2.0-or-later
/* Errors come where CUDA says and stay where they belong. */
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"

static void stale_handles(void)
{
	CUevent event;
	CUstream s;
	CUmodule m;
	CUfunction f;
	CUdeviceptr p;

	start();
	CK(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
	if (!mediated())
		skip("the driver itself takes pointers for good");
	CK(cuStreamDestroy(s));
	CHECK(cuStreamSynchronize(s) != CUDA_SUCCESS);
	CHECK(cuStreamDestroy(s) != CUDA_SUCCESS);
	CK(cuEventCreate(&event, 0));
	CK(cuEventDestroy(event));
	CHECK(cuEventSynchronize(event) != CUDA_SUCCESS);
	CK(cuModuleLoadData(&m, kernels_ptx));
	CK(cuModuleUnload(m));
	CHECK(cuModuleGetFunction(&f, m, "fill") != CUDA_SUCCESS);
	p = device_alloc(4096);
	CK(cuMemFree(p));
	EXPECT(cuMemFree(p), CUDA_ERROR_INVALID_VALUE);
	/* None of that hurt. */
	p = device_alloc(64);
	fill_words(p, 2, 16, NULL);
	expect_words(p, 2, 16);
}

static void null_handles(void)
{
	start();
	CHECK(cuEventRecord(NULL, NULL) != CUDA_SUCCESS);
	CHECK(cuEventSynchronize(NULL) != CUDA_SUCCESS);
	CHECK(cuModuleUnload(NULL) != CUDA_SUCCESS);
	CHECK(cuCtxDestroy(NULL) != CUDA_SUCCESS);
	CHECK(cuStreamDestroy(NULL) != CUDA_SUCCESS);
}

static void out_of_memory(void)
{
	size_t free_bytes, total;
	CUdeviceptr p = 0;

	start();
	CK(cuMemGetInfo(&free_bytes, &total));
	EXPECT(cuMemAlloc(&p, total + (1 << 30)), CUDA_ERROR_OUT_OF_MEMORY);
	EXPECT(cuMemAlloc(&p, (size_t)1 << 50), CUDA_ERROR_OUT_OF_MEMORY);
	CHECK(cuMemAlloc(&p, SIZE_MAX) != CUDA_SUCCESS);
	p = device_alloc(4096);
	fill_words(p, 2, 16, NULL);
	expect_words(p, 2, 16);
}

/* Host-side calls reach the session's own memory only. */
static void beyond(void)
{
	unsigned char host[64] = {0};
	CUdeviceptr p;

	start();
	p = device_alloc(1 << 20);
	EXPECT(cuMemcpyHtoD(0x1000, host, 64), CUDA_ERROR_INVALID_VALUE);
	EXPECT(cuMemcpyDtoH(host, 0x1000, 64), CUDA_ERROR_INVALID_VALUE);
	EXPECT(cuMemcpyDtoH(host, p + ((size_t)1 << 40), 64), CUDA_ERROR_INVALID_VALUE);
	CHECK(cuMemsetD8(0x1000, 1, 64) != CUDA_SUCCESS);
	EXPECT(cuMemFree(p + 256), CUDA_ERROR_INVALID_VALUE);
	CK(cuMemcpyHtoD(p, host, 64));
	CK(cuCtxSynchronize());
}

/* A kernel's wrong address: found at the next wait, and from then on everywhere. */
static void illegal_address_case(void)
{
	CUdeviceptr bad = 0x10, p;
	unsigned int value = 1;
	void *args[] = {&bad, &value};
	CUfunction f;
	CUevent event;
	size_t a, b;

	start();
	p = device_alloc(4096);
	f = kernel("store_at");
	CK(cuEventCreate(&event, 0));
	CK(cuLaunchKernel(f, 1, 1, 1, 1, 1, 1, 0, NULL, args, NULL));
	EXPECT(cuCtxSynchronize(), CUDA_ERROR_ILLEGAL_ADDRESS);
	EXPECT(cuCtxSynchronize(), CUDA_ERROR_ILLEGAL_ADDRESS);
	EXPECT(cuMemcpyDtoH(&value, p, 4), CUDA_ERROR_ILLEGAL_ADDRESS);
	CHECK(cuMemGetInfo(&a, &b) != CUDA_SUCCESS);
	EXPECT(cuLaunchKernel(f, 1, 1, 1, 1, 1, 1, 0, NULL, args, NULL),
	       CUDA_ERROR_ILLEGAL_ADDRESS);
	CHECK(cuEventRecord(event, NULL) != CUDA_SUCCESS);
}

/* Runs `body` in a process of its own; true if it ended well.  Before any CUDA here. */
static bool in_child(void (*body)(void))
{
	int status = -1;
	pid_t pid = fork();

	CHECK(pid >= 0);
	if (pid == 0) {
		body();
		exit(0);
	}
	CHECK(waitpid(pid, &status, 0) == pid);
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void next_process_works(void)
{
	CUdeviceptr p;

	CHECK(in_child(illegal_address_case));
	start();
	p = device_alloc(64);
	fill_words(p, 2, 16, NULL);
	expect_words(p, 2, 16);
}

static void use_memory(void)
{
	CUdeviceptr p;

	start();
	p = device_alloc(64);
	fill_words(p, 3, 16, NULL);
	expect_words(p, 3, 16);
}

/* A fault elsewhere does not reach this process, which is at work. */
static void faults_stay(void)
{
	int ready[2], go[2];
	char byte = 0;
	pid_t pid;
	int status;

	CHECK(!pipe(ready) && !pipe(go));
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		close(go[1]); /* else it waits for ever where the parent fails */
		CHECK(read(go[0], &byte, 1) == 1);
		illegal_address_case();
		exit(0);
	}
	start();
	use_memory();
	CHECK(write(go[1], "x", 1) == 1);
	for (int i = 0; i < 2000 && waitpid(pid, &status, WNOHANG) == 0; i++) {
		CUdeviceptr p = device_alloc(64);

		fill_words(p, i, 16, NULL);
		expect_words(p, i, 16);
		CK(cuMemFree(p));
		usleep(2000);
	}
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	use_memory();
}

/* A process forked from one that uses CUDA may not use it, and does no harm to it. */
static void forked(void)
{
	int status = -1;
	CUdeviceptr p;
	pid_t pid;

	start();
	p = device_alloc(64);
	fill_words(p, 8, 16, NULL);
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		CUdeviceptr q;
		CUresult r = cuMemAlloc(&q, 64);

		_exit(r == CUDA_SUCCESS ? 1 : 0);
	}
	CHECK(waitpid(pid, &status, 0) == pid);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	expect_words(p, 8, 16);
}

static CUdeviceptr left;
static CUstream left_stream;

static void late(void)
{
	unsigned int word;

	CK(cuCtxSetCurrent(context));
	CK(cuMemcpyDtoH(&word, left, 4));
	CK(cuMemFree(left));
	CK(cuStreamDestroy(left_stream));
	CK(cuDevicePrimaryCtxRelease(device));
}

static void *copy_for_ever(void *unused)
{
	size_t bytes = 2 << 20;
	void *host = host_pattern(bytes, 1);
	CUdeviceptr p;
	CUstream s;

	(void)unused;
	if (cuCtxSetCurrent(context) || cuStreamCreate(&s, 0) || cuMemAlloc(&p, bytes))
		return NULL;
	for (;;) {
		cuMemcpyHtoDAsync(p, host, bytes, s);
		cuMemcpyDtoHAsync(host, p, bytes, s);
	}
}

static void *copy_rows_for_ever(void *unused)
{
	CUDA_MEMCPY2D rows = {.srcMemoryType = CU_MEMORYTYPE_HOST,
			      .srcHost = host_pattern(2 << 20, 1),
			      .srcPitch = 2048,
			      .dstMemoryType = CU_MEMORYTYPE_DEVICE,
			      .dstPitch = 2048,
			      .WidthInBytes = 2000,
			      .Height = 1000};

	(void)unused;
	if (cuCtxSetCurrent(context) || cuMemAlloc(&rows.dstDevice, 2 << 20))
		return NULL;
	for (;;)
		cuMemcpy2D(&rows);
}

static void *work_for_ever(void *f)
{
	unsigned int n = 64, value = 1;
	void *pinned, *args[] = {NULL, &value, &n};
	CUdeviceptr p;
	CUevent e;
	CUstream s;

	if (cuCtxSetCurrent(context) || cuStreamCreate(&s, 0) || cuEventCreate(&e, 0))
		return NULL;
	for (;;) {
		if (cuMemAlloc(&p, n * 4))
			return NULL;
		args[0] = &p;
		cuLaunchKernel(f, 1, 1, 1, 64, 1, 1, 0, s, args, NULL);
		cuEventRecord(e, s);
		cuEventSynchronize(e);
		cuStreamQuery(s);
		if (!cuMemAllocHost(&pinned, 4096))
			cuMemFreeHost(pinned);
		cuMemFree(p);
	}
}

static void leave_at_work(void)
{
	static void *(*const run[])(void *) = {copy_for_ever, copy_rows_for_ever, work_for_ever};
	pthread_t thread;
	CUfunction f;

	start();
	f = kernel("fill");
	left = device_alloc(4096);
	CK(cuStreamCreate(&left_stream, 0));
	atexit(late);
	for (int i = 0; i < 3; i++)
		CHECK(!pthread_create(&thread, NULL, run[i], f));
	usleep(20000);
}

/* A program may end while its threads are in calls, and clean up after main(). */
static void ends_at_work(void)
{
	if (!mediated())
		skip("what the driver does with calls in a context that goes is not said");
	for (int i = 0; i < 10; i++)
		CHECK(in_child(leave_at_work));
	use_memory();
}

/* A process that is killed in the middle of work leaves the device to others. */
static void killed(void)
{
	unsigned long long for_ever = ~0ull;
	void *args[] = {&for_ever};
	size_t before, after, total;
	int ready[2];
	char byte;
	pid_t pid;

	CHECK(!pipe(ready));
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		start();
		device_alloc(on_gpu ? (size_t)4 << 30 : 64 << 20);
		CK(cuLaunchKernel(kernel("delay"), 1, 1, 1, 1, 1, 1, 0, NULL, args, NULL));
		CHECK(write(ready[1], "x", 1) == 1);
		cuCtxSynchronize();
		_exit(1);
	}
	close(ready[1]); /* else this waits for ever where the child fails */
	CHECK(read(ready[0], &byte, 1) == 1);
	use_memory();
	CK(cuMemGetInfo(&before, &total));
	usleep(100000);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	use_memory();
	if (!on_gpu)
		return;
	/* What it had is back within a second. */
	usleep(1000000);
	CK(cuMemGetInfo(&after, &total));
	CHECK(after > before + ((size_t)3 << 30));
}

const struct test_case error_cases[] = {
	{"stale_handles", stale_handles, ANYWHERE},
	{"null_handles", null_handles, ANYWHERE},
	{"out_of_memory", out_of_memory, ANYWHERE},
	{"beyond", beyond, ANYWHERE},
	{"illegal_address", illegal_address_case, ANYWHERE},
	{"next_process_works", next_process_works, ANYWHERE},
	{"faults_stay", faults_stay, ANYWHERE},
	{"forked", forked, ANYWHERE},
	{"ends_at_work", ends_at_work, COMPLETE},
	{"killed", killed, ANYWHERE},
	{0},
};
