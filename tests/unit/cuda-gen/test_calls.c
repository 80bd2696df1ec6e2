/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Generated stubs against the generated dispatch: what a caller gives must
 * reach the driver, what the driver gives must come back, and a record that is
 * not as the table says must not get there at all.
 */
#include <errno.h>
#include <glib.h>
#include <string.h>

#include "client.h"
#include "context.h"
#include "cuda_dispatch.h"
#include "cuda_rpc.h"
#include "session.h"

#define CONTEXT_HANDLE vgpu_cuda_handle(VGPU_CUDA_CONTEXT, 1, 5)
#define RANGE_START 0x700000000000ull
#define RANGE_LENGTH 0x10000ull
#define ALLOCATION_REAL 0x1234567

/* Handles are real objects at a fixed offset, so that a mix-up of the two shows. */
#define REAL_OF(h) ((void *)(uintptr_t)((h) + 0x1000000000000000ull))

static struct cuda_driver driver;
static struct cuda_session session = {.drv = &driver};
static uint64_t stored, removed, stored_parent;
static void *stored_real;
static uint64_t used_context;

/* The last call, and how the dispatch took it. */
static struct {
	_Alignas(8) uint8_t body[2 * VGPU_RECORD_MAX];
	uint32_t length;
	int taken;
	CUresult result;
	uint32_t room; /* for the answer; 0: as much as there is */
} wire;

uint64_t context_current(void)
{
	return CONTEXT_HANDLE;
}

CUresult session_context(struct cuda_session *s, uint64_t handle)
{
	(void)s;
	used_context = handle;
	return handle == CONTEXT_HANDLE ? CUDA_SUCCESS : CUDA_ERROR_INVALID_CONTEXT;
}

CUresult session_device(struct cuda_session *s, CUdevice guest, CUdevice *real)
{
	(void)s;
	*real = 3; /* what the guest calls 0 */
	return guest == 0 ? CUDA_SUCCESS : CUDA_ERROR_INVALID_DEVICE;
}

uint64_t handles_context(struct cuda_session *s, uint64_t handle)
{
	(void)s;
	(void)handle;
	return 0;
}

CUresult handles_get(struct cuda_session *s, uint64_t handle, enum vgpu_cuda_type type, void **real)
{
	(void)s;
	if (vgpu_cuda_handle_type(handle) != type || vgpu_cuda_handle_generation(handle) != 1)
		return CUDA_ERROR_INVALID_HANDLE;
	*real = REAL_OF(handle);
	return CUDA_SUCCESS;
}

CUresult handles_free(struct cuda_session *s, uint64_t handle, enum vgpu_cuda_type type)
{
	(void)s;
	return vgpu_cuda_handle_type(handle) == type && vgpu_cuda_handle_generation(handle) == 2
		       ? CUDA_SUCCESS
		       : CUDA_ERROR_INVALID_HANDLE;
}

CUresult handles_set(struct cuda_session *s, uint64_t handle, enum vgpu_cuda_type type, void *real)
{
	(void)type;
	stored = handle;
	stored_real = real;
	stored_parent = s->new_parent;
	s->new_parent = 0;
	return CUDA_SUCCESS;
}

void handles_remove(struct cuda_session *s, uint64_t handle)
{
	(void)s;
	removed = handle;
}

uint64_t handles_parent(struct cuda_session *s, uint64_t handle)
{
	(void)s;
	(void)handle;
	return CONTEXT_HANDLE;
}

uint64_t handles_find(struct cuda_session *s, enum vgpu_cuda_type type, void *real)
{
	(void)s;
	(void)type;
	return (uint64_t)(uintptr_t)real - 0x1000000000000000ull;
}

bool ranges_check(struct cuda_session *s, uint64_t addr, uint64_t length)
{
	(void)s;
	return addr >= RANGE_START && length <= RANGE_LENGTH &&
	       addr - RANGE_START <= RANGE_LENGTH - length;
}

