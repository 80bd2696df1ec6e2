/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The mapped regions of guest RAM, and which parts of them the device can
 * reach.
 *
 * Registering pins memory and takes about 30 ms for each GiB, so a region is
 * registered in chunks, each when a command first touches it.
 */
#ifndef VGPU_CUDA_REGIONS_H
#define VGPU_CUDA_REGIONS_H

#include <cuda_runtime_api.h>
#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VGPU_CUDA_CHUNK ((uint64_t)1 << 30)

struct region; /* private */

struct regions {
	GPtrArray *list;     /* of struct region, by address */
	struct region *last; /* the one found most recently, or NULL */
};

/* What lies at an address. */
struct reach {
	uint64_t length;          /* how far the answer holds, at most what was asked for */
	uint64_t device;          /* the address as the device sees it; 0: it cannot reach it */
	const void *registration; /* of which it is part: no transfer may cross two */
};

void regions_init(struct regions *r);
/* Unregisters all and forgets them. */
void regions_clear(struct regions *r);
/* Unregisters all, but keeps them: the next command registers them anew. */
void regions_release(struct regions *r);

/* 0, -EINVAL, or -EEXIST where the region overlaps another. */
int regions_add(struct regions *r, void *base, size_t length);
/* Does nothing where there is no such region. */
void regions_remove(struct regions *r, void *base, size_t length);

/*
 * Looks up `length` > 0 bytes at `base` and registers them where this has not
 * been tried yet.  Returns an error only where the context is broken; memory
 * that cannot be registered is an answer.
 */
cudaError_t regions_reach(struct regions *r, const uint8_t *base, uint64_t length,
			  struct reach *out);

#endif /* VGPU_CUDA_REGIONS_H */
