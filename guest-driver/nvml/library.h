/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What this library's files share. */
#ifndef NVML_LIBRARY_H
#define NVML_LIBRARY_H

#include <stddef.h>

#include "ask.h"

#define NVML_EXPORT __attribute__((visibility("default")))

struct nvml_device {
	unsigned int index;
	struct vgpu_device_info info;
	unsigned int domain, bus, slot; /* of its PCI address */
	char uuid[48];                  /* GPU-..., as in CUDA_VISIBLE_DEVICES */
};

/* NVML_SUCCESS between nvmlInit and the last nvmlShutdown. */
nvmlReturn_t nvml_enter(void);

/* The same, and `device` must be one of ours. */
nvmlReturn_t nvml_enter_device(nvmlDevice_t device);

/* The device of that number, NULL if there is none. */
nvmlDevice_t nvml_device(unsigned int index);
unsigned int nvml_device_count(void);

/* As cuDriverGetVersion(). */
int nvml_cuda_version(void);

/* Copies a text that fits, or NVML_ERROR_INSUFFICIENT_SIZE. */
nvmlReturn_t nvml_text(char *out, unsigned int size, const char *text);

#endif /* NVML_LIBRARY_H */
