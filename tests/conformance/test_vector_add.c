/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VECTOR_ADD: sizes, shapes, overlaps, unusual values, memory that is not
 * mapped and memory that changes meanwhile.
 */
#include <float.h>
#include <math.h>
#include <string.h>

#include "ram.h"
#include "tests.h"

#define RAM_SIZE ((size_t)400 << 20)

struct fixture {
	struct vgpu_backend *be;
	struct ram *ram;
	bool overlaps; /* the operands do: a backend without memory of its own may copy */
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

static float *sum_of(const float *x, const float *y, uint64_t n)
{
	float *sum = g_new(float, n + 1);

	for (uint64_t i = 0; i < n; i++)
		sum[i] = x[i] + y[i];
	return sum;
}

/* Adds what `a` and `b` hold into `out`, all in RAM, and checks all of RAM. */
static void add_and_check(struct fixture *f, const struct vgpu_operand *a,
			  const struct vgpu_operand *b, const struct vgpu_operand *out,
			  const char *what)
{
	uint64_t n = a->length / sizeof(float);
	struct vgpu_work work = {.nanoseconds = 1000, .host_copied = 0};
	float *x = g_malloc(a->length + 1), *y = g_malloc(b->length + 1), *sum;

	operand_load(a, x);
	operand_load(b, y);
	sum = sum_of(x, y, n);
	assert_ok(subject.ops->vector_add(f->be, a, b, out, n, &work));
	operand_expect(f->ram, out, sum);
	ram_check(f->ram, what);
	if (f->overlaps && subject.ops->id == VGPU_BACKEND_CPU)
		g_assert_cmpuint(work.host_copied, <=, out->length);
	else
		g_assert_cmpuint(work.host_copied, ==, 0);
	g_assert_cmpuint(work.nanoseconds, >=, 1000);
	g_free(x);
	g_free(y);
	g_free(sum);
}

static void one_size(struct fixture *f, uint64_t n, enum shape sa, enum shape sb, enum shape so)
{
	struct vgpu_operand *a, *b, *out;
	float *x = random_floats((uint32_t)n + 1, n), *y = random_floats((uint32_t)n + 7, n);
	char *what = g_strdup_printf("%" G_GUINT64_FORMAT " floats, %s + %s -> %s", (guint64)n,
				     shape_name[sa], shape_name[sb], shape_name[so]);

	ram_reset(f->ram);
	a = operand_new(f->ram, sa, n * sizeof(float));
	b = operand_new(f->ram, sb, n * sizeof(float));
	out = operand_new(f->ram, so, n * sizeof(float));
	operand_store(f->ram, a, x);
	operand_store(f->ram, b, y);
	add_and_check(f, a, b, out, what);
	operand_free(a);
	operand_free(b);
	operand_free(out);
	g_free(x);
	g_free(y);
	g_free(what);
}

static void test_sizes(struct fixture *f, gconstpointer data)
{
	static const uint64_t sizes[] = {0,    1,    2,    3,    4,     5,      255,
					 1023, 1024, 1025, 4097, 65537, 131071, 1u << 20};
	enum shape shape = (enum shape)GPOINTER_TO_INT(data);

	for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++)
		one_size(f, sizes[i], shape, shape, shape);
}

static void test_large(struct fixture *f, gconstpointer data)
{
	enum shape shape = (enum shape)GPOINTER_TO_INT(data);

	one_size(f, (uint64_t)16 << 20, shape, shape, shape);
}

/* Random sizes and shapes, one after the other in one session. */
static void test_many(struct fixture *f, gconstpointer data G_GNUC_UNUSED)
{
	for (int i = 0; i < 150; i++)
		one_size(f, (uint64_t)g_test_rand_int_range(0, i % 10 ? 20000 : 500000),
			 (enum shape)g_test_rand_int_range(0, SHAPES),
			 (enum shape)g_test_rand_int_range(0, SHAPES),
			 (enum shape)g_test_rand_int_range(0, SHAPES));
}

/* The three operands are windows of one stretch, `shift` bytes apart. */
static void windows(struct fixture *f, uint64_t n, int64_t b_shift, int64_t out_shift)
{
	const uint64_t length = n * sizeof(float), margin = 1u << 16;
	struct vgpu_operand *all, *a, *b, *out;
	float *x = random_floats(99, (length + 2 * margin) / sizeof(float));
	char *what =
		g_strdup_printf("windows of %" G_GUINT64_FORMAT " floats, b at %+d, out at %+d",
				(guint64)n, (int)b_shift, (int)out_shift);
	uint8_t *middle;

	ram_reset(f->ram);
	all = operand_new(f->ram, SHAPE_CONTIGUOUS, length + 2 * margin);
	operand_store(f->ram, all, x);
	middle = all->run[0].base + margin;
	a = operand_around(middle, length);
	b = operand_around(middle + b_shift, length);
	out = operand_around(middle + out_shift, length);
	add_and_check(f, a, b, out, what);
	operand_free(all);
	operand_free(a);
	operand_free(b);
	operand_free(out);
	g_free(x);
	g_free(what);
}

