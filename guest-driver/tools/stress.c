// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * gpu_test stress: requests of all kinds and sizes at random, each verified.
 *
 * Buffers come and go meanwhile.  Requests that must be refused are part of the
 * mix: a refusal with the right error is what counts as right.
 */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "gpu_test.h"
#include "vgpu_stub.h"

#define POOL 4
#define FLOATS_MAX (256u * 1024)
#define DIM_MAX 96u
#define BATCH_MAX 16u
#define ERRORS_MAX 10 /* then it gives up */
#define RW (VGPU_STUB_BUFFER_READ | VGPU_STUB_BUFFER_WRITE)

struct stress {
	struct context *c;
	uint64_t state;
	struct array pool[POOL];
	uint64_t operations;
	uint64_t errors;
	uint64_t lost;
	uint64_t counted[8]; /* by kind */
};

enum verdict { RIGHT, WRONG, LOST };

static uint32_t below(struct stress *s, uint32_t limit)
{
	return (uint32_t)(random_next(&s->state) % limit);
}

static bool is_loss(int error)
{
	return error == EIO || error == ENOTCONN || error == ENODEV || error == EPROTO;
}

/* Of a call that should have worked and did not. */
static enum verdict failed(const char *what)
{
	if (is_loss(errno))
		return LOST;
	complain(what);
	return WRONG;
}

static int call(struct stress *s, uint16_t command, const struct vgpu_desc *desc,
		unsigned int ndesc, const void *body, size_t length, void *out, size_t size)
{
	return vgpu_call(s->c->session, command, desc, ndesc, body, length, out, size,
			 s->c->opt.timeout_ms);
}

/* ------------------------------------------------------------------- buffers */

static void pool_forget(struct stress *s)
{
	for (int i = 0; i < POOL; i++)
		s->pool[i].registered = false;
}

/* Gives slot `i` at least `floats` floats, sometimes a fresh registration. */
static enum verdict pool_need(struct stress *s, int i, size_t floats)
{
	struct array *a = &s->pool[i];
	size_t bytes = floats * sizeof(float);

	if (a->registered && a->bytes >= bytes && below(s, 8))
		return RIGHT;
	if (a->registered && array_unregister(s->c, a) < 0)
		return failed("unregistering a buffer");
	array_free(s->c, a);
	if (array_make(a, bytes + below(s, 65536) / 4 * 4) < 0)
		return failed("memory");
	return array_register(s->c, a, RW) ? failed("registering a buffer") : RIGHT;
}

/* A place for `floats` floats anywhere in slot `i`, as descriptor and pointer. */
static float *pool_place(struct stress *s, int i, size_t floats, struct vgpu_desc *desc)
{
	size_t spare = s->pool[i].bytes / sizeof(float) - floats;
	size_t at = spare ? below(s, (uint32_t)spare + 1) : 0;

	*desc = (struct vgpu_desc){
		.buffer = s->pool[i].handle,
		.offset = at * sizeof(float),
		.length = floats * sizeof(float),
	};
	return s->pool[i].data + at;
}

static enum verdict pool_three(struct stress *s, const size_t floats[3], struct vgpu_desc desc[3],
			       float *place[3])
{
	for (int i = 0; i < 3; i++) {
		enum verdict v = pool_need(s, i, floats[i]);

		if (v != RIGHT)
			return v;
		place[i] = pool_place(s, i, floats[i], &desc[i]);
	}
	random_floats(&s->state, place[0], floats[0]);
	random_floats(&s->state, place[1], floats[1]);
	memset(place[2], 0xff, floats[2] * sizeof(float));
	return RIGHT;
}

/* ---------------------------------------------------------------- operations */

static enum verdict stress_nop(struct stress *s)
{
	return call(s, VGPU_CMD_NOP, NULL, 0, NULL, 0, NULL, 0) < 0 ? failed("nop") : RIGHT;
}

static enum verdict stress_batch(struct stress *s)
{
	unsigned int n = 2 + below(s, BATCH_MAX - 1);
	uint64_t first = 0, id = 0;

