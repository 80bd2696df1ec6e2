// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * hostile: descriptors, buffer tables and segment lists, also while they change.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "hostile.h"

#define ELEMENTS 64u
#define BYTES (ELEMENTS * (uint32_t)sizeof(float))
#define RW (VGPU_BUFFER_READ | VGPU_BUFFER_WRITE)

static const struct vgpu_request add_request = {.command = VGPU_CMD_VECTOR_ADD, .ndesc = 3};
static const struct vgpu_vector_add add_body = {.elements = ELEMENTS};

/* Three good buffers and descriptors for one addition. */
static void good_add(struct raw *r, struct vgpu_desc desc[3])
{
	for (uint32_t i = 0; i < 3; i++) {
		raw_buffer(r, i, i * 0x10000, BYTES, RW);
		desc[i] = (struct vgpu_desc){.buffer = i, .length = BYTES};
	}
}

static void refused_add(struct raw *r, const char *what, const struct vgpu_desc desc[3], int want)
{
	raw_refused(r, what, &add_request, desc, &add_body, sizeof(add_body), want);
}

static void accepted_add(struct raw *r, const char *what)
{
	struct vgpu_desc desc[3];
	bool good;
	int status = -1;

	good_add(r, desc);
	for (uint32_t i = 0; i < ELEMENTS; i++) {
		r->data[i] = (float)i;
		r->data[0x4000 + i] = 1000.0f;
	}
	raw_send(r, &add_request, desc, &add_body, sizeof(add_body));
	good = raw_receive(r, &status) == 0 && status == 0;
	for (uint32_t i = 0; i < ELEMENTS; i++)
		good &= r->data[0x8000 + i] == 1000.0f + (float)i;
	check(good, "%s: status %d", what, status);
}

static void bad_descriptors(struct raw *r)
{
	struct vgpu_desc d[3];

#define BAD(what, want, ...)                                             \
	do {                                                             \
		good_add(r, d);                                          \
		__VA_ARGS__;                                             \
		refused_add(r, "buffers: descriptor: " what, d, (want)); \
	} while (0)
	BAD("no such buffer", -ENOENT, d[0].buffer = RAW_BUFFERS);
	BAD("buffer 2^32-1", -ENOENT, d[1].buffer = 0xffffffff);
	BAD("a free entry", -ENOENT, d[2].buffer = 9);
	BAD("reserved", -EINVAL, d[0].reserved = 1);
	BAD("offset beyond the end", -ERANGE, d[0].offset = BYTES + 4);
	BAD("length beyond the end", -ERANGE, d[1].offset = 4);
	BAD("a sum that wraps", -ERANGE, d[2].offset = 0xfffffffffffffffcu);
	BAD("a length of 2^63", 0, d[2].length = 1ull << 63);
	BAD("a length of 0", 0, d[0].length = 0);
	BAD("too short", -EINVAL, d[0].length = BYTES - 4);
	BAD("not aligned", 0, raw_buffer(r, 0, 1, BYTES, RW));
	BAD("not readable", -EACCES, raw_buffer(r, 0, 0, BYTES, VGPU_BUFFER_WRITE));
	BAD("not writable", -EACCES, raw_buffer(r, 2, 0x20000, BYTES, VGPU_BUFFER_READ));
#undef BAD
}

