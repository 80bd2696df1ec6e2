/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The mapped regions of guest RAM. */
#include "memory.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

static int map_region(const struct mem_hooks *hooks, struct mem_map *map, int fd)
{
	void *base;

	if (map->size > SIZE_MAX || map->offset > INT64_MAX)
		return -EINVAL;
	base = mmap(NULL, (size_t)map->size, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
		    (off_t)map->offset);
	if (base == MAP_FAILED)
		return -errno;
	map->base = base;
	/* A dump of this process must not hold the guest's RAM, nor a child have it. */
	madvise(base, (size_t)map->size, MADV_DONTDUMP);
	madvise(base, (size_t)map->size, MADV_DONTFORK);
	if (hooks->map)
		hooks->map(hooks->opaque, base, (size_t)map->size);
	return 0;
}

static void unmap_region(const struct mem_hooks *hooks, struct mem_map *map)
{
	if (!map->base)
		return;
	if (hooks->unmap)
		hooks->unmap(hooks->opaque, map->base, (size_t)map->size);
	munmap(map->base, (size_t)map->size);
	map->base = NULL;
}

/* Moves the mapping of the same bytes of the same file out of the old table. */
static bool take_over(struct mem_map *old, unsigned int n, struct mem_map *map)
{
	for (unsigned int i = 0; i < n; i++) {
		if (old[i].base && old[i].gpa == map->gpa && old[i].size == map->size &&
		    old[i].offset == map->offset && old[i].dev == map->dev &&
		    old[i].ino == map->ino) {
			map->base = old[i].base;
			old[i].base = NULL;
			return true;
		}
	}
	return false;
}

static int compare_gpa(const void *a, const void *b)
{
	const struct mem_map *x = a, *y = b;

	return x->gpa < y->gpa ? -1 : x->gpa > y->gpa;
}

static int fill_region(struct mem_map *map, const struct vgpu_mem_region *region, int fd)
{
	struct stat st;

	if (!region->size || region->guest_addr + region->size < region->guest_addr)
		return -EINVAL;
	if (fstat(fd, &st) < 0)
		return -errno;
	/* Beyond its end there is only SIGBUS. */
	if (region->mmap_offset > (uint64_t)st.st_size ||
	    region->size > (uint64_t)st.st_size - region->mmap_offset)
		return -EFAULT;
	*map = (struct mem_map){.gpa = region->guest_addr,
				.size = region->size,
				.offset = region->mmap_offset,
				.dev = st.st_dev,
				.ino = st.st_ino};
	return 0;
}

int memory_replace(struct memory *m, const struct vgpu_mem_region *region, const int *fds,
		   unsigned int n, unsigned int *bad)
{
	struct memory old = *m;
	int first = 0;

	m->n = 0;
	for (unsigned int i = 0; i < n; i++) {
		struct mem_map *map = &m->map[m->n];
		int err =
			m->n < VGPU_MEM_REGIONS_MAX ? fill_region(map, &region[i], fds[i]) : -E2BIG;

		if (!err && !take_over(old.map, old.n, map))
			err = map_region(&m->hooks, map, fds[i]);
		if (!err) {
			m->n++;
		} else if (!first) {
			first = err;
			*bad = i;
		}
	}
	for (unsigned int i = 0; i < old.n; i++)
		unmap_region(&old.hooks, &old.map[i]);
	qsort(m->map, m->n, sizeof(m->map[0]), compare_gpa);
	return first;
}

void memory_clear(struct memory *m)
{
	for (unsigned int i = 0; i < m->n; i++)
		unmap_region(&m->hooks, &m->map[i]);
	m->n = 0;
}

/* The region that holds the byte at `gpa`, or NULL. */
static const struct mem_map *find(const struct memory *m, uint64_t gpa)
{
	unsigned int lo = 0, hi = m->n;

	while (lo < hi) {
		unsigned int mid = (lo + hi) / 2;
		const struct mem_map *map = &m->map[mid];

		if (gpa < map->gpa)
			hi = mid;
		else if (gpa - map->gpa >= map->size)
			lo = mid + 1;
		else
			return map;
	}
	return NULL;
}

void *memory_at(const struct memory *m, uint64_t gpa, uint64_t len)
{
	const struct mem_map *map = find(m, gpa);

	if (!map || len > map->size - (gpa - map->gpa))
		return NULL;
	return map->base + (gpa - map->gpa);
}

/* Is the last run so far in the same mapping? */
static bool last_is_in(const struct runs *r, const struct mem_map *map)
{
	const struct vgpu_run *last = r->n ? &r->run[r->n - 1] : NULL;

	return last && last->base >= map->base && last->base < map->base + map->size;
}

int memory_runs(const struct memory *m, uint64_t gpa, uint64_t len, struct runs *r)
{
	if (!len || gpa + len < gpa)
		return -EFAULT;
	while (len) {
		const struct mem_map *map = find(m, gpa);
		uint64_t part;
		int err;

		if (!map)
			return -EFAULT;
		part = map->size - (gpa - map->gpa);
		if (part > len)
			part = len;
		err = runs_append(r, map->base + (gpa - map->gpa), part, last_is_in(r, map));
		if (err)
			return err;
		gpa += part;
		len -= part;
	}
	return 0;
}
