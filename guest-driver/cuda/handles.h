/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The names of CUDA objects as a program sees them.
 *
 * A handle is chosen here, never by the host, and has the layout of
 * vgpu_cuda.h.  The program gets it cast to the driver's own pointer types.
 * All functions may be called from any thread; looking one up takes no lock.
 */
#ifndef CUDA_HANDLES_H
#define CUDA_HANDLES_H

#include <stdint.h>

#include "vgpu_cuda.h"

/*
 * A new handle; 0 if there are no more.  `data` (may be NULL) is what the
 * library keeps about the object: from malloc(), owned by the handle from now
 * on and freed with it.
 */
uint64_t handle_new(enum vgpu_cuda_type type, void *data);

/* Gives `h` back, and its data; ignored if it is stale. */
void handle_drop(uint64_t h);

/* Is `h` one of ours, alive and of this type? */
int handle_valid(uint64_t h, enum vgpu_cuda_type type);

/* The object's data; NULL if there is none, or if `h` is stale or of another type. */
void *handle_data(uint64_t h, enum vgpu_cuda_type type);

/* Attaches data to a handle that has none yet. */
void handle_set_data(uint64_t h, void *data);

/* Calls `visit` for each living handle of `type`, under no lock. */
void handle_each(enum vgpu_cuda_type type, void (*visit)(uint64_t h, void *data, void *arg),
		 void *arg);

/* Between a handle's number and the driver's pointer types. */
#define HANDLE_OF(pointer) ((uint64_t)(uintptr_t)(pointer))
#define HANDLE_AS(type, h) ((type)(uintptr_t)(h))

#endif /* CUDA_HANDLES_H */
