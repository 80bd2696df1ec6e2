/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pools, virtual memory management, values that streams write and wait for. */
#include <string.h>

#include "driver_api.h"
#include "tests.h"

static void pools(void)
{
	CUcontext ctx = context_begin();
	CUmemPoolProps props = {.allocType = CU_MEM_ALLOCATION_TYPE_PINNED,
				.location = {.type = CU_MEM_LOCATION_TYPE_DEVICE}};
	CUmemoryPool pool, standard;
	cuuint64_t used;
	CUstream s;
	CUdeviceptr p, q;
	char out[64];

	OK(cuStreamCreate, &s, CU_STREAM_NON_BLOCKING);
	OK(cuDeviceGetDefaultMemPool, &standard, 0);
	FAILS(CUDA_ERROR_NOT_PERMITTED, cuMemPoolDestroy, standard);
	OK(cuMemPoolCreate, &pool, &props);
	OK(cuMemAllocFromPoolAsync, &p, 64, pool, s);
	OK(cuMemAllocAsync, &q, 64, s);
	OK(cuMemsetD8Async, p, 4, 64, s);
	OK(cuMemcpyDtoHAsync_v2, out, p, 64, s);
	OK(cuMemFreeAsync, p, s);
	FAILS(CUDA_ERROR_INVALID_VALUE, cuMemFreeAsync, p, s);
	OK(cuStreamSynchronize, s);
	g_assert_cmpint(out[63], ==, 4);
	OK(cuMemPoolGetAttribute, pool, CU_MEMPOOL_ATTR_USED_MEM_CURRENT, &used);
	g_assert_cmpuint(used, ==, 0);
	OK(cuMemPoolGetAttribute, pool, CU_MEMPOOL_ATTR_USED_MEM_HIGH, &used);
	g_assert_cmpuint(used, ==, 64);
	FAILS(CUDA_ERROR_INVALID_VALUE, cuMemsetD8Async, p, 4, 64, s);
	OK(cuMemAllocFromPoolAsync, &p, 64, pool, s);
	OK(cuMemPoolDestroy, pool);
	FAILS(CUDA_ERROR_INVALID_HANDLE, cuMemPoolDestroy, pool);
	OK(cuMemsetD8Async, p, 4, 64, s);
	OK(cuMemFree_v2, p);
	OK(cuMemFree_v2, q);
	FAILS(CUDA_ERROR_OUT_OF_MEMORY, cuMemAllocAsync, &p, SIZE_MAX, s);
	context_end(ctx);
}

/* One allocation mapped twice, access given and taken. */
static void mapping(void)
{
	CUcontext ctx = context_begin();
	CUmemAllocationProp prop = {.type = CU_MEM_ALLOCATION_TYPE_PINNED,
				    .location = {.type = CU_MEM_LOCATION_TYPE_DEVICE}};
	CUmemAccessDesc access = {.location = prop.location,
				  .flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE};
	CUmemGenericAllocationHandle h, again;
	size_t size, before, after, total;
	CUdeviceptr at;
	int out;

	OK(cuMemGetInfo_v2, &before, &total);
	OK(cuMemGetAllocationGranularity, &size, &prop, CU_MEM_ALLOC_GRANULARITY_MINIMUM);
	FAILS(CUDA_ERROR_INVALID_VALUE, cuMemCreate, &h, size + 1, &prop, 0);
	FAILS(CUDA_ERROR_OUT_OF_MEMORY, cuMemCreate, &h, total + size, &prop, 0);
	OK(cuMemCreate, &h, 2 * size, &prop, 0);
	OK(cuMemAddressReserve, &at, 4 * size, 0, 0, 0);
	FAILS(CUDA_ERROR_INVALID_VALUE, cuMemMap, at, 2 * size, size, h, 0);
	FAILS(CUDA_ERROR_INVALID_VALUE, cuMemMap, at + 3 * size, 2 * size, 0, h, 0);
	FAILS(CUDA_ERROR_INVALID_HANDLE, cuMemMap, at, size, 0, 12345, 0);
	OK(cuMemMap, at, 2 * size, 0, h, 0);
	FAILS(CUDA_ERROR_INVALID_VALUE, cuMemMap, at + size, size, 0, h, 0);
	OK(cuMemMap, at + 2 * size, size, size, h, 0);
	FAILS(CUDA_ERROR_INVALID_VALUE, cuMemsetD32_v2, at, 1, 1);
	FAILS(CUDA_ERROR_INVALID_VALUE, cuMemSetAccess, at, 4 * size, &access, 1);
	OK(cuMemSetAccess, at, 3 * size, &access, 1);
	OK(cuMemsetD32_v2, at, 42, 3 * size / 4); /* over the border of the two mappings */
	OK(cuMemsetD32_v2, at + size, 43, 1);
	OK(cuMemcpyDtoH_v2, &out, at + 2 * size, 4);
	g_assert_cmpint(out, ==, 43); /* the same memory */
	access.flags = CU_MEM_ACCESS_FLAGS_PROT_READ;
	OK(cuMemSetAccess, at, 2 * size, &access, 1);
	FAILS(CUDA_ERROR_INVALID_VALUE, cuMemsetD32_v2, at, 1, 1);

	OK(cuMemRelease, h);
	FAILS(CUDA_ERROR_INVALID_VALUE, cuMemRelease, h);
	OK(cuMemRetainAllocationHandle, &again, (void *)at);
	g_assert_true(again == h);
	OK(cuMemRelease, again);
	FAILS(CUDA_ERROR_INVALID_VALUE, cuMemAddressFree, at, 4 * size);
	FAILS(CUDA_ERROR_INVALID_VALUE, cuMemUnmap, at, size);
	OK(cuMemUnmap, at, 3 * size);
	FAILS(CUDA_ERROR_INVALID_VALUE, cuMemcpyDtoH_v2, &out, at, 4);
	OK(cuMemAddressFree, at, 4 * size);
	OK(cuMemGetInfo_v2, &after, &total);
	g_assert_cmpuint(before, ==, after);
	context_end(ctx);
}

