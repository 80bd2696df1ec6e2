/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Every command, in every form, through the real daemon and a real worker. */
#include <errno.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

#include "frontend.h"

#define MIB (1024u * 1024)
#define RW (VGPU_BUFFER_READ | VGPU_BUFFER_WRITE)

struct fixture {
	struct daemon_proc *p;
	struct frontend *f;
	struct fqueue *q;
};

static void set_up(struct fixture *x, gconstpointer data)
{
	(void)data;
	x->p = daemon_start(NULL);
	x->f = frontend_new(x->p, "vm-one", 64 * MIB);
	x->q = fqueue_new(x->f, 0, 256, 64);
}

static void tear_down(struct fixture *x, gconstpointer data)
{
	(void)data;
	fqueue_end(x->q);
	frontend_free(x->f);
	daemon_stop(x->p);
}

static int call(struct fqueue *q, uint16_t command, const void *body, size_t length, void *out,
		size_t size)
{
	return fqueue_call(q, command, NULL, 0, body, length, out, size);
}

static void test_nop(struct fixture *x, gconstpointer data)
{
	(void)data;
	for (int i = 0; i < 1000; i++)
		g_assert_cmpint(call(x->q, VGPU_CMD_NOP, NULL, 0, NULL, 0), ==, 0);
	/* A response is published before the request stops being in flight. */
	WAIT_UNTIL(!__atomic_load_n(&x->q->page->in_flight, __ATOMIC_ACQUIRE));
	g_assert_cmpuint(x->q->page->requests, ==, 1000);
}

static void test_text(struct fixture *x, gconstpointer data)
{
	static const char nasty[] = "a\nb\"c\\d\x01\xff\xc3\xa9";

	(void)data;
	g_assert_cmpint(call(x->q, VGPU_CMD_TEXT, "TEST", 4, NULL, 0), ==, 0);
	daemon_expect_log(x->p, "text \"TEST\"");
	daemon_expect_log(x->p, "vm=vm-one session=1 request=1000 text");
	g_assert_cmpint(call(x->q, VGPU_CMD_TEXT, nasty, sizeof(nasty) - 1, NULL, 0), ==, 0);
	daemon_expect_log(x->p, "text \"a\\x0ab\\\"c\\\\d\\x01\\xff\xc3\xa9\"");
}

static void test_text_limits(struct fixture *x, gconstpointer data)
{
	char text[VGPU_TEXT_MAX + 1];

	(void)data;
	memset(text, 'x', sizeof(text));
	g_assert_cmpint(call(x->q, VGPU_CMD_TEXT, text, 0, NULL, 0), ==, -EINVAL);
	g_assert_cmpint(call(x->q, VGPU_CMD_TEXT, text, 1, NULL, 0), ==, 0);
	g_assert_cmpint(call(x->q, VGPU_CMD_TEXT, text, VGPU_TEXT_MAX, NULL, 0), ==, 0);
	g_assert_cmpint(call(x->q, VGPU_CMD_TEXT, text, VGPU_TEXT_MAX + 1, NULL, 0), ==, -EMSGSIZE);
}

static void test_info(struct fixture *x, gconstpointer data)
{
	struct vgpu_info_result info;

	(void)data;
	g_assert_cmpint(call(x->q, VGPU_CMD_GPU_INFO, NULL, 0, &info, sizeof(info)), ==, 0);
	g_assert_cmpuint(info.backend, ==, VGPU_BACKEND_CPU);
	g_assert_cmpuint(info.multiprocessors, ==, (guint)sysconf(_SC_NPROCESSORS_ONLN));
	g_assert_cmpuint(info.memory_total, >, 0);
	g_assert_cmpstr(info.name, ==, "host CPU");
}

static void test_unknown(struct fixture *x, gconstpointer data)
{
	(void)data;
	g_assert_cmpint(call(x->q, VGPU_CMD_TENANT + 1, NULL, 0, NULL, 0), ==, -EOPNOTSUPP);
	g_assert_cmpint(call(x->q, 0xffff, "x", 1, NULL, 0), ==, -EOPNOTSUPP);
	daemon_expect_log(x->p, "command unknown (65535) failed");
}

