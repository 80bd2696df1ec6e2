/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The buffer table: hand-shake with the guest's kernel, cache, resolving. */
#include "buffers.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Longer lists of operands are given back after the request. */
#define OPERAND_RUNS_KEPT 16384u

int buffers_init(struct buffers *b, const struct memory *mem, struct vgpu_buffer_entry *table,
		 uint32_t n)
{
	*b = (struct buffers){.mem = mem, .table = table, .n = n};
	if (!n)
		return 0;
	b->cache = calloc(n, sizeof(b->cache[0]));
	b->kept = calloc(n, sizeof(b->kept[0]));
	return b->cache && b->kept ? 0 : -ENOMEM;
}

static void drop(struct buffers *b, struct buffer *buf)
{
	b->cached_runs -= buf->runs.n;
	runs_free(&buf->runs);
	buf->generation = 0;
}

void buffers_forget(struct buffers *b, struct vgpu_buffer_entry *table)
{
	for (uint32_t i = 0; i < b->n; i++)
		drop(b, &b->cache[i]);
	b->table = table;
}

void buffers_free(struct buffers *b)
{
	buffers_release(b);
	buffers_forget(b, NULL);
	for (unsigned int i = 0; i < VGPU_DESCS_MAX; i++)
		runs_free(&b->operand[i]);
	free(b->cache);
	free(b->kept);
	b->cache = NULL;
	b->kept = NULL;
	b->n = 0;
}

static bool is_held(const struct buffers *b, uint32_t index)
{
	for (unsigned int i = 0; i < b->nheld; i++) {
		if (b->held[i] == index)
			return true;
	}
	return false;
}

/* Makes room in the cache: everything goes but what this request uses. */
static void shrink(struct buffers *b)
{
	if (b->cached_runs <= BUFFERS_CACHED_RUNS)
		return;
	for (uint32_t i = 0; i < b->n; i++) {
		if (b->cache[i].generation && !is_held(b, i))
			drop(b, &b->cache[i]);
	}
}

/* Adds the segments of one page, already private, to the runs. */
static int add_page(const struct buffers *b, const struct vgpu_segment_page *page, uint32_t left,
		    struct runs *runs)
{
	if (page->reserved || !page->count || page->count > VGPU_SEGMENTS_PER_PAGE ||
	    page->count > left)
		return -EINVAL;
	if (page->count < left && page->count != VGPU_SEGMENTS_PER_PAGE)
		return -EINVAL;
	for (uint32_t i = 0; i < page->count; i++) {
		int err = memory_runs(b->mem, page->seg[i].addr, page->seg[i].length, runs);

		if (err)
			return err;
	}
	return 0;
}

/* Walks the chain of segment pages; bounded by the number of segments. */
static int read_segments(const struct buffers *b, const struct vgpu_buffer_entry *e,
			 struct runs *runs)
{
	struct vgpu_segment_page page;
	uint64_t at = e->list;
	uint32_t left = e->nsegments;

	if (!left || left > VGPU_SEGMENTS_MAX)
		return -EINVAL;
	while (left) {
		const void *src = at % VGPU_PAGE ? NULL : memory_at(b->mem, at, sizeof(page));
		int err;

		if (!src)
			return -EFAULT;
		memcpy(&page, src, sizeof(page));
		err = add_page(b, &page, left, runs);
		if (err)
			return err;
		left -= page.count;
		at = page.next;
	}
	return at ? -EINVAL : 0;
}

static bool entry_is_sane(const struct vgpu_buffer_entry *e)
{
	static const uint8_t zero[sizeof(e->pad0)];

	return e->length && e->length <= VGPU_BUFFER_BYTES_MAX && !e->reserved0 && !e->reserved1 &&
	       !memcmp(e->pad0, zero, sizeof(zero)) &&
	       !(e->flags & ~(VGPU_BUFFER_READ | VGPU_BUFFER_WRITE));
}

/* Reads the entry and its list, once, into the cache. */
static int load(struct buffers *b, uint32_t index, uint32_t generation)
{
	struct buffer *buf = &b->cache[index];
	struct vgpu_buffer_entry e;
	int err;

	drop(b, buf);
	memcpy(&e, &b->table[index], sizeof(e));
	if (!entry_is_sane(&e))
		return -EINVAL;
	err = read_segments(b, &e, &buf->runs);
	if (!err && runs_length(&buf->runs) != e.length)
		err = -EINVAL;
	if (err) {
		runs_free(&buf->runs);
		return err;
	}
	buf->length = e.length;
	buf->flags = e.flags;
	buf->generation = generation;
	b->cached_runs += buf->runs.n;
	return 0;
}

