/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copies of boxes, in two and three dimensions, as they go to the host. */
#ifndef CUDA_BOX_H
#define CUDA_BOX_H

#include <stdbool.h>

#include "api.h"
#include "vgpu_calls.h"

struct context;

/*
 * Translates a copy.  Which sides are memory of the program that is not
 * pinned, so that the host cannot reach it, is told in *src_far and *dst_far.
 */
CUresult box_of(const CUDA_MEMCPY3D *copy, struct vgpu_copy3d *box, bool *src_far, bool *dst_far);

/* What a translated copy was; pinned memory is told as memory of the host. */
void box_back(const struct vgpu_copy3d *box, CUDA_MEMCPY3D *copy);

/* Copies; `stream` as shim_stream() gives it. */
CUresult box_copy(const CUDA_MEMCPY3D *copy, CUstream stream, bool wait);

/*
 * A context is about to end, and with it maybe the buffer: waits for the copy
 * that is using it.  None begins in a context that is not `alive`.
 */
void box_context_ends(const struct context *c);

#endif /* CUDA_BOX_H */
