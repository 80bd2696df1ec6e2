/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The worker that the fuzzer of CUDA calls speaks to. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "charge.h"
#include "cpu_driver.h"
#include "cuda/entry.h"
#include "fuzz_cuda.h"
#include "session.h"
#include "waits.h"
#include "windows.h"
#include "worker.h"

#define CHECK(what)              \
	do {                     \
		if (!(what))     \
			abort(); \
	} while (0)

/* ------------------------------------------------ guest RAM and its buffers */
#define GPA 0x100000u
#define RAM_BYTES (1u << 20)
#define TABLE_AT 0u
#define LIST_AT 4096u
#define DATA_AT 65536u
#define BUFFERS 8u

/* The tenant's, enough for what a session begins with and soon reached. */
#define MEMORY_LIMIT ((uint64_t)32 << 20)
/* Nothing takes so long; but where there is a limit, work is marked in another way. */
#define KERNEL_NS ((uint64_t)3600 * 1000000000u)

static struct worker worker;
static uint8_t *ram;
static struct tenant_limits limits;
static struct tenant_usage usage;

static void make_tenant(void)
{
	const struct tenant_limits l = {.classes = POLICY_ALL,
					.memory = MEMORY_LIMIT,
					.context = MEMORY_LIMIT / 8,
					.kernel_ns = KERNEL_NS,
					.cap_percent = 100};

	tenant_limits_write(&limits, &l);
	usage.version = TENANT_PAGE_VERSION;
	CHECK(tenant_open(&worker.tenant, &limits, &usage, 1));
}

/* Whatever was called in whatever order: never beyond the limit, and what is told is true. */
static void check_tenant(void)
{
	CHECK(worker.tenant.own.memory <= MEMORY_LIMIT);
	CHECK(worker.tenant.own.memory == usage.session[1].memory);
	CHECK(worker.tenant.own.contexts == usage.session[1].contexts);
	CHECK(worker.tenant.own.contexts <= 2);
}

/* Each call that is under way is counted in one place. */
static void check_marks(void)
{
	const struct marks *m = worker.cuda ? &worker.cuda->marks : NULL;
	uint64_t marked = 0, unmarked = 0;

	for (uint32_t i = 0; m && i < m->n; i++) {
		CHECK(m->mark[i].own && m->mark[i].calls);
		CHECK(m->mark[i].stuck <= m->mark[i].calls);
		marked += m->mark[i].calls;
	}
	for (uint32_t i = 0; m && i < m->lanes; i++) {
		CHECK(m->lane[i].calls && m->lane[i].stuck <= m->lane[i].calls);
		unmarked += m->lane[i].calls;
	}
	CHECK(!m || (m->n <= MARKS_MAX && m->lanes <= LANES_MAX));
	CHECK(!m || (m->unmarked == unmarked && m->outstanding == marked + unmarked));
	CHECK(!m || (m->stuck <= m->outstanding && !m->calls && !m->begin));
}

static void make_ram(void)
{
	const struct vgpu_mem_region r = {.guest_addr = GPA, .size = RAM_BYTES};
	int fd = memfd_create("fuzz", MFD_CLOEXEC);
	unsigned int bad;

	CHECK(fd >= 0 && ftruncate(fd, RAM_BYTES) == 0);
	CHECK(memory_replace(&worker.mem, &r, &fd, 1, &bad) == 0);
	ram = memory_at(&worker.mem, GPA, RAM_BYTES);
	close(fd);
}

/* Buffer 0: whole; 1: pages apart; 2: only to read; 3: small, with odd ends; others: free. */
static void fill_table(void)
{
	static const struct {
		uint32_t flags, segments, step, bytes;
	} kind[] = {{3, 1, 0, 131072}, {3, 16, 8192, 4096}, {1, 1, 0, 65536}, {3, 3, 5000, 100}};
	struct vgpu_buffer_entry *entry = (void *)(ram + TABLE_AT);

	memset(ram, 0, DATA_AT);
	for (uint32_t i = 0; i < sizeof(kind) / sizeof(kind[0]); i++) {
		struct vgpu_segment_page *list = (void *)(ram + LIST_AT + i * VGPU_PAGE);

		list->count = kind[i].segments;
		for (uint32_t k = 0; k < list->count; k++) {
			list->seg[k].addr = GPA + DATA_AT + i * 163840 + k * kind[i].step;
			list->seg[k].length = kind[i].bytes;
		}
		entry[i] = (struct vgpu_buffer_entry){.generation = 1,
						      .flags = kind[i].flags,
						      .length = (uint64_t)kind[i].segments *
								kind[i].bytes,
						      .list = GPA + LIST_AT + i * VGPU_PAGE,
						      .nsegments = kind[i].segments};
	}
}

