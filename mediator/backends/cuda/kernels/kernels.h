/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The kernels, as C calls that enqueue them.
 *
 * The only header that the C files and the .cu files share.  Every function
 * puts work on `stream`, waits for nothing and returns what the launch said.
 * Counts of 0 enqueue nothing and succeed.
 */
#ifndef VGPU_CUDA_KERNELS_H
#define VGPU_CUDA_KERNELS_H

#include <cuda_runtime_api.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define VGPU_PIECE_MAX 4096u

/*
 * A piece of an operand: at most VGPU_PIECE_MAX bytes that do not cross a
 * 4 KiB boundary of host memory.
 */
struct vgpu_piece {
	uint64_t host;  /* its address in host memory, as the device sees it */
	uint64_t where; /* offset in the device buffer << 16 | length */
};

/* Collects `count` pieces of registered host memory into `device`. */
cudaError_t vgpu_kernel_gather(void *device, const struct vgpu_piece *pieces, uint64_t count,
			       cudaStream_t stream);
/* The way back. */
cudaError_t vgpu_kernel_scatter(const void *device, const struct vgpu_piece *pieces, uint64_t count,
				cudaStream_t stream);

/* a[i] += b[i]; both aligned to 16. */
cudaError_t vgpu_kernel_vector_add(float *a, const float *b, uint64_t n, cudaStream_t stream);

/* c[m][n] = a[m][k] * b[k][n], row-major. */
cudaError_t vgpu_kernel_matmul(const float *a, const float *b, float *c, uint32_t m, uint32_t n,
			       uint32_t k, cudaStream_t stream);

/* *sum += every word, mod 2^32; the words are aligned to 16. */
cudaError_t vgpu_kernel_checksum(const uint32_t *words, uint64_t n, uint32_t *sum,
				 cudaStream_t stream);

#ifdef __cplusplus
}
#endif

#endif /* VGPU_CUDA_KERNELS_H */
