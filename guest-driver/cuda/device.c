// SPDX-License-Identifier: GPL-2.0-or-later
/* Queries about devices, all answered from what cuInit() fetched. */
#include "device.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "context.h"
#include "cuda_rpc.h"
#include "visible.h"

static struct vgpu_cuda_hello hello;
static struct vgpu_device_info devices[DEVICES_MAX];

/* What the device could do but this library does not pass on. */
static const CUdevice_attribute withheld[] = {
	CU_DEVICE_ATTRIBUTE_MANAGED_MEMORY,
	CU_DEVICE_ATTRIBUTE_CONCURRENT_MANAGED_ACCESS,
	CU_DEVICE_ATTRIBUTE_DIRECT_MANAGED_MEM_ACCESS_FROM_HOST,
	CU_DEVICE_ATTRIBUTE_PAGEABLE_MEMORY_ACCESS,
	CU_DEVICE_ATTRIBUTE_PAGEABLE_MEMORY_ACCESS_USES_HOST_PAGE_TABLES,
	CU_DEVICE_ATTRIBUTE_HOST_NATIVE_ATOMIC_SUPPORTED,
	CU_DEVICE_ATTRIBUTE_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR_SUPPORTED,
	CU_DEVICE_ATTRIBUTE_HANDLE_TYPE_WIN32_HANDLE_SUPPORTED,
	CU_DEVICE_ATTRIBUTE_HANDLE_TYPE_WIN32_KMT_HANDLE_SUPPORTED,
	CU_DEVICE_ATTRIBUTE_HANDLE_TYPE_FABRIC_SUPPORTED,
	CU_DEVICE_ATTRIBUTE_MEMPOOL_SUPPORTED_HANDLE_TYPES,
	CU_DEVICE_ATTRIBUTE_GPU_DIRECT_RDMA_SUPPORTED,
	CU_DEVICE_ATTRIBUTE_GPU_DIRECT_RDMA_WITH_CUDA_VMM_SUPPORTED,
	CU_DEVICE_ATTRIBUTE_DMA_BUF_SUPPORTED,
	CU_DEVICE_ATTRIBUTE_IPC_EVENT_SUPPORTED,
	CU_DEVICE_ATTRIBUTE_MULTICAST_SUPPORTED,
	CU_DEVICE_ATTRIBUTE_HOST_NUMA_VIRTUAL_MEMORY_MANAGEMENT_SUPPORTED,
	CU_DEVICE_ATTRIBUTE_HOST_NUMA_MEMORY_POOLS_SUPPORTED,
	CU_DEVICE_ATTRIBUTE_HOST_NUMA_MULTINODE_IPC_SUPPORTED,
	CU_DEVICE_ATTRIBUTE_HOST_MEMORY_POOLS_SUPPORTED,
	CU_DEVICE_ATTRIBUTE_HOST_VIRTUAL_MEMORY_MANAGEMENT_SUPPORTED,
	CU_DEVICE_ATTRIBUTE_HOST_ALLOC_DMA_BUF_SUPPORTED,
	CU_DEVICE_ATTRIBUTE_MEM_DECOMPRESS_ALGORITHM_MASK,
	CU_DEVICE_ATTRIBUTE_MPS_ENABLED,
	CU_DEVICE_ATTRIBUTE_D3D12_CIG_SUPPORTED,
	CU_DEVICE_ATTRIBUTE_VULKAN_CIG_SUPPORTED,
};

#define N_ATTRIBUTES (sizeof(devices[0].attribute) / sizeof(devices[0].attribute[0]))

static void withhold(struct vgpu_device_info *d)
{
	for (size_t i = 0; i < sizeof(withheld) / sizeof(withheld[0]); i++)
		if ((size_t)withheld[i] < N_ATTRIBUTES)
			d->attribute[withheld[i]] = 0;
	if (CU_DEVICE_ATTRIBUTE_HOST_NUMA_ID < N_ATTRIBUTES)
		d->attribute[CU_DEVICE_ATTRIBUTE_HOST_NUMA_ID] = (vgpu_le32)-1;
	d->name[sizeof(d->name) - 1] = 0;
	d->pci_bus_id[sizeof(d->pci_bus_id) - 1] = 0;
}

