// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * gpu_test matmul: out[m][n] = a[m][k] * b[k][n], checked against a product
 * summed up in double precision; of large results only some rows.
 */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "gpu_test.h"
#include "vgpu_stub.h"

#define CHECK_ALL_UP_TO 50000000u /* multiplications */
#define CHECK_ROWS 16u

struct matrices {
	uint32_t m, n, k;
	struct array a, b, out;
};

static int verdict(struct context *c, const struct vgpu_compute_result *r, uint64_t elements,
		   uint64_t errors)
{
	say(c, "Matmul %s: %" PRIu64 " elements, %" PRIu64 " errors", errors ? "failed" : "passed",
	    elements, errors);
	say_backend(c, r->backend);
	report_int(c, "elements", elements);
	report_int(c, "errors", errors);
	report_int(c, "nanoseconds", r->nanoseconds);
	report_int(c, "host_copied", r->host_copied);
	return errors ? EXIT_FAILED : EXIT_PASSED;
}

static int self_test(struct context *c)
{
	struct vgpu_compute_result r;
	int got = vgpu_call(c->session, VGPU_CMD_MATMUL, NULL, 0, NULL, 0, &r, sizeof(r),
			    c->opt.timeout_ms);

	if (got >= 0 && got < (int)sizeof(r))
		errno = EPROTO;
	if (got < (int)sizeof(r))
		return complain("matmul");
	return verdict(c, &r, r.elements, r.errors);
}

/*
 * A sum of k products rounds by at most about k units in the last place of the
 * sum of their magnitudes, whatever the order.
 */
static bool element_right(const struct matrices *x, uint32_t row, uint32_t col)
{
	const float *a = x->a.data + (size_t)row * x->k;
	double sum = 0, magnitude = 0;

	for (uint32_t i = 0; i < x->k; i++) {
		double product = (double)a[i] * (double)x->b.data[(size_t)i * x->n + col];

		sum += product;
		magnitude += fabs(product);
	}
	return fabs((double)x->out.data[(size_t)row * x->n + col] - sum) <=
	       (x->k + 2) * 0x1p-24 * magnitude + 1e-37;
}

static uint64_t row_errors(const struct matrices *x, uint32_t row)
{
	uint64_t errors = 0;

	for (uint32_t col = 0; col < x->n; col++)
		errors += !element_right(x, row, col);
	return errors;
}

static uint64_t count_errors(struct context *c, const struct matrices *x)
{
	uint64_t work = (uint64_t)x->m * x->n * x->k;
	uint64_t errors = 0;
	uint32_t step = 1;

	if (work > CHECK_ALL_UP_TO && x->m > CHECK_ROWS)
		step = x->m / CHECK_ROWS;
	for (uint32_t row = 0; row < x->m; row += step)
		errors += row_errors(x, row);
	if (step > 1) {
		errors += row_errors(x, x->m - 1);
		say(c, "Checked %u of %u rows", (x->m + step - 1) / step + 1, x->m);
	}
	return errors;
}

static int prepare(struct context *c, struct matrices *x)
{
	uint64_t state = c->opt.seed;

	if (array_make(&x->a, (size_t)x->m * x->k * sizeof(float)) < 0 ||
	    array_make(&x->b, (size_t)x->k * x->n * sizeof(float)) < 0 ||
	    array_make(&x->out, (size_t)x->m * x->n * sizeof(float)) < 0)
		return complain("memory");
	if (c->opt.inputs) {
		if (file_floats(c->opt.input[0]) * sizeof(float) != x->a.bytes ||
		    file_floats(c->opt.input[1]) * sizeof(float) != x->b.bytes) {
			fprintf(stderr, "gpu_test: the input files do not fit --dims\n");
			return EXIT_FAILED;
		}
		if (file_load(c->opt.input[0], &x->a) < 0)
			return complain(c->opt.input[0]);
		if (file_load(c->opt.input[1], &x->b) < 0)
			return complain(c->opt.input[1]);
	} else {
		random_floats(&state, x->a.data, x->a.bytes / sizeof(float));
		random_floats(&state, x->b.data, x->b.bytes / sizeof(float));
	}
	if (array_register(c, &x->a, VGPU_STUB_BUFFER_READ) < 0 ||
	    array_register(c, &x->b, VGPU_STUB_BUFFER_READ) < 0 ||
	    array_register(c, &x->out, VGPU_STUB_BUFFER_WRITE) < 0)
		return complain("registering buffers");
	return EXIT_PASSED;
}

static int multiply(struct context *c, struct matrices *x)
{
	struct vgpu_matmul body = {.m = x->m, .n = x->n, .k = x->k};
	struct vgpu_compute_result r;
	unsigned int repeat = c->opt.repeat ? c->opt.repeat : 1;
	uint64_t errors = 0;

	for (unsigned int i = 0; i < repeat; i++) {
		memset(x->out.data, 0xff, x->out.bytes); /* NaN is never right */
		if (compute(c, VGPU_CMD_MATMUL, &body, sizeof(body), &x->a, &x->b, &x->out, &r) < 0)
			return complain("matmul");
		errors += count_errors(c, x);
	}
	if (c->opt.output && file_save(c->opt.output, x->out.data, x->out.bytes) < 0)
		return complain(c->opt.output);
	report_int(c, "repetitions", repeat);
	return verdict(c, &r, (uint64_t)x->m * x->n, errors);
}

int run_matmul(struct context *c)
{
	struct matrices x = {.m = c->opt.m, .n = c->opt.n, .k = c->opt.k};
	int ret;

	if (c->opt.size > VGPU_MATMUL_DIM_MAX) {
		fprintf(stderr, "gpu_test: matmul: at most %u rows\n", VGPU_MATMUL_DIM_MAX);
		return EXIT_USAGE;
	}
	if (!x.m)
		x.m = x.n = x.k = (uint32_t)c->opt.size;
	if (!x.m)
		return self_test(c);
	ret = prepare(c, &x);
	if (ret == EXIT_PASSED)
		ret = multiply(c, &x);
	array_free(c, &x.a);
	array_free(c, &x.b);
	array_free(c, &x.out);
	return ret;
}
