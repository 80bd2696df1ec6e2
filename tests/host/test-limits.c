/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a tenant may do and have, against a daemon and its workers: every level
 * and class, limits on memory that several sessions share, rates that hold
 * requests back, and all of it changed while work goes on.
 */
#include <errno.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "frontend.h"
#include "policy.h"
#include "tenant_page.h"
#include "vgpu_cuda_wire.h"

#define MIB ((uint64_t)1 << 20)
#define CPU "[backend]\nbackend=cpu\n"

/* The tenant that we are; `more`: further lines of its file, perhaps of another level. */
static char *tenant_text(const char *more)
{
	return g_strdup_printf("[tenant]\nusers=%u\nlevel=low\n%s", getuid(), more);
}

/* A daemon with this one tenant. */
static struct daemon_proc *start_with(const char *config, const char *more)
{
	char *text = tenant_text(more);
	struct daemon_proc *p = daemon_start_closed(config, text);

	g_free(text);
	return p;
}

static struct daemon_proc *start(const char *more)
{
	return start_with(CPU, more);
}

static void change(struct daemon_proc *p, const char *more)
{
	char *text = tenant_text(more);

	g_assert_cmpint(truncate(p->log, 0), ==, 0);
	daemon_tenant(p, "vm1", text);
	daemon_signal(p, SIGHUP);
	daemon_expect_log(p, "1 tenants in");
	g_free(text);
}

/* Any command; its status.  The answer may have any length, and at most `size` bytes of it count.
 */
static int ask(struct fqueue *q, uint16_t number, const void *body, size_t length, void *out,
	       size_t size)
{
	union {
		uint8_t bytes[VGPU_RECORD_MAX];
		struct vgpu_response header;
	} r;
	uint64_t id = fqueue_submit(q, number, NULL, 0, body, length);
	size_t got = (size_t)fqueue_receive(q, &r) - sizeof(r.header);

	g_assert_cmpuint(r.header.id, ==, id);
	memset(out, 0, size);
	memcpy(out, r.bytes + sizeof(r.header), MIN(size, got));
	return (int32_t)r.header.status;
}

static int command(struct fqueue *q, uint16_t number)
{
	uint8_t out[VGPU_RECORD_MAX];

	return ask(q, number, NULL, 0, out, sizeof(out));
}

static struct vgpu_tenant_result tenant(struct fqueue *q)
{
	struct vgpu_tenant_result t;

	g_assert_cmpint(fqueue_call(q, VGPU_CMD_TENANT, NULL, 0, NULL, 0, &t, sizeof(t)), ==, 0);
	return t;
}

/* --------------------------------------------------------------- CUDA calls */
struct answer {
	struct vgpu_cuda_result head;
	uint8_t data[4096];
};

static struct answer answer;

/* The call's result; -1: the record was not understood. */
static int cuda(struct fqueue *q, uint32_t function, uint64_t context, const void *args,
		size_t length)
{
	uint64_t body[512] = {0};
	struct vgpu_cuda_call *head = (void *)body;
	int status;

	g_assert_cmpuint(sizeof(*head) + length, <=, sizeof(body));
	*head = (struct vgpu_cuda_call){.function = function, .context = context};
	if (length)
		memcpy(head + 1, args, length);
	status = ask(q, VGPU_CMD_CUDA, body, sizeof(*head) + length, &answer, sizeof(answer));
	return status ? -1 : (int)answer.head.result;
}

