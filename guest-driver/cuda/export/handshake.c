/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * INTEGRITY_CHECK, d4082055-bde6-704b-8d34-ba123c66e1f2: the handshake at the
 * start of NVIDIA's runtime.
 *
 * The runtime asks for an answer that it computes itself too, from values of
 * the process that both see: a digest, no secret and no proof of anything
 * about us.  It does not go on if the answers differ.  The method is public
 * (ZLUDA's dark_api, Lupine, smolvm).
 *
 * The file stands alone so that it can be left out, -Dhandshake=false;
 * programs that use the driver API alone need none of it.
 */
#include "handshake.h"

#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "tables.h"

#define MAX_DEVICES 64

static CUresult describe(CUdevice device, struct handshake_device *out)
{
	CUuuid uuid = {{0}};
	CUresult r = cuDeviceGetUuid(&uuid, device);

	memcpy(out->uuid, uuid.bytes, sizeof(out->uuid));
	if (!r)
		r = cuDeviceGetAttribute(&out->pci_domain, CU_DEVICE_ATTRIBUTE_PCI_DOMAIN_ID,
					 device);
	if (!r)
		r = cuDeviceGetAttribute(&out->pci_bus, CU_DEVICE_ATTRIBUTE_PCI_BUS_ID, device);
	if (!r)
		r = cuDeviceGetAttribute(&out->pci_device, CU_DEVICE_ATTRIBUTE_PCI_DEVICE_ID,
					 device);
	return r;
}

static CUresult describe_all(struct handshake_device *out, int *n)
{
	CUresult r = cuDeviceGetCount(n);

	if (!r && *n > MAX_DEVICES)
		return CUDA_ERROR_NOT_SUPPORTED;
	for (CUdevice i = 0; !r && i < *n; i++)
		r = describe(i, &out[i]);
	return r;
}

/* Two kinds of callers want no digest but a constant. */
static int constant_answer(uint32_t version, uint64_t answer[2])
{
	if (version % 10 > 1)
		return 0;
	answer[0] = version % 10 ? 0x1841181c03cb675c : 0x3341181c03cb675c;
	answer[1] = 0x8ed383aa1f4cd1e8;
	return 1;
}

/* Slot 1. */
static CUresult handshake(uint32_t version, uint64_t seconds, uint64_t answer[2])
{
	struct handshake_device devices[MAX_DEVICES];
	struct handshake_process process;
	int driver_version = 0, n = 0;
	CUresult r;

	if (!answer)
		return CUDA_ERROR_INVALID_VALUE;
	if (constant_answer(version, answer))
		return CUDA_SUCCESS;

	memset(devices, 0, sizeof(devices));
	r = cuDriverGetVersion(&driver_version);
	if (!r)
		r = describe_all(devices, &n);
	if (r)
		return r;
	process = (struct handshake_process){
		.driver_version = (uint32_t)driver_version,
		.version = version,
		.process = (uint32_t)getpid(),
		.thread = (uint32_t)(uintptr_t)pthread_self(),
		.cudart_table = (uintptr_t)export_cudart_interface,
		.handshake_table = (uintptr_t)export_handshake,
		.function = (uintptr_t)handshake,
		.seconds = seconds,
	};
	handshake_digest(&process, devices, n, (uint8_t *)answer);
	return CUDA_SUCCESS;
}

static const union export_slot table[3] = {
	[0] = EXPORT_SIZE(table),
	[1] = EXPORT_CALL(handshake),
	[2] = EXPORT_REFUSE,
};

const union export_slot *const export_handshake = table;
