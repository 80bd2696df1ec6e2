/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * MATMUL against a reference in double precision.
 *
 * A backend may sum in any order, so each element may be off by the bound that
 * holds for every order: k rounding steps of half an ulp of the sum of the
 * products' magnitudes.
 */
#include <float.h>
#include <math.h>
#include <string.h>

#include "ram.h"
#include "tests.h"

#define RAM_SIZE ((size_t)128 << 20)

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

static void check_element(const struct vgpu_matmul *d, const float *a, const float *b,
			  const float *got, uint32_t row, uint32_t col)
{
	double sum = 0, size = 0, off;

	for (uint32_t i = 0; i < d->k; i++) {
		double p = (double)a[(size_t)row * d->k + i] * (double)b[(size_t)i * d->n + col];

		sum += p;
		size += fabs(p);
	}
	off = fabs((double)got[(size_t)row * d->n + col] - sum);
	if (!(off <= (d->k + 1) * (double)FLT_EPSILON * size + (double)FLT_TRUE_MIN))
		g_error("%ux%ux%u: element (%u, %u) is %a, must be %a within %a", d->m, d->n, d->k,
			row, col, (double)got[(size_t)row * d->n + col], sum,
			(d->k + 1) * (double)FLT_EPSILON * size);
}

/* All elements of a small product; of a large one the edges and many others. */
static void check_product(const struct vgpu_matmul *d, const float *a, const float *b,
			  const float *got)
{
	uint64_t elements = (uint64_t)d->m * d->n;
	uint64_t stride = 1 + elements * d->k / 20000000;

	for (uint64_t i = 0; i < elements; i += stride)
		check_element(d, a, b, got, (uint32_t)(i / d->n), (uint32_t)(i % d->n));
	for (uint32_t i = 0; i < d->m; i += 1 + d->m / 64)
		check_element(d, a, b, got, i, d->n - 1);
	for (uint32_t i = 0; i < d->n; i += 1 + d->n / 64)
		check_element(d, a, b, got, d->m - 1, i);
}

/* Moderate magnitudes of both signs, so that sums neither overflow nor vanish. */
static float *matrix(uint32_t seed, uint64_t n)
{
	float *f = g_new(float, n + 1);

	fill_random(f, n * sizeof(float), seed);
	for (uint64_t i = 0; i < n; i++) {
		int32_t bits;

		memcpy(&bits, &f[i], sizeof(bits));
		f[i] = (float)bits / 2147483648.f;
	}
	return f;
}

static void multiply(struct fixture *f, uint32_t m, uint32_t n, uint32_t k, enum shape shape)
{
	const struct vgpu_matmul dims = {.m = m, .n = n, .k = k};
	const uint64_t elements[] = {(uint64_t)m * k, (uint64_t)k * n, (uint64_t)m * n};
	float *x = matrix(m + 31, elements[0]), *y = matrix(n + 57, elements[1]);
	float *got = g_new(float, elements[2]);
	struct vgpu_operand *op[3];
	struct vgpu_work work = {0};

	ram_reset(f->ram);
	for (int i = 0; i < 3; i++)
		op[i] = operand_new(f->ram, shape, elements[i] * sizeof(float));
	operand_store(f->ram, op[0], x);
	operand_store(f->ram, op[1], y);
	assert_ok(subject.ops->matmul(f->be, op[0], op[1], op[2], &dims, &work));
	operand_load(op[2], got);
	check_product(&dims, x, y, got);
	operand_expect(f->ram, op[2], got); /* it is right; now nothing else may have changed */
	ram_check(f->ram, "matmul");
	if (subject.ops->id == VGPU_BACKEND_CUDA)
		g_assert_cmpuint(work.host_copied, ==, 0);
	for (int i = 0; i < 3; i++)
		operand_free(op[i]);
	g_free(x);
	g_free(y);
	g_free(got);
}

static void test_shapes(struct fixture *f, gconstpointer data)
{
	static const uint32_t dims[][3] = {
		{1, 1, 1},     {1, 7, 1},      {7, 1, 3},       {1, 1, 1000},   {1, 1000, 33},
		{1000, 1, 33}, {2, 3, 4},      {31, 33, 32},    {32, 32, 32},   {33, 31, 65},
		{64, 64, 64},  {100, 200, 50}, {127, 129, 128}, {255, 257, 31}, {5, 4097, 3},
	};
	enum shape shape = (enum shape)GPOINTER_TO_INT(data);

	for (size_t i = 0; i < G_N_ELEMENTS(dims); i++)
		multiply(f, dims[i][0], dims[i][1], dims[i][2], shape);
}

static void test_large(struct fixture *f, gconstpointer data G_GNUC_UNUSED)
{
	multiply(f, 1024, 1024, 512, SHAPE_PAGES);
	multiply(f, 1025, 1031, 130, SHAPE_ODD);
	multiply(f, 3001, 353, 97, SHAPE_CONTIGUOUS);
	multiply(f, 16384, 64, 17, SHAPE_MIXED);
	multiply(f, 65, 16384, 33, SHAPE_HUGE);
	multiply(f, 3, 5, 16384, SHAPE_PAGES);
}

/* Times the identity every bit must come back. */
static void test_identity(struct fixture *f, gconstpointer data G_GNUC_UNUSED)
{
	enum { N = 130 };
	const struct vgpu_matmul dims = {.m = N, .n = N, .k = N};
	const uint64_t length = (uint64_t)N * N * sizeof(float);
	float *x = matrix(3, (uint64_t)N * N), *one = g_new0(float, (gsize)N *N);
	float *got = g_new(float, (gsize)N *N);
	struct vgpu_operand *a = operand_around(x, length), *b = operand_around(one, length);
	struct vgpu_operand *out = operand_around(got, length);
	struct vgpu_work work = {0};

	for (int i = 0; i < N; i++)
		one[i * N + i] = 1;
	assert_ok(subject.ops->matmul(f->be, a, b, out, &dims, &work));
	g_assert_cmpmem(got, length, x, length);
	assert_ok(subject.ops->matmul(f->be, b, a, out, &dims, &work));
	g_assert_cmpmem(got, length, x, length);
	operand_free(a);
	operand_free(b);
	operand_free(out);
	g_free(x);
	g_free(one);
	g_free(got);
}

void add_matmul_tests(void)
{
	for (int shape = 0; shape < SHAPES; shape++) {
		char *path = g_strdup_printf("/matmul/shapes/%s", shape_name[shape]);

		g_test_add(path, struct fixture, GINT_TO_POINTER(shape), set_up, test_shapes,
			   tear_down);
		g_free(path);
	}
	g_test_add("/matmul/large", struct fixture, NULL, set_up, test_large, tear_down);
	g_test_add("/matmul/identity", struct fixture, NULL, set_up, test_identity, tear_down);
}
