/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Sampling a texture, for the built-in kernel that does. */
#ifndef VGPU_CPU_TEXTURE_H
#define VGPU_CPU_TEXTURE_H

#include "driver.h"

/*
 * Writes the nearest texels of the first width x height places, row after row.
 * Without the driver's lock; `out` is pinned by the caller.
 */
CUresult texture_sample(unsigned long long handle, float *out, size_t width, size_t height);

#endif /* VGPU_CPU_TEXTURE_H */
