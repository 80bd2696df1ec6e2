// SPDX-License-Identifier: GPL-2.0-or-later
/* Kernels from PTX and from machine code, launched in each form. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "harness.h"

static void add_vectors(CUfunction f, unsigned int n)
{
	size_t bytes = (size_t)n * sizeof(float);
	float *a = malloc(bytes), *b = malloc(bytes), *c = calloc(n, sizeof(float));
	CUdeviceptr da = device_alloc(bytes), db = device_alloc(bytes), dc = device_alloc(bytes);
	void *args[] = {&da, &db, &dc, &n};

	for (unsigned int i = 0; i < n; i++) {
		a[i] = (float)i * 0.5f;
		b[i] = (float)(n - i) * 0.25f;
	}
	CK(cuMemcpyHtoD(da, a, bytes));
	CK(cuMemcpyHtoD(db, b, bytes));
	launch(f, n, NULL, args);
	CK(cuMemcpyDtoH(c, dc, bytes));
	for (unsigned int i = 0; i < n; i++)
		if (c[i] != a[i] + b[i])
			fail(__FILE__, __LINE__, "element %u is %g and not %g", i, c[i],
			     a[i] + b[i]);
	CK(cuMemFree(da));
	CK(cuMemFree(db));
	CK(cuMemFree(dc));
	free(a);
	free(b);
	free(c);
}

static void multiply(CUfunction f, unsigned int m, unsigned int n, unsigned int k)
{
	float *a = malloc(m * k * 4), *b = malloc(k * n * 4), *c = malloc(m * n * 4);
	CUdeviceptr da = device_alloc(m * k * 4), db = device_alloc(k * n * 4),
		    dc = device_alloc(m * n * 4);
	void *args[] = {&da, &db, &dc, &m, &n, &k};

	/* Whole numbers: the sum is exact in any order. */
	for (unsigned int i = 0; i < m * k; i++)
		a[i] = (float)(i * 7 % 11) - 5;
	for (unsigned int i = 0; i < k * n; i++)
		b[i] = (float)(i * 5 % 13) - 6;
	CK(cuMemcpyHtoD(da, a, m * k * 4));
	CK(cuMemcpyHtoD(db, b, k * n * 4));
	CK(cuLaunchKernel(f, (n + 15) / 16, (m + 15) / 16, 1, 16, 16, 1, 0, NULL, args, NULL));
	CK(cuMemcpyDtoH(c, dc, m * n * 4));
	for (unsigned int row = 0; row < m; row++)
		for (unsigned int col = 0; col < n; col++) {
			float sum = 0;

			for (unsigned int i = 0; i < k; i++)
				sum += a[row * k + i] * b[i * n + col];
			if (c[row * n + col] != sum)
				fail(__FILE__, __LINE__, "(%u, %u) is %g and not %g", row, col,
				     c[row * n + col], sum);
		}
	free(a);
	free(b);
	free(c);
}

static void vector_add_ptx(void)
{
	start();
	add_vectors(kernel("vector_add"), 1);
	add_vectors(kernel("vector_add"), 1000);
	add_vectors(kernel("vector_add"), 1 << 20);
}

static void matmul_ptx(void)
{
	start();
	multiply(kernel("matmul"), 64, 64, 64);
	multiply(kernel("matmul"), 67, 33, 129);
}

/* The machine code of this device's generation, if it was built. */
static CUmodule load_cubin(void)
{
	int major, minor;
	CUmodule m;

	CK(cuDeviceGetAttribute(&major, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, device));
	CK(cuDeviceGetAttribute(&minor, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, device));
	for (size_t i = 0; i < kernels_cubin_count; i++)
		if (kernels_cubin[i].arch == (unsigned int)(major * 10 + minor)) {
			CK(cuModuleLoadData(&m, kernels_cubin[i].image));
			return m;
		}
	skip("no machine code for compute capability %d.%d was built", major, minor);
}

