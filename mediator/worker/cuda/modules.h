/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How the parameters of a function lie, and what it needs; kept with the handles of functions and
 * kernels. */
#ifndef VGPU_WORKER_CUDA_MODULES_H
#define VGPU_WORKER_CUDA_MODULES_H

#include "cuda_driver.h"
#include <stdbool.h>
#include <stdint.h>

struct cuda_session;

#define LAYOUT_PARAMS_MAX 32768u

struct layout {
	uint32_t n;
	uint32_t bytes; /* up to the end of the last one */
	uint32_t local; /* bytes of local memory for each thread */
	struct {
		uint32_t offset;
		uint32_t size;
	} param[];
};

void modules_layout_free(void *layout);

/* Is it how the parameters of the driver's function (or kernel) lie now? */
bool modules_layout_fits(struct cuda_session *s, const struct layout *l, CUfunction f, CUkernel k);

#endif /* VGPU_WORKER_CUDA_MODULES_H */
