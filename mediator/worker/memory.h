/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The guest's RAM as this worker has it mapped, and lists of runs in it.
 *
 * Nothing here trusts a guest-physical address: every function takes one with
 * a length and answers only if all of it lies in mapped RAM.  A region comes by
 * file descriptor and is mapped whole, or by domain (Xen) and is mapped as far
 * as requests need it: see frames.h.
 */
#ifndef VGPU_WORKER_MEMORY_H
#define VGPU_WORKER_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "backend.h"
#include "frames.h"
#include "vgpu_socket.h"

struct runs;

struct mem_map {
	uint64_t gpa;
	uint64_t size;
	uint64_t offset; /* in the file */
	dev_t dev;       /* with `ino`: which file, to recognise it */
	ino_t ino;
	uint8_t *base;                /* where `gpa` is mapped */
	struct frames_region *frames; /* by domain; then the file's are 0 */
	uint64_t generation;          /* ... and a new one means that pages have changed */
};

/* Told of each mapping of a file that appears or goes; either may be NULL. */
struct mem_hooks {
	int (*map)(void *opaque, void *base, size_t length);
	void (*unmap)(void *opaque, void *base, size_t length);
	void *opaque;
};

/* Parts that are in use all the time: the queue and the buffer table. */
#define MEM_FIXED_MAX 2

struct mem_fixed {
	uint64_t gpa;
	uint64_t len;
	uint8_t *base; /* the page that holds `gpa` */
};

struct memory {
	struct mem_map map[VGPU_MEM_REGIONS_MAX]; /* sorted by gpa, disjoint */
	unsigned int n;
	struct mem_hooks hooks;
	struct frames *frames; /* the way to a domain's memory; NULL: there is none */
	struct mem_fixed fixed[MEM_FIXED_MAX];
	unsigned int nfixed;
};

/*
 * Makes the table what `region` says; the fds stay the caller's, a region by
 * domain has none, and its user_addr is its generation.  Mappings
 * that are in both tables stay where they are.  A region that cannot be mapped
 * is left out: the first such failure is returned (negative errno) and its
 * index stored in *bad, the rest of the table is in force all the same.
 */
int memory_replace(struct memory *m, const struct vgpu_mem_region *region, const int *fds,
		   unsigned int n, unsigned int *bad);

/* Unmaps everything. */
void memory_clear(struct memory *m);

/*
 * Where `len` bytes at `gpa` are, if one region holds them all; else NULL.
 * Valid until the request is over (memory_release()).
 */
void *memory_at(const struct memory *m, uint64_t gpa, uint64_t len);

/* The same for good, or until the region goes; for MEM_FIXED_MAX places at most. */
void *memory_fix(struct memory *m, uint64_t gpa, uint64_t len);

/*
 * Before what memory_runs() gave is touched, in each request anew.  0, -EFAULT
 * (a page is not there, or not any more) or -ENOMEM.
 */
int memory_touch(const struct memory *m, const struct runs *r);

/* The end of a request; and for copies that outlast theirs, see frames.h. */
void memory_release(const struct memory *m);
void memory_keep(const struct memory *m, struct frames_hold *hold);
void memory_let_go(const struct memory *m, struct frames_hold *hold);

/* Maps the same bytes, whole pages of one region, at `to` as well.  0, -EFAULT or -ENOMEM. */
int memory_alias(const struct memory *m, uint8_t *base, uint64_t length, void *to);

/* A growing list of runs. */
struct runs {
	struct vgpu_run *run;
	uint64_t *end; /* bytes up to and with each run */
	uint32_t n;
	uint32_t room;
};

void runs_free(struct runs *r);
uint64_t runs_length(const struct runs *r);

/* Appends a run; `join`: as part of the last one if they touch.  0, -ENOMEM or -EMSGSIZE. */
int runs_append(struct runs *r, uint8_t *base, uint64_t length, bool join);

/* Appends what `from` has at [offset, offset + length), which must be inside it. */
int runs_slice(struct runs *r, const struct runs *from, uint64_t offset, uint64_t length);

/*
 * Appends guest memory.  No run crosses from one region into another, even
 * where their mappings touch.  -EFAULT if any byte is not RAM.
 */
int memory_runs(const struct memory *m, uint64_t gpa, uint64_t len, struct runs *r);

#endif /* VGPU_WORKER_MEMORY_H */