/*
 * Marks the entry as used and checks that it is still the one it was: either
 * the guest sees `users` and waits, or we see its generation gone.
 */
static int hold(struct buffers *b, uint32_t index, uint32_t *generation)
{
	struct vgpu_buffer_entry *e = &b->table[index];
	uint32_t before = __atomic_load_n(&e->generation, __ATOMIC_ACQUIRE);

	if (!before)
		return -ENOENT;
	*generation = before;
	if (is_held(b, index)) /* an operand of this request may point into the cache */
		return b->cache[index].generation == before ? 0 : -ENOENT;
	__atomic_store_n(&e->users, 1, __ATOMIC_SEQ_CST);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (__atomic_load_n(&e->generation, __ATOMIC_ACQUIRE) != before) {
		if (!b->kept[index])
			__atomic_store_n(&e->users, 0, __ATOMIC_RELEASE);
		return -ENOENT;
	}
	b->held[b->nheld++] = index;
	return 0;
}

static int check_alignment(const struct runs *r, uint32_t align)
{
	if (align == 1)
		return 0;
	for (uint32_t i = 0; i < r->n; i++) {
		if ((uintptr_t)r->run[i].base % align || r->run[i].length % align)
			return -EINVAL;
	}
	return 0;
}

/* The operand: the cached list itself, or the part of it that is meant. */
static int cut(struct buffers *b, const struct buffer *buf, const struct vgpu_desc *desc,
	       uint32_t align, struct vgpu_operand *op)
{
	const struct runs *runs = &buf->runs;
	int err;

	if (desc->length != buf->length) {
		struct runs *own = &b->operand[b->noperands++];

		own->n = 0;
		err = runs_slice(own, runs, desc->offset, desc->length);
		if (err)
			return err;
		runs = own;
	}
	*op = (struct vgpu_operand){.run = runs->run, .nruns = runs->n, .length = desc->length};
	err = check_alignment(runs, align);
	return err ? err : memory_touch(b->mem, runs);
}

int buffers_get(struct buffers *b, const struct vgpu_desc *desc, uint32_t access, uint32_t align,
		struct vgpu_operand *op)
{
	struct buffer *buf;
	uint32_t generation;
	int err;

	if (desc->buffer >= b->n || b->nheld >= VGPU_DESCS_MAX || b->noperands >= VGPU_DESCS_MAX)
		return -ENOENT;
	buf = &b->cache[desc->buffer];
	err = hold(b, desc->buffer, &generation);
	if (err)
		return err;
	if (buf->generation != generation) {
		shrink(b);
		err = load(b, desc->buffer, generation);
		if (err)
			return err;
	}
	if (!desc->length || desc->offset > buf->length ||
	    desc->length > buf->length - desc->offset)
		return -ERANGE;
	if ((buf->flags & access) != access)
		return -EACCES;
	return cut(b, buf, desc, align, op);
}

void buffers_release(struct buffers *b)
{
	for (unsigned int i = 0; i < b->nheld; i++) {
		if (!b->kept[b->held[i]])
			__atomic_store_n(&b->table[b->held[i]].users, 0, __ATOMIC_RELEASE);
	}
	for (unsigned int i = 0; i < b->noperands; i++) {
		if (b->operand[i].room > OPERAND_RUNS_KEPT)
			runs_free(&b->operand[i]);
	}
	b->nheld = 0;
	b->noperands = 0;
	if (b->mem)
		memory_release(b->mem);
}

void buffers_keep(struct buffers *b, struct buffers_hold *hold, bool mapped)
{
	if (mapped)
		memory_keep(b->mem, &hold->mapped);
	hold->n = b->nheld;
	for (uint32_t i = 0; i < b->nheld; i++) {
		hold->index[i] = b->held[i];
		b->kept[b->held[i]]++;
	}
}

void buffers_let_go(struct buffers *b, struct buffers_hold *hold)
{
	for (uint32_t i = 0; i < hold->n; i++) {
		uint32_t index = hold->index[i];

		if (--b->kept[index] == 0 && !is_held(b, index))
			__atomic_store_n(&b->table[index].users, 0, __ATOMIC_RELEASE);
	}
	hold->n = 0;
	memory_let_go(b->mem, &hold->mapped);
}