/* ------------------------------------- what the rest of a worker would be */
static struct {
	uint64_t id[1024];
	unsigned int n;
} calls_due;

void worker_watch(struct worker *w, int fd, uint32_t events, enum watch what)
{
	(void)w;
	(void)fd;
	(void)events;
	(void)what;
}

bool worker_push(struct worker *w, const void *record, uint32_t length)
{
	const struct vgpu_response *h = record;
	const struct vgpu_cuda_note *note = (const void *)(h + 1);

	(void)w;
	CHECK(h->length == length && length <= VGPU_RECORD_MAX);
	CHECK(length == sizeof(*h) + sizeof(*note) + note->length);
	if (note->kind == VGPU_CUDA_NOTE_CALLBACK) {
		if (calls_due.n == sizeof(calls_due.id) / sizeof(calls_due.id[0]))
			return false;
		calls_due.id[calls_due.n++] = note->value;
	}
	return true;
}

bool control_handle(struct worker *w)
{
	(void)w;
	return false; /* the memory table is as it was */
}

bool control_turn(struct worker *w, const struct ctl_turn_news *m)
{
	(void)w;
	(void)m;
	return true;
}

void worker_broken(struct worker *w, int status, const char *reason)
{
	(void)w;
	(void)status;
	(void)reason;
	abort(); /* nothing is beyond the limits here */
}

void control_warning(struct worker *w, uint64_t request, const char *text)
{
	(void)w;
	(void)request;
	(void)text;
}

void control_refused(struct worker *w, enum ctl_refused_kind kind, uint64_t request, uint64_t value,
		     const char *what)
{
	CHECK(kind < CTL_REFUSED_KINDS && what && *what);
	(void)w;
	(void)request;
	(void)value;
}

bool control_fault(struct worker *w, int error)
{
	CHECK(error > 0);
	(void)w;
	return true;
}

/*
 * Kept as long as the session lives, since a graph may run them at any time; a
 * worker ends with its session.
 */
const char *__lsan_default_suppressions(void);

const char *__lsan_default_suppressions(void)
{
	return "leak:callbacks_new\n";
}

/* ------------------------------------------------------------- the driver */
/*
 * What would never end is left out: waiting for a value that nobody writes,
 * and kernels that are made to run for ever.
 */
static CUresult no_wait_32(CUstream s, CUdeviceptr a, cuuint32_t v, unsigned int f)
{
	(void)s;
	(void)a;
	(void)v;
	(void)f;
	return CUDA_ERROR_NOT_SUPPORTED;
}

static CUresult no_wait_64(CUstream s, CUdeviceptr a, cuuint64_t v, unsigned int f)
{
	(void)s;
	(void)a;
	(void)v;
	(void)f;
	return CUDA_ERROR_NOT_SUPPORTED;
}

static bool takes_long(const char *name)
{
	return strstr(name, "spin") || strstr(name, "wait") || strstr(name, "delay") ||
	       strstr(name, "work");
}

static CUresult get_function(CUfunction *f, CUmodule m, const char *name)
{
	CUresult (*get)(CUfunction *, CUmodule, const char *);
	void *found = cpu_driver_symbol("cuModuleGetFunction");

	memcpy(&get, &found, sizeof(get));
	return takes_long(name) ? CUDA_ERROR_NOT_FOUND : get(f, m, name);
}

static CUresult get_kernel(CUkernel *k, CUlibrary l, const char *name)
{
	CUresult (*get)(CUkernel *, CUlibrary, const char *);
	void *found = cpu_driver_symbol("cuLibraryGetKernel");

	memcpy(&get, &found, sizeof(get));
	return takes_long(name) ? CUDA_ERROR_NOT_FOUND : get(k, l, name);
}

