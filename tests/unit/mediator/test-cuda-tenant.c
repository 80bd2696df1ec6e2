/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a tenant may do and have, in CUDA calls: every way to allocate at its
 * limit, what gives memory back, what the program is told, every function of
 * the table that a class is missing for.
 */
#include <errno.h>
#include <glib.h>
#include <string.h>
#include <unistd.h>

#include "cuda-program.h"
#include "entry.h"

#define MIB ((uint64_t)1 << 20)
#define LIMIT (16 * MIB)

static struct tenant_limits *limits(void)
{
	return (struct tenant_limits *)test_worker->tenant.page;
}

/* As the daemon does it. */
static void set(uint32_t classes, uint64_t memory)
{
	struct tenant_limits l = *limits();

	l.classes = classes;
	l.memory = memory;
	tenant_limits_write(limits(), &l);
	tenant_look(&test_worker->tenant); /* the loop does it for each request */
}

static void start(void)
{
	program_start();
	set(POLICY_ALL, LIMIT);
}

static uint64_t used(void)
{
	return test_worker->tenant.own.memory;
}

static void assert_result(const struct outcome *o, CUresult r)
{
	g_assert_cmpint(o->status, ==, 0);
	g_assert_cmpint(o->result, ==, r);
}

static struct vgpu_cuMemGetInfo_v2_rsp memory_info(void)
{
	const struct outcome *o = calls_make(CUDA_FN_cuMemGetInfo_v2, CTX, 0, NULL, 0);
	struct vgpu_cuMemGetInfo_v2_rsp r;

	assert_ok(o);
	memcpy(&r, o->data, sizeof(r));
	return r;
}

/* ------------------------------------------------------------------ plain */

static struct outcome *alloc(uint64_t bytes)
{
	return CALL(cuMemAlloc_v2, CTX, REQ(cuMemAlloc_v2, .bytesize = bytes));
}

static CUdeviceptr address(const struct outcome *o)
{
	CUdeviceptr p;

	assert_ok(o);
	memcpy(&p, o->data, sizeof(p));
	return p;
}

static void release(CUdeviceptr p)
{
	assert_ok(CALL(cuMemFree_v2, CTX, REQ(cuMemFree_v2, .dptr = p)));
}

static void test_plain(void)
{
	CUdeviceptr a, b;

	start();
	a = address(alloc(10 * MIB));
	assert_result(alloc(6 * MIB + 1), CUDA_ERROR_OUT_OF_MEMORY);
	g_assert_cmpint(calls_refusal.kind, ==, CTL_REFUSED_MEMORY);
	g_assert_cmpstr(calls_refusal.what, ==, "cuMemAlloc_v2");
	g_assert_cmpuint(calls_refusal.value, >, 6 * MIB);
	assert_result(alloc(UINT64_MAX), CUDA_ERROR_OUT_OF_MEMORY);
	assert_result(alloc(UINT64_MAX - 600), CUDA_ERROR_OUT_OF_MEMORY);
	b = address(alloc(6 * MIB));
	g_assert_cmpuint(used(), ==, LIMIT);
	g_assert_cmpuint(memory_info().free, ==, 0);
	g_assert_cmpuint(memory_info().total, ==, LIMIT);
	release(b);
	g_assert_cmpuint(memory_info().free, ==, 6 * MIB);
	/* A second time it is nobody's, and gives nothing back. */
	assert_result(CALL(cuMemFree_v2, CTX, REQ(cuMemFree_v2, .dptr = b)),
		      CUDA_ERROR_INVALID_VALUE);
	g_assert_cmpuint(used(), ==, 10 * MIB);
	release(a);
	g_assert_cmpuint(used(), ==, 0);
	calls_stop();
}

/* A million tiny ones are not had for nothing. */
static void test_tiny(void)
{
	unsigned int n = 0;

	start();
	set(POLICY_ALL, 512 * 100);
	while (alloc(1)->result == CUDA_SUCCESS)
		n++;
	g_assert_cmpuint(n, ==, 100);
	calls_stop();
}

static struct outcome *pitch(uint64_t width, uint64_t height)
{
	return CALL(cuMemAllocPitch_v2, CTX,
		    REQ(cuMemAllocPitch_v2, .WidthInBytes = width, .Height = height,
			.ElementSizeBytes = 4));
}

static void test_pitch(void)
{
	struct vgpu_cuMemAllocPitch_v2_rsp r;
	const struct outcome *o;

	start();
	/* Rows of one byte are as wide as the driver makes them. */
	assert_result(pitch(1, LIMIT / 8), CUDA_ERROR_OUT_OF_MEMORY);
	g_assert_cmpuint(used(), ==, 0);
	assert_result(pitch(UINT64_MAX, 2), CUDA_ERROR_OUT_OF_MEMORY);
	o = pitch(100, 1000);
	assert_ok(o);
	memcpy(&r, o->data, sizeof(r));
	g_assert_cmpuint(used(), >=, r.pPitch * 1000);
	release(r.dptr);
	g_assert_cmpuint(used(), ==, 0);
	calls_stop();
}