CUresult device_start(void)
{
	CUresult r = rpc_vgpuHello(VGPU_CUDA_VERSION, &hello);

	if (r != CUDA_SUCCESS)
		return r;
	if (hello.devices > DEVICES_MAX)
		hello.devices = DEVICES_MAX;
	for (unsigned int i = 0; i < hello.devices; i++) {
		r = rpc_vgpuDeviceInfo((CUdevice)i, &devices[i]);
		if (r != CUDA_SUCCESS)
			return r;
		withhold(&devices[i]);
	}
	hello.devices = visible_devices(devices, hello.devices);
	return hello.devices ? CUDA_SUCCESS : CUDA_ERROR_NO_DEVICE;
}

int device_driver_version(void)
{
	return (int)hello.driver_version;
}

bool device_valid(CUdevice dev)
{
	return dev >= 0 && (unsigned int)dev < hello.devices;
}

const struct vgpu_device_info *device_info(CUdevice dev)
{
	return &devices[dev];
}

int device_attribute(CUdevice dev, CUdevice_attribute attribute)
{
	int32_t value;

	if (attribute <= 0 || (size_t)attribute >= N_ATTRIBUTES)
		return 0;
	value = (int32_t)devices[dev].attribute[attribute];
	return value == VGPU_CUDA_UNKNOWN ? 0 : value;
}

/* What each query begins with: a device that exists, and somewhere to put the answer. */
static CUresult query(CUdevice dev, const void *out)
{
	if (!shim_initialised())
		return CUDA_ERROR_NOT_INITIALIZED;
	if (!out)
		return CUDA_ERROR_INVALID_VALUE;
	return device_valid(dev) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_DEVICE;
}

CUresult cuDeviceGet(CUdevice *device, int ordinal)
{
	CUresult r = query(ordinal, device);

	if (r == CUDA_SUCCESS)
		*device = ordinal;
	return r;
}

CUresult cuDeviceGetCount(int *count)
{
	if (!shim_initialised())
		return CUDA_ERROR_NOT_INITIALIZED;
	if (!count)
		return CUDA_ERROR_INVALID_VALUE;
	*count = (int)hello.devices;
	return CUDA_SUCCESS;
}

CUresult cuDeviceGetName(char *name, int len, CUdevice dev)
{
	CUresult r = query(dev, name);

	if (r == CUDA_SUCCESS && len <= 0)
		r = CUDA_ERROR_INVALID_VALUE;
	if (r == CUDA_SUCCESS)
		snprintf(name, (size_t)len, "%s", devices[dev].name);
	return r;
}

CUresult cuDeviceGetUuid_v2(CUuuid *uuid, CUdevice dev)
{
	CUresult r = query(dev, uuid);

	if (r == CUDA_SUCCESS)
		memcpy(uuid, &devices[dev].uuid, sizeof(*uuid));
	return r;
}

/* Only Windows has such numbers. */
CUresult cuDeviceGetLuid(char *luid, unsigned int *deviceNodeMask, CUdevice dev)
{
	CUresult r = query(dev, luid);

	(void)deviceNodeMask;
	return r == CUDA_SUCCESS ? CUDA_ERROR_NOT_SUPPORTED : r;
}

CUresult cuDeviceTotalMem_v2(size_t *bytes, CUdevice dev)
{
	CUresult r = query(dev, bytes);

	if (r == CUDA_SUCCESS)
		*bytes = devices[dev].total_memory;
	return r;
}

CUresult cuDeviceGetAttribute(int *pi, CUdevice_attribute attrib, CUdevice dev)
{
	CUresult r = query(dev, pi);

	if (r != CUDA_SUCCESS)
		return r;
	if (attrib <= 0 || attrib >= CU_DEVICE_ATTRIBUTE_MAX)
		return CUDA_ERROR_INVALID_VALUE;
	if ((int32_t)devices[dev].attribute[attrib] == VGPU_CUDA_UNKNOWN)
		return CUDA_ERROR_INVALID_VALUE;
	*pi = device_attribute(dev, attrib);
	return CUDA_SUCCESS;
}

CUresult cuDeviceComputeCapability(int *major, int *minor, CUdevice dev)
{
	CUresult r = query(dev, major);

	if (r == CUDA_SUCCESS && !minor)
		r = CUDA_ERROR_INVALID_VALUE;
	if (r != CUDA_SUCCESS)
		return r;
	*major = device_attribute(dev, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR);
	*minor = device_attribute(dev, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR);
	return CUDA_SUCCESS;
}

