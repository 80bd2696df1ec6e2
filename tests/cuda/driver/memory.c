// SPDX-License-Identifier: GPL-2.0-or-later
/* Device memory: ways to get it, what it says of itself, pools, virtual memory. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "harness.h"

static void plain(void)
{
	CUdeviceptr p, base = 0;
	size_t size = 0;

	start();
	p = device_alloc(1000);
	CHECK_EQ(p % 256, 0);
	CK(cuMemsetD8(p, 0xab, 1000));
	CK(cuMemsetD8(p + 999, 0xcd, 1));
	CK(cuMemGetAddressRange(&base, &size, p + 500));
	CHECK_EQ(base, p);
	CHECK(size >= 1000);
	CK(cuMemFree(p));
	EXPECT(cuMemAlloc(&p, 0), CUDA_ERROR_INVALID_VALUE);
	EXPECT(cuMemAlloc(NULL, 16), CUDA_ERROR_INVALID_VALUE);
}

static void memsets(void)
{
	unsigned char host[4096], want[4096];
	CUdeviceptr p;
	CUstream s;

	start();
	p = device_alloc(sizeof(host));
	CK(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
	CK(cuMemsetD8(p, 1, sizeof(host)));
	CK(cuMemsetD16(p + 16, 0x0302, 8));
	CK(cuMemsetD32(p + 64, 0x07060504, 4));
	CK(cuCtxSynchronize());
	CK(cuMemsetD8Async(p + 128, 9, 3, s));
	CK(cuMemsetD32Async(p + 256, 0x0a0a0a0a, 2, s));
	CK(cuMemsetD2D8(p + 512, 64, 0x55, 16, 4));
	CK(cuMemsetD2D32(p + 1024, 128, 0x66666666, 4, 3));
	CK(cuStreamSynchronize(s));
	memset(want, 1, sizeof(want));
	for (int i = 0; i < 8; i++)
		memcpy(want + 16 + 2 * i, "\x02\x03", 2);
	for (int i = 0; i < 4; i++)
		memcpy(want + 64 + 4 * i, "\x04\x05\x06\x07", 4);
	memset(want + 128, 9, 3);
	memset(want + 256, 0x0a, 8);
	for (int i = 0; i < 4; i++)
		memset(want + 512 + 64 * i, 0x55, 16);
	for (int i = 0; i < 3; i++)
		memset(want + 1024 + 128 * i, 0x66, 16);
	CK(cuMemcpyDtoH(host, p, sizeof(host)));
	for (size_t i = 0; i < sizeof(host); i++)
		if (host[i] != want[i])
			fail(__FILE__, __LINE__, "byte %zu is %#x and not %#x", i, host[i],
			     want[i]);
	EXPECT(cuMemsetD32(p + 2, 0, 1), CUDA_ERROR_INVALID_VALUE);
}

static void pitched(void)
{
	CUdeviceptr p;
	size_t pitch = 0;

	start();
	CK(cuMemAllocPitch(&p, &pitch, 1000, 50, 4));
	CHECK(pitch >= 1000 && pitch % 32 == 0);
	CK(cuMemsetD2D8(p, pitch, 7, 1000, 50));
	CK(cuMemFree(p));
}

static void asynchronous(void)
{
	unsigned int n = 4096;
	CUdeviceptr p = 0;
	CUstream s;

	start();
	CK(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
	for (int turn = 0; turn < 20; turn++) {
		CK(cuMemAllocAsync(&p, n * 4, s));
		CHECK(p != 0);
		fill_words(p, turn, n, s);
		CK(cuStreamSynchronize(s));
		expect_words(p, turn, n);
		CK(cuMemFreeAsync(p, s));
	}
	CK(cuStreamSynchronize(s));
	CK(cuStreamDestroy(s));
}

static void pools(void)
{
	CUmemPoolProps properties = {.allocType = CU_MEM_ALLOCATION_TYPE_PINNED,
				     .location = {.type = CU_MEM_LOCATION_TYPE_DEVICE}};
	cuuint64_t threshold = 1 << 20, got = 0;
	CUmemoryPool pool, standard, current;
	unsigned int n = 1024;
	CUdeviceptr p = 0;
	CUstream s;

	start();
	CK(cuStreamCreate(&s, CU_STREAM_DEFAULT));
	CK(cuDeviceGetDefaultMemPool(&standard, device));
	CK(cuDeviceGetMemPool(&current, device));
	CHECK(standard == current);
	CK(cuMemPoolCreate(&pool, &properties));
	CK(cuMemPoolSetAttribute(pool, CU_MEMPOOL_ATTR_RELEASE_THRESHOLD, &threshold));
	CK(cuMemPoolGetAttribute(pool, CU_MEMPOOL_ATTR_RELEASE_THRESHOLD, &got));
	CHECK_EQ(got, threshold);
	CK(cuMemAllocFromPoolAsync(&p, n * 4, pool, s));
	fill_words(p, 11, n, s);
	CK(cuStreamSynchronize(s));
	expect_words(p, 11, n);
	CK(cuMemPoolGetAttribute(pool, CU_MEMPOOL_ATTR_USED_MEM_CURRENT, &got));
	CHECK(got >= n * 4);
	CK(cuMemFreeAsync(p, s));
	CK(cuStreamSynchronize(s));
	CK(cuMemPoolTrimTo(pool, 0));
	CK(cuMemPoolDestroy(pool));
}

static void attributes(void)
{
	CUpointer_attribute names[] = {CU_POINTER_ATTRIBUTE_MEMORY_TYPE,
				       CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL,
				       CU_POINTER_ATTRIBUTE_DEVICE_POINTER};
	unsigned int type = 0, ordinal = 9, of_host = 0;
	CUdeviceptr p, pointer = 0;
	void *values[] = {&type, &ordinal, &pointer};
	CUcontext owner = NULL;
	void *host = NULL;
	int local = 0;

	start();
	p = device_alloc(4096);
	CK(cuPointerGetAttributes(3, names, values, p + 100));
	CHECK_EQ(type, CU_MEMORYTYPE_DEVICE);
	CHECK_EQ(ordinal, device);
	CHECK_EQ(pointer, p + 100);
	CK(cuPointerGetAttribute(&owner, CU_POINTER_ATTRIBUTE_CONTEXT, p));
	CHECK(owner == context);
	/* Memory that CUDA does not know: no error, and nothing said. */
	CK(cuPointerGetAttributes(3, names, values, (CUdeviceptr)(uintptr_t)&local));
	CHECK_EQ(type, 0);
	EXPECT(cuPointerGetAttribute(&type, CU_POINTER_ATTRIBUTE_MEMORY_TYPE,
				     (CUdeviceptr)(uintptr_t)&local),
	       CUDA_ERROR_INVALID_VALUE);
	CK(cuMemAllocHost(&host, 4096));
	CK(cuPointerGetAttribute(&of_host, CU_POINTER_ATTRIBUTE_MEMORY_TYPE,
				 (CUdeviceptr)(uintptr_t)host));
	CHECK_EQ(of_host, CU_MEMORYTYPE_HOST);
	CK(cuMemFreeHost(host));
}