/* What a context takes along when it goes. */
/* Who gets no memory waits for nothing: here it would be for ever. */
static void test_pitch_behind_function(void)
{
	start();
	make_stream(HANDLE(STREAM, 20));
	QUIET(vgpuCallback, CTX, REQ(vgpuCallback, .stream = HANDLE(STREAM, 20), .id = 7));
	while (!strstr(calls_notes->str, "3:7"))
		cuda_poll(test_worker);
	alarm(60);
	assert_result(pitch(1, LIMIT / 8), CUDA_ERROR_OUT_OF_MEMORY);
	alarm(0);
	QUIET(vgpuCallbackDone, 0, REQ(vgpuCallbackDone, .id = 7));
	calls_stop();
}

static void test_context(void)
{
	const uint64_t other = HANDLE(CONTEXT, 7);

	start();
	assert_ok(CALL(vgpuCtxCreate, 0, REQ(vgpuCtxCreate, .ctx = other)));
	assert_ok(CALL(cuMemAlloc_v2, other, REQ(cuMemAlloc_v2, .bytesize = 16 * MIB)));
	assert_result(alloc(1), CUDA_ERROR_OUT_OF_MEMORY);
	assert_ok(CALL(vgpuCtxDestroy, 0, REQ(vgpuCtxDestroy, .ctx = other)));
	g_assert_cmpuint(used(), ==, 0);
	release(address(alloc(16 * MIB)));
	calls_stop();
}

/* --------------------------------------------------------------- contexts */

#define CONTEXT (5 * MIB)
#define CONTEXT_AT(i) HANDLE(CONTEXT, 200 + (i))

/* What the daemon says a context costs. */
static void set_context(uint64_t bytes)
{
	struct tenant_limits l = *limits();

	l.context = bytes;
	tenant_limits_write(limits(), &l);
	tenant_look(&test_worker->tenant);
}

static struct outcome *create_context(unsigned int i)
{
	return CALL(vgpuCtxCreate, 0, REQ(vgpuCtxCreate, .ctx = CONTEXT_AT(i)));
}

static void destroy_context(unsigned int i)
{
	assert_ok(CALL(vgpuCtxDestroy, 0, REQ(vgpuCtxDestroy, .ctx = CONTEXT_AT(i))));
}

static CUresult CUDAAPI refuse_context(CUcontext *ctx, unsigned int flags, CUdevice dev)
{
	(void)ctx;
	(void)flags;
	(void)dev;
	return CUDA_ERROR_OUT_OF_MEMORY;
}

static struct outcome *retain_primary(uint64_t handle)
{
	return CALL(vgpuCtxRetainPrimary, 0, REQ(vgpuCtxRetainPrimary, .ctx = handle));
}

static void release_primary(void)
{
	assert_ok(CALL(vgpuCtxReleasePrimary, 0, REQ(vgpuCtxReleasePrimary, .ctx = CTX)));
}

/* The driver is the same for all tests: what those before have left behind goes. */
static void start_contexts(uint64_t cost)
{
	start();
	set_context(cost);
	release_primary();
	g_assert_cmpint(driver()->cuDevicePrimaryCtxReset_v2(0), ==, CUDA_SUCCESS);
	assert_ok(retain_primary(CTX));
}

/* What is told of this session: what it is charged for, contexts that nobody pays for. */
static void assert_told(uint64_t memory, uint64_t contexts)
{
	const struct session_usage *u = &test_worker->tenant.usage->session[0];

	g_assert_cmpuint(used(), ==, memory);
	g_assert_cmpuint(u->memory, ==, memory);
	g_assert_cmpuint(u->contexts, ==, contexts);
}

/* The first is for nothing; of three more, which is what there is room for, none is. */
static void test_contexts(void)
{
	start_contexts(CONTEXT);
	assert_told(0, 1);
	for (unsigned int i = 1; i <= 3; i++) {
		assert_ok(create_context(i));
		assert_told(i * CONTEXT, 1);
	}
	assert_result(create_context(4), CUDA_ERROR_OUT_OF_MEMORY);
	g_assert_cmpint(calls_refusal.kind, ==, CTL_REFUSED_MEMORY);
	g_assert_cmpuint(calls_refusal.value, ==, CONTEXT);
	assert_told(3 * CONTEXT, 1);
	g_assert_cmpuint(memory_info().free, ==, LIMIT - 3 * CONTEXT);
	assert_result(alloc(2 * MIB), CUDA_ERROR_OUT_OF_MEMORY);
	destroy_context(2);
	assert_told(2 * CONTEXT, 1);
	release(address(alloc(2 * MIB)));
	/* No handle, no context, no charge. */
	assert_result(create_context(1), CUDA_ERROR_INVALID_HANDLE);
	assert_told(2 * CONTEXT, 1);
	assert_ok(create_context(4));
	destroy_context(1);
	destroy_context(3);
	destroy_context(4);
	assert_told(0, 1);
	release_primary();
	assert_told(0, 0);
	assert_ok(create_context(1));
	assert_told(0, 1);
	calls_stop();
}

