/* SPDX-License-Identifier: GPL-2.0-or-later */
/* CUDA calls as the worker serves them, on the cpu backend's driver. */
#include <errno.h>
#include <glib.h>
#include <string.h>
#include <unistd.h>

#include "cuda-program.h"
#include "cuda/entry.h"

static void start(void)
{
	program_start();
}

static void stop(void)
{
	calls_stop();
}

static void test_memory(void)
{
	const char text[] = "there and back";
	CUdeviceptr at;

	start();
	at = allocate(4096);
	write_bytes(at + 100, text, sizeof(text));
	g_assert_cmpstr(read_bytes(at + 100, sizeof(text)), ==, text);
	/* One byte beyond the end, far from anything, and an address of our own. */
	g_assert_cmpint(CALL(vgpuRead, CTX, REQ(vgpuRead, .src = at + 4090, .bytes = 7))->result,
			==, CUDA_ERROR_INVALID_VALUE);
	g_assert_cmpint(CALL(vgpuRead, CTX, REQ(vgpuRead, .src = 4096, .bytes = 8))->result, ==,
			CUDA_ERROR_INVALID_VALUE);
	g_assert_cmpint(
		CALL(vgpuRead, CTX, REQ(vgpuRead, .src = (uintptr_t)text, .bytes = 8))->result, ==,
		CUDA_ERROR_INVALID_VALUE);
	/* Freed twice; in the middle. */
	g_assert_cmpint(CALL(cuMemFree_v2, CTX, REQ(cuMemFree_v2, .dptr = at + 8))->result, ==,
			CUDA_ERROR_INVALID_VALUE);
	assert_ok(CALL(cuMemFree_v2, CTX, REQ(cuMemFree_v2, .dptr = at)));
	g_assert_cmpint(CALL(cuMemFree_v2, CTX, REQ(cuMemFree_v2, .dptr = at))->result, ==,
			CUDA_ERROR_INVALID_VALUE);
	stop();
}

static void test_quiet_failure(void)
{
	const struct outcome *o;

	start();
	write_bytes(4096, "12345678", 8);
	write_bytes(4096, "12345678", 8);
	o = calls_make(CUDA_FN_vgpuCtxSynchronize, CTX, 0, NULL, 0);
	g_assert_cmpint(o->result, ==, CUDA_SUCCESS);
	g_assert_cmpint(o->deferred, ==, CUDA_ERROR_INVALID_VALUE);
	synchronize(); /* told once */
	stop();
}

static void test_launch(void)
{
	const float a[4] = {1, 2, 3, 4}, b[4] = {10, 20, 30, 40};
	struct {
		uint64_t a, b, c;
		uint32_t n;
	} params = {.n = 4};
	const struct vgpu_function_info *info;
	const float *c;

	start();
	load(HANDLE(MODULE, 2));
	info = find(HANDLE(MODULE, 2), HANDLE(FUNCTION, 3), "vector_add");
	g_assert_cmpuint(info->params, ==, 4);
	g_assert_cmpuint(info->param_bytes, ==, 28);
	g_assert_cmpuint(info->param[3].offset, ==, 24);
	params.a = allocate(sizeof(a));
	params.b = allocate(sizeof(b));
	params.c = allocate(sizeof(a));
	write_bytes(params.a, a, sizeof(a));
	write_bytes(params.b, b, sizeof(b));
	launch(HANDLE(FUNCTION, 3), 4, &params, 28);
	synchronize();
	c = read_bytes(params.c, sizeof(a));
	for (int i = 0; i < 4; i++)
		g_assert_cmpfloat(c[i], ==, a[i] + b[i]);
	/* Too few bytes of parameters, and a handle that went with its module. */
	launch(HANDLE(FUNCTION, 3), 4, &params, 24);
	g_assert_cmpint(calls_make(CUDA_FN_vgpuCtxSynchronize, CTX, 0, NULL, 0)->deferred, ==,
			CUDA_ERROR_INVALID_VALUE);
	assert_ok(CALL(cuModuleUnload, CTX, REQ(cuModuleUnload, .hmod = HANDLE(MODULE, 2))));
	launch(HANDLE(FUNCTION, 3), 4, &params, 28);
	g_assert_cmpint(calls_make(CUDA_FN_vgpuCtxSynchronize, CTX, 0, NULL, 0)->deferred, ==,
			CUDA_ERROR_INVALID_HANDLE);
	stop();
}

