/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Guest RAM by frame number: chunks that come and go within fixed addresses. */
#include "frames.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

struct chunk {
	uint64_t epoch;   /* of the last request that touched it */
	uint64_t earlier; /* of the last one before that */
	uint32_t slot;    /* + 1; 0: not mapped */
	bool stale;       /* the guest has other pages there now */
	bool used;        /* since the hand came by */
	uint8_t there[FRAMES_CHUNK_PAGES / 8];
};

struct frames_region {
	struct frames *f;
	uint64_t gpa;
	uint64_t size;
	uint64_t nchunks;
	uint8_t *base;
	struct chunk *chunk;
};

int frames_init(struct frames *f, const struct vgpu_foreign_ops *ops, struct vgpu_foreign *handle,
		uint32_t domid, uint32_t max)
{
	*f = (struct frames){
		.ops = ops, .handle = handle, .domid = domid, .epoch = 1, .max_slots = max};
	f->slot = calloc(max, sizeof(f->slot[0]));
	return f->slot ? 0 : -ENOMEM;
}

void frames_clear(struct frames *f)
{
	free(f->slot);
	if (f->handle)
		f->ops->close(f->handle);
	*f = (struct frames){0};
}

/* Address space with nothing behind it: a stray access ends this worker and nobody else. */
static uint8_t *reserve(void *at, uint64_t size)
{
	void *base =
		mmap(at, size, PROT_NONE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | (at ? MAP_FIXED : 0), -1, 0);

	return base == MAP_FAILED ? NULL : base;
}

struct frames_region *frames_region_new(struct frames *f, uint64_t gpa, uint64_t size)
{
	struct frames_region *r = size <= FRAMES_REGION_MAX ? calloc(1, sizeof(*r)) : NULL;

	if (!r)
		return NULL;
	r->f = f;
	r->gpa = gpa;
	r->size = size;
	r->nchunks = size / FRAMES_CHUNK + (size % FRAMES_CHUNK != 0);
	r->chunk = calloc(r->nchunks, sizeof(r->chunk[0]));
	r->base = r->chunk ? reserve(NULL, size) : NULL;
	if (r->base)
		return r;
	free(r->chunk);
	free(r);
	return NULL;
}

uint8_t *frames_region_base(const struct frames_region *r)
{
	return r->base;
}

static uint64_t chunk_bytes(const struct frames_region *r, uint64_t i)
{
	uint64_t left = r->size - i * FRAMES_CHUNK;

	return left < FRAMES_CHUNK ? left : FRAMES_CHUNK;
}

/* The slot goes to the last one's tenant, so that they stay without gaps. */
static void give_slot_back(struct frames *f, struct chunk *c)
{
	struct frames_slot *slot = &f->slot[c->slot - 1];
	struct frames_slot *last = &f->slot[--f->nslots];

	if (slot != last) {
		*slot = *last;
		slot->region->chunk[slot->chunk].slot = c->slot;
	}
	c->slot = 0;
}

static void unmap_chunk(struct frames_region *r, uint64_t i)
{
	if (!r->chunk[i].slot)
		return;
	reserve(r->base + i * FRAMES_CHUNK, chunk_bytes(r, i));
	give_slot_back(r->f, &r->chunk[i]);
}

void frames_region_free(struct frames_region *r)
{
	for (uint64_t i = 0; i < r->nchunks && r->f->nslots; i++) {
		if (r->chunk[i].slot)
			give_slot_back(r->f, &r->chunk[i]);
	}
	munmap(r->base, r->size);
	free(r->chunk);
	free(r);
}

/* By copies that a hold stands for, of requests before this one. */
static bool is_held(const struct frames *f, const struct chunk *c)
{
	uint64_t last = c->epoch == f->epoch ? c->earlier : c->epoch;

	return f->oldest && last >= f->oldest->epoch;
}

/* By these, or by this request. */
static bool in_use(const struct frames *f, const struct chunk *c)
{
	return c->epoch == f->epoch || is_held(f, c);
}

static void mark_used(const struct frames *f, struct chunk *c)
{
	c->used = true;
	if (c->epoch == f->epoch)
		return;
	c->earlier = c->epoch;
	c->epoch = f->epoch;
}

/*
 * A copy under way goes on with the pages that it began with.  What else lies
 * in its chunk is seen anew only after it.
 */
void frames_region_renew(struct frames_region *r)
{
	for (uint64_t i = 0; i < r->nchunks && r->f->nslots; i++) {
		if (!r->chunk[i].slot)
			continue;
		if (in_use(r->f, &r->chunk[i]))
			r->chunk[i].stale = true;
		else
			unmap_chunk(r, i);
	}
}

/* Gives up one that is not in use, preferably none that was used lately.  False: all are. */
static bool evict(struct frames *f)
{
	for (uint32_t steps = 0; steps < 2 * f->nslots; steps++) {
		struct frames_slot *slot;
		struct chunk *c;

		f->hand = f->hand + 1 < f->nslots ? f->hand + 1 : 0;
		slot = &f->slot[f->hand];
		c = &slot->region->chunk[slot->chunk];
		if (in_use(f, c))
			continue;
		if (!c->used) {
			unmap_chunk(slot->region, slot->chunk);
			return true;
		}
		c->used = false;
	}
	return false;
}

