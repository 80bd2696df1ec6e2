// SPDX-License-Identifier: GPL-2.0-or-later
/* What is asked about functions and kernels: most of it came when they were found. */
#include <stdlib.h>
#include <string.h>

#include "cuda_rpc.h"
#include "device.h"
#include "handles.h"
#include "module.h"

static CUresult kernel_find(CUkernel k, struct function **out)
{
	*out = handle_data(HANDLE_OF(k), VGPU_CUDA_KERNEL);
	return *out ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
}

static CUresult any_find(CUfunction f, struct function **out)
{
	*out = function_find(f);
	return *out ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
}

/* Not a kernel: the driver takes that for launches only. */
static CUresult plain_find(CUfunction f, struct function **out)
{
	*out = handle_data(HANDLE_OF(f), VGPU_CUDA_FUNCTION);
	return *out ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
}

static bool known(int32_t value)
{
	return value != (int32_t)VGPU_CUDA_UNKNOWN;
}

/* -------------------------------------------------------------- attributes */

CUresult cuFuncGetAttribute(int *pi, CUfunction_attribute attrib, CUfunction hfunc)
{
	struct function *f;
	int32_t value;
	CUresult r = shim_enter_context();

	if (r == CUDA_SUCCESS)
		r = plain_find(hfunc, &f);
	if (r != CUDA_SUCCESS)
		return r;
	if (!pi || (unsigned int)attrib >= CU_FUNC_ATTRIBUTE_MAX)
		return CUDA_ERROR_INVALID_VALUE;
	value = function_attribute(f, attrib);
	if (!known(value))
		return rpc_cuFuncGetAttribute(pi, attrib, hfunc);
	*pi = value;
	return CUDA_SUCCESS;
}

CUresult cuKernelGetAttribute(int *pi, CUfunction_attribute attrib, CUkernel kernel, CUdevice dev)
{
	struct function *f;
	CUresult r = shim_enter();

	if (r == CUDA_SUCCESS)
		r = kernel_find(kernel, &f);
	if (r != CUDA_SUCCESS)
		return r;
	if (!pi || (unsigned int)attrib >= CU_FUNC_ATTRIBUTE_MAX)
		return CUDA_ERROR_INVALID_VALUE;
	if (!device_valid(dev))
		return CUDA_ERROR_INVALID_DEVICE;
	if ((unsigned int)attrib >= f->nattributes || !known(f->attribute[attrib]))
		return rpc_cuKernelGetAttribute(pi, attrib, kernel, dev);
	*pi = f->attribute[attrib];
	return CUDA_SUCCESS;
}

/*
 * But for this one the device may have rounded the value: it is asked for, since
 * it is what answers about occupancy are kept by.
 */
static void learn(struct function *f, CUfunction_attribute a, int value, CUdevice dev)
{
	CUresult r = CUDA_SUCCESS;

	if ((unsigned int)a >= f->nattributes)
		return;
	if (a != CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES)
		r = vgpu_cuda_handle_type(f->handle) == VGPU_CUDA_KERNEL
			    ? rpc_cuKernelGetAttribute(&value, a, HANDLE_AS(CUkernel, f->handle),
						       dev)
			    : rpc_cuFuncGetAttribute(&value, a, HANDLE_AS(CUfunction, f->handle));
	if (f->kernel)
		f->own |= 1u << (unsigned int)a;
	f->attribute[a] = r == CUDA_SUCCESS ? value : (int32_t)VGPU_CUDA_UNKNOWN;
}

CUresult cuFuncSetAttribute(CUfunction hfunc, CUfunction_attribute attrib, int value)
{
	struct function *f;
	CUresult r = shim_enter_context();

	if (r == CUDA_SUCCESS)
		r = plain_find(hfunc, &f);
	if (r == CUDA_SUCCESS)
		r = rpc_cuFuncSetAttribute(hfunc, attrib, value);
	if (r == CUDA_SUCCESS)
		learn(f, attrib, value, context_top()->device);
	return r;
}

CUresult cuKernelSetAttribute(CUfunction_attribute attrib, int val, CUkernel kernel, CUdevice dev)
{
	struct function *f;
	CUresult r = shim_enter();

	if (r == CUDA_SUCCESS)
		r = kernel_find(kernel, &f);
	if (r == CUDA_SUCCESS && !device_valid(dev))
		r = CUDA_ERROR_INVALID_DEVICE;
	if (r == CUDA_SUCCESS)
		r = rpc_cuKernelSetAttribute(attrib, val, kernel, dev);
	if (r == CUDA_SUCCESS)
		learn(f, attrib, val, dev);
	return r;
}

/* Banks of shared memory have had one width only for many generations. */
CUresult cuFuncSetSharedMemConfig(CUfunction hfunc, CUsharedconfig config)
{
	struct function *f;
	CUresult r = shim_enter_context();

	if (r == CUDA_SUCCESS)
		r = any_find(hfunc, &f);
	if (r == CUDA_SUCCESS && (unsigned int)config > CU_SHARED_MEM_CONFIG_EIGHT_BYTE_BANK_SIZE)
		r = CUDA_ERROR_INVALID_VALUE;
	return r;
}

/* ------------------------------------------------------ names, parameters */

