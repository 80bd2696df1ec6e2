/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Libraries: modules that belong to no context, and their kernels.
 */
#include <string.h>

#include "driver.h"
#include "ptx.h"

static void finish_library(void *object)
{
	g_ptr_array_free(((CUlibrary)object)->kernel, TRUE);
}

static void drop(CUlibrary l)
{
	for (unsigned int i = 0; i < l->kernel->len; i++)
		object_retire(l->kernel->pdata[i]);
	module_unload(l->module);
	object_retire(l);
}

static CUresult add_kernels(CUlibrary l)
{
	for (unsigned int i = 0; i < l->module->function->len; i++) {
		CUkernel k = object_new(OBJECT_KERNEL, sizeof(*k), NULL);

		if (!k)
			return CUDA_ERROR_OUT_OF_MEMORY;
		k->library = l;
		k->fn = l->module->function->pdata[i];
		k->limit = k->fn->limit;
		g_ptr_array_add(l->kernel, k);
	}
	return CUDA_SUCCESS;
}

static CUresult CUDAAPI cpu_cuLibraryLoadData(CUlibrary *out, const void *code, CUjit_option *jit,
					      void **jit_value, unsigned int njit,
					      CUlibraryOption *option, void **value, unsigned int n)
{
	CUlibrary l;

	(void)jit;
	(void)jit_value;
	(void)njit;
	(void)option;
	(void)value;
	(void)n;
	ENTER();
	if (!out || !code)
		return CUDA_ERROR_INVALID_VALUE;
	l = object_new(OBJECT_LIBRARY, sizeof(*l), finish_library);
	if (!l)
		return CUDA_ERROR_OUT_OF_MEMORY;
	l->kernel = g_ptr_array_new();
	enter_error = module_load(code, NULL, &l->module);
	if (enter_error) {
		object_retire(l);
		return enter_error;
	}
	enter_error = add_kernels(l);
	if (enter_error)
		drop(l);
	else
		*out = l;
	return enter_error;
}

static CUresult CUDAAPI cpu_cuLibraryUnload(CUlibrary handle)
{
	CUlibrary l;

	ENTER();
	l = object_find(handle, OBJECT_LIBRARY);
	if (!l)
		return CUDA_ERROR_INVALID_HANDLE;
	enter_error = context_wait(NULL);
	if (enter_error)
		return enter_error;
	if (object_find(handle, OBJECT_LIBRARY) != l)
		return CUDA_ERROR_INVALID_HANDLE;
	drop(l);
	return CUDA_SUCCESS;
}

static CUresult CUDAAPI cpu_cuLibraryGetKernel(CUkernel *out, CUlibrary handle, const char *name)
{
	CUlibrary l;

	ENTER();
	if (!out || !name)
		return CUDA_ERROR_INVALID_VALUE;
	l = object_find(handle, OBJECT_LIBRARY);
	if (!l)
		return CUDA_ERROR_INVALID_HANDLE;
	for (unsigned int i = 0; i < l->kernel->len; i++) {
		CUkernel k = l->kernel->pdata[i];

		if (!strcmp(k->fn->entry->name, name)) {
			*out = k;
			return CUDA_SUCCESS;
		}
	}
	return CUDA_ERROR_NOT_FOUND;
}

static CUresult CUDAAPI cpu_cuLibraryGetKernelCount(unsigned int *n, CUlibrary handle)
{
	CUlibrary l;

	ENTER();
	l = object_find(handle, OBJECT_LIBRARY);
	if (!n || !l)
		return n ? CUDA_ERROR_INVALID_HANDLE : CUDA_ERROR_INVALID_VALUE;
	*n = l->kernel->len;
	return CUDA_SUCCESS;
}

static CUresult CUDAAPI cpu_cuLibraryEnumerateKernels(CUkernel *out, unsigned int n,
						      CUlibrary handle)
{
	CUlibrary l;

	ENTER();
	l = object_find(handle, OBJECT_LIBRARY);
	if (!out || !l)
		return out ? CUDA_ERROR_INVALID_HANDLE : CUDA_ERROR_INVALID_VALUE;
	for (unsigned int i = 0; i < n && i < l->kernel->len; i++)
		out[i] = l->kernel->pdata[i];
	return CUDA_SUCCESS;
}

static CUresult CUDAAPI cpu_cuLibraryGetModule(CUmodule *out, CUlibrary handle)
{
	CUlibrary l;

	ENTER();
	l = object_find(handle, OBJECT_LIBRARY);
	if (!out || !l)
		return out ? CUDA_ERROR_INVALID_HANDLE : CUDA_ERROR_INVALID_VALUE;
	*out = l->module;
	return CUDA_SUCCESS;
}

static CUresult CUDAAPI cpu_cuLibraryGetGlobal(CUdeviceptr *dptr, size_t *bytes, CUlibrary handle,
					       const char *name)
{
	CUlibrary l;

	ENTER();
	if (!name)
		return CUDA_ERROR_INVALID_VALUE;
	l = object_find(handle, OBJECT_LIBRARY);
	return l ? module_global(l->module, name, dptr, bytes) : CUDA_ERROR_INVALID_HANDLE;
}

static CUresult CUDAAPI cpu_cuLibraryGetManaged(CUdeviceptr *dptr, size_t *bytes, CUlibrary handle,
						const char *name)
{
	(void)dptr;
	(void)bytes;
	ENTER();
	if (!name)
		return CUDA_ERROR_INVALID_VALUE;
	return object_find(handle, OBJECT_LIBRARY) ? CUDA_ERROR_NOT_FOUND
						   : CUDA_ERROR_INVALID_HANDLE;
}

static CUresult CUDAAPI cpu_cuKernelGetFunction(CUfunction *out, CUkernel handle)
{
	CUkernel k;

	ENTER();
	k = object_find(handle, OBJECT_KERNEL);
	if (!out || !k)
		return out ? CUDA_ERROR_INVALID_HANDLE : CUDA_ERROR_INVALID_VALUE;
	*out = k->fn;
	return CUDA_SUCCESS;
}

static CUresult CUDAAPI cpu_cuKernelGetLibrary(CUlibrary *out, CUkernel handle)
{
	CUkernel k;

	ENTER();
	k = object_find(handle, OBJECT_KERNEL);
	if (!out || !k)
		return out ? CUDA_ERROR_INVALID_HANDLE : CUDA_ERROR_INVALID_VALUE;
	*out = k->library;
	return CUDA_SUCCESS;
}

CPU_SYMBOLS(cpu_library_symbols, CPU_FN(cuLibraryLoadData), CPU_FN(cuLibraryUnload),
	    CPU_FN(cuLibraryGetKernel), CPU_FN(cuLibraryGetKernelCount),
	    CPU_FN(cuLibraryEnumerateKernels), CPU_FN(cuLibraryGetModule),
	    CPU_FN(cuLibraryGetGlobal), CPU_FN(cuLibraryGetManaged), CPU_FN(cuKernelGetFunction),
	    CPU_FN(cuKernelGetLibrary));
