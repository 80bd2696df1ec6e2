/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How the parameters of a function lie; kept with the handles of functions and kernels. */
#ifndef VGPU_WORKER_CUDA_MODULES_H
#define VGPU_WORKER_CUDA_MODULES_H

#include <stdint.h>

#define LAYOUT_PARAMS_MAX 32768u

struct layout {
	uint32_t n;
	uint32_t bytes; /* up to the end of the last one */
	struct {
		uint32_t offset;
		uint32_t size;
	} param[];
};

void modules_layout_free(void *layout);

#endif /* VGPU_WORKER_CUDA_MODULES_H */
