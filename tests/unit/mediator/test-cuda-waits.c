/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Waiting for the GPU without a loop: how long, and with which threads. */
#include <glib.h>
#include <string.h>

#include "cuda-program.h"
#include "cuda/entry.h"
#include "waits.h"

#define MODULE HANDLE(MODULE, 2)
#define FUNCTION HANDLE(FUNCTION, 3)
#define STREAMS 10u
#define STREAM(i) HANDLE(STREAM, 20 + (i))

static uint32_t *flags; /* device memory, which the cpu backend has where it says */

static void start(void)
{
	program_start();
	load(MODULE);
	find(MODULE, FUNCTION, "wait_flag");
	flags = (void *)(uintptr_t)allocate(4 * STREAMS);
	memset(flags, 0, 4 * STREAMS);
}

/* A call that waits until flag `i` is set. */
static void wait_for_flag(unsigned int i)
{
	make_stream(STREAM(i));
	launch_wait(FUNCTION, STREAM(i), (uintptr_t)&flags[i]);
	calls_send(CUDA_FN_cuStreamSynchronize, CTX, 0,
		   (struct part[]){REQ(cuStreamSynchronize, .hStream = STREAM(i))}, 1);
}

static void set_flag(unsigned int i)
{
	__atomic_store_n(&flags[i], 1, __ATOMIC_RELEASE);
}

/* However many calls wait, looking in short naps ends when it has led nowhere. */
static void test_age(void)
{
	gint64 end;

	start();
	for (unsigned int i = 0; i < STREAMS; i++)
		wait_for_flag(i);
	g_assert_cmpint(cuda_nap_ns(test_worker), >, 0);
	end = g_get_monotonic_time() + 10 * G_USEC_PER_SEC;
	while (cuda_nap_ns(test_worker) && g_get_monotonic_time() < end) {
		g_assert_cmpint(cuda_poll(test_worker), ==, CUDA_NOTHING);
		g_usleep(1000);
	}
	g_assert_cmpint(cuda_nap_ns(test_worker), ==, 0);
	for (unsigned int i = 0; i < STREAMS; i++)
		set_flag(i);
	for (unsigned int i = 0; i < STREAMS; i++)
		assert_ok(calls_wait(NULL));
	calls_stop();
}

/* ---- threads that sleep on events */

static CUresult (*real_destroy)(CUcontext);
static CUresult (*real_synchronize)(CUevent);
static int sleeping; /* threads in the driver, with an event of the context */
static bool destroyed;

/* Comes back some time after the event. */
static CUresult slow_synchronize(CUevent event)
{
	CUresult r;

	__atomic_add_fetch(&sleeping, 1, __ATOMIC_SEQ_CST);
	r = real_synchronize(event);
	g_usleep(100000);
	__atomic_sub_fetch(&sleeping, 1, __ATOMIC_SEQ_CST);
	return r;
}

static CUresult destroy(CUcontext ctx)
{
	g_assert_cmpint(__atomic_load_n(&sleeping, __ATOMIC_SEQ_CST), ==, 0);
	destroyed = true;
	return real_destroy(ctx);
}

/* A context goes by a call that was put off, while a thread sleeps on an event in it. */
static void test_helpers(void)
{
	const uint64_t ctx = HANDLE(CONTEXT, 9);
	struct helpers *h;

	start();
	assert_ok(CALL(vgpuCtxCreate, 0, REQ(vgpuCtxCreate, .ctx = ctx)));
	h = &test_worker->cuda->waits->helpers;
	real_synchronize = h->synchronize;
	h->synchronize = slow_synchronize;
	real_destroy = driver()->cuCtxDestroy_v2;
	driver()->cuCtxDestroy_v2 = destroy;
	CALL(cuStreamCreate, ctx,
	     REQ(cuStreamCreate, .phStream = STREAM(5), .Flags = CU_STREAM_NON_BLOCKING));
	assert_ok(CALL(cuStreamWaitValue32_v2, ctx,
		       REQ(cuStreamWaitValue32_v2, .stream = STREAM(5), .addr = (uintptr_t)flags,
			   .value = 1, .flags = CU_STREAM_WAIT_VALUE_EQ)));
	calls_send(CUDA_FN_cuStreamSynchronize, ctx, 0,
		   (struct part[]){REQ(cuStreamSynchronize, .hStream = STREAM(5))}, 1);
	cuda_sleep(test_worker);
	while (!__atomic_load_n(&sleeping, __ATOMIC_SEQ_CST))
		g_usleep(100);
	calls_send(CUDA_FN_vgpuCtxDestroy, 0, 0, (struct part[]){REQ(vgpuCtxDestroy, .ctx = ctx)},
		   1);
	set_flag(0);
	for (unsigned int i = 0; i < 2; i++) {
		CUresult r = calls_wait(NULL)->result;

		/* Both become due at once, and either may be looked at first. */
		g_assert_true(r == CUDA_SUCCESS || r == CUDA_ERROR_CONTEXT_IS_DESTROYED);
	}
	g_assert_true(destroyed);
	h->synchronize = real_synchronize;
	calls_stop();
}

/* ---- calls that were put off, while the program goes on giving work */

static bool unloaded;

/* The real one waits for the little that is under way. */
static CUresult unload_module(CUmodule module)
{
	(void)module;
	unloaded = true;
	return CUDA_SUCCESS;
}

