/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Modules and libraries from PTX, and what launches do. */
#include <string.h>

#if HAVE_LZ4
#include <lz4.h>
#endif

#include "driver_api.h"
#include "tests.h"

static CUdeviceptr device_floats(const float *from, size_t n)
{
	CUdeviceptr p;

	OK(cuMemAlloc_v2, &p, n * sizeof(float));
	OK(cuMemcpyHtoD_v2, p, from, n * sizeof(float));
	return p;
}

static void vector(void)
{
	CUcontext ctx = context_begin();
	CUfunction f = function_of(module_begin(), "vector_add");
	float a[100], b[100], c[100];
	CUdeviceptr x, y, z;
	int n = 100;

	for (int i = 0; i < 100; i++) {
		a[i] = (float)i;
		b[i] = (float)(2 * i);
		c[i] = -1;
	}
	x = device_floats(a, 100);
	y = device_floats(b, 100);
	z = device_floats(c, 100);
	LAUNCH(f, 64, NULL, &x, &y, &z, &n);
	OK(cuMemcpyDtoH_v2, c, z, sizeof(c));
	for (int i = 0; i < 100; i++)
		g_assert_cmpfloat(c[i], ==, (float)(3 * i));
	OK(cuMemsetD8_v2, z, 0, sizeof(c));

	struct {
		CUdeviceptr a, b, c;
		int n;
	} packed = {x, y, z, n};
	size_t size = 28;
	void *extra[] = {CU_LAUNCH_PARAM_BUFFER_POINTER, &packed, CU_LAUNCH_PARAM_BUFFER_SIZE,
			 &size, CU_LAUNCH_PARAM_END};

	OK(cuLaunchKernel, f, 2, 1, 1, 64, 1, 1, 0, NULL, NULL, extra);
	OK(cuMemcpyDtoH_v2, c, z, sizeof(c));
	g_assert_cmpfloat(c[99], ==, 297);
	size = 27;
	FAILS(CUDA_ERROR_INVALID_VALUE, cuLaunchKernel, f, 2, 1, 1, 64, 1, 1, 0, NULL, NULL, extra);
	FAILS(CUDA_ERROR_INVALID_VALUE, cuLaunchKernel, f, 2, 1, 1, 64, 1, 1, 0, NULL, NULL, NULL);
	FAILS(CUDA_ERROR_INVALID_VALUE, cuLaunchKernel, f, 0, 1, 1, 64, 1, 1, 0, NULL, NULL, extra);
	FAILS(CUDA_ERROR_INVALID_VALUE, cuLaunchKernel, f, 1, 1, 1, 64, 64, 1, 0, NULL, NULL,
	      extra);
	context_end(ctx);
}

static void matrices(void)
{
	CUcontext ctx = context_begin();
	CUfunction f = function_of(module_begin(), "matmul");
	const float a[6] = {1, 2, 3, 4, 5, 6}, b[6] = {1, 0, 2, 1, 0, 3};
	const float want[4] = {5, 11, 14, 23};
	int m = 2, n = 2, k = 3;
	float c[4] = {0};
	CUdeviceptr x = device_floats(a, 6), y = device_floats(b, 6), z = device_floats(c, 4);

	OK(cuLaunchKernel, f, 1, 1, 1, 16, 16, 1, 0, NULL, (void *[]){&x, &y, &z, &m, &n, &k},
	   NULL);
	OK(cuMemcpyDtoH_v2, c, z, sizeof(c));
	g_assert_cmpmem(c, sizeof(c), want, sizeof(want));
	context_end(ctx);
}

static void parameters(void)
{
	CUcontext ctx = context_begin();
	CUmodule m = module_begin();
	struct {
		int a;
		double b;
		float c;
	} s = {1, 2.5, 0.25f};
	signed char c = -1;
	short h = -300;
	int i = 5, info[7];
	long long l = 1ll << 40;
	float f = 0.5f;
	double d = 0.25, out;
	CUdeviceptr p;

	OK(cuMemAlloc_v2, &p, 64);
	LAUNCH(function_of(m, "sum_struct"), 1, NULL, &s, &p);
	OK(cuMemcpyDtoH_v2, &out, p, 8);
	g_assert_cmpfloat(out, ==, 3.75);
	LAUNCH(function_of(m, "mixed"), 1, NULL, &c, &h, &i, &l, &f, &d, &p);
	OK(cuMemcpyDtoH_v2, &out, p, 8);
	g_assert_cmpfloat(out, ==, (double)(1ll << 40) - 296 + 0.75);
	OK(cuLaunchKernel, function_of(m, "grid_info"), 7, 6, 5, 4, 3, 2, 100, NULL, (void *[]){&p},
	   NULL);
	OK(cuMemcpyDtoH_v2, info, p, sizeof(info));
	g_assert_cmpmem(info, sizeof(info), ((int[]){7, 6, 5, 4, 3, 2, 100}), sizeof(info));
	context_end(ctx);
}

