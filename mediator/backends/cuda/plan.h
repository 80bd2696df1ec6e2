/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How the bytes of one operand travel between host memory and a device buffer.
 *
 * Long runs go by the copy engine, one transfer each.  Short ones, a guest's
 * scattered pages, go all together by a kernel.  What the device cannot reach
 * is staged.  A plan may be carried out any number of times, both ways.
 */
#ifndef VGPU_CUDA_PLAN_H
#define VGPU_CUDA_PLAN_H

#include <cuda_runtime_api.h>
#include <glib.h>
#include <stdint.h>

#include "backend.h"
#include "kernels/kernels.h"
#include "regions.h"
#include "staging.h"

/*
 * Below this length a kernel that takes all runs at once was measured faster
 * than a transfer for each of them.
 */
#define VGPU_CUDA_DIRECT_MIN ((uint64_t)1 << 20)
/* An operand in so few runs is not worth a list and a kernel. */
#define VGPU_CUDA_DIRECT_RUNS 4u

struct plan {
	GArray *stretch;                 /* private, while planning */
	GArray *direct;                  /* of struct staged_run: by the copy engine */
	GArray *staged;                  /* of struct staged_run */
	struct vgpu_piece *piece;        /* pinned: what the kernel does */
	struct vgpu_piece *piece_device; /* its copy on the device */
	uint64_t npieces;
	uint64_t capacity;
	uint64_t staged_bytes; /* copied by the CPU each time the plan is carried out */
};

void plan_init(struct plan *p);
void plan_clear(struct plan *p);
/* Frees what belongs to the context. */
void plan_release(struct plan *p);

/*
 * Plans for `op`; the runs are used until the plan is made anew, the array of
 * them is not.  Enqueues the upload of the list on `stream`, so nothing that
 * was enqueued with this plan before may still be under way.
 */
cudaError_t plan_make(struct plan *p, const struct vgpu_operand *op, struct regions *regions,
		      cudaStream_t stream);

/* Enqueue the copies; bytes staged are added to *host_copied. */
cudaError_t plan_to_device(const struct plan *p, uint8_t *device, struct staging *staging,
			   cudaStream_t stream, uint64_t *host_copied);
cudaError_t plan_from_device(const struct plan *p, const uint8_t *device, struct staging *staging,
			     cudaStream_t stream, uint64_t *host_copied);

#endif /* VGPU_CUDA_PLAN_H */
