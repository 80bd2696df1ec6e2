// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * gpu_test vector_add: out[i] = a[i] + b[i], checked bit for bit.
 */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "gpu_test.h"
#include "vgpu_stub.h"

struct vectors {
	size_t n;
	struct array a, b, out;
};

static int verdict(struct context *c, const struct vgpu_compute_result *r, uint64_t elements,
		   uint64_t errors)
{
	say(c, "Vector add %s: %" PRIu64 " elements, %" PRIu64 " errors",
	    errors ? "failed" : "passed", elements, errors);
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
	int got = vgpu_call(c->session, VGPU_CMD_VECTOR_ADD, NULL, 0, NULL, 0, &r, sizeof(r),
			    c->opt.timeout_ms);

	if (got >= 0 && got < (int)sizeof(r))
		errno = EPROTO;
	if (got < (int)sizeof(r))
		return complain("vector_add");
	return verdict(c, &r, r.elements, r.errors);
}

/* Any NaN is as good as another; the bits of one depend on the processor. */
static bool same(float x, float y)
{
	return memcmp(&x, &y, sizeof(x)) == 0 || (isnan(x) && isnan(y));
}

static uint64_t count_errors(const struct vectors *v)
{
	uint64_t errors = 0;

	for (size_t i = 0; i < v->n; i++) {
		float want = v->a.data[i] + v->b.data[i];

		if (same(v->out.data[i], want))
			continue;
		if (errors++ == 0)
			fprintf(stderr, "gpu_test: element %zu is %a, want %a\n", i,
				(double)v->out.data[i], (double)want);
	}
	return errors;
}

/* How many elements, 0 with a message if the inputs do not fit together. */
static size_t elements_wanted(const struct options *o)
{
	size_t a, b;

	if (!o->inputs)
		return o->size;
	a = file_floats(o->input[0]);
	b = file_floats(o->input[1]);
	if (a && b && a != b) {
		fprintf(stderr, "gpu_test: %s and %s differ in size\n", o->input[0], o->input[1]);
		return 0;
	}
	return a && b ? a : 0;
}

static int fill(struct context *c, struct vectors *v)
{
	uint64_t state = c->opt.seed;

	if (c->opt.inputs) {
		if (file_load(c->opt.input[0], &v->a) < 0)
			return complain(c->opt.input[0]);
		if (file_load(c->opt.input[1], &v->b) < 0)
			return complain(c->opt.input[1]);
	} else {
		random_floats(&state, v->a.data, v->n);
		random_floats(&state, v->b.data, v->n);
	}
	memset(v->out.data, 0xff, v->out.bytes); /* NaN: an element left out is seen */
	return EXIT_PASSED;
}

static int register_all(struct context *c, struct vectors *v)
{
	if (array_register(c, &v->a, VGPU_STUB_BUFFER_READ) < 0 ||
	    array_register(c, &v->b, VGPU_STUB_BUFFER_READ) < 0 ||
	    array_register(c, &v->out, VGPU_STUB_BUFFER_WRITE) < 0)
		return complain("registering buffers");
	return EXIT_PASSED;
}

static int add(struct context *c, struct vectors *v)
{
	struct vgpu_vector_add body = {.elements = v->n};
	struct vgpu_compute_result r;
	unsigned int repeat = c->opt.repeat ? c->opt.repeat : 1;
	uint64_t errors = 0;

	for (unsigned int i = 0; i < repeat; i++) {
		memset(v->out.data, 0xff, v->out.bytes);
		if (compute(c, VGPU_CMD_VECTOR_ADD, &body, sizeof(body), &v->a, &v->b, &v->out,
			    &r) < 0)
			return complain("vector_add");
		errors += count_errors(v);
	}
	if (c->opt.output && file_save(c->opt.output, v->out.data, v->out.bytes) < 0)
		return complain(c->opt.output);
	report_int(c, "repetitions", repeat);
	return verdict(c, &r, v->n, errors);
}

static int make(struct vectors *v)
{
	size_t bytes = v->n * sizeof(float);

	if (array_make(&v->a, bytes) < 0 || array_make(&v->b, bytes) < 0 ||
	    array_make(&v->out, bytes) < 0)
		return complain("memory");
	return EXIT_PASSED;
}

static int own_data(struct context *c)
{
	struct vectors v = {.n = elements_wanted(&c->opt)};
	int ret;

	if (!v.n)
		return EXIT_FAILED;
	ret = make(&v);
	if (ret == EXIT_PASSED)
		ret = fill(c, &v);
	if (ret == EXIT_PASSED)
		ret = register_all(c, &v);
	if (ret == EXIT_PASSED)
		ret = add(c, &v);
	array_free(c, &v.a);
	array_free(c, &v.b);
	array_free(c, &v.out);
	return ret;
}

int run_vector_add(struct context *c)
{
	unsigned int repeat = c->opt.repeat ? c->opt.repeat : 1;
	int ret = EXIT_PASSED;

	if (c->opt.size || c->opt.inputs)
		return own_data(c);
	for (unsigned int i = 0; i < repeat && ret == EXIT_PASSED; i++)
		ret = self_test(c);
	return ret;
}
