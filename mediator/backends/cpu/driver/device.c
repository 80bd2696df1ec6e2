/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Starting up, and what the one device says of itself.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "driver.h"

/* Programs may still ask for what cuda.h advises against. */
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

#define NAME "host CPU"
#define BUS_ID "0000:00:00.0"

bool device_is_valid(CUdevice dev)
{
	return dev == 0;
}

static CUresult CUDAAPI cpu_cuInit(unsigned int flags)
{
	if (flags)
		return CUDA_ERROR_INVALID_VALUE;
	pthread_mutex_lock(&drv.lock);
	drv.initialised = true;
	pthread_mutex_unlock(&drv.lock);
	return CUDA_SUCCESS;
}

static CUresult CUDAAPI cpu_cuDriverGetVersion(int *version)
{
	if (!version)
		return CUDA_ERROR_INVALID_VALUE;
	*version = CUDA_VERSION;
	return CUDA_SUCCESS;
}

static CUresult CUDAAPI cpu_cuDeviceGet(CUdevice *dev, int ordinal)
{
	ENTER();
	if (!dev)
		return CUDA_ERROR_INVALID_VALUE;
	if (ordinal)
		return CUDA_ERROR_INVALID_DEVICE;
	*dev = 0;
	return CUDA_SUCCESS;
}

static CUresult CUDAAPI cpu_cuDeviceGetCount(int *count)
{
	ENTER();
	if (!count)
		return CUDA_ERROR_INVALID_VALUE;
	*count = 1;
	return CUDA_SUCCESS;
}

static CUresult give_text(const char *text, char *out, int length, CUdevice dev)
{
	if (!out || length <= 0)
		return CUDA_ERROR_INVALID_VALUE;
	if (!device_is_valid(dev))
		return CUDA_ERROR_INVALID_DEVICE;
	g_strlcpy(out, text, (size_t)length);
	return CUDA_SUCCESS;
}

static CUresult CUDAAPI cpu_cuDeviceGetName(char *name, int length, CUdevice dev)
{
	ENTER();
	return give_text(NAME, name, length, dev);
}

static CUresult CUDAAPI cpu_cuDeviceGetPCIBusId(char *id, int length, CUdevice dev)
{
	ENTER();
	return give_text(BUS_ID, id, length, dev);
}

static CUresult CUDAAPI cpu_cuDeviceGetByPCIBusId(CUdevice *dev, const char *id)
{
	ENTER();
	if (!dev || !id)
		return CUDA_ERROR_INVALID_VALUE;
	if (strcmp(id, BUS_ID) != 0)
		return CUDA_ERROR_INVALID_DEVICE;
	*dev = 0;
	return CUDA_SUCCESS;
}

static CUresult CUDAAPI cpu_cuDeviceGetUuid_v2(CUuuid *uuid, CUdevice dev)
{
	ENTER();
	if (!uuid)
		return CUDA_ERROR_INVALID_VALUE;
	if (!device_is_valid(dev))
		return CUDA_ERROR_INVALID_DEVICE;
	memcpy(uuid->bytes, "vgpu-cpu-device", sizeof(uuid->bytes));
	return CUDA_SUCCESS;
}

static CUresult CUDAAPI cpu_cuDeviceGetLuid(char *luid, unsigned int *mask, CUdevice dev)
{
	(void)luid;
	(void)mask;
	(void)dev;
	return CUDA_ERROR_NOT_SUPPORTED; /* as everywhere but on Windows */
}

static CUresult CUDAAPI cpu_cuDeviceTotalMem_v2(size_t *bytes, CUdevice dev)
{
	ENTER();
	if (!bytes)
		return CUDA_ERROR_INVALID_VALUE;
	if (!device_is_valid(dev))
		return CUDA_ERROR_INVALID_DEVICE;
	*bytes = CPU_MEMORY_TOTAL;
	return CUDA_SUCCESS;
}

static CUresult CUDAAPI cpu_cuDeviceCanAccessPeer(int *can, CUdevice dev, CUdevice peer)
{
	ENTER();
	if (!can)
		return CUDA_ERROR_INVALID_VALUE;
	if (!device_is_valid(dev) || !device_is_valid(peer))
		return CUDA_ERROR_INVALID_DEVICE;
	*can = 0;
	return CUDA_SUCCESS;
}

