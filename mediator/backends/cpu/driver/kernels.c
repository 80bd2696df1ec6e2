/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The built-in kernels.  Each does what a kernel of this name would do; what it reads and writes is
 * pinned first, and memory that is not there is an illegal address as on a device.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "driver.h"
#include "ptx.h"
#include "texture.h"

/* Parameter `i` by value. */
#define PARAM(call, i, type)                                                                      \
	(*(type *)memcpy(&(type){0},                                                              \
			 (call)->param +                                                          \
				 g_array_index((call)->entry->param, struct ptx_param, i).offset, \
			 sizeof(type)))

static uint64_t threads_x(const struct kernel_call *c)
{
	return (uint64_t)c->launch->grid[0] * c->launch->block[0];
}

static uint64_t threads_y(const struct kernel_call *c)
{
	return (uint64_t)c->launch->grid[1] * c->launch->block[1];
}

/* The kernels over n elements go round until all are done, however few threads there are. */
static size_t all(int n)
{
	return n > 0 ? (size_t)n : 0;
}

/* n elements of `size` at p; an element must not lie across its own size. */
static CUresult use(struct pins *pins, uintptr_t p, size_t n, size_t size, unsigned int access)
{
	if (!n)
		return CUDA_SUCCESS;
	if (n > SIZE_MAX / size || !pins_add(pins, p, n * size, access))
		return CUDA_ERROR_ILLEGAL_ADDRESS;
	return p % size ? CUDA_ERROR_MISALIGNED_ADDRESS : CUDA_SUCCESS;
}

static CUresult vector_add(const struct kernel_call *c)
{
	uintptr_t a = PARAM(c, 0, uintptr_t), b = PARAM(c, 1, uintptr_t),
		  out = PARAM(c, 2, uintptr_t);
	size_t n = all(PARAM(c, 3, int));
	struct pins pins = PINS_INIT;
	CUresult err = use(&pins, a, n, 4, ACCESS_READ);

	if (!err)
		err = use(&pins, b, n, 4, ACCESS_READ);
	if (!err)
		err = use(&pins, out, n, 4, ACCESS_WRITE);
	for (size_t i = 0; !err && i < n; i++)
		((float *)out)[i] = ((const float *)a)[i] + ((const float *)b)[i];
	pins_drop(&pins);
	return err;
}

static CUresult saxpy(const struct kernel_call *c)
{
	float a = PARAM(c, 0, float);
	uintptr_t x = PARAM(c, 1, uintptr_t), y = PARAM(c, 2, uintptr_t);
	size_t n = all(PARAM(c, 3, int));
	struct pins pins = PINS_INIT;
	CUresult err = use(&pins, x, n, 4, ACCESS_READ);

	if (!err)
		err = use(&pins, y, n, 4, ACCESS_READ | ACCESS_WRITE);
	for (size_t i = 0; !err && i < n; i++)
		((float *)y)[i] += a * ((const float *)x)[i];
	pins_drop(&pins);
	return err;
}

static CUresult scale(const struct kernel_call *c)
{
	uintptr_t p = PARAM(c, 0, uintptr_t);
	float f = PARAM(c, 1, float);
	size_t n = all(PARAM(c, 2, int));
	struct pins pins = PINS_INIT;
	CUresult err = use(&pins, p, n, 4, ACCESS_READ | ACCESS_WRITE);

	for (size_t i = 0; !err && i < n; i++)
		((float *)p)[i] *= f;
	pins_drop(&pins);
	return err;
}

static void multiply(const struct kernel_call *c, size_t m, size_t n)
{
	const float *a = (const float *)PARAM(c, 0, uintptr_t);
	const float *b = (const float *)PARAM(c, 1, uintptr_t);
	float *out = (float *)PARAM(c, 2, uintptr_t);
	size_t width = (size_t)PARAM(c, 4, int), depth = (size_t)PARAM(c, 5, int);

	for (size_t i = 0; i < m; i++) {
		for (size_t j = 0; j < n; j++) {
			float sum = 0;

			for (size_t k = 0; k < depth; k++)
				sum += a[i * depth + k] * b[k * width + j];
			out[i * width + j] = sum;
		}
	}
}

