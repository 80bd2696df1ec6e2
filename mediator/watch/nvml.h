/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What this program takes of NVIDIA's management library: a few functions of
 * its stable interface, by name, so that neither its header nor the library
 * need be there for the build.
 */
#ifndef VGPU_WATCH_NVML_H
#define VGPU_WATCH_NVML_H

#include <stdint.h>

#define NVML_SUCCESS 0
#define NVML_ERROR_INSUFFICIENT_SIZE 7
#define NVML_VALUE_NOT_AVAILABLE UINT64_MAX

typedef struct nvmlDevice_st *nvml_device;

struct nvml_memory {
	unsigned long long total, free, used;
};

/* nvmlProcessInfo_t of nvmlDeviceGetComputeRunningProcesses_v3(). */
struct nvml_process {
	unsigned int pid;
	unsigned long long used;
	unsigned int gpu_instance, compute_instance;
};

struct nvml {
	int (*init)(void);
	const char *(*error)(int);
	int (*count)(unsigned int *);
	int (*device)(unsigned int, nvml_device *);
	int (*memory)(nvml_device, struct nvml_memory *);
	int (*processes)(nvml_device, unsigned int *, struct nvml_process *);
};

_Static_assert(sizeof(struct nvml_process) == 24, "as the library lays it out");

#endif /* VGPU_WATCH_NVML_H */
