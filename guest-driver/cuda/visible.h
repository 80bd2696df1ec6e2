/* SPDX-License-Identifier: GPL-2.0-or-later */
/* CUDA_VISIBLE_DEVICES: which devices the user lets the program see. */
#ifndef CUDA_VISIBLE_H
#define CUDA_VISIBLE_H

#include "api.h"
#include "vgpu_calls.h"

/*
 * How many of the `n` devices, from the first on, the program sees.
 *
 * The variable's list of numbers and UUIDs (GPU-..., which may be cut short)
 * counts up to its first entry that names no device.  A list in another order
 * than the devices' ends where it begins to differ: a session has one device,
 * and nothing yet translates numbers.
 */
unsigned int visible_devices(const struct vgpu_device_info *devices, unsigned int n);

#endif /* CUDA_VISIBLE_H */
