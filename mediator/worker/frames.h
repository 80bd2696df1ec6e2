/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Regions of guest RAM that are mapped by (domain, frame), piece by piece as
 * requests name them.
 *
 * Each region has its range of addresses from the beginning, so that runs and
 * pointers into it keep their meaning; what is behind them comes in chunks and
 * goes again when there are too many.  A chunk stays while it may be in use:
 * until the end of the request that touched it, or of the hold on it.
 */
#ifndef VGPU_WORKER_FRAMES_H
#define VGPU_WORKER_FRAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "foreign.h"

#define FRAMES_PAGE 4096u
#define FRAMES_CHUNK_PAGES 256u
#define FRAMES_CHUNK ((uint64_t)FRAMES_CHUNK_PAGES * FRAMES_PAGE)

/* Chunks at a time, 12 GiB: each is a mapping; a process may have 65530, windows take 49152. */
#define FRAMES_CHUNKS_MAX 12288u

/* Bytes of a region at most: more than Xen gives a guest, less than there is address space. */
#define FRAMES_REGION_MAX (1ull << 44)

struct frames_region;

/* Zero it before its first use. */
struct frames_hold {
	struct frames_hold *older, *newer;
	uint64_t epoch;
	bool linked;
};

struct frames_slot {
	struct frames_region *region;
	uint64_t chunk;
};

struct frames {
	const struct vgpu_foreign_ops *ops;
	struct vgpu_foreign *handle;
	uint32_t domid;
	uint64_t epoch; /* the request under way */
	struct frames_hold *oldest, *newest;
	struct frames_slot *slot; /* what is mapped */
	uint32_t nslots, max_slots;
	uint32_t hand; /* where to look next for one to give up */
};

/* Takes over `handle`.  0 or -ENOMEM; `max` chunks at a time. */
int frames_init(struct frames *f, const struct vgpu_foreign_ops *ops, struct vgpu_foreign *handle,
		uint32_t domid, uint32_t max);
/* After all its regions are gone. */
void frames_clear(struct frames *f);

/* A region of `size` bytes from guest address `gpa` on, both page aligned.  NULL: no memory. */
struct frames_region *frames_region_new(struct frames *f, uint64_t gpa, uint64_t size);
void frames_region_free(struct frames_region *r);
uint8_t *frames_region_base(const struct frames_region *r);

/* The guest has other pages there now: what is not in use is mapped anew when next touched. */
void frames_region_renew(struct frames_region *r);

/*
 * [offset, offset + length) can be used until frames_release(), once all that
 * the request uses has been touched.  It must lie in the region.  0, -EFAULT (a
 * page is not there), -ENOMEM.
 */
int frames_touch(struct frames_region *r, uint64_t offset, uint64_t length);

/* The request is over. */
void frames_release(struct frames *f);

/* Before frames_release(): what was touched lately stays until frames_let_go(). */
void frames_keep(struct frames *f, struct frames_hold *hold);
void frames_let_go(struct frames *f, struct frames_hold *hold);

/*
 * Maps these bytes once more, for good: the caller unmaps them.  At `at`, where
 * a failure may leave a part of it mapped, or anywhere (NULL).  All page
 * aligned.  NULL with *error set to -EFAULT or -ENOMEM.
 */
void *frames_map_again(struct frames_region *r, uint64_t offset, uint64_t length, void *at,
		       int *error);

#endif /* VGPU_WORKER_FRAMES_H */