static void test_status(struct fixture *x, gconstpointer data)
{
	struct vgpu_status_result s, t;

	(void)data;
	g_assert_cmpint(call(x->q, VGPU_CMD_QUERY_STATUS, NULL, 0, &s, sizeof(s)), ==, 0);
	g_assert_cmpuint(s.requests, ==, 1);
	g_assert_cmpint(call(x->q, 0xffff, NULL, 0, NULL, 0), ==, -EOPNOTSUPP);
	g_assert_cmpint(call(x->q, VGPU_CMD_QUERY_STATUS, NULL, 0, &t, sizeof(t)), ==, 0);
	g_assert_cmpuint(t.requests, ==, 3);
	g_assert_cmpuint(t.errors, ==, 1);
	g_assert_cmpuint(t.uptime_ns, >, s.uptime_ns);
	g_assert_cmpuint(t.calls, >=, s.calls);
}

static void test_self_tests(struct fixture *x, gconstpointer data)
{
	static const uint16_t commands[] = {VGPU_CMD_VECTOR_ADD, VGPU_CMD_MATMUL};

	(void)data;
	for (size_t i = 0; i < G_N_ELEMENTS(commands); i++) {
		struct vgpu_compute_result r;

		g_assert_cmpint(call(x->q, commands[i], NULL, 0, &r, sizeof(r)), ==, 0);
		g_assert_cmpuint(r.backend, ==, VGPU_BACKEND_CPU);
		g_assert_cmpuint(r.elements, ==, VGPU_SELF_TEST_ELEMENTS);
		g_assert_cmpuint(r.errors, ==, 0);
		g_assert_cmpuint(r.host_copied, ==, 0);
	}
}

static float random_float(void)
{
	return (float)g_random_double_range(-1e6, 1e6);
}

static void test_add_inline(struct fixture *x, gconstpointer data)
{
	enum { N = 506 }; /* the most that fits is 507; an even number leaves no padding */
	struct {
		struct vgpu_vector_add head;
		float v[2 * N];
	} body = {.head = {N}};
	struct {
		struct vgpu_compute_result head;
		float v[N];
	} answer;

	(void)data;
	for (int i = 0; i < 2 * N; i++)
		body.v[i] = random_float();
	g_assert_cmpint(
		call(x->q, VGPU_CMD_VECTOR_ADD, &body, sizeof(body), &answer, sizeof(answer)), ==,
		0);
	g_assert_cmpuint(answer.head.elements, ==, N);
	for (int i = 0; i < N; i++)
		g_assert_true(answer.v[i] == body.v[i] + body.v[N + i]);
	/* The rings are copied by the CPU, and it is said. */
	g_assert_cmpuint(answer.head.host_copied, ==, 3 * N * sizeof(float));
	/* A length that does not fit the count. */
	body.head.elements = N - 1;
	g_assert_cmpint(call(x->q, VGPU_CMD_VECTOR_ADD, &body, sizeof(body), NULL, 0), ==, -EINVAL);
	body.head.elements = UINT64_MAX / 2;
	g_assert_cmpint(call(x->q, VGPU_CMD_VECTOR_ADD, &body, sizeof(body), NULL, 0), ==,
			-EMSGSIZE);
}

/* Whole buffers of `n` floats each; checks the sum bit for bit. */
static void add_and_check(struct fqueue *q, const struct vgpu_desc d[3], const float *a,
			  const float *b, const float *out, uint64_t n)
{
	const struct vgpu_vector_add body = {n};
	struct vgpu_compute_result r;

	g_assert_cmpint(
		fqueue_call(q, VGPU_CMD_VECTOR_ADD, d, 3, &body, sizeof(body), &r, sizeof(r)), ==,
		0);
	g_assert_cmpuint(r.elements, ==, n);
	g_assert_cmpuint(r.host_copied, ==, 0);
	for (uint64_t i = 0; i < n; i++) {
		float sum = a[i] + b[i];

		g_assert_cmpmem(&sum, sizeof(sum), &out[i], sizeof(out[i]));
	}
}

static float *random_array(struct frontend *f, uint64_t n, uint64_t align)
{
	float *v = frontend_alloc(f, n * sizeof(float), align, NULL);

	for (uint64_t i = 0; i < n; i++)
		v[i] = random_float();
	return v;
}

