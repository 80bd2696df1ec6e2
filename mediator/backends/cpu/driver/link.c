/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The linker: takes one PTX text and gives it back as the image, for there is
 * no machine code that several could become one in.
 */
#include <stdlib.h>
#include <string.h>

#include "driver.h"
#include "ptx.h"

#define TEXT_MAX ((size_t)64 << 20)

struct CUlinkState_st {
	struct object obj;
	char *image; /* PTX, terminated; NULL: nothing added yet */
	size_t size;
};

static void finish(void *object)
{
	g_free(((CUlinkState)object)->image);
}

static CUresult CUDAAPI cpu_cuLinkCreate_v2(unsigned int n, CUjit_option *option, void **value,
					    CUlinkState *out)
{
	CUlinkState l;

	(void)n;
	(void)option;
	(void)value;
	ENTER_CONTEXT(ctx);
	if (!out)
		return CUDA_ERROR_INVALID_VALUE;
	l = object_new(OBJECT_LINK, sizeof(*l), finish);
	if (!l)
		return CUDA_ERROR_OUT_OF_MEMORY;
	*out = l;
	return CUDA_SUCCESS;
}

static CUresult CUDAAPI cpu_cuLinkAddData_v2(CUlinkState handle, CUjitInputType type, void *data,
					     size_t size, const char *name, unsigned int n,
					     CUjit_option *option, void **value)
{
	struct ptx_module *ptx;
	CUlinkState l;

	(void)name;
	(void)n;
	(void)option;
	(void)value;
	ENTER_CONTEXT(ctx);
	l = object_find(handle, OBJECT_LINK);
	if (!l)
		return CUDA_ERROR_INVALID_HANDLE;
	if (!data || !size || size > TEXT_MAX)
		return CUDA_ERROR_INVALID_VALUE;
	if (type != CU_JIT_INPUT_PTX)
		return CUDA_ERROR_NO_BINARY_FOR_GPU;
	ptx = ptx_parse(data, size, NULL);
	if (!ptx)
		return CUDA_ERROR_INVALID_PTX;
	ptx_unref(ptx);
	if (l->image)
		return CUDA_ERROR_NOT_SUPPORTED;
	l->image = g_strndup(data, size);
	l->size = strlen(l->image) + 1;
	return CUDA_SUCCESS;
}

static CUresult CUDAAPI cpu_cuLinkComplete(CUlinkState handle, void **image, size_t *size)
{
	CUlinkState l;

	ENTER_CONTEXT(ctx);
	l = object_find(handle, OBJECT_LINK);
	if (!l)
		return CUDA_ERROR_INVALID_HANDLE;
	if (!image || !l->image)
		return CUDA_ERROR_INVALID_VALUE;
	*image = l->image;
	if (size)
		*size = l->size;
	return CUDA_SUCCESS;
}

static CUresult CUDAAPI cpu_cuLinkDestroy(CUlinkState handle)
{
	CUlinkState l;

	ENTER_CONTEXT(ctx);
	l = object_find(handle, OBJECT_LINK);
	if (!l)
		return CUDA_ERROR_INVALID_HANDLE;
	object_retire(l);
	return CUDA_SUCCESS;
}

CPU_SYMBOLS(cpu_link_symbols, CPU_FN(cuLinkCreate_v2), CPU_FN(cuLinkAddData_v2),
	    CPU_FN(cuLinkComplete), CPU_FN(cuLinkDestroy));
