/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a program does first, and most of the time, as calls. */
#include "cuda-program.h"

#include <glib.h>
#include <string.h>

static const char ptx[] = ".version 6.0\n.target sm_50\n.address_size 64\n"
			  ".visible .entry vector_add(.param .u64 a, .param .u64 b, .param .u64 c, "
			  ".param .u32 n)\n{\nret;\n}\n"
			  ".visible .entry print_value(.param .u32 v)\n{\nret;\n}\n"
			  ".visible .entry wait_flag(.param .u64 p, .param .u32 v)\n{\nret;\n}\n";

void assert_ok(const struct outcome *o)
{
	g_assert_cmpint(o->status, ==, 0);
	g_assert_cmpint(o->result, ==, CUDA_SUCCESS);
	g_assert_cmpint(o->deferred, ==, CUDA_SUCCESS);
}

void program_start(void)
{
	calls_start();
	assert_ok(CALL(vgpuHello, 0, REQ(vgpuHello, .version = VGPU_CUDA_VERSION)));
	assert_ok(CALL(vgpuCtxRetainPrimary, 0, REQ(vgpuCtxRetainPrimary, .ctx = CTX)));
	calls_own_output();
}

CUdeviceptr allocate(size_t bytes)
{
	struct vgpu_cuMemAlloc_v2_rsp rsp;
	const struct outcome *o = CALL(cuMemAlloc_v2, CTX, REQ(cuMemAlloc_v2, .bytesize = bytes));

	assert_ok(o);
	g_assert_cmpuint(o->length, ==, sizeof(rsp));
	memcpy(&rsp, o->data, sizeof(rsp));
	return rsp.dptr;
}

void write_bytes(CUdeviceptr at, const void *data, uint32_t bytes)
{
	g_assert_cmpint(
		QUIET(vgpuWrite, CTX, REQ(vgpuWrite, .dst = at, .bytes = bytes), {data, bytes})
			->status,
		==, 1);
}

const void *read_bytes(CUdeviceptr at, uint32_t bytes)
{
	const struct outcome *o = CALL(vgpuRead, CTX, REQ(vgpuRead, .src = at, .bytes = bytes));

	assert_ok(o);
	g_assert_cmpuint(o->length, ==, (bytes + 7) & ~7u);
	return o->data;
}

void synchronize(void)
{
	assert_ok(calls_make(CUDA_FN_vgpuCtxSynchronize, CTX, 0, NULL, 0));
}

static void begin_blob(void)
{
	g_assert_cmpint(QUIET(vgpuBlobBegin, 0, REQ(vgpuBlobBegin, .blob = 5, .bytes = sizeof(ptx)))
				->status,
			==, 1);
	g_assert_cmpint(QUIET(vgpuBlobData, 0, REQ(vgpuBlobData, .blob = 5, .bytes = sizeof(ptx)),
			      {ptx, sizeof(ptx)})
				->status,
			==, 1);
}

static void end_blob(void)
{
	g_assert_cmpint(QUIET(vgpuBlobEnd, 0, REQ(vgpuBlobEnd, .blob = 5))->status, ==, 1);
}

void load(uint64_t module)
{
	begin_blob();
	assert_ok(CALL(vgpuModuleLoad, CTX, REQ(vgpuModuleLoad, .module = module, .blob = 5)));
	end_blob();
}

void load_library(uint64_t library)
{
	begin_blob();
	assert_ok(CALL(vgpuLibraryLoad, 0, REQ(vgpuLibraryLoad, .library = library, .blob = 5)));
	end_blob();
}

struct vgpu_function_info *find(uint64_t module, uint64_t function, const char *name)
{
	static struct vgpu_function_info info;
	const struct outcome *o = CALL(vgpuModuleGetFunction, CTX,
				       REQ(vgpuModuleGetFunction, .f = function, .module = module,
					   .name_length = (uint32_t)strlen(name) + 1),
				       {name, strlen(name) + 1});

	assert_ok(o);
	g_assert_cmpuint(o->length, ==, sizeof(info));
	memcpy(&info, o->data, sizeof(info));
	return &info;
}

void launch(uint64_t function, unsigned int threads, const void *params, uint32_t bytes)
{
	g_assert_cmpint(QUIET(vgpuLaunch, CTX,
			      REQ(vgpuLaunch, .function = function, .gx = 1, .gy = 1, .gz = 1,
				  .bx = threads, .by = 1, .bz = 1, .bytes = bytes),
			      {params, bytes})
				->status,
			==, 1);
}

void launch_wait(uint64_t function, uint64_t stream, CUdeviceptr flag)
{
	const struct {
		uint64_t flag;
		uint32_t value;
	} params = {flag, 1};

	g_assert_cmpint(QUIET(vgpuLaunch, CTX,
			      REQ(vgpuLaunch, .function = function, .stream = stream, .gx = 1,
				  .gy = 1, .gz = 1, .bx = 1, .by = 1, .bz = 1, .bytes = 12),
			      {&params, 12})
				->status,
			==, 1);
}

void make_stream(uint64_t stream)
{
	assert_ok(CALL(cuStreamCreate, CTX,
		       REQ(cuStreamCreate, .phStream = stream, .Flags = CU_STREAM_NON_BLOCKING)));
}

struct cuda_driver *driver(void)
{
	return (struct cuda_driver *)(uintptr_t)test_worker->cuda->drv;
}
