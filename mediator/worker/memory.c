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
	if (map->frames) {
		frames_region_free(map->frames);
		map->frames = NULL;
		map->base = NULL;
		return;
	}
	if (hooks->unmap)
		hooks->unmap(hooks->opaque, map->base, (size_t)map->size);
	munmap(map->base, (size_t)map->size);
	map->base = NULL;
}

static bool is_same(const struct mem_map *a, const struct mem_map *b, bool by_domain)
{
	return a->base && a->gpa == b->gpa && a->size == b->size && a->offset == b->offset &&
	       a->dev == b->dev && a->ino == b->ino && !a->frames == !by_domain;
}

/* Moves the mapping of the same bytes of the same file, or domain, out of the old table. */
static bool take_over(struct mem_map *old, unsigned int n, struct mem_map *map, bool by_domain)
{
	for (unsigned int i = 0; i < n; i++) {
		if (is_same(&old[i], map, by_domain)) {
			map->base = old[i].base;
			map->frames = old[i].frames;
			if (by_domain && map->generation != old[i].generation)
				frames_region_renew(map->frames);
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

/* Never another domain's: the handle could not, and the words would be worse. */
static int fill_foreign(const struct memory *m, struct mem_map *map,
			const struct vgpu_mem_region *region)
{
	if (!m->frames)
		return -EOPNOTSUPP;
	if (region->domid != m->frames->domid)
		return -EPERM;
	if (region->guest_addr % FRAMES_PAGE || region->size % FRAMES_PAGE)
		return -EINVAL;
	*map = (struct mem_map){
		.gpa = region->guest_addr, .size = region->size, .generation = region->user_addr};
	return 0;
}

static int map_foreign(const struct memory *m, struct mem_map *map)
{
	map->frames = frames_region_new(m->frames, map->gpa, map->size);
	if (!map->frames)
		return -ENOMEM;
	map->base = frames_region_base(map->frames);
	return 0;
}

static int fill_region(const struct memory *m, struct mem_map *map,
		       const struct vgpu_mem_region *region, int fd)
{
	struct stat st;

	if (!region->size || region->guest_addr + region->size < region->guest_addr)
		return -EINVAL;
	if (region->xen_flags)
		return fill_foreign(m, map, region);
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
		bool by_domain = region[i].xen_flags;
		int err = m->n < VGPU_MEM_REGIONS_MAX ? fill_region(m, map, &region[i], fds[i])
						      : -E2BIG;

		if (!err && !take_over(old.map, old.n, map, by_domain))
			err = by_domain ? map_foreign(m, map) : map_region(&m->hooks, map, fds[i]);
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

/* Bytes of all pages that `len` bytes at `gpa` lie in. */
static uint64_t pages_of(uint64_t gpa, uint64_t len)
{
	uint64_t bytes = gpa % FRAMES_PAGE + len;

	return bytes + (FRAMES_PAGE - bytes % FRAMES_PAGE) % FRAMES_PAGE;
}

void memory_clear(struct memory *m)
{
	for (unsigned int i = 0; i < m->n; i++)
		unmap_region(&m->hooks, &m->map[i]);
	m->n = 0;
	for (unsigned int i = 0; i < m->nfixed; i++)
		munmap(m->fixed[i].base, pages_of(m->fixed[i].gpa, m->fixed[i].len));
	m->nfixed = 0;
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
	if (map->frames && frames_touch(map->frames, gpa - map->gpa, len) < 0)
		return NULL;
	return map->base + (gpa - map->gpa);
}

/* Apart from the chunks, so that these can be looked for again when pages appear. */
void *memory_fix(struct memory *m, uint64_t gpa, uint64_t len)
{
	const struct mem_map *map = find(m, gpa);
	struct mem_fixed *fixed;
	uint64_t start = gpa - gpa % FRAMES_PAGE;
	int err;

	if (!map || len > map->size - (gpa - map->gpa))
		return NULL;
	if (!map->frames)
		return map->base + (gpa - map->gpa);
	for (unsigned int i = 0; i < m->nfixed; i++) {
		if (m->fixed[i].gpa == gpa && m->fixed[i].len == len)
			return m->fixed[i].base + gpa % FRAMES_PAGE;
	}
	if (m->nfixed == MEM_FIXED_MAX || !len)
		return NULL;
	fixed = &m->fixed[m->nfixed];
	fixed->base =
		frames_map_again(map->frames, start - map->gpa, pages_of(gpa, len), NULL, &err);
	if (!fixed->base)
		return NULL;
	fixed->gpa = gpa;
	fixed->len = len;
	m->nfixed++;
	return fixed->base + gpa % FRAMES_PAGE;
}

/* The region whose mapping holds the byte at `at`. */
static const struct mem_map *find_base(const struct memory *m, const uint8_t *at)
{
	for (unsigned int i = 0; i < m->n; i++) {
		const struct mem_map *map = &m->map[i];

		if (at >= map->base && (uint64_t)(at - map->base) < map->size)
			return map;
	}
	return NULL;
}

int memory_touch(const struct memory *m, const struct runs *r)
{
	const struct mem_map *map = NULL;

	for (uint32_t i = 0; m->frames && i < r->n; i++) {
		const struct vgpu_run *run = &r->run[i];
		int err;

		if (!map || run->base < map->base || (uint64_t)(run->base - map->base) >= map->size)
			map = find_base(m, run->base);
		if (!map)
			return -EFAULT;
		err = map->frames ? frames_touch(map->frames, (uint64_t)(run->base - map->base),
						 run->length)
				  : 0;
		if (err)
			return err;
	}
	return 0;
}

void memory_release(const struct memory *m)
{
	if (m->frames)
		frames_release(m->frames);
}

void memory_keep(const struct memory *m, struct frames_hold *hold)
{
	if (m->frames)
		frames_keep(m->frames, hold);
}

void memory_let_go(const struct memory *m, struct frames_hold *hold)
{
	if (m->frames)
		frames_let_go(m->frames, hold);
}

/* A mapping of a file is duplicated without its descriptor: an old size of 0 does that. */
int memory_alias(const struct memory *m, uint8_t *base, uint64_t length, void *to)
{
	const struct mem_map *map = find_base(m, base);
	int err = 0;

	if (!map)
		return -EFAULT;
	if (map->frames)
		frames_map_again(map->frames, (uint64_t)(base - map->base), length, to, &err);
	else if (mremap(base, 0, length, MREMAP_MAYMOVE | MREMAP_FIXED, to) != to)
		err = -ENOMEM;
	return err;
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
