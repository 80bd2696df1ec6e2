/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a device is: all of it known since nvmlInit. */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "exports.h"
#include "library.h"

/* What each query begins with. */
static nvmlReturn_t query(nvmlDevice_t d, const void *out)
{
	nvmlReturn_t r = nvml_enter_device(d);

	return r == NVML_SUCCESS && !out ? NVML_ERROR_INVALID_ARGUMENT : r;
}

/* A query whose answer is always the same. */
static nvmlReturn_t constant(nvmlDevice_t d, unsigned int *out, unsigned int value)
{
	nvmlReturn_t r = query(d, out);

	if (r == NVML_SUCCESS)
		*out = value;
	return r;
}

/* A query whose answer is an attribute that CUDA has too, in other units perhaps. */
static nvmlReturn_t attribute(nvmlDevice_t d, unsigned int *out, CUdevice_attribute a,
			      unsigned int divisor)
{
	nvmlReturn_t r = query(d, out);
	int32_t value;

	if (r != NVML_SUCCESS)
		return r;
	value = (int32_t)d->info.attribute[a];
	if (value == VGPU_CUDA_UNKNOWN)
		return NVML_ERROR_NOT_SUPPORTED;
	*out = (unsigned int)value / divisor;
	return NVML_SUCCESS;
}

NVML_EXPORT nvmlReturn_t nvmlDeviceGetIndex(nvmlDevice_t d, unsigned int *index)
{
	nvmlReturn_t r = query(d, index);

	if (r == NVML_SUCCESS)
		*index = d->index;
	return r;
}

/* Of /dev/nvidia<number>, which does not exist here: numbered as there. */
NVML_EXPORT nvmlReturn_t nvmlDeviceGetMinorNumber(nvmlDevice_t d, unsigned int *number)
{
	return nvmlDeviceGetIndex(d, number);
}

NVML_EXPORT nvmlReturn_t nvmlDeviceGetName(nvmlDevice_t d, char *name, unsigned int size)
{
	nvmlReturn_t r = query(d, name);

	return r == NVML_SUCCESS ? nvml_text(name, size, d->info.name) : r;
}

NVML_EXPORT nvmlReturn_t nvmlDeviceGetUUID(nvmlDevice_t d, char *uuid, unsigned int size)
{
	nvmlReturn_t r = query(d, uuid);

	return r == NVML_SUCCESS ? nvml_text(uuid, size, d->uuid) : r;
}

/* The PCI address is the one that CUDA tells; ids of vendor and device stay 0, not known. */
NVML_EXPORT nvmlReturn_t nvmlDeviceGetPciInfo_v3(nvmlDevice_t d, nvmlPciInfo_v3_t *pci)
{
	nvmlReturn_t r = query(d, pci);

	if (r != NVML_SUCCESS)
		return r;
	memset(pci, 0, sizeof(*pci));
	pci->domain = d->domain;
	pci->bus = d->bus;
	pci->device = d->slot;
	snprintf(pci->busId, sizeof(pci->busId), "%08X:%02X:%02X.0", d->domain, d->bus, d->slot);
	snprintf(pci->busIdLegacy, sizeof(pci->busIdLegacy), "%04X:%02X:%02X.0", d->domain & 0xffff,
		 d->bus & 0xff, d->slot & 0xff);
	return NVML_SUCCESS;
}

NVML_EXPORT nvmlReturn_t nvmlDeviceGetPciInfo_v2(nvmlDevice_t d, nvmlPciInfo_v2_t *pci)
{
	nvmlPciInfo_v3_t v3;
	nvmlReturn_t r = query(d, pci);

	if (r == NVML_SUCCESS)
		r = nvmlDeviceGetPciInfo_v3(d, &v3);
	if (r != NVML_SUCCESS)
		return r;
	memset(pci, 0, sizeof(*pci));
	memcpy(pci, &v3, offsetof(nvmlPciInfo_v2_t, reserved)); /* so far they are alike */
	return NVML_SUCCESS;
}

NVML_EXPORT nvmlReturn_t nvmlDeviceGetPciInfo(nvmlDevice_t d, nvmlPciInfo_v1_t *pci)
{
	nvmlPciInfo_v3_t v3;
	nvmlReturn_t r = query(d, pci);

	if (r == NVML_SUCCESS)
		r = nvmlDeviceGetPciInfo_v3(d, &v3);
	if (r == NVML_SUCCESS)
		memcpy(pci, &v3, sizeof(*pci)); /* the beginning of the later ones */
	return r;
}

