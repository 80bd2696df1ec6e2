/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The guest's RAM as this worker has it mapped, and lists of runs in it.
 *
 * Nothing here trusts a guest-physical address: every function takes one with
 * a length and answers only if all of it lies in mapped RAM.
 */
#ifndef VGPU_WORKER_MEMORY_H
#define VGPU_WORKER_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "backend.h"
#include "vgpu_socket.h"

struct mem_map {
	uint64_t gpa;
	uint64_t size;
	uint64_t offset; /* in the file */
	dev_t dev;       /* with `ino`: which file, to recognise it */
	ino_t ino;
	uint8_t *base; /* where `gpa` is mapped */
};

/* Told of each mapping that appears or goes; either may be NULL. */
struct mem_hooks {
	int (*map)(void *opaque, void *base, size_t length);
	void (*unmap)(void *opaque, void *base, size_t length);
	void *opaque;
};

struct memory {
	struct mem_map map[VGPU_MEM_REGIONS_MAX]; /* sorted by gpa, disjoint */
	unsigned int n;
	struct mem_hooks hooks;
};

/*
 * Makes the table what `region` says; the fds stay the caller's.  Mappings
 * that are in both tables stay where they are.  A region that cannot be mapped
 * is left out: the first such failure is returned (negative errno) and its
 * index stored in *bad, the rest of the table is in force all the same.
 */
int memory_replace(struct memory *m, const struct vgpu_mem_region *region, const int *fds,
		   unsigned int n, unsigned int *bad);

/* Unmaps everything. */
void memory_clear(struct memory *m);

/* Where `len` bytes at `gpa` are, if one region holds them all; else NULL. */
void *memory_at(const struct memory *m, uint64_t gpa, uint64_t len);

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
