/* SPDX-License-Identifier: GPL-2.0-or-later */
/* From the wire's description of a box to the driver's, checked. */
#ifndef VGPU_WORKER_CUDA_COPY3D_H
#define VGPU_WORKER_CUDA_COPY3D_H

#include "cuda_driver.h"
#include "vgpu_calls.h"

struct cuda_session;

/* An empty box gives a *out of zeros. */
CUresult copy3d_make(struct cuda_session *s, const struct vgpu_copy3d *c, CUDA_MEMCPY3D *out);

#endif /* VGPU_WORKER_CUDA_COPY3D_H */
