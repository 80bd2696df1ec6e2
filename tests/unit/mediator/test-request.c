/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Requests, rings and buffers as the worker reads them. */
#include <errno.h>
#include <glib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "buffers.h"
#include "queue.h"
#include "request.h"
#include "vgpu_ring.h"

#define PAGE 4096ull
#define RW (VGPU_BUFFER_READ | VGPU_BUFFER_WRITE)

union record {
	uint8_t bytes[VGPU_RECORD_MAX];
	struct vgpu_request h;
};

static void test_parse(void)
{
	union record rec = {.h = {.length = 32 + 48 + 5, .command = 3, .id = 77, .ndesc = 2}};
	struct request r;

	for (int i = 0; i < 53; i++)
		rec.bytes[32 + i] = i >= 4 && i < 8 ? 0 : (uint8_t)i;
	memset(rec.bytes + 32 + 24 + 4, 0, 4);
	g_assert_cmpint(request_parse(&rec, rec.h.length, &r), ==, 0);
	g_assert_cmpuint(r.id, ==, 77);
	g_assert_cmpuint(r.command, ==, 3);
	g_assert_cmpuint(r.ndesc, ==, 2);
	g_assert_cmpmem(r.body, r.body_length, rec.bytes + 80, 5);
	/* The id is there for the answer even if nothing else is right. */
	rec.h.flags = 1;
	g_assert_cmpint(request_parse(&rec, rec.h.length, &r), ==, -EINVAL);
	g_assert_cmpuint(r.id, ==, 77);
	g_assert_cmpuint(r.command, ==, 3);
}

static void test_parse_lengths(void)
{
	for (uint32_t length = 0; length <= VGPU_RECORD_MAX; length++) {
		for (uint16_t ndesc = 0; ndesc < 20; ndesc++) {
			union record rec = {.h = {.length = length, .ndesc = ndesc}};
			struct request r;
			int ok = length >= 32 && ndesc <= 16 && 32u + ndesc * 24u <= length;

			g_assert_cmpint(request_parse(&rec, length, &r), ==, ok ? 0 : -EINVAL);
			if (ok)
				g_assert_true(r.body + r.body_length == rec.bytes + length);
		}
	}
}

/* ------------------------------------------------------------------- ring */

struct rings {
	void *mem;
	struct vgpu_session_page *page;
	struct vgpu_ring guest;
	struct queue host;
};

static void make_rings(struct rings *r)
{
	const struct vgpu_msg_queue_start start = {.req_slots = 256, .rsp_slots = 256};

	r->mem = mmap(NULL, vgpu_ring_bytes(256, 256), PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	r->page = g_malloc0(PAGE);
	vgpu_ring_init(&r->guest, r->mem, 256, 256);
	queue_init(&r->host, r->mem, &start, eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), r->page);
}

static void free_rings(struct rings *r)
{
	close(r->host.call_fd);
	munmap(r->mem, vgpu_ring_bytes(256, 256));
	g_free(r->page);
}

/* Records of every length go through, around the end and past 2^32. */
static void test_ring(void)
{
	static uint8_t filler[VGPU_RECORD_MAX];
	struct rings r;
	union record in;

	make_rings(&r);
	/* Shortly before the indices wrap. */
	r.guest.req_prod = r.host.req_cons = r.guest.hdr->req_prod = r.guest.hdr->req_cons =
		0xfffffff0u;
	r.guest.rsp_cons = r.host.rsp_prod = r.guest.hdr->rsp_prod = r.guest.hdr->rsp_cons =
		0xffffffc0u;
	for (uint32_t n = 32; n <= VGPU_RECORD_MAX; n += 3) {
		const struct vgpu_request h = {.length = n, .id = n};
		const struct vgpu_piece piece[] = {{&h, sizeof(h)}, {filler, n - sizeof(h)}};
		struct vgpu_response rsp = {.length = n, .id = n};

		memset(filler, (int)n, sizeof(filler));
		g_assert_false(queue_has_request(&r.host));
		g_assert_cmpint(queue_take(&r.host, &in), ==, 0);
		g_assert_cmpint(vgpu_ring_push(&r.guest, piece, 2), ==, 0);
		g_assert_true(queue_has_request(&r.host));
		g_assert_cmpint(queue_take(&r.host, &in), ==, (int)n);
		g_assert_cmpuint(in.h.id, ==, n);
		g_assert_cmpmem(in.bytes + 32, n - 32, filler, n - 32);
		memcpy(in.bytes, &rsp, sizeof(rsp));
		g_assert_cmpint(queue_put(&r.host, &in, n), ==, 0);
		memset(&in, 0, sizeof(in));
		g_assert_cmpint(vgpu_ring_pop(&r.guest, &in), ==, (int)n);
		g_assert_cmpmem(in.bytes + 32, n - 32, filler, n - 32);
	}
	free_rings(&r);
}