static void globals(void)
{
	CUcontext ctx = context_begin();
	CUmodule m = module_begin();
	CUdeviceptr p;
	size_t size;
	unsigned int counter, add = 37;
	char table[16];

	OK(cuModuleGetGlobal_v2, &p, &size, m, "counter");
	g_assert_cmpuint(size, ==, 4);
	LAUNCH(function_of(m, "counter_add"), 1, NULL, &add);
	OK(cuMemcpyDtoH_v2, &counter, p, 4);
	g_assert_cmpuint(counter, ==, 42);
	OK(cuModuleGetGlobal_v2, &p, &size, m, "table");
	g_assert_cmpuint(size, ==, 16);
	OK(cuMemcpyDtoH_v2, table, p, 16);
	g_assert_cmpmem(table, 16, "\1\2\3\0\0\0\0\0\0\0\0\0\0\0\0", 16);
	FAILS(CUDA_ERROR_NOT_FOUND, cuModuleGetGlobal_v2, &p, &size, m, "chair");
	FAILS(CUDA_ERROR_INVALID_VALUE, cuMemFree_v2, p);
	OK(cuModuleUnload, m);
	FAILS(CUDA_ERROR_INVALID_VALUE, cuMemcpyDtoH_v2, table, p, 16);
	FAILS(CUDA_ERROR_INVALID_HANDLE, cuModuleUnload, m);
	context_end(ctx);
}

static void library(void)
{
	CUcontext ctx = context_begin();
	unsigned int n, value = 9;
	CUlibrary l;
	CUkernel k, all[64];
	CUfunction f;
	CUdeviceptr p;
	int count = 4, out[4];

	OK(cuLibraryLoadData, &l, kernels_ptx, NULL, NULL, 0, NULL, NULL, 0);
	OK(cuLibraryGetKernelCount, &n, l);
	OK(cuLibraryEnumerateKernels, all, 64, l);
	OK(cuLibraryGetKernel, &k, l, "fill");
	OK(cuKernelGetFunction, &f, k);
	OK(cuMemAlloc_v2, &p, 16);
	LAUNCH((CUfunction)k, 32, NULL, &p, &value, &count);
	OK(cuMemcpyDtoH_v2, out, p, 16);
	g_assert_cmpint(out[3], ==, 9);
	LAUNCH(f, 32, NULL, &p, &value, &count);
	FAILS(CUDA_ERROR_NOT_FOUND, cuLibraryGetKernel, &k, l, "full");
	OK(cuLibraryUnload, l);
	FAILS(CUDA_ERROR_INVALID_HANDLE, cuLibraryUnload, l);
	FAILS(CUDA_ERROR_INVALID_HANDLE, cuLaunchKernel, (CUfunction)k, 1, 1, 1, 1, 1, 1, 0, NULL,
	      NULL, NULL);
	context_end(ctx);
}

static void not_built_in(void)
{
	CUcontext ctx = context_begin();
	CUmodule m = module_begin();
	CUdeviceptr p = 0;

	FAILS(CUDA_ERROR_NOT_SUPPORTED, cuLaunchKernel, function_of(m, "nobody_knows"), 1, 1, 1, 1,
	      1, 1, 0, NULL, (void *[]){&p}, NULL);
	FAILS(CUDA_ERROR_INVALID_VALUE, cuLaunchKernel, function_of(m, "nobody_knows"), 1, 1, 1, 65,
	      1, 1, 0, NULL, (void *[]){&p}, NULL);
	context_end(ctx);
}

/* A fatbin of one part: a text, or what became of it when compressed. */
static guint8 *fatbin(const void *data, size_t size, size_t plain, guint64 flags)
{
	size_t padded = (size + 7) & ~(size_t)7;
	guint8 *f = g_malloc0(16 + 64 + padded);

	memcpy(f, (guint32[]){0xba55ed50, 16 << 16 | 1}, 8);
	memcpy(f + 8, &(guint64){64 + padded}, 8);
	memcpy(f + 16, (guint32[]){0x101 << 16 | 1, 64}, 8);
	memcpy(f + 24, &(guint64){padded}, 8);
	memcpy(f + 32, &(guint32){plain ? (guint32)size : 0}, 4);
	memcpy(f + 16 + 40, &(guint64){flags}, 8);
	memcpy(f + 16 + 56, &(guint64){plain}, 8);
	memcpy(f + 80, data, size);
	return f;
}