static void *symbol(struct vgpu_backend *be, const char *name)
{
	(void)be;
	if (!strcmp(name, "cuStreamWaitValue32_v2"))
		return __extension__(void *) no_wait_32;
	if (!strcmp(name, "cuStreamWaitValue64_v2"))
		return __extension__(void *) no_wait_64;
	if (!strcmp(name, "cuStreamBatchMemOp_v2"))
		return NULL;
	if (!strcmp(name, "cuModuleGetFunction"))
		return __extension__(void *) get_function;
	if (!strcmp(name, "cuLibraryGetKernel"))
		return __extension__(void *) get_kernel;
	return cpu_driver_symbol(name);
}

static struct vgpu_backend_ops ops;

/* --------------------------------------------------------------- records */
static uint64_t next_id = 1;

/* Reserved and mapped, so that they can be given back. */
static struct {
	uint64_t address, bytes;
	bool map;
} windows[256];
static unsigned int nwindows;
static uint64_t blobs[256];
static unsigned int nblobs;

/* A body's values are remembered for what only they name. */
static void remember(uint32_t function, const void *args, uint32_t length)
{
	uint64_t v[2] = {0};

	memcpy(v, args, length < sizeof(v) ? length : sizeof(v));
	if ((function == CUDA_FN_vgpuHostReserve || function == CUDA_FN_vgpuHostMap) &&
	    nwindows < 256) {
		windows[nwindows].address = v[0];
		windows[nwindows].bytes = v[1];
		windows[nwindows++].map = function == CUDA_FN_vgpuHostMap;
	}
	if (function == CUDA_FN_vgpuBlobBegin && nblobs < 256)
		blobs[nblobs++] = v[0];
}

static void answer_callbacks(void);

/* Whose source may be NULL if there is nothing to copy. */
static size_t put(uint8_t *rec, size_t at, const void *data, size_t length)
{
	if (length)
		memcpy(rec + at, data, length);
	return at + ((length + 7) & ~(size_t)7);
}

/* One look at what goes on by itself. */
static void look(void)
{
	turn_poll(&worker);
	while (cuda_poll(&worker) != CUDA_NOTHING)
		CHECK(worker.rsp.header.length <= VGPU_RECORD_MAX);
	answer_callbacks();
	check_tenant();
	check_marks();
}

/* Some calls come while others have the GPU, and are held back until they have not. */
static void begin_wait(void)
{
	const struct ctl_turn wait = {.type = CTL_TURN, .leased = 1};

	turn_word(&worker, &wait);
}

static void end_wait(void)
{
	turn_alone(&worker);
}

void bench_record(const void *record, uint32_t length)
{
	_Alignas(8) static uint8_t copy[VGPU_RECORD_MAX];
	struct vgpu_request *h = (void *)copy;
	const size_t args = sizeof(*h) + sizeof(struct vgpu_cuda_call);

	memcpy(copy, record, length);
	h->id = next_id++;
	if (!h->ndesc && length >= args)
		remember(((struct vgpu_cuda_call *)(h + 1))->function, copy + args, length - args);
	if (h->ndesc && length >= args + h->ndesc * sizeof(struct vgpu_desc)) {
		const uint8_t *body = copy + sizeof(*h) + h->ndesc * sizeof(struct vgpu_desc);

		remember(((const struct vgpu_cuda_call *)body)->function,
			 body + sizeof(struct vgpu_cuda_call),
			 length - (uint32_t)(body + sizeof(struct vgpu_cuda_call) - copy));
	}
	if (h->id % 4 == 0)
		begin_wait();
	if (cuda_request(&worker, copy, length)) {
		CHECK(worker.rsp.header.length >= sizeof(struct vgpu_response));
		CHECK(worker.rsp.header.length <= VGPU_RECORD_MAX);
		CHECK(!(h->flags & VGPU_REQUEST_QUIET));
	}
	end_wait();
	look();
}

/* A call of the bench's own. */
static CUresult call(uint32_t function, uint64_t context, unsigned int ndesc,
		     const struct vgpu_desc *desc, const void *args, size_t length,
		     const void *more, size_t more_length)
{
	_Alignas(8) uint8_t rec[VGPU_RECORD_MAX] = {0};
	struct vgpu_cuda_call head = {.function = function, .context = context};
	struct vgpu_request h = {.command = VGPU_CMD_CUDA, .ndesc = (uint16_t)ndesc};
	const struct vgpu_cuda_result *res = (const void *)(&worker.rsp.header + 1);
	size_t at = sizeof(h);

	at = put(rec, at, desc, ndesc * sizeof(*desc));
	at = put(rec, at, &head, sizeof(head));
	at = put(rec, at, args, length);
	at = put(rec, at, more, more_length);
	h.length = (uint32_t)at;
	h.id = next_id++;
	memcpy(rec, &h, sizeof(h));
	if (!cuda_request(&worker, rec, (uint32_t)at))
		return CUDA_ERROR_NOT_READY; /* its answer comes while we wait for the rest */
	return worker.rsp.header.status ? CUDA_ERROR_UNKNOWN : (CUresult)res->result;
}