static void test_add_buffers(struct fixture *x, gconstpointer data)
{
	enum { N = 100003 };
	float *a = random_array(x->f, N, 4), *b = random_array(x->f, N, 4),
	      *out = random_array(x->f, N, 4);
	struct vgpu_desc d[3] = {{0, 0, 0, N * 4}, {1, 0, 0, N * 4}, {2, 0, 0, N * 4}};

	(void)data;
	buffer_set_flat(x->q, 0, VGPU_BUFFER_READ, a, N * 4);
	buffer_set_flat(x->q, 1, VGPU_BUFFER_READ, b, N * 4);
	buffer_set_flat(x->q, 2, VGPU_BUFFER_WRITE, out, N * 4);
	add_and_check(x->q, d, a, b, out, N);
	/* A part from the middle; what is around it stays. */
	memset(out, 0, N * 4);
	d[0] = (struct vgpu_desc){0, 0, 40, 4000};
	d[1] = (struct vgpu_desc){1, 0, 80, 4000};
	d[2] = (struct vgpu_desc){2, 0, 120, 4000};
	add_and_check(x->q, d, a + 10, b + 20, out + 30, 1000);
	g_assert_true(out[29] == 0.0f && out[1030] == 0.0f);
	/* The same buffer in every role. */
	buffer_unset(x->q, 2);
	buffer_set_flat(x->q, 2, RW, out, N * 4);
	d[0] = d[1] = d[2] = (struct vgpu_desc){2, 0, 0, 4000};
	for (int i = 0; i < 1000; i++)
		out[i] = (float)i;
	g_assert_cmpint(fqueue_call(x->q, VGPU_CMD_VECTOR_ADD, d, 3,
				    &(struct vgpu_vector_add){1000}, 8, NULL, 0),
			==, 0);
	for (int i = 0; i < 1000; i++)
		g_assert_true(out[i] == 2.0f * (float)i);
}

/* An array whose pages are scattered: every page of it is somewhere else. */
static float *scattered(struct fqueue *q, uint32_t index, uint32_t flags, uint32_t pages,
			uint32_t step)
{
	float *shadow = g_new0(float, pages * 1024);
	uint8_t *pool = frontend_alloc(q->f, (uint64_t)pages * VGPU_PAGE, VGPU_PAGE, NULL);
	struct fseg *seg = g_new0(struct fseg, pages);

	for (uint32_t i = 0; i < pages; i++) {
		uint8_t *page = pool + (uint64_t)(i * step % pages) * VGPU_PAGE;

		for (int k = 0; k < 1024; k++)
			shadow[i * 1024 + k] = random_float();
		memcpy(page, &shadow[i * 1024], VGPU_PAGE);
		seg[i] = (struct fseg){frontend_gpa(q->f, page), VGPU_PAGE};
	}
	buffer_set(q, index, flags, seg, pages);
	g_free(seg);
	return shadow;
}

static void test_scattered(struct fixture *x, gconstpointer data)
{
	enum { PAGES = 1021, N = PAGES * 1024 };
	float *a = scattered(x->q, 0, VGPU_BUFFER_READ, PAGES, 7);
	float *b = scattered(x->q, 1, VGPU_BUFFER_READ, PAGES, 331);
	float *out = frontend_alloc(x->f, N * 4, VGPU_PAGE, NULL);
	struct vgpu_desc d[3] = {{0, 0, 0, N * 4}, {1, 0, 0, N * 4}, {2, 0, 0, N * 4}};

	(void)data;
	buffer_set_flat(x->q, 2, VGPU_BUFFER_WRITE, out, N * 4);
	add_and_check(x->q, d, a, b, out, N);
	/* Parts that begin and end within pages. */
	d[0] = (struct vgpu_desc){0, 0, 4 * 1000, 4 * 5000};
	d[1] = (struct vgpu_desc){1, 0, 4 * 2000, 4 * 5000};
	d[2] = (struct vgpu_desc){2, 0, 4 * 3000, 4 * 5000};
	add_and_check(x->q, d, a + 1000, b + 2000, out + 3000, 5000);
	g_free(a);
	g_free(b);
}

