/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What functions and kernels say of themselves: parameters, attributes, and
 * how many blocks fit.
 */
#include <string.h>

#include "driver.h"
#include "ptx.h"

#define REGISTERS 32
#define MULTIPROCESSOR_THREADS 2048
#define MULTIPROCESSOR_BLOCKS 32
#define MULTIPROCESSOR_SHARED 167936

static CUresult param_info(CUfunction f, size_t i, size_t *offset, size_t *size)
{
	const struct ptx_param *p;

	if (!f)
		return CUDA_ERROR_INVALID_HANDLE;
	if (!offset || i >= f->entry->param->len)
		return CUDA_ERROR_INVALID_VALUE;
	p = &g_array_index(f->entry->param, struct ptx_param, i);
	*offset = p->offset;
	if (size)
		*size = p->size;
	return CUDA_SUCCESS;
}

static CUresult CUDAAPI cpu_cuFuncGetParamInfo(CUfunction f, size_t i, size_t *offset, size_t *size)
{
	ENTER();
	return param_info(object_find(f, OBJECT_FUNCTION), i, offset, size);
}

static CUresult CUDAAPI cpu_cuKernelGetParamInfo(CUkernel handle, size_t i, size_t *offset,
						 size_t *size)
{
	CUkernel k;

	ENTER();
	k = object_find(handle, OBJECT_KERNEL);
	return param_info(k ? k->fn : NULL, i, offset, size);
}

static CUresult name_of(CUfunction f, const char **name)
{
	if (!name)
		return CUDA_ERROR_INVALID_VALUE;
	if (!f)
		return CUDA_ERROR_INVALID_HANDLE;
	*name = f->entry->name;
	return CUDA_SUCCESS;
}

static CUresult CUDAAPI cpu_cuFuncGetName(const char **name, CUfunction f)
{
	ENTER();
	return name_of(function_find(f), name);
}

static CUresult CUDAAPI cpu_cuKernelGetName(const char **name, CUkernel handle)
{
	CUkernel k;

	ENTER();
	k = object_find(handle, OBJECT_KERNEL);
	return name_of(k ? k->fn : NULL, name);
}

static CUresult CUDAAPI cpu_cuFuncGetModule(CUmodule *out, CUfunction handle)
{
	CUfunction f;

	ENTER();
	f = function_find(handle);
	if (!out || !f)
		return out ? CUDA_ERROR_INVALID_HANDLE : CUDA_ERROR_INVALID_VALUE;
	*out = f->module;
	return CUDA_SUCCESS;
}

static int max_threads(const CUfunction f)
{
	unsigned int said = f->entry->max_threads;

	return (int)(said && said < CPU_THREADS_MAX ? said : CPU_THREADS_MAX);
}

static CUresult get(const CUfunction f, const struct function_limits *l, CUfunction_attribute which,
		    int *value)
{
	if (!value)
		return CUDA_ERROR_INVALID_VALUE;
	if (!f)
		return CUDA_ERROR_INVALID_HANDLE;
	*value = 0;
	switch (which) {
	case CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK:
		*value = max_threads(f);
		return CUDA_SUCCESS;
	case CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES:
		*value = (int)f->entry->shared;
		return CUDA_SUCCESS;
	case CU_FUNC_ATTRIBUTE_NUM_REGS:
		*value = REGISTERS;
		return CUDA_SUCCESS;
	case CU_FUNC_ATTRIBUTE_PTX_VERSION:
		*value = (int)(f->ptx->sm);
		return CUDA_SUCCESS;
	case CU_FUNC_ATTRIBUTE_BINARY_VERSION:
		*value = 80;
		return CUDA_SUCCESS;
	case CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES:
		*value = l->dynamic_shared;
		return CUDA_SUCCESS;
	case CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT:
		*value = l->carveout;
		return CUDA_SUCCESS;
	default:
		return which < CU_FUNC_ATTRIBUTE_MAX ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
	}
}

static CUresult set(const CUfunction f, struct function_limits *l, CUfunction_attribute which,
		    int value)
{
	if (which == CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES) {
		if (value < 0 || (size_t)value + f->entry->shared > CPU_SHARED_OPTIN)
			return CUDA_ERROR_INVALID_VALUE;
		l->dynamic_shared = value;
		return CUDA_SUCCESS;
	}
	if (which == CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT) {
		if (value < -1 || value > 100)
			return CUDA_ERROR_INVALID_VALUE;
		l->carveout = value;
		return CUDA_SUCCESS;
	}
	return CUDA_ERROR_INVALID_VALUE;
}

static CUresult CUDAAPI cpu_cuFuncGetAttribute(int *value, CUfunction_attribute which,
					       CUfunction handle)
{
	CUfunction f;

	ENTER();
	f = object_find(handle, OBJECT_FUNCTION);
	return get(f, f ? &f->limit : NULL, which, value);
}

static CUresult CUDAAPI cpu_cuFuncSetAttribute(CUfunction handle, CUfunction_attribute which,
					       int value)
{
	CUfunction f;

	ENTER();
	f = object_find(handle, OBJECT_FUNCTION);
	if (!f)
		return CUDA_ERROR_INVALID_HANDLE;
	enter_error = set(f, &f->limit, which, value);
	f->own |= !enter_error;
	return enter_error;
}

static CUresult CUDAAPI cpu_cuKernelGetAttribute(int *value, CUfunction_attribute which,
						 CUkernel handle, CUdevice dev)
{
	CUkernel k;

	ENTER();
	if (!device_is_valid(dev))
		return CUDA_ERROR_INVALID_DEVICE;
	k = object_find(handle, OBJECT_KERNEL);
	return get(k ? k->fn : NULL, k ? &k->limit : NULL, which, value);
}

