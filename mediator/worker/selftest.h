/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The built-in self-tests: known numbers through the backend, checked here. */
#ifndef VGPU_WORKER_SELFTEST_H
#define VGPU_WORKER_SELFTEST_H

#include "backend.h"

/* 0 or the backend's negative errno; *errors: elements of 1024 that came out wrong. */
int selftest_vector_add(const struct vgpu_backend_ops *ops, struct vgpu_backend *be,
			struct vgpu_work *work, uint32_t *errors);
int selftest_matmul(const struct vgpu_backend_ops *ops, struct vgpu_backend *be,
		    struct vgpu_work *work, uint32_t *errors);

#endif /* VGPU_WORKER_SELFTEST_H */