static CUresult matmul(const struct kernel_call *c)
{
	int m = PARAM(c, 3, int), n = PARAM(c, 4, int), k = PARAM(c, 5, int);
	struct pins pins = PINS_INIT;
	size_t rows, columns, depth = k > 0 ? (size_t)k : 0;
	CUresult err;

	if (m <= 0 || n <= 0)
		return CUDA_SUCCESS;
	rows = (size_t)MIN((uint64_t)m, threads_y(c));
	columns = (size_t)MIN((uint64_t)n, threads_x(c));
	err = use(&pins, PARAM(c, 0, uintptr_t), rows * depth, 4, ACCESS_READ);
	if (!err)
		err = use(&pins, PARAM(c, 1, uintptr_t), depth * (size_t)n, 4, ACCESS_READ);
	if (!err)
		err = use(&pins, PARAM(c, 2, uintptr_t), (rows - 1) * (size_t)n + columns, 4,
			  ACCESS_WRITE);
	if (!err && depth)
		multiply(c, rows, columns);
	else if (!err)
		for (size_t i = 0; i < rows; i++)
			memset((float *)PARAM(c, 2, uintptr_t) + i * (size_t)n, 0, columns * 4);
	pins_drop(&pins);
	return err;
}

static CUresult fill(const struct kernel_call *c)
{
	uintptr_t p = PARAM(c, 0, uintptr_t);
	uint32_t value = PARAM(c, 1, uint32_t);
	size_t n = all(PARAM(c, 2, int));
	struct pins pins = PINS_INIT;
	CUresult err = use(&pins, p, n, 4, ACCESS_WRITE);

	for (size_t i = 0; !err && i < n; i++)
		((uint32_t *)p)[i] = value;
	pins_drop(&pins);
	return err;
}

static CUresult iota(const struct kernel_call *c)
{
	uintptr_t p = PARAM(c, 0, uintptr_t);
	uint32_t start = PARAM(c, 1, uint32_t);
	size_t n = all(PARAM(c, 2, int));
	struct pins pins = PINS_INIT;
	CUresult err = use(&pins, p, n, 4, ACCESS_WRITE);

	for (size_t i = 0; !err && i < n; i++)
		((uint32_t *)p)[i] = start + (uint32_t)i;
	pins_drop(&pins);
	return err;
}

static CUresult increment(const struct kernel_call *c)
{
	uintptr_t p = PARAM(c, 0, uintptr_t);
	size_t n = all(PARAM(c, 1, int));
	struct pins pins = PINS_INIT;
	CUresult err = use(&pins, p, n, 4, ACCESS_READ | ACCESS_WRITE);

	for (size_t i = 0; !err && i < n; i++)
		((uint32_t *)p)[i]++;
	pins_drop(&pins);
	return err;
}

static CUresult copy(const struct kernel_call *c)
{
	uintptr_t src = PARAM(c, 0, uintptr_t), dst = PARAM(c, 1, uintptr_t);
	size_t n = all(PARAM(c, 2, int));
	struct pins pins = PINS_INIT;
	CUresult err = use(&pins, src, n, 4, ACCESS_READ);

	if (!err)
		err = use(&pins, dst, n, 4, ACCESS_WRITE);
	if (!err && n)
		memmove((void *)dst, (const void *)src, n * 4);
	pins_drop(&pins);
	return err;
}

static CUresult reduce_sum(const struct kernel_call *c)
{
	uintptr_t in = PARAM(c, 0, uintptr_t), out = PARAM(c, 1, uintptr_t);
	int count = PARAM(c, 2, int);
	size_t n = all(count);
	struct pins pins = PINS_INIT;
	CUresult err = use(&pins, in, n, 4, ACCESS_READ);
	float sum = 0;

	if (!err)
		err = use(&pins, out, 1, 4, ACCESS_WRITE);
	for (size_t i = 0; !err && i < n; i++)
		sum += ((const float *)in)[i];
	if (!err)
		*(float *)out = sum;
	pins_drop(&pins);
	return err;
}

static CUresult write_flag(const struct kernel_call *c)
{
	uintptr_t flag = PARAM(c, 0, uintptr_t);
	struct pins pins = PINS_INIT;
	CUresult err = use(&pins, flag, 1, 8, ACCESS_WRITE);

	if (!err)
		__atomic_store_n((uint64_t *)flag, PARAM(c, 1, uint64_t), __ATOMIC_RELEASE);
	pins_drop(&pins);
	return err;
}

