/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * backend-bench: how fast a backend moves operands by the length of their runs.
 *
 * Prints a table; nothing in it passes or fails.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ram.h"
#include "reference.h"

#define KIB ((uint64_t)1 << 10)
#define MIB ((uint64_t)1 << 20)

static char *backend_name;
static int device_number;
static int size_mib = 64;
static int repetitions = 11;

static const GOptionEntry entries[] = {
	{"backend", 'b', 0, G_OPTION_ARG_STRING, &backend_name, "cpu, or the path of a module",
	 "BACKEND"},
	{"device", 'd', 0, G_OPTION_ARG_INT, &device_number, "which device (0)", "N"},
	{"size", 's', 0, G_OPTION_ARG_INT, &size_mib, "of an operand (64)", "MIB"},
	{"repetitions", 'r', 0, G_OPTION_ARG_INT, &repetitions, "of each measurement (11)", "N"},
	{NULL},
};

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int by_value(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static double median(double *value, int n)
{
	qsort(value, (size_t)n, sizeof(*value), by_value);
	return value[n / 2];
}

/* Runs of `run_length` bytes, `skew` bytes into their places, in random order. */
static struct vgpu_operand *scattered(uint8_t *base, uint64_t length, uint64_t run_length,
				      uint64_t skew)
{
	struct vgpu_operand *op = g_new0(struct vgpu_operand, 1);
	uint32_t n = (uint32_t)(length / run_length);
	struct vgpu_run *run = g_new(struct vgpu_run, n);

	for (uint32_t i = 0; i < n; i++) {
		uint32_t j = (uint32_t)g_random_int_range(0, (gint32)i + 1);

		run[i] = run[j];
		run[j] = (struct vgpu_run){base + i * run_length + skew, run_length};
	}
	*op = (struct vgpu_operand){run, n, length};
	return op;
}

static double add_seconds(struct vgpu_backend *be, const struct vgpu_operand *op[3],
			  uint64_t *host_copied)
{
	double *seconds = g_new(double, repetitions), result;

	for (int i = -1; i < repetitions; i++) { /* the first one is not counted */
		struct vgpu_work work = {0};
		double began = now();

		assert_ok(subject.ops->vector_add(be, op[0], op[1], op[2],
						  op[0]->length / sizeof(float), &work));
		if (i >= 0)
			seconds[i] = now() - began;
		*host_copied = work.host_copied;
	}
	result = median(seconds, repetitions);
	g_free(seconds);
	return result;
}

static void one_line(struct vgpu_backend *be, struct ram *ram, const char *name,
		     uint64_t run_length, uint64_t skew)
{
	uint64_t length = (uint64_t)size_mib * MIB, host_copied = 0;
	struct vgpu_bandwidth_result bw = {0};
	struct vgpu_work work = {0};
	struct vgpu_operand *op[3];
	double seconds;

	if (run_length > length)
		return;
	for (int i = 0; i < 3; i++)
		op[i] = scattered(ram->base + (uint64_t)i * (length + MIB), length, run_length,
				  skew);
	seconds = add_seconds(be, (const struct vgpu_operand **)op, &host_copied);
	assert_ok(subject.ops->bandwidth(be, op[0], (uint32_t)repetitions, &bw, &work));
	printf("%-22s %9.3f %9.2f %11.2f %11.2f %12" G_GUINT64_FORMAT "\n", name, seconds * 1e3,
	       3.0 * (double)length / seconds / 1e9, (double)bw.bytes / (double)bw.to_device_ns,
	       (double)bw.bytes / (double)bw.from_device_ns, (guint64)host_copied);
	for (int i = 0; i < 3; i++)
		operand_free(op[i]);
}

static void table(struct vgpu_backend *be)
{
	static const uint64_t kib[] = {4, 16, 32, 64, 128, 256, 512, 1024, 2048};
	uint64_t length = (uint64_t)size_mib * MIB;
	struct ram *ram = ram_new(be, 3 * (length + MIB));

	memset(ram->base, 0, ram->size); /* pages exist before anything is timed */
	printf("operands of %d MiB         vector_add        to device from device  copied by\n",
	       size_mib);
	printf("%-22s %9s %9s %11s %11s %12s\n", "runs of", "ms", "GB/s", "GB/s", "GB/s",
	       "the CPU");
	for (size_t i = 0; i < G_N_ELEMENTS(kib); i++) {
		char *name = g_strdup_printf("%" G_GUINT64_FORMAT " KiB", (guint64)kib[i]);

		one_line(be, ram, name, kib[i] * KIB, 0);
		g_free(name);
	}
	one_line(be, ram, "4 KiB, 4 bytes off", 4 * KIB, 4);
	one_line(be, ram, "256 bytes", 256, 0);
	one_line(be, ram, "all in one", length, 0);
	subject_unmap(be, ram->base, ram->size);
	ram->be = NULL;
	one_line(be, ram, "all in one, not mapped", length, 0);
	ram_free(ram);
}

/* What a small command costs. */
static void small(struct vgpu_backend *be)
{
	static const uint64_t elements[] = {1, 1024, 16384};

	for (size_t i = 0; i < G_N_ELEMENTS(elements); i++) {
		struct ram *ram = ram_new(be, MIB);
		struct vgpu_operand *op[3];
		uint64_t host_copied;
		int kept = repetitions;

		repetitions = 1001;
		for (int j = 0; j < 3; j++)
			op[j] = scattered(ram->base + (uint64_t)j * 128 * KIB,
					  elements[i] * sizeof(float),
					  MIN(4 * KIB, elements[i] * sizeof(float)), 0);
		printf("vector_add of %5" G_GUINT64_FORMAT " floats in pages: %8.2f us\n",
		       (guint64)elements[i],
		       add_seconds(be, (const struct vgpu_operand **)op, &host_copied) * 1e6);
		for (int j = 0; j < 3; j++)
			operand_free(op[j]);
		repetitions = kept;
		ram_free(ram);
	}
}

static void products(struct vgpu_backend *be)
{
	static const uint32_t size[] = {256, 1024, 4096};
	size_t most = subject.ops->id == VGPU_BACKEND_CPU ? 2 : G_N_ELEMENTS(size);

	for (size_t i = 0; i < most; i++) {
		const struct vgpu_matmul dims = {.m = size[i], .n = size[i], .k = size[i]};
		uint64_t length = (uint64_t)size[i] * size[i] * sizeof(float);
		struct ram *ram = ram_new(be, 3 * length);
		struct vgpu_operand *op[3];
		struct vgpu_work work = {0};
		double best = 0;

		for (int j = 0; j < 3; j++)
			op[j] = scattered(ram->base + (uint64_t)j * length, length, 4 * KIB, 0);
		for (int j = 0; j < 4; j++) {
			double began = now();

			assert_ok(subject.ops->matmul(be, op[0], op[1], op[2], &dims, &work));
			best = MAX(best, 2.0 * size[i] * size[i] * size[i] / (now() - began) / 1e9);
		}
		printf("matmul of %4u, copies included: %10.1f GFLOP/s\n", size[i], best);
		for (int j = 0; j < 3; j++)
			operand_free(op[j]);
		ram_free(ram);
	}
}

static void yardstick(void)
{
	struct reference r;

	if (!reference_measure(subject.device, (size_t)size_mib * MIB, &r)) {
		printf("plain copies: no driver to measure them with\n");
		return;
	}
	printf("plain cuMemcpy of %d MiB, GB/s: pinned to device %.2f, from device %.2f; "
	       "pageable to device %.2f, from device %.2f\n",
	       size_mib, r.pinned_to_device, r.pinned_from_device, r.pageable_to_device,
	       r.pageable_from_device);
}

static bool read_options(int *argc, char ***argv, GError **err)
{
	GOptionContext *context = g_option_context_new("- measure a backend");
	bool ok;

	g_option_context_add_main_entries(context, entries, NULL);
	ok = g_option_context_parse(context, argc, argv, err);
	g_option_context_free(context);
	return ok;
}

int main(int argc, char **argv)
{
	struct vgpu_backend *be;
	GError *err = NULL;
	char *text;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (!read_options(&argc, &argv, &err) || !backend_name || device_number < 0 ||
	    size_mib < 1 || size_mib > 1024 || repetitions < 1 || repetitions > 1000) {
		fprintf(stderr, "%s\n", err ? err->message : "bad or missing options; see --help");
		return 2;
	}
	subject.device = (unsigned int)device_number;
	if (!subject_load(backend_name, &err)) {
		fprintf(stderr, "%s\n", err->message);
		return EXIT_FAILURE;
	}
	if (!subject_probe(&text)) {
		printf("backend %s cannot work here: %s\n", subject.ops->name, text);
		g_free(text);
		return 77;
	}
	printf("backend %s: %s\n", subject.ops->name, text);
	g_free(text);

	be = subject_open();
	if (subject.ops->id != VGPU_BACKEND_CPU)
		yardstick();
	table(be);
	small(be);
	products(be);
	subject.ops->close(be);
	return EXIT_SUCCESS;
}