/* A session with print_value() as function 3, whose text is not the test's own. */
static void start_printing(void)
{
	calls_start();
	assert_ok(CALL(vgpuHello, 0, REQ(vgpuHello, .version = VGPU_CUDA_VERSION)));
	assert_ok(CALL(vgpuCtxRetainPrimary, 0, REQ(vgpuCtxRetainPrimary, .ctx = CTX)));
	load(HANDLE(MODULE, 2));
	find(HANDLE(MODULE, 2), HANDLE(FUNCTION, 3), "print_value");
}

static void test_print(void)
{
	const uint32_t value = 7;
	struct outcome *o;

	start_printing();
	launch(HANDLE(FUNCTION, 3), 1, &value, sizeof(value));
	o = calls_make(CUDA_FN_vgpuCtxSynchronize, CTX, 0, NULL, 0);
	calls_own_output();
	assert_ok(o);
	g_assert_cmpstr(calls_notes->str, ==, "1:value 7\n");
	stop();
}

/* Text may begin with anything, and what comes later comes. */
static void test_print_zeros(void)
{
	static const char zeros[100];
	const uint32_t value = 8;
	ssize_t put;
	bool all;

	start_printing();
	put = write(STDOUT_FILENO, "\0zero", 5);
	synchronize();
	put += write(STDOUT_FILENO, zeros, sizeof(zeros));
	synchronize();
	launch(HANDLE(FUNCTION, 3), 1, &value, sizeof(value));
	synchronize();
	calls_own_output();
	g_assert_cmpint(put, ==, 105);
	all = calls_notes->len == 7 + 102 + 10 && !memcmp(calls_notes->str, "1:\0zero1:\0", 10);
	g_assert_true(all);
	g_assert_cmpstr(calls_notes->str + 7 + 102, ==, "1:value 8\n");
	stop();
}

/* Nothing but zeros at first: they come too, after some looks. */
static void test_print_only_zeros(void)
{
	static const char zeros[100];
	ssize_t put;

	start_printing();
	put = write(STDOUT_FILENO, zeros, sizeof(zeros));
	for (unsigned int i = 0; i < 100; i++)
		synchronize();
	calls_own_output();
	g_assert_cmpint(put, ==, 100);
	g_assert_cmpuint(calls_notes->len, ==, 102);
	stop();
}

/* As a kernel that prints without end, or with a width of a milliard, has it. */
static void test_print_much(void)
{
	static char text[65536];
	const uint32_t value = 9;
	ssize_t last = 1;
	int theirs;
	off_t size;

	memset(text, 'x', sizeof(text));
	start_printing();
	theirs = dup(STDOUT_FILENO);
	for (unsigned int turn = 0; turn < 3; turn++) {
		for (unsigned int i = 0; i < 1024 && last > 0; i++)
			last = write(STDOUT_FILENO, text, sizeof(text));
		size = lseek(STDOUT_FILENO, 0, SEEK_CUR);
		synchronize();
		calls_own_output();
		g_assert_cmpint(last, ==, -1);
		g_assert_cmpint(size, <=, 16 << 20);
		g_assert_cmpuint(calls_notes->len, >=, (gsize)size);
		g_string_truncate(calls_notes, 0);
		dup2(theirs, STDOUT_FILENO);
		last = 1;
	}
	launch(HANDLE(FUNCTION, 3), 1, &value, sizeof(value));
	synchronize();
	calls_own_output();
	close(theirs);
	g_assert_cmpstr(calls_notes->str, ==, "1:value 9\n");
	stop();
}

