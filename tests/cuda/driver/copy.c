// SPDX-License-Identifier: GPL-2.0-or-later
/* Copies of each kind and size between the program's memory and the device. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "harness.h"

#define MIB ((size_t)1 << 20)

/* There and back; `skew` bytes off on both sides. */
static void there_and_back(size_t bytes, size_t skew, unsigned int seed)
{
	unsigned char *out = host_pattern(bytes + skew, seed);
	unsigned char *in = malloc(bytes + skew + 1);
	CUdeviceptr p = device_alloc(bytes + skew);

	CHECK(in != NULL);
	memset(in, 0xee, bytes + skew + 1);
	CK(cuMemcpyHtoD(p, out, skew ? skew : 1));
	CK(cuMemcpyHtoD(p + skew, out + skew, bytes));
	CK(cuMemcpyDtoH(in + skew, p + skew, bytes));
	CHECK(skew == 0 || in[skew - 1] == 0xee);
	CHECK_EQ(in[bytes + skew], 0xee);
	CHECK(!memcmp(in + skew, out + skew, bytes));
	/* The copy is made when the call returns: the source may change. */
	memset(out, 0, bytes + skew);
	CK(cuMemcpyDtoH(in + skew, p + skew, bytes));
	memcpy(out, in + skew, bytes < 64 ? bytes : 64);
	CHECK(bytes < 64 || memcmp(out, out + 1, 60));
	CK(cuMemFree(p));
	free(out);
	free(in);
}

static void sizes(void)
{
	static const size_t size[] = {1,    3,     4,     7,     8,     63,     64,     65,   511,
				      512,  4095,  4096,  4097,  7000,  7679,   7680,   7681, 8192,
				      8193, 16384, 65535, 65536, 65537, 100001, 1 << 20};

	start();
	for (size_t i = 0; i < sizeof(size) / sizeof(*size); i++) {
		there_and_back(size[i], 0, i);
		there_and_back(size[i], 1 + i % 5, i + 100);
	}
}

static void mib_8(void)
{
	start();
	there_and_back(8 * MIB, 0, 1);
	there_and_back(8 * MIB + 12345, 3, 2);
}

static void mib_256(void)
{
	start();
	there_and_back(on_gpu ? 256 * MIB : 70 * MIB, 0, 3);
	there_and_back((on_gpu ? 256 * MIB : 70 * MIB) - 777, 4093, 4);
}

/* Nothing, and pages that were never touched, and pages that may only be read. */
static void odd_sources(void)
{
	size_t bytes = 8 * MIB;
	unsigned char *fresh, *in = malloc(bytes);
	CUdeviceptr p;

	start();
	p = device_alloc(bytes);
	CK(cuMemcpyHtoD(p, in, 0));
	fresh = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(fresh != MAP_FAILED);
	CK(cuMemsetD8(p, 0x77, bytes));
	CK(cuMemcpyHtoD(p, fresh, bytes));
	expect_words(p, 0, bytes / 4);
	memset(fresh, 0x21, bytes);
	CHECK(!mprotect(fresh, bytes, PROT_READ));
	CK(cuMemcpyHtoD(p, fresh, bytes));
	expect_words(p, 0x21212121, bytes / 4);
	munmap(fresh, bytes);
	/* A target that was never touched. */
	fresh = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(fresh != MAP_FAILED);
	CK(cuMemcpyDtoH(fresh, p, bytes));
	for (size_t i = 0; i < bytes; i++)
		CHECK_EQ(fresh[i], 0x21);
	free(in);
}

