/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which addresses belong to the session: device memory and mapped host windows.
 *
 * The driver takes any address of the worker as well, so whatever a host-side
 * call is given must lie in one of these.
 */
#ifndef VGPU_WORKER_CUDA_RANGES_H
#define VGPU_WORKER_CUDA_RANGES_H

#include "cuda_driver.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cuda_session;

enum range_kind {
	RANGE_DEVICE = 1, /* cuMemAlloc and its like; freed by cuMemFree */
	RANGE_GRAPH,      /* of a graph, made by each launch and at the same place */
	RANGE_GLOBAL,     /* a module's variable */
	RANGE_VMM,        /* cuMemMap */
	RANGE_HOST,       /* a host window's mapped part */
};

struct cuda_range {
	uint64_t start;
	uint64_t length;
	uint64_t owner;   /* a handle: of the context, module, … 0: none */
	uint64_t context; /* a second one, whose end is the range's too */
	uint64_t charged; /* bytes that the tenant is charged for it (charge.h) */
	uint64_t source;  /* the driver's pool that it is from, or what is mapped; 0: neither */
	uint32_t kind;    /* enum range_kind */
	uint32_t flags;   /* the adder's */
	bool in_graphs;   /* a window of which graphs may hold addresses */
};

struct cuda_ranges {
	struct cuda_range *range; /* by address, disjoint */
	uint32_t n;
	uint32_t room;
	uint32_t last;                /* the one found most recently */
	struct cuda_session *session; /* whose memory they are; NULL: they stand for none */
};

#define RANGES_MAX (1u << 20)

/*
 * Does [addr, addr + length) lie within the session's memory?  Ranges that
 * touch count as one.  Length 0 is right anywhere.
 */
bool ranges_check(struct cuda_session *s, uint64_t addr, uint64_t length);

/* The range that holds `addr`, or NULL. */
struct cuda_range *ranges_find(struct cuda_ranges *r, uint64_t addr);

/* Makes sure that one more can be added. */
CUresult ranges_room(struct cuda_ranges *r);

/* Adds one; `false` if it overlaps another (which stays) or there is no room. */
bool ranges_add(struct cuda_ranges *r, uint64_t start, uint64_t length, enum range_kind kind,
		uint64_t owner);

/* Takes out the range that begins at `start` and is of `kind`; false: there is none. */
bool ranges_remove(struct cuda_ranges *r, uint64_t start, enum range_kind kind);

/* Takes out all device memory that overlaps: the driver has given it anew. */
void ranges_cut(struct cuda_ranges *r, uint64_t start, uint64_t length);

/* Takes out all of an owner's. */
void ranges_remove_owner(struct cuda_ranges *r, uint64_t owner);

/* Takes out all that `goes` says. */
void ranges_remove_if(struct cuda_ranges *r,
		      bool (*goes)(const struct cuda_range *range, const void *opaque),
		      const void *opaque);

void ranges_free(struct cuda_ranges *r);

#endif /* VGPU_WORKER_CUDA_RANGES_H */
