// SPDX-License-Identifier: GPL-2.0-or-later
/* Modules and libraries: what is in them, and images that are none. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "harness.h"

static void globals(void)
{
	unsigned int value = 0, table[16];
	CUdeviceptr counter, constants, out;
	unsigned int add = 5;
	void *args[] = {&out, &add};
	size_t bytes = 0;

	start();
	CK(cuModuleGetGlobal(&counter, &bytes, module, "global_counter"));
	CHECK_EQ(bytes, 4);
	CK(cuMemcpyDtoH(&value, counter, 4));
	CHECK_EQ(value, 7);
	CK(cuModuleGetGlobal(&constants, &bytes, module, "constant_table"));
	CHECK_EQ(bytes, 64);
	CK(cuModuleGetGlobal(NULL, &bytes, module, "constant_table"));
	EXPECT(cuModuleGetGlobal(&out, &bytes, module, "no_such_thing"), CUDA_ERROR_NOT_FOUND);
	if (!on_gpu)
		return;
	for (unsigned int i = 0; i < 16; i++)
		table[i] = 100 * i;
	CK(cuMemcpyHtoD(constants, table, sizeof(table)));
	out = device_alloc(4);
	CK(cuLaunchKernel(kernel("count_global"), 1, 1, 1, 1, 1, 1, 0, NULL, args, NULL));
	expect_words(out, 7 + 5 + 300, 1);
	CK(cuMemcpyDtoH(&value, counter, 4));
	CHECK_EQ(value, 12);
}

static void names(void)
{
	const char *name = NULL;
	CUfunction f, again;
	CUmodule of = NULL;

	start();
	f = kernel("vector_add");
	again = kernel("vector_add");
	CHECK(f == again);
	EXPECT(cuModuleGetFunction(&f, module, "no_such_kernel"), CUDA_ERROR_NOT_FOUND);
	f = again;
	CK(cuFuncGetName(&name, f));
	CHECK(!strcmp(name, "vector_add"));
	CK(cuFuncGetModule(&of, f));
	CHECK(of == module);
}

static void attributes(void)
{
	int threads = 0, shared = -1, version = 0, blocks = 0, block = 0, least = 0;
	CUfunction f;

	start();
	f = kernel("matmul");
	CK(cuFuncGetAttribute(&threads, CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK, f));
	CHECK(threads > 0 && threads <= 1024);
	CK(cuFuncGetAttribute(&shared, CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES, f));
	CHECK_EQ(shared, 0);
	CK(cuFuncGetAttribute(&version, CU_FUNC_ATTRIBUTE_PTX_VERSION, f));
	CHECK(version >= 50);
	CK(cuOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, f, 256, 0));
	CHECK(blocks >= 1 && blocks <= 64);
	CK(cuOccupancyMaxPotentialBlockSize(&least, &block, f, NULL, 0, 0));
	CHECK(block >= 32 && block <= 1024 && least >= 1);
	CK(cuFuncSetCacheConfig(f, CU_FUNC_CACHE_PREFER_L1));
}

static int blocks_with(CUfunction f, int carveout)
{
	int blocks = 0;

	CK(cuFuncSetAttribute(f, CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT, carveout));
	CK(cuOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, f, 64, 16384));
	return blocks;
}

/* What a multiprocessor has of shared memory is asked for each time that it is set anew. */
static void carveout(void)
{
	CUfunction f;
	int few;

	start();
	f = kernel("matmul");
	few = blocks_with(f, 25);
	CHECK(blocks_with(f, 100) > few);
	CHECK_EQ(blocks_with(f, 25), few);
}

static void library(void)
{
	unsigned int count = 0, n = 1000, value = 6;
	const char *name = NULL;
	CUlibrary lib;
	CUkernel k, all[64];
	CUfunction f;
	CUdeviceptr p, global = 0;
	void *args[] = {&p, &value, &n};
	size_t bytes = 0;
	int threads = 0;

	start();
	CK(cuLibraryLoadData(&lib, kernels_ptx, NULL, NULL, 0, NULL, NULL, 0));
	CK(cuLibraryGetKernel(&k, lib, "fill"));
	EXPECT(cuLibraryGetKernel(&all[0], lib, "no_such_kernel"), CUDA_ERROR_NOT_FOUND);
	CK(cuKernelGetName(&name, k));
	CHECK(!strcmp(name, "fill"));
	CK(cuKernelGetFunction(&f, k));
	CK(cuKernelGetAttribute(&threads, CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK, k, device));
	CHECK(threads > 0);
	p = device_alloc(n * 4);
	launch((CUfunction)k, n, NULL, args); /* a kernel's handle launches too */
	expect_words(p, 6, n);
	value = 7;
	launch(f, n, NULL, args);
	expect_words(p, 7, n);
	CK(cuLibraryGetKernelCount(&count, lib));
	CHECK(count >= 9 && count <= 64);
	CK(cuLibraryEnumerateKernels(all, count, lib));
	CK(cuLibraryGetGlobal(&global, &bytes, lib, "global_counter"));
	CHECK_EQ(bytes, 4);
	CK(cuLibraryUnload(lib));
	if (mediated())
		CHECK(cuLaunchKernel((CUfunction)k, 1, 1, 1, 1, 1, 1, 0, NULL, args, NULL) !=
		      CUDA_SUCCESS);
}