static void load_fatbin(guint8 *f, CUresult want)
{
	CUmodule m;

	FAILS(want, cuModuleLoadData, &m, f);
	if (!want)
		function_of(m, "vector_add");
	g_free(f);
}

static void fatbins(void)
{
	size_t length = strlen(kernels_ptx) + 1;
	CUcontext ctx = context_begin();
	guint8 *f;

	load_fatbin(fatbin(kernels_ptx, length, 0, 0), CUDA_SUCCESS);
	f = fatbin(kernels_ptx, length, 0, 0);
	f[16] = 2; /* machine code */
	load_fatbin(f, CUDA_ERROR_NO_BINARY_FOR_GPU);
	f = fatbin(kernels_ptx, length, 0, 0);
	f[24]++; /* longer than the whole */
	load_fatbin(f, CUDA_ERROR_INVALID_IMAGE);
#if HAVE_LZ4
	gchar *packed = g_malloc((gsize)LZ4_compressBound((int)length));
	int size = LZ4_compress_default(kernels_ptx, packed, (int)length,
					LZ4_compressBound((int)length));

	load_fatbin(fatbin(packed, (size_t)size, length, 0x2000), CUDA_SUCCESS);
	load_fatbin(fatbin(packed, (size_t)size, length - 1, 0x2000), CUDA_ERROR_NO_BINARY_FOR_GPU);
	g_free(packed);
#endif
	context_end(ctx);
}

/* Texts that are no PTX, or not quite. */
static void malformed(void)
{
	static const char *const bad[] = {
		"hello",
		".version 7.0",
		".version 7.0 .target sm_70 .address_size 32",
		".version 7.0 .target sm_70 .entry",
		".version 7.0 .target sm_70 .entry f(.param .u64 a {}",
		".version 7.0 .target sm_70 .entry f(.param .u65 a) {}",
		".version 7.0 .target sm_70 .entry f(.param .u64 a) { {",
		".version 7.0 .target sm_70 .entry f(.param .b8 a[40000]) {}",
		".version 7.0 .target sm_70 .entry f() {} .entry f() {}",
		".version 7.0 .target sm_70 .global .b8 a[99999999999999999999];",
		".version 7.0 .target sm_70 .global .u32 a",
		".version 7.0 .target sm_70 .global .b8 a[1] = {1, 2};",
		".version 7.0 .target sm_70 /* no end",
		".version 7.0 .target sm_70 .file 1 \"no end",
		".version 7.0 .target sm_70 \1",
		".version 7.0 .target sm_70 .unheard of;",
	};
	CUcontext ctx = context_begin();
	size_t before, after, total;
	CUmodule m;

	OK(cuMemGetInfo_v2, &before, &total);
	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
		FAILS(CUDA_ERROR_INVALID_PTX, cuModuleLoadData, &m, bad[i]);
	FAILS(CUDA_ERROR_INVALID_IMAGE, cuModuleLoadData, &m, "");
	FAILS(CUDA_ERROR_NO_BINARY_FOR_GPU, cuModuleLoadData, &m, "\177ELF");
	FAILS(CUDA_ERROR_OUT_OF_MEMORY, cuModuleLoadData, &m,
	      ".version 7.0 .target sm_70 .global .b8 a[64]; .global .b8 b[99999999999];");
	OK(cuMemGetInfo_v2, &after, &total);
	g_assert_cmpuint(before, ==, after);
	context_end(ctx);
}

void add_module_tests(void)
{
	g_test_add_func("/cpu-driver/module/vector", vector);
	g_test_add_func("/cpu-driver/module/matrices", matrices);
	g_test_add_func("/cpu-driver/module/parameters", parameters);
	g_test_add_func("/cpu-driver/module/globals", globals);
	g_test_add_func("/cpu-driver/module/library", library);
	g_test_add_func("/cpu-driver/module/not-built-in", not_built_in);
	g_test_add_func("/cpu-driver/module/fatbins", fatbins);
	g_test_add_func("/cpu-driver/module/malformed", malformed);
}
