/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Calls by name, a context and a module for the tests of the software driver. */
#include "driver_api.h"

#include <string.h>

#include "cpu_driver.h"

#define HEAD ".version 7.0\n.target sm_70\n.address_size 64\n"
#define BODY "{\n\tret;\n}\n"

const char kernels_ptx[] = HEAD
	"/* a\ncomment */ .global .align 4 .u32 counter = 5; // more\n"
	".global .align 8 .b8 table[16] = {1, 2, 0x3};\n"
	".visible .entry vector_add(.param .u64 a, .param .u64 b, .param .u64 c, .param .s32 "
	"n)" BODY
	".visible .entry saxpy(.param .f32 a, .param .u64 x, .param .u64 y, .param .u32 n)" BODY
	".visible .entry scale(.param .u64 p, .param .f32 f, .param .u32 n)" BODY
	".visible .entry matmul(.param .u64 a, .param .u64 b, .param .u64 c, .param .u32 m,\n"
	"\t.param .u32 n, .param .u32 k)" BODY
	".visible .entry fill(.param .u64 p, .param .u32 v, .param .u32 n)" BODY
	".visible .entry iota(.param .u64 p, .param .u32 v, .param .u32 n)" BODY
	".visible .entry _Z9incrementPii(.param .u64 p, .param .u32 n)" BODY
	".visible .entry copy(.param .u64 s, .param .u64 d, .param .u32 n)" BODY
	".visible .entry reduce_sum(.param .u64 s, .param .u64 d, .param .u32 n)" BODY
	".visible .entry write_flag(.param .u64 p, .param .u64 v)" BODY
	".visible .entry wait_flag(.param .u64 p, .param .u32 v)" BODY
	".visible .entry delay(.param .u64 ns)" BODY
	".visible .entry store_at(.param .u64 p, .param .u32 v)" BODY
	".visible .entry load_at(.param .u64 p, .param .u64 out)" BODY
	".visible .entry counter_add(.param .u32 v)" BODY
	".visible .entry sum_struct(.param .align 8 .b8 s[24], .param .u64 out)" BODY
	".visible .entry mixed(.param .s8 a, .param .s16 b, .param .s32 c, .param .s64 d,\n"
	"\t.param .f32 e, .param .f64 f, .param .u64 .ptr .global .align 8 out)" BODY
	".visible .entry grid_info(.param .u64 out)" BODY
	".visible .entry count_threads(.param .u64 p)" BODY
	".visible .entry print_value(.param .u32 v)" BODY
	".visible .entry sample(.param .u64 t, .param .u64 o, .param .u32 w, .param .u32 h)" BODY
	".visible .entry vgpu_spin()" BODY ".visible .entry vgpu_trap()" BODY
	".visible .entry vgpu_assert" BODY
	".visible .entry nobody_knows(.param .u64 p)\n.maxntid 64, 1, 1\n{\n"
	"\t.shared .align 4 .b8 buffer[1024];\n\t{ ret; }\n}\n"
	".visible .entry fill_otherwise(.param .u64 p)" BODY;

void (*driver_symbol(const char *name))(void)
{
	void *p = cpu_driver_symbol(name);
	void (*fn)(void);

	if (!p)
		g_error("the driver has no %s", name);
	memcpy(&fn, &p, sizeof(fn)); /* ISO C knows no cast between the two */
	return fn;
}

CUcontext context_begin(void)
{
	CUcontext ctx;

	OK(cuInit, 0);
	OK(cuCtxCreate_v4, &ctx, NULL, 0, 0);
	return ctx;
}

void context_end(CUcontext ctx)
{
	OK(cuCtxSynchronize);
	OK(cuCtxDestroy_v2, ctx);
}

CUmodule module_begin(void)
{
	CUmodule m;

	OK(cuModuleLoadData, &m, kernels_ptx);
	return m;
}

CUfunction function_of(CUmodule m, const char *name)
{
	CUfunction f;

	OK(cuModuleGetFunction, &f, m, name);
	return f;
}