/* The primary one counts once; whichever is there first is for nothing, and when it goes another.
 */
static void test_primary_context(void)
{
	start_contexts(CONTEXT);
	assert_result(retain_primary(CONTEXT_AT(9)), CUDA_ERROR_INVALID_VALUE);
	assert_told(0, 1);
	assert_ok(create_context(1));
	assert_ok(create_context(2));
	assert_told(2 * CONTEXT, 1);
	release_primary();
	assert_told(CONTEXT, 1);
	assert_ok(retain_primary(CTX));
	assert_told(2 * CONTEXT, 1);
	assert_ok(CALL(vgpuCtxResetPrimary, 0, REQ(vgpuCtxResetPrimary, .dev = 0)));
	assert_told(CONTEXT, 1);
	set(POLICY_ALL, 2 * CONTEXT - 1);
	assert_result(retain_primary(HANDLE(CONTEXT, 2)), CUDA_ERROR_OUT_OF_MEMORY);
	assert_told(CONTEXT, 1);
	destroy_context(1);
	destroy_context(2);
	assert_told(0, 0);
	assert_ok(retain_primary(HANDLE(CONTEXT, 2)));
	assert_told(0, 1);
	calls_stop();
}

/* Nobody is refused for what costs nothing, or where there is no limit. */
static void test_contexts_for_nothing(void)
{
	start_contexts(0);
	for (unsigned int i = 1; i <= 4; i++)
		assert_ok(create_context(i));
	assert_told(0, 5);
	set_context(LIMIT + 1); /* by a reload: what is there stays as it is */
	assert_result(create_context(5), CUDA_ERROR_OUT_OF_MEMORY);
	release_primary();
	assert_told(0, 4);
	set(POLICY_ALL, TENANT_NO_LIMIT);
	set_context(1ull << 40);
	for (unsigned int i = 5; i <= 8; i++)
		assert_ok(create_context(i));
	for (unsigned int i = 1; i <= 7; i++)
		destroy_context(i);
	assert_told(0, 1);
	calls_stop();
}

/* A context that the driver does not make costs nothing either. */
static void test_context_fails(void)
{
	CUresult(CUDAAPI * was)(CUcontext *, unsigned int, CUdevice);

	start_contexts(CONTEXT);
	was = driver()->cuCtxCreate_v2;
	driver()->cuCtxCreate_v2 = refuse_context;
	assert_result(create_context(1), CUDA_ERROR_OUT_OF_MEMORY);
	assert_told(0, 1);
	driver()->cuCtxCreate_v2 = was;
	assert_ok(create_context(1));
	assert_told(CONTEXT, 1);
	calls_stop();
}

static void find_kernel(uint64_t library, unsigned int i)
{
	assert_ok(CALL(vgpuLibraryGetKernel, 0,
		       REQ(vgpuLibraryGetKernel, .k = HANDLE(KERNEL, 230 + i), .library = library,
			   .name_length = sizeof("vector_add")),
		       {"vector_add", sizeof("vector_add")}));
}

/* One that the worker needs itself is told to the daemon, and is none of the guest's. */
static void test_own_context(void)
{
	const uint64_t library = HANDLE(LIBRARY, 220);
	uint64_t image;
	CUcontext own;

	start_contexts(CONTEXT);
	release_primary();
	load_library(library);
	image = used();
	assert_told(image, 0);
	find_kernel(library, 1); /* of which the driver tells nothing without a context */
	assert_told(image, 1);
	assert_ok(create_context(1));
	assert_told(image, 1); /* ... so this one does from now on */
	find_kernel(library, 2);
	assert_told(image, 1);
	/* A backend's command makes the primary one, as NVIDIA's runtime would. */
	g_assert_cmpint(test_worker->cuda->extra.cuDevicePrimaryCtxRetain(&own, 0), ==,
			CUDA_SUCCESS);
	cuda_disturbed(test_worker);
	assert_told(image, 2);
	assert_ok(retain_primary(CTX));
	assert_told(image + CONTEXT, 1);
	release_primary();
	assert_told(image, 2);
	calls_stop();
}

/* ------------------------------------------------------------------ pools */

static struct outcome *alloc_async(uint64_t bytes)
{
	return CALL(cuMemAllocAsync, CTX, REQ(cuMemAllocAsync, .bytesize = bytes));
}

static void test_pool(void)
{
	CUdeviceptr p;

	start();
	p = address(alloc_async(12 * MIB));
	assert_result(alloc_async(5 * MIB), CUDA_ERROR_OUT_OF_MEMORY);
	assert_result(alloc(5 * MIB), CUDA_ERROR_OUT_OF_MEMORY);
	QUIET(cuMemFreeAsync, CTX, REQ(cuMemFreeAsync, .dptr = p));
	synchronize();
	/* What the pool may keep is asked for only when it is needed. */
	p = address(alloc(16 * MIB));
	release(p);
	/* The other way to free it. */
	p = address(alloc_async(16 * MIB));
	release(p);
	g_assert_cmpuint(memory_info().free, ==, LIMIT);
	g_assert_cmpuint(used(), ==, 0);
	calls_stop();
}