static void test_add_shifted(struct fixture *x, gconstpointer data)
{
	enum { N = 3000 };
	float *v = random_array(x->f, N + 1, 4), *b = random_array(x->f, N, 4);
	float *copy = g_memdup2(v, (N + 1) * 4);
	const struct vgpu_desc d[3] = {{0, 0, 0, N * 4}, {1, 0, 0, N * 4}, {0, 0, 4, N * 4}};
	struct vgpu_compute_result r;

	(void)data;
	buffer_set_flat(x->q, 0, RW, v, (N + 1) * 4);
	buffer_set_flat(x->q, 1, VGPU_BUFFER_READ, b, N * 4);
	g_assert_cmpint(fqueue_call(x->q, VGPU_CMD_VECTOR_ADD, d, 3, &(struct vgpu_vector_add){N},
				    8, &r, sizeof(r)),
			==, 0);
	for (int i = 0; i < N; i++)
		g_assert_true(v[i + 1] == copy[i] + b[i]);
	g_assert_cmpuint(r.host_copied, ==, N * 4);
	g_free(copy);
}

static void naive_matmul(const float *a, const float *b, float *out, uint32_t m, uint32_t n,
			 uint32_t k)
{
	for (uint32_t i = 0; i < m; i++) {
		for (uint32_t j = 0; j < n; j++) {
			float sum = 0;

			for (uint32_t l = 0; l < k; l++)
				sum += a[i * k + l] * b[l * n + j];
			out[i * n + j] = sum;
		}
	}
}

static void test_matmul(struct fixture *x, gconstpointer data)
{
	enum { M = 33, N = 1100, K = 57 };
	const struct vgpu_matmul dims = {.m = M, .n = N, .k = K};
	const struct vgpu_desc d[3] = {
		{0, 0, 0, M * K * 4}, {1, 0, 0, K * N * 4}, {2, 0, 0, M * N * 4}};
	float *a = random_array(x->f, M * K, 4);
	float *b = scattered(x->q, 1, VGPU_BUFFER_READ, 64, 5);
	float *out = frontend_alloc(x->f, M * N * 4, 4, NULL);
	float *expected = g_new(float, M *N);
	struct vgpu_compute_result r;

	(void)data;
	buffer_set_flat(x->q, 0, VGPU_BUFFER_READ, a, M * K * 4);
	buffer_set_flat(x->q, 2, VGPU_BUFFER_WRITE, out, M * N * 4);
	g_assert_cmpint(
		fqueue_call(x->q, VGPU_CMD_MATMUL, d, 3, &dims, sizeof(dims), &r, sizeof(r)), ==,
		0);
	g_assert_cmpuint(r.elements, ==, M * N);
	g_assert_cmpuint(r.host_copied, ==, 0);
	naive_matmul(a, b, expected, M, N, K);
	for (int i = 0; i < M * N; i++)
		g_assert_true(fabsf(out[i] - expected[i]) <= 1e-5f * fabsf(expected[i]) + 1e4f);
	g_free(b);
	g_free(expected);
}

static void test_matmul_inline(struct fixture *x, gconstpointer data)
{
	struct {
		struct vgpu_matmul head;
		float a[2][3], b[3][2];
	} body = {{.m = 2, .n = 2, .k = 3}, {{1, 2, 3}, {4, 5, 6}}, {{7, 8}, {9, 10}, {11, 12}}};
	struct {
		struct vgpu_compute_result head;
		float v[4];
	} r;
	static const struct {
		struct vgpu_matmul head;
		float a[64], b[64];
	} big = {.head = {.m = 64, .n = 64, .k = 1}};

	(void)data;
	g_assert_cmpint(call(x->q, VGPU_CMD_MATMUL, &body, sizeof(body), &r, sizeof(r)), ==, 0);
	g_assert_true(r.v[0] == 58 && r.v[1] == 64 && r.v[2] == 139 && r.v[3] == 154);
	/* A result that does not fit into an answer. */
	g_assert_cmpint(call(x->q, VGPU_CMD_MATMUL, &big, sizeof(big), NULL, 0), ==, -EMSGSIZE);
	body.head = (struct vgpu_matmul){.m = 2, .n = 2, .k = 3, .reserved = 1};
	g_assert_cmpint(call(x->q, VGPU_CMD_MATMUL, &body, sizeof(body), NULL, 0), ==, -EINVAL);
	body.head = (struct vgpu_matmul){.m = 2, .n = VGPU_MATMUL_DIM_MAX + 1, .k = 3};
	g_assert_cmpint(call(x->q, VGPU_CMD_MATMUL, &body, sizeof(body), NULL, 0), ==, -EMSGSIZE);
	body.head = (struct vgpu_matmul){.m = 2, .n = 0, .k = 3};
	g_assert_cmpint(call(x->q, VGPU_CMD_MATMUL, &body, sizeof(body), NULL, 0), ==, -EINVAL);
}

