/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The way into the software driver: a part of the CUDA driver API, done by the
 * host's CPU, with exactly the signatures of cuda.h.
 */
#ifndef VGPU_CPU_DRIVER_H
#define VGPU_CPU_DRIVER_H

#include <stdbool.h>
#include <stdint.h>

/* The function exported under `name` ("cuMemAlloc_v2"), NULL if there is none. */
void *cpu_driver_symbol(const char *name);

struct vgpu_operand;

/*
 * The backend's copy operation: between an operand and device memory, on a
 * stream of the current context.  Returns a CUresult.
 */
int cpu_driver_copy(void *stream, uint64_t device, const struct vgpu_operand *op, bool to_device);

#endif /* VGPU_CPU_DRIVER_H */