#define CUDA(q, name, context, ...)                                                \
	cuda(q, CUDA_FN_##name, context, &(struct vgpu_##name##_req){__VA_ARGS__}, \
	     sizeof(struct vgpu_##name##_req))

#define CTX vgpu_cuda_handle(VGPU_CUDA_CONTEXT, 1, 1)

static void make_context(struct fqueue *q)
{
	g_assert_cmpint(CUDA(q, vgpuHello, 0, .version = VGPU_CUDA_VERSION), ==, CUDA_SUCCESS);
	g_assert_cmpint(CUDA(q, vgpuCtxRetainPrimary, 0, .ctx = CTX), ==, CUDA_SUCCESS);
}

static int alloc(struct fqueue *q, uint64_t bytes, uint64_t *at)
{
	int r = CUDA(q, cuMemAlloc_v2, CTX, .bytesize = bytes);

	if (r == CUDA_SUCCESS && at)
		memcpy(at, answer.data, sizeof(*at));
	return r;
}

static void release(struct fqueue *q, uint64_t at)
{
	g_assert_cmpint(CUDA(q, cuMemFree_v2, CTX, .dptr = at), ==, CUDA_SUCCESS);
}

/* ------------------------------------------------------------------ classes */
static const uint16_t builtin[] = {VGPU_CMD_VECTOR_ADD, VGPU_CMD_GPU_INFO, VGPU_CMD_MATMUL,
				   VGPU_CMD_BANDWIDTH, VGPU_CMD_TEXT};
static const uint16_t for_all[] = {VGPU_CMD_NOP, VGPU_CMD_QUERY_STATUS, VGPU_CMD_TENANT};

/* Calls of each class that make something. */
static const struct {
	uint32_t needs, function;
} makers[] = {
	{POLICY_MEMORY, CUDA_FN_cuMemAlloc_v2},
	{POLICY_MEMORY, CUDA_FN_cuMemCreate},
	{POLICY_MEMORY, CUDA_FN_vgpuCtxCreate},
	{POLICY_MEMORY, CUDA_FN_cuMemcpyDtoDAsync_v2},
	{POLICY_KERNELS, CUDA_FN_vgpuBlobBegin},
	{POLICY_KERNELS, CUDA_FN_vgpuModuleLoad},
	{POLICY_KERNELS, CUDA_FN_vgpuLaunch},
	{POLICY_KERNELS, CUDA_FN_vgpuLinkCreate},
	{POLICY_GRAPHS, CUDA_FN_cuGraphCreate},
	{POLICY_GRAPHS, CUDA_FN_cuGraphLaunch},
	{POLICY_GRAPHS | POLICY_KERNELS, CUDA_FN_vgpuGraphAddKernel},
	{POLICY_CALLBACKS, CUDA_FN_vgpuCallback},
	{POLICY_GRAPHS | POLICY_CALLBACKS, CUDA_FN_vgpuGraphAddHost},
	{POLICY_PINNED, CUDA_FN_vgpuHostReserve},
	{POLICY_PINNED, CUDA_FN_vgpuHostMap},
};

static void try_everything(struct fqueue *q, uint32_t classes)
{
	for (size_t i = 0; i < G_N_ELEMENTS(builtin); i++) {
		int status = command(q, builtin[i]);

		if (classes & POLICY_BUILTIN)
			g_assert_cmpint(status, !=, -EPERM);
		else
			g_assert_cmpint(status, ==, -EPERM);
	}
	for (size_t i = 0; i < G_N_ELEMENTS(for_all); i++)
		g_assert_cmpint(command(q, for_all[i]), ==, 0);
	/* Without arguments: malformed to who may, and not even looked at to who may not. */
	for (size_t i = 0; i < G_N_ELEMENTS(makers); i++) {
		int r = cuda(q, makers[i].function, 0, NULL, 0);

		if ((classes & makers[i].needs) == makers[i].needs)
			g_assert_cmpint(r, !=, CUDA_ERROR_NOT_PERMITTED);
		else
			g_assert_cmpint(r, ==, CUDA_ERROR_NOT_PERMITTED);
	}
	/* Every number there is and some that are not: whatever is said, the worker lives. */
	for (uint32_t f = 0; f < CUDA_FN_LIMIT + 10; f++) {
		if (f != CUDA_FN_vgpuHello)
			cuda(q, f, 0, NULL, 0);
	}
	g_assert_cmpint(command(q, VGPU_CMD_NOP), ==, 0);
	g_assert_cmpuint(tenant(q).classes, ==, classes);
}

static void test_levels(void)
{
	struct daemon_proc *p = start("level=untrusted\n");
	struct frontend *f = frontend_new(p, "vm", 4 * MIB);
	struct fqueue *q = fqueue_new(f, 0, 256, 0);

	/* The session stays, and each level holds for it as soon as it is in force. */
	for (enum policy_level l = POLICY_UNTRUSTED; l <= POLICY_SYSTEM; l++) {
		char *text = g_strdup_printf("level=%s\n", policy_level_name(l));
		struct policy *policy = policy_new("vm1", l);

		change(p, text);
		WAIT_UNTIL(tenant(q).classes == policy->classes);
		g_assert_cmpuint(tenant(q).memory_limit, ==, policy->memory);
		try_everything(q, policy->classes);
		policy_free(policy);
		g_free(text);
	}
	fqueue_end(q);
	frontend_free(f);
	daemon_stop(p);
}

/* Each class by itself, and none. */
static void test_single_classes(void)
{
	static const char *const names[] = {"builtin", "memory",    "kernels",
					    "graphs",  "callbacks", "pinned"};
	struct daemon_proc *p = start("");
	struct frontend *f = frontend_new(p, "vm", 4 * MIB);
	struct fqueue *q = fqueue_new(f, 0, 256, 0);

	for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
		char *text = g_strdup_printf("[allowed]\nclasses=%s\n", names[i]);

		change(p, text);
		WAIT_UNTIL(tenant(q).classes == 1u << i);
		try_everything(q, 1u << i);
		g_free(text);
	}
	/* The last ones are told of when their second is over, though nothing more comes. */
	daemon_expect_log(p, "refused: ");
	fqueue_end(q);
	frontend_free(f);
	daemon_stop(p);
}

/* A guest may knock as often as it likes: the log hears of it now and then, the counter always. */
static void test_refusals(void)
{
	struct daemon_proc *p = start("level=low\n[limits]\ncalls-per-second=none\n");
	struct frontend *f = frontend_new(p, "vm", 4 * MIB);
	struct fqueue *q = fqueue_new(f, 0, 256, 0);
	char *log = NULL;
	unsigned int lines = 0;

	for (int i = 0; i < 2000; i++)
		g_assert_cmpint(cuda(q, CUDA_FN_cuGraphCreate, 0, NULL, 0), ==,
				CUDA_ERROR_NOT_PERMITTED);
	g_assert_cmpuint(tenant(q).refused, ==, 2000);
	daemon_expect_log(p, "refused: cuGraphCreate, not allowed to this tenant (classes 0x8)");
	g_assert_true(g_file_get_contents(p->log, &log, NULL, NULL));
	for (const char *at = log; (at = strstr(at, "refused: ")); at++)
		lines++;
	/* One a second, and no machine takes a minute for this. */
	g_assert_cmpuint(lines, >=, 1);
	g_assert_cmpuint(lines, <, 60);
	g_free(log);
	fqueue_end(q);
	frontend_free(f);
	daemon_stop(p);
}

/* ------------------------------------------------------------------- memory */

/* Of two devices of one tenant: what one has the other cannot have. */
static void test_shared_memory(void)
{
	struct daemon_proc *p = start("[limits]\nmemory=4M\n");
	struct frontend *f = frontend_new(p, "vm", 4 * MIB), *g = frontend_new(p, "too", 4 * MIB);
	struct fqueue *a = fqueue_new(f, 0, 256, 0), *b = fqueue_new(g, 0, 256, 0);
	struct vgpu_cuMemGetInfo_v2_rsp info;
	uint64_t at = 0;

	make_context(a);
	make_context(b);
	g_assert_cmpint(alloc(a, 3 * MIB, &at), ==, CUDA_SUCCESS);
	g_assert_cmpint(alloc(b, 2 * MIB, NULL), ==, CUDA_ERROR_OUT_OF_MEMORY);
	g_assert_cmpint(cuda(b, CUDA_FN_cuMemGetInfo_v2, CTX, NULL, 0), ==, CUDA_SUCCESS);
	memcpy(&info, answer.data, sizeof(info));
	g_assert_cmpuint(info.total, ==, 4 * MIB);
	g_assert_cmpuint(info.free, ==, MIB);
	g_assert_cmpuint(tenant(b).memory_used, ==, 3 * MIB);
	g_assert_cmpuint(tenant(b).memory_total, ==, 4 * MIB);
	g_assert_cmpuint(tenant(b).sessions, ==, 2);
	daemon_expect_log(p, "bytes of device memory beyond the tenant's limit");
	release(a, at);
	g_assert_cmpint(alloc(b, 2 * MIB, &at), ==, CUDA_SUCCESS);
	release(b, at);
	/* A session that ends takes what it had along. */
	g_assert_cmpint(alloc(a, 4 * MIB, NULL), ==, CUDA_SUCCESS);
	fqueue_end(a);
	WAIT_UNTIL(tenant(b).sessions == 1);
	g_assert_cmpint(alloc(b, 4 * MIB, NULL), ==, CUDA_SUCCESS);
	fqueue_end(b);
	frontend_free(f);
	frontend_free(g);
	daemon_stop(p);
}

#define CONTEXT_AT(i) vgpu_cuda_handle(VGPU_CUDA_CONTEXT, 1, 100 + (i))

static int create_context(struct fqueue *q, unsigned int i)
{
	return CUDA(q, vgpuCtxCreate, 0, .ctx = CONTEXT_AT(i));
}

/* Each session has a context for nothing; what more there are all of the tenant's pay for. */
static void test_contexts(void)
{
	struct daemon_proc *p =
		start_with(CPU "[tenants]\ncontext-mib=8\n", "[limits]\nmemory=20M\n");
	struct frontend *f = frontend_new(p, "vm", 4 * MIB);
	struct fqueue *a = fqueue_new(f, 0, 256, 0), *b = fqueue_new(f, 1, 256, 0);

	make_context(a);
	make_context(b);
	g_assert_cmpuint(tenant(a).memory_used, ==, 0);
	g_assert_cmpint(create_context(a, 1), ==, CUDA_SUCCESS);
	g_assert_cmpint(create_context(b, 1), ==, CUDA_SUCCESS);
	g_assert_cmpuint(tenant(a).memory_used, ==, 16 * MIB);
	g_assert_cmpint(create_context(a, 2), ==, CUDA_ERROR_OUT_OF_MEMORY);
	g_assert_cmpint(create_context(b, 2), ==, CUDA_ERROR_OUT_OF_MEMORY);
	daemon_expect_log(p, "refused: vgpuCtxCreate, 8388608 bytes of device memory beyond");
	g_assert_cmpint(CUDA(a, vgpuCtxDestroy, 0, .ctx = CONTEXT_AT(1)), ==, CUDA_SUCCESS);
	g_assert_cmpint(create_context(b, 2), ==, CUDA_SUCCESS);
	fqueue_end(b);
	WAIT_UNTIL(tenant(a).sessions == 1);
	g_assert_cmpuint(tenant(a).memory_used, ==, 0);
	/* What one costs may change: for those to come. */
	g_assert_cmpint(create_context(a, 1), ==, CUDA_SUCCESS);
	g_assert_true(g_file_set_contents(p->config, CPU "[tenants]\ncontext-mib=4\n", -1, NULL));
	change(p, "[limits]\nmemory=21M\n");
	WAIT_UNTIL(tenant(a).memory_limit == 21 * MIB);
	g_assert_cmpuint(tenant(a).memory_used, ==, 8 * MIB);
	for (unsigned int i = 2; i <= 4; i++)
		g_assert_cmpint(create_context(a, i), ==, CUDA_SUCCESS);
	g_assert_cmpuint(tenant(a).memory_used, ==, 20 * MIB);
	g_assert_cmpint(create_context(a, 5), ==, CUDA_ERROR_OUT_OF_MEMORY);
	fqueue_end(a);
	frontend_free(f);
	daemon_stop(p);
}

/* A built-in command that needs device memory: a buffer there and back. */
static void test_builtin_memory(void)
{
	const uint64_t bytes = 2 * MIB;
	struct vgpu_bandwidth b = {.repetitions = 1};
	struct vgpu_desc desc = {.length = bytes};
	struct vgpu_bandwidth_result r;
	struct daemon_proc *p = start("[limits]\nmemory=1M\n");
	struct frontend *f = frontend_new(p, "vm", 16 * MIB);
	struct fqueue *q = fqueue_new(f, 0, 256, 4);
	struct vgpu_segment_page *page;
	uint64_t list, data;

	page = frontend_alloc(f, VGPU_PAGE, VGPU_PAGE, &list);
	g_assert_nonnull(frontend_alloc(f, bytes, VGPU_PAGE, &data));
	page->count = 1;
	page->seg[0] = (struct vgpu_segment){.addr = data, .length = bytes};
	q->table[0] = (struct vgpu_buffer_entry){.flags = VGPU_BUFFER_READ | VGPU_BUFFER_WRITE,
						 .length = bytes,
						 .list = list,
						 .nsegments = 1};
	__atomic_store_n(&q->table[0].generation, 1, __ATOMIC_RELEASE);
	g_assert_cmpint(fqueue_call(q, VGPU_CMD_BANDWIDTH, &desc, 1, &b, sizeof(b), &r, sizeof(r)),
			==, -ENOMEM);
	daemon_expect_log(p, "refused: a built-in command");
	change(p, "[limits]\nmemory=2M\n");
	WAIT_UNTIL(tenant(q).memory_limit == 2 * MIB);
	g_assert_cmpint(fqueue_call(q, VGPU_CMD_BANDWIDTH, &desc, 1, &b, sizeof(b), &r, sizeof(r)),
			==, 0);
	g_assert_cmpuint(tenant(q).memory_used, ==, 0);
	g_assert_cmpuint(tenant(q).bytes, ==, 2 * bytes);
	fqueue_end(q);
	frontend_free(f);
	daemon_stop(p);
}

/* -------------------------------------------------------------------- rates */

/*
 * Requests come as fast as the ring takes them, and none sees an error.  However
 * slow a machine is, it cannot be faster than the rate allows.
 */
static void test_calls_rate(void)
{
	enum { BURST = 20, RATE = 200, CALLS = 120 };
	struct daemon_proc *p = start("[limits]\ncalls-per-second=200\ncalls-burst=20\n");
	struct frontend *f = frontend_new(p, "vm", 4 * MIB);
	struct fqueue *a = fqueue_new(f, 0, 256, 0), *b = fqueue_new(f, 1, 256, 0);
	gint64 began = g_get_monotonic_time(), took;
	uint8_t record[VGPU_RECORD_MAX];
	struct vgpu_tenant_result t;

	/* Two sessions at once have one rate. */
	for (int i = 0; i < CALLS / 2; i++) {
		fqueue_submit(a, VGPU_CMD_NOP, NULL, 0, NULL, 0);
		fqueue_submit(b, VGPU_CMD_NOP, NULL, 0, NULL, 0);
	}
	for (int i = 0; i < CALLS / 2; i++) {
		fqueue_receive(a, record);
		g_assert_cmpint(((struct vgpu_response *)record)->status, ==, 0);
		fqueue_receive(b, record);
		g_assert_cmpint(((struct vgpu_response *)record)->status, ==, 0);
	}
	took = g_get_monotonic_time() - began;
	g_assert_cmpint(took, >=, (CALLS - BURST) * G_USEC_PER_SEC / RATE);
	t = tenant(a);
	g_assert_cmpuint(t.requests, ==, CALLS + 1);
	g_assert_cmpuint(t.throttled_ns, >, 0);
	g_assert_cmpuint(t.refused, ==, 0);
	g_assert_cmpuint(t.calls_rate, ==, RATE);
	fqueue_end(a);
	fqueue_end(b);
	frontend_free(f);
	daemon_stop(p);
}

/* A rate that would take hours is lifted: who waits goes on. */
static void test_rate_lifted(void)
{
	struct daemon_proc *p = start("[limits]\ncalls-per-second=1\ncalls-burst=1\n");
	struct frontend *f = frontend_new(p, "vm", 4 * MIB);
	struct fqueue *q = fqueue_new(f, 0, 256, 0);
	uint8_t record[VGPU_RECORD_MAX];

	for (int i = 0; i < 200; i++)
		fqueue_submit(q, VGPU_CMD_NOP, NULL, 0, NULL, 0);
	fqueue_receive(q, record);
	change(p, "[limits]\ncalls-per-second=none\n");
	for (int i = 1; i < 200; i++)
		fqueue_receive(q, record);
	fqueue_end(q);
	frontend_free(f);
	daemon_stop(p);
}

/* A session that waits for its rate still ends at once when its device does. */
static void test_throttled_ends(void)
{
	struct daemon_proc *p = start("[limits]\ncalls-per-second=1\ncalls-burst=1\n");
	struct frontend *f = frontend_new(p, "vm", 4 * MIB);
	struct fqueue *q = fqueue_new(f, 0, 256, 0);

	for (int i = 0; i < 200; i++)
		fqueue_submit(q, VGPU_CMD_NOP, NULL, 0, NULL, 0);
	fqueue_end(q);
	frontend_free(f);
	daemon_expect_workers(p, 0);
	daemon_stop(p);
}

static void test_bytes_rate(void)
{
	enum { WRITES = 12, BYTES = 4096 };
	struct daemon_proc *p = start("[limits]\nbytes-per-second=64K\nbytes-burst=8K\n");
	struct frontend *f = frontend_new(p, "vm", 4 * MIB);
	struct fqueue *q = fqueue_new(f, 0, 256, 0);
	struct {
		struct vgpu_vgpuWrite_req q;
		uint8_t data[BYTES - 512];
	} w = {0};
	gint64 began, took;
	uint64_t at = 0;

	make_context(q);
	g_assert_cmpint(alloc(q, BYTES, &at), ==, CUDA_SUCCESS);
	w.q.dst = at;
	w.q.bytes = sizeof(w.data);
	began = g_get_monotonic_time();
	for (int i = 0; i < WRITES; i++)
		g_assert_cmpint(cuda(q, CUDA_FN_vgpuWrite, CTX, &w, sizeof(w)), ==, CUDA_SUCCESS);
	took = g_get_monotonic_time() - began;
	/* What is paid for is waited for before the next: so neither the burst nor the last one. */
	g_assert_cmpint(took, >=,
			((gint64)(WRITES - 1) * (gint64)sizeof(w.data) - 8192) * G_USEC_PER_SEC /
				65536);
	g_assert_cmpuint(tenant(q).bytes, ==, WRITES * sizeof(w.data));
	fqueue_end(q);
	frontend_free(f);
	daemon_stop(p);
}

/* ------------------------------------------------------------------- reload */

/* Limits that change all the time while work goes on: no request fails that may be done. */
static void test_reload_under_load(void)
{
	static const char *const files[] = {
		"[limits]\nmemory=8M\nweight=1\n",
		"level=high\n[limits]\nmemory=4M\ncalls-per-second=1000000\n",
		"[allowed]\nclasses=builtin;memory\n[limits]\nmemory=2M\ncap=50%\n",
	};
	struct daemon_proc *p = start(files[0]);
	struct frontend *f = frontend_new(p, "vm", 4 * MIB);
	struct fqueue *q = fqueue_new(f, 0, 256, 0);

	make_context(q);
	for (int i = 0; i < 30; i++) {
		char *text = tenant_text(files[i % 3]);

		daemon_tenant(p, "vm1", text);
		daemon_signal(p, SIGHUP);
		for (int k = 0; k < 200; k++) {
			uint64_t at = 0;

			g_assert_cmpint(command(q, VGPU_CMD_NOP), ==, 0);
			g_assert_cmpint(alloc(q, 2 * MIB, &at), ==, CUDA_SUCCESS);
			g_assert_cmpint(alloc(q, 8 * MIB, NULL), ==, CUDA_ERROR_OUT_OF_MEMORY);
			release(q, at);
		}
		g_free(text);
	}
	g_assert_cmpuint(tenant(q).memory_used, ==, 0);
	fqueue_end(q);
	frontend_free(f);
	daemon_stop(p);
}

/* A daemon that was started anew: the worker goes on with its new pages and what it had used. */
static void test_restart(void)
{
	struct daemon_proc *p = start("[limits]\nmemory=4M\n");
	struct frontend *f = frontend_new(p, "vm", 4 * MIB);
	struct fqueue *q = fqueue_new(f, 0, 256, 0);
	uint64_t at = 0;

	make_context(q);
	g_assert_cmpint(alloc(q, 3 * MIB, &at), ==, CUDA_SUCCESS);
	daemon_crash(p);
	g_assert_cmpint(alloc(q, 2 * MIB, NULL), ==, CUDA_ERROR_OUT_OF_MEMORY);
	daemon_again(p);
	frontend_reconnect(f);
	g_assert_cmpint(fqueue_resume(q), ==, 0);
	change(p, "[limits]\nmemory=6M\n");
	WAIT_UNTIL(tenant(q).memory_limit == 6 * MIB);
	g_assert_cmpuint(tenant(q).memory_used, ==, 3 * MIB);
	g_assert_cmpint(alloc(q, 4 * MIB, NULL), ==, CUDA_ERROR_OUT_OF_MEMORY);
	g_assert_cmpint(alloc(q, 3 * MIB, NULL), ==, CUDA_SUCCESS);
	fqueue_end(q);
	frontend_free(f);
	daemon_stop(p);
}

/* ------------------------------------------------------------ from outside */

/* A program that says what is in a file, again and again: the GPU's word, for the test. */
static struct daemon_proc *start_watched(const char *more, char **figures)
{
	char *dir = g_dir_make_tmp("vgpu-watch-XXXXXX", NULL);
	char *script = g_build_filename(dir, "watch", NULL), *text, *config;
	struct daemon_proc *p;

	*figures = g_build_filename(dir, "figures", NULL);
	text = g_strdup_printf("#!/bin/sh\nwhile cat '%s'; do echo end; echo >>'%s.rounds'; "
			       "sleep 0.02; done\n",
			       *figures, *figures);
	g_assert_true(g_file_set_contents(*figures, "", 0, NULL));
	g_assert_true(
		g_file_set_contents_full(script, text, -1, G_FILE_SET_CONTENTS_NONE, 0755, NULL));
	config = g_strdup_printf(CPU "[tenants]\nmemory-watch=%s\ncontext-mib=100\n", script);
	g_free(text);
	text = tenant_text(more);
	p = daemon_start_closed(config, text);
	daemon_expect_log(p, "device memory of workers is watched");
	g_free(text);
	g_free(config);
	g_free(script);
	g_free(dir);
	return p;
}

static void stop_watched(struct daemon_proc *p, char *figures)
{
	char *dir = g_path_get_dirname(figures);

	daemon_stop(p);
	remove_tree(dir);
	g_free(dir);
	g_free(figures);
}

/* The worker of the session with that number, by the log. */
static int worker_of(const struct daemon_proc *p, unsigned int session)
{
	char *words = g_strdup_printf("session=%u session started", session), *log = NULL, *at;
	int pid = 0;

	daemon_expect_log(p, words);
	g_assert_true(g_file_get_contents(p->log, &log, NULL, NULL));
	at = strstr(strstr(log, words), "worker ");
	g_assert_cmpint(sscanf(at, "worker %d", &pid), ==, 1);
	g_free(words);
	g_free(log);
	return pid;
}

static void tell(const char *figures, int a, uint64_t a_mib, int b, uint64_t b_mib)
{
	char *text = g_strdup_printf("gpu 0 1000000000000\nprocess %d %" G_GUINT64_FORMAT
				     "\nnonsense\nprocess %d %" G_GUINT64_FORMAT "\n",
				     a, a_mib * MIB, b, b_mib * MIB);

	g_assert_true(g_file_set_contents(figures, text, -1, NULL));
	g_free(text);
}

static off_t rounds(const char *figures)
{
	char *path = g_strconcat(figures, ".rounds", NULL);
	struct stat st = {0};

	stat(path, &st);
	g_free(path);
	return st.st_size;
}

/* Until the daemon has read what was told for some rounds. */
static void let_it_look(const char *figures, struct frontend *f)
{
	const off_t now = rounds(figures);
	struct fqueue *q;

	WAIT_UNTIL(rounds(figures) > now + 3);
	/* What it is asked for after that, it does after it has read. */
	q = fqueue_new(f, 5, 256, 0);
	fqueue_end(q);
}

/* A worker that has more than it says costs its session, and not the other one's. */
static void test_outside(void)
{
	char *figures;
	struct daemon_proc *p =
		start_watched("[limits]\nmemory=50M\n[faults]\nfaults=1\n", &figures);
	struct frontend *f = frontend_new(p, "vm", 4 * MIB);
	struct fqueue *a = fqueue_new(f, 0, 256, 0), *b = fqueue_new(f, 1, 256, 0);
	const int pid_a = worker_of(p, 1), pid_b = worker_of(p, 2);

	tell(figures, pid_a, 130, pid_b, 120); /* two contexts and 50 */
	let_it_look(figures, f);
	g_assert_cmpint(command(a, VGPU_CMD_NOP), ==, 0);
	g_assert_cmpint(command(b, VGPU_CMD_NOP), ==, 0);
	tell(figures, pid_a, 110, pid_b, 141);
	g_assert_cmpint(fqueue_expect_lost(b), ==, -EDQUOT);
	daemon_expect_log(p, "holds 141 MiB of device memory and is charged for 0 MiB: tenant vm1");
	tell(figures, pid_a, 110, 0, 0);
	g_assert_cmpint(command(a, VGPU_CMD_NOP), ==, 0);
	/* That was a fault. */
	g_assert_cmpuint(tenant(a).flags & VGPU_TENANT_QUARANTINED, ==, VGPU_TENANT_QUARANTINED);
	fqueue_free(b);
	fqueue_end(a);
	frontend_free(f);
	stop_watched(p, figures);
}

/* The usage of the daemon's only tenant, as a worker has it: to be written to.  NULL: we may not.
 */
static struct tenant_usage *usage_of(const struct daemon_proc *p)
{
	char *dir = g_strdup_printf("/proc/%d/fd", p->pid);
	GDir *fds = g_dir_open(dir, 0, NULL);
	const int process = (int)syscall(SYS_pidfd_open, p->pid, 0);
	struct tenant_usage *usage = MAP_FAILED;
	const char *name;
	int fd = -1;

	g_assert_nonnull(fds);
	while (fd < 0 && (name = g_dir_read_name(fds))) {
		char *path = g_build_filename(dir, name, NULL);
		char *to = g_file_read_link(path, NULL);

		if (to && strstr(to, "vgpu-usage"))
			fd = (int)syscall(SYS_pidfd_getfd, process, atoi(name), 0);
		g_free(to);
		g_free(path);
	}
	if (fd >= 0) {
		usage = mmap(NULL, TENANT_USAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		g_assert_true(usage != MAP_FAILED);
		close(fd);
	}
	close(process);
	g_dir_close(fds);
	g_free(dir);
	return fd >= 0 ? usage : NULL;
}

/* A worker that needs a context for itself may have that, too; what it says beyond is not believed.
 */
static void test_outside_contexts(void)
{
	char *figures;
	struct daemon_proc *p = start_watched("[limits]\nmemory=50M\n", &figures);
	struct frontend *f = frontend_new(p, "vm", 4 * MIB);
	struct fqueue *a = fqueue_new(f, 0, 256, 0);
	const int pid = worker_of(p, 1);
	struct tenant_usage *usage = usage_of(p);

	if (!usage) {
		g_test_skip("no right to take another process's descriptor");
		fqueue_end(a);
		frontend_free(f);
		stop_watched(p, figures);
		return;
	}
	make_context(a);
	g_assert_cmpuint(usage->session[0].contexts, ==, 1);
	__atomic_store_n(&usage->session[0].contexts, 2, __ATOMIC_RELAXED);
	tell(figures, pid, 250, 0, 0); /* two contexts and 50 */
	let_it_look(figures, f);
	g_assert_cmpint(command(a, VGPU_CMD_NOP), ==, 0);
	__atomic_store_n(&usage->session[0].contexts, 9, __ATOMIC_RELAXED);
	tell(figures, pid, 251, 0, 0);
	g_assert_cmpint(fqueue_expect_lost(a), ==, -EDQUOT);
	munmap(usage, TENANT_USAGE_BYTES);
	fqueue_free(a);
	frontend_free(f);
	stop_watched(p, figures);
}

/* A limit that is lowered under what is there: it stays, unless the policy says otherwise. */
static void test_outside_lowered(void)
{
	char *figures;
	struct daemon_proc *p = start_watched("[limits]\nmemory=50M\n", &figures);
	struct frontend *f = frontend_new(p, "vm", 4 * MIB);
	struct fqueue *a = fqueue_new(f, 0, 256, 0);

	tell(figures, worker_of(p, 1), 140, 0, 0);
	let_it_look(figures, f);
	change(p, "[limits]\nmemory=10M\n");
	let_it_look(figures, f);
	g_assert_cmpint(command(a, VGPU_CMD_NOP), ==, 0);
	change(p, "[limits]\nmemory=10M\nover-limit=evict\n");
	g_assert_cmpint(fqueue_expect_lost(a), ==, -EDQUOT);
	fqueue_free(a);
	frontend_free(f);
	stop_watched(p, figures);
}

/* Evicted by what it says itself, where nothing watches. */
static void test_lowered_evicts(void)
{
	struct daemon_proc *p = start("[limits]\nmemory=8M\n[faults]\nfaults=1\n");
	struct frontend *f = frontend_new(p, "vm", 4 * MIB);
	struct fqueue *a = fqueue_new(f, 0, 256, 0), *b = fqueue_new(f, 1, 256, 0);

	make_context(a);
	make_context(b);
	g_assert_cmpint(alloc(a, 2 * MIB, NULL), ==, CUDA_SUCCESS);
	g_assert_cmpint(alloc(b, 3 * MIB, NULL), ==, CUDA_SUCCESS);
	change(p, "[limits]\nmemory=2M\nover-limit=evict\n[faults]\nfaults=1\n");
	g_assert_cmpint(fqueue_expect_lost(b), ==, -EDQUOT);
	g_assert_cmpint(command(a, VGPU_CMD_NOP), ==, 0);
	/* No fault of its own. */
	g_assert_cmpuint(tenant(a).flags & VGPU_TENANT_QUARANTINED, ==, 0);
	fqueue_free(b);
	fqueue_end(a);
	frontend_free(f);
	daemon_stop(p);
}

/* What watches may end: that is said, and nobody else is hurt. */
static void test_watch_ends(void)
{
	char *figures;
	struct daemon_proc *p = start_watched("[limits]\nmemory=50M\n", &figures);
	struct frontend *f = frontend_new(p, "vm", 4 * MIB);
	struct fqueue *a = fqueue_new(f, 0, 256, 0);

	g_assert_cmpint(unlink(figures), ==, 0);
	daemon_expect_log(p, "not watched: ");
	g_assert_cmpint(command(a, VGPU_CMD_NOP), ==, 0);
	fqueue_end(a);
	frontend_free(f);
	stop_watched(p, figures);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/limits/levels", test_levels);
	g_test_add_func("/limits/single-classes", test_single_classes);
	g_test_add_func("/limits/refusals", test_refusals);
	g_test_add_func("/limits/shared-memory", test_shared_memory);
	g_test_add_func("/limits/contexts", test_contexts);
	g_test_add_func("/limits/builtin-memory", test_builtin_memory);
	g_test_add_func("/limits/calls-rate", test_calls_rate);
	g_test_add_func("/limits/rate-lifted", test_rate_lifted);
	g_test_add_func("/limits/throttled-ends", test_throttled_ends);
	g_test_add_func("/limits/bytes-rate", test_bytes_rate);
	g_test_add_func("/limits/reload-under-load", test_reload_under_load);
	g_test_add_func("/limits/restart", test_restart);
	g_test_add_func("/limits/outside", test_outside);
	g_test_add_func("/limits/outside-contexts", test_outside_contexts);
	g_test_add_func("/limits/outside-lowered", test_outside_lowered);
	g_test_add_func("/limits/lowered-evicts", test_lowered_evicts);
	g_test_add_func("/limits/watch-ends", test_watch_ends);
	return g_test_run();
}