/* Dispatches wire.body; `out` gets the answer. */
static CUresult dispatch(void *out, size_t size, size_t *got)
{
	_Alignas(8) static uint8_t data[VGPU_RECORD_MAX];
	uint8_t *exact = g_memdup2(wire.body, wire.length); /* so that a sanitizer sees its end */
	struct cuda_request_view view = {.body = exact, .length = wire.length, .id = 1};
	struct cuda_reply reply = {.data = data, .room = wire.room ? wire.room : sizeof(data)};

	memset(data, 0xa5, sizeof(data));
	wire.taken = cuda_dispatch(&session, &view, &reply);
	wire.result = reply.result;
	g_free(exact);
	if (wire.taken)
		return CUDA_ERROR_UNKNOWN;
	if (reply.result == CUDA_SUCCESS) {
		if (got)
			*got = reply.length;
		if (size)
			memcpy(out, data, MIN(size, reply.length));
	}
	return reply.result;
}

CUresult client_call(uint32_t fn, uint64_t ctx, const struct vgpu_desc *desc, unsigned int ndesc,
		     const struct vgpu_piece *p, size_t n, void *out, size_t size, size_t *got)
{
	struct vgpu_cuda_call head = {.function = fn, .context = ctx};

	(void)desc;
	(void)ndesc;
	memcpy(wire.body, &head, sizeof(head));
	wire.length = sizeof(head);
	for (size_t i = 0; i < n; i++) {
		g_assert_cmpuint(p[i].length, <=, VGPU_RECORD_MAX);
		if (p[i].length)
			memcpy(wire.body + wire.length, p[i].data, p[i].length);
		wire.length += p[i].length;
	}
	return dispatch(out, size, got);
}

CUresult client_post(uint32_t fn, uint64_t ctx, const struct vgpu_desc *desc, unsigned int ndesc,
		     const struct vgpu_piece *p, size_t n)
{
	return client_call(fn, ctx, desc, ndesc, p, n, NULL, 0, NULL);
}

/* ------------------------------------------------------------- the driver */
static struct {
	unsigned int calls;
	uint64_t a, b, n;
	unsigned int value;
	CUstream stream;
	CUdevice device;
	void *object[4];
	uint8_t data[64];
} seen;

static CUresult fake_memset(CUdeviceptr dst, unsigned int v, size_t n, CUstream stream)
{
	seen.calls++;
	seen.a = dst;
	seen.value = v;
	seen.n = n;
	seen.stream = stream;
	return CUDA_SUCCESS;
}

static CUresult fake_event_create(CUevent *e, unsigned int flags)
{
	seen.calls++;
	seen.value = flags;
	*e = (CUevent)0x77;
	return CUDA_SUCCESS;
}

static CUresult fake_event_destroy(CUevent e)
{
	seen.calls++;
	seen.object[0] = e;
	return CUDA_SUCCESS;
}

static CUresult fake_priority(CUstream s, int *priority)
{
	seen.calls++;
	seen.stream = s;
	*priority = -5;
	return CUDA_SUCCESS;
}

static CUresult fake_empty_node(CUgraphNode *node, CUgraph g, const CUgraphNode *deps, size_t n)
{
	seen.calls++;
	seen.object[0] = g;
	seen.n = n;
	for (size_t i = 0; i < n && i < 3; i++)
		seen.object[1 + i] = deps[i];
	if (!deps)
		seen.object[1] = NULL;
	*node = (CUgraphNode)0x99;
	return CUDA_SUCCESS;
}

static CUresult fake_set_access(CUmemoryPool pool, const CUmemAccessDesc *map, size_t n)
{
	seen.calls++;
	seen.object[0] = pool;
	seen.n = n;
	seen.device = map[n - 1].location.id;
	return CUDA_SUCCESS;
}

static CUresult fake_tensor_map(CUtensorMap *map, CUtensorMapDataType type, cuuint32_t rank,
				void *address, const cuuint64_t *dim, const cuuint64_t *stride,
				const cuuint32_t *box, const cuuint32_t *element,
				CUtensorMapInterleave i, CUtensorMapSwizzle s,
				CUtensorMapL2promotion l, CUtensorMapFloatOOBfill f)
{
	seen.calls++;
	seen.value = type + rank + i + s + l + f;
	seen.a = (uintptr_t)address;
	seen.n = dim[2] + stride[1] + box[2] + element[2];
	g_assert_cmpuint((uintptr_t)map % 64, ==, 0);
	memset(map, 0x5a, sizeof(*map));
	return CUDA_SUCCESS;
}

static CUresult fake_replace(CUtensorMap *map, void *address)
{
	seen.calls++;
	seen.value = ((uint8_t *)map)[7];
	((uint8_t *)map)[8] = (uint8_t)(uintptr_t)address;
	return CUDA_SUCCESS;
}

