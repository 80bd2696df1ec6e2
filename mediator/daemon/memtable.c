/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The memory table of one device. */
#include "memtable.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "fdio.h"

#define PAGE 4096u

void memtable_init(struct memtable *t)
{
	memset(t, 0, sizeof(*t));
	t->domid = MEMTABLE_NO_DOMAIN;
}

static bool is_by_domain(const struct vgpu_mem_region *r)
{
	return r->xen_flags;
}

/* A device model acts for its own domain only; `domid`: of the regions before this one. */
static const char *check_domain(const struct memtable *t, const struct vgpu_mem_region *r,
				uint32_t *domid)
{
	if (!t->by_domain)
		return "regions by domain were not agreed upon";
	if (r->xen_flags != VGPU_XEN_FOREIGN)
		return "memory by grants is not supported";
	if (r->mmap_offset)
		return "a region by domain has no offset";
	if (!r->domid || r->domid >= VGPU_XEN_DOMID_END)
		return "that is not the number of a guest's domain";
	if (*domid != MEMTABLE_NO_DOMAIN && r->domid != *domid)
		return "the device may not name memory of this domain";
	*domid = r->domid;
	return NULL;
}

static const char *check_region(const struct memtable *t, const struct vgpu_mem_region *r,
				uint32_t *domid)
{
	const char *why = is_by_domain(r) ? check_domain(t, r, domid) : NULL;

	if (why)
		return why;
	if (!is_by_domain(r) && r->domid)
		return "a region by descriptor has no domain";
	if (!r->size || r->size % PAGE || r->guest_addr % PAGE || r->mmap_offset % PAGE)
		return "a region's address, size or offset is not a multiple of the page size";
	if (r->guest_addr + r->size < r->guest_addr || r->mmap_offset > INT64_MAX - r->size ||
	    r->size > INT64_MAX)
		return "a region wraps around the end of the address space";
	return NULL;
}

static void drop_fd(int fd)
{
	if (fd >= 0)
		fdio_drop(fd);
}

static bool overlap(const struct vgpu_mem_region *a, const struct vgpu_mem_region *b)
{
	return a->guest_addr < b->guest_addr + b->size && b->guest_addr < a->guest_addr + a->size;
}

static int check_new(const struct memtable *t, const struct vgpu_mem_region *r,
		     const struct vgpu_mem_region *others, uint32_t n, uint32_t *domid,
		     const char **why)
{
	*why = check_region(t, r, domid);
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

/* What was mapped for it before is void. */
static void renew(struct memtable *t, struct vgpu_mem_region *r)
{
	if (is_by_domain(r))
		r->user_addr = ++t->generation;
}

int memtable_set(struct memtable *t, const struct vgpu_mem_region *region, const int *fds,
		 uint32_t n, const char **why)
{
	uint32_t domid = t->domid;

	if (n > VGPU_MEM_REGIONS_MAX) {
		*why = "too many regions";
		return -E2BIG;
	}
	for (uint32_t i = 0; i < n; i++) {
		int err = check_new(t, &region[i], region, i, &domid, why);

		if (err)
			return err;
	}
	memtable_clear(t);
	memcpy(t->region, region, n * sizeof(region[0]));
	memcpy(t->fd, fds, n * sizeof(fds[0]));
	t->n = n;
	t->domid = domid;
	for (uint32_t i = 0; i < n; i++)
		renew(t, &t->region[i]);
	return 0;
}

/* The same once more: other pages are there now. */
static struct vgpu_mem_region *find_again(struct memtable *t, const struct vgpu_mem_region *r)
{
	for (uint32_t i = 0; is_by_domain(r) && i < t->n; i++) {
		struct vgpu_mem_region *old = &t->region[i];

		if (is_by_domain(old) && old->guest_addr == r->guest_addr && old->size == r->size &&
		    old->xen_flags == r->xen_flags && old->domid == r->domid &&
		    old->mmap_offset == r->mmap_offset)
			return old;
	}
	return NULL;
}

int memtable_add(struct memtable *t, const struct vgpu_mem_region *region, int fd, const char **why)
{
	struct vgpu_mem_region *old = find_again(t, region);
	uint32_t domid = t->domid;
	int err;

	if (old) {
		renew(t, old);
		return 0;
	}
	err = check_new(t, region, t->region, t->n, &domid, why);
	if (err)
		return err;
	if (t->n == VGPU_MEM_REGIONS_MAX) {
		*why = "too many regions";
		return -E2BIG;
	}
	t->region[t->n] = *region;
	t->fd[t->n] = fd;
	t->domid = domid;
	renew(t, &t->region[t->n]);
	t->n++;
	return 0;
}

int memtable_remove(struct memtable *t, const struct vgpu_mem_region *region, const char **why)
{
	for (uint32_t i = 0; i < t->n; i++) {
		if (t->region[i].guest_addr != region->guest_addr ||
		    t->region[i].size != region->size)
			continue;
		drop_fd(t->fd[i]);
		t->n--;
		memmove(&t->region[i], &t->region[i + 1], (t->n - i) * sizeof(t->region[0]));
		memmove(&t->fd[i], &t->fd[i + 1], (t->n - i) * sizeof(t->fd[0]));
		return 0;
	}
	*why = "there is no such region";
	return -ENOENT;
}

uint32_t memtable_domain(const struct memtable *t)
{
	for (uint32_t i = 0; i < t->n; i++) {
		if (is_by_domain(&t->region[i]))
			return t->region[i].domid;
	}
	return MEMTABLE_NO_DOMAIN;
}

void memtable_clear(struct memtable *t)
{
	for (uint32_t i = 0; i < t->n; i++)
		drop_fd(t->fd[i]);
	t->n = 0;
}