static uint64_t kept; /* by a pool that gives nothing back before it is trimmed */

static CUresult CUDAAPI tell_kept(CUmemoryPool pool, CUmemPool_attribute which, void *value)
{
	(void)pool;
	g_assert_cmpint(which, ==, CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT);
	*(cuuint64_t *)value = kept;
	return CUDA_SUCCESS;
}

static CUresult CUDAAPI trim(CUmemoryPool pool, size_t keep)
{
	(void)pool;
	g_assert_cmpuint(keep, ==, 0);
	kept = 0;
	return CUDA_SUCCESS;
}

static void test_pool_that_keeps(void)
{
	CUdeviceptr p, q;

	start();
	driver()->cuMemPoolGetAttribute = tell_kept;
	driver()->cuMemPoolTrimTo = trim;
	p = address(alloc_async(8 * MIB));
	kept = 32 * MIB; /* more than was asked for: the driver's doing */
	QUIET(cuMemFreeAsync, CTX, REQ(cuMemFreeAsync, .dptr = p));
	synchronize();
	g_assert_cmpuint(memory_info().free, ==, 8 * MIB);
	/* From the pool it is there already. */
	p = address(alloc_async(6 * MIB));
	g_assert_cmpuint(used(), ==, 8 * MIB);
	q = address(alloc(8 * MIB));
	assert_result(alloc(4 * MIB), CUDA_ERROR_OUT_OF_MEMORY);
	g_assert_cmpuint(kept, ==, 0); /* it was made to give up what it kept */
	g_assert_cmpuint(used(), ==, 14 * MIB);
	QUIET(cuMemFreeAsync, CTX, REQ(cuMemFreeAsync, .dptr = p));
	release(q);
	synchronize();
	p = address(alloc(16 * MIB));
	release(p);
	calls_stop();
}

static void test_own_pool(void)
{
	const CUmemPoolProps props = {.allocType = CU_MEM_ALLOCATION_TYPE_PINNED,
				      .location = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = 0}};
	const uint64_t pool = HANDLE(MEMPOOL, 3);
	CUdeviceptr p;

	start();
	assert_ok(CALL(cuMemPoolCreate, CTX, REQ(cuMemPoolCreate, .pool = pool),
		       {&props, sizeof(props)}));
	p = address(CALL(cuMemAllocFromPoolAsync, CTX,
			 REQ(cuMemAllocFromPoolAsync, .bytesize = 9 * MIB, .pool = pool)));
	assert_result(CALL(cuMemAllocFromPoolAsync, CTX,
			   REQ(cuMemAllocFromPoolAsync, .bytesize = 8 * MIB, .pool = pool)),
		      CUDA_ERROR_OUT_OF_MEMORY);
	/* Destroyed with memory out: that stays until it is freed. */
	assert_ok(CALL(cuMemPoolDestroy, CTX, REQ(cuMemPoolDestroy, .pool = pool)));
	g_assert_cmpuint(used(), ==, 9 * MIB);
	assert_result(alloc(8 * MIB), CUDA_ERROR_OUT_OF_MEMORY);
	QUIET(cuMemFreeAsync, CTX, REQ(cuMemFreeAsync, .dptr = p));
	synchronize();
	g_assert_cmpuint(used(), ==, 0);
	calls_stop();
}

/* --------------------------------------------------------- virtual memory */

static const CUmemAllocationProp plain_memory = {
	.type = CU_MEM_ALLOCATION_TYPE_PINNED,
	.location = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = 0}};

static struct outcome *create(uint64_t handle, uint64_t bytes)
{
	return CALL(cuMemCreate, 0, REQ(cuMemCreate, .handle = handle, .size = bytes),
		    {&plain_memory, sizeof(plain_memory)});
}

static void give_up(uint64_t handle)
{
	assert_ok(CALL(cuMemRelease, 0, REQ(cuMemRelease, .handle = handle)));
}

static void test_virtual(void)
{
	const uint64_t a = HANDLE(ALLOCATION, 20), b = HANDLE(ALLOCATION, 21),
		       again = HANDLE(ALLOCATION, 22);
	CUdeviceptr at;

	start();
	assert_ok(create(a, 8 * MIB));
	assert_result(create(b, 10 * MIB), CUDA_ERROR_OUT_OF_MEMORY);
	at = address(CALL(cuMemAddressReserve, 0, REQ(cuMemAddressReserve, .size = 32 * MIB)));
	g_assert_cmpuint(used(), ==, 8 * MIB); /* addresses cost nothing */
	assert_ok(CALL(cuMemMap, 0, REQ(cuMemMap, .ptr = at, .size = 8 * MIB, .handle = a)));
	assert_ok(CALL(cuMemMap, 0,
		       REQ(cuMemMap, .ptr = at + 8 * MIB, .size = 8 * MIB, .handle = a)));
	assert_ok(CALL(cuMemRetainAllocationHandle, 0,
		       REQ(cuMemRetainAllocationHandle, .handle = again, .addr = at)));
	g_assert_cmpuint(used(), ==, 8 * MIB);
	/* The last of handles and mappings gives it back, and nothing before. */
	give_up(a);
	assert_ok(CALL(cuMemUnmap, 0, REQ(cuMemUnmap, .ptr = at, .size = 8 * MIB)));
	give_up(again);
	g_assert_cmpuint(used(), ==, 8 * MIB);
	assert_result(create(b, 10 * MIB), CUDA_ERROR_OUT_OF_MEMORY);
	assert_ok(CALL(cuMemUnmap, 0, REQ(cuMemUnmap, .ptr = at + 8 * MIB, .size = 8 * MIB)));
	g_assert_cmpuint(used(), ==, 0);
	assert_ok(create(b, 16 * MIB));
	give_up(b);
	g_assert_cmpint(CALL(cuMemRelease, 0, REQ(cuMemRelease, .handle = b))->result, !=,
			CUDA_SUCCESS);
	g_assert_cmpuint(used(), ==, 0);
	calls_stop();
}

