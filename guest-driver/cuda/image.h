/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Images of device code: how long they are, and their way to the host. */
#ifndef CUDA_IMAGE_H
#define CUDA_IMAGE_H

#include <stddef.h>
#include <stdint.h>

#include "api.h"

struct image {
	const void *data;
	size_t size;
};

/* PTX text, a cubin, a fat binary or the wrapper that nvcc puts around one. */
CUresult image_of(const void *image, struct image *out);

/* A whole file, with a NUL behind it; image_free_file() gives it back. */
CUresult image_read_file(const char *path, struct image *out);
void image_free_file(struct image *i);

/* Sends an image; *blob is what the host knows it by, to be ended with rpc_vgpuBlobEnd(). */
CUresult image_send(const struct image *i, unsigned long long *blob);

#endif /* CUDA_IMAGE_H */