NVML_EXPORT nvmlReturn_t nvmlDeviceGetCudaComputeCapability(nvmlDevice_t d, int *major, int *minor)
{
	nvmlReturn_t r = query(d, major);

	if (r == NVML_SUCCESS && !minor)
		r = NVML_ERROR_INVALID_ARGUMENT;
	if (r != NVML_SUCCESS)
		return r;
	*major = (int)d->info.compute_major;
	*minor = (int)d->info.compute_minor;
	return NVML_SUCCESS;
}

/* Numbers of the architectures: 2 is Kepler, and so on in their order. */
NVML_EXPORT nvmlReturn_t nvmlDeviceGetArchitecture(nvmlDevice_t d, unsigned int *arch)
{
	nvmlReturn_t r = query(d, arch);
	unsigned int major, minor;

	if (r != NVML_SUCCESS)
		return r;
	major = d->info.compute_major;
	minor = d->info.compute_minor;
	if (major < 3)
		return NVML_ERROR_NOT_SUPPORTED;
	if (major == 3)
		*arch = 2;
	else if (major < 7)
		*arch = major - 2; /* Maxwell 3, Pascal 4 */
	else if (major == 7)
		*arch = minor < 5 ? 5 : 6; /* Volta, Turing */
	else if (major == 8)
		*arch = minor < 9 ? 7 : 8; /* Ampere, Ada */
	else
		*arch = major == 9 ? 9 : 10; /* Hopper, Blackwell */
	return NVML_SUCCESS;
}

NVML_EXPORT nvmlReturn_t nvmlDeviceGetComputeMode(nvmlDevice_t d, unsigned int *mode)
{
	return attribute(d, mode, CU_DEVICE_ATTRIBUTE_COMPUTE_MODE, 1);
}

/* The driver stays loaded while nobody uses the GPU: so it does, from here. */
NVML_EXPORT nvmlReturn_t nvmlDeviceGetPersistenceMode(nvmlDevice_t d, unsigned int *mode)
{
	return constant(d, mode, NVML_FEATURE_ENABLED);
}

NVML_EXPORT nvmlReturn_t nvmlDeviceGetDisplayMode(nvmlDevice_t d, unsigned int *mode)
{
	return constant(d, mode, NVML_FEATURE_DISABLED);
}

NVML_EXPORT nvmlReturn_t nvmlDeviceGetDisplayActive(nvmlDevice_t d, unsigned int *active)
{
	return constant(d, active, NVML_FEATURE_DISABLED);
}

NVML_EXPORT nvmlReturn_t nvmlDeviceGetEccMode(nvmlDevice_t d, unsigned int *current,
					      unsigned int *pending)
{
	nvmlReturn_t r = query(d, pending);

	if (r == NVML_SUCCESS)
		r = attribute(d, current, CU_DEVICE_ATTRIBUTE_ECC_ENABLED, 1);
	if (r == NVML_SUCCESS)
		*pending = *current;
	return r;
}

NVML_EXPORT nvmlReturn_t nvmlDeviceGetMultiGpuBoard(nvmlDevice_t d, unsigned int *multi)
{
	return attribute(d, multi, CU_DEVICE_ATTRIBUTE_MULTI_GPU_BOARD, 1);
}

NVML_EXPORT nvmlReturn_t nvmlDeviceIsMigDeviceHandle(nvmlDevice_t d, unsigned int *mig)
{
	return constant(d, mig, 0);
}

NVML_EXPORT nvmlReturn_t nvmlDeviceGetMaxClockInfo(nvmlDevice_t d, unsigned int type,
						   unsigned int *mhz)
{
	switch (type) {
	case NVML_CLOCK_GRAPHICS:
	case NVML_CLOCK_SM:
		return attribute(d, mhz, CU_DEVICE_ATTRIBUTE_CLOCK_RATE, 1000);
	case NVML_CLOCK_MEM:
		return attribute(d, mhz, CU_DEVICE_ATTRIBUTE_MEMORY_CLOCK_RATE, 1000);
	default:
		return NVML_ERROR_NOT_SUPPORTED;
	}
}

NVML_EXPORT nvmlReturn_t nvmlDeviceGetMemoryBusWidth(nvmlDevice_t d, unsigned int *bits)
{
	return attribute(d, bits, CU_DEVICE_ATTRIBUTE_GLOBAL_MEMORY_BUS_WIDTH, 1);
}
