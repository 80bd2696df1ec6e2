/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Errors that stay: each in a process of its own. */
#include <stdbool.h>

#include "driver_api.h"
#include "tests.h"

/* The test again in a child; true there. */
static bool in_child(void)
{
	if (g_test_subprocess())
		return true;
	g_test_trap_subprocess(NULL, 0, G_TEST_SUBPROCESS_INHERIT_STDERR);
	g_test_trap_assert_passed();
	return false;
}

/* The error comes with the synchronisation and stays for every call but a few. */
static void expect_sticky(CUresult want)
{
	CUdeviceptr p;
	int version;

	FAILS(want, cuCtxSynchronize);
	FAILS(want, cuMemAlloc_v2, &p, 16);
	FAILS(want, cuStreamQuery, NULL);
	OK(cuDriverGetVersion, &version);
	FAILS(want, cuCtxSynchronize);
}

static void store(CUdeviceptr address)
{
	int value = 1;

	LAUNCH(function_of(module_begin(), "store_at"), 1, NULL, &address, &value);
}

static void illegal(void)
{
	if (!in_child())
		return;
	context_begin();
	store(0x1000);
	expect_sticky(CUDA_ERROR_ILLEGAL_ADDRESS);
}

static void own_memory(void)
{
	static int secret;

	if (!in_child())
		return;
	context_begin();
	store((CUdeviceptr)&secret);
	expect_sticky(CUDA_ERROR_ILLEGAL_ADDRESS);
	g_assert_cmpint(secret, ==, 0);
}

static void misaligned(void)
{
	CUdeviceptr p;

	if (!in_child())
		return;
	context_begin();
	OK(cuMemAlloc_v2, &p, 16);
	store(p + 2);
	expect_sticky(CUDA_ERROR_MISALIGNED_ADDRESS);
}

static void trap(void)
{
	if (!in_child())
		return;
	context_begin();
	LAUNCH(function_of(module_begin(), "vgpu_trap"), 1, NULL, NULL);
	expect_sticky(CUDA_ERROR_LAUNCH_FAILED);
}

static void assertion(void)
{
	if (!in_child())
		return;
	context_begin();
	LAUNCH(function_of(module_begin(), "vgpu_assert"), 1, NULL, NULL);
	expect_sticky(CUDA_ERROR_ASSERT);
}

/* An endless kernel elsewhere does not keep the error back. */
static void beside_endless(void)
{
	CUmodule m;
	CUstream s;

	if (!in_child())
		return;
	context_begin();
	m = module_begin();
	OK(cuStreamCreate, &s, CU_STREAM_NON_BLOCKING);
	LAUNCH(function_of(m, "vgpu_spin"), 1, s, NULL);
	FAILS(CUDA_ERROR_NOT_READY, cuStreamQuery, s);
	store(8);
	expect_sticky(CUDA_ERROR_ILLEGAL_ADDRESS);
}

static void no_context(void)
{
	CUdeviceptr p;
	CUcontext ctx;

	if (!in_child())
		return;
	FAILS(CUDA_ERROR_NOT_INITIALIZED, cuMemAlloc_v2, &p, 16);
	FAILS(CUDA_ERROR_INVALID_VALUE, cuInit, 1);
	OK(cuInit, 0);
	FAILS(CUDA_ERROR_INVALID_CONTEXT, cuMemAlloc_v2, &p, 16);
	FAILS(CUDA_ERROR_INVALID_DEVICE, cuDevicePrimaryCtxRetain, &ctx, 1);
	OK(cuDevicePrimaryCtxRetain, &ctx, 0);
	OK(cuCtxSetCurrent, ctx);
	OK(cuMemAlloc_v2, &p, 16);
	OK(cuDevicePrimaryCtxRelease_v2, 0);
	FAILS(CUDA_ERROR_CONTEXT_IS_DESTROYED, cuMemAlloc_v2, &p, 16);
	FAILS(CUDA_ERROR_INVALID_CONTEXT, cuDevicePrimaryCtxRelease_v2, 0);
}

void add_error_tests(void)
{
	g_test_add_func("/cpu-driver/error/illegal", illegal);
	g_test_add_func("/cpu-driver/error/own-memory", own_memory);
	g_test_add_func("/cpu-driver/error/misaligned", misaligned);
	g_test_add_func("/cpu-driver/error/trap", trap);
	g_test_add_func("/cpu-driver/error/assert", assertion);
	g_test_add_func("/cpu-driver/error/beside-endless", beside_endless);
	g_test_add_func("/cpu-driver/error/no-context", no_context);
}
