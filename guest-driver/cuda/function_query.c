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

static bool cached(const struct function *f, CUfunction_attribute a)
{
	return (unsigned int)a < f->nattributes && f->attribute[a] != (int32_t)VGPU_CUDA_UNKNOWN;
}

/* -------------------------------------------------------------- attributes */

CUresult cuFuncGetAttribute(int *pi, CUfunction_attribute attrib, CUfunction hfunc)
{
	struct function *f;
	CUresult r = shim_enter_context();

	if (r == CUDA_SUCCESS)
		r = any_find(hfunc, &f);
	if (r != CUDA_SUCCESS)
		return r;
	if (!pi || (unsigned int)attrib >= CU_FUNC_ATTRIBUTE_MAX)
		return CUDA_ERROR_INVALID_VALUE;
	if (cached(f, attrib)) {
		*pi = f->attribute[attrib];
		return CUDA_SUCCESS;
	}
	if (vgpu_cuda_handle_type(f->handle) == VGPU_CUDA_KERNEL)
		return rpc_cuKernelGetAttribute(pi, attrib, HANDLE_AS(CUkernel, f->handle),
						context_top()->device);
	return rpc_cuFuncGetAttribute(pi, attrib, hfunc);
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
	if (!cached(f, attrib))
		return rpc_cuKernelGetAttribute(pi, attrib, kernel, dev);
	*pi = f->attribute[attrib];
	return CUDA_SUCCESS;
}

/* The device may have rounded the value, so that it is asked for again. */
static void forget(struct function *f, CUfunction_attribute a)
{
	if ((unsigned int)a < VGPU_CUDA_FUNCTION_ATTRIBUTES)
		f->attribute[a] = (int32_t)VGPU_CUDA_UNKNOWN;
}

static void learn(struct function *f, CUfunction_attribute a, int value)
{
	if (a == CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES && cached(f, a))
		f->attribute[a] = value;
	else
		forget(f, a);
}

CUresult cuFuncSetAttribute(CUfunction hfunc, CUfunction_attribute attrib, int value)
{
	struct function *f;
	CUresult r = shim_enter_context();

	if (r == CUDA_SUCCESS)
		r = any_find(hfunc, &f);
	if (r != CUDA_SUCCESS)
		return r;
	if (vgpu_cuda_handle_type(f->handle) == VGPU_CUDA_KERNEL)
		r = rpc_cuKernelSetAttribute(attrib, value, HANDLE_AS(CUkernel, f->handle),
					     context_top()->device);
	else
		r = rpc_cuFuncSetAttribute(hfunc, attrib, value);
	if (r == CUDA_SUCCESS)
		learn(f, attrib, value);
	return r;
}

/* A kernel's attribute holds for its functions as well, which may be known here already. */
CUresult cuKernelSetAttribute(CUfunction_attribute attrib, int val, CUkernel kernel, CUdevice dev)
{
	struct function *f, *g;
	CUresult r = shim_enter();

	if (r == CUDA_SUCCESS)
		r = kernel_find(kernel, &f);
	if (r == CUDA_SUCCESS && !device_valid(dev))
		r = CUDA_ERROR_INVALID_DEVICE;
	if (r == CUDA_SUCCESS)
		r = rpc_cuKernelSetAttribute(attrib, val, kernel, dev);
	if (r != CUDA_SUCCESS)
		return r;
	learn(f, attrib, val);
	g = f->function ? function_find(f->function) : NULL;
	if (g)
		learn(g, attrib, val);
	return CUDA_SUCCESS;
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
	f->handle = HANDLE_OF(made);
	f->owner = k->owner;
	f->context = context_top();
	handle_set_data(f->handle, f);
	*out = made;
	return CUDA_SUCCESS;
}

CUresult cuKernelGetFunction(CUfunction *pFunc, CUkernel kernel)
{
	struct function *k;
	CUfunction made;
	CUresult r = shim_enter_context();

	if (r == CUDA_SUCCESS)
		r = kernel_find(kernel, &k);
	if (r == CUDA_SUCCESS && !pFunc)
		r = CUDA_ERROR_INVALID_VALUE;
	if (r != CUDA_SUCCESS)
		return r;
	if (k->function && k->in_host_context == context_current()) {
		*pFunc = k->function;
		return CUDA_SUCCESS;
	}
	r = ask_function(k, &made);
	if (r != CUDA_SUCCESS)
		return r;
	k->in_host_context = context_current();
	k->function = made;
	*pFunc = made;
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