static void bad_entries(struct raw *r)
{
	struct vgpu_desc d[3];

#define BAD(what, want, ...)                                                               \
	do {                                                                               \
		good_add(r, d);                                                            \
		__VA_ARGS__;                                                               \
		refused_add(r, "buffers: entry: " what, d, (want));                        \
		memset(r->table, 0, RAW_BUFFERS * sizeof(*r->table));                      \
		r->table[0].generation = r->table[1].generation = r->table[2].generation = \
			(uint32_t)rnd() | 1;                                               \
	} while (0)
	BAD("no access at all", 0, r->table[0].flags = 0);
	BAD("unknown flags", 0, r->table[0].flags = 0xffffffff);
	BAD("reserved0", 0, r->table[0].reserved0 = 1);
	BAD("length 0", 0, r->table[0].length = 0);
	BAD("length 2^63", 0, r->table[0].length = 1ull << 63);
	BAD("longer than its segments", 0, r->table[0].length = BYTES + 4096);
	BAD("no segments", 0, r->table[1].nsegments = 0);
	BAD("2^32-1 segments", 0, r->table[1].nsegments = 0xffffffff);
	BAD("one segment too many", 0, r->table[1].nsegments = 2);
	BAD("a list that is not aligned", 0, r->table[2].list += 8);
	BAD("a list outside RAM", 0, r->table[2].list = 1ull << 45);
	BAD("a list in a device", 0, r->table[2].list = 0xfee00000);
	BAD("a list at 0xfffffffffffff000", 0, r->table[2].list = 0xfffffffffffff000u);
#undef BAD
}

static void bad_segments(struct raw *r)
{
	struct vgpu_desc d[3];

#define BAD(what, want, ...)                                          \
	do {                                                          \
		good_add(r, d);                                       \
		__VA_ARGS__;                                          \
		refused_add(r, "buffers: segment: " what, d, (want)); \
	} while (0)
	BAD("outside RAM", -EFAULT, r->list[0].seg[0].addr = 1ull << 45);
	BAD("in a device", -EFAULT, r->list[0].seg[0].addr = 0xfee00000);
	BAD("at the very end", -EFAULT, r->list[1].seg[0].addr = 0xfffffffffffffffcu);
	BAD("that wraps", 0, r->list[1].seg[0].length = 0xffffffffffffffffu);
	BAD("of no bytes", 0, r->list[2].seg[0].length = 0);
	BAD("count 0", 0, r->list[2].count = 0);
	BAD("count 256", 0, r->list[2].count = 256);
	BAD("count 2^32-1", 0, r->list[2].count = 0xffffffff);
	BAD("reserved", 0, r->list[0].reserved = 1);
#undef BAD
}

/* A page that follows itself, full of one-word segments, as long as allowed. */
static void chain_loop(struct raw *r)
{
	struct vgpu_segment_page *page = &r->list[0];
	struct vgpu_desc d[3];

	good_add(r, d);
	page->count = VGPU_SEGMENTS_PER_PAGE;
	page->next = r->table[0].list;
	for (uint32_t i = 0; i < VGPU_SEGMENTS_PER_PAGE; i++)
		page->seg[i] = (struct vgpu_segment){r->phys + ARENA_DATA, 4};
	r->table[0].nsegments = VGPU_SEGMENTS_MAX;
	r->table[0].length = VGPU_SEGMENTS_MAX * 4;
	refused_add(r, "buffers: a chain that loops", d, 0);
	good_add(r, d);
	r->list[0].next = 1ull << 45;
	page->count = VGPU_SEGMENTS_PER_PAGE;
	for (uint32_t i = 0; i < VGPU_SEGMENTS_PER_PAGE; i++)
		page->seg[i] = (struct vgpu_segment){r->phys + ARENA_DATA, 4};
	r->table[0].nsegments = VGPU_SEGMENTS_PER_PAGE + 1;
	r->table[0].length = BYTES;
	refused_add(r, "buffers: a chain that leaves RAM", d, 0);
}

/* Overlap is the guest's own affair: any answer will do, the queue lives on. */
static void overlapping(struct raw *r)
{
	struct vgpu_desc d[3];
	int status = 0;

	good_add(r, d);
	raw_buffer(r, 2, 4, BYTES, RW);
	raw_send(r, &add_request, d, &add_body, sizeof(add_body));
	check(raw_receive(r, &status) == 0 && raw_nop(r), "buffers: operands that overlap: %d",
	      status);
	good_add(r, d);
	r->list[2].seg[0].addr = r->phys + ARENA_QUEUE; /* the queue itself as output */
	raw_send(r, &add_request, d, &add_body, sizeof(add_body));
	status = raw_receive(r, &status);
	check(raw_stop(r, 0), "buffers: the result written over the queue");
	raw_fresh(r);
}