static CUresult fake_width(size_t *width, CUarray_format format, unsigned int channels, CUdevice d)
{
	seen.calls++;
	seen.value = format + channels;
	seen.device = d;
	*width = 1ull << 40;
	return CUDA_SUCCESS;
}

static CUresult fake_retain(CUmemGenericAllocationHandle *handle, void *address)
{
	seen.calls++;
	seen.a = (uintptr_t)address;
	*handle = ALLOCATION_REAL;
	return CUDA_SUCCESS;
}

CUresult host_vgpuWrite(struct cuda_session *s, CUdeviceptr dst, unsigned int bytes,
			CUstream stream, const void *data)
{
	(void)s;
	seen.calls++;
	seen.a = dst;
	seen.n = bytes;
	seen.stream = stream;
	memcpy(seen.data, data, MIN(bytes, sizeof(seen.data)));
	return CUDA_SUCCESS;
}

CUresult host_vgpuRead(struct cuda_session *s, CUdeviceptr src, unsigned int bytes, CUstream stream,
		       void *data)
{
	(void)s;
	(void)stream;
	seen.calls++;
	seen.a = src;
	for (unsigned int i = 0; i < bytes; i++)
		((uint8_t *)data)[i] = (uint8_t)i;
	return CUDA_SUCCESS;
}

CUresult host_vgpuLibraryGetKernel(struct cuda_session *s, CUkernel *k, CUlibrary library,
				   const char *name, struct vgpu_function_info *info)
{
	(void)s;
	seen.calls++;
	seen.object[0] = library;
	g_assert_cmpstr(name, ==, "a kernel's name");
	*k = (CUkernel)0x55;
	info->param_bytes = 24;
	info->param[511].size = 7;
	return CUDA_SUCCESS;
}

CUresult host_vgpuBlobLog(struct cuda_session *s, unsigned long long blob, unsigned int which,
			  unsigned int offset, unsigned int bytes, char *text, unsigned int *total)
{
	(void)s;
	(void)which;
	(void)offset;
	seen.calls++;
	seen.a = blob;
	memset(text, 'x', bytes);
	*total = 1000;
	return CUDA_SUCCESS;
}

CUresult host_cuModuleGetGlobal_v2(struct cuda_session *s, CUdeviceptr *dptr, size_t *bytes,
				   CUmodule module, const char *name)
{
	(void)s;
	(void)module;
	(void)name;
	seen.calls++;
	seen.value = (dptr != NULL) + 2 * (bytes != NULL);
	if (dptr)
		*dptr = RANGE_START;
	if (bytes)
		*bytes = 44;
	return CUDA_SUCCESS;
}

CUresult host_vgpuCtxSynchronize(struct cuda_session *s)
{
	(void)s;
	seen.calls++;
	return HOST_PENDING;
}

static void begin(void)
{
	memset(&seen, 0, sizeof(seen));
	stored = removed = stored_parent = used_context = 0;
	wire.room = 0;
	driver = (struct cuda_driver){.cuMemsetD32Async = fake_memset,
				      .cuEventCreate = fake_event_create,
				      .cuEventDestroy_v2 = fake_event_destroy,
				      .cuStreamGetPriority = fake_priority,
				      .cuGraphAddEmptyNode = fake_empty_node,
				      .cuMemPoolSetAccess = fake_set_access,
				      .cuTensorMapEncodeTiled = fake_tensor_map,
				      .cuTensorMapReplaceAddress = fake_replace,
				      .cuMemRetainAllocationHandle = fake_retain,
				      .cuDeviceGetTexture1DLinearMaxWidth = fake_width};
}

#define HANDLE(type, ctype, i) ((ctype)(uintptr_t)vgpu_cuda_handle(type, 1, i))
#define NEW(type, ctype, i) ((ctype)(uintptr_t)vgpu_cuda_handle(type, 2, i))