	for (unsigned int i = 0; i < n; i++) {
		if (vgpu_submit(s->c->session, VGPU_CMD_NOP, NULL, 0, NULL, 0, &id) < 0)
			return failed("nop in a batch");
		if (i == 0)
			first = id;
	}
	for (unsigned int i = 0; i < n; i++) {
		const struct vgpu_response *rsp;

		if (vgpu_receive(s->c->session, s->c->opt.timeout_ms, &rsp) < 0)
			return failed("response in a batch");
		if (rsp->id != first + i || rsp->status)
			return WRONG;
	}
	return RIGHT;
}

static enum verdict stress_self_test(struct stress *s)
{
	struct vgpu_compute_result r;
	uint16_t command = below(s, 2) ? VGPU_CMD_VECTOR_ADD : VGPU_CMD_MATMUL;
	int got = call(s, command, NULL, 0, NULL, 0, &r, sizeof(r));

	if (got < 0)
		return failed("self-test");
	return got >= (int)sizeof(r) && r.errors == 0 ? RIGHT : WRONG;
}

static enum verdict stress_vector_add(struct stress *s)
{
	size_t n = 1 + below(s, 1u << below(s, 19)) % FLOATS_MAX;
	struct vgpu_vector_add body = {.elements = n};
	struct vgpu_compute_result r;
	struct vgpu_desc desc[3];
	float *x[3];
	enum verdict v = pool_three(s, (size_t[3]){n, n, n}, desc, x);

	if (v != RIGHT)
		return v;
	if (call(s, VGPU_CMD_VECTOR_ADD, desc, 3, &body, sizeof(body), &r, sizeof(r)) < 0)
		return failed("vector_add");
	for (size_t i = 0; i < n; i++) {
		float want = x[0][i] + x[1][i];

		if (memcmp(&x[2][i], &want, sizeof(want)) != 0)
			return WRONG;
	}
	return RIGHT;
}

static bool product_right(uint32_t m, uint32_t n, uint32_t k, float *const x[3])
{
	for (uint32_t i = 0; i < m * n; i++) {
		double sum = 0, magnitude = 0;

		for (uint32_t j = 0; j < k; j++) {
			double product = (double)x[0][i / n * k + j] * (double)x[1][j * n + i % n];

			sum += product;
			magnitude += fabs(product);
		}
		if (!(fabs((double)x[2][i] - sum) <= (k + 2) * 0x1p-24 * magnitude + 1e-37))
			return false;
	}
	return true;
}

static enum verdict stress_matmul(struct stress *s)
{
	uint32_t m = 1 + below(s, DIM_MAX), n = 1 + below(s, DIM_MAX), k = 1 + below(s, DIM_MAX);
	struct vgpu_matmul body = {.m = m, .n = n, .k = k};
	struct vgpu_compute_result r;
	struct vgpu_desc desc[3];
	float *x[3];
	enum verdict v =
		pool_three(s, (size_t[3]){(size_t)m * k, (size_t)k * n, (size_t)m * n}, desc, x);

	if (v != RIGHT)
		return v;
	if (call(s, VGPU_CMD_MATMUL, desc, 3, &body, sizeof(body), &r, sizeof(r)) < 0)
		return failed("matmul");
	return product_right(m, n, k, x) ? RIGHT : WRONG;
}

static enum verdict stress_bandwidth(struct stress *s)
{
	size_t n = 1 + below(s, FLOATS_MAX);
	struct vgpu_bandwidth body = {.repetitions = 1 + below(s, 3)};
	struct vgpu_bandwidth_result r;
	struct vgpu_desc desc;
	enum verdict v = pool_need(s, 3, n);
	uint32_t sum = 0;
	float *x;

	if (v != RIGHT)
		return v;
	x = pool_place(s, 3, n, &desc);
	random_floats(&s->state, x, n);
	for (size_t i = 0; i < n; i++) {
		uint32_t word;

		memcpy(&word, &x[i], sizeof(word));
		sum += word;
	}
	if (call(s, VGPU_CMD_BANDWIDTH, &desc, 1, &body, sizeof(body), &r, sizeof(r)) < 0)
		return failed("bandwidth");
	return r.checksum == sum ? RIGHT : WRONG;
}

