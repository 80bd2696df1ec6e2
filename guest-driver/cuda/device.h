/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is known of the session's devices; fetched once, by cuInit(). */
#ifndef CUDA_DEVICE_H
#define CUDA_DEVICE_H

#include <stdbool.h>

#include "api.h"
#include "vgpu_calls.h"

#define DEVICES_MAX 16

/* Asks the host about itself and its devices; the session is connected. */
CUresult device_start(void);

/* As the host's cuDriverGetVersion(); 0 before device_start(). */
int device_driver_version(void);

bool device_valid(CUdevice dev);

/* A device that is valid. */
const struct vgpu_device_info *device_info(CUdevice dev);

/* An attribute of a valid device as the program is told; 0 for one that does not exist. */
int device_attribute(CUdevice dev, CUdevice_attribute attribute);

#endif /* CUDA_DEVICE_H */
