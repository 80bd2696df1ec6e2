/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Memory: the daemon's table, the worker's mappings, runs, and overlaps of operands. */
#include <errno.h>
#include <glib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "memory.h"
#include "memtable.h"
#include "overlap.h"

#define PAGE 4096ull

static int make_fd(uint64_t size)
{
	int fd = memfd_create("test", MFD_CLOEXEC);

	g_assert_cmpint(fd, >=, 0);
	g_assert_cmpint(ftruncate(fd, (off_t)size), ==, 0);
	return fd;
}

static struct vgpu_mem_region region(uint64_t gpa, uint64_t size, uint64_t offset)
{
	return (struct vgpu_mem_region){.guest_addr = gpa, .size = size, .mmap_offset = offset};
}

static unsigned int maps, unmaps;

static int count_map(void *opaque, void *base, size_t length)
{
	(void)opaque;
	g_assert_true(base && length);
	maps++;
	return 0;
}

static void count_unmap(void *opaque, void *base, size_t length)
{
	(void)opaque;
	g_assert_true(base && length);
	unmaps++;
}

/*
 * RAM of this test: [16p, 20p) and [20p, 24p) meet, in one file but the other
 * way round; [32p, 33p) stands alone.
 */
static void set_up(struct memory *m, int *fd)
{
	const struct vgpu_mem_region r[3] = {region(32 * PAGE, PAGE, 0),
					     region(20 * PAGE, 4 * PAGE, 1 * PAGE),
					     region(16 * PAGE, 4 * PAGE, 5 * PAGE)};
	int fds[3];
	unsigned int bad;

	*fd = make_fd(9 * PAGE);
	fds[0] = fds[1] = fds[2] = *fd;
	maps = unmaps = 0;
	memset(m, 0, sizeof(*m));
	m->hooks = (struct mem_hooks){count_map, count_unmap, NULL};
	g_assert_cmpint(memory_replace(m, r, fds, 3, &bad), ==, 0);
	g_assert_cmpuint(m->n, ==, 3);
	g_assert_cmpuint(maps, ==, 3);
}

static void tear_down(struct memory *m, int fd)
{
	memory_clear(m);
	g_assert_cmpuint(maps, ==, unmaps);
	close(fd);
}

static void test_at(void)
{
	struct memory m;
	int fd;

	set_up(&m, &fd);
	g_assert_nonnull(memory_at(&m, 16 * PAGE, 1));
	g_assert_nonnull(memory_at(&m, 16 * PAGE, 4 * PAGE));
	g_assert_nonnull(memory_at(&m, 20 * PAGE - 1, 1));
	g_assert_null(memory_at(&m, 20 * PAGE - 1, 2)); /* two regions */
	g_assert_null(memory_at(&m, 16 * PAGE - 1, 1));
	g_assert_null(memory_at(&m, 24 * PAGE, 1));
	g_assert_null(memory_at(&m, 31 * PAGE, PAGE + 1));
	g_assert_nonnull(memory_at(&m, 32 * PAGE, PAGE));
	g_assert_null(memory_at(&m, 32 * PAGE, PAGE + 1));
	g_assert_null(memory_at(&m, 32 * PAGE, UINT64_MAX));
	g_assert_null(memory_at(&m, 32 * PAGE + 1, UINT64_MAX));
	g_assert_null(memory_at(&m, UINT64_MAX, 1));
	g_assert_null(memory_at(&m, 0, 0));
	/* It is the memory of the file, at the right place. */
	*(char *)memory_at(&m, 20 * PAGE, 1) = 'x';
	g_assert_cmpint(((char *)mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, PAGE))[0], ==, 'x');
	tear_down(&m, fd);
}