static void values(void)
{
	CUcontext ctx = context_begin();
	CUstream a, b;
	CUdeviceptr p;
	cuuint64_t out[2];

	OK(cuStreamCreate, &a, CU_STREAM_NON_BLOCKING);
	OK(cuStreamCreate, &b, CU_STREAM_NON_BLOCKING);
	OK(cuMemAlloc_v2, &p, 64);
	OK(cuMemsetD8_v2, p, 0, 64);
	OK(cuCtxSynchronize);
	OK(cuStreamWaitValue32_v2, a, p, 3, CU_STREAM_WAIT_VALUE_GEQ);
	OK(cuStreamWriteValue64_v2, a, p + 8, 1ull << 40, 0);
	FAILS(CUDA_ERROR_NOT_READY, cuStreamQuery, a);
	OK(cuStreamWriteValue32_v2, b, p, 2, 0);
	OK(cuStreamSynchronize, b);
	FAILS(CUDA_ERROR_NOT_READY, cuStreamQuery, a);
	OK(cuStreamWriteValue32_v2, b, p, 5, 0);
	OK(cuStreamWaitValue64_v2, b, p + 8, 1ull << 40, CU_STREAM_WAIT_VALUE_EQ);
	OK(cuStreamSynchronize, b);
	OK(cuMemcpyDtoH_v2, out, p, 16);
	g_assert_cmpuint(out[1], ==, 1ull << 40);
	FAILS(CUDA_ERROR_INVALID_VALUE, cuStreamWriteValue32_v2, b, p + 2, 2, 0);
	FAILS(CUDA_ERROR_INVALID_VALUE, cuStreamWriteValue64_v2, b, p + 4096, 2, 0);
	FAILS(CUDA_ERROR_INVALID_VALUE, cuStreamWaitValue32_v2, b, p, 2, 1 << 8);

	CUstreamBatchMemOpParams batch[2] = {
		{.writeValue = {.operation = CU_STREAM_MEM_OP_WRITE_VALUE_32,
				.address = p,
				.value = 77}},
		{.waitValue = {.operation = CU_STREAM_MEM_OP_WAIT_VALUE_32,
			       .address = p,
			       .value = 4,
			       .flags = CU_STREAM_WAIT_VALUE_AND}},
	};

	batch[1].waitValue.value = 8;
	OK(cuStreamBatchMemOp_v2, b, 2, batch, 0);
	OK(cuStreamSynchronize, b);
	FAILS(CUDA_ERROR_INVALID_VALUE, cuStreamBatchMemOp_v2, b, G_MAXUINT, batch, 0);
	context_end(ctx);
}