#define CALL(name, context, ...)                                                         \
	call(CUDA_FN_##name, context, 0, NULL, &(struct vgpu_##name##_req){__VA_ARGS__}, \
	     sizeof(struct vgpu_##name##_req), NULL, 0)

static void answer_callbacks(void)
{
	for (unsigned int i = 0; i < calls_due.n; i++)
		CALL(vgpuCallbackDone, 0, .id = calls_due.id[i]);
	calls_due.n = 0;
}

/* Until every answer is there.  Nothing that was sent may take long here. */
static void wait_for_all(void)
{
	struct timespec pause = {.tv_nsec = 20000};

	look();
	for (unsigned int i = 0; worker.cuda->waits->n || worker.cuda->flow.head; i++) {
		CHECK(i < 200000);
		look();
		if (i > 10)
			nanosleep(&pause, NULL);
	}
}

/* Until the streams are empty, too. */
static void wait_for_streams(void)
{
	struct cuda_object *o;

	wait_for_all();
	for (uint32_t at = 0; (o = handles_each(&worker.cuda->handles, VGPU_CUDA_CONTEXT, &at));) {
		call(CUDA_FN_vgpuCtxSynchronize, o->handle, 0, NULL, NULL, 0, NULL, 0);
		wait_for_all();
	}
}

/* -------------------------------------------------------------- a session */
static const char ptx[] =
	".version 6.0\n.target sm_50\n.address_size 64\n"
	".global .u32 counter;\n"
	".visible .entry vector_add(.param .u64 a, .param .u64 b, .param .u64 c, .param .u32 n)\n"
	"{\nret;\n}\n"
	".visible .entry fill(.param .u64 p, .param .u32 v, .param .u32 n)\n{\nret;\n}\n"
	".visible .entry store_at(.param .u64 p, .param .u32 v)\n{\nret;\n}\n";
static uint64_t device_address;

uint64_t bench_device(void)
{
	return device_address;
}

static void load_blob(uint64_t number)
{
	struct vgpu_vgpuBlobData_req q = {.blob = number, .bytes = sizeof(ptx)};

	CALL(vgpuBlobBegin, 0, .blob = number, .bytes = sizeof(ptx));
	call(CUDA_FN_vgpuBlobData, 0, 0, NULL, &q, sizeof(q), ptx, sizeof(ptx));
}

static void make_code(uint64_t c)
{
	struct vgpu_vgpuModuleGetFunction_req f = {
		.f = BENCH(FUNCTION, 1), .module = BENCH(MODULE, 1), .name_length = 5};
	struct vgpu_vgpuLibraryGetKernel_req k = {
		.k = BENCH(KERNEL, 1), .library = BENCH(LIBRARY, 1), .name_length = 11};

	load_blob(1);
	CHECK(CALL(vgpuModuleLoad, c, .module = BENCH(MODULE, 1), .blob = 1) == CUDA_SUCCESS);
	CALL(vgpuBlobEnd, 0, .blob = 1);
	load_blob(2);
	blobs[nblobs++] = 2;
	CHECK(CALL(vgpuLibraryLoad, c, .library = BENCH(LIBRARY, 1), .blob = 2) == CUDA_SUCCESS);
	CHECK(call(CUDA_FN_vgpuModuleGetFunction, c, 0, NULL, &f, sizeof(f), "fill", 5) ==
	      CUDA_SUCCESS);
	CHECK(call(CUDA_FN_vgpuLibraryGetKernel, c, 0, NULL, &k, sizeof(k), "vector_add", 11) ==
	      CUDA_SUCCESS);
}

/* Objects of kinds that the driver may not have are left out. */
static void make_objects(uint64_t c)
{
	CHECK(CALL(cuStreamCreate, c, .phStream = BENCH(STREAM, 1), .Flags = 1) == CUDA_SUCCESS);
	CHECK(CALL(cuEventCreate, c, .phEvent = BENCH(EVENT, 1)) == CUDA_SUCCESS);
	if (CALL(cuGraphCreate, c, .phGraph = BENCH(GRAPH, 1)) == CUDA_SUCCESS)
		CALL(cuGraphAddEmptyNode, c, .phGraphNode = BENCH(NODE, 1),
		     .hGraph = BENCH(GRAPH, 1));
	CALL(vgpuDevicePool, c, .pool = BENCH(MEMPOOL, 1));
}

static void make_window(void)
{
	const struct vgpu_desc d = {.buffer = 0, .length = BENCH_WINDOW_BYTES};
	struct vgpu_vgpuHostMap_req q = {.address = BENCH_WINDOW, .bytes = BENCH_WINDOW_BYTES};

	CHECK(CALL(vgpuHostReserve, 0, .address = BENCH_WINDOW, .bytes = BENCH_WINDOW_BYTES) ==
	      CUDA_SUCCESS);
	CHECK(call(CUDA_FN_vgpuHostMap, BENCH(CONTEXT, 1), 1, &d, &q, sizeof(q), NULL, 0) ==
	      CUDA_SUCCESS);
	windows[0].address = windows[1].address = BENCH_WINDOW;
	windows[0].bytes = windows[1].bytes = BENCH_WINDOW_BYTES;
	windows[0].map = true;
	windows[1].map = false;
	nwindows = 2;
}

static void start(void)
{
	int saved = dup(STDOUT_FILENO), errors = dup(STDERR_FILENO);

	ops = *vgpu_backend_cpu();
	ops.symbol = symbol;
	worker.ops = &ops;
	worker.page = calloc(1, VGPU_PAGE);
	CHECK(worker.page && ops.open(&worker.be, 0, NULL) == 0);
	make_ram();
	make_tenant();
	fill_table();
	CHECK(buffers_init(&worker.buffers, &worker.mem, (void *)(ram + TABLE_AT), BUFFERS) == 0);
	CHECK(CALL(vgpuHello, 0, .version = VGPU_CUDA_VERSION) == CUDA_SUCCESS);
	/* The session has taken the output away. */
	dup2(saved, STDOUT_FILENO);
	dup2(errors, STDERR_FILENO);
	close(saved);
	close(errors);
}

void bench_begin(void)
{
	const uint64_t c = BENCH(CONTEXT, 1);
	const struct vgpu_cuMemAlloc_v2_rsp *r;

	if (!worker.ops)
		start();
	fill_table();
	nblobs = 0;
	CHECK(CALL(vgpuCtxRetainPrimary, 0, .ctx = c) == CUDA_SUCCESS);
	CHECK(CALL(cuMemAlloc_v2, c, .bytesize = BENCH_DEVICE_BYTES) == CUDA_SUCCESS);
	r = (const void *)((const uint8_t *)(&worker.rsp.header + 1) +
			   sizeof(struct vgpu_cuda_result));
	device_address = r->dptr;
	make_window();
	make_code(c);
	make_objects(c);
}

/* ------------------------------------------------------------ taking down */
static void drop_all(unsigned int type, uint32_t function)
{
	struct cuda_handles *t = &worker.cuda->handles;
	struct cuda_object *o;

	for (uint32_t at = 0; (o = handles_each(t, type, &at));) {
		uint64_t handle = o->handle;

		call(function, BENCH(CONTEXT, 1), 0, NULL, &handle, sizeof(handle), NULL, 0);
		wait_for_all();
	}
}

static void drop_windows(void)
{
	for (unsigned int i = 0; i < nwindows; i++) {
		if (windows[i].map)
			CALL(vgpuHostUnmap, BENCH(CONTEXT, 1), .address = windows[i].address,
			     .bytes = windows[i].bytes);
		wait_for_all();
	}
	for (unsigned int i = 0; i < nwindows; i++) {
		if (!windows[i].map)
			CALL(vgpuHostRelease, 0, .address = windows[i].address,
			     .bytes = windows[i].bytes);
	}
	nwindows = 0;
}

/* Those that stay taken, as graphs might hold their addresses: none is left. */
static void forget_windows(void)
{
	struct windows *all = worker.cuda->windows;

	while (all && all->head) {
		struct window *w = all->head;

		CHECK(w->kept && munmap((void *)(uintptr_t)w->start, w->length) == 0);
		all->head = w->next;
		all->n--;
		free(w);
	}
	worker.cuda->has_graphs = false;
}

static void drop_memory(void)
{
	struct cuda_ranges *r = &worker.cuda->ranges;

	for (uint32_t i = r->n; i-- > 0;) {
		if (i < r->n && r->range[i].kind == RANGE_DEVICE)
			CALL(cuMemFree_v2, BENCH(CONTEXT, 1), .dptr = r->range[i].start);
		wait_for_all();
	}
}

/* Piece by piece, as it was mapped. */
static void drop_mappings(void)
{
	const struct cuda_ranges *r = &worker.cuda->ranges;

	for (uint32_t i = r->n; i-- > 0;) {
		if (i < r->n && r->range[i].kind == RANGE_VMM)
			CALL(cuMemUnmap, 0, .ptr = r->range[i].start, .size = r->range[i].length);
		wait_for_all();
	}
}

/* What the last contexts left behind may have broken the driver once more. */
static void drop_reservations(void)
{
	const struct cuda_ranges *r = &worker.cuda->reserved;

	bench_forgive();
	drop_mappings();
	while (r->n) {
		uint32_t before = r->n;

		CALL(cuMemAddressFree, 0, .ptr = r->range[0].start, .size = r->range[0].length);
		wait_for_all();
		CHECK(r->n < before);
	}
}

static void drop_contexts(void)
{
	struct cuda_handles *t = &worker.cuda->handles;
	struct cuda_object *o;

	for (uint32_t at = 0; (o = handles_each(t, VGPU_CUDA_CONTEXT, &at));) {
		uint64_t handle = o->handle;

		if (CALL(vgpuCtxDestroy, 0, .ctx = handle) != CUDA_SUCCESS)
			wait_for_all();
		if (handles_object(t, handle, VGPU_CUDA_CONTEXT))
			CALL(vgpuCtxReleasePrimary, 0, .ctx = handle);
	}
	CALL(vgpuCtxResetPrimary, 0, .dev = 0);
	wait_for_all();
}

/* An input may have given up the context that the rest needs, or have it by another name. */
static void retake_primary(void)
{
	const uint64_t own = BENCH(CONTEXT, 1);
	struct cuda_object *o;

	if (handles_object(&worker.cuda->handles, own, VGPU_CUDA_CONTEXT))
		return;
	for (uint32_t at = 0; (o = handles_each(&worker.cuda->handles, VGPU_CUDA_CONTEXT, &at));)
		CALL(vgpuCtxReleasePrimary, 0, .ctx = o->handle);
	CALL(vgpuCtxRetainPrimary, 0, .ctx = own);
}

void bench_end(void)
{
	wait_for_streams();
	bench_forgive(); /* a worker would end with its session */
	wait_for_streams();
	retake_primary();
	drop_all(VGPU_CUDA_GRAPHEXEC, CUDA_FN_cuGraphExecDestroy);
	drop_all(VGPU_CUDA_GRAPH, CUDA_FN_cuGraphDestroy);
	drop_all(VGPU_CUDA_LINK, CUDA_FN_cuLinkDestroy);
	drop_all(VGPU_CUDA_MODULE, CUDA_FN_cuModuleUnload);
	drop_all(VGPU_CUDA_LIBRARY, CUDA_FN_cuLibraryUnload);
	drop_all(VGPU_CUDA_MEMPOOL, CUDA_FN_cuMemPoolDestroy);
	drop_windows();
	drop_memory();
	drop_contexts();
	for (unsigned int i = 0; i < nblobs; i++)
		CALL(vgpuBlobEnd, 0, .blob = blobs[i]);
	drop_reservations();
	drop_all(VGPU_CUDA_ALLOCATION, CUDA_FN_cuMemRelease);
	bench_forgive();
	handles_clear(worker.cuda);
	forget_windows();
	ranges_free(&worker.cuda->ranges);
	/* Nothing is left, so nothing is charged for: no way loses or gains any. */
	charge_settle(worker.cuda);
	CHECK(!worker.tenant.own.memory);
	worker.cuda->deferred = CUDA_SUCCESS;
	buffers_release(&worker.buffers);
}