static CUresult launch_shared(CUfunction f, CUdeviceptr p, unsigned int bytes)
{
	unsigned int n = 1, value = 1;
	void *args[] = {&p, &value, &n};

	return cuLaunchKernel(f, 1, 1, 1, 1, 1, 1, bytes, NULL, args, NULL);
}

/* What the kernel and its function say, and that launches of both end at `limit`. */
static void expect_limits(CUkernel k, CUfunction f, int of_kernel, int of_function)
{
	const CUfunction_attribute shared = CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
	CUdeviceptr p = device_alloc(4);
	int value = -1;

	CK(cuKernelGetAttribute(&value, shared, k, device));
	CHECK_EQ(value, of_kernel);
	CK(cuFuncGetAttribute(&value, shared, f));
	CHECK_EQ(value, of_function);
	for (int i = 0; i < 2; i++) {
		CUfunction g = i ? f : (CUfunction)k;

		CK(launch_shared(g, p, (unsigned int)of_function));
		EXPECT(launch_shared(g, p, (unsigned int)of_function + 1),
		       CUDA_ERROR_INVALID_VALUE);
	}
	CK(cuCtxSynchronize());
	CK(cuMemFree(p));
}

/*
 * A kernel's limit is its function's too, in each context, until the function
 * gets one of its own.
 */
static void shared_limits(void)
{
	const CUfunction_attribute shared = CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
	CUfunction f, g, again;
	CUcontext other;
	CUlibrary lib;
	CUmodule m;
	CUkernel k;
	int value;

	start();
	CK(cuLibraryLoadData(&lib, kernels_ptx, NULL, NULL, 0, NULL, NULL, 0));
	CK(cuLibraryGetKernel(&k, lib, "fill"));
	CK(cuKernelGetFunction(&f, k));
	expect_limits(k, f, 48 << 10, 48 << 10);
	CK(cuKernelSetAttribute(shared, 60000, k, device));
	expect_limits(k, f, 60000, 60000);
	CK(cuFuncSetAttribute(f, shared, 64000));
	expect_limits(k, f, 60000, 64000);
	CK(cuKernelSetAttribute(shared, 50000, k, device));
	expect_limits(k, f, 50000, 64000);
	CK(cuFuncSetAttribute(f, shared, 1000));
	expect_limits(k, f, 50000, 1000);
	CK(cuFuncSetAttribute(f, shared, 0));
	expect_limits(k, f, 50000, 0);
	EXPECT(cuFuncSetAttribute(f, shared, -1), CUDA_ERROR_INVALID_VALUE);
	EXPECT(cuKernelSetAttribute(shared, 10000000, k, device), CUDA_ERROR_INVALID_VALUE);
	/* A kernel is no function but for launching it. */
	EXPECT(cuFuncSetAttribute((CUfunction)k, shared, 100), CUDA_ERROR_INVALID_HANDLE);
	EXPECT(cuFuncGetAttribute(&value, shared, (CUfunction)k), CUDA_ERROR_INVALID_HANDLE);
	CK(cuLibraryGetModule(&m, lib));
	CK(cuModuleGetFunction(&g, m, "fill"));
	CK(cuFuncSetAttribute(g, shared, 2000));
	expect_limits(k, g, 50000, 2000);
	expect_limits(k, f, 50000, 2000);
	/* Functions and modules of a library are the same ones when one comes back to a context. */
	CK(cuCtxCreate(&other, NULL, 0, device));
	CK(cuKernelGetFunction(&g, k));
	CK(cuCtxPopCurrent(&other));
	CK(cuKernelGetFunction(&again, k));
	CHECK(again == f);
	expect_limits(k, f, 50000, 2000);
	CK(cuCtxDestroy(other));
	CK(cuLibraryUnload(lib));
}