CUresult cuDeviceGetProperties(CUdevprop *prop, CUdevice dev)
{
	CUresult r = query(dev, prop);

	if (r != CUDA_SUCCESS)
		return r;
	prop->maxThreadsPerBlock = device_attribute(dev, CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK);
	for (int i = 0; i < 3; i++) {
		prop->maxThreadsDim[i] =
			device_attribute(dev, CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_X + i);
		prop->maxGridSize[i] =
			device_attribute(dev, CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_X + i);
	}
	prop->sharedMemPerBlock =
		device_attribute(dev, CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK);
	prop->totalConstantMemory =
		device_attribute(dev, CU_DEVICE_ATTRIBUTE_TOTAL_CONSTANT_MEMORY);
	prop->SIMDWidth = device_attribute(dev, CU_DEVICE_ATTRIBUTE_WARP_SIZE);
	prop->memPitch = device_attribute(dev, CU_DEVICE_ATTRIBUTE_MAX_PITCH);
	prop->regsPerBlock = device_attribute(dev, CU_DEVICE_ATTRIBUTE_MAX_REGISTERS_PER_BLOCK);
	prop->clockRate = device_attribute(dev, CU_DEVICE_ATTRIBUTE_CLOCK_RATE);
	prop->textureAlign = device_attribute(dev, CU_DEVICE_ATTRIBUTE_TEXTURE_ALIGNMENT);
	return CUDA_SUCCESS;
}

CUresult cuDeviceGetPCIBusId(char *pciBusId, int len, CUdevice dev)
{
	CUresult r = query(dev, pciBusId);

	if (r == CUDA_SUCCESS && len <= 0)
		r = CUDA_ERROR_INVALID_VALUE;
	if (r == CUDA_SUCCESS)
		snprintf(pciBusId, (size_t)len, "%s", devices[dev].pci_bus_id);
	return r;
}

/* Accepts [domain:]bus:device[.function], in any case, with any leading zeros. */
static bool parse_pci(const char *text, unsigned int id[4])
{
	if (sscanf(text, "%x:%x:%x.%x", &id[0], &id[1], &id[2], &id[3]) >= 3)
		return true;
	id[0] = id[3] = 0;
	return sscanf(text, "%x:%x.%x", &id[1], &id[2], &id[3]) >= 2;
}

CUresult cuDeviceGetByPCIBusId(CUdevice *dev, const char *pciBusId)
{
	unsigned int wanted[4] = {0};

	if (!shim_initialised())
		return CUDA_ERROR_NOT_INITIALIZED;
	if (!dev || !pciBusId || !parse_pci(pciBusId, wanted))
		return CUDA_ERROR_INVALID_VALUE;
	for (unsigned int i = 0; i < hello.devices; i++) {
		unsigned int id[4] = {0};

		if (parse_pci(devices[i].pci_bus_id, id) && !memcmp(id, wanted, sizeof(id))) {
			*dev = (CUdevice)i;
			return CUDA_SUCCESS;
		}
	}
	return CUDA_ERROR_INVALID_DEVICE;
}

CUresult cuDeviceCanAccessPeer(int *canAccessPeer, CUdevice dev, CUdevice peerDev)
{
	CUresult r = query(dev, canAccessPeer);

	if (r == CUDA_SUCCESS && !device_valid(peerDev))
		r = CUDA_ERROR_INVALID_DEVICE;
	if (r == CUDA_SUCCESS)
		*canAccessPeer = 0;
	return r;
}

CUresult cuDeviceGetP2PAttribute(int *value, CUdevice_P2PAttribute attrib, CUdevice srcDevice,
				 CUdevice dstDevice)
{
	CUresult r = query(srcDevice, value);

	(void)attrib;
	if (r == CUDA_SUCCESS && (!device_valid(dstDevice) || srcDevice == dstDevice))
		r = CUDA_ERROR_INVALID_DEVICE;
	if (r == CUDA_SUCCESS)
		*value = 0;
	return r;
}

CUresult cuDeviceGetExecAffinitySupport(int *pi, CUexecAffinityType type, CUdevice dev)
{
	CUresult r = query(dev, pi);

	(void)type;
	if (r == CUDA_SUCCESS)
		*pi = 0;
	return r;
}