static void test_ring_full(void)
{
	static const struct vgpu_response rsp[2] = {{.length = 64}};
	struct rings r;
	uint8_t buf[VGPU_RECORD_MAX];

	make_rings(&r);
	for (int i = 0; i < 256; i++)
		g_assert_cmpint(queue_put(&r.host, rsp, 64), ==, 0);
	g_assert_cmpint(queue_put(&r.host, rsp, 64), ==, -EAGAIN);
	g_assert_cmpint(vgpu_ring_pop(&r.guest, buf), ==, 64);
	g_assert_cmpint(queue_put(&r.host, rsp, 64), ==, 0);
	/* A guest that has read what was never written. */
	r.guest.hdr->rsp_cons = r.host.rsp_prod + 1;
	g_assert_cmpint(queue_put(&r.host, rsp, 64), ==, -EPROTO);
	free_rings(&r);
}

static void test_ring_broken(void)
{
	static const uint32_t lengths[] = {0, 1, 31, VGPU_RECORD_MAX + 1, 65536, UINT32_MAX, 65};
	uint8_t buf[VGPU_RECORD_MAX];
	struct rings r;

	make_rings(&r);
	r.guest.hdr->req_prod = 257;
	g_assert_cmpint(queue_take(&r.host, buf), ==, -EPROTO);
	r.guest.hdr->req_prod = UINT32_MAX;
	g_assert_cmpint(queue_take(&r.host, buf), ==, -EPROTO);
	r.guest.hdr->req_prod = 1;
	for (size_t i = 0; i < G_N_ELEMENTS(lengths); i++) {
		memcpy(r.guest.req, &lengths[i], 4);
		g_assert_cmpint(queue_take(&r.host, buf), ==, -EPROTO);
	}
	free_rings(&r);
}

static void test_calls(void)
{
	static const struct vgpu_response rsp[2] = {{.length = 64}};
	struct rings r;

	make_rings(&r);
	queue_call(&r.host);
	g_assert_cmpuint(r.page->calls, ==, 0); /* nothing to announce */
	queue_put(&r.host, rsp, 64);
	queue_put(&r.host, rsp, 64);
	queue_call(&r.host);
	g_assert_cmpuint(r.page->calls, ==, 1);
	vgpu_ring_set_polling(&r.guest, true);
	queue_put(&r.host, rsp, 64);
	queue_call(&r.host);
	g_assert_cmpuint(r.page->calls, ==, 1);
	queue_flags(&r.host, VGPU_HOST_POLLS, 0);
	g_assert_false(vgpu_ring_must_kick(&r.guest));
	queue_flags(&r.host, VGPU_HOST_FULL, VGPU_HOST_POLLS);
	g_assert_true(vgpu_ring_must_kick(&r.guest));
	g_assert_true(vgpu_ring_must_kick_full(&r.guest));
	queue_break(&r.host, -EPROTO);
	g_assert_cmpint((int32_t)r.guest.hdr->error, ==, -EPROTO);
	g_assert_cmpuint(r.page->calls, ==, 2);
	free_rings(&r);
}

/* ---------------------------------------------------------------- buffers */

