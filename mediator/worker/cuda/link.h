/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Linking of device code: what is kept with the handle. */
#ifndef VGPU_WORKER_CUDA_LINK_H
#define VGPU_WORKER_CUDA_LINK_H

#include <stddef.h>
#include <stdint.h>

struct link_data {
	char *log[2];
	uint32_t log_bytes[2];
	const uint8_t *image; /* the driver's, until the link is destroyed */
	size_t bytes;
};

void link_data_free(struct link_data *l);

#endif /* VGPU_WORKER_CUDA_LINK_H */