static void arrays(void)
{
	CUcontext ctx = context_begin();
	CUDA_ARRAY_DESCRIPTOR d = {
		.Width = 8, .Height = 4, .Format = CU_AD_FORMAT_FLOAT, .NumChannels = 1};
	CUDA_RESOURCE_DESC resource = {.resType = CU_RESOURCE_TYPE_ARRAY};
	CUDA_TEXTURE_DESC sampling = {.filterMode = CU_TR_FILTER_MODE_POINT};
	float in[32], out[32];
	int width = 8, height = 4;
	CUtexObject texture;
	CUdeviceptr p;
	CUarray a;

	for (int i = 0; i < 32; i++)
		in[i] = (float)i;
	OK(cuMemAlloc_v2, &p, sizeof(out));
	OK(cuArrayCreate_v2, &a, &d);
	CUDA_MEMCPY2D box = {.srcMemoryType = CU_MEMORYTYPE_HOST,
			     .srcHost = in,
			     .srcPitch = 32,
			     .dstMemoryType = CU_MEMORYTYPE_ARRAY,
			     .dstArray = a,
			     .WidthInBytes = 32,
			     .Height = 4};
	OK(cuMemcpy2D_v2, &box);
	box.dstY = 1;
	FAILS(CUDA_ERROR_INVALID_VALUE, cuMemcpy2D_v2, &box);
	box.dstArray = (CUarray)ctx;
	FAILS(CUDA_ERROR_INVALID_HANDLE, cuMemcpy2D_v2, &box);
	resource.res.array.hArray = a;
	OK(cuTexObjectCreate, &texture, &resource, &sampling, NULL);
	OK(cuArrayDestroy, a); /* the texture keeps what is in it */
	FAILS(CUDA_ERROR_INVALID_HANDLE, cuArrayDestroy, a);
	LAUNCH(function_of(module_begin(), "sample"), 32, NULL, &texture, &p, &width, &height);
	OK(cuMemcpyDtoH_v2, out, p, sizeof(out));
	g_assert_cmpmem(in, sizeof(in), out, sizeof(out));
	OK(cuTexObjectDestroy, texture);
	FAILS(CUDA_ERROR_INVALID_VALUE, cuTexObjectDestroy, texture);
	d.Width = SIZE_MAX;
	FAILS(CUDA_ERROR_INVALID_VALUE, cuArrayCreate_v2, &a, &d);
	d.Width = d.Height = 131072;
	FAILS(CUDA_ERROR_OUT_OF_MEMORY, cuArrayCreate_v2, &a, &d);
	context_end(ctx);
}

static void functions(void)
{
	CUcontext ctx = context_begin();
	CUmodule m = module_begin();
	CUfunction f = function_of(m, "mixed"), other = function_of(m, "nobody_knows");
	const size_t offsets[] = {0, 2, 4, 8, 16, 24, 32}, sizes[] = {1, 2, 4, 8, 4, 8, 8};
	size_t offset, size;
	const char *name;
	int value;

	for (size_t i = 0; i < 7; i++) {
		OK(cuFuncGetParamInfo, f, i, &offset, &size);
		g_assert_cmpuint(offset, ==, offsets[i]);
		g_assert_cmpuint(size, ==, sizes[i]);
	}
	FAILS(CUDA_ERROR_INVALID_VALUE, cuFuncGetParamInfo, f, 7, &offset, &size);
	FAILS(CUDA_ERROR_INVALID_HANDLE, cuFuncGetParamInfo, (CUfunction)m, 0, &offset, &size);
	OK(cuFuncGetName, &name, f);
	g_assert_cmpstr(name, ==, "mixed");
	OK(cuFuncGetAttribute, &value, CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK, other);
	g_assert_cmpint(value, ==, 64);
	OK(cuFuncGetAttribute, &value, CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES, other);
	g_assert_cmpint(value, ==, 1024);
	OK(cuOccupancyMaxActiveBlocksPerMultiprocessor, &value, f, 256, 0);
	g_assert_cmpint(value, ==, 8);
	OK(cuOccupancyMaxActiveBlocksPerMultiprocessor, &value, f, 256, 40000);
	g_assert_cmpint(value, ==, 4);
	FAILS(CUDA_ERROR_INVALID_VALUE, cuOccupancyMaxActiveBlocksPerMultiprocessor, &value, f,
	      G_MAXINT, 0);
	OK(cuFuncSetAttribute, f, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, 100000);
	FAILS(CUDA_ERROR_INVALID_VALUE, cuFuncSetAttribute, f,
	      CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, 1000000);
	context_end(ctx);
}

void add_virtual_tests(void)
{
	g_test_add_func("/cpu-driver/pools", pools);
	g_test_add_func("/cpu-driver/mapping", mapping);
	g_test_add_func("/cpu-driver/values", values);
	g_test_add_func("/cpu-driver/arrays", arrays);
	g_test_add_func("/cpu-driver/functions", functions);
}
