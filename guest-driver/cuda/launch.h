/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Parameters of kernels, as launches and graph nodes give them. */
#ifndef CUDA_LAUNCH_H
#define CUDA_LAUNCH_H

#include "function.h"

#define LAUNCH_ATTRIBUTES_MAX 32
#define LAUNCH_PARAMS_MAX 32768u /* more than any device takes */

/*
 * Packs what a program gave by the layout of `f` into `room` (LAUNCH_PARAMS_MAX
 * bytes), or points into the one buffer that it gave; *params and *bytes say where.
 */
CUresult launch_pack(const struct function *f, void **kernelParams, void **extra, uint8_t *room,
		     const void **params, size_t *bytes);

/*
 * Attributes as they go to the host, in *n of `out` (LAUNCH_ATTRIBUTES_MAX).
 * One whose value is memory of the caller's: CUDA_ERROR_NOT_SUPPORTED.
 */
CUresult launch_attributes(const CUlaunchAttribute *attrs, unsigned int count,
			   struct vgpu_launch_attribute *out, unsigned int *n);

#endif /* CUDA_LAUNCH_H */