static void virtual_memory(void)
{
	CUmemAllocationProp property = {.type = CU_MEM_ALLOCATION_TYPE_PINNED,
					.location = {.type = CU_MEM_LOCATION_TYPE_DEVICE}};
	CUmemAccessDesc access = {.location = {.type = CU_MEM_LOCATION_TYPE_DEVICE},
				  .flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE};
	CUmemGenericAllocationHandle first, second;
	size_t grain = 0;
	CUdeviceptr p = 0;

	start();
	CK(cuMemGetAllocationGranularity(&grain, &property, CU_MEM_ALLOC_GRANULARITY_MINIMUM));
	CHECK(grain >= 4096);
	CK(cuMemAddressReserve(&p, 2 * grain, 0, 0, 0));
	CK(cuMemCreate(&first, grain, &property, 0));
	CK(cuMemCreate(&second, grain, &property, 0));
	CK(cuMemMap(p, grain, 0, first, 0));
	CK(cuMemMap(p + grain, grain, 0, second, 0));
	CK(cuMemSetAccess(p, 2 * grain, &access, 1));
	/* One range for the program, though it is made of two. */
	CK(cuMemsetD32(p, 0x1234, 2 * grain / 4));
	expect_words(p + grain - 4096, 0x1234, 2048);
	fill_words(p, 0x4321, 2 * grain / 4, NULL);
	expect_words(p + grain - 4096, 0x4321, 2048);
	CK(cuMemUnmap(p, 2 * grain));
	CHECK(cuMemsetD8(p, 0, 16) != CUDA_SUCCESS);
	CK(cuMemRelease(first));
	CK(cuMemRelease(second));
	CK(cuMemAddressFree(p, 2 * grain));
}

