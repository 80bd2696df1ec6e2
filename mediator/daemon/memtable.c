/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The memory table of one device. */
#include "memtable.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "fdio.h"

#define PAGE 4096u

static const char *check_region(const struct vgpu_mem_region *r)
{
	if (r->xen_flags || r->domid)
		return "regions by domain were not agreed upon";
	if (!r->size || r->size % PAGE || r->guest_addr % PAGE || r->mmap_offset % PAGE)
		return "a region's address, size or offset is not a multiple of the page size";
	if (r->guest_addr + r->size < r->guest_addr || r->mmap_offset > INT64_MAX - r->size ||
	    r->size > INT64_MAX)
		return "a region wraps around the end of the address space";
	return NULL;
}

static bool overlap(const struct vgpu_mem_region *a, const struct vgpu_mem_region *b)
{
	return a->guest_addr < b->guest_addr + b->size && b->guest_addr < a->guest_addr + a->size;
}

static int check_new(const struct vgpu_mem_region *r, const struct vgpu_mem_region *others,
		     uint32_t n, const char **why)
{
	*why = check_region(r);
	if (*why)
		return -EINVAL;
	for (uint32_t i = 0; i < n; i++) {
		if (overlap(r, &others[i])) {
			*why = "two regions overlap";
			return -EEXIST;
		}
	}
	return 0;
}

int memtable_set(struct memtable *t, const struct vgpu_mem_region *region, const int *fds,
		 uint32_t n, const char **why)
{
	if (n > VGPU_MEM_REGIONS_MAX) {
		*why = "too many regions";
		return -E2BIG;
	}
	for (uint32_t i = 0; i < n; i++) {
		int err = check_new(&region[i], region, i, why);

		if (err)
			return err;
	}
	memtable_clear(t);
	memcpy(t->region, region, n * sizeof(region[0]));
	memcpy(t->fd, fds, n * sizeof(fds[0]));
	t->n = n;
	return 0;
}

int memtable_add(struct memtable *t, const struct vgpu_mem_region *region, int fd, const char **why)
{
	int err = check_new(region, t->region, t->n, why);

	if (err)
		return err;
	if (t->n == VGPU_MEM_REGIONS_MAX) {
		*why = "too many regions";
		return -E2BIG;
	}
	t->region[t->n] = *region;
	t->fd[t->n] = fd;
	t->n++;
	return 0;
}

int memtable_remove(struct memtable *t, const struct vgpu_mem_region *region, const char **why)
{
	for (uint32_t i = 0; i < t->n; i++) {
		if (t->region[i].guest_addr != region->guest_addr ||
		    t->region[i].size != region->size)
			continue;
		fdio_drop(t->fd[i]);
		t->n--;
		memmove(&t->region[i], &t->region[i + 1], (t->n - i) * sizeof(t->region[0]));
		memmove(&t->fd[i], &t->fd[i + 1], (t->n - i) * sizeof(t->fd[0]));
		return 0;
	}
	*why = "there is no such region";
	return -ENOENT;
}

void memtable_clear(struct memtable *t)
{
	for (uint32_t i = 0; i < t->n; i++)
		fdio_drop(t->fd[i]);
	t->n = 0;
}
