// SPDX-License-Identifier: GPL-2.0-or-later
/* Memory of the program's own that is registered: whose it stays, and for how long. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "harness.h"

#define BYTES ((size_t)1 << 20)

static unsigned char *pages(int protection)
{
	void *p = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CHECK(p != MAP_FAILED);
	memset(p, 0x21, BYTES);
	CHECK(!mprotect(p, BYTES, protection));
	return p;
}

/* What the process has pinned, as the kernel says; 0 where nobody counts it. */
static unsigned long pinned_kib(void)
{
	FILE *f = fopen("/proc/self/status", "r");
	unsigned long kib = 0;
	char line[256];

	CHECK(f != NULL);
	while (fgets(line, sizeof(line), f))
		sscanf(line, "VmPin: %lu", &kib);
	fclose(f);
	return kib;
}

/* As /proc/self/maps has it, such as "rw-p". */
static void expect_mapping(const void *at, const char *want)
{
	FILE *f = fopen("/proc/self/maps", "r");
	unsigned long from, to, place = (uintptr_t)at;
	char line[5000], mode[5] = "none";

	CHECK(f != NULL);
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "%lx-%lx %4s", &from, &to, mode) == 3 && place >= from &&
		    place < to)
			break;
	fclose(f);
	if (strcmp(mode, want))
		fail(__FILE__, __LINE__, "the memory is mapped %s and not %s", mode, want);
}

static void is_registered_no_more(unsigned char *p, unsigned long pinned)
{
	CUdeviceptr at;
	unsigned int flags;

	EXPECT(cuMemHostGetFlags(&flags, p), CUDA_ERROR_INVALID_VALUE);
	EXPECT(cuMemHostGetDevicePointer(&at, p, 0), CUDA_ERROR_INVALID_VALUE);
	EXPECT(cuMemHostUnregister(p), CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED);
	CHECK_EQ(pinned_kib(), pinned);
	expect_mapping(p, "rw-p");
	for (size_t i = 0; i < BYTES; i += 97)
		CHECK_EQ(p[i], 0x21);
}

static void ends_with_its_context(void)
{
	static const unsigned int flags[] = {0, CU_MEMHOSTREGISTER_PORTABLE};
	unsigned char *p = pages(PROT_READ | PROT_WRITE);
	unsigned long pinned;
	CUcontext own;

	start();
	for (int i = 0; i < 2; i++) {
		pinned = pinned_kib();
		CK(cuCtxCreate(&own, NULL, 0, device));
		CK(cuMemHostRegister(p, BYTES, flags[i]));
		CK(cuCtxDestroy(own));
		CK(cuCtxSetCurrent(context));
		is_registered_no_more(p, pinned);
	}
	pinned = pinned_kib();
	CK(cuMemHostRegister(p, BYTES, 0));
	CK(cuDevicePrimaryCtxReset(device));
	CK(cuDevicePrimaryCtxRetain(&context, device));
	CK(cuCtxSetCurrent(context));
	CHECK(pinned_kib() <= pinned); /* the context took some of its own along */
	is_registered_no_more(p, pinned_kib());
	CK(cuMemHostRegister(p, BYTES, 0));
	CK(cuMemHostUnregister(p));
}

/* A page that registrations of two contexts have in common outlives the first one. */
static void shares_a_page(void)
{
	unsigned char *p = pages(PROT_READ | PROT_WRITE);
	CUcontext own;
	CUdeviceptr at;

	start();
	at = device_alloc(2000);
	CK(cuCtxCreate(&own, NULL, 0, device));
	CK(cuMemHostRegister(p, 6000, 0));
	CK(cuCtxSetCurrent(context));
	CK(cuMemHostRegister(p + 6000, 2000, 0));
	CK(cuCtxDestroy(own));
	CK(cuCtxSetCurrent(context));
	EXPECT(cuMemHostUnregister(p), CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED);
	CK(cuMemcpyHtoDAsync(at, p + 6000, 2000, NULL));
	CK(cuCtxSynchronize());
	expect_words(at, 0x21212121, 500);
	fill_words((uintptr_t)p + 6000, 5, 500, NULL);
	CK(cuCtxSynchronize());
	for (unsigned int i = 0; i < 500; i++)
		CHECK_EQ(((unsigned int *)(p + 6000))[i], 5);
	CHECK_EQ(p[5999], 0x21);
	CK(cuMemHostUnregister(p + 6000));
	expect_mapping(p, "rw-p");
}