/* ---------------------------------------------------------------- the tests */
static void test_values(void)
{
	CUstream s = HANDLE(VGPU_CUDA_STREAM, CUstream, 9);
	size_t width = 0;

	begin();
	g_assert_cmpint(rpc_cuMemsetD32Async(RANGE_START + 8, 0xdeadbeef, 100, s), ==, 0);
	g_assert_cmpuint(seen.calls, ==, 1);
	g_assert_cmphex(seen.a, ==, RANGE_START + 8);
	g_assert_cmphex(seen.value, ==, 0xdeadbeef);
	g_assert_cmpuint(seen.n, ==, 100);
	g_assert_true(seen.stream == REAL_OF((uintptr_t)s));
	g_assert_cmphex(used_context, ==, CONTEXT_HANDLE);

	used_context = 0;
	g_assert_cmpint(rpc_cuDeviceGetTexture1DLinearMaxWidth(&width, CU_AD_FORMAT_FLOAT, 2, 0),
			==, 0);
	g_assert_cmpuint(width, ==, 1ull << 40);
	g_assert_cmpint(seen.device, ==, 3);
	g_assert_cmphex(used_context, ==, 0); /* context = false */
	g_assert_cmpint(rpc_cuDeviceGetTexture1DLinearMaxWidth(&width, CU_AD_FORMAT_FLOAT, 2, 1),
			==, CUDA_ERROR_INVALID_DEVICE);
}

static void test_default_streams(void)
{
	begin();
	g_assert_cmpint(rpc_cuMemsetD32Async(RANGE_START, 0, 1, NULL), ==, 0);
	g_assert_null(seen.stream);
	g_assert_cmpint(rpc_cuMemsetD32Async(RANGE_START, 0, 1, CU_STREAM_LEGACY), ==, 0);
	g_assert_true(seen.stream == CU_STREAM_LEGACY);
	/* The guest has a stream of its own for this one. */
	g_assert_cmpint(rpc_cuMemsetD32Async(RANGE_START, 0, 1, CU_STREAM_PER_THREAD), ==,
			CUDA_ERROR_INVALID_HANDLE);
	g_assert_cmpuint(seen.calls, ==, 2);
}

static void test_ranges(void)
{
	const uint64_t end = RANGE_START + RANGE_LENGTH;

	begin();
	g_assert_cmpint(rpc_cuMemsetD32Async(end - 8, 0, 2, NULL), ==, 0);
	g_assert_cmpint(rpc_cuMemsetD32Async(end - 8, 0, 3, NULL), ==, CUDA_ERROR_INVALID_VALUE);
	g_assert_cmpint(rpc_cuMemsetD32Async(RANGE_START - 4, 0, 1, NULL), ==,
			CUDA_ERROR_INVALID_VALUE);
	/* n * 4 overflows to something small. */
	g_assert_cmpint(rpc_cuMemsetD32Async(RANGE_START, 0, (1ull << 62) + 1, NULL), ==,
			CUDA_ERROR_INVALID_VALUE);
	g_assert_cmpint(rpc_cuMemsetD32Async(RANGE_START, 0, SIZE_MAX, NULL), ==,
			CUDA_ERROR_INVALID_VALUE);
	/* Nothing is touched, so any address will do. */
	g_assert_cmpint(rpc_cuMemsetD32Async(0, 0, 0, NULL), ==, 0);
	g_assert_cmpuint(seen.calls, ==, 2);
}

static void test_new_and_del(void)
{
	CUevent e = NEW(VGPU_CUDA_EVENT, CUevent, 3);
	CUgraphNode node = NEW(VGPU_CUDA_NODE, CUgraphNode, 4);
	CUgraph g = HANDLE(VGPU_CUDA_GRAPH, CUgraph, 5);
	CUmemGenericAllocationHandle a = vgpu_cuda_handle(VGPU_CUDA_ALLOCATION, 2, 6);

	begin();
	g_assert_cmpint(rpc_cuEventCreate(&e, 2), ==, 0);
	g_assert_cmphex(stored, ==, (uintptr_t)e);
	g_assert_true(stored_real == (void *)0x77);
	g_assert_cmphex(stored_parent, ==, 0);

	e = HANDLE(VGPU_CUDA_EVENT, CUevent, 3); /* taken, says handles_free() */
	g_assert_cmpint(rpc_cuEventCreate(&e, 2), ==, CUDA_ERROR_INVALID_HANDLE);
	g_assert_cmpuint(seen.calls, ==, 1);

	g_assert_cmpint(rpc_cuEventDestroy_v2(e), ==, 0);
	g_assert_cmphex(removed, ==, (uintptr_t)e);
	g_assert_true(seen.object[0] == REAL_OF((uintptr_t)e));
	removed = 0;
	g_assert_cmpint(rpc_cuEventDestroy_v2(NEW(VGPU_CUDA_EVENT, CUevent, 3)), ==,
			CUDA_ERROR_INVALID_HANDLE);
	g_assert_cmphex(removed, ==, 0);

	g_assert_cmpint(rpc_cuGraphAddEmptyNode(&node, g, NULL, 0), ==, 0);
	g_assert_cmphex(stored, ==, (uintptr_t)node);
	g_assert_cmphex(stored_parent, ==, (uintptr_t)g);

	g_assert_cmpint(rpc_cuMemRetainAllocationHandle(&a, (void *)RANGE_START), ==, 0);
	g_assert_true(stored_real == (void *)ALLOCATION_REAL);
	g_assert_cmphex(a, ==, vgpu_cuda_handle(VGPU_CUDA_ALLOCATION, 2, 6));
}