static uint64_t attribute(CUpointer_attribute a, CUdeviceptr p)
{
	uint64_t value = 0;

	CK(cuPointerGetAttribute(&value, a, p));
	return value;
}

/* What mapped memory says of itself: as the driver of an H200 does. */
static void expect_mapped(CUdeviceptr base, size_t reserved, CUdeviceptr at, size_t size,
			  unsigned int access)
{
	CUdeviceptr p = at + 100, found = 0;
	size_t found_size = 0;

	CHECK_EQ(attribute(CU_POINTER_ATTRIBUTE_CONTEXT, p), 0);
	CHECK_EQ(attribute(CU_POINTER_ATTRIBUTE_MEMORY_TYPE, p), CU_MEMORYTYPE_DEVICE);
	CHECK_EQ(attribute(CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL, p), (unsigned int)device);
	CHECK_EQ(attribute(CU_POINTER_ATTRIBUTE_RANGE_START_ADDR, p), base);
	CHECK_EQ(attribute(CU_POINTER_ATTRIBUTE_RANGE_SIZE, p), reserved);
	CHECK_EQ(attribute(CU_POINTER_ATTRIBUTE_MAPPING_BASE_ADDR, p), at);
	CHECK_EQ(attribute(CU_POINTER_ATTRIBUTE_MAPPING_SIZE, p), size);
	CHECK_EQ(attribute(CU_POINTER_ATTRIBUTE_MAPPED, p), 1);
	CHECK_EQ(attribute(CU_POINTER_ATTRIBUTE_ALLOWED_HANDLE_TYPES, p), 0);
	CHECK_EQ(attribute(CU_POINTER_ATTRIBUTE_IS_LEGACY_CUDA_IPC_CAPABLE, p), 0);
	CHECK_EQ(attribute(CU_POINTER_ATTRIBUTE_ACCESS_FLAGS, p), access);
	CHECK_EQ(attribute(CU_POINTER_ATTRIBUTE_MEMPOOL_HANDLE, p), 0);
	if (access) {
		CHECK_EQ(attribute(CU_POINTER_ATTRIBUTE_DEVICE_POINTER, p), p);
		CK(cuMemGetAddressRange(&found, &found_size, p));
		CHECK_EQ(found, at);
		CHECK_EQ(found_size, size);
		return;
	}
	EXPECT(cuPointerGetAttribute(&found, CU_POINTER_ATTRIBUTE_DEVICE_POINTER, p),
	       CUDA_ERROR_INVALID_VALUE);
	EXPECT(cuMemGetAddressRange(&found, NULL, p), CUDA_ERROR_NOT_FOUND);
}

static void expect_nothing(CUdeviceptr p)
{
	CUpointer_attribute name = CU_POINTER_ATTRIBUTE_MAPPED;
	uint64_t value = 1;
	void *to = &value;

	EXPECT(cuPointerGetAttribute(&value, CU_POINTER_ATTRIBUTE_MEMORY_TYPE, p),
	       CUDA_ERROR_INVALID_VALUE);
	EXPECT(cuMemGetAddressRange(&p, NULL, p), CUDA_ERROR_NOT_FOUND);
	CK(cuPointerGetAttributes(1, &name, &to, p));
	CHECK_EQ((unsigned char)value, 0);
}