static void from_file(void)
{
	char path[] = "/tmp/vgpu-kernels-XXXXXX";
	size_t length = strlen(kernels_ptx);
	int fd = mkstemp(path);
	CUmodule m;
	CUfunction f;

	CHECK(fd >= 0 && write(fd, kernels_ptx, length) == (ssize_t)length);
	close(fd);
	start();
	CK(cuModuleLoad(&m, path));
	unlink(path);
	CK(cuModuleGetFunction(&f, m, "fill"));
	CK(cuModuleUnload(m));
	EXPECT(cuModuleLoad(&m, "/no/such/file.ptx"), CUDA_ERROR_FILE_NOT_FOUND);
}

static void options(void)
{
	char info[4096] = "", error[4096] = "";
	CUjit_option names[] = {CU_JIT_INFO_LOG_BUFFER, CU_JIT_INFO_LOG_BUFFER_SIZE_BYTES,
				CU_JIT_ERROR_LOG_BUFFER, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES,
				CU_JIT_LOG_VERBOSE};
	void *values[] = {info, (void *)(uintptr_t)sizeof(info), error,
			  (void *)(uintptr_t)sizeof(error), (void *)1};
	CUmodule m;

	start();
	CK(cuModuleLoadDataEx(&m, kernels_ptx, 5, names, values));
	values[1] = (void *)(uintptr_t)sizeof(info);
	values[3] = (void *)(uintptr_t)sizeof(error);
	if (!on_gpu)
		return; /* nobody else compiles it */
	EXPECT(cuModuleLoadDataEx(&m,
				  ".version 7.0\n.target sm_70\n.address_size 64\n"
				  ".visible .entry broken() { no such instruction; }\n",
				  5, names, values),
	       CUDA_ERROR_INVALID_PTX);
	CHECK(strstr(error, "error"));
}

static void garbage(void)
{
	unsigned char *junk = calloc(1, 1 << 20);
	CUmodule m = NULL;
	CUlibrary lib;
	CUresult r;

	start();
	memcpy(junk,
	       "\x7f"
	       "ELF\2\1\1",
	       7);
	r = cuModuleLoadData(&m, junk);
	CHECK(r == CUDA_ERROR_INVALID_IMAGE || r == CUDA_ERROR_NO_BINARY_FOR_GPU ||
	      r == CUDA_ERROR_INVALID_SOURCE);
	r = cuModuleLoadData(&m, "this is no program");
	CHECK(r == CUDA_ERROR_INVALID_IMAGE || r == CUDA_ERROR_INVALID_PTX);
	r = cuModuleLoadData(&m, "");
	CHECK(r != CUDA_SUCCESS);
	/* A library may be looked at only when something of it is wanted. */
	if (cuLibraryLoadData(&lib, "neither is this", NULL, NULL, 0, NULL, NULL, 0) ==
	    CUDA_SUCCESS)
		cuLibraryUnload(lib);
	EXPECT(cuModuleLoadData(&m, NULL), CUDA_ERROR_INVALID_VALUE);
	/* And the next good one loads. */
	CK(cuModuleLoadData(&m, kernels_ptx));
	free(junk);
}

static void linked(void)
{
	CUlinkState state;
	CUmodule m;
	CUfunction f;
	void *image = NULL;
	size_t bytes = 0;
	CUdeviceptr p;
	unsigned int n = 100, value = 12;
	void *args[] = {&p, &value, &n};

	start();
	CK(cuLinkCreate(0, NULL, NULL, &state));
	CK(cuLinkAddData(state, CU_JIT_INPUT_PTX, (void *)(uintptr_t)kernels_ptx,
			 strlen(kernels_ptx) + 1, "kernels", 0, NULL, NULL));
	CK(cuLinkComplete(state, &image, &bytes));
	CHECK(image && bytes > 64);
	CK(cuModuleLoadData(&m, image));
	CK(cuLinkDestroy(state));
	CK(cuModuleGetFunction(&f, m, "fill"));
	p = device_alloc(n * 4);
	launch(f, n, NULL, args);
	expect_words(p, 12, n);
}

static void load_and_unload(void)
{
	start();
	for (int i = 0; i < 30; i++) {
		CUmodule m;

		CK(cuModuleLoadData(&m, kernels_ptx));
		CK(cuModuleUnload(m));
	}
}

const struct test_case module_cases[] = {
	{"globals", globals, COMPLETE},
	{"names", names, ANYWHERE},
	{"attributes", attributes, COMPLETE},
	{"carveout", carveout, COMPLETE},
	{"library", library, COMPLETE},
	{"shared_limits", shared_limits, COMPLETE},
	{"from_file", from_file, ANYWHERE},
	{"options", options, COMPLETE},
	{"garbage", garbage, ANYWHERE},
	{"linked", linked, GPU},
	{"load_and_unload", load_and_unload, ANYWHERE},
	{0},
};
