/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the cuda backend does when the runtime fails, on the stand-in device.
 *
 * Each call of the runtime fails in turn; the command must fail with the right
 * errno, nothing may leak, and the session works again unless its context is
 * broken.
 */
#include <errno.h>
#include <string.h>

#include "fake-cuda/fake_cuda.h"
#include "ram.h"
#include "tests.h"

const struct vgpu_backend_ops *vgpu_backend_get(void);

#define ELEMENTS 20000u

/* A session with an operand of scattered pages and one of inline memory. */
struct fixture {
	struct vgpu_backend *be;
	struct ram *ram;
	struct vgpu_operand *pages;
	struct vgpu_operand *heap;
	float *x;
};

static void set_up(struct fixture *f, gconstpointer data G_GNUC_UNUSED)
{
	f->be = subject_open();
	f->ram = ram_new(f->be, (size_t)4 << 20);
	f->pages = operand_new(f->ram, SHAPE_PAGES, ELEMENTS * sizeof(float));
	f->x = random_floats(1, ELEMENTS);
	f->heap = operand_around(f->x, ELEMENTS * sizeof(float));
}

static void tear_down(struct fixture *f, gconstpointer data G_GNUC_UNUSED)
{
	operand_free(f->pages);
	operand_free(f->heap);
	ram_free(f->ram);
	subject.ops->close(f->be);
	fake_cuda_reset();
	g_free(f->x);
}

static int add(struct fixture *f)
{
	struct vgpu_work work = {0};

	operand_store(f->ram, f->pages, f->x);
	return subject.ops->vector_add(f->be, f->pages, f->heap, f->pages, ELEMENTS, &work);
}

/* Scattered pages times inline memory into inline memory, 100 x 100 each. */
static int multiply(struct fixture *f)
{
	const struct vgpu_matmul dims = {.m = 100, .n = 100, .k = 100};
	float result[100 * 100];
	struct vgpu_run pages[10], in = {(uint8_t *)f->x, sizeof(result)};
	struct vgpu_run out_run = {(uint8_t *)result, sizeof(result)};
	struct vgpu_operand a = {pages, 10, sizeof(result)}, b = {&in, 1, sizeof(result)};
	struct vgpu_operand out = {&out_run, 1, sizeof(result)};
	struct vgpu_work work = {0};

	memcpy(pages, f->pages->run, sizeof(pages));
	pages[9].length = sizeof(result) - 9 * 4096;
	return subject.ops->matmul(f->be, &a, &b, &out, &dims, &work);
}

static int there_and_back(struct fixture *f)
{
	struct vgpu_bandwidth_result result = {0};
	struct vgpu_work work = {0};

	return subject.ops->bandwidth(f->be, f->pages, 3, &result, &work);
}

static int info(struct fixture *f)
{
	struct vgpu_info_result result;

	return subject.ops->info(f->be, &result);
}

static int (*const command[])(struct fixture *) = {add, multiply, there_and_back, info};

/* Everything that a command may call and that reports errors to it. */
static const char *const function[] = {
	"cudaSetDevice",
	"cudaStreamCreateWithFlags",
	"cudaEventCreateWithFlags",
	"cudaMalloc",
	"cudaHostAlloc",
	"cudaMemcpyAsync",
	"cudaMemsetAsync",
	"cudaEventRecord",
	"cudaEventSynchronize",
	"cudaStreamQuery",
	"cudaGetDeviceProperties",
	"cudaMemGetInfo",
	"gather",
	"scatter",
	"vector_add",
	"matmul",
	"checksum",
};

static void check_add(struct fixture *f)
{
	float got[ELEMENTS];

	assert_ok(add(f));
	operand_load(f->pages, got);
	for (guint i = 0; i < ELEMENTS; i++)
		g_assert_true(got[i] == f->x[i] + f->x[i]);
	operand_expect(f->ram, f->pages, got);
	ram_check(f->ram, "after a failure");
}

/* The nth call of `name` fails with `err` in a session of its own. */
static bool fail_once(const char *name, unsigned int nth, cudaError_t err, int want,
		      int (*run)(struct fixture *))
{
	struct fixture f;
	unsigned int calls;
	int rc;

	set_up(&f, NULL);
	fake_cuda_fail(name, nth, err);
	rc = run(&f);
	calls = fake_cuda_calls(name);
	if (calls >= nth) { /* it did fail */
		g_assert_cmpint(rc, ==, want);
		fake_cuda_fail("", 1, cudaSuccess);
		if (err == cudaErrorIllegalAddress) {
			for (size_t i = 0; i < G_N_ELEMENTS(command); i++)
				g_assert_cmpint(command[i](&f), ==, -EIO);
		} else {
			/* Our memory may be gone next: nothing may still use it. */
			g_assert_cmpuint(fake_cuda_pending(), ==, 0);
			for (size_t i = 0; i < G_N_ELEMENTS(command); i++)
				assert_ok(command[i](&f));
			check_add(&f);
		}
	}
	/* Even a lost session frees what it had: the device's memory is gone, ours not. */
	tear_down(&f, NULL);
	return calls >= nth;
}

static void for_each_call(cudaError_t err, int want)
{
	unsigned int failures = 0;

	for (size_t c = 0; c < G_N_ELEMENTS(command); c++)
		for (size_t i = 0; i < G_N_ELEMENTS(function); i++)
			for (unsigned int nth = 1;
			     nth < 100 && fail_once(function[i], nth, err, want, command[c]); nth++)
				failures++;
	g_test_message("%u failures", failures);
	g_assert_cmpuint(failures, >, 40);
}

