// SPDX-License-Identifier: GPL-2.0-or-later
/* Several threads: a stream each, one context for all, contexts that change hands. */
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

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

/* ------------------------------------------------------------ interrupted */

static void drop_stream(void *s)
{
	CK(cuStreamDestroy(s));
}

/* Works until it is cancelled, wherever in a call that finds it. */
static void *work_on(void *data)
{
	unsigned int number = (unsigned int)(uintptr_t)data, n = 4096, host[4096];
	CUdeviceptr p;
	CUstream s;

	CK(cuCtxSetCurrent(context));
	p = shared_memory + (CUdeviceptr)number * n * 4;
	CK(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
	pthread_cleanup_push(drop_stream, s);
	for (;;) {
		fill_words(p, number, n, s);
		CK(cuMemcpyDtoHAsync(host, p, n * 4, s));
		CK(cuMemcpyHtoD(p, host, n * 4));
		CK(cuStreamSynchronize(s));
		pthread_testcancel();
	}
	pthread_cleanup_pop(1);
	return NULL;
}

static void pause_us(long us)
{
	struct timespec t = {.tv_nsec = us * 1000};

	nanosleep(&t, NULL);
}

/* Threads that are cancelled in the middle of calls leave nothing locked. */
static void cancelled(void)
{
	double end;

	start();
	shared_memory = device_alloc(THREADS * 4096 * 4);
	kernel("fill");
	end = now() + 5;
	for (unsigned int turn = 0; turn < 200 && now() < end; turn++) {
		pthread_t thread[THREADS / 2];

		for (uintptr_t i = 0; i < THREADS / 2; i++)
			CHECK(!pthread_create(&thread[i], NULL, work_on, (void *)i));
		for (int i = 0; i < THREADS / 2; i++) {
			pause_us(500 + turn * 37 % 3000);
			CHECK(!pthread_cancel(thread[i]));
		}
		for (int i = 0; i < THREADS / 2; i++)
			CHECK(!pthread_join(thread[i], NULL));
	}
	CK(cuCtxSynchronize());
	run_all(stream_work, context);
}

static volatile sig_atomic_t alarms;

static void on_alarm(int signal)
{
	(void)signal;
	alarms++;
}

/* A timer's signal every half millisecond, and no call fails for it. */
static void signals(void)
{
	struct itimerval often = {{0, 500}, {0, 500}}, never = {{0, 0}, {0, 0}};
	struct sigaction action = {.sa_handler = on_alarm}; /* no SA_RESTART */
	size_t bytes = 3 << 20;
	unsigned char *out = host_pattern(bytes, 1), *in = malloc(bytes);
	double end = now() + 3;

	CHECK(!sigaction(SIGALRM, &action, NULL));
	CHECK(!setitimer(ITIMER_REAL, &often, NULL));
	start();
	shared_memory = device_alloc(bytes);
	while (now() < end) {
		void *pinned;

		CK(cuMemcpyHtoD(shared_memory, out, bytes));
		CK(cuMemcpyDtoH(in, shared_memory, bytes));
		CHECK(!memcmp(in, out, bytes));
		CK(cuMemAllocHost(&pinned, 4 << 20));
		CK(cuMemFreeHost(pinned));
	}
	CHECK(!setitimer(ITIMER_REAL, &never, NULL));
	CHECK(alarms > 100);
}

static void CUDA_CB nothing(void *unused)
{
	(void)unused;
}

/* A signal that the program's threads block is theirs to take, whatever threads there are. */
static void signals_taken(void)
{
	struct sigaction action = {.sa_handler = on_alarm};
	const struct timespec limit = {.tv_sec = 10};
	size_t bytes = 8 << 20;
	sigset_t mine;

	if (!mediated())
		skip("what threads the driver has is not known");
	start();
	CHECK(!sigaction(SIGUSR2, &action, NULL));
	CK(cuMemcpyHtoD(device_alloc(bytes), host_pattern(bytes, 1), bytes));
	CK(cuLaunchHostFunc(NULL, nothing, NULL));
	CK(cuCtxSynchronize());
	sigemptyset(&mine);
	sigaddset(&mine, SIGUSR2);
	CHECK(!pthread_sigmask(SIG_BLOCK, &mine, NULL));
	CHECK(!kill(getpid(), SIGUSR2));
	pause_us(50000); /* so that any other thread may be faster */
	CHECK_EQ(sigtimedwait(&mine, NULL, &limit), SIGUSR2);
	CHECK_EQ(alarms, 0);
}

const struct test_case thread_cases[] = {
	{"streams", streams, ANYWHERE},
	{"shared", shared, ANYWHERE},
	{"push_and_pop", push_and_pop, ANYWHERE},
	{"waiting", waiting, ANYWHERE},
	{"init", init, ANYWHERE},
	{"cancelled", cancelled, ANYWHERE},
	{"signals", signals, ANYWHERE},
	{"signals_taken", signals_taken, COMPLETE},
	{0},
};