static void vector_add_cubin(void)
{
	CUfunction f;

	start();
	CK(cuModuleGetFunction(&f, load_cubin(), "vector_add"));
	add_vectors(f, 100000);
}

static void matmul_cubin(void)
{
	CUfunction f;

	start();
	CK(cuModuleGetFunction(&f, load_cubin(), "matmul"));
	multiply(f, 100, 50, 75);
}

struct many {
	unsigned char byte;
	unsigned short half;
	unsigned int word[5];
	unsigned long long wide;
};

static void expect_mixed(CUdeviceptr out)
{
	static const unsigned long long want[7] = {200, 7, 30000, 5, 1ull << 40, 12345, 2500};
	unsigned long long got[7];

	CK(cuMemcpyDtoH(got, out, sizeof(got)));
	for (int i = 0; i < 7; i++)
		CHECK_EQ(got[i], want[i]);
	CK(cuMemsetD8(out, 0, sizeof(got)));
}

/* Parameters of each size, by pointers to them and as one packed buffer. */
static void parameters(void)
{
	unsigned char a = 200;
	struct many m = {7, 30000, {1, 0, 0, 0, 4}, 1ull << 40};
	unsigned short b = 12345;
	double d = 2.5;
	CUdeviceptr out;
	void *args[] = {&a, &m, &b, &d, &out};
	char packed[64];
	size_t size = 64;
	void *extra[] = {CU_LAUNCH_PARAM_BUFFER_POINTER, packed, CU_LAUNCH_PARAM_BUFFER_SIZE, &size,
			 CU_LAUNCH_PARAM_END};
	static const size_t at[] = {0, 8, 40, 48, 56};
	size_t offset, bytes;

	start();
	out = device_alloc(7 * 8);
	CK(cuLaunchKernel(kernel("mixed"), 1, 1, 1, 1, 1, 1, 0, NULL, args, NULL));
	expect_mixed(out);
	for (size_t i = 0; i < 5; i++) {
		CK(cuFuncGetParamInfo(kernel("mixed"), i, &offset, &bytes));
		CHECK_EQ(offset, at[i]);
	}
	EXPECT(cuFuncGetParamInfo(kernel("mixed"), 5, &offset, &bytes), CUDA_ERROR_INVALID_VALUE);
	memset(packed, 0xee, sizeof(packed));
	memcpy(packed + at[0], &a, sizeof(a));
	memcpy(packed + at[1], &m, sizeof(m));
	memcpy(packed + at[2], &b, sizeof(b));
	memcpy(packed + at[3], &d, sizeof(d));
	memcpy(packed + at[4], &out, sizeof(out));
	CK(cuLaunchKernel(kernel("mixed"), 1, 1, 1, 1, 1, 1, 0, NULL, NULL, extra));
	expect_mixed(out);
}

static void extended(void)
{
	CUlaunchAttribute attribute = {.id = CU_LAUNCH_ATTRIBUTE_PRIORITY};
	CUlaunchConfig config = {.gridDimX = 4,
				 .gridDimY = 1,
				 .gridDimZ = 1,
				 .blockDimX = 256,
				 .blockDimY = 1,
				 .blockDimZ = 1};
	unsigned int n = 1000, value = 3;
	CUdeviceptr p;
	void *args[] = {&p, &value, &n};

	start();
	p = device_alloc(n * 4);
	CK(cuLaunchKernelEx(&config, kernel("fill"), args, NULL));
	expect_words(p, 3, n);
	value = 4;
	attribute.value.priority = 0;
	config.attrs = &attribute;
	config.numAttrs = 1;
	CK(cuLaunchKernelEx(&config, kernel("fill"), args, NULL));
	expect_words(p, 4, n);
}

static void cooperative(void)
{
	unsigned int n = 1000, value = 9;
	CUdeviceptr p;
	void *args[] = {&p, &value, &n};

	start();
	p = device_alloc(n * 4);
	CK(cuLaunchCooperativeKernel(kernel("fill"), 2, 1, 1, 256, 1, 1, 0, NULL, args));
	expect_words(p, 9, n);
}

