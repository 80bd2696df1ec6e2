/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Copies of host memory that the device cannot reach: inline data, the
 * worker's own buffers, RAM that could not be registered.
 *
 * The CPU fills one pinned buffer while the other is on its way.  This is the
 * only place of the backend where the CPU touches payload.
 */
#ifndef VGPU_CUDA_STAGING_H
#define VGPU_CUDA_STAGING_H

#include <cuda_runtime_api.h>
#include <stdint.h>

#define VGPU_CUDA_STAGING_SLOTS 2
#define VGPU_CUDA_STAGING_SIZE ((uint64_t)2 << 20)

struct staging {
	uint8_t *slot[VGPU_CUDA_STAGING_SLOTS];     /* pinned; NULL until needed */
	cudaEvent_t ready[VGPU_CUDA_STAGING_SLOTS]; /* its last transfer is over */
	unsigned int next;
};

/* Bytes of host memory, and where in a device buffer they belong. */
struct staged_run {
	uint8_t *host;
	uint64_t offset;
	uint64_t length;
};

void staging_release(struct staging *s);

/*
 * Both return once the host memory has been read or written; the copies to the
 * device may still be under way on `stream`.
 */
cudaError_t staging_to_device(struct staging *s, uint8_t *device, const struct staged_run *run,
			      uint64_t nruns, cudaStream_t stream);
cudaError_t staging_from_device(struct staging *s, const uint8_t *device,
				const struct staged_run *run, uint64_t nruns, cudaStream_t stream);

#endif /* VGPU_CUDA_STAGING_H */