static void test_runs(void)
{
	struct runs r = {0};
	struct memory m;
	int fd;

	set_up(&m, &fd);
	/* Across the border: two runs, whatever the mappings' addresses are. */
	g_assert_cmpint(memory_runs(&m, 19 * PAGE, 2 * PAGE, &r), ==, 0);
	g_assert_cmpuint(r.n, ==, 2);
	g_assert_true(r.run[0].base == memory_at(&m, 19 * PAGE, PAGE));
	g_assert_true(r.run[1].base == memory_at(&m, 20 * PAGE, PAGE));
	g_assert_cmpuint(runs_length(&r), ==, 2 * PAGE);
	/* What follows in the same region joins. */
	g_assert_cmpint(memory_runs(&m, 21 * PAGE, 100, &r), ==, 0);
	g_assert_cmpuint(r.n, ==, 2);
	g_assert_cmpuint(r.run[1].length, ==, PAGE + 100);
	/* What does not follow does not. */
	g_assert_cmpint(memory_runs(&m, 21 * PAGE, 100, &r), ==, 0);
	g_assert_cmpuint(r.n, ==, 3);
	runs_free(&r);
	g_assert_cmpint(memory_runs(&m, 23 * PAGE, 2 * PAGE, &r), ==, -EFAULT);
	runs_free(&r);
	g_assert_cmpint(memory_runs(&m, 16 * PAGE, 0, &r), ==, -EFAULT);
	g_assert_cmpint(memory_runs(&m, UINT64_MAX, 2, &r), ==, -EFAULT);
	g_assert_cmpint(memory_runs(&m, 16 * PAGE, UINT64_MAX, &r), ==, -EFAULT);
	runs_free(&r);
	tear_down(&m, fd);
}

static void test_slice(void)
{
	struct runs from = {0}, part = {0};
	uint8_t bytes[1000];

	for (int i = 0; i < 10; i++)
		g_assert_cmpint(runs_append(&from, &bytes[100 * (9 - i)], 100, true), ==, 0);
	g_assert_cmpuint(from.n, ==, 10);
	for (uint64_t offset = 0; offset < 1000; offset += 7) {
		for (uint64_t length = 1; offset + length <= 1000; length += 13) {
			uint64_t at = offset;

			part.n = 0;
			g_assert_cmpint(runs_slice(&part, &from, offset, length), ==, 0);
			g_assert_cmpuint(runs_length(&part), ==, length);
			for (uint32_t i = 0; i < part.n; i++) {
				g_assert_true(part.run[i].base ==
					      &bytes[100 * (9 - at / 100) + at % 100]);
				at += part.run[i].length;
			}
		}
	}
	g_assert_cmpint(runs_slice(&part, &from, 990, 11), ==, -ERANGE);
	runs_free(&from);
	runs_free(&part);
}

/* What is in the old and the new table stays mapped where it was. */
static void test_replace(void)
{
	const struct vgpu_mem_region r[2] = {region(16 * PAGE, 4 * PAGE, 5 * PAGE),
					     region(20 * PAGE, 4 * PAGE, 0)};
	struct memory m;
	void *kept, *moved;
	int fd, fds[2];
	unsigned int bad = 99;

	set_up(&m, &fd);
	kept = memory_at(&m, 16 * PAGE, 1);
	moved = memory_at(&m, 20 * PAGE, 1);
	fds[0] = fds[1] = fd;
	g_assert_cmpint(memory_replace(&m, r, fds, 2, &bad), ==, 0);
	g_assert_cmpuint(m.n, ==, 2);
	g_assert_true(memory_at(&m, 16 * PAGE, 1) == kept);
	g_assert_true(memory_at(&m, 20 * PAGE, 1) != moved);
	g_assert_null(memory_at(&m, 32 * PAGE, 1));
	g_assert_cmpuint(maps, ==, 4);
	g_assert_cmpuint(unmaps, ==, 2);
	/* One that cannot be mapped is named, the others are in force. */
	fds[0] = -1;
	g_assert_cmpint(memory_replace(&m, r, fds, 2, &bad), ==, -EBADF);
	g_assert_cmpuint(bad, ==, 0);
	g_assert_null(memory_at(&m, 16 * PAGE, 1));
	g_assert_nonnull(memory_at(&m, 20 * PAGE, 1));
	tear_down(&m, fd);
}