static void shared_memory(void)
{
	unsigned int host[256], n = 256;
	CUdeviceptr p;
	void *args[] = {&p, &n};
	CUfunction f;

	start();
	f = kernel("reverse_shared");
	p = device_alloc(sizeof(host));
	for (unsigned int i = 0; i < n; i++)
		host[i] = i;
	CK(cuMemcpyHtoD(p, host, sizeof(host)));
	CK(cuLaunchKernel(f, 1, 1, 1, n, 1, 1, sizeof(host), NULL, args, NULL));
	CK(cuMemcpyDtoH(host, p, sizeof(host)));
	for (unsigned int i = 0; i < n; i++)
		CHECK_EQ(host[i], n - 1 - i);
	/* More than 48 KiB only after it was asked for. */
	EXPECT(cuLaunchKernel(f, 1, 1, 1, n, 1, 1, 64 << 10, NULL, args, NULL),
	       CUDA_ERROR_INVALID_VALUE);
	CK(cuFuncSetAttribute(f, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, 64 << 10));
	CK(cuLaunchKernel(f, 1, 1, 1, n, 1, 1, 64 << 10, NULL, args, NULL));
	CK(cuMemcpyDtoH(host, p, sizeof(host)));
	for (unsigned int i = 0; i < n; i++)
		CHECK_EQ(host[i], i);
}

/* More than any queue holds, without a wait in between. */
static void many(void)
{
	unsigned int n = 16, launches = 20000;
	CUdeviceptr p;
	void *args[] = {&p, &n};
	CUfunction f;

	start();
	f = kernel("increment");
	p = device_alloc(n * 4);
	CK(cuMemsetD32(p, 0, n));
	for (unsigned int i = 0; i < launches; i++)
		CK(cuLaunchKernel(f, 1, 1, 1, 32, 1, 1, 0, NULL, args, NULL));
	expect_words(p, launches, n);
}

static void wrong(void)
{
	unsigned int n = 1, value = 1;
	CUdeviceptr p;
	void *args[] = {&p, &value, &n};
	CUfunction f;

	start();
	f = kernel("fill");
	p = device_alloc(4);
	EXPECT(cuLaunchKernel(f, 0, 1, 1, 1, 1, 1, 0, NULL, args, NULL), CUDA_ERROR_INVALID_VALUE);
	EXPECT(cuLaunchKernel(f, 1, 1, 1, 1, 0, 1, 0, NULL, args, NULL), CUDA_ERROR_INVALID_VALUE);
	EXPECT(cuLaunchKernel(f, 1, 1, 1, 4096, 1, 1, 0, NULL, args, NULL),
	       CUDA_ERROR_INVALID_VALUE);
	EXPECT(cuLaunchKernel(f, 1, 1, 1, 1, 1, 1, 0, NULL, NULL, NULL), CUDA_ERROR_INVALID_VALUE);
	CHECK(cuLaunchKernel(NULL, 1, 1, 1, 1, 1, 1, 0, NULL, args, NULL) != CUDA_SUCCESS);
	/* None of that was an error of the device. */
	CK(cuLaunchKernel(f, 1, 1, 1, 1, 1, 1, 0, NULL, args, NULL));
	CK(cuCtxSynchronize());
	expect_words(p, 1, 1);
}

const struct test_case launch_cases[] = {
	{"vector_add_ptx", vector_add_ptx, ANYWHERE},
	{"vector_add_cubin", vector_add_cubin, GPU},
	{"matmul_ptx", matmul_ptx, ANYWHERE},
	{"matmul_cubin", matmul_cubin, GPU},
	{"parameters", parameters, GPU},
	{"extended", extended, COMPLETE},
	{"cooperative", cooperative, COMPLETE},
	{"shared_memory", shared_memory, GPU},
	{"many", many, ANYWHERE},
	{"wrong", wrong, ANYWHERE},
	{0},
};