/* ----------------------------------------------------------------- arrays */

static struct outcome *array(uint64_t handle, size_t width, size_t height)
{
	const CUDA_ARRAY_DESCRIPTOR d = {
		.Width = width, .Height = height, .Format = CU_AD_FORMAT_FLOAT, .NumChannels = 4};

	return CALL(cuArrayCreate_v2, CTX, REQ(cuArrayCreate_v2, .pHandle = handle),
		    {&d, sizeof(d)});
}

static struct outcome *array3d(uint64_t handle, size_t side, size_t depth)
{
	const CUDA_ARRAY3D_DESCRIPTOR d = {.Width = side,
					   .Height = side,
					   .Depth = depth,
					   .Format = CU_AD_FORMAT_UNSIGNED_INT16,
					   .NumChannels = 1};

	return CALL(cuArray3DCreate_v2, CTX, REQ(cuArray3DCreate_v2, .pHandle = handle),
		    {&d, sizeof(d)});
}

static void test_arrays(void)
{
	const uint64_t a = HANDLE(ARRAY, 30), b = HANDLE(ARRAY, 31);

	start();
	assert_result(array(a, 1024, 1025), CUDA_ERROR_OUT_OF_MEMORY); /* of 16 bytes each */
	assert_ok(array(a, 1024, 512));
	g_assert_cmpuint(used(), ==, 8 * MIB);
	assert_result(array3d(b, 1024, 5), CUDA_ERROR_OUT_OF_MEMORY);
	assert_ok(array3d(b, 1024, 4));
	g_assert_cmpuint(used(), ==, LIMIT);
	/* The handle is taken: nothing was made, nothing is charged. */
	g_assert_cmpint(array3d(b, 1, 1)->result, !=, CUDA_SUCCESS);
	g_assert_cmpuint(used(), ==, LIMIT);
	assert_ok(CALL(cuArrayDestroy, CTX, REQ(cuArrayDestroy, .hArray = a)));
	g_assert_cmpuint(used(), ==, 8 * MIB);
	assert_result(array(a, SIZE_MAX / 2, SIZE_MAX / 2), CUDA_ERROR_OUT_OF_MEMORY);
	/* Those of a context go with it. */
	assert_ok(CALL(vgpuCtxReleasePrimary, 0, REQ(vgpuCtxReleasePrimary, .ctx = CTX)));
	g_assert_cmpuint(used(), ==, 0);
	calls_stop();
}

/* ----------------------------------------------------------------- graphs */

static struct outcome *add_alloc(uint64_t graph, uint64_t node, uint64_t bytes)
{
	const CUmemPoolProps props = {.allocType = CU_MEM_ALLOCATION_TYPE_PINNED,
				      .location = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = 0}};

	return CALL(vgpuGraphAddAlloc, CTX,
		    REQ(vgpuGraphAddAlloc, .node = node, .graph = graph, .bytes = bytes),
		    {&props, sizeof(props)});
}

static void test_graph(void)
{
	const uint64_t graph = HANDLE(GRAPH, 40), a = HANDLE(NODE, 41), b = HANDLE(NODE, 42);

	start();
	QUIET(cuGraphCreate, CTX, REQ(cuGraphCreate, .phGraph = graph));
	assert_ok(add_alloc(graph, a, 10 * MIB));
	assert_result(add_alloc(graph, b, 7 * MIB), CUDA_ERROR_OUT_OF_MEMORY);
	assert_result(alloc(7 * MIB), CUDA_ERROR_OUT_OF_MEMORY);
	g_assert_cmpuint(used(), ==, 10 * MIB);
	QUIET(cuGraphDestroy, 0, REQ(cuGraphDestroy, .hGraph = graph));
	release(address(alloc(LIMIT)));
	g_assert_cmpuint(used(), ==, 0);
	calls_stop();
}

/* --------------------------------------------------------- images, limits */

static void test_image(void)
{
	const uint64_t module = HANDLE(MODULE, 50);

	start();
	load(module);
	g_assert_cmpuint(used(), >, 0);
	assert_ok(CALL(cuModuleUnload, CTX, REQ(cuModuleUnload, .hmod = module)));
	g_assert_cmpuint(used(), ==, 0);
	calls_stop();
}