static CUresult CUDAAPI cpu_cuDeviceGetExecAffinitySupport(int *yes, CUexecAffinityType type,
							   CUdevice dev)
{
	(void)type;
	ENTER();
	if (!yes)
		return CUDA_ERROR_INVALID_VALUE;
	if (!device_is_valid(dev))
		return CUDA_ERROR_INVALID_DEVICE;
	*yes = 0;
	return CUDA_SUCCESS;
}

static CUresult CUDAAPI cpu_cuDeviceComputeCapability(int *major, int *minor, CUdevice dev)
{
	ENTER();
	if (!major || !minor)
		return CUDA_ERROR_INVALID_VALUE;
	if (!device_is_valid(dev))
		return CUDA_ERROR_INVALID_DEVICE;
	*major = 8;
	*minor = 0;
	return CUDA_SUCCESS;
}

static CUresult CUDAAPI cpu_cuDeviceGetProperties(CUdevprop *prop, CUdevice dev)
{
	ENTER();
	if (!prop)
		return CUDA_ERROR_INVALID_VALUE;
	if (!device_is_valid(dev))
		return CUDA_ERROR_INVALID_DEVICE;
	*prop = (CUdevprop){
		.maxThreadsPerBlock = CPU_THREADS_MAX,
		.maxThreadsDim = {1024, 1024, 64},
		.maxGridSize = {2147483647, 65535, 65535},
		.sharedMemPerBlock = CPU_SHARED_MAX,
		.totalConstantMemory = 65536,
		.SIMDWidth = 32,
		.memPitch = 2147483647,
		.regsPerBlock = 65536,
		.clockRate = 1000000,
		.textureAlign = 512,
	};
	return CUDA_SUCCESS;
}

struct attribute {
	CUdevice_attribute attrib;
	int value;
};