static void test_bandwidth(struct fixture *x, gconstpointer data)
{
	enum { N = 250000 };
	const struct vgpu_desc d = {0, 0, 0, N * 4};
	struct vgpu_bandwidth body = {.repetitions = 3};
	struct vgpu_bandwidth_result r;
	uint32_t *v = (uint32_t *)random_array(x->f, N, 4);
	uint32_t *copy = g_memdup2(v, N * 4), sum = 0;

	(void)data;
	buffer_set_flat(x->q, 0, RW, v, N * 4);
	for (int i = 0; i < N; i++)
		sum += v[i];
	g_assert_cmpint(
		fqueue_call(x->q, VGPU_CMD_BANDWIDTH, &d, 1, &body, sizeof(body), &r, sizeof(r)),
		==, 0);
	g_assert_cmpmem(v, N * 4, copy, N * 4);
	g_assert_cmpuint(r.checksum, ==, sum);
	g_assert_cmpuint(r.bytes, ==, 3 * N * 4);
	g_assert_cmpuint(r.host_copied, ==, 2 * r.bytes);
	body.repetitions = 0;
	g_assert_cmpint(fqueue_call(x->q, VGPU_CMD_BANDWIDTH, &d, 1, &body, sizeof(body), NULL, 0),
			==, -EINVAL);
	body.repetitions = 1001;
	g_assert_cmpint(fqueue_call(x->q, VGPU_CMD_BANDWIDTH, &d, 1, &body, sizeof(body), NULL, 0),
			==, -EINVAL);
	g_free(copy);
}

/* The register session: no RAM, and everything that needs none. */
static void test_registers(struct fixture *x, gconstpointer data)
{
	struct frontend *f = frontend_new(x->p, "no-ram", 0);
	struct fqueue *q = fqueue_new_registers(f);
	const struct vgpu_desc d[3] = {{0, 0, 0, 4}, {1, 0, 0, 4}, {2, 0, 0, 4}};
	struct vgpu_compute_result r;

	(void)data;
	g_assert_cmpint(call(q, VGPU_CMD_NOP, NULL, 0, NULL, 0), ==, 0);
	g_assert_cmpint(call(q, VGPU_CMD_VECTOR_ADD, NULL, 0, &r, sizeof(r)), ==, 0);
	g_assert_cmpuint(r.errors, ==, 0);
	g_assert_cmpint(call(q, VGPU_CMD_TEXT, "from the registers", 18, NULL, 0), ==, 0);
	daemon_expect_log(x->p, "vm=no-ram session=2 request=1001 text");
	g_assert_cmpint(
		fqueue_call(q, VGPU_CMD_VECTOR_ADD, d, 3, &(struct vgpu_vector_add){1}, 8, NULL, 0),
		==, -ENOENT);
	fqueue_end(q);
	frontend_free(f);
}

/* Many requests of every kind of length, in order, more than fit at once. */
static void test_pipeline(struct fixture *x, gconstpointer data)
{
	enum { REQUESTS = 5000, AHEAD = 40 };
	static const uint8_t filler[3000];
	uint64_t first = x->q->next_id;
	int sent = 0;

	(void)data;
	for (int got = 0; got < REQUESTS; got++) {
		union {
			uint8_t bytes[VGPU_RECORD_MAX];
			struct vgpu_response header;
		} r;

		while (sent < REQUESTS && sent < got + AHEAD &&
		       x->q->ring.req_slots - (x->q->ring.req_prod - x->q->ring.hdr->req_cons) >=
			       vgpu_slots_of(32 + (sent * 37) % 3000)) {
			fqueue_submit(x->q, VGPU_CMD_NOP, NULL, 0, filler,
				      (size_t)(sent * 37) % 3000);
			sent++;
		}
		fqueue_receive(x->q, &r);
		g_assert_cmpuint(r.header.id, ==, first + (guint64)got);
		g_assert_cmpuint(r.header.status, ==, 0);
	}
}

