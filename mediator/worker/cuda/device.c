/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Saying hello, and all that there is to know about the device at once. */
#include <string.h>

#include "cuda_dispatch.h"
#include "session.h"
#include "worker.h"

CUresult host_vgpuHello(struct cuda_session *s, unsigned int version, struct vgpu_cuda_hello *hello)
{
	int driver = 0;
	CUresult r;

	if (version != VGPU_CUDA_VERSION)
		return CUDA_ERROR_INVALID_VALUE;
	r = session_open(s);
	if (r == CUDA_SUCCESS && s->drv->cuDriverGetVersion)
		r = s->drv->cuDriverGetVersion(&driver);
	if (r != CUDA_SUCCESS)
		return r;
	*hello = (struct vgpu_cuda_hello){.version = VGPU_CUDA_VERSION,
					  .devices = 1,
					  .driver_version = (uint32_t)driver,
					  .backend = s->worker->ops->id,
					  .handles = HANDLES_MAX};
	return CUDA_SUCCESS;
}

static void granularity(struct cuda_session *s, CUdevice dev, struct vgpu_device_info *info)
{
	const CUmemAllocationProp prop = {
		.type = CU_MEM_ALLOCATION_TYPE_PINNED,
		.location = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = dev}};
	size_t bytes = 0;

	if (!s->extra.cuMemGetAllocationGranularity)
		return;
	if (s->extra.cuMemGetAllocationGranularity(
		    &bytes, &prop, CU_MEM_ALLOC_GRANULARITY_MINIMUM) == CUDA_SUCCESS)
		info->granularity_minimum = bytes;
	if (s->extra.cuMemGetAllocationGranularity(
		    &bytes, &prop, CU_MEM_ALLOC_GRANULARITY_RECOMMENDED) == CUDA_SUCCESS)
		info->granularity_recommended = bytes;
}

static void identity(struct cuda_session *s, CUdevice dev, struct vgpu_device_info *info)
{
	const struct cuda_driver *drv = s->drv;
	unsigned int mask = 0;
	size_t total = 0;

	if (drv->cuDeviceGetName)
		drv->cuDeviceGetName(info->name, sizeof(info->name) - 1, dev);
	if (drv->cuDeviceGetUuid_v2)
		drv->cuDeviceGetUuid_v2((CUuuid *)info->uuid, dev);
	if (drv->cuDeviceGetLuid &&
	    drv->cuDeviceGetLuid((char *)info->luid, &mask, dev) == CUDA_SUCCESS) {
		info->has_luid = 1;
		info->luid_mask = mask;
	}
	if (drv->cuDeviceGetPCIBusId)
		drv->cuDeviceGetPCIBusId(info->pci_bus_id, sizeof(info->pci_bus_id) - 1, dev);
	if (drv->cuDeviceTotalMem_v2 && drv->cuDeviceTotalMem_v2(&total, dev) == CUDA_SUCCESS) {
		uint64_t all = total, left = total;

		/* As much as the tenant may have: what cuMemGetInfo() says, too. */
		tenant_look(&s->worker->tenant);
		tenant_memory_seen(&s->worker->tenant, &left, &all);
		info->total_memory = all;
	}
}

static void attributes(struct cuda_session *s, CUdevice dev, struct vgpu_device_info *info)
{
	for (unsigned int i = 0; i < VGPU_CUDA_DEVICE_ATTRIBUTES; i++) {
		int value = 0;

		info->attribute[i] = (uint32_t)VGPU_CUDA_UNKNOWN;
		if (s->drv->cuDeviceGetAttribute &&
		    s->drv->cuDeviceGetAttribute(&value, (CUdevice_attribute)i, dev) ==
			    CUDA_SUCCESS)
			info->attribute[i] = (uint32_t)value;
	}
	info->compute_major = info->attribute[CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR];
	info->compute_minor = info->attribute[CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR];
}

/* Only where a context is there already: a question must not make one. */
static void of_context(struct cuda_session *s, struct vgpu_device_info *info)
{
	int least = 0, greatest = -5; /* what devices of the last years have */
	unsigned int version = 3020;
	uint32_t at = 0;
	const struct cuda_object *o = handles_each(&s->handles, VGPU_CUDA_CONTEXT, &at);

	for (unsigned int i = 0; i < VGPU_CUDA_LIMITS; i++) {
		size_t value = 0;

		info->limit[i] = UINT64_MAX;
		if (o && session_context(s, o->handle) == CUDA_SUCCESS && s->drv->cuCtxGetLimit &&
		    s->drv->cuCtxGetLimit(&value, (CUlimit)i) == CUDA_SUCCESS)
			info->limit[i] = value;
	}
	if (o && s->drv->cuCtxGetStreamPriorityRange)
		s->drv->cuCtxGetStreamPriorityRange(&least, &greatest);
	if (o && s->drv->cuCtxGetApiVersion)
		s->drv->cuCtxGetApiVersion((CUcontext)(uintptr_t)o->real, &version);
	info->priority_least = (uint32_t)least;
	info->priority_greatest = (uint32_t)greatest;
	info->context_api_version = version;
}

CUresult host_vgpuDeviceInfo(struct cuda_session *s, CUdevice dev, struct vgpu_device_info *info)
{
	CUresult r = session_open(s);

	if (r != CUDA_SUCCESS)
		return r;
	dev = s->device; /* the dispatch translated before the driver was open */
	memset(info, 0, sizeof(*info));
	identity(s, dev, info);
	attributes(s, dev, info);
	granularity(s, dev, info);
	of_context(s, info);
	return CUDA_SUCCESS;
}