static void test_wrong_handles(void)
{
	int priority = 0;

	begin();
	/* An event where a stream belongs. */
	g_assert_cmpint(rpc_cuStreamGetPriority(HANDLE(VGPU_CUDA_EVENT, CUstream, 3), &priority),
			==, CUDA_ERROR_INVALID_HANDLE);
	g_assert_cmpuint(seen.calls, ==, 0);
	g_assert_cmpint(rpc_cuStreamGetPriority(HANDLE(VGPU_CUDA_STREAM, CUstream, 3), &priority),
			==, 0);
	g_assert_cmpint(priority, ==, -5);
	driver.cuStreamGetPriority = NULL;
	g_assert_cmpint(rpc_cuStreamGetPriority(HANDLE(VGPU_CUDA_STREAM, CUstream, 3), &priority),
			==, CUDA_ERROR_NOT_SUPPORTED);
}

static void test_handle_arrays(void)
{
	CUgraphNode node = NEW(VGPU_CUDA_NODE, CUgraphNode, 4), deps[3];
	CUgraph g = HANDLE(VGPU_CUDA_GRAPH, CUgraph, 5);

	begin();
	for (int i = 0; i < 3; i++)
		deps[i] = HANDLE(VGPU_CUDA_NODE, CUgraphNode, 10 + i);
	g_assert_cmpint(rpc_cuGraphAddEmptyNode(&node, g, deps, 3), ==, 0);
	g_assert_cmpuint(seen.n, ==, 3);
	g_assert_true(seen.object[3] == REAL_OF((uintptr_t)deps[2]));
	deps[1] = NULL;
	g_assert_cmpint(rpc_cuGraphAddEmptyNode(&node, g, deps, 3), ==, CUDA_ERROR_INVALID_HANDLE);
	g_assert_cmpuint(seen.calls, ==, 1);
}

static void test_structures(void)
{
	CUmemAccessDesc access[2] = {0};
	CUtensorMap map, before;
	cuuint64_t dim[3] = {1, 2, 1000}, stride[2] = {8, 20000};
	cuuint32_t box[3] = {1, 1, 300000}, element[3] = {1, 1, 4000000};
	CUmemoryPool pool = HANDLE(VGPU_CUDA_MEMPOOL, CUmemoryPool, 1);

	begin();
	access[0].location.type = access[1].location.type = CU_MEM_LOCATION_TYPE_DEVICE;
	g_assert_cmpint(rpc_cuMemPoolSetAccess(pool, access, 2), ==, 0);
	g_assert_cmpint(seen.device, ==, 3); /* translated */
	access[1].location.id = 7;
	g_assert_cmpint(rpc_cuMemPoolSetAccess(pool, access, 2), ==, CUDA_ERROR_INVALID_DEVICE);
	access[1].location.type = CU_MEM_LOCATION_TYPE_HOST;
	g_assert_cmpint(rpc_cuMemPoolSetAccess(pool, access, 2), ==, CUDA_ERROR_NOT_SUPPORTED);
	g_assert_cmpuint(seen.calls, ==, 1);

	g_assert_cmpint(rpc_cuTensorMapEncodeTiled(&map, 1, 3, (void *)0x1230, dim, stride, box,
						   element, 1, 2, 1, 1),
			==, 0);
	g_assert_cmpuint(seen.value, ==, 9);
	g_assert_cmpuint(seen.n, ==, 4321000);
	g_assert_cmphex(((uint8_t *)&map)[127], ==, 0x5a);
	/* No such rank: too many elements for any record, and less than none. */
	g_assert_cmpint(
		rpc_cuTensorMapEncodeTiled(&map, 1, 0, NULL, dim, stride, box, element, 1, 2, 1, 1),
		==, CUDA_ERROR_INVALID_VALUE);

	before = map;
	g_assert_cmpint(rpc_cuTensorMapReplaceAddress(&map, (void *)0x21), ==, 0);
	g_assert_cmphex(seen.value, ==, 0x5a); /* went in */
	((uint8_t *)&before)[8] = 0x21;        /* came out */
	g_assert_cmpmem(&map, sizeof(map), &before, sizeof(before));
}