static void read_only(void)
{
	unsigned char *p = pages(PROT_READ);
	unsigned int flags = 0;
	CUdeviceptr at;
	int supported = 0;

	start();
	CK(cuDeviceGetAttribute(&supported, CU_DEVICE_ATTRIBUTE_READ_ONLY_HOST_REGISTER_SUPPORTED,
				device));
	EXPECT(cuMemHostRegister(p, BYTES, 0), CUDA_ERROR_INVALID_VALUE);
	if (!supported) {
		EXPECT(cuMemHostRegister(p, BYTES, CU_MEMHOSTREGISTER_READ_ONLY),
		       CUDA_ERROR_NOT_SUPPORTED);
		skip("this device takes no read-only memory");
	}
	CK(cuMemHostRegister(p, BYTES, CU_MEMHOSTREGISTER_READ_ONLY));
	expect_mapping(p, getenv("VGPU_TRANSPORT") ? "r--s" : "r--p");
	CK(cuMemHostGetFlags(&flags, p));
	CHECK_EQ(flags, CU_MEMHOSTREGISTER_DEVICEMAP);
	at = device_alloc(BYTES);
	CK(cuMemcpyHtoDAsync(at, p, BYTES, NULL));
	CK(cuCtxSynchronize());
	expect_words(at, 0x21212121, BYTES / 4);
	CK(cuMemsetD8(at, 9, BYTES));
	EXPECT(cuMemcpyDtoH(p, at, BYTES), CUDA_ERROR_INVALID_VALUE);
	EXPECT(cuMemcpyDtoHAsync(p + 64, at, 64, NULL), CUDA_ERROR_INVALID_VALUE);
	EXPECT(cuMemsetD8((uintptr_t)p, 3, 64), CUDA_ERROR_INVALID_VALUE);
	CK(cuCtxSynchronize());
	for (size_t i = 0; i < BYTES; i += 97)
		CHECK_EQ(p[i], 0x21);
	CK(cuMemHostUnregister(p));
	expect_mapping(p, "r--p");
	CHECK_EQ(p[BYTES - 1], 0x21);
}

static unsigned char *map_shared(int fd, int protection)
{
	void *p = mmap(NULL, BYTES, protection, MAP_SHARED, fd, 0);

	CHECK(p != MAP_FAILED);
	return p;
}

/* Registered or not, who shares the memory sees what is written to it. */
static void shared_mapping(void)
{
	unsigned char *p, *other, *reader;
	int fd = memfd_create("shared", MFD_CLOEXEC);
	CUresult r;

	CHECK(fd >= 0 && !ftruncate(fd, BYTES));
	p = map_shared(fd, PROT_READ | PROT_WRITE);
	other = map_shared(fd, PROT_READ | PROT_WRITE);
	reader = map_shared(fd, PROT_READ);
	start();
	r = cuMemHostRegister(p, BYTES, 0);
	if (r != CUDA_SUCCESS && getenv("VGPU_TRANSPORT"))
		EXPECT(r, CUDA_ERROR_NOT_SUPPORTED);
	else
		CK(r);
	p[5] = 77;
	CHECK_EQ(other[5], 77);
	if (r == CUDA_SUCCESS) {
		fill_words((uintptr_t)p, 0x1234, 1000, NULL);
		CK(cuCtxSynchronize());
		CHECK_EQ(((unsigned int *)other)[999], 0x1234);
		CK(cuMemHostUnregister(p));
	}
	EXPECT(cuMemHostRegister(reader, BYTES, 0), CUDA_ERROR_INVALID_VALUE);
	if (cuMemHostRegister(reader, BYTES, CU_MEMHOSTREGISTER_READ_ONLY) == CUDA_SUCCESS)
		CK(cuMemHostUnregister(reader));
	expect_mapping(reader, "r--s");
	other[6] = 78;
	CHECK_EQ(p[6], 78);
	CHECK_EQ(reader[6], 78);
}

/* The stack under the very call: registered or refused, but never lost. */
static void on_the_stack(void)
{
	volatile unsigned int word = 7;
	CUresult r;

	start();
	r = cuMemHostRegister((void *)&word, sizeof(word), 0);
	CHECK_EQ(word, 7);
	if (r != CUDA_SUCCESS && getenv("VGPU_TRANSPORT")) {
		EXPECT(r, CUDA_ERROR_NOT_SUPPORTED);
		return;
	}
	CK(r);
	fill_words((uintptr_t)&word, 8, 1, NULL);
	CK(cuCtxSynchronize());
	CHECK_EQ(word, 8);
	CK(cuMemHostUnregister((void *)&word));
	CHECK_EQ(word, 8);
}

/* Refused as a whole, with nothing left registered of it. */
static void not_all_there(void)
{
	unsigned char *p = pages(PROT_READ | PROT_WRITE);
	unsigned long pinned;

	start();
	pinned = pinned_kib();
	CHECK(!munmap(p + BYTES / 2, 4096));
	EXPECT(cuMemHostRegister(p, BYTES, 0), CUDA_ERROR_INVALID_VALUE);
	expect_mapping(p, "rw-p");
	CHECK_EQ(pinned_kib(), pinned);
	p = pages(PROT_NONE);
	EXPECT(cuMemHostRegister(p, BYTES, 0), CUDA_ERROR_INVALID_VALUE);
	expect_mapping(p, "---p");
	/* The first half can be written to, the second cannot. */
	p = pages(PROT_READ | PROT_WRITE);
	CHECK(!mprotect(p + BYTES / 2, BYTES / 2, PROT_READ));
	EXPECT(cuMemHostRegister(p, BYTES, 0), CUDA_ERROR_INVALID_VALUE);
	expect_mapping(p, "rw-p");
	CHECK_EQ(pinned_kib(), pinned);
	CHECK_EQ(p[BYTES / 2 - 1], 0x21);
}

const struct test_case registered_cases[] = {
	{"ends_with_its_context", ends_with_its_context, COMPLETE},
	{"shares_a_page", shares_a_page, COMPLETE},
	{"read_only", read_only, COMPLETE},
	{"shared_mapping", shared_mapping, COMPLETE},
	{"on_the_stack", on_the_stack, COMPLETE},
	{"not_all_there", not_all_there, COMPLETE},
	{0},
};