static CUresult CUDAAPI cpu_cuKernelSetAttribute(CUfunction_attribute which, int value,
						 CUkernel handle, CUdevice dev)
{
	CUkernel k;

	ENTER();
	if (!device_is_valid(dev))
		return CUDA_ERROR_INVALID_DEVICE;
	k = object_find(handle, OBJECT_KERNEL);
	if (!k)
		return CUDA_ERROR_INVALID_HANDLE;
	enter_error = set(k->fn, &k->limit, which, value);
	if (!enter_error && !k->fn->own)
		k->fn->limit = k->limit;
	return enter_error;
}

static CUresult CUDAAPI cpu_cuFuncSetCacheConfig(CUfunction f, CUfunc_cache config)
{
	ENTER();
	if (config > CU_FUNC_CACHE_PREFER_EQUAL)
		return CUDA_ERROR_INVALID_VALUE;
	return function_find(f) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
}

static CUresult CUDAAPI cpu_cuKernelSetCacheConfig(CUkernel k, CUfunc_cache config, CUdevice dev)
{
	ENTER();
	if (config > CU_FUNC_CACHE_PREFER_EQUAL)
		return CUDA_ERROR_INVALID_VALUE;
	if (!device_is_valid(dev))
		return CUDA_ERROR_INVALID_DEVICE;
	return object_find(k, OBJECT_KERNEL) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
}

static CUresult CUDAAPI cpu_cuFuncLoad(CUfunction f)
{
	ENTER();
	return function_find(f) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
}

static CUresult CUDAAPI cpu_cuFuncIsLoaded(CUfunctionLoadingState *state, CUfunction f)
{
	ENTER();
	if (!state)
		return CUDA_ERROR_INVALID_VALUE;
	*state = CU_FUNCTION_LOADING_STATE_LOADED;
	return function_find(f) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
}

/* What blocks of `shared` bytes find on a multiprocessor; the carveout is a wish, so one always
 * fits.
 */
static int fit_shared(const CUfunction f, size_t shared)
{
	size_t percent = f->limit.carveout < 0 ? 100 : (size_t)f->limit.carveout;
	size_t fit = MULTIPROCESSOR_SHARED * percent / 100 / (shared + 1024);

	return fit ? (int)fit : 1;
}

static int blocks(const CUfunction f, int threads, size_t dynamic)
{
	int fit = MULTIPROCESSOR_THREADS / ((threads + 31) / 32 * 32);
	size_t shared = f->entry->shared + dynamic;

	if (threads > max_threads(f) || shared > CPU_SHARED_OPTIN)
		return 0;
	fit = MIN(fit, 65536 / (REGISTERS * ((threads + 31) / 32 * 32)));
	if (shared)
		fit = MIN(fit, fit_shared(f, shared));
	return MIN(fit, MULTIPROCESSOR_BLOCKS);
}

static CUresult CUDAAPI cpu_cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(
	int *out, CUfunction handle, int threads, size_t dynamic, unsigned int flags)
{
	CUfunction f;

	ENTER();
	f = function_find(handle);
	if (!out || threads <= 0 ||
	    (flags & ~(unsigned int)CU_OCCUPANCY_DISABLE_CACHING_OVERRIDE) ||
	    dynamic > G_MAXINT32 || threads > G_MAXINT32 - 31)
		return CUDA_ERROR_INVALID_VALUE;
	if (!f)
		return CUDA_ERROR_INVALID_HANDLE;
	*out = blocks(f, threads, dynamic);
	return CUDA_SUCCESS;
}

static CUresult CUDAAPI cpu_cuOccupancyMaxActiveBlocksPerMultiprocessor(int *out, CUfunction f,
									int threads, size_t dynamic)
{
	return cpu_cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(out, f, threads, dynamic,
									0);
}

static CUresult CUDAAPI cpu_cuOccupancyAvailableDynamicSMemPerBlock(size_t *out, CUfunction handle,
								    int nblocks, int threads)
{
	CUfunction f;
	size_t room;

	ENTER();
	f = function_find(handle);
	if (!out || nblocks <= 0 || threads <= 0 || threads > (int)CPU_THREADS_MAX)
		return CUDA_ERROR_INVALID_VALUE;
	if (!f)
		return CUDA_ERROR_INVALID_HANDLE;
	if (nblocks > blocks(f, threads, 0))
		return CUDA_ERROR_INVALID_VALUE;
	room = MIN(MULTIPROCESSOR_SHARED / (size_t)nblocks - 1024, CPU_SHARED_OPTIN);
	*out = room > f->entry->shared ? room - f->entry->shared : 0;
	return CUDA_SUCCESS;
}

CPU_SYMBOLS(cpu_function_symbols, CPU_FN(cuFuncGetParamInfo), CPU_FN(cuKernelGetParamInfo),
	    CPU_FN(cuFuncGetName), CPU_FN(cuKernelGetName), CPU_FN(cuFuncGetModule),
	    CPU_FN(cuFuncGetAttribute), CPU_FN(cuFuncSetAttribute), CPU_FN(cuKernelGetAttribute),
	    CPU_FN(cuKernelSetAttribute), CPU_FN(cuFuncSetCacheConfig),
	    CPU_FN(cuKernelSetCacheConfig), CPU_FN(cuFuncLoad), CPU_FN(cuFuncIsLoaded),
	    CPU_FN(cuOccupancyMaxActiveBlocksPerMultiprocessor),
	    CPU_FN(cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags),
	    CPU_FN(cuOccupancyAvailableDynamicSMemPerBlock));