static void between_devices(void)
{
	unsigned int n = 100000;
	CUdeviceptr a, b;
	CUstream s;

	start();
	a = device_alloc(n * 4);
	b = device_alloc(n * 4);
	CK(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
	fill_words(a, 17, n, NULL);
	CK(cuMemcpyDtoD(b, a, n * 4));
	expect_words(b, 17, n);
	CK(cuMemsetD32(a, 18, n));
	CK(cuCtxSynchronize());
	CK(cuMemcpyDtoDAsync(b, a, n * 4, s));
	CK(cuStreamSynchronize(s));
	expect_words(b, 18, n);
	CK(cuMemsetD32(b, 19, n));
	CK(cuCtxSynchronize());
	CK(cuMemcpy(a, b, n * 4)); /* it finds out itself */
	expect_words(a, 19, n);
}

/* cuMemcpy and cuMemcpyAsync know by the address what is host memory. */
static void unified(void)
{
	size_t bytes = 3 * MIB + 5;
	unsigned char *out = host_pattern(bytes, 9), *in = malloc(bytes);
	CUdeviceptr p;
	CUstream s;

	start();
	p = device_alloc(bytes);
	CK(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
	CK(cuMemcpy(p, (CUdeviceptr)(uintptr_t)out, bytes));
	CK(cuCtxSynchronize()); /* what is staged may still be on its way */
	CK(cuMemcpyAsync((CUdeviceptr)(uintptr_t)in, p, bytes, s));
	CK(cuStreamSynchronize(s));
	expect_pattern(in, bytes, 9);
}

/* Pageable memory in an asynchronous copy: it may change once the call is back. */
static void asynchronous(void)
{
	size_t sizes[] = {100, 60000, 2 * MIB, 20 * MIB};
	CUstream s;

	start();
	CK(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
	for (int i = 0; i < 4; i++) {
		size_t bytes = sizes[i];
		unsigned char *out = host_pattern(bytes, i), *in = malloc(bytes);
		CUdeviceptr p = device_alloc(bytes);

		CK(cuMemcpyHtoDAsync(p, out, bytes, s));
		memset(out, 0, bytes);
		CK(cuMemcpyDtoHAsync(in, p, bytes, s));
		CK(cuStreamSynchronize(s));
		expect_pattern(in, bytes, i);
		CK(cuMemFree(p));
		free(out);
		free(in);
	}
}

static void two_dimensions(void)
{
	enum { WIDTH = 300, HEIGHT = 40, LINE = 512 };
	unsigned char *out = host_pattern(LINE * HEIGHT, 5), *in = calloc(LINE, HEIGHT);
	CUDA_MEMCPY2D copy = {0};
	CUdeviceptr p;
	size_t pitch;

	start();
	CK(cuMemAllocPitch(&p, &pitch, WIDTH, HEIGHT, 4));
	copy.srcMemoryType = CU_MEMORYTYPE_HOST;
	copy.srcHost = out;
	copy.srcPitch = LINE;
	copy.srcXInBytes = 10;
	copy.srcY = 2;
	copy.dstMemoryType = CU_MEMORYTYPE_DEVICE;
	copy.dstDevice = p;
	copy.dstPitch = pitch;
	copy.WidthInBytes = WIDTH;
	copy.Height = HEIGHT - 2;
	CK(cuMemcpy2D(&copy));
	memset(&copy, 0, sizeof(copy));
	copy.srcMemoryType = CU_MEMORYTYPE_DEVICE;
	copy.srcDevice = p;
	copy.srcPitch = pitch;
	copy.dstMemoryType = CU_MEMORYTYPE_HOST;
	copy.dstHost = in;
	copy.dstPitch = LINE;
	copy.dstXInBytes = 10;
	copy.dstY = 2;
	copy.WidthInBytes = WIDTH;
	copy.Height = HEIGHT - 2;
	CK(cuMemcpy2DUnaligned(&copy));
	for (int y = 0; y < HEIGHT; y++)
		for (int x = 0; x < LINE; x++) {
			bool inside = y >= 2 && x >= 10 && x < 10 + WIDTH;

			CHECK_EQ(in[y * LINE + x], inside ? out[y * LINE + x] : 0);
		}
}

static void three_dimensions(void)
{
	enum { WIDTH = 48, HEIGHT = 20, DEPTH = 6 };
	unsigned char *out = host_pattern(WIDTH * HEIGHT * DEPTH, 6);
	unsigned char *in = calloc(WIDTH * HEIGHT, DEPTH);
	CUDA_MEMCPY3D copy = {0};
	CUdeviceptr p;
	CUstream s;

	start();
	CK(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
	p = device_alloc(64 * HEIGHT * DEPTH);
	copy.srcMemoryType = CU_MEMORYTYPE_HOST;
	copy.srcHost = out;
	copy.srcPitch = WIDTH;
	copy.srcHeight = HEIGHT;
	copy.dstMemoryType = CU_MEMORYTYPE_DEVICE;
	copy.dstDevice = p;
	copy.dstPitch = 64;
	copy.dstHeight = HEIGHT;
	copy.WidthInBytes = WIDTH;
	copy.Height = HEIGHT;
	copy.Depth = DEPTH;
	CK(cuMemcpy3D(&copy));
	memset(&copy, 0, sizeof(copy));
	copy.srcMemoryType = CU_MEMORYTYPE_DEVICE;
	copy.srcDevice = p;
	copy.srcPitch = 64;
	copy.srcHeight = HEIGHT;
	copy.dstMemoryType = CU_MEMORYTYPE_HOST;
	copy.dstHost = in;
	copy.dstPitch = WIDTH;
	copy.dstHeight = HEIGHT;
	copy.WidthInBytes = WIDTH;
	copy.Height = HEIGHT;
	copy.Depth = DEPTH;
	CK(cuMemcpy3DAsync(&copy, s));
	CK(cuStreamSynchronize(s));
	expect_pattern(in, WIDTH * HEIGHT * DEPTH, 6);
}

/* Rows, which are no single piece. */
static CUresult rows_there_and_back(const unsigned char *out, unsigned char *in, CUdeviceptr p,
				    size_t width, size_t rows)
{
	CUDA_MEMCPY2D to = {.srcMemoryType = CU_MEMORYTYPE_HOST,
			    .srcHost = out,
			    .srcPitch = 2 * width,
			    .dstMemoryType = CU_MEMORYTYPE_DEVICE,
			    .dstDevice = p,
			    .dstPitch = width,
			    .WidthInBytes = width,
			    .Height = rows};
	CUDA_MEMCPY2D from = {.srcMemoryType = CU_MEMORYTYPE_DEVICE,
			      .srcDevice = p,
			      .srcPitch = width,
			      .dstMemoryType = CU_MEMORYTYPE_HOST,
			      .dstHost = in,
			      .dstPitch = 2 * width,
			      .WidthInBytes = width,
			      .Height = rows};
	CUresult r = cuMemcpy2D(&to);

	return r == CUDA_SUCCESS ? cuMemcpy2D(&from) : r;
}

#define PIN_LIMIT "/sys/module/vgpu_stub/parameters/max_pinned_mib"

static void set_pin_limit(unsigned int mib)
{
	FILE *f = fopen(PIN_LIMIT, "w");

	CHECK(f && fprintf(f, "%u", mib) > 0 && !fclose(f));
}

/* Where the guest's module lets little be pinned, ordinary memory is copied all the same. */
static void little_may_be_pinned(void)
{
	static const unsigned int limits[] = {5, 0};
	size_t bytes = 24 * MIB, width = 3000, rows = 2000;
	unsigned char *out, *in;
	FILE *f = fopen(PIN_LIMIT, "r+");
	unsigned int before = 0;
	CUresult r[2][3];
	CUdeviceptr p;

	if (!f)
		skip("no module here whose limit could be lowered");
	CHECK(fscanf(f, "%u", &before) == 1);
	fclose(f);
	start();
	p = device_alloc(bytes);
	for (int i = 0; i < 2; i++) {
		/* With 0 not one more page can be pinned: in records then, and less. */
		size_t n = limits[i] ? bytes : MIB + 777;

		out = host_pattern(bytes, 3 + i);
		in = calloc(1, bytes);
		CHECK(in != NULL);
		set_pin_limit(limits[i]);
		r[i][0] = cuMemcpyHtoD(p, out, n);
		r[i][1] = cuMemcpyDtoH(in, p, n);
		r[i][2] = limits[i] ? rows_there_and_back(out, in + 1, p, width, rows) : 0;
		set_pin_limit(before); /* before anything can end the case */
		CK(r[i][0]);
		CK(r[i][1]);
		CK(r[i][2]);
		for (size_t y = 0; limits[i] && y < rows; y++)
			CHECK(!memcmp(in + 1 + 2 * width * y, out + 2 * width * y, width));
		CHECK(!memcmp(in + 2 * width * rows, out + 2 * width * rows,
			      n > 2 * width * rows ? n - 2 * width * rows : 0));
		CHECK(limits[i] || !memcmp(in, out, n));
		free(out);
		free(in);
	}
}

static unsigned int *closed;

static void *open_later(void *unused)
{
	(void)unused;
	usleep(200000);
	gate_open(closed);
	return NULL;
}

/* A copy that has yet to be done is not disturbed by one in another context. */
static void two_contexts(void)
{
	size_t bytes = 256 << 10;
	void *first = host_pattern(bytes, 1), *second = host_pattern(bytes, 2);
	CUdeviceptr here, there;
	pthread_t thread;
	CUcontext other;
	CUstream s;

	start();
	here = device_alloc(bytes);
	closed = gate_new();
	CK(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
	CK(cuMemcpyHtoD(here, second, bytes));
	CK(cuCtxCreate(&other, NULL, 0, device));
	there = device_alloc(bytes);
	CK(cuMemcpyHtoD(there, first, bytes));
	CK(cuCtxPopCurrent(&other));
	CHECK(!pthread_create(&thread, NULL, open_later, NULL));
	gate_close(closed, s);
	CK(cuMemcpyHtoDAsync(here, first, bytes, s));
	CK(cuCtxPushCurrent(other));
	CK(cuMemcpyHtoD(there, second, bytes));
	CK(cuMemcpyDtoH(first, there, bytes));
	expect_pattern(first, bytes, 2);
	CK(cuCtxPopCurrent(&other));
	CHECK(!pthread_join(thread, NULL));
	CK(cuStreamSynchronize(s));
	CK(cuMemcpyDtoH(second, here, bytes));
	expect_pattern(second, bytes, 1);
	CK(cuCtxDestroy(other));
}

const struct test_case copy_cases[] = {
	{"sizes", sizes, ANYWHERE},
	{"mib_8", mib_8, ANYWHERE},
	{"mib_256", mib_256, ANYWHERE},
	{"odd_sources", odd_sources, ANYWHERE},
	{"between_devices", between_devices, ANYWHERE},
	{"unified", unified, ANYWHERE},
	{"asynchronous", asynchronous, ANYWHERE},
	{"two_dimensions", two_dimensions, COMPLETE},
	{"three_dimensions", three_dimensions, COMPLETE},
	{"two_contexts", two_contexts, COMPLETE},
	{"little_may_be_pinned", little_may_be_pinned, COMPLETE},
	{0},
};