static struct outcome *set_limit(CUlimit limit, uint64_t value)
{
	return CALL(cuCtxSetLimit, CTX, REQ(cuCtxSetLimit, .limit = limit, .value = value));
}

/* Memory that a context sets aside because the program asked for it. */
static void test_context_limits(void)
{
	uint64_t first;

	start();
	set(POLICY_ALL, 64 * MIB);
	assert_result(set_limit(CU_LIMIT_MALLOC_HEAP_SIZE, 100 * MIB), CUDA_ERROR_OUT_OF_MEMORY);
	assert_ok(set_limit(CU_LIMIT_MALLOC_HEAP_SIZE, 40 * MIB));
	first = used();
	g_assert_cmpuint(first, >, 0);
	g_assert_cmpuint(first, <=, 40 * MIB);
	assert_ok(set_limit(CU_LIMIT_MALLOC_HEAP_SIZE, 39 * MIB));
	g_assert_cmpuint(used(), ==, first - MIB);
	/* The stack of every thread that can be at once. */
	assert_result(set_limit(CU_LIMIT_STACK_SIZE, 512 << 10), CUDA_ERROR_OUT_OF_MEMORY);
	assert_ok(set_limit(CU_LIMIT_MALLOC_HEAP_SIZE, 0));
	g_assert_cmpuint(used(), ==, 0);
	assert_ok(set_limit(CU_LIMIT_MALLOC_HEAP_SIZE, 40 * MIB));
	assert_ok(CALL(vgpuCtxReleasePrimary, 0, REQ(vgpuCtxReleasePrimary, .ctx = CTX)));
	g_assert_cmpuint(used(), ==, 0);
	calls_stop();
}

/* ----------------------------------------------------------- local memory */

static int local_bytes; /* for each thread, of every function */
static CUresult(CUDAAPI *get_attribute)(int *, CUfunction_attribute, CUfunction);

static CUresult CUDAAPI tell_local(int *value, CUfunction_attribute which, CUfunction f)
{
	if (which != CU_FUNC_ATTRIBUTE_LOCAL_SIZE_BYTES)
		return get_attribute(value, which, f);
	*value = local_bytes;
	return CUDA_SUCCESS;
}

/* A function that needs so much. */
static uint64_t function_with(uint64_t module, unsigned int i, int local)
{
	const uint64_t f = HANDLE(FUNCTION, 80 + i);

	local_bytes = local;
	find(module, f, "vector_add");
	return f;
}

static CUresult launched(uint64_t function)
{
	static const uint64_t params[4];
	const struct outcome *o;

	launch(function, 1, params, 28);
	o = calls_make(CUDA_FN_vgpuCtxSynchronize, CTX, 0, NULL, 0);
	g_assert_cmpint(o->result, ==, CUDA_SUCCESS);
	return o->deferred;
}

static uint64_t threads_at_once(void)
{
	int processors, each;

	driver()->cuDeviceGetAttribute(&processors, CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT, 0);
	driver()->cuDeviceGetAttribute(&each, CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_MULTIPROCESSOR,
				       0);
	return (uint64_t)processors * (uint64_t)each;
}

static CUresult add_kernel(uint64_t graph, unsigned int i, uint64_t function)
{
	const struct vgpu_kernel_node kernel = {
		.function = function, .grid = {1, 1, 1}, .block = {1, 1, 1}};
	static const uint64_t params[4];

	return CALL(vgpuGraphAddKernel, CTX,
		    REQ(vgpuGraphAddKernel, .node = HANDLE(NODE, 90 + i), .graph = graph,
			.bytes = 28),
		    {&kernel, sizeof(kernel)}, {params, 28})
		->result;
}

/*
 * As much as the stack that each thread has anyway is there; beyond that it costs,
 * for all threads that can be at once, until the context goes.
 */
static void test_local_memory(void)
{
	const uint64_t module = HANDLE(MODULE, 70), graph = HANDLE(GRAPH, 71);
	uint64_t threads, image, small, large, huge;

	start();
	threads = threads_at_once();
	set(POLICY_ALL, MIB + 4096 * threads);
	get_attribute = driver()->cuFuncGetAttribute;
	driver()->cuFuncGetAttribute = tell_local;
	load(module);
	image = used();
	small = function_with(module, 1, 1024);
	large = function_with(module, 2, 4096);
	huge = function_with(module, 3, 1 << 20);
	g_assert_cmpint(launched(small), ==, CUDA_SUCCESS);
	g_assert_cmpuint(used(), ==, image);
	g_assert_cmpint(launched(huge), ==, CUDA_ERROR_OUT_OF_MEMORY);
	g_assert_cmpuint(used(), ==, image);
	for (int i = 0; i < 3; i++)
		g_assert_cmpint(launched(large), ==, CUDA_SUCCESS);
	g_assert_cmpuint(used(), ==, image + 3072 * threads);
	g_assert_cmpint(launched(small), ==, CUDA_SUCCESS);
	/* Stacks lie in the same place: the larger of both counts. */
	assert_ok(set_limit(CU_LIMIT_STACK_SIZE, 2048));
	g_assert_cmpuint(used(), ==, image + 3072 * threads);
	assert_ok(set_limit(CU_LIMIT_STACK_SIZE, 4608));
	g_assert_cmpuint(used(), ==, image + 3584 * threads);
	assert_ok(set_limit(CU_LIMIT_STACK_SIZE, 1024));
	g_assert_cmpuint(used(), ==, image + 3072 * threads);
	assert_ok(set_limit(CU_LIMIT_STACK_SIZE, 4608));
	g_assert_cmpint(launched(large), ==, CUDA_SUCCESS);
	g_assert_cmpuint(used(), ==, image + 3584 * threads);
	/* In a graph it is too late to be refused when that is launched. */
	QUIET(cuGraphCreate, CTX, REQ(cuGraphCreate, .phGraph = graph));
	g_assert_cmpint(add_kernel(graph, 1, huge), ==, CUDA_ERROR_OUT_OF_MEMORY);
	g_assert_cmpint(add_kernel(graph, 2, large), ==, CUDA_SUCCESS);
	release_primary();
	g_assert_cmpuint(used(), ==, 0);
	calls_stop();
}

