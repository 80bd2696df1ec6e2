/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * BANDWIDTH: the right words arrive, and the buffer ends as it began.
 */
#include <string.h>

#include "ram.h"
#include "tests.h"

#define RAM_SIZE ((size_t)200 << 20)

struct fixture {
	struct vgpu_backend *be;
	struct ram *ram;
};

static void set_up(struct fixture *f, gconstpointer data G_GNUC_UNUSED)
{
	f->be = subject_open();
	f->ram = ram_new(f->be, RAM_SIZE);
}

static void tear_down(struct fixture *f, gconstpointer data G_GNUC_UNUSED)
{
	ram_free(f->ram);
	subject.ops->close(f->be);
}

static uint32_t checksum(const uint8_t *at, uint64_t length)
{
	uint32_t sum = 0, word;

	for (uint64_t i = 0; i < length; i += sizeof(word)) {
		memcpy(&word, at + i, sizeof(word));
		sum += word;
	}
	return sum;
}

static void there_and_back(struct fixture *f, enum shape shape, uint64_t length,
			   uint32_t repetitions)
{
	char *what = g_strdup_printf("%" G_GUINT64_FORMAT " bytes, %s, %u times", (guint64)length,
				     shape_name[shape], repetitions);
	uint8_t *data = g_malloc(length + 1);
	struct vgpu_bandwidth_result result = {0};
	struct vgpu_work work = {0};
	struct vgpu_operand *op;

	ram_reset(f->ram);
	op = operand_new(f->ram, shape, length);
	fill_random(data, length, (uint32_t)length + repetitions);
	operand_store(f->ram, op, data);
	assert_ok(subject.ops->bandwidth(f->be, op, repetitions, &result, &work));
	ram_check(f->ram, what);
	g_assert_cmphex(result.checksum, ==, checksum(data, length));
	g_assert_cmpuint(result.bytes, ==, length * repetitions);
	if (length >= 1u << 20) {
		g_assert_cmpuint(result.to_device_ns, >, 0);
		g_assert_cmpuint(result.from_device_ns, >, 0);
		g_assert_cmpuint(work.nanoseconds, >=, result.to_device_ns + result.from_device_ns);
	}
	if (subject.ops->id == VGPU_BACKEND_CUDA) {
		g_assert_cmpuint(result.host_copied, ==, 0);
		g_assert_cmpuint(work.host_copied, ==, 0);
	}
	operand_free(op);
	g_free(data);
	g_free(what);
}

static void test_sizes(struct fixture *f, gconstpointer data)
{
	static const uint64_t length[] = {0,    4,     8,        4092,           4096,
					  4100, 65536, 1u << 20, (1u << 20) + 4, 5000000};
	enum shape shape = (enum shape)GPOINTER_TO_INT(data);

	for (size_t i = 0; i < G_N_ELEMENTS(length); i++) {
		there_and_back(f, shape, length[i], 1);
		there_and_back(f, shape, length[i], 3);
	}
}

static void test_large(struct fixture *f, gconstpointer data G_GNUC_UNUSED)
{
	there_and_back(f, SHAPE_CONTIGUOUS, (uint64_t)64 << 20, 2);
	there_and_back(f, SHAPE_PAGES, (uint64_t)64 << 20, 2);
	there_and_back(f, SHAPE_TINY, 100000, 100);
}