void attack_buffers(void)
{
	struct raw r;

	raw_open(&r);
	raw_fresh(&r);
	accepted_add(&r, "buffers: a good addition first");
	bad_descriptors(&r);
	bad_entries(&r);
	bad_segments(&r);
	chain_loop(&r);
	overlapping(&r);
	accepted_add(&r, "buffers: a good addition last");
	raw_close(&r, "buffers");
}

/* --------------------------------------------------------------------- flips */

struct flipper {
	struct raw *r;
	bool stop;
};

static void flip_one(struct raw *r, uint32_t i, uint32_t what, bool bad)
{
	volatile struct vgpu_segment_page *list = &r->list[i];
	volatile struct vgpu_buffer_entry *entry = &r->table[i];

	switch (what) {
	case 0:
		list->seg[0].addr = bad ? 1ull << 45 : r->phys + ARENA_DATA + i * 0x10000;
		break;
	case 1:
		list->seg[0].length = bad ? 0xffffffffffffff00u : BYTES;
		break;
	case 2:
		list->count = bad ? 0xffff : 1;
		break;
	case 3:
		list->next = bad ? entry->list : 0;
		break;
	case 4:
		entry->length = bad ? 1ull << 40 : BYTES;
		break;
	case 5:
		entry->nsegments = bad ? 0x40000 : 1;
		break;
	case 6:
		entry->list = bad ? 1ull << 45 : r->phys + ARENA_LISTS + i * VGPU_PAGE;
		break;
	default:
		entry->generation++;
		break;
	}
}

/* Swaps good and bad values as fast as it can, in all that the host reads. */
static void *flip(void *arg)
{
	struct flipper *f = arg;
	struct raw *r = f->r;
	uint64_t x = 88172645463325252u;

	while (!__atomic_load_n(&f->stop, __ATOMIC_RELAXED)) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		flip_one(r, x % 3, x >> 8 & 7, true);
		for (volatile uint32_t i = 0; i < (x >> 16 & 255); i++)
			;
		flip_one(r, x % 3, x >> 8 & 7, false);
	}
	return NULL;
}

/* Changes requests that are already published; only bytes the framing lets alone. */
static void *flip_requests(void *arg)
{
	struct flipper *f = arg;
	uint64_t x = 88172645463325252u;

	while (!__atomic_load_n(&f->stop, __ATOMIC_RELAXED)) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		f->r->ring.req[x % RAW_SLOTS * VGPU_SLOT + 4 + (x >> 32) % 60] = (uint8_t)(x >> 24);
	}
	return NULL;
}

static void under_flips(struct raw *r, void *(*flipping)(void *), const char *what)
{
	struct flipper f = {.r = r};
	struct vgpu_desc d[3];
	unsigned int answered = 0, refused = 0, lost = 0;
	time_t end = time(NULL) + 4;
	pthread_t thread;

	raw_fresh(r);
	good_add(r, d);
	errno = EAGAIN;
	if (pthread_create(&thread, NULL, flipping, &f))
		give_up("a thread");
	while (time(NULL) < end && lost < 20) {
		int status = 0, ret;

		raw_send(r, &add_request, d, &add_body, sizeof(add_body));
		ret = raw_receive(r, &status);
		if (ret == -ETIMEDOUT)
			break;
		answered += ret == 0;
		refused += ret == 0 && status < 0;
		if (ret == -EPIPE) {
			lost++;
			raw_fresh(r);
			good_add(r, d);
		}
	}
	check(time(NULL) >= end || lost == 20,
	      "flips: %s: %u answered, %u of them refused, %u lost", what, answered, refused, lost);
	__atomic_store_n(&f.stop, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	check(raw_stop(r, 0), "flips: %s: can be stopped", what);
}

void attack_flips(void)
{
	struct raw r;

	raw_open(&r);
	under_flips(&r, flip, "tables and lists");
	under_flips(&r, flip_requests, "requests");
	raw_close(&r, "flips");
}
