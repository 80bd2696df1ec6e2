/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The part of NVIDIA's management library's interface that this library
 * answers, declared anew from its public reference manual: names, numbers and
 * layouts are what programs were compiled with.
 */
#ifndef NVML_ABI_H
#define NVML_ABI_H

typedef enum {
	NVML_SUCCESS = 0,
	NVML_ERROR_UNINITIALIZED = 1,
	NVML_ERROR_INVALID_ARGUMENT = 2,
	NVML_ERROR_NOT_SUPPORTED = 3,
	NVML_ERROR_NO_PERMISSION = 4,
	NVML_ERROR_NOT_FOUND = 6,
	NVML_ERROR_INSUFFICIENT_SIZE = 7,
	NVML_ERROR_DRIVER_NOT_LOADED = 9,
	NVML_ERROR_TIMEOUT = 10,
	NVML_ERROR_GPU_IS_LOST = 15,
	NVML_ERROR_IN_USE = 19,
	NVML_ERROR_MEMORY = 20,
	NVML_ERROR_ARGUMENT_VERSION_MISMATCH = 25,
	NVML_ERROR_UNKNOWN = 999,
} nvmlReturn_t;

typedef struct nvml_device *nvmlDevice_t;

typedef struct {
	unsigned long long total, free, used; /* bytes */
} nvmlMemory_t;

#define NVML_MEMORY_V2 (sizeof(nvmlMemory_v2_t) | 2u << 24)
typedef struct {
	unsigned int version; /* NVML_MEMORY_V2, from the caller */
	unsigned long long total, reserved, free, used;
} nvmlMemory_v2_t;

typedef struct {
	char busIdLegacy[16];
	unsigned int domain, bus, device;
	unsigned int pciDeviceId;
} nvmlPciInfo_v1_t;

typedef struct {
	char busIdLegacy[16];
	unsigned int domain, bus, device;
	unsigned int pciDeviceId, pciSubSystemId;
	unsigned int reserved[4];
} nvmlPciInfo_v2_t;

typedef struct {
	char busIdLegacy[16];
	unsigned int domain, bus, device;
	unsigned int pciDeviceId, pciSubSystemId;
	char busId[32];
} nvmlPciInfo_v3_t;

#define NVML_CLOCK_GRAPHICS 0u
#define NVML_CLOCK_SM 1u
#define NVML_CLOCK_MEM 2u

#define NVML_FEATURE_DISABLED 0u
#define NVML_FEATURE_ENABLED 1u

#define NVML_TOPOLOGY_INTERNAL 0u
#define NVML_TOPOLOGY_SYSTEM 50u

#define NVML_P2P_STATUS_NOT_SUPPORTED 5u

#endif /* NVML_ABI_H */