/* Those that are not here are 0: no such feature. */
static const struct attribute attributes[] = {
	{CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK, CPU_THREADS_MAX},
	{CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_X, 1024},
	{CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_Y, 1024},
	{CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_Z, 64},
	{CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_X, 2147483647},
	{CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_Y, 65535},
	{CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_Z, 65535},
	{CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK, CPU_SHARED_MAX},
	{CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN, CPU_SHARED_OPTIN},
	{CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_MULTIPROCESSOR, 167936},
	{CU_DEVICE_ATTRIBUTE_RESERVED_SHARED_MEMORY_PER_BLOCK, 1024},
	{CU_DEVICE_ATTRIBUTE_TOTAL_CONSTANT_MEMORY, 65536},
	{CU_DEVICE_ATTRIBUTE_WARP_SIZE, 32},
	{CU_DEVICE_ATTRIBUTE_MAX_PITCH, 2147483647},
	{CU_DEVICE_ATTRIBUTE_MAX_REGISTERS_PER_BLOCK, 65536},
	{CU_DEVICE_ATTRIBUTE_MAX_REGISTERS_PER_MULTIPROCESSOR, 65536},
	{CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_MULTIPROCESSOR, 2048},
	{CU_DEVICE_ATTRIBUTE_MAX_BLOCKS_PER_MULTIPROCESSOR, 32},
	{CU_DEVICE_ATTRIBUTE_CLOCK_RATE, 1000000},
	{CU_DEVICE_ATTRIBUTE_MEMORY_CLOCK_RATE, 1000000},
	{CU_DEVICE_ATTRIBUTE_GLOBAL_MEMORY_BUS_WIDTH, 64},
	{CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE, 1 << 20},
	{CU_DEVICE_ATTRIBUTE_TEXTURE_ALIGNMENT, 512},
	{CU_DEVICE_ATTRIBUTE_TEXTURE_PITCH_ALIGNMENT, 32},
	{CU_DEVICE_ATTRIBUTE_SURFACE_ALIGNMENT, 512},
	{CU_DEVICE_ATTRIBUTE_GPU_OVERLAP, 1},
	{CU_DEVICE_ATTRIBUTE_ASYNC_ENGINE_COUNT, 2},
	{CU_DEVICE_ATTRIBUTE_CONCURRENT_KERNELS, 1},
	{CU_DEVICE_ATTRIBUTE_CAN_MAP_HOST_MEMORY, 1},
	{CU_DEVICE_ATTRIBUTE_UNIFIED_ADDRESSING, 1},
	{CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, 8},
	{CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, 0},
	{CU_DEVICE_ATTRIBUTE_STREAM_PRIORITIES_SUPPORTED, 1},
	{CU_DEVICE_ATTRIBUTE_GLOBAL_L1_CACHE_SUPPORTED, 1},
	{CU_DEVICE_ATTRIBUTE_LOCAL_L1_CACHE_SUPPORTED, 1},
	{CU_DEVICE_ATTRIBUTE_HOST_NATIVE_ATOMIC_SUPPORTED, 1},
	{CU_DEVICE_ATTRIBUTE_SINGLE_TO_DOUBLE_PRECISION_PERF_RATIO, 2},
	{CU_DEVICE_ATTRIBUTE_COMPUTE_PREEMPTION_SUPPORTED, 1},
	{CU_DEVICE_ATTRIBUTE_CAN_USE_HOST_POINTER_FOR_REGISTERED_MEM, 1},
	{CU_DEVICE_ATTRIBUTE_CAN_USE_64_BIT_STREAM_MEM_OPS, 1},
	{CU_DEVICE_ATTRIBUTE_CAN_USE_STREAM_WAIT_VALUE_NOR, 1},
	{CU_DEVICE_ATTRIBUTE_COOPERATIVE_LAUNCH, 1},
	{CU_DEVICE_ATTRIBUTE_HOST_REGISTER_SUPPORTED, 1},
	{CU_DEVICE_ATTRIBUTE_READ_ONLY_HOST_REGISTER_SUPPORTED, 1},
	{CU_DEVICE_ATTRIBUTE_VIRTUAL_MEMORY_MANAGEMENT_SUPPORTED, 1},
	{CU_DEVICE_ATTRIBUTE_MEMORY_POOLS_SUPPORTED, 1},
	{CU_DEVICE_ATTRIBUTE_INTEGRATED, 0},
	{CU_DEVICE_ATTRIBUTE_MAXIMUM_TEXTURE1D_WIDTH, 131072},
	{CU_DEVICE_ATTRIBUTE_MAXIMUM_TEXTURE2D_WIDTH, 131072},
	{CU_DEVICE_ATTRIBUTE_MAXIMUM_TEXTURE2D_HEIGHT, 65536},
	{CU_DEVICE_ATTRIBUTE_MAXIMUM_TEXTURE3D_WIDTH, 16384},
	{CU_DEVICE_ATTRIBUTE_MAXIMUM_TEXTURE3D_HEIGHT, 16384},
	{CU_DEVICE_ATTRIBUTE_MAXIMUM_TEXTURE3D_DEPTH, 16384},
};

static CUresult CUDAAPI cpu_cuDeviceGetAttribute(int *value, CUdevice_attribute attrib,
						 CUdevice dev)
{
	ENTER();
	if (!value || attrib < 1 || attrib >= CU_DEVICE_ATTRIBUTE_MAX)
		return CUDA_ERROR_INVALID_VALUE;
	if (!device_is_valid(dev))
		return CUDA_ERROR_INVALID_DEVICE;
	*value = 0;
	if (attrib == CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT)
		*value = (int)sysconf(_SC_NPROCESSORS_ONLN);
	for (size_t i = 0; i < G_N_ELEMENTS(attributes); i++)
		if (attributes[i].attrib == attrib)
			*value = attributes[i].value;
	return CUDA_SUCCESS;
}

CPU_SYMBOLS(cpu_device_symbols, CPU_FN(cuInit), CPU_FN(cuDriverGetVersion), CPU_FN(cuDeviceGet),
	    CPU_FN(cuDeviceGetCount), CPU_FN(cuDeviceGetName), CPU_FN(cuDeviceGetPCIBusId),
	    CPU_FN(cuDeviceGetByPCIBusId), CPU_FN(cuDeviceGetUuid_v2), CPU_FN(cuDeviceGetLuid),
	    CPU_FN(cuDeviceTotalMem_v2), CPU_FN(cuDeviceCanAccessPeer),
	    CPU_FN(cuDeviceGetExecAffinitySupport), CPU_FN(cuDeviceComputeCapability),
	    CPU_FN(cuDeviceGetProperties), CPU_FN(cuDeviceGetAttribute));