static bool has_failed(void)
{
	bool failed;

	pthread_mutex_lock(&drv.lock);
	failed = drv.sticky != CUDA_SUCCESS;
	pthread_mutex_unlock(&drv.lock);
	return failed;
}

static void rest(uint64_t ns)
{
	const struct timespec t = {.tv_sec = (time_t)(ns / 1000000000u),
				   .tv_nsec = (long)(ns % 1000000000u)};

	nanosleep(&t, NULL);
}

static CUresult work(const struct kernel_call *c)
{
	uintptr_t out = PARAM(c, 0, uintptr_t);
	uint32_t rounds = PARAM(c, 1, uint32_t), x = rounds;
	struct pins pins = PINS_INIT;
	CUresult err = use(&pins, out, 1, 4, ACCESS_WRITE);

	for (uint32_t i = 0; i < rounds && !err; i++)
		x = x * 1664525u + (x >> 13) + 1013904223u;
	if (!err)
		*(uint32_t *)out = x;
	pins_drop(&pins);
	return err;
}

static CUresult wait_flag(const struct kernel_call *c)
{
	uintptr_t flag = PARAM(c, 0, uintptr_t);
	uint32_t value = PARAM(c, 1, uint32_t);
	struct pins pins = PINS_INIT;
	CUresult err = use(&pins, flag, 1, 4, ACCESS_READ);

	while (!err && __atomic_load_n((uint32_t *)flag, __ATOMIC_ACQUIRE) != value &&
	       !has_failed())
		rest(50000);
	pins_drop(&pins);
	return err;
}

static CUresult delay(const struct kernel_call *c)
{
	uint64_t began = now_ns(), length = PARAM(c, 0, uint64_t), passed;

	while ((passed = now_ns() - began) < length && !has_failed())
		rest(MIN(length - passed, 10000000u));
	return CUDA_SUCCESS;
}

static CUresult spin(const struct kernel_call *c)
{
	(void)c;
	while (!has_failed())
		rest(1000000);
	return CUDA_SUCCESS;
}

static CUresult store_at(const struct kernel_call *c)
{
	uintptr_t p = PARAM(c, 0, uintptr_t);
	struct pins pins = PINS_INIT;
	CUresult err = use(&pins, p, 1, 4, ACCESS_WRITE);

	if (!err)
		*(uint32_t *)p = PARAM(c, 1, uint32_t);
	pins_drop(&pins);
	return err;
}

static CUresult load_at(const struct kernel_call *c)
{
	uintptr_t p = PARAM(c, 0, uintptr_t), out = PARAM(c, 1, uintptr_t);
	struct pins pins = PINS_INIT;
	CUresult err = use(&pins, p, 1, 4, ACCESS_READ);

	if (!err)
		err = use(&pins, out, 1, 4, ACCESS_WRITE);
	if (!err)
		*(uint32_t *)out = *(const uint32_t *)p;
	pins_drop(&pins);
	return err;
}

/* Where a variable of the module lies; 0: it has none of this name. */
static uintptr_t variable(const struct kernel_call *c, const char *name)
{
	for (unsigned int i = 0; i < c->global->len; i++)
		if (!strcmp(((struct ptx_variable *)c->ptx->variable->pdata[i])->name, name))
			return (uintptr_t)c->global->pdata[i];
	return 0;
}

static CUresult counter_add(const struct kernel_call *c)
{
	uintptr_t p = variable(c, "counter");
	struct pins pins = PINS_INIT;
	CUresult err = use(&pins, p, 1, 4, ACCESS_READ | ACCESS_WRITE);

	if (!err)
		*(uint32_t *)p += PARAM(c, 0, uint32_t);
	pins_drop(&pins);
	return err;
}

/* *out = (global_counter += add) + constant_table[3] */
static CUresult count_global(const struct kernel_call *c)
{
	uintptr_t out = PARAM(c, 0, uintptr_t), counter = variable(c, "global_counter"),
		  table = variable(c, "constant_table");
	struct pins pins = PINS_INIT;
	CUresult err;

	if (!counter || !table)
		return CUDA_ERROR_ILLEGAL_ADDRESS;
	err = use(&pins, counter, 1, 4, ACCESS_READ | ACCESS_WRITE);
	if (!err)
		err = use(&pins, table, 4, 4, ACCESS_READ);
	if (!err)
		err = use(&pins, out, 1, 4, ACCESS_WRITE);
	if (!err) {
		*(uint32_t *)counter += PARAM(c, 1, uint32_t);
		*(uint32_t *)out = *(uint32_t *)counter + ((const uint32_t *)table)[3];
	}
	pins_drop(&pins);
	return err;
}