static void test_polling(struct fixture *x, gconstpointer data)
{
	uint64_t before;

	(void)data;
	g_assert_cmpint(call(x->q, VGPU_CMD_NOP, NULL, 0, NULL, 0), ==, 0);
	vgpu_ring_set_polling(&x->q->ring, true);
	x->q->busy_wait = true;
	/* What was published before we said that we poll may still be announced. */
	g_assert_cmpint(call(x->q, VGPU_CMD_NOP, NULL, 0, NULL, 0), ==, 0);
	before = x->q->page->calls;
	for (int i = 0; i < 500; i++)
		g_assert_cmpint(call(x->q, VGPU_CMD_NOP, NULL, 0, NULL, 0), ==, 0);
	g_assert_cmpuint(x->q->page->calls, ==, before);
	vgpu_ring_set_polling(&x->q->ring, false);
	x->q->busy_wait = false;
	g_assert_cmpint(call(x->q, VGPU_CMD_NOP, NULL, 0, NULL, 0), ==, 0);
	/* An idle worker does not claim to poll. */
	WAIT_UNTIL(!(x->q->ring.hdr->host_flags & VGPU_HOST_POLLS));
}

/* The host keeps its answer, says so, and takes no more requests until there is room. */
static void test_response_ring_full(struct fixture *x, gconstpointer data)
{
	enum { REQUESTS = 200, FIT = 128 }; /* two slots an answer */
	struct fqueue *q = fqueue_new(x->f, 1, 256, 0);
	uint64_t first = q->next_id;
	union {
		uint8_t bytes[VGPU_RECORD_MAX];
		struct vgpu_response header;
	} r;

	(void)data;
	for (int i = 0; i < REQUESTS; i++)
		fqueue_submit(q, VGPU_CMD_QUERY_STATUS, NULL, 0, NULL, 0);
	WAIT_UNTIL(__atomic_load_n(&q->ring.hdr->host_flags, __ATOMIC_ACQUIRE) == VGPU_HOST_FULL);
	g_assert_cmpuint(q->ring.hdr->rsp_prod, ==, 2 * FIT);
	g_assert_cmpuint(q->ring.hdr->req_cons, ==, FIT + 1);
	g_assert_cmpuint(q->page->in_flight, ==, 1);
	g_assert_cmpuint(q->page->current_id, ==, first + FIT);
	/* A doorbell without room changes nothing. */
	fqueue_kick(q);
	WAIT_UNTIL(q->page->kicks > 0 && q->ring.hdr->host_flags == VGPU_HOST_FULL);
	g_assert_cmpuint(q->ring.hdr->req_cons, ==, FIT + 1);
	for (int i = 0; i < REQUESTS; i++) {
		fqueue_receive(q, &r);
		g_assert_cmpuint(r.header.id, ==, first + (guint64)i);
	}
	WAIT_UNTIL(!(q->ring.hdr->host_flags & VGPU_HOST_FULL));
	fqueue_end(q);
}

#define TEST(path, fn) \
	g_test_add("/host/commands/" path, struct fixture, NULL, set_up, fn, tear_down)

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	TEST("nop", test_nop);
	TEST("text", test_text);
	TEST("text-limits", test_text_limits);
	TEST("info", test_info);
	TEST("unknown", test_unknown);
	TEST("status", test_status);
	TEST("self-tests", test_self_tests);
	TEST("vector-add/inline", test_add_inline);
	TEST("vector-add/buffers", test_add_buffers);
	TEST("vector-add/scattered", test_scattered);
	TEST("vector-add/shifted", test_add_shifted);
	TEST("matmul/buffers", test_matmul);
	TEST("matmul/inline", test_matmul_inline);
	TEST("bandwidth", test_bandwidth);
	TEST("registers", test_registers);
	TEST("pipeline", test_pipeline);
	TEST("polling", test_polling);
	TEST("response-ring-full", test_response_ring_full);
	return g_test_run();
}
