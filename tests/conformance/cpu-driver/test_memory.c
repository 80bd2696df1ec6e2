/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Memory: allocation and its limits, copies in every direction, filling, host memory. */
#include <string.h>

#include "driver_api.h"
#include "tests.h"

static void alloc_limits(void)
{
	CUcontext ctx = context_begin();
	size_t before, after, total, size;
	CUdeviceptr p, q, base;

	OK(cuMemGetInfo_v2, &before, &total);
	FAILS(CUDA_ERROR_INVALID_VALUE, cuMemAlloc_v2, &p, 0);
	FAILS(CUDA_ERROR_OUT_OF_MEMORY, cuMemAlloc_v2, &p, total + 1);
	FAILS(CUDA_ERROR_OUT_OF_MEMORY, cuMemAlloc_v2, &p, SIZE_MAX);
	OK(cuMemAlloc_v2, &p, total / 2);
	OK(cuMemGetInfo_v2, &after, &total);
	g_assert_cmpuint(before - after, ==, total / 2);
	FAILS(CUDA_ERROR_OUT_OF_MEMORY, cuMemAlloc_v2, &q, total / 2 + 4096);
	OK(cuMemGetAddressRange_v2, &base, &size, p + 77);
	g_assert_cmphex(base, ==, p);
	g_assert_cmpuint(size, ==, total / 2);
	FAILS(CUDA_ERROR_INVALID_VALUE, cuMemFree_v2, p + 4096);
	OK(cuMemFree_v2, p);
	FAILS(CUDA_ERROR_INVALID_VALUE, cuMemFree_v2, p);
	FAILS(CUDA_ERROR_NOT_FOUND, cuMemGetAddressRange_v2, &base, &size, p);
	OK(cuMemFree_v2, 0);
	context_end(ctx);
}

static void copies(void)
{
	CUcontext ctx = context_begin();
	char from[1000], to[1000] = {0};
	CUdeviceptr p, q;

	for (size_t i = 0; i < sizeof(from); i++)
		from[i] = (char)(i * 7);
	OK(cuMemAlloc_v2, &p, 1000);
	OK(cuMemAlloc_v2, &q, 1000);
	OK(cuMemcpyHtoD_v2, p, from, 1000);
	OK(cuMemcpyDtoD_v2, q, p, 1000);
	OK(cuMemcpyDtoH_v2, to, q, 1000);
	g_assert_cmpmem(from, 1000, to, 1000);
	OK(cuMemcpyHtoD_v2, p, from, 0);
	FAILS(CUDA_ERROR_INVALID_VALUE, cuMemcpyHtoD_v2, p, from, 1001);
	FAILS(CUDA_ERROR_INVALID_VALUE, cuMemcpyHtoD_v2, p + 1, from, 1000);
	FAILS(CUDA_ERROR_INVALID_VALUE, cuMemcpyDtoH_v2, to, p, SIZE_MAX);
	FAILS(CUDA_ERROR_INVALID_VALUE, cuMemcpyDtoH_v2, to, 4096, 1);
	FAILS(CUDA_ERROR_INVALID_VALUE, cuMemcpy, p, (CUdeviceptr)from, 8);
	OK(cuMemFree_v2, p);
	FAILS(CUDA_ERROR_INVALID_VALUE, cuMemcpyHtoD_v2, p, from, 1);
	context_end(ctx);
}

static void boxes(void)
{
	CUcontext ctx = context_begin();
	char from[6][10], to[6][10];
	CUdeviceptr p;
	size_t pitch;

	memset(to, 0, sizeof(to));
	for (int i = 0; i < 60; i++)
		from[i / 10][i % 10] = (char)i;
	OK(cuMemAllocPitch_v2, &p, &pitch, 10, 6, 4);
	g_assert_cmpuint(pitch % 512, ==, 0);
	CUDA_MEMCPY2D in = {.srcMemoryType = CU_MEMORYTYPE_HOST,
			    .srcHost = from,
			    .srcPitch = 10,
			    .dstMemoryType = CU_MEMORYTYPE_DEVICE,
			    .dstDevice = p,
			    .dstPitch = pitch,
			    .WidthInBytes = 10,
			    .Height = 6};
	OK(cuMemcpy2D_v2, &in);
	CUDA_MEMCPY3D out = {.srcMemoryType = CU_MEMORYTYPE_DEVICE,
			     .srcDevice = p,
			     .srcPitch = pitch,
			     .srcHeight = 2,
			     .srcXInBytes = 3,
			     .dstMemoryType = CU_MEMORYTYPE_HOST,
			     .dstHost = to,
			     .dstPitch = 10,
			     .dstHeight = 2,
			     .WidthInBytes = 4,
			     .Height = 2,
			     .Depth = 3};
	OK(cuMemcpy3D_v2, &out);
	for (int i = 0; i < 60; i++)
		g_assert_cmpint(to[i / 10][i % 10], ==, i % 10 < 4 ? i + 3 : 0);
	in.dstY = 1; /* one row too far */
	in.Height = 6;
	in.dstPitch = 5; /* narrower than a row */
	FAILS(CUDA_ERROR_INVALID_VALUE, cuMemcpy2D_v2, &in);
	in.dstPitch = SIZE_MAX / 2;
	FAILS(CUDA_ERROR_INVALID_VALUE, cuMemcpy2D_v2, &in);
	out.Depth = SIZE_MAX;
	FAILS(CUDA_ERROR_INVALID_VALUE, cuMemcpy3D_v2, &out);
	out.Depth = 3;
	out.srcZ = SIZE_MAX / pitch;
	FAILS(CUDA_ERROR_INVALID_VALUE, cuMemcpy3D_v2, &out);
	context_end(ctx);
}