static enum verdict stress_query(struct stress *s)
{
	struct vgpu_status_result st;
	struct vgpu_info_result in;

	if (below(s, 2))
		return call(s, VGPU_CMD_GPU_INFO, NULL, 0, NULL, 0, &in, sizeof(in)) < 0
			       ? failed("info")
			       : RIGHT;
	return call(s, VGPU_CMD_QUERY_STATUS, NULL, 0, NULL, 0, &st, sizeof(st)) < 0
		       ? failed("status")
		       : RIGHT;
}

/* What the host must refuse, and how. */
static enum verdict stress_refused(struct stress *s)
{
	struct vgpu_vector_add add = {.elements = 4};
	struct vgpu_desc bad[3] = {0};
	int want, got;

	switch (below(s, 3)) {
	case 0:
		want = EOPNOTSUPP;
		got = call(s, 0x7fff, NULL, 0, NULL, 0, NULL, 0);
		break;
	case 1: /* no such buffer */
		want = ENOENT;
		for (int i = 0; i < 3; i++)
			bad[i] = (struct vgpu_desc){.buffer = 200, .length = 16};
		got = call(s, VGPU_CMD_VECTOR_ADD, bad, 3, &add, sizeof(add), NULL, 0);
		break;
	default: /* a body that is too short */
		want = EINVAL;
		got = call(s, VGPU_CMD_VECTOR_ADD, NULL, 0, &add, 4, NULL, 0);
		break;
	}
	if (got < 0 && errno == want)
		return RIGHT;
	if (got >= 0)
		errno = 0;
	return failed("a request that must be refused");
}

static enum verdict (*const kinds[])(struct stress *s) = {
	stress_nop,    stress_batch,     stress_self_test, stress_vector_add,
	stress_matmul, stress_bandwidth, stress_query,     stress_refused,
};

/* ---------------------------------------------------------------------- loop */

static bool reopen(struct stress *s, uint64_t end)
{
	struct timespec pause = {.tv_nsec = 50000000};

	vgpu_session_close(s->c->session);
	pool_forget(s);
	s->lost++;
	do {
		s->c->session = vgpu_session_open(s->c->opt.device);
		if (s->c->session) {
			vgpu_session_set_wait(s->c->session, s->c->opt.wait);
			return true;
		}
		nanosleep(&pause, NULL);
	} while (monotonic_ns() < end);
	return false;
}

/* One operation; false ends the run. */
static bool step(struct stress *s, uint64_t end)
{
	uint32_t kind = below(s, sizeof(kinds) / sizeof(kinds[0]));

	switch (kinds[kind](s)) {
	case RIGHT:
		s->operations++;
		s->counted[kind]++;
		return true;
	case WRONG:
		s->operations++;
		s->errors++;
		fprintf(stderr, "gpu_test: stress: operation %" PRIu64 " (kind %u) went wrong\n",
			s->operations, kind);
		return s->errors < ERRORS_MAX;
	default:
		if (s->c->opt.reopen && reopen(s, end))
			return true;
		complain("stress: the session is lost");
		s->errors++;
		return false;
	}
}

int run_stress(struct context *c)
{
	struct stress s = {.c = c, .state = c->opt.seed};
	uint64_t end = monotonic_ns() + (uint64_t)c->opt.seconds * 1000000000;

	while (step(&s, end) && monotonic_ns() < end)
		;
	for (int i = 0; i < POOL; i++)
		array_free(c, &s.pool[i]);
	say(c, "stress: %" PRIu64 " operations, %" PRIu64 " errors", s.operations, s.errors);
	if (c->opt.reopen)
		say(c, "Sessions lost and opened again: %" PRIu64, s.lost);
	report_int(c, "operations", s.operations);
	report_int(c, "errors", s.errors);
	report_int(c, "sessions_lost", s.lost);
	return s.errors ? EXIT_FAILED : EXIT_PASSED;
}