static void mapped_attributes(void)
{
	CUmemAllocationProp property = {.type = CU_MEM_ALLOCATION_TYPE_PINNED,
					.location = {.type = CU_MEM_LOCATION_TYPE_DEVICE}};
	CUmemAccessDesc access = {.location = {.type = CU_MEM_LOCATION_TYPE_DEVICE},
				  .flags = CU_MEM_ACCESS_FLAGS_PROT_READ};
	CUmemGenericAllocationHandle first, second;
	size_t grain = 0, all;
	unsigned int on = 1;
	CUcontext popped;
	CUmemoryPool pool;
	CUdeviceptr p;

	start();
	CK(cuMemGetAllocationGranularity(&grain, &property, CU_MEM_ALLOC_GRANULARITY_MINIMUM));
	all = 8 * grain;
	CK(cuMemAddressReserve(&p, all, 0, 0, 0));
	expect_nothing(p);
	CK(cuMemCreate(&first, 2 * grain, &property, 0));
	CK(cuMemCreate(&second, grain, &property, 0));
	CK(cuMemMap(p, 2 * grain, 0, first, 0));
	expect_mapped(p, all, p, 2 * grain, 0);
	CK(cuMemMap(p + 2 * grain, grain, 0, second, 0));
	CK(cuMemSetAccess(p, 2 * grain, &access, 1));
	expect_mapped(p, all, p, 2 * grain, 1);
	expect_mapped(p, all, p + 2 * grain, grain, 0);
	access.flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE;
	CK(cuMemSetAccess(p, 3 * grain, &access, 1));
	expect_mapped(p, all, p, 2 * grain, 3);
	expect_mapped(p, all, p + 2 * grain, grain, 3);
	CHECK(attribute(CU_POINTER_ATTRIBUTE_MEMORY_BLOCK_ID, p) ==
	      attribute(CU_POINTER_ATTRIBUTE_MEMORY_BLOCK_ID, p + grain));
	CHECK(attribute(CU_POINTER_ATTRIBUTE_MEMORY_BLOCK_ID, p) !=
	      attribute(CU_POINTER_ATTRIBUTE_MEMORY_BLOCK_ID, p + 2 * grain));
	expect_nothing(p + 3 * grain);
	EXPECT(cuPointerSetAttribute(&on, CU_POINTER_ATTRIBUTE_SYNC_MEMOPS, p),
	       CUDA_ERROR_NOT_SUPPORTED);
	EXPECT(cuPointerSetAttribute(&on, CU_POINTER_ATTRIBUTE_SYNC_MEMOPS, p + 4 * grain),
	       CUDA_ERROR_INVALID_VALUE);
	/* Whose it is can be asked without a context, but nothing be done with it. */
	CK(cuCtxPopCurrent(&popped));
	CHECK_EQ(attribute(CU_POINTER_ATTRIBUTE_MEMORY_TYPE, p), CU_MEMORYTYPE_DEVICE);
	CHECK_EQ(attribute(CU_POINTER_ATTRIBUTE_ACCESS_FLAGS, p), 0);
	EXPECT(cuPointerGetAttribute(&pool, CU_POINTER_ATTRIBUTE_DEVICE_POINTER, p),
	       CUDA_ERROR_INVALID_CONTEXT);
	CK(cuCtxPushCurrent(popped));
	CK(cuMemUnmap(p, 3 * grain));
	expect_nothing(p);
	CK(cuMemRelease(first));
	CK(cuMemRelease(second));
	CK(cuMemAddressFree(p, all));
	expect_nothing(p);
	CK(cuMemAllocAsync(&p, 4096, NULL));
	CK(cuDeviceGetDefaultMemPool(&pool, device));
	CHECK_EQ(attribute(CU_POINTER_ATTRIBUTE_MEMPOOL_HANDLE, p), (uintptr_t)pool);
	CK(cuMemFreeAsync(p, NULL));
}

/* Memory given back is there again: many turns of more than a hundredth of it. */
static void given_back(void)
{
	size_t free_before, free_after, total, size;
	CUdeviceptr p;

	start();
	CK(cuMemGetInfo(&free_before, &total));
	size = on_gpu ? free_before / 4 : 64 << 20;
	for (int i = 0; i < 50; i++) {
		CK(cuMemAlloc(&p, size));
		CK(cuMemFree(p));
	}
	CK(cuMemGetInfo(&free_after, &total));
	CHECK(free_after + size > free_before);
}

