/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Regions that come and go: RAM that is plugged in, taken away, put elsewhere.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "ram.h"
#include "tests.h"

#define SIZE ((size_t)8 << 20)

/* Maps a fresh memfd at `at`. */
static void put_memory(uint8_t *at, size_t size)
{
	int fd = memfd_create("conformance-region", MFD_CLOEXEC);

	if (fd < 0 || ftruncate(fd, (off_t)size) < 0 ||
	    mmap(at, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) != at)
		g_error("mapping a region: %s", g_strerror(errno));
	close(fd);
}

static uint8_t *reserve(size_t size)
{
	uint8_t *at =
		mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (at == MAP_FAILED)
		g_error("reserving addresses: %s", g_strerror(errno));
	return at;
}

/* out = a + a on contiguous memory; checks the result. */
static void double_up(struct vgpu_backend *be, uint8_t *a, uint8_t *out, uint64_t n, uint32_t seed,
		      uint64_t *host_copied)
{
	struct vgpu_operand *from = operand_around(a, n * sizeof(float));
	struct vgpu_operand *to = operand_around(out, n * sizeof(float));
	float *x = random_floats(seed, n);
	struct vgpu_work work = {0};

	operand_store(NULL, from, x);
	assert_ok(subject.ops->vector_add(be, from, from, to, n, &work));
	for (uint64_t i = 0; i < n; i++)
		x[i] += x[i];
	g_assert_cmpmem(to->run[0].base, n * sizeof(float), x, n * sizeof(float));
	*host_copied = work.host_copied;
	operand_free(from);
	operand_free(to);
	g_free(x);
}

/* Other memory at the same address: nothing of the old may be seen. */
static void test_replace(void)
{
	struct vgpu_backend *be = subject_open();
	uint8_t *at = reserve(SIZE);

	for (uint32_t i = 0; i < 50; i++) {
		uint64_t copied;

		put_memory(at, SIZE);
		subject_map(be, at, SIZE);
		double_up(be, at + 4096, at + SIZE / 2, 100000, i + 1, &copied);
		g_assert_cmpuint(copied, ==, 0);
		subject_unmap(be, at, SIZE);
	}
	subject.ops->close(be);
	munmap(at, SIZE);
}

/* Many regions, coming and going in random order. */
static void test_churn(void)
{
	enum { REGIONS = 32 };
	struct vgpu_backend *be = subject_open();
	uint8_t *at = reserve(REGIONS * SIZE);
	bool there[REGIONS] = {false};
	uint64_t copied;

	for (uint32_t i = 0; i < 300; i++) {
		int which = g_test_rand_int_range(0, REGIONS);
		uint8_t *base = at + (size_t)which * SIZE;

		if (there[which]) {
			double_up(be, base, base + SIZE / 2, 5000, i + 1, &copied);
			g_assert_cmpuint(copied, ==, 0);
			if (g_test_rand_bit()) {
				subject_unmap(be, base, SIZE);
				put_memory(base, SIZE);
				there[which] = false;
			}
		} else {
			put_memory(base, SIZE);
			subject_map(be, base, SIZE);
			there[which] = true;
		}
	}
	subject.ops->close(be);
	munmap(at, REGIONS * SIZE);
}

/* A run across the border of two regions that touch. */
static void test_border(void)
{
	struct vgpu_backend *be = subject_open();
	uint8_t *at = reserve(3 * SIZE);
	uint64_t copied;

	for (int i = 0; i < 3; i++)
		put_memory(at + i * SIZE, SIZE);
	subject_map(be, at + SIZE, SIZE);
	subject_map(be, at, SIZE);
	double_up(be, at + SIZE - 40000, at + SIZE / 2, 20000, 1, &copied);
	g_assert_cmpuint(copied, ==, 0);
	double_up(be, at, at + SIZE - 400, 200, 2, &copied);
	g_assert_cmpuint(copied, ==, 0);
	double_up(be, at + SIZE - (1u << 20), at, 1u << 19, 3, &copied);
	g_assert_cmpuint(copied, ==, 0);

	/* And out of the last one, into memory that is there but not mapped. */
	double_up(be, at + 2 * SIZE - 4000, at, 2000, 4, &copied);
	if (subject.ops->id == VGPU_BACKEND_CUDA)
		g_assert_cmpuint(copied, ==, 2 * 4000);
	subject.ops->close(be);
	munmap(at, 3 * SIZE);
}

/* Memory that was never mapped, and memory no longer mapped, still works. */
static void test_gone(void)
{
	struct vgpu_backend *be = subject_open();
	uint8_t *at = reserve(SIZE);
	uint64_t copied;

	put_memory(at, SIZE);
	double_up(be, at, at + SIZE / 2, 10000, 1, &copied);
	subject_map(be, at, SIZE);
	double_up(be, at, at + SIZE / 2, 10000, 2, &copied);
	g_assert_cmpuint(copied, ==, 0);
	subject_unmap(be, at, SIZE);
	double_up(be, at, at + SIZE / 2, 10000, 3, &copied);
	if (subject.ops->id == VGPU_BACKEND_CUDA)
		g_assert_cmpuint(copied, ==, 3 * 10000 * sizeof(float));
	subject_unmap(be, at, SIZE); /* twice: nothing happens */
	subject.ops->close(be);
	munmap(at, SIZE);
}

/* A region of more than 1 GiB, and data across each place where it might be divided. */
static void test_large(void)
{
	const size_t gib = (size_t)1 << 30, size = 2 * gib + SIZE;
	struct vgpu_backend *be = subject_open();
	uint8_t *at = reserve(size);
	uint64_t copied;

	put_memory(at, size);
	subject_map(be, at, size);
	for (size_t border = gib; border <= 2 * gib; border += gib) {
		double_up(be, at + border - 2000, at + border - 1000000, 1000, 1, &copied);
		g_assert_cmpuint(copied, ==, 0);
		double_up(be, at + border - 1000000, at + border - 4000000, 500000, 2, &copied);
		g_assert_cmpuint(copied, ==, 0);
		double_up(be, at + border - 4000000, at + border - 1000000, 500000, 3, &copied);
		g_assert_cmpuint(copied, ==, 0);
	}
	subject_unmap(be, at, size);
	subject.ops->close(be);
	munmap(at, size);
}

void add_region_tests(void)
{
	g_test_add_func("/regions/replace", test_replace);
	g_test_add_func("/regions/churn", test_churn);
	g_test_add_func("/regions/border", test_border);
	g_test_add_func("/regions/gone", test_gone);
	g_test_add_func("/regions/large", test_large);
}
