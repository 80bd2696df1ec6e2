/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The cpu backend: always there.  It works where the operands lie, so it
 * copies nothing but what BANDWIDTH is there to copy, and an operand that
 * overlaps the result at another place.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysinfo.h>
#include <time.h>
#include <unistd.h>

#include "backend.h"
#include "cursor.h"
#ifdef HAVE_CPU_DRIVER
#include "driver/cpu_driver.h"
#endif
#include "overlap.h"

struct vgpu_backend {
	struct vgpu_account account; /* `take` NULL: nobody pays */
};

/* "Device memory" is what a command needs beside its operands. */
static void *device_alloc(struct vgpu_backend *be, uint64_t bytes)
{
	void *p;

	if (be->account.take && !be->account.take(be->account.opaque, bytes))
		return NULL;
	p = malloc(bytes);
	if (!p && be->account.give)
		be->account.give(be->account.opaque, bytes);
	return p;
}

static void device_free(struct vgpu_backend *be, void *p, uint64_t bytes)
{
	free(p);
	if (be->account.give)
		be->account.give(be->account.opaque, bytes);
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static int cpu_probe(unsigned int device, char **description, GError **err)
{
	(void)device;
	(void)err;
	*description = g_strdup_printf("host CPU, %ld processors", sysconf(_SC_NPROCESSORS_ONLN));
	return 0;
}

static int cpu_open(struct vgpu_backend **be, unsigned int device, GError **err)
{
	(void)device;
	(void)err;
	*be = g_new0(struct vgpu_backend, 1);
	return 0;
}

static void cpu_close(struct vgpu_backend *be)
{
	g_free(be);
}

static void cpu_account(struct vgpu_backend *be, const struct vgpu_account *account)
{
	be->account = *account;
}

static int cpu_identity(struct vgpu_backend *be, char name[128], uint64_t *memory)
{
	struct sysinfo si;

	(void)be;
	g_strlcpy(name, "host CPU", 128);
	*memory = sysinfo(&si) < 0 ? 0 : (uint64_t)si.totalram * si.mem_unit;
	return 0;
}

static int cpu_info(struct vgpu_backend *be, struct vgpu_info_result *out)
{
	struct sysinfo si;

	(void)be;
	memset(out, 0, sizeof(*out));
	out->backend = VGPU_BACKEND_CPU;
	out->multiprocessors = (uint32_t)sysconf(_SC_NPROCESSORS_ONLN);
	g_strlcpy(out->name, "host CPU", sizeof(out->name));
	if (sysinfo(&si) < 0)
		return 0;
	out->memory_total = (uint64_t)si.totalram * si.mem_unit;
	out->memory_free = (uint64_t)si.freeram * si.mem_unit;
	return 0;
}

/* One stretch where all three operands are contiguous. */
static void add(const float *a, const float *b, float *out, size_t n)
{
	for (size_t i = 0; i < n; i++)
		out[i] = a[i] + b[i];
}

static void add_in_place(const struct vgpu_operand *a, const struct vgpu_operand *b,
			 const struct vgpu_operand *out, uint64_t n)
{
	struct cursor x, y, z;

	cursor_init(&x, a);
	cursor_init(&y, b);
	cursor_init(&z, out);
	while (n) {
		uint64_t part = MIN(n, cursor_left(&x));

		part = MIN(part, MIN(cursor_left(&y), cursor_left(&z)));
		add(cursor_at(&x), cursor_at(&y), cursor_at(&z), part);
		cursor_step(&x, part);
		cursor_step(&y, part);
		cursor_step(&z, part);
		n -= part;
	}
}

/* Where storing one element would change another one not read yet. */
static int add_by_copy(struct vgpu_backend *be, const struct vgpu_operand *a,
		       const struct vgpu_operand *b, const struct vgpu_operand *out, uint64_t n)
{
	float *sum = device_alloc(be, n * sizeof(float));
	struct vgpu_run run = {.base = (uint8_t *)sum, .length = n * sizeof(float)};
	const struct vgpu_operand private = {.run = &run, .nruns = 1, .length = run.length};

	if (!sum)
		return -ENOMEM;
	add_in_place(a, b, &private, n);
	cursor_store(out, sum);
	device_free(be, sum, n * sizeof(float));
	return 0;
}

static int cpu_vector_add(struct vgpu_backend *be, const struct vgpu_operand *a,
			  const struct vgpu_operand *b, const struct vgpu_operand *out, uint64_t n,
			  struct vgpu_work *work)
{
	uint64_t began = now_ns();
	int shifted = overlap_is_shifted(out, a, b);

	if (shifted < 0)
		return shifted;
	if (shifted) {
		int err = add_by_copy(be, a, b, out, n);

		if (err)
			return err;
		work->host_copied += n * sizeof(float);
	} else {
		add_in_place(a, b, out, n);
	}
	work->nanoseconds += now_ns() - began;
	return 0;
}

/* acc[j] += a * b[j] for one row of b, which may lie in several runs. */
static void add_row(float *acc, float a, struct cursor *b, uint64_t n)
{
	while (n) {
		uint64_t part = MIN(n, cursor_left(b));
		const float *src = cursor_at(b);

		for (uint64_t j = 0; j < part; j++)
			acc[j] += a * src[j];
		cursor_step(b, part);
		acc += part;
		n -= part;
	}
}

/* Row by row, summing over k in order, so that the result does not depend on the layout. */
static int cpu_matmul(struct vgpu_backend *be, const struct vgpu_operand *a,
		      const struct vgpu_operand *b, const struct vgpu_operand *out,
		      const struct vgpu_matmul *dims, struct vgpu_work *work)
{
	uint64_t began = now_ns();
	float *acc = malloc(dims->n * sizeof(float));
	struct cursor x, z;

	(void)be;
	if (!acc)
		return -ENOMEM;
	cursor_init(&x, a);
	cursor_init(&z, out);
	for (uint32_t i = 0; i < dims->m; i++) {
		struct cursor y;

		cursor_init(&y, b);
		memset(acc, 0, dims->n * sizeof(float));
		for (uint32_t l = 0; l < dims->k; l++) {
			add_row(acc, *cursor_at(&x), &y, dims->n);
			cursor_step(&x, 1);
		}
		cursor_put(&z, acc, dims->n);
	}
	free(acc);
	work->nanoseconds += now_ns() - began;
	return 0;
}

static uint32_t sum_words(const uint32_t *word, uint64_t n)
{
	uint32_t sum = 0;

	for (uint64_t i = 0; i < n; i++)
		sum += word[i]; /* NOLINT(clang-analyzer-core.uninitialized.Assign): loaded whole */
	return sum;
}

/* "The device" is a private buffer: both ways are honest copies by this CPU. */
static int cpu_bandwidth(struct vgpu_backend *be, const struct vgpu_operand *buf,
			 uint32_t repetitions, struct vgpu_bandwidth_result *out,
			 struct vgpu_work *work)
{
	uint8_t *device = device_alloc(be, buf->length);
	uint64_t began = now_ns();

	if (!device)
		return -ENOMEM;
	for (uint32_t r = 0; r < repetitions; r++) { /* once at the least */
		uint64_t t = now_ns();

		cursor_load(device, buf);
		out->to_device_ns += now_ns() - t;
		t = now_ns();
		cursor_store(buf, device);
		out->from_device_ns += now_ns() - t;
	}
	out->checksum = sum_words((const uint32_t *)device, buf->length / sizeof(uint32_t));
	out->bytes = buf->length * repetitions;
	out->host_copied = 2 * out->bytes;
	work->host_copied += out->host_copied;
	work->nanoseconds += now_ns() - began;
	device_free(be, device, buf->length);
	return 0;
}

#ifdef HAVE_CPU_DRIVER
static void *cpu_symbol(struct vgpu_backend *be, const char *name)
{
	(void)be;
	return cpu_driver_symbol(name);
}

static int cpu_copy(struct vgpu_backend *be, void *stream, uint64_t device,
		    const struct vgpu_operand *op, bool to_device, uint64_t *copied)
{
	int err = cpu_driver_copy(stream, device, op, to_device);

	(void)be;
	if (!err)
		*copied += op->length;
	return err;
}
#endif

const struct vgpu_backend_ops *vgpu_backend_cpu(void)
{
	static const struct vgpu_backend_ops ops = {
		.api = VGPU_BACKEND_API,
		.id = VGPU_BACKEND_CPU,
		.name = "cpu",
		.probe = cpu_probe,
		.open = cpu_open,
		.close = cpu_close,
		.info = cpu_info,
		.vector_add = cpu_vector_add,
		.matmul = cpu_matmul,
		.bandwidth = cpu_bandwidth,
		.account = cpu_account,
		.identity = cpu_identity,
#ifdef HAVE_CPU_DRIVER
		.symbol = cpu_symbol,
		.copy = cpu_copy,
#endif
	};

	return &ops;
}