static void test_windows(struct fixture *f, gconstpointer data G_GNUC_UNUSED)
{
	static const int64_t shift[] = {0, 4, -4, 64, -64, 4096, -4096, 65536, -65536};

	f->overlaps = true;
	for (size_t i = 0; i < G_N_ELEMENTS(shift); i++) {
		for (size_t j = 0; j < G_N_ELEMENTS(shift); j++) {
			windows(f, 3000, shift[i], shift[j]);
			windows(f, 300001, shift[i], shift[j]);
		}
	}
}

/* The same scattered pages as input and output, in place and in another order. */
static void test_in_place(struct fixture *f, gconstpointer data)
{
	enum shape shape = (enum shape)GPOINTER_TO_INT(data);
	const uint64_t n = 1u << 19;
	float *x = random_floats(5, n), *y = random_floats(6, n);
	struct vgpu_operand *a, *b, reversed;
	struct vgpu_run *run;

	f->overlaps = true;
	ram_reset(f->ram);
	a = operand_new(f->ram, shape, n * sizeof(float));
	b = operand_new(f->ram, shape, n * sizeof(float));
	operand_store(f->ram, a, x);
	operand_store(f->ram, b, y);
	add_and_check(f, a, b, a, "out is a");
	add_and_check(f, a, b, b, "out is b");
	add_and_check(f, a, a, a, "a, b and out are one");

	run = g_new(struct vgpu_run, b->nruns);
	for (uint32_t i = 0; i < b->nruns; i++)
		run[i] = b->run[b->nruns - 1 - i];
	reversed = (struct vgpu_operand){run, b->nruns, b->length};
	add_and_check(f, a, b, &reversed, "out is b backwards");
	add_and_check(f, &reversed, b, b, "a is b backwards, out is b");
	operand_free(a);
	operand_free(b);
	g_free(run);
	g_free(x);
	g_free(y);
}

static bool same_float(float got, float want)
{
	return isnan(want) ? isnan(got) : memcmp(&got, &want, sizeof(got)) == 0;
}

/* All pairs of the unusual values; a NaN may have any sign and payload. */
static void test_values(struct fixture *f, gconstpointer data G_GNUC_UNUSED)
{
	static const float value[] = {
		0.f,          -0.f,          1.f,    -1.f,        FLT_MIN,    -FLT_MIN,
		FLT_TRUE_MIN, -FLT_TRUE_MIN, 1e-40f, -1e-40f,     FLT_MAX,    -FLT_MAX,
		INFINITY,     -INFINITY,     NAN,    FLT_EPSILON, 16777216.f, 16777217.f,
	};
	enum { V = G_N_ELEMENTS(value), N = V * V };
	float x[N], y[N], got[N];
	struct vgpu_operand *a, *b, *out;
	struct vgpu_work work = {0};

	for (int i = 0; i < N; i++) {
		x[i] = value[i / V];
		y[i] = value[i % V];
	}
	a = operand_new(f->ram, SHAPE_TINY, sizeof(x));
	b = operand_new(f->ram, SHAPE_TINY, sizeof(x));
	out = operand_new(f->ram, SHAPE_TINY, sizeof(x));
	operand_store(f->ram, a, x);
	operand_store(f->ram, b, y);
	assert_ok(subject.ops->vector_add(f->be, a, b, out, N, &work));
	operand_load(out, got);
	for (int i = 0; i < N; i++) {
		volatile float want = x[i] + y[i];

		if (!same_float(got[i], want))
			g_error("%a + %a gave %a, must be %a", (double)x[i], (double)y[i],
				(double)got[i], (double)want);
	}
	operand_free(a);
	operand_free(b);
	operand_free(out);
}

/* Bit k of `mask`: operand k lies in memory that was never mapped. */
static void unmapped(struct fixture *f, uint64_t n, unsigned int mask)
{
	const uint64_t length = n * sizeof(float);
	float *x = random_floats(11, n), *y = random_floats(12, n), *sum = sum_of(x, y, n);
	struct vgpu_operand *op[3];
	uint8_t *heap[3] = {0};
	uint64_t foreign = 0;
	struct vgpu_work work = {0};

	ram_reset(f->ram);
	for (int i = 0; i < 3; i++) {
		if (mask & 1u << i) {
			heap[i] = g_malloc(length + 4);
			op[i] = operand_around(heap[i] + 4, length);
			foreign += length;
		} else {
			op[i] = operand_new(f->ram, SHAPE_ODD, length);
		}
	}
	operand_store(mask & 1 ? NULL : f->ram, op[0], x);
	operand_store(mask & 2 ? NULL : f->ram, op[1], y);
	assert_ok(subject.ops->vector_add(f->be, op[0], op[1], op[2], n, &work));
	if (mask & 4)
		g_assert_cmpmem(heap[2] + 4, length, sum, length);
	else
		operand_expect(f->ram, op[2], sum);
	ram_check(f->ram, "some operands unmapped");
	g_assert_cmpuint(work.host_copied, <=, foreign);
	if (subject.ops->id == VGPU_BACKEND_CUDA)
		g_assert_cmpuint(work.host_copied, ==, foreign);
	for (int i = 0; i < 3; i++) {
		operand_free(op[i]);
		g_free(heap[i]);
	}
	g_free(x);
	g_free(y);
	g_free(sum);
}