#define GPA (16 * PAGE)
#define RAM_PAGES 64u

struct ram {
	struct memory m;
	uint8_t *base;
	struct vgpu_buffer_entry *table; /* page 0 */
	struct buffers b;
	int fd;
};

static void make_ram(struct ram *r)
{
	const struct vgpu_mem_region region = {.guest_addr = GPA, .size = RAM_PAGES * PAGE};
	unsigned int bad;

	memset(r, 0, sizeof(*r));
	r->fd = memfd_create("test", MFD_CLOEXEC);
	g_assert_cmpint(ftruncate(r->fd, RAM_PAGES * PAGE), ==, 0);
	g_assert_cmpint(memory_replace(&r->m, &region, &r->fd, 1, &bad), ==, 0);
	r->base = memory_at(&r->m, GPA, 1);
	r->table = (void *)r->base;
	g_assert_cmpint(buffers_init(&r->b, &r->m, r->table, 16), ==, 0);
}

static void free_ram(struct ram *r)
{
	buffers_free(&r->b);
	memory_clear(&r->m);
	close(r->fd);
}

/* Entry `i`: `n` segments of `length` bytes, every second page from page 8 on; list in page 1. */
static void make_entry(struct ram *r, uint32_t i, uint32_t n, uint64_t length, uint32_t generation)
{
	struct vgpu_segment_page *page = (void *)(r->base + PAGE);

	memset(page, 0, PAGE);
	page->count = n;
	for (uint32_t k = 0; k < n; k++)
		page->seg[k] = (struct vgpu_segment){GPA + (8 + 2 * k) * PAGE, length};
	r->table[i] = (struct vgpu_buffer_entry){.flags = RW,
						 .length = n * length,
						 .list = GPA + PAGE,
						 .nsegments = n,
						 .generation = generation};
}

static int get(struct ram *r, uint32_t i, uint64_t offset, uint64_t length, struct vgpu_operand *op)
{
	const struct vgpu_desc d = {i, 0, offset, length};

	return buffers_get(&r->b, &d, RW, 4, op);
}

static void test_buffer(void)
{
	struct vgpu_operand op;
	struct ram r;

	make_ram(&r);
	make_entry(&r, 3, 10, PAGE, 5);
	g_assert_cmpint(get(&r, 3, 0, 10 * PAGE, &op), ==, 0);
	g_assert_cmpuint(op.nruns, ==, 10);
	g_assert_cmpuint(op.length, ==, 10 * PAGE);
	g_assert_true(op.run[9].base == r.base + 26 * PAGE);
	g_assert_cmpuint(r.table[3].users, ==, 1);
	g_assert_cmpint(get(&r, 3, PAGE - 8, 16, &op), ==, 0);
	g_assert_cmpuint(op.nruns, ==, 2);
	g_assert_true(op.run[0].base == r.base + 9 * PAGE - 8 && op.run[0].length == 8);
	g_assert_true(op.run[1].base == r.base + 10 * PAGE && op.run[1].length == 8);
	g_assert_cmpint(get(&r, 3, 2, 16, &op), ==, -EINVAL); /* not aligned */
	g_assert_cmpint(get(&r, 3, 0, 10 * PAGE + 1, &op), ==, -ERANGE);
	g_assert_cmpint(get(&r, 3, 10 * PAGE, 0, &op), ==, -ERANGE);
	g_assert_cmpint(get(&r, 16, 0, 4, &op), ==, -ENOENT);
	g_assert_cmpint(get(&r, 4, 0, 4, &op), ==, -ENOENT);
	buffers_release(&r.b);
	g_assert_cmpuint(r.table[3].users, ==, 0);
	free_ram(&r);
}