static CUresult put_double(uintptr_t out, double value)
{
	struct pins pins = PINS_INIT;
	CUresult err = use(&pins, out, 1, 8, ACCESS_WRITE);

	if (!err)
		*(double *)out = value;
	pins_drop(&pins);
	return err;
}

struct three {
	int a;
	double b;
	float c;
};

static CUresult sum_struct(const struct kernel_call *c)
{
	struct three t = PARAM(c, 0, struct three);

	return put_double(PARAM(c, 1, uintptr_t), t.a + t.b + (double)t.c);
}

static CUresult mixed(const struct kernel_call *c)
{
	return put_double(PARAM(c, 6, uintptr_t),
			  PARAM(c, 0, int8_t) + PARAM(c, 1, int16_t) + PARAM(c, 2, int32_t) +
				  (double)PARAM(c, 3, int64_t) + (double)PARAM(c, 4, float) +
				  PARAM(c, 5, double));
}

struct many {
	uint8_t byte;
	uint16_t half;
	uint32_t word[5];
	uint64_t wide;
};

/* Each parameter, and each member of the structure, as a number of its own. */
static CUresult mixed_struct(const struct kernel_call *c)
{
	struct many m = PARAM(c, 1, struct many);
	const uint64_t value[] = {
		PARAM(c, 0, uint8_t),
		m.byte,
		m.half,
		m.word[0] + m.word[4],
		m.wide,
		PARAM(c, 2, uint16_t),
		(uint64_t)(int64_t)CLAMP(PARAM(c, 3, double) * 1000, -9e18, 9e18)};
	uintptr_t out = PARAM(c, 4, uintptr_t);
	struct pins pins = PINS_INIT;
	CUresult err = use(&pins, out, G_N_ELEMENTS(value), 8, ACCESS_WRITE);

	if (!err)
		memcpy((void *)out, value, sizeof(value));
	pins_drop(&pins);
	return err;
}

/* The n words of one block, turned round by way of its shared memory. */
static CUresult reverse_shared(const struct kernel_call *c)
{
	uint32_t *p = (uint32_t *)PARAM(c, 0, uintptr_t);
	size_t n = MIN(all(PARAM(c, 1, int)), c->launch->block[0]);
	struct pins pins = PINS_INIT;
	CUresult err = use(&pins, (uintptr_t)p, n, 4, ACCESS_READ | ACCESS_WRITE);

	if (!err && n * 4 > c->launch->shared)
		err = CUDA_ERROR_ILLEGAL_ADDRESS;
	for (size_t i = 0; !err && i < n / 2; i++) {
		uint32_t first = p[i];

		p[i] = p[n - 1 - i];
		p[n - 1 - i] = first;
	}
	pins_drop(&pins);
	return err;
}

static CUresult sample(const struct kernel_call *c)
{
	uintptr_t out = PARAM(c, 1, uintptr_t);
	size_t width = all(PARAM(c, 2, int)), height = all(PARAM(c, 3, int));
	struct pins pins = PINS_INIT;
	CUresult err = use(&pins, out, width * height, 4, ACCESS_WRITE);

	if (!err && width && height)
		err = texture_sample(PARAM(c, 0, uint64_t), (float *)out, width, height);
	pins_drop(&pins);
	return err;
}

static CUresult empty(const struct kernel_call *c)
{
	(void)c;
	return CUDA_SUCCESS;
}

static CUresult grid_info(const struct kernel_call *c)
{
	uintptr_t out = PARAM(c, 0, uintptr_t);
	struct pins pins = PINS_INIT;
	CUresult err = use(&pins, out, 7, 4, ACCESS_WRITE);

	if (!err) {
		memcpy((void *)out, c->launch->grid, 12);
		memcpy((char *)out + 12, c->launch->block, 12);
		memcpy((char *)out + 24, &c->launch->shared, 4);
	}
	pins_drop(&pins);
	return err;
}