CUresult cuFuncGetName(const char **name, CUfunction hfunc)
{
	struct function *f;
	CUresult r = shim_enter();

	if (r == CUDA_SUCCESS)
		r = any_find(hfunc, &f);
	if (r == CUDA_SUCCESS && !name)
		r = CUDA_ERROR_INVALID_VALUE;
	if (r == CUDA_SUCCESS)
		*name = f->name;
	return r;
}

CUresult cuKernelGetName(const char **name, CUkernel hfunc)
{
	struct function *f;
	CUresult r = shim_enter();

	if (r == CUDA_SUCCESS)
		r = kernel_find(hfunc, &f);
	if (r == CUDA_SUCCESS && !name)
		r = CUDA_ERROR_INVALID_VALUE;
	if (r == CUDA_SUCCESS)
		*name = f->name;
	return r;
}

static CUresult param_info(const struct function *f, size_t index, size_t *offset, size_t *size)
{
	if (!offset || index >= f->nparams)
		return CUDA_ERROR_INVALID_VALUE;
	*offset = f->param[index].offset;
	if (size)
		*size = f->param[index].size;
	return CUDA_SUCCESS;
}

CUresult cuFuncGetParamInfo(CUfunction func, size_t paramIndex, size_t *paramOffset,
			    size_t *paramSize)
{
	struct function *f;
	CUresult r = shim_enter();

	if (r == CUDA_SUCCESS)
		r = any_find(func, &f);
	return r == CUDA_SUCCESS ? param_info(f, paramIndex, paramOffset, paramSize) : r;
}

CUresult cuKernelGetParamInfo(CUkernel kernel, size_t paramIndex, size_t *paramOffset,
			      size_t *paramSize)
{
	struct function *f;
	CUresult r = shim_enter();

	if (r == CUDA_SUCCESS)
		r = kernel_find(kernel, &f);
	return r == CUDA_SUCCESS ? param_info(f, paramIndex, paramOffset, paramSize) : r;
}

/* ------------------------------------------------ where functions belong */

CUresult cuKernelGetLibrary(CUlibrary *pLib, CUkernel kernel)
{
	struct function *f;
	CUresult r = shim_enter();

	if (r == CUDA_SUCCESS)
		r = kernel_find(kernel, &f);
	if (r == CUDA_SUCCESS && !pLib)
		r = CUDA_ERROR_INVALID_VALUE;
	if (r == CUDA_SUCCESS)
		*pLib = HANDLE_AS(CUlibrary, f->owner);
	return r;
}

CUresult cuFuncGetModule(CUmodule *hmod, CUfunction hfunc)
{
	struct function *f;
	CUresult r = shim_enter_context();

	if (r == CUDA_SUCCESS)
		r = any_find(hfunc, &f);
	if (r == CUDA_SUCCESS && !hmod)
		r = CUDA_ERROR_INVALID_VALUE;
	if (r != CUDA_SUCCESS)
		return r;
	if (vgpu_cuda_handle_type(f->owner) == VGPU_CUDA_LIBRARY)
		return cuLibraryGetModule(hmod, HANDLE_AS(CUlibrary, f->owner));
	*hmod = HANDLE_AS(CUmodule, f->owner);
	return CUDA_SUCCESS;
}

/* A kernel as a function of the current context. */
static CUresult ask_function(struct function *k, CUfunction *out)
{
	struct vgpu_function_info info;
	CUfunction made = HANDLE_AS(CUfunction, handle_new(VGPU_CUDA_FUNCTION, NULL));
	struct function *f;
	CUresult r;

	if (!made)
		return CUDA_ERROR_OUT_OF_MEMORY;
	r = rpc_vgpuKernelGetFunction(&made, HANDLE_AS(CUkernel, k->handle), &info);
	r = function_take(r, HANDLE_OF(made), k->name, &info, &f);
	if (r != CUDA_SUCCESS)
		return r;
	*out = HANDLE_AS(CUfunction, kernel_publish(k, f, HANDLE_OF(made))->handle);
	return CUDA_SUCCESS;
}

CUresult cuKernelGetFunction(CUfunction *pFunc, CUkernel kernel)
{
	struct function *k, *f;
	CUresult r = shim_enter_context();

	if (r == CUDA_SUCCESS)
		r = kernel_find(kernel, &k);
	if (r == CUDA_SUCCESS && !pFunc)
		r = CUDA_ERROR_INVALID_VALUE;
	if (r != CUDA_SUCCESS)
		return r;
	f = kernel_instance(k);
	if (!f)
		return ask_function(k, pFunc);
	*pFunc = HANDLE_AS(CUfunction, f->handle);
	return CUDA_SUCCESS;
}

/* The host loads what is found. */
CUresult cuFuncIsLoaded(CUfunctionLoadingState *state, CUfunction function)
{
	struct function *f;
	CUresult r = shim_enter();

	if (r == CUDA_SUCCESS)
		r = any_find(function, &f);
	if (r == CUDA_SUCCESS && !state)
		r = CUDA_ERROR_INVALID_VALUE;
	if (r == CUDA_SUCCESS)
		*state = CU_FUNCTION_LOADING_STATE_LOADED;
	return r;
}

CUresult cuFuncLoad(CUfunction function)
{
	struct function *f;
	CUresult r = shim_enter();

	return r == CUDA_SUCCESS ? any_find(function, &f) : r;
}