static CUresult unload_library(CUlibrary library)
{
	(void)library;
	return unload_module(NULL);
}

/* Streams are never idle all at once, but what each was given before ends. */
static void assert_unloads(void)
{
	for (unsigned int i = 0; i < STREAMS - 1 && !unloaded; i++) {
		launch_wait(FUNCTION, STREAM((i + 1) % 2), (uintptr_t)&flags[i + 1]);
		set_flag(i);
		for (unsigned int k = 0; k < 1000 && !unloaded; k++) {
			cuda_poll(test_worker);
			g_usleep(10);
		}
	}
	g_assert_true(unloaded);
	for (unsigned int i = 0; i < STREAMS; i++)
		set_flag(i);
	synchronize();
	calls_stop();
}

static void start_work(void)
{
	start();
	unloaded = false;
	make_stream(STREAM(0));
	make_stream(STREAM(1));
	launch_wait(FUNCTION, STREAM(0), (uintptr_t)&flags[0]);
}

static void test_unload_amid_work(void)
{
	start_work();
	load(HANDLE(MODULE, 7));
	driver()->cuModuleUnload = unload_module;
	calls_send(CUDA_FN_cuModuleUnload, CTX, 0,
		   (struct part[]){REQ(cuModuleUnload, .hmod = HANDLE(MODULE, 7))}, 1);
	assert_unloads();
}

static void test_unload_library_amid_work(void)
{
	start_work();
	load_library(HANDLE(LIBRARY, 7));
	driver()->cuLibraryUnload = unload_library;
	calls_send(CUDA_FN_cuLibraryUnload, CTX, 0,
		   (struct part[]){REQ(cuLibraryUnload, .library = HANDLE(LIBRARY, 7))}, 1);
	assert_unloads();
}

/* ---- contexts that go before what waits in them */

#define OTHER HANDLE(CONTEXT, 8)
#define HELD STREAM(1)

/* A stream of another context, which goes on at set_flag(0). */
static void hold_other(void)
{
	start();
	assert_ok(CALL(vgpuCtxCreate, 0, REQ(vgpuCtxCreate, .ctx = OTHER)));
	assert_ok(CALL(cuStreamCreate, OTHER,
		       REQ(cuStreamCreate, .phStream = HELD, .Flags = CU_STREAM_NON_BLOCKING)));
	assert_ok(CALL(cuStreamWaitValue32_v2, OTHER,
		       REQ(cuStreamWaitValue32_v2, .stream = HELD, .addr = (uintptr_t)flags,
			   .value = 1, .flags = CU_STREAM_WAIT_VALUE_EQ)));
}

static bool stream_is_idle(void)
{
	return CALL(cuStreamQuery, OTHER, REQ(cuStreamQuery, .hStream = HELD))->result ==
	       CUDA_SUCCESS;
}

/* The handle of a context that went is another's: what waited in the first one is over. */
static void test_context_again(void)
{
	hold_other();
	calls_send(
		CUDA_FN_vgpuRead, OTHER, 0,
		(struct part[]){REQ(vgpuRead, .src = (uintptr_t)flags, .stream = HELD, .bytes = 4)},
		1);
	set_flag(0);
	while (!stream_is_idle())
		g_usleep(100);
	assert_ok(CALL(vgpuCtxDestroy, 0, REQ(vgpuCtxDestroy, .ctx = OTHER)));
	assert_ok(CALL(vgpuCtxCreate, 0, REQ(vgpuCtxCreate, .ctx = OTHER)));
	g_assert_cmpint(calls_wait(NULL)->result, ==, CUDA_ERROR_CONTEXT_IS_DESTROYED);
	g_assert_null(((struct cuda_context *)handles_object(&test_worker->cuda->handles, OTHER,
							     VGPU_CUDA_CONTEXT)
			       ->data)
			      ->free_events[EVENT_TO_SLEEP]);
	calls_stop();
}

/* A call that was put off ends the context of an event which another one waits for. */
static void test_event_goes(void)
{
	const uint64_t event = HANDLE(EVENT, 9);

	hold_other();
	assert_ok(CALL(cuEventCreate, OTHER, REQ(cuEventCreate, .phEvent = event)));
	assert_ok(CALL(cuEventRecord, OTHER, REQ(cuEventRecord, .hEvent = event, .hStream = HELD)));
	calls_send(CUDA_FN_vgpuCtxDestroy, 0, 0, (struct part[]){REQ(vgpuCtxDestroy, .ctx = OTHER)},
		   1);
	calls_send(CUDA_FN_cuEventSynchronize, CTX, 0,
		   (struct part[]){REQ(cuEventSynchronize, .hEvent = event)}, 1);
	set_flag(0);
	g_usleep(100000); /* no call: before any the wait would get an event of ours */
	assert_ok(calls_wait(NULL));
	assert_ok(calls_wait(NULL));
	calls_stop();
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/mediator/cuda-waits/age", test_age);
	g_test_add_func("/mediator/cuda-waits/helpers", test_helpers);
	g_test_add_func("/mediator/cuda-waits/unload-amid-work", test_unload_amid_work);
	g_test_add_func("/mediator/cuda-waits/unload-library-amid-work",
			test_unload_library_amid_work);
	g_test_add_func("/mediator/cuda-waits/context-again", test_context_again);
	g_test_add_func("/mediator/cuda-waits/event-goes", test_event_goes);
	return g_test_run();
}
