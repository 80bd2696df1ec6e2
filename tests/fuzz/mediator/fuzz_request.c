/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Fuzzes what a worker reads of its guest: the rings, the request records, the
 * buffer table and the chains of segment pages.
 *
 * Input: guest RAM from its beginning.  It holds the queue at page 0, the
 * buffer table at page 6, and whatever the input puts anywhere else.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "buffers.h"
#include "queue.h"
#include "request.h"

#define PAGES 32u
#define RAM (PAGES * 4096u)
#define GPA 0x10000u
#define TABLE_PAGE 6u
#define BUFFERS 16u

#define CHECK(what)              \
	do {                     \
		if (!(what))     \
			abort(); \
	} while (0)

static struct memory mem;
static uint8_t *ram;
static struct vgpu_session_page page;

/* Two regions that meet in the midst, mapped apart from each other. */
static void make_ram(void)
{
	const struct vgpu_mem_region r[2] = {
		{.guest_addr = GPA, .size = RAM / 2},
		{.guest_addr = GPA + RAM / 2, .size = RAM / 2, .mmap_offset = RAM / 2}};
	int fd = memfd_create("fuzz", MFD_CLOEXEC);
	int fds[2] = {fd, fd};
	unsigned int bad;

	CHECK(fd >= 0 && ftruncate(fd, RAM) == 0);
	CHECK(memory_replace(&mem, r, fds, 2, &bad) == 0);
	ram = mmap(NULL, RAM, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CHECK(ram != MAP_FAILED);
	close(fd);
}

static bool is_mapped(const uint8_t *base, uint64_t length)
{
	for (unsigned int i = 0; i < mem.n; i++) {
		const struct mem_map *m = &mem.map[i];

		if (base >= m->base && base < m->base + m->size)
			return length <= m->size - (uint64_t)(base - m->base);
	}
	return false;
}

/* Every run lies in one mapping, is aligned, and together they are what was asked for. */
static void check_operand(const struct vgpu_operand *op, uint64_t length)
{
	uint64_t sum = 0;

	CHECK(op->nruns && op->length == length);
	for (uint32_t i = 0; i < op->nruns; i++) {
		CHECK(op->run[i].length && is_mapped(op->run[i].base, op->run[i].length));
		CHECK((uintptr_t)op->run[i].base % 4 == 0 && op->run[i].length % 4 == 0);
		sum += op->run[i].length;
	}
	CHECK(sum == length);
}

static void resolve(struct buffers *b, const struct request *r)
{
	struct vgpu_operand op[VGPU_DESCS_MAX];
	unsigned int n = 0;

	for (; n < r->ndesc; n++) {
		if (buffers_get(b, &r->desc[n], VGPU_BUFFER_READ, 4, &op[n]) < 0)
			break;
	}
	/* All together: a later one must not have freed what an earlier one points to. */
	for (unsigned int i = 0; i < n; i++)
		check_operand(&op[i], r->desc[i].length);
	buffers_release(b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct vgpu_msg_queue_start start = {.req_slots = 128, .rsp_slots = 128};
	static uint64_t record[VGPU_RECORD_MAX / 8];
	struct buffers b;
	struct queue q;
	int length;

	if (!ram)
		make_ram();
	if (size > RAM)
		size = RAM;
	memcpy(ram, data, size);
	memset(ram + size, 0, RAM - size);
	queue_init(&q, memory_at(&mem, GPA, 5 * 4096), &start, -1, &page);
	CHECK(buffers_init(&b, &mem, memory_at(&mem, GPA + TABLE_PAGE * 4096, BUFFERS * 64),
			   BUFFERS) == 0);
	while ((length = queue_take(&q, record)) > 0) {
		struct request r;
		struct vgpu_response rsp = {.length = sizeof(rsp)};

		CHECK(length >= 32 && length <= (int)VGPU_RECORD_MAX);
		if (request_parse(record, (size_t)length, &r) == 0) {
			CHECK(r.ndesc <= VGPU_DESCS_MAX);
			CHECK(r.body + r.body_length == (uint8_t *)record + length);
			resolve(&b, &r);
		}
		if (queue_put(&q, &rsp, sizeof(rsp)) < 0)
			break;
		queue_call(&q);
	}
	buffers_free(&b);
	return 0;
}