static void test_unmapped(struct fixture *f, gconstpointer data G_GNUC_UNUSED)
{
	for (unsigned int mask = 1; mask < 8; mask++) {
		unmapped(f, 1, mask);
		unmapped(f, 1000, mask);
		unmapped(f, 3000001, mask);
	}
}

/* Many small runs of unmapped memory with mapped ones between them. */
static void test_interleaved(struct fixture *f, gconstpointer data G_GNUC_UNUSED)
{
	enum { RUNS = 3000, LENGTH = 1020 };
	const uint64_t n = (uint64_t)RUNS * LENGTH / sizeof(float);
	float *x = random_floats(21, n), *sum = sum_of(x, x, n), *got = g_new(float, n);
	uint8_t *heap = g_malloc((gsize)RUNS * LENGTH * 2);
	struct vgpu_run *run = g_new(struct vgpu_run, RUNS);
	struct vgpu_operand op = {run, RUNS, n * sizeof(float)};
	struct vgpu_work work = {0};

	for (int i = 0; i < RUNS; i++) {
		bool foreign = g_test_rand_bit();

		run[i] = (struct vgpu_run){
			.base = (foreign ? heap : f->ram->base) + (size_t)i * LENGTH * 2,
			.length = LENGTH,
		};
	}
	operand_store(NULL, &op, x);
	assert_ok(subject.ops->vector_add(f->be, &op, &op, &op, n, &work));
	operand_load(&op, got);
	g_assert_cmpmem(got, n * sizeof(float), sum, n * sizeof(float));
	g_free(x);
	g_free(sum);
	g_free(got);
	g_free(heap);
	g_free(run);
}

struct scribbler {
	volatile gint stop;
	uint32_t *words;
	uint64_t n;
};

static gpointer scribble(gpointer data)
{
	struct scribbler *s = data;

	for (uint32_t i = 0; !g_atomic_int_get(&s->stop); i++)
		*(volatile uint32_t *)&s->words[i % s->n] = i * 2654435761u;
	return NULL;
}

/* A guest that writes to its operands meanwhile gets some result, and no one is hurt. */
static void test_changing(struct fixture *f, gconstpointer data G_GNUC_UNUSED)
{
	const uint64_t n = 1u << 18;
#ifdef __SANITIZE_THREAD__
	g_test_skip("the race is the test");
	return;
#endif
	struct vgpu_operand *op = operand_new(f->ram, SHAPE_CONTIGUOUS, n * sizeof(float));
	struct scribbler s = {.words = (uint32_t *)(void *)op->run[0].base, .n = n};
	GThread *thread = g_thread_new("scribble", scribble, &s);
	struct vgpu_work work = {0};

	for (int i = 0; i < 50; i++)
		assert_ok(subject.ops->vector_add(f->be, op, op, op, n, &work));
	g_atomic_int_set(&s.stop, 1);
	g_thread_join(thread);
	operand_free(op);
}

static void add(const char *group, enum shape shape, void (*test)(struct fixture *, gconstpointer))
{
	char *path = g_strdup_printf("/vector-add/%s/%s", group, shape_name[shape]);

	g_test_add(path, struct fixture, GINT_TO_POINTER((int)shape), set_up, test, tear_down);
	g_free(path);
}

void add_vector_add_tests(void)
{
	for (int shape = 0; shape < SHAPES; shape++)
		add("sizes", (enum shape)shape, test_sizes);
	add("16Mi", SHAPE_CONTIGUOUS, test_large);
	add("16Mi", SHAPE_PAGES, test_large);
	add("16Mi", SHAPE_MIXED, test_large);
	add("16Mi", SHAPE_HUGE, test_large);
	add("in-place", SHAPE_PAGES, test_in_place);
	add("in-place", SHAPE_TINY, test_in_place);
	add("in-place", SHAPE_MIXED, test_in_place);
	g_test_add("/vector-add/windows", struct fixture, NULL, set_up, test_windows, tear_down);
	g_test_add("/vector-add/many", struct fixture, NULL, set_up, test_many, tear_down);
	g_test_add("/vector-add/values", struct fixture, NULL, set_up, test_values, tear_down);
	g_test_add("/vector-add/unmapped", struct fixture, NULL, set_up, test_unmapped, tear_down);
	g_test_add("/vector-add/interleaved", struct fixture, NULL, set_up, test_interleaved,
		   tear_down);
	g_test_add("/vector-add/changing", struct fixture, NULL, set_up, test_changing, tear_down);
}