static CUresult count_threads(const struct kernel_call *c)
{
	uintptr_t p = PARAM(c, 0, uintptr_t);
	uint32_t n =
		(uint32_t)(threads_x(c) * threads_y(c)) * c->launch->grid[2] * c->launch->block[2];
	struct pins pins = PINS_INIT;
	CUresult err = use(&pins, p, 1, 4, ACCESS_READ | ACCESS_WRITE);

	if (!err)
		__atomic_fetch_add((uint32_t *)p, n, __ATOMIC_RELAXED);
	pins_drop(&pins);
	return err;
}

static CUresult print_value(const struct kernel_call *c)
{
	printf("value %d\n", PARAM(c, 0, int));
	fflush(stdout);
	return CUDA_SUCCESS;
}

static CUresult trap(const struct kernel_call *c)
{
	(void)c;
	return CUDA_ERROR_LAUNCH_FAILED;
}

static CUresult assertion(const struct kernel_call *c)
{
	fprintf(stderr, "%s: block: [0,0,0], thread: [0,0,0] Assertion failed.\n", c->entry->name);
	fflush(stderr);
	return CUDA_ERROR_ASSERT;
}

static const struct builtin builtins[] = {
	{"vector_add", 4, {8, 8, 8, 4}, vector_add},
	{"saxpy", 4, {4, 8, 8, 4}, saxpy},
	{"scale", 3, {8, 4, 4}, scale},
	{"matmul", 6, {8, 8, 8, 4, 4, 4}, matmul},
	{"fill", 3, {8, 4, 4}, fill},
	{"iota", 3, {8, 4, 4}, iota},
	{"increment", 2, {8, 4}, increment},
	{"copy", 3, {8, 8, 4}, copy},
	{"reduce_sum", 3, {8, 8, 4}, reduce_sum},
	{"write_flag", 2, {8, 8}, write_flag},
	{"wait_flag", 2, {8, 4}, wait_flag},
	{"delay", 1, {8}, delay},
	{"work", 2, {8, 4}, work},
	{"store_at", 2, {8, 4}, store_at},
	{"load_at", 2, {8, 8}, load_at},
	{"counter_add", 1, {4}, counter_add},
	{"sum_struct", 2, {24, 8}, sum_struct},
	{"mixed", 7, {1, 2, 4, 8, 4, 8, 8}, mixed},
	{"mixed", 5, {1, 32, 2, 8, 8}, mixed_struct},
	{"count_global", 2, {8, 4}, count_global},
	{"reverse_shared", 2, {8, 4}, reverse_shared},
	{"sample", 4, {8, 8, 4, 4}, sample},
	{"empty", 0, {0}, empty},
	{"grid_info", 1, {8}, grid_info},
	{"count_threads", 1, {8}, count_threads},
	{"print_value", 1, {4}, print_value},
	{"vgpu_spin", 0, {0}, spin},
	{"vgpu_trap", 0, {0}, trap},
	{"vgpu_assert", 0, {0}, assertion},
};

/* "name" or the C++ name "_Z4name...". */
static bool is_named(const char *symbol, const char *name)
{
	guint64 length;
	char *rest_of;

	if (!strcmp(symbol, name))
		return true;
	if (strncmp(symbol, "_Z", 2) != 0)
		return false;
	length = g_ascii_strtoull(symbol + 2, &rest_of, 10);
	return length == strlen(name) && !strncmp(rest_of, name, length);
}

static bool matches(const struct builtin *b, const struct ptx_entry *e)
{
	if (!is_named(e->name, b->name) || e->param->len != b->nparams)
		return false;
	for (unsigned int i = 0; i < b->nparams; i++)
		if (g_array_index(e->param, struct ptx_param, i).size != b->size[i])
			return false;
	return true;
}

const struct builtin *builtin_find(const struct ptx_entry *e)
{
	for (size_t i = 0; i < G_N_ELEMENTS(builtins); i++)
		if (matches(&builtins[i], e))
			return &builtins[i];
	return NULL;
}

CUresult kernel_run(const struct kernel_work *k)
{
	const struct kernel_call call = {.launch = &k->launch,
					 .param = k->param,
					 .entry = k->fn->entry,
					 .global = k->fn->global,
					 .ptx = k->fn->ptx};

	return k->fn->builtin->run(&call);
}