static void test_out_of_memory(void)
{
	for_each_call(cudaErrorMemoryAllocation, -ENOMEM);
}

static void test_unavailable(void)
{
	for_each_call(cudaErrorDevicesUnavailable, -ENODEV);
}

static void test_broken(void)
{
	for_each_call(cudaErrorIllegalAddress, -EIO);
}

/* Any other error is one that we do not understand: the session is given up. */
static void test_unknown_error(void)
{
	struct fixture f;

	set_up(&f, NULL);
	fake_cuda_fail("gather", 1, cudaErrorInvalidValue);
	g_assert_cmpint(add(&f), ==, -EIO);
	g_assert_cmpint(add(&f), ==, -EIO);
	tear_down(&f, NULL);
}

/* RAM that cannot be registered is copied by the CPU, counted, and tried once only. */
static void test_registration_refused(void)
{
	static const char *const how[] = {"cudaHostRegister", "cudaHostGetDevicePointer"};

	for (size_t i = 0; i < G_N_ELEMENTS(how); i++) {
		struct vgpu_work work = {0};
		float got[ELEMENTS];
		struct fixture f;

		set_up(&f, NULL);
		operand_store(f.ram, f.pages, f.x);
		fake_cuda_fail(how[i], 1, cudaErrorNotSupported);
		for (int j = 0; j < 2; j++) {
			operand_store(f.ram, f.pages, f.x);
			assert_ok(subject.ops->vector_add(f.be, f.pages, f.pages, f.pages, ELEMENTS,
							  &work));
		}
		operand_load(f.pages, got);
		for (guint k = 0; k < ELEMENTS; k++)
			g_assert_true(got[k] == f.x[k] + f.x[k]);
		operand_expect(f.ram, f.pages, got);
		ram_check(f.ram, "registration refused");
		g_assert_cmpuint(work.host_copied, ==, 2 * 3 * ELEMENTS * sizeof(float));
		g_assert_cmpuint(fake_cuda_calls("cudaHostRegister"), ==, 1);
		tear_down(&f, NULL);
	}
}

/* A refusal that turns out to be a broken context. */
static void test_registration_broken(void)
{
	struct fixture f;

	set_up(&f, NULL);
	fake_cuda_fail("cudaHostRegister", 1, cudaErrorIllegalAddress);
	g_assert_cmpint(add(&f), ==, -EIO);
	g_assert_cmpint(add(&f), ==, -EIO);
	tear_down(&f, NULL);
}

/* open, map, unmap and close leave the driver alone, until a command comes. */
static void test_lazy(void)
{
	struct fixture f;

	set_up(&f, NULL);
	g_assert_cmpuint(fake_cuda_calls("cudaSetDevice"), ==, 0);
	g_assert_cmpuint(fake_cuda_calls("cudaHostRegister"), ==, 0);
	g_assert_cmpuint(fake_cuda_objects(), ==, 0);
	assert_ok(info(&f));
	g_assert_cmpuint(fake_cuda_calls("cudaHostRegister"), ==, 0);
	assert_ok(add(&f));
	g_assert_cmpuint(fake_cuda_calls("cudaSetDevice"), ==, 1);
	g_assert_cmpuint(fake_cuda_calls("cudaHostRegister"), ==, 1);
	tear_down(&f, NULL);
}

/* The second time there is nothing left to allocate. */
static void test_steady(void)
{
	unsigned int mallocs, pinned;
	struct fixture f;

	set_up(&f, NULL);
	for (size_t i = 0; i < G_N_ELEMENTS(command); i++)
		assert_ok(command[i](&f));
	mallocs = fake_cuda_calls("cudaMalloc");
	pinned = fake_cuda_calls("cudaHostAlloc");
	for (int j = 0; j < 10; j++)
		for (size_t i = 0; i < G_N_ELEMENTS(command); i++)
			assert_ok(command[i](&f));
	g_assert_cmpuint(fake_cuda_calls("cudaMalloc"), ==, mallocs);
	g_assert_cmpuint(fake_cuda_calls("cudaHostAlloc"), ==, pinned);
	tear_down(&f, NULL);
}

/* Each fault of the gate has its words. */
static void test_probe(void)
{
	static const char *const step[] = {
		"cudaDriverGetVersion", "cudaGetDeviceCount", "cudaGetDeviceProperties",
		"cudaSetDevice",        "cudaMalloc",         "vector_add"};

	for (size_t i = 0; i < G_N_ELEMENTS(step); i++) {
		GError *err = NULL;
		char *text = NULL;

		fake_cuda_fail(step[i], 1, cudaErrorNoDevice);
		g_assert_cmpint(subject.ops->probe(0, &text, &err), <, 0);
		g_assert_nonnull(err);
		g_assert_null(text);
		g_test_message("%s fails: %s", step[i], err->message);
		g_clear_error(&err);
		fake_cuda_reset();
	}
	assert_ok(subject.ops->probe(0, NULL, NULL));
	fake_cuda_reset();
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_log_set_always_fatal(G_LOG_FATAL_MASK);
	subject.ops = vgpu_backend_get();
	g_test_add_func("/errors/out-of-memory", test_out_of_memory);
	g_test_add_func("/errors/unavailable", test_unavailable);
	g_test_add_func("/errors/broken", test_broken);
	g_test_add_func("/errors/unknown", test_unknown_error);
	g_test_add_func("/errors/registration-refused", test_registration_refused);
	g_test_add_func("/errors/registration-broken", test_registration_broken);
	g_test_add_func("/errors/probe", test_probe);
	g_test_add_func("/lazy", test_lazy);
	g_test_add_func("/steady", test_steady);
	return g_test_run();
}