static bool is_there(const struct chunk *c, uint64_t first, uint64_t last)
{
	for (uint64_t i = first; i <= last; i++) {
		if (!(c->there[i / 8] & 1u << i % 8))
			return false;
	}
	return true;
}

static int map_chunk(struct frames_region *r, uint64_t i)
{
	struct frames *f = r->f;
	struct chunk *c = &r->chunk[i];
	uint8_t *at = r->base + i * FRAMES_CHUNK;
	uint64_t bytes = chunk_bytes(r, i);
	int bad[VGPU_FOREIGN_PAGES_MAX] = {0};

	unmap_chunk(r, i);
	if (f->nslots == f->max_slots && !evict(f))
		return -ENOMEM;
	memset(c->there, 0, sizeof(c->there));
	c->stale = false;
	if (!f->ops->map(f->handle, at, r->gpa / FRAMES_PAGE + i * FRAMES_CHUNK_PAGES,
			 bytes / FRAMES_PAGE, bad)) {
		int err = errno;

		reserve(at, bytes);
		return err == ENOMEM || err == EAGAIN ? -ENOMEM : -EFAULT;
	}
	/* A dump of this process must not hold the guest's RAM, nor a child have it. */
	madvise(at, bytes, MADV_DONTDUMP);
	madvise(at, bytes, MADV_DONTFORK);
	for (uint64_t page = 0; page < bytes / FRAMES_PAGE; page++) {
		if (!bad[page])
			c->there[page / 8] |= (uint8_t)(1u << page % 8);
	}
	f->slot[f->nslots++] = (struct frames_slot){r, i};
	c->slot = f->nslots;
	return 0;
}

/*
 * Pages `first` to `last` of a chunk.  One that was not there is looked for
 * again, by mapping the whole chunk once more: what this request has touched
 * in it before stays where it is, and is not in use before all is touched.
 */
static int touch_chunk(struct frames_region *r, uint64_t i, uint64_t first, uint64_t last)
{
	struct chunk *c = &r->chunk[i];
	bool fits = c->slot && is_there(c, first, last);
	int err;

	if (!fits || (c->stale && !in_use(r->f, c))) {
		if (c->slot && is_held(r->f, c))
			return -EFAULT;
		err = map_chunk(r, i);
		if (err)
			return err;
	}
	if (!is_there(c, first, last))
		return -EFAULT;
	mark_used(r->f, c);
	return 0;
}

int frames_touch(struct frames_region *r, uint64_t offset, uint64_t length)
{
	uint64_t end = offset + length;

	while (offset < end) {
		uint64_t i = offset / FRAMES_CHUNK;
		uint64_t next = (i + 1) * FRAMES_CHUNK < end ? (i + 1) * FRAMES_CHUNK : end;
		int err = touch_chunk(r, i, offset % FRAMES_CHUNK / FRAMES_PAGE,
				      (next - 1) % FRAMES_CHUNK / FRAMES_PAGE);

		if (err)
			return err;
		offset = next;
	}
	return 0;
}

void frames_release(struct frames *f)
{
	f->epoch++;
}

void frames_keep(struct frames *f, struct frames_hold *hold)
{
	*hold = (struct frames_hold){.older = f->newest, .epoch = f->epoch, .linked = true};
	if (f->newest)
		f->newest->newer = hold;
	else
		f->oldest = hold;
	f->newest = hold;
}

void frames_let_go(struct frames *f, struct frames_hold *hold)
{
	if (!hold->linked)
		return;
	if (hold->older)
		hold->older->newer = hold->newer;
	else
		f->oldest = hold->newer;
	if (hold->newer)
		hold->newer->older = hold->older;
	else
		f->newest = hold->older;
	hold->linked = false;
}

/* Pages at `at`, all of them or an error. */
static int map_pages(const struct frames_region *r, uint64_t offset, uint64_t pages, uint8_t *at)
{
	int bad[VGPU_FOREIGN_PAGES_MAX] = {0};

	if (!r->f->ops->map(r->f->handle, at, (r->gpa + offset) / FRAMES_PAGE, pages, bad))
		return errno == ENOMEM || errno == EAGAIN ? -ENOMEM : -EFAULT;
	for (uint64_t i = 0; i < pages; i++) {
		if (bad[i])
			return -EFAULT;
	}
	return 0;
}

void *frames_map_again(struct frames_region *r, uint64_t offset, uint64_t length, void *at,
		       int *error)
{
	uint8_t *base = at ? at : reserve(NULL, length);
	const uint64_t most = VGPU_FOREIGN_PAGES_MAX * (uint64_t)FRAMES_PAGE;
	uint64_t done = 0;

	*error = base ? 0 : -ENOMEM;
	while (done < length && !*error) {
		uint64_t part = length - done < most ? length - done : most;

		*error = map_pages(r, offset + done, part / FRAMES_PAGE, base + done);
		done += part;
	}
	if (!*error) {
		madvise(base, length, MADV_DONTDUMP);
		madvise(base, length, MADV_DONTFORK);
		return base;
	}
	if (!at && base)
		munmap(base, length);
	return NULL;
}