static CUdeviceptr large;
static CUcontext freed_in;
static int freed;

static void *free_large(void *unused)
{
	(void)unused;
	CK(cuCtxSetCurrent(freed_in));
	CK(cuMemFree(large));
	__atomic_store_n(&freed, 1, __ATOMIC_SEQ_CST);
	return NULL;
}

/*
 * Freeing waits until the GPU is done; meanwhile another thread goes on, and asks
 * for what the GPU is waiting for.
 */
static void free_while_busy(CUcontext in)
{
	CUdeviceptr flag, data;
	unsigned int n = 256;
	pthread_t thread;
	CUstream s, t;

	flag = device_alloc(16);
	data = device_alloc(n * 4);
	large = device_alloc(32 << 20);
	freed_in = in;
	freed = 0;
	CK(cuMemsetD8(flag, 0, 16));
	CK(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
	CK(cuStreamCreate(&t, CU_STREAM_NON_BLOCKING));
	CK(cuStreamWaitValue32(s, flag, 1, CU_STREAM_WAIT_VALUE_GEQ));
	CHECK(!pthread_create(&thread, NULL, free_large, NULL));
	usleep(100000);
	if (in == context)
		CHECK_EQ(__atomic_load_n(&freed, __ATOMIC_SEQ_CST), 0);
	CK(cuMemsetD32Async(data, 4, n, t));
	if (mediated()) { /* the driver lets this wait, too */
		CK(cuStreamSynchronize(t));
		EXPECT(cuStreamQuery(s), CUDA_ERROR_NOT_READY);
	}
	CK(cuStreamWriteValue32(t, flag, 1, CU_STREAM_WRITE_VALUE_DEFAULT));
	CHECK(!pthread_join(thread, NULL));
	CK(cuStreamSynchronize(s));
	expect_words(data, 4, n);
	CK(cuStreamDestroy(s));
	CK(cuStreamDestroy(t));
}

static void freed_while_busy(void)
{
	CUcontext other;

	start();
	free_while_busy(context);
	CK(cuCtxCreate(&other, NULL, 0, device));
	CK(cuCtxPopCurrent(&other));
	free_while_busy(other); /* memory of one context, freed in another */
	CK(cuCtxDestroy(other));
	CK(cuCtxSynchronize());
}

/* What was freed is there for a context, too. */
static void context_after_free(void)
{
	CUdeviceptr p;
	CUcontext other;

	start();
	CK(cuMemAlloc(&p, 8 << 20));
	CK(cuMemFree(p));
	CK(cuCtxCreate(&other, NULL, 0, device));
	CK(cuCtxDestroy(other));
}

static void managed_is_refused(void)
{
	CUdeviceptr p = 0;
	int value = -1;
	CUresult r;

	start();
	CK(cuDeviceGetAttribute(&value, CU_DEVICE_ATTRIBUTE_MANAGED_MEMORY, device));
	r = cuMemAllocManaged(&p, 4096, CU_MEM_ATTACH_GLOBAL);
	if (value) {
		CHECK_EQ(r, CUDA_SUCCESS);
		CK(cuMemFree(p));
	} else {
		CHECK_EQ(r, CUDA_ERROR_NOT_SUPPORTED);
	}
	fill_words(device_alloc(64), 1, 16, NULL);
	CK(cuCtxSynchronize());
}

const struct test_case memory_cases[] = {
	{"plain", plain, ANYWHERE},
	{"memsets", memsets, ANYWHERE},
	{"pitched", pitched, COMPLETE},
	{"asynchronous", asynchronous, COMPLETE},
	{"pools", pools, COMPLETE},
	{"attributes", attributes, ANYWHERE},
	{"virtual_memory", virtual_memory, COMPLETE},
	{"mapped_attributes", mapped_attributes, COMPLETE},
	{"given_back", given_back, ANYWHERE},
	{"freed_while_busy", freed_while_busy, COMPLETE},
	{"context_after_free", context_after_free, ANYWHERE},
	{"managed_is_refused", managed_is_refused, ANYWHERE},
	{0},
};
