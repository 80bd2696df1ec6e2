// SPDX-License-Identifier: GPL-2.0-or-later
/* What can be asked before and about a device. */
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#include "harness.h"

static void before_init(void)
{
	int version = 0, count = -1;
	void *address = NULL;
	CUdriverProcAddressQueryResult status;
	CUresult found;

	CK(cuDriverGetVersion(&version));
	CHECK(version >= 12000);
	CK(cuGetProcAddress("cuMemAlloc", &address, 12000, 0, &status));
	CHECK(address != NULL);
	CHECK_EQ(status, CU_GET_PROC_ADDRESS_SUCCESS);
	/* Who takes the status may get it alone: driver 580 then calls this a success. */
	found = cuGetProcAddress("cuNoSuchFunction", &address, 12000, 0, &status);
	CHECK(found == CUDA_SUCCESS || found == CUDA_ERROR_NOT_FOUND);
	CHECK(address == NULL);
	CHECK_EQ(status, CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND);
	EXPECT(cuDeviceGetCount(&count), CUDA_ERROR_NOT_INITIALIZED);
	EXPECT(cuInit(1), CUDA_ERROR_INVALID_VALUE);
	CK(cuInit(0));
	CK(cuInit(0));
	CK(cuDeviceGetCount(&count));
	CHECK(count >= 1);
}

/* An address found by name is the function: through both, the same thing happens. */
static void by_address(void)
{
	CUresult (*alloc)(CUdeviceptr *, size_t) = NULL;
	CUresult (*release)(CUdeviceptr) = NULL;
	void *legacy = NULL, *own = NULL;
	CUdeviceptr p = 0;

	start();
	CK(cuGetProcAddress("cuMemAlloc", (void **)&alloc, 12000, 0, NULL));
	CK(cuGetProcAddress("cuMemFree", (void **)&release, 12000, 0, NULL));
	CK(alloc(&p, 4096));
	CK(cuMemsetD32(p, 5, 1024));
	expect_words(p, 5, 1024);
	CK(release(p));
	CK(cuGetProcAddress("cuLaunchKernel", &legacy, 12000, CU_GET_PROC_ADDRESS_LEGACY_STREAM,
			    NULL));
	CK(cuGetProcAddress("cuLaunchKernel", &own, 12000,
			    CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM, NULL));
	CHECK(legacy && own && legacy != own);
}

static void properties(void)
{
	char name[64] = "";
	int value = 0, major = 0;
	size_t total = 0, free_bytes = 0, total_again = 0;
	CUuuid uuid = {{0}};
	CUdevice none;

	start();
	CK(cuDeviceGetName(name, sizeof(name), device));
	printf("  %s\n", name);
	CK(cuDeviceTotalMem(&total, device));
	CK(cuMemGetInfo(&free_bytes, &total_again));
	CHECK(free_bytes <= total_again && total_again <= total && total > 0);
	CK(cuDeviceGetUuid(&uuid, device));
	CK(cuDeviceGetAttribute(&value, CU_DEVICE_ATTRIBUTE_WARP_SIZE, device));
	CHECK_EQ(value, 32);
	CK(cuDeviceGetAttribute(&major, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, device));
	CHECK(major >= 5);
	CK(cuDeviceGetAttribute(&value, CU_DEVICE_ATTRIBUTE_UNIFIED_ADDRESSING, device));
	CHECK_EQ(value, 1);
	EXPECT(cuDeviceGetAttribute(&value, (CUdevice_attribute)100000, device),
	       CUDA_ERROR_INVALID_VALUE);
	EXPECT(cuDeviceGet(&none, 1000), CUDA_ERROR_INVALID_DEVICE);
	EXPECT(cuDeviceGet(NULL, 0), CUDA_ERROR_INVALID_VALUE);
}

static void error_strings(void)
{
	const char *text = NULL;

	CK(cuGetErrorName(CUDA_ERROR_OUT_OF_MEMORY, &text));
	CHECK(!strcmp(text, "CUDA_ERROR_OUT_OF_MEMORY"));
	CK(cuGetErrorString(CUDA_ERROR_INVALID_HANDLE, &text));
	CHECK(text && *text);
	EXPECT(cuGetErrorName((CUresult)123456, &text), CUDA_ERROR_INVALID_VALUE);
	CHECK(text == NULL);
}

