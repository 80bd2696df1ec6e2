/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How many devices there are, and finding one. */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "exports.h"
#include "library.h"

NVML_EXPORT nvmlReturn_t nvmlDeviceGetCount_v2(unsigned int *count)
{
	nvmlReturn_t r = nvml_enter();

	if (r == NVML_SUCCESS && !count)
		r = NVML_ERROR_INVALID_ARGUMENT;
	if (r == NVML_SUCCESS)
		*count = nvml_device_count();
	return r;
}

NVML_EXPORT nvmlReturn_t nvmlDeviceGetCount(unsigned int *count)
{
	return nvmlDeviceGetCount_v2(count);
}

NVML_EXPORT nvmlReturn_t nvmlDeviceGetHandleByIndex_v2(unsigned int index, nvmlDevice_t *device)
{
	nvmlReturn_t r = nvml_enter();

	if (r == NVML_SUCCESS && (!device || !nvml_device(index)))
		r = NVML_ERROR_INVALID_ARGUMENT;
	if (r == NVML_SUCCESS)
		*device = nvml_device(index);
	return r;
}

NVML_EXPORT nvmlReturn_t nvmlDeviceGetHandleByIndex(unsigned int index, nvmlDevice_t *device)
{
	return nvmlDeviceGetHandleByIndex_v2(index, device);
}

/* The first device for which `match` is true of `key`. */
static nvmlReturn_t find(int (*match)(const struct nvml_device *d, const char *key),
			 const char *key, nvmlDevice_t *device)
{
	nvmlReturn_t r = nvml_enter();

	if (r != NVML_SUCCESS)
		return r;
	if (!key || !device)
		return NVML_ERROR_INVALID_ARGUMENT;
	for (unsigned int i = 0; i < nvml_device_count(); i++) {
		if (!match(nvml_device(i), key))
			continue;
		*device = nvml_device(i);
		return NVML_SUCCESS;
	}
	return NVML_ERROR_NOT_FOUND;
}

static int has_uuid(const struct nvml_device *d, const char *uuid)
{
	return !strcasecmp(d->uuid, uuid);
}

NVML_EXPORT nvmlReturn_t nvmlDeviceGetHandleByUUID(const char *uuid, nvmlDevice_t *device)
{
	return find(has_uuid, uuid, device);
}

/* [domain:]bus:device[.function] */
static int has_pci_address(const struct nvml_device *d, const char *id)
{
	unsigned int domain = 0, bus, slot;

	if (sscanf(id, "%x:%x:%x", &domain, &bus, &slot) != 3) {
		domain = 0;
		if (sscanf(id, "%x:%x", &bus, &slot) != 2)
			return 0;
	}
	return d->domain == domain && d->bus == bus && d->slot == slot;
}

NVML_EXPORT nvmlReturn_t nvmlDeviceGetHandleByPciBusId_v2(const char *id, nvmlDevice_t *device)
{
	return find(has_pci_address, id, device);
}

NVML_EXPORT nvmlReturn_t nvmlDeviceGetHandleByPciBusId(const char *id, nvmlDevice_t *device)
{
	return nvmlDeviceGetHandleByPciBusId_v2(id, device);
}

/* Serial numbers stay with the host. */
static int has_serial(const struct nvml_device *d, const char *serial)
{
	(void)d;
	(void)serial;
	return 0;
}

NVML_EXPORT nvmlReturn_t nvmlDeviceGetHandleBySerial(const char *serial, nvmlDevice_t *device)
{
	return find(has_serial, serial, device);
}