/* Read once for a generation: changes without a new one are not seen, with one they are. */
static void test_buffer_cache(void)
{
	struct vgpu_operand op;
	struct ram r;

	make_ram(&r);
	make_entry(&r, 3, 2, PAGE, 5);
	g_assert_cmpint(get(&r, 3, 0, 2 * PAGE, &op), ==, 0);
	buffers_release(&r.b);
	r.table[3].list = 1;
	r.table[3].length = PAGE;
	g_assert_cmpint(get(&r, 3, 0, 2 * PAGE, &op), ==, 0);
	buffers_release(&r.b);
	r.table[3].generation = 6;
	g_assert_cmpint(get(&r, 3, 0, 2 * PAGE, &op), ==, -EFAULT);
	buffers_release(&r.b);
	g_assert_cmpuint(r.table[3].users, ==, 0);
	make_entry(&r, 3, 1, PAGE, 7);
	g_assert_cmpint(get(&r, 3, 0, 2 * PAGE, &op), ==, -ERANGE);
	buffers_release(&r.b);
	g_assert_cmpuint(r.b.cached_runs, ==, 1);
	/* Mappings moved: everything is looked up anew. */
	buffers_forget(&r.b, r.table);
	g_assert_cmpuint(r.b.cached_runs, ==, 0);
	g_assert_cmpint(get(&r, 3, 0, PAGE, &op), ==, 0);
	free_ram(&r);
}

/* Replaced between two operands of one request: the second is refused, the first stays. */
static void test_buffer_replaced(void)
{
	struct vgpu_operand first, second;
	struct ram r;

	make_ram(&r);
	make_entry(&r, 3, 2, PAGE, 5);
	g_assert_cmpint(get(&r, 3, 0, 2 * PAGE, &first), ==, 0);
	make_entry(&r, 3, 1, PAGE, 6);
	g_assert_cmpint(get(&r, 3, 0, PAGE, &second), ==, -ENOENT);
	g_assert_cmpuint(first.nruns, ==, 2);
	g_assert_true(first.run[1].base == r.base + 10 * PAGE);
	buffers_release(&r.b);
	g_assert_cmpint(get(&r, 3, 0, PAGE, &second), ==, 0);
	free_ram(&r);
}

static void test_buffer_access(void)
{
	const struct vgpu_desc d = {3, 0, 0, 16};
	struct vgpu_operand op;
	struct ram r;

	make_ram(&r);
	make_entry(&r, 3, 1, 16, 5);
	r.table[3].flags = VGPU_BUFFER_READ;
	g_assert_cmpint(buffers_get(&r.b, &d, VGPU_BUFFER_READ, 1, &op), ==, 0);
	g_assert_cmpint(buffers_get(&r.b, &d, VGPU_BUFFER_WRITE, 1, &op), ==, -EACCES);
	g_assert_cmpint(buffers_get(&r.b, &d, RW, 1, &op), ==, -EACCES);
	free_ram(&r);
}

/* As many operands as a request can have, and one more. */
static void test_buffer_many(void)
{
	struct vgpu_operand op;
	struct ram r;

	make_ram(&r);
	make_entry(&r, 3, 10, PAGE, 5);
	for (uint64_t i = 0; i < VGPU_DESCS_MAX; i++)
		g_assert_cmpint(get(&r, 3, i * 4, 8, &op), ==, 0);
	g_assert_cmpint(get(&r, 3, 0, 8, &op), ==, -ENOENT);
	buffers_release(&r.b);
	g_assert_cmpint(get(&r, 3, 0, 8, &op), ==, 0);
	free_ram(&r);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/request/parse", test_parse);
	g_test_add_func("/request/lengths", test_parse_lengths);
	g_test_add_func("/ring/every-length", test_ring);
	g_test_add_func("/ring/full", test_ring_full);
	g_test_add_func("/ring/broken", test_ring_broken);
	g_test_add_func("/ring/calls", test_calls);
	g_test_add_func("/buffers/one", test_buffer);
	g_test_add_func("/buffers/cache", test_buffer_cache);
	g_test_add_func("/buffers/replaced", test_buffer_replaced);
	g_test_add_func("/buffers/access", test_buffer_access);
	g_test_add_func("/buffers/many", test_buffer_many);
	return g_test_run();
}