static void test_memtable(void)
{
	struct vgpu_mem_region r[3] = {region(0, PAGE, 0), region(PAGE, PAGE, 0),
				       region(4 * PAGE, PAGE, 0)};
	struct memtable t = {0};
	const char *why;
	int fds[3];

	for (int i = 0; i < 3; i++)
		fds[i] = make_fd(PAGE);
	g_assert_cmpint(memtable_set(&t, r, fds, 3, &why), ==, 0);
	g_assert_cmpint(memtable_remove(&t, &r[1], &why), ==, 0);
	g_assert_cmpuint(t.n, ==, 2);
	g_assert_cmpint(memtable_remove(&t, &r[1], &why), ==, -ENOENT);
	g_assert_cmpuint(t.region[1].guest_addr, ==, 4 * PAGE);
	g_assert_cmpint(t.fd[1], ==, fds[2]);
	/* A refused table changes nothing. */
	r[1] = region(4 * PAGE, 2 * PAGE, 0);
	g_assert_cmpint(memtable_set(&t, r, fds, 3, &why), ==, -EEXIST);
	g_assert_cmpuint(t.n, ==, 2);
	g_assert_cmpint(memtable_add(&t, &r[1], 7, &why), ==, -EEXIST);
	r[1] = region(3 * PAGE, PAGE, 0);
	fds[1] = make_fd(PAGE);
	g_assert_cmpint(memtable_add(&t, &r[1], fds[1], &why), ==, 0);
	memtable_clear(&t);
	g_assert_cmpint(close(fds[1]), ==, -1); /* the table owned it */
}

static struct vgpu_operand operand(struct vgpu_run *run, uint32_t n)
{
	struct vgpu_operand op = {.run = run, .nruns = n};

	for (uint32_t i = 0; i < n; i++)
		op.length += run[i].length;
	return op;
}

/* Against the definition: some byte of `out` is a byte of `in` at another position. */
static bool really_shifted(const struct vgpu_operand *out, const struct vgpu_operand *in)
{
	uint64_t pos_out = 0;

	for (uint32_t i = 0; i < out->nruns; pos_out += out->run[i++].length) {
		for (uint64_t k = 0; k < out->run[i].length; k++) {
			uint64_t pos_in = 0;

			for (uint32_t j = 0; j < in->nruns; pos_in += in->run[j++].length) {
				const uint8_t *p = out->run[i].base + k;

				if (p >= in->run[j].base &&
				    p < in->run[j].base + in->run[j].length &&
				    pos_out + k != pos_in + (uint64_t)(p - in->run[j].base))
					return true;
			}
		}
	}
	return false;
}

static void test_overlap(void)
{
	static uint8_t bytes[256];
	static uint8_t far[64];
	struct vgpu_run far_run = {far, 64};
	struct vgpu_operand apart = operand(&far_run, 1);
	unsigned int shifted = 0;

	for (int round = 0; round < 20000; round++) {
		struct vgpu_run x[4], y[4];
		struct vgpu_operand out, in;
		int said;

		for (int i = 0; i < 4; i++) {
			x[i] = (struct vgpu_run){&bytes[4 * g_test_rand_int_range(0, 60)], 16};
			y[i] = g_test_rand_int_range(0, 3)
				       ? x[i]
				       : (struct vgpu_run){&bytes[4 * g_test_rand_int_range(0, 60)],
							   16};
		}
		out = operand(x, 4);
		in = operand(y, 4);
		said = overlap_is_shifted(&out, &apart, &in);
		g_assert_cmpint(said, >=, 0);
		/* It may be more careful than it must, never less. */
		if (really_shifted(&out, &in)) {
			shifted++;
			g_assert_cmpint(said, ==, 1);
		}
	}
	g_assert_cmpuint(shifted, >, 100);
	g_assert_cmpint(overlap_is_shifted(&apart, &apart, &apart), ==, 0);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/memory/at", test_at);
	g_test_add_func("/memory/runs", test_runs);
	g_test_add_func("/memory/slice", test_slice);
	g_test_add_func("/memory/replace", test_replace);
	g_test_add_func("/memory/memtable", test_memtable);
	g_test_add_func("/memory/overlap", test_overlap);
	return g_test_run();
}