static void test_inline_data(void)
{
	uint8_t data[100];

	begin();
	for (size_t n = 1; n < sizeof(data); n++) {
		memset(data, (int)n, sizeof(data));
		g_assert_cmpint(rpc_vgpuWrite(RANGE_START, n, NULL, data), ==, 0);
		g_assert_cmpuint(seen.n, ==, n);
		g_assert_cmpuint(seen.data[MIN(n, sizeof(seen.data)) - 1], ==, n);
		memset(data, 0, sizeof(data));
		g_assert_cmpint(rpc_vgpuRead(RANGE_START, n, NULL, data), ==, 0);
		g_assert_cmpuint(data[n - 1], ==, n - 1);
		g_assert_cmpuint(data[n], ==, 0); /* not one byte more */
	}
	wire.room = 64;
	g_assert_cmpint(rpc_vgpuRead(RANGE_START, 65, NULL, data), ==, CUDA_ERROR_UNKNOWN);
	g_assert_cmpint(wire.taken, ==, -EINVAL);
}

static void test_strings_and_optional(void)
{
	CUkernel k = NEW(VGPU_CUDA_KERNEL, CUkernel, 1);
	struct vgpu_function_info info;
	CUdeviceptr d = 0;
	size_t bytes = 0;
	CUmodule m = HANDLE(VGPU_CUDA_MODULE, CUmodule, 1);
	char text[32] = "";
	unsigned int total = 0;

	begin();
	g_assert_cmpint(rpc_vgpuLibraryGetKernel(&k, HANDLE(VGPU_CUDA_LIBRARY, CUlibrary, 1),
						 "a kernel's name", &info),
			==, 0);
	g_assert_cmpuint(info.param_bytes, ==, 24);
	g_assert_cmpuint(info.param[511].size, ==, 7);
	g_assert_cmpuint(info.param[0].size, ==, 0); /* the room was cleared */

	g_assert_cmpint(rpc_cuModuleGetGlobal_v2(&d, &bytes, m, "x"), ==, 0);
	g_assert_cmpuint(seen.value, ==, 3);
	g_assert_cmpuint(bytes, ==, 44);
	g_assert_cmpint(rpc_cuModuleGetGlobal_v2(NULL, &bytes, m, "x"), ==, 0);
	g_assert_cmpuint(seen.value, ==, 2);
	g_assert_cmpint(rpc_cuModuleGetGlobal_v2(NULL, NULL, m, "x"), ==, 0);
	g_assert_cmpuint(seen.value, ==, 0);

	g_assert_cmpint(rpc_vgpuBlobLog(8, 1, 0, 9, text, &total), ==, 0);
	g_assert_cmpstr(text, ==, "xxxxxxxxx");
	g_assert_cmpuint(total, ==, 1000);
}

static void test_pending(void)
{
	begin();
	rpc_vgpuCtxSynchronize();
	g_assert_cmpint(wire.taken, ==, (int)HOST_PENDING);
	g_assert_cmpuint(seen.calls, ==, 1);
}

/* Every record cut short, or with something behind it, or with dirt in its padding. */
static void refuse_variants(void)
{
	uint32_t length = wire.length;
	unsigned int calls = seen.calls;

	for (uint32_t cut = 0; cut < length; cut++) {
		wire.length = cut;
		dispatch(NULL, 0, NULL);
		g_assert_cmpint(wire.taken, ==, -EINVAL);
	}
	memset(wire.body + length, 0, 8);
	wire.length = length + 8;
	dispatch(NULL, 0, NULL);
	g_assert_cmpint(wire.taken, ==, -EINVAL);
	g_assert_cmpuint(seen.calls, ==, calls);
	wire.length = length;
}