/* Whole words, but not at a word's address. */
static void test_unaligned(struct fixture *f, gconstpointer data G_GNUC_UNUSED)
{
	static const uint64_t length[] = {4, 8, 64, 4092, 4096, 4100, 70004, 300008};

	for (size_t i = 0; i < G_N_ELEMENTS(length); i++) {
		for (unsigned int start = 0; start < 4; start++) {
			struct vgpu_operand *all, *op;
			struct vgpu_bandwidth_result result = {0};
			struct vgpu_work work = {0};
			uint8_t *bytes = g_malloc(length[i] + 16);

			ram_reset(f->ram);
			all = operand_new(f->ram, SHAPE_CONTIGUOUS, length[i] + 16);
			fill_random(bytes, length[i] + 16, 77);
			operand_store(f->ram, all, bytes);
			op = operand_around(all->run[0].base + start, length[i]);
			assert_ok(subject.ops->bandwidth(f->be, op, 2, &result, &work));
			ram_check(f->ram, "unaligned bytes");
			g_assert_cmphex(result.checksum, ==, checksum(bytes + start, length[i]));
			operand_free(all);
			operand_free(op);
			g_free(bytes);
		}
	}
}

/* Scattered runs of any length and alignment; only all together are whole words. */
static void test_scattered_bytes(struct fixture *f, gconstpointer data G_GNUC_UNUSED)
{
	enum { RUNS = 500 };
	struct vgpu_run run[RUNS];
	struct vgpu_operand op = {run, RUNS, 0};
	struct vgpu_bandwidth_result result = {0};
	struct vgpu_operand *all = operand_new(f->ram, SHAPE_CONTIGUOUS, RUNS * 8192);
	uint8_t *noise = g_malloc(RUNS * 8192), *bytes;
	struct vgpu_work work = {0};

	fill_random(noise, RUNS * 8192, 5);
	operand_store(f->ram, all, noise);
	for (int i = 0; i < RUNS; i++) {
		run[i].base = all->run[0].base + i * 8192 + g_test_rand_int_range(0, 64);
		run[i].length = (uint64_t)g_test_rand_int_range(8, 8000);
		if (i == RUNS - 1)
			run[i].length -= (op.length + run[i].length) % sizeof(uint32_t);
		op.length += run[i].length;
	}
	bytes = g_malloc(op.length);
	operand_load(&op, bytes);
	assert_ok(subject.ops->bandwidth(f->be, &op, 2, &result, &work));
	ram_check(f->ram, "scattered bytes");
	g_assert_cmphex(result.checksum, ==, checksum(bytes, op.length));
	operand_free(all);
	g_free(noise);
	g_free(bytes);
}

static void test_unmapped(struct fixture *f, gconstpointer data G_GNUC_UNUSED)
{
	const uint64_t length = 5000004;
	uint8_t *bytes = g_malloc(length), *copy = g_malloc(length);
	struct vgpu_operand *op = operand_around(bytes, length);
	struct vgpu_bandwidth_result result = {0};
	struct vgpu_work work = {0};

	fill_random(bytes, length, 1234);
	memcpy(copy, bytes, length);
	assert_ok(subject.ops->bandwidth(f->be, op, 4, &result, &work));
	g_assert_cmpmem(bytes, length, copy, length);
	g_assert_cmphex(result.checksum, ==, checksum(copy, length));
	if (subject.ops->id == VGPU_BACKEND_CUDA) {
		g_assert_cmpuint(result.host_copied, ==, 2 * 4 * length);
		g_assert_cmpuint(work.host_copied, ==, 2 * 4 * length);
	}
	operand_free(op);
	g_free(bytes);
	g_free(copy);
}

void add_bandwidth_tests(void)
{
	for (int shape = 0; shape < SHAPES; shape++) {
		char *path = g_strdup_printf("/bandwidth/sizes/%s", shape_name[shape]);

		g_test_add(path, struct fixture, GINT_TO_POINTER(shape), set_up, test_sizes,
			   tear_down);
		g_free(path);
	}
	g_test_add("/bandwidth/large", struct fixture, NULL, set_up, test_large, tear_down);
	g_test_add("/bandwidth/unaligned", struct fixture, NULL, set_up, test_unaligned, tear_down);
	g_test_add("/bandwidth/scattered-bytes", struct fixture, NULL, set_up, test_scattered_bytes,
		   tear_down);
	g_test_add("/bandwidth/unmapped", struct fixture, NULL, set_up, test_unmapped, tear_down);
}
