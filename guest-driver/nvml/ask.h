/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Questions to the host, each round in a session of its own.
 *
 * Nothing stays open between rounds: a process that only looks holds no
 * worker on the host, and one that looks before it forks can use CUDA in its
 * children, as frameworks do.
 */
#ifndef NVML_ASK_H
#define NVML_ASK_H

#include "api.h" /* before cuda.h */

#include "nvml_abi.h"
#include "vgpu_calls.h"

#define DEVICES_MAX 16

/* How many devices there are, what each is, and the version of CUDA. */
nvmlReturn_t ask_devices(struct vgpu_device_info info[DEVICES_MAX], unsigned int *n, int *cuda);

/*
 * Memory of a device, in bytes, as cuMemGetInfo() tells it.  Takes long, some
 * tenths of a second on a GPU, in a process that has no context there.
 */
nvmlReturn_t ask_memory(unsigned int device, size_t *free, size_t *total);

#endif /* NVML_ASK_H */