/* A stream that waits for a flag holds up its own waiter and nobody else's. */
static void test_out_of_order(void)
{
	const uint64_t stream = HANDLE(STREAM, 9);
	struct {
		uint64_t p;
		uint32_t v;
	} params = {.v = 1};
	const uint32_t one = 1;
	uint64_t id;

	start();
	load(HANDLE(MODULE, 2));
	find(HANDLE(MODULE, 2), HANDLE(FUNCTION, 3), "wait_flag");
	params.p = allocate(4);
	write_bytes(params.p, "\0\0\0\0", 4);
	synchronize();
	assert_ok(CALL(cuStreamCreate, CTX,
		       REQ(cuStreamCreate, .phStream = stream, .Flags = CU_STREAM_NON_BLOCKING)));
	g_assert_cmpint(
		QUIET(vgpuLaunch, CTX,
		      REQ(vgpuLaunch, .function = HANDLE(FUNCTION, 3), .gx = 1, .gy = 1, .gz = 1,
			  .bx = 1, .by = 1, .bz = 1, .bytes = 12, .stream = stream),
		      {&params, 12})
			->status,
		==, 1);
	calls_send(CUDA_FN_cuStreamSynchronize, CTX, 0,
		   (struct part[]){REQ(cuStreamSynchronize, .hStream = stream)}, 1);
	/* Others go on: an immediate answer, and one by way of the default stream. */
	assert_ok(CALL(cuStreamGetFlags, CTX, REQ(cuStreamGetFlags, .hStream = stream)));
	g_assert_cmpmem(read_bytes(params.p, 4), 4, "\0\0\0\0", 4);
	write_bytes(params.p, &one, 4);
	assert_ok(calls_wait(&id));
	stop();
}

static void test_callback(void)
{
	start();
	g_assert_cmpint(QUIET(vgpuCallback, CTX, REQ(vgpuCallback, .id = 42))->status, ==, 1);
	calls_send(CUDA_FN_vgpuCtxSynchronize, CTX, 0, NULL, 0);
	while (!calls_notes->len)
		g_assert_cmpint(cuda_poll(test_worker), !=, CUDA_RESPONSE);
	g_assert_cmpstr(calls_notes->str, ==, "3:42");
	g_assert_cmpint(cuda_poll(test_worker), ==, CUDA_NOTHING);
	g_assert_cmpint(QUIET(vgpuCallbackDone, 0, REQ(vgpuCallbackDone, .id = 42))->status, ==, 1);
	assert_ok(calls_wait(NULL));
	stop();
}

/* Calls that block in the driver wait for a host function of the program first. */
static void test_drain(void)
{
	enum cuda_progress p;
	uint64_t id;

	start();
	load(HANDLE(MODULE, 2));
	g_assert_cmpint(QUIET(vgpuCallback, CTX, REQ(vgpuCallback, .id = 7))->status, ==, 1);
	calls_send(CUDA_FN_cuModuleUnload, CTX, 0,
		   (struct part[]){REQ(cuModuleUnload, .hmod = HANDLE(MODULE, 2))}, 1);
	calls_send(CUDA_FN_vgpuCtxReleasePrimary, 0, 0,
		   (struct part[]){REQ(vgpuCtxReleasePrimary, .ctx = CTX)}, 1);
	/* Until the host function is under way: before that nobody may say that it is over. */
	do {
		p = cuda_poll(test_worker);
		g_assert_cmpint(p, !=, CUDA_RESPONSE);
	} while (p != CUDA_PROGRESS);
	for (int i = 0; i < 100; i++)
		g_assert_cmpint(cuda_poll(test_worker), !=, CUDA_RESPONSE);
	g_assert_cmpint(QUIET(vgpuCallbackDone, 0, REQ(vgpuCallbackDone, .id = 7))->status, ==, 1);
	assert_ok(calls_wait(&id));
	assert_ok(calls_wait(&id));
	g_assert_cmpuint(test_worker->cuda->handles.live, ==, 0);
	stop();
}