/* What the driver refused is not charged for, whatever it was. */
static void test_driver_refuses(void)
{
	start();
	set(POLICY_ALL, TENANT_NO_LIMIT - 1);
	g_assert_cmpint(alloc(1ull << 60)->result, ==, CUDA_ERROR_OUT_OF_MEMORY);
	g_assert_cmpint(pitch(1ull << 50, 1024)->result, !=, CUDA_SUCCESS);
	g_assert_cmpint(alloc_async(1ull << 60)->result, !=, CUDA_SUCCESS);
	g_assert_cmpint(create(HANDLE(ALLOCATION, 60), 1ull << 60)->result, !=, CUDA_SUCCESS);
	g_assert_cmpint(array(HANDLE(ARRAY, 61), 0, 0)->result, !=, CUDA_SUCCESS);
	g_assert_cmpint(set_limit(CU_LIMIT_STACK_SIZE, 1 << 30)->result, !=, CUDA_SUCCESS);
	g_assert_cmpuint(used(), ==, 0);
	calls_stop();
}

/* New limits hold at once; what is over a lowered one stays and does not grow. */
static void test_reload(void)
{
	CUdeviceptr p;

	start();
	p = address(alloc(12 * MIB));
	set(POLICY_ALL, 4 * MIB);
	assert_result(alloc(512), CUDA_ERROR_OUT_OF_MEMORY);
	g_assert_cmpuint(memory_info().total, ==, 4 * MIB);
	g_assert_cmpuint(memory_info().free, ==, 0);
	write_bytes(p, "still there", 12);
	g_assert_cmpmem(read_bytes(p, 12), 12, "still there", 12);
	release(p);
	release(address(alloc(4 * MIB)));
	set(POLICY_ALL, TENANT_NO_LIMIT);
	release(address(alloc(20 * MIB)));
	calls_stop();
}

static void test_device_info(void)
{
	struct vgpu_device_info info;
	const struct outcome *o;

	start();
	o = CALL(vgpuDeviceInfo, 0, REQ(vgpuDeviceInfo, .dev = 0));
	assert_ok(o);
	memcpy(&info, o->data, sizeof(info));
	g_assert_cmpuint(info.total_memory, ==, LIMIT);
	set(POLICY_ALL, TENANT_NO_LIMIT);
	o = CALL(vgpuDeviceInfo, 0, REQ(vgpuDeviceInfo, .dev = 0));
	memcpy(&info, o->data, sizeof(info));
	g_assert_cmpuint(info.total_memory, >, LIMIT);
	calls_stop();
}

/* ---------------------------------------------------------------- classes */

/*
 * Every function, with each class missing by itself: refused if it needs it, and
 * before it is looked at (an empty record of any is malformed, and is said so
 * where the class is there).
 */
static void test_every_function(void)
{
	static const uint32_t classes[] = {POLICY_MEMORY, POLICY_KERNELS, POLICY_GRAPHS,
					   POLICY_CALLBACKS, POLICY_PINNED};
	unsigned int refused = 0, needing[G_N_ELEMENTS(classes)] = {0};
	const uint32_t all =
		POLICY_MEMORY | POLICY_KERNELS | POLICY_GRAPHS | POLICY_CALLBACKS | POLICY_PINNED;

	start();
	for (uint32_t f = 0; f < CUDA_FN_LIMIT; f++) {
		const uint32_t needs = cuda_function_classes(f);
		const uint8_t junk[8] = {1, 2, 3};

		g_assert_cmpuint(needs & ~all, ==, 0);
		for (size_t i = 0; cuda_function_name(f) && i < G_N_ELEMENTS(classes); i++) {
			struct outcome *o;
			const bool may = !(needs & classes[i]);

			if (may)
				continue;
			set(POLICY_ALL & ~classes[i], LIMIT);
			o = calls_make(f, CTX, 0, &(struct part){junk, sizeof(junk)}, 1);
			assert_result(o, CUDA_ERROR_NOT_PERMITTED);
			g_assert_cmpint(calls_refusal.kind, ==, CTL_REFUSED_CLASS);
			g_assert_cmpuint(calls_refusal.value, ==, classes[i]);
			g_assert_cmpstr(calls_refusal.what, ==, cuda_function_name(f));
			refused++;
			needing[i]++;
			set(POLICY_ALL, LIMIT);
			o = calls_make(f, CTX, 0, &(struct part){junk, sizeof(junk)}, 1);
			g_assert_true(o->status || o->result != CUDA_ERROR_NOT_PERMITTED);
		}
	}
	g_assert_cmpuint(test_worker->tenant.own.refused, ==, refused);
	g_assert_cmpuint(calls_refusal.n, ==, refused);
	for (size_t i = 0; i < G_N_ELEMENTS(classes); i++)
		g_assert_cmpuint(needing[i], >, 0);
	calls_stop();
}