static void test_malformed(void)
{
	CUgraphNode node = NEW(VGPU_CUDA_NODE, CUgraphNode, 4);
	CUgraphNode dep = HANDLE(VGPU_CUDA_NODE, CUgraphNode, 1);
	CUkernel k = NEW(VGPU_CUDA_KERNEL, CUkernel, 1);
	struct vgpu_function_info info;

	begin();
	rpc_cuMemsetD32Async(RANGE_START, 0, 1, NULL);
	refuse_variants();
	rpc_vgpuWrite(RANGE_START, 13, NULL, "thirteen byte");
	refuse_variants();
	wire.body[wire.length - 1] = 1; /* padding */
	dispatch(NULL, 0, NULL);
	g_assert_cmpint(wire.taken, ==, -EINVAL);
	rpc_cuGraphAddEmptyNode(&node, HANDLE(VGPU_CUDA_GRAPH, CUgraph, 5), &dep, 1);
	refuse_variants();
	rpc_vgpuLibraryGetKernel(&k, HANDLE(VGPU_CUDA_LIBRARY, CUlibrary, 1), "a kernel's name",
				 &info);
	refuse_variants();
	wire.body[wire.length - 1] = 'x'; /* was the NUL */
	dispatch(NULL, 0, NULL);
	g_assert_cmpint(wire.taken, ==, -EINVAL);
	((struct vgpu_cuda_call *)wire.body)->reserved = 1;
	dispatch(NULL, 0, NULL);
	g_assert_cmpint(wire.taken, ==, -EINVAL);
}

static void test_unknown(void)
{
	begin();
	g_assert_null(cuda_function_name(CUDA_FN_LIMIT));
	g_assert_cmpstr(cuda_function_name(CUDA_FN_vgpuHello), ==, "vgpuHello");
	for (uint64_t fn = 0; fn <= UINT32_MAX; fn = fn * 2 + 1) {
		struct vgpu_cuda_call head = {.function = (uint32_t)fn};

		if (cuda_function_name(head.function))
			continue;
		memcpy(wire.body, &head, sizeof(head));
		wire.length = sizeof(head);
		dispatch(NULL, 0, NULL);
		g_assert_cmpint(wire.taken, ==, -EOPNOTSUPP);
	}
}

/* Every function with a body of any length, all bytes alike: no crash, and nothing is called. */
static void test_every_function(void)
{
	static const uint8_t fill[] = {0x00, 0xff, 0x41};

	begin();
	for (uint32_t fn = 0; fn < CUDA_FN_LIMIT; fn++) {
		for (size_t f = 0; f < sizeof(fill); f++) {
			for (uint32_t n = 0; n <= 512; n += 8) {
				struct vgpu_cuda_call head = {.function = fn};

				memset(wire.body, fill[f], sizeof(head) + n);
				memcpy(wire.body, &head, sizeof(head));
				wire.length = sizeof(head) + n;
				dispatch(NULL, 0, NULL);
			}
		}
	}
}

static void *find(void *opaque, const char *name)
{
	unsigned int *asked = opaque;

	(*asked)++;
	return strcmp(name, "cuEventCreate") ? NULL : __extension__(void *) fake_event_create;
}

static void test_driver_table(void)
{
	struct cuda_driver d;
	unsigned int asked = 0, missing = cuda_driver_fill(&d, find, &asked);

	g_assert_cmpuint(asked, >, 100);
	g_assert_cmpuint(missing, ==, asked - 1);
	g_assert_true(d.cuEventCreate == fake_event_create);
	g_assert_null(d.cuEventRecord);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/cuda-calls/values", test_values);
	g_test_add_func("/cuda-calls/default-streams", test_default_streams);
	g_test_add_func("/cuda-calls/ranges", test_ranges);
	g_test_add_func("/cuda-calls/new-and-del", test_new_and_del);
	g_test_add_func("/cuda-calls/wrong-handles", test_wrong_handles);
	g_test_add_func("/cuda-calls/handle-arrays", test_handle_arrays);
	g_test_add_func("/cuda-calls/structures", test_structures);
	g_test_add_func("/cuda-calls/inline-data", test_inline_data);
	g_test_add_func("/cuda-calls/strings-and-optional", test_strings_and_optional);
	g_test_add_func("/cuda-calls/pending", test_pending);
	g_test_add_func("/cuda-calls/malformed", test_malformed);
	g_test_add_func("/cuda-calls/unknown", test_unknown);
	g_test_add_func("/cuda-calls/every-function", test_every_function);
	g_test_add_func("/cuda-calls/driver-table", test_driver_table);
	return g_test_run();
}