/* A context is given up in the way that it was got, by each handle for itself. */
static void test_contexts(void)
{
	const uint64_t own = HANDLE(CONTEXT, 8);

	start();
	assert_ok(CALL(vgpuCtxCreate, 0, REQ(vgpuCtxCreate, .ctx = own)));
	g_assert_cmpint(
		CALL(vgpuCtxReleasePrimary, 0, REQ(vgpuCtxReleasePrimary, .ctx = own))->result, ==,
		CUDA_ERROR_INVALID_CONTEXT);
	g_assert_cmpint(CALL(vgpuCtxDestroy, 0, REQ(vgpuCtxDestroy, .ctx = CTX))->result, ==,
			CUDA_ERROR_INVALID_CONTEXT);
	assert_ok(CALL(vgpuCtxDestroy, 0, REQ(vgpuCtxDestroy, .ctx = own)));
	g_assert_cmpint(CALL(vgpuCtxDestroy, 0, REQ(vgpuCtxDestroy, .ctx = own))->result, ==,
			CUDA_ERROR_INVALID_HANDLE);
	assert_ok(CALL(vgpuCtxReleasePrimary, 0, REQ(vgpuCtxReleasePrimary, .ctx = CTX)));
	stop();
}

static CUresult begin_capture(uint64_t stream)
{
	return CALL(cuStreamBeginCapture_v2, CTX,
		    REQ(cuStreamBeginCapture_v2, .hStream = stream,
			.mode = CU_STREAM_CAPTURE_MODE_RELAXED))
		->result;
}

static CUresult end_capture(uint64_t stream)
{
	return CALL(vgpuStreamEndCapture, CTX,
		    REQ(vgpuStreamEndCapture, .stream = stream, .graph = HANDLE(GRAPH, 30)))
		->result;
}

static void stream_in(uint64_t context, uint64_t stream)
{
	QUIET(cuStreamCreateWithPriority, context,
	      REQ(cuStreamCreateWithPriority, .phStream = stream, .flags = CU_STREAM_NON_BLOCKING));
}