/* A call without an answer: the program learns of it at the next that has one. */
static void test_quiet(void)
{
	start();
	set(POLICY_ALL & ~(uint32_t)POLICY_CALLBACKS, LIMIT);
	QUIET(vgpuCallback, CTX, REQ(vgpuCallback, .id = 1));
	g_assert_cmpint(calls_make(CUDA_FN_vgpuCtxSynchronize, CTX, 0, NULL, 0)->deferred, ==,
			CUDA_ERROR_NOT_PERMITTED);
	g_assert_cmpuint(test_worker->tenant.usage->session[0].refused, ==, 1);
	calls_stop();
}

/* Without any class a program can still ask what there is, and give up what it has. */
static void test_nothing_allowed(void)
{
	CUdeviceptr p;

	start();
	p = address(alloc(MIB));
	set(0, LIMIT);
	assert_result(alloc(512), CUDA_ERROR_NOT_PERMITTED);
	assert_ok(CALL(vgpuHello, 0, REQ(vgpuHello, .version = VGPU_CUDA_VERSION)));
	calls_own_output();
	assert_ok(CALL(vgpuDeviceInfo, 0, REQ(vgpuDeviceInfo, .dev = 0)));
	g_assert_cmpuint(memory_info().total, ==, LIMIT);
	synchronize();
	release(p);
	assert_ok(CALL(vgpuCtxReleasePrimary, 0, REQ(vgpuCtxReleasePrimary, .ctx = CTX)));
	calls_stop();
}

/* Launches, calls and payload are counted where the tenant's others and the daemon see it. */
static void test_counts(void)
{
	const struct session_usage *u;
	CUdeviceptr p;

	start();
	u = &test_worker->tenant.usage->session[0];
	p = allocate(4096);
	write_bytes(p, "0123456789abcdef", 16);
	read_bytes(p, 16);
	g_assert_cmpuint(u->bytes, ==, 32);
	g_assert_cmpuint(u->host_copied, ==, 32);
	g_assert_cmpuint(u->memory, ==, 4096);
	g_assert_cmpuint(u->memory_most, >=, 4096);
	calls_stop();
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/cuda-tenant/plain", test_plain);
	g_test_add_func("/cuda-tenant/tiny", test_tiny);
	g_test_add_func("/cuda-tenant/pitch", test_pitch);
	g_test_add_func("/cuda-tenant/pitch-behind-function", test_pitch_behind_function);
	g_test_add_func("/cuda-tenant/context", test_context);
	g_test_add_func("/cuda-tenant/contexts", test_contexts);
	g_test_add_func("/cuda-tenant/primary-context", test_primary_context);
	g_test_add_func("/cuda-tenant/contexts-for-nothing", test_contexts_for_nothing);
	g_test_add_func("/cuda-tenant/context-fails", test_context_fails);
	g_test_add_func("/cuda-tenant/own-context", test_own_context);
	g_test_add_func("/cuda-tenant/pool", test_pool);
	g_test_add_func("/cuda-tenant/pool-that-keeps", test_pool_that_keeps);
	g_test_add_func("/cuda-tenant/own-pool", test_own_pool);
	g_test_add_func("/cuda-tenant/virtual", test_virtual);
	g_test_add_func("/cuda-tenant/arrays", test_arrays);
	g_test_add_func("/cuda-tenant/graph", test_graph);
	g_test_add_func("/cuda-tenant/image", test_image);
	g_test_add_func("/cuda-tenant/context-limits", test_context_limits);
	g_test_add_func("/cuda-tenant/local-memory", test_local_memory);
	g_test_add_func("/cuda-tenant/driver-refuses", test_driver_refuses);
	g_test_add_func("/cuda-tenant/reload", test_reload);
	g_test_add_func("/cuda-tenant/device-info", test_device_info);
	g_test_add_func("/cuda-tenant/every-function", test_every_function);
	g_test_add_func("/cuda-tenant/quiet", test_quiet);
	g_test_add_func("/cuda-tenant/nothing-allowed", test_nothing_allowed);
	g_test_add_func("/cuda-tenant/counts", test_counts);
	return g_test_run();
}