static void fills(void)
{
	CUcontext ctx = context_begin();
	unsigned char byte[64];
	CUdeviceptr p;

	OK(cuMemAlloc_v2, &p, 64);
	OK(cuMemsetD8_v2, p, 1, 64);
	OK(cuMemsetD16_v2, p + 8, 0x0302, 2);
	OK(cuMemsetD32_v2, p + 16, 0x07060504, 2);
	OK(cuMemsetD2D8_v2, p + 32, 8, 9, 3, 4);
	OK(cuMemcpyDtoH_v2, byte, p, 64);
	g_assert_cmpmem(byte, 32,
			"\1\1\1\1\1\1\1\1\2\3\2\3\1\1\1\1\4\5\6\7\4\5\6\7\1\1\1\1\1\1\1\1", 32);
	g_assert_cmpmem(
		byte + 32, 32,
		"\11\11\11\1\1\1\1\1\11\11\11\1\1\1\1\1\11\11\11\1\1\1\1\1\11\11\11\1\1\1\1\1", 32);
	FAILS(CUDA_ERROR_INVALID_VALUE, cuMemsetD8_v2, p, 0, 65);
	FAILS(CUDA_ERROR_INVALID_VALUE, cuMemsetD32_v2, p, 0, SIZE_MAX / 2);
	FAILS(CUDA_ERROR_INVALID_VALUE, cuMemsetD32_v2, p + 2, 0, 1);
	FAILS(CUDA_ERROR_INVALID_VALUE, cuMemsetD2D32_v2, p, SIZE_MAX & ~3ul, 0, 1, 3);
	context_end(ctx);
}

static void host_memory(void)
{
	CUcontext ctx = context_begin();
	static char own[8192];
	unsigned int flags;
	CUdeviceptr d;
	void *p;

	OK(cuMemHostAlloc, &p, 5000, CU_MEMHOSTALLOC_PORTABLE);
	OK(cuMemHostGetDevicePointer_v2, &d, p, 0);
	g_assert_cmphex(d, ==, (CUdeviceptr)p);
	OK(cuMemHostGetFlags, &flags, p);
	g_assert_true(flags & CU_MEMHOSTALLOC_PORTABLE);
	OK(cuMemsetD8_v2, d, 3, 5000);
	OK(cuCtxSynchronize);
	g_assert_cmpint(((char *)p)[4999], ==, 3);
	FAILS(CUDA_ERROR_INVALID_VALUE, cuMemFree_v2, d);
	FAILS(CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED, cuMemHostRegister_v2, p, 1, 0);
	OK(cuMemFreeHost, p);
	FAILS(CUDA_ERROR_INVALID_VALUE, cuMemFreeHost, p);

	OK(cuMemHostRegister_v2, own, sizeof(own), 0);
	FAILS(CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED, cuMemHostRegister_v2, own + 100, 1, 0);
	OK(cuMemsetD8_v2, (CUdeviceptr)own, 5, sizeof(own));
	OK(cuCtxSynchronize);
	g_assert_cmpint(own[8191], ==, 5);
	FAILS(CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED, cuMemHostUnregister, own + 1);
	OK(cuMemHostUnregister, own);
	FAILS(CUDA_ERROR_INVALID_VALUE, cuMemsetD8_v2, (CUdeviceptr)own, 5, 1);
	FAILS(CUDA_ERROR_INVALID_VALUE, cuMemHostRegister_v2, (void *)4096, 4096, 0);
	FAILS(CUDA_ERROR_INVALID_VALUE, cuMemHostRegister_v2, own, SIZE_MAX, 0);
	context_end(ctx);
}

static void context_frees(void)
{
	CUcontext ctx = context_begin(), other;
	size_t before, after, total;
	CUdeviceptr p;

	OK(cuMemGetInfo_v2, &before, &total);
	OK(cuCtxCreate_v4, &other, NULL, 0, 0);
	OK(cuMemAlloc_v2, &p, 1 << 20);
	module_begin();
	OK(cuCtxDestroy_v2, other);
	OK(cuMemGetInfo_v2, &after, &total);
	g_assert_cmpuint(before, ==, after);
	FAILS(CUDA_ERROR_INVALID_CONTEXT, cuCtxSetCurrent, other);
	context_end(ctx);
}

void add_memory_tests(void)
{
	g_test_add_func("/cpu-driver/memory/limits", alloc_limits);
	g_test_add_func("/cpu-driver/memory/copies", copies);
	g_test_add_func("/cpu-driver/memory/boxes", boxes);
	g_test_add_func("/cpu-driver/memory/fills", fills);
	g_test_add_func("/cpu-driver/memory/host", host_memory);
	g_test_add_func("/cpu-driver/memory/context", context_frees);
}