/* The count of captures follows what the driver has, whatever fails. */
static void test_captures(void)
{
	const uint64_t one = HANDLE(STREAM, 2), two = HANDLE(STREAM, 3), joins = HANDLE(STREAM, 4);
	const uint64_t event = HANDLE(EVENT, 5), own = HANDLE(CONTEXT, 8);
	const uint32_t *captures;

	start();
	captures = &test_worker->cuda->captures;
	make_stream(one);
	make_stream(two);
	make_stream(joins);
	QUIET(cuEventCreate, CTX, REQ(cuEventCreate, .phEvent = event));
	g_assert_cmpint(begin_capture(0), ==, CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
	g_assert_cmpint(end_capture(one), ==, CUDA_ERROR_ILLEGAL_STATE);
	g_assert_cmpuint(*captures, ==, 0);
	g_assert_cmpint(begin_capture(one), ==, CUDA_SUCCESS);
	g_assert_cmpint(begin_capture(one), ==, CUDA_ERROR_ILLEGAL_STATE);
	g_assert_cmpuint(*captures, ==, 1);
	g_assert_cmpint(begin_capture(two), ==, CUDA_SUCCESS);
	QUIET(cuEventRecord, CTX, REQ(cuEventRecord, .hEvent = event, .hStream = one));
	QUIET(cuStreamWaitEvent, CTX, REQ(cuStreamWaitEvent, .hStream = joins, .hEvent = event));
	g_assert_cmpint(end_capture(joins), ==, CUDA_ERROR_STREAM_CAPTURE_UNMATCHED);
	g_assert_cmpuint(*captures, ==, 2);
	g_assert_cmpint(end_capture(one), ==, CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
	g_assert_cmpuint(*captures, ==, 1);
	/* A stream goes, a context goes, and their captures with them. */
	QUIET(cuStreamDestroy_v2, CTX, REQ(cuStreamDestroy_v2, .hStream = two));
	g_assert_cmpint(end_capture(one), ==, CUDA_ERROR_ILLEGAL_STATE);
	g_assert_cmpuint(*captures, ==, 0);
	assert_ok(CALL(vgpuCtxCreate, 0, REQ(vgpuCtxCreate, .ctx = own)));
	stream_in(own, HANDLE(STREAM, 9));
	g_assert_cmpint(begin_capture(HANDLE(STREAM, 9)), ==, CUDA_SUCCESS);
	g_assert_cmpuint(*captures, ==, 1);
	assert_ok(CALL(vgpuCtxDestroy, 0, REQ(vgpuCtxDestroy, .ctx = own)));
	g_assert_cmpuint(*captures, ==, 0);
	synchronize();
	stop();
}

static void test_handles(void)
{
	const uint64_t event = HANDLE(EVENT, 4);

	start();
	g_assert_cmpint(QUIET(cuEventCreate, CTX, REQ(cuEventCreate, .phEvent = event))->status, ==,
			1);
	assert_ok(CALL(cuEventQuery, CTX, REQ(cuEventQuery, .hEvent = event)));
	/* Taken; of another generation; of another type; beyond the table. */
	g_assert_cmpint(CALL(cuEventCreate, CTX, REQ(cuEventCreate, .phEvent = event))->result, ==,
			CUDA_ERROR_INVALID_HANDLE);
	g_assert_cmpint(CALL(cuEventQuery, CTX,
			     REQ(cuEventQuery, .hEvent = vgpu_cuda_handle(VGPU_CUDA_EVENT, 2, 4)))
				->result,
			==, CUDA_ERROR_INVALID_HANDLE);
	g_assert_cmpint(CALL(cuStreamQuery, CTX, REQ(cuStreamQuery, .hStream = event))->result, ==,
			CUDA_ERROR_INVALID_HANDLE);
	g_assert_cmpint(CALL(cuEventQuery, CTX, REQ(cuEventQuery, .hEvent = HANDLE(EVENT, 0xfffff)))
				->result,
			==, CUDA_ERROR_INVALID_HANDLE);
	/* A context's objects go with it. */
	assert_ok(CALL(vgpuCtxReleasePrimary, 0, REQ(vgpuCtxReleasePrimary, .ctx = CTX)));
	g_assert_cmpint(CALL(cuEventQuery, CTX, REQ(cuEventQuery, .hEvent = event))->result, !=,
			CUDA_SUCCESS);
	g_assert_cmpuint(test_worker->cuda->handles.live, ==, 0);
	stop();
}

static void test_malformed(void)
{
	const struct vgpu_cuda_call none = {.function = 999999};

	start();
	g_assert_cmpint(calls_make(999999, 0, 0, NULL, 0)->status, ==, -EOPNOTSUPP);
	g_assert_cmpint(calls_make(CUDA_FN_vgpuHello, 0, 0, NULL, 0)->status, ==, -EINVAL);
	g_assert_cmpint(CALL(vgpuHello, 0, {&none, sizeof(none)}, {&none, sizeof(none)})->status,
			==, -EINVAL);
	stop();
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/mediator/cuda/memory", test_memory);
	g_test_add_func("/mediator/cuda/quiet-failure", test_quiet_failure);
	g_test_add_func("/mediator/cuda/launch", test_launch);
	g_test_add_func("/mediator/cuda/print", test_print);
	g_test_add_func("/mediator/cuda/print-zeros", test_print_zeros);
	g_test_add_func("/mediator/cuda/print-only-zeros", test_print_only_zeros);
	g_test_add_func("/mediator/cuda/print-much", test_print_much);
	g_test_add_func("/mediator/cuda/out-of-order", test_out_of_order);
	g_test_add_func("/mediator/cuda/callback", test_callback);
	g_test_add_func("/mediator/cuda/drain", test_drain);
	g_test_add_func("/mediator/cuda/contexts", test_contexts);
	g_test_add_func("/mediator/cuda/captures", test_captures);
	g_test_add_func("/mediator/cuda/handles", test_handles);
	g_test_add_func("/mediator/cuda/malformed", test_malformed);
	return g_test_run();
}