static void contexts(void)
{
	CUcontext primary = NULL, other = NULL, got = NULL;
	unsigned int flags = 77, version = 0;
	int active = -1;
	CUdevice where = -1;

	start_driver();
	CK(cuCtxGetCurrent(&got));
	CHECK(got == NULL);
	EXPECT(cuCtxGetDevice(&where), CUDA_ERROR_INVALID_CONTEXT);
	EXPECT(cuCtxSynchronize(), CUDA_ERROR_INVALID_CONTEXT);
	CK(cuDevicePrimaryCtxGetState(device, &flags, &active));
	CHECK_EQ(active, 0);
	CK(cuDevicePrimaryCtxRetain(&primary, device));
	CK(cuDevicePrimaryCtxGetState(device, &flags, &active));
	CHECK_EQ(active, 1);
	CK(cuCtxGetCurrent(&got));
	CHECK(got == NULL); /* retained is not current */
	CK(cuCtxCreate(&other, NULL, 0, device));
	CK(cuCtxGetCurrent(&got));
	CHECK(got == other);
	CK(cuCtxPushCurrent(primary));
	CK(cuCtxGetCurrent(&got));
	CHECK(got == primary);
	CK(cuCtxGetDevice(&where));
	CHECK_EQ(where, device);
	CK(cuCtxPopCurrent(&got));
	CHECK(got == primary);
	CK(cuCtxGetCurrent(&got));
	CHECK(got == other);
	CK(cuCtxGetApiVersion(other, &version));
	CHECK(version >= 3010);
	CK(cuCtxSetCurrent(NULL));
	CK(cuCtxGetCurrent(&got));
	CHECK(got == NULL);
	CK(cuCtxDestroy(other));
	if (mediated()) /* the driver itself may take such a pointer and fall */
		CHECK(cuCtxPushCurrent(other) != CUDA_SUCCESS);
	CK(cuDevicePrimaryCtxRelease(device));
	CK(cuDevicePrimaryCtxGetState(device, &flags, &active));
	CHECK_EQ(active, 0);
}

static void limits(void)
{
	size_t value = 0;
	int least = 1, greatest = 1;

	start();
	CK(cuCtxGetLimit(&value, CU_LIMIT_STACK_SIZE));
	CHECK(value > 0);
	CK(cuCtxSetLimit(CU_LIMIT_STACK_SIZE, 4096));
	CK(cuCtxGetLimit(&value, CU_LIMIT_STACK_SIZE));
	CHECK(value >= 4096);
	CK(cuCtxGetStreamPriorityRange(&least, &greatest));
	CHECK(greatest <= least);
}

/* NVML's memory is CUDA's: for who shares a GPU, what he may have. */
static void nvml_memory(void)
{
	enum { BYTES = 4 << 20 };
	unsigned long long m[3] = {0}; /* total, free, used */
	size_t free_bytes = 0, total = 0;
	int (*init)(void), (*find)(unsigned int, void **), (*info)(void *, void *);
	void *handle = NULL, *library = dlopen("libnvidia-ml.so.1", RTLD_NOW);

	if (!library)
		skip("no NVML: %s", dlerror());
	*(void **)&init = dlsym(library, "nvmlInit_v2");
	*(void **)&find = dlsym(library, "nvmlDeviceGetHandleByIndex_v2");
	*(void **)&info = dlsym(library, "nvmlDeviceGetMemoryInfo");
	CHECK(init && find && info);
	start();
	device_alloc(BYTES);
	CK(cuMemGetInfo(&free_bytes, &total));
	CHECK_EQ(init(), 0);
	CHECK_EQ(find(0, &handle), 0);
	CHECK_EQ(info(handle, m), 0);
	printf("  NVML: %llu bytes, %llu free; CUDA: %zu, %zu free\n", m[0], m[1], total,
	       free_bytes);
	CHECK_EQ(m[1] + m[2], m[0]);
	CHECK(m[2] >= BYTES);
	/* The driver keeps some for itself. */
	CHECK(mediated() ? m[0] == total : m[0] >= total);
}

const struct test_case query_cases[] = {
	{"before_init", before_init, ANYWHERE}, {"by_address", by_address, ANYWHERE},
	{"properties", properties, ANYWHERE},   {"error_strings", error_strings, ANYWHERE},
	{"contexts", contexts, ANYWHERE},       {"limits", limits, COMPLETE},
	{"nvml_memory", nvml_memory, ANYWHERE}, {0},
};
