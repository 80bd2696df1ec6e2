// SPDX-License-Identifier: GPL-2.0-or-later
/* Modules: loading images into the current context, functions and variables. */
#include <stdlib.h>
#include <string.h>

#include "cuda_rpc.h"
#include "function.h"
#include "handles.h"
#include "image.h"
#include "jit.h"
#include "module.h"
#include "ranges.h"

static struct code *find(CUmodule m)
{
	return handle_data(HANDLE_OF(m), VGPU_CUDA_MODULE);
}

CUresult module_find_code(CUmodule m, struct code **out)
{
	*out = find(m);
	return *out ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
}

CUresult module_adopt(uint64_t handle, uint64_t library)
{
	struct code *c = calloc(1, sizeof(*c));

	if (!c)
		return CUDA_ERROR_OUT_OF_MEMORY;
	c->handle = handle;
	c->context = context_top();
	c->library = library;
	handle_set_data(handle, c);
	return CUDA_SUCCESS;
}

static CUresult load(CUmodule *module, const struct image *i, const struct jit *j)
{
	CUmodule made = HANDLE_AS(CUmodule, handle_new(VGPU_CUDA_MODULE, NULL));
	unsigned long long blob;
	CUresult r;

	if (!made)
		return CUDA_ERROR_OUT_OF_MEMORY;
	r = module_adopt(HANDLE_OF(made), 0);
	if (r == CUDA_SUCCESS)
		r = image_send(i, &blob);
	if (r == CUDA_SUCCESS) {
		r = rpc_vgpuModuleLoad(&made, blob, j->n, j->option, j->room[0], j->room[1]);
		jit_logs(j, blob);
		rpc_vgpuBlobEnd(blob);
	}
	if (r == CUDA_SUCCESS)
		*module = made;
	else
		handle_drop(HANDLE_OF(made));
	return r;
}

CUresult cuModuleLoadDataEx(CUmodule *module, const void *image, unsigned int numOptions,
			    CUjit_option *options, void **optionValues)
{
	struct image i;
	struct jit j;
	CUresult r = shim_enter_context();

	if (r == CUDA_SUCCESS && !module)
		r = CUDA_ERROR_INVALID_VALUE;
	if (r == CUDA_SUCCESS)
		r = image_of(image, &i);
	if (r == CUDA_SUCCESS)
		r = jit_parse(&j, numOptions, options, optionValues);
	return r == CUDA_SUCCESS ? load(module, &i, &j) : r;
}

CUresult cuModuleLoadData(CUmodule *module, const void *image)
{
	return cuModuleLoadDataEx(module, image, 0, NULL, NULL);
}

CUresult cuModuleLoadFatBinary(CUmodule *module, const void *fatCubin)
{
	return cuModuleLoadDataEx(module, fatCubin, 0, NULL, NULL);
}

CUresult cuModuleLoad(CUmodule *module, const char *fname)
{
	struct image file;
	CUresult r = shim_enter_context();

	if (r == CUDA_SUCCESS)
		r = image_read_file(fname, &file);
	if (r != CUDA_SUCCESS)
		return r;
	r = cuModuleLoadData(module, file.data);
	image_free_file(&file);
	return r;
}

CUresult cuModuleUnload(CUmodule hmod)
{
	struct code *c;
	CUresult r = shim_enter_context();

	if (r == CUDA_SUCCESS)
		r = module_find_code(hmod, &c);
	if (r == CUDA_SUCCESS && c->library)
		r = CUDA_ERROR_NOT_PERMITTED;
	if (r == CUDA_SUCCESS)
		r = rpc_cuModuleUnload(hmod);
	if (r != CUDA_SUCCESS)
		return r;
	code_forget(c);
	range_forget_owner(HANDLE_OF(hmod));
	handle_drop(HANDLE_OF(hmod));
	return CUDA_SUCCESS;
}

/* Code is loaded when it is first used, as CUDA does by default. */
CUresult cuModuleGetLoadingMode(CUmoduleLoadingMode *mode)
{
	const char *wish = getenv("CUDA_MODULE_LOADING");

	if (!shim_initialised())
		return CUDA_ERROR_NOT_INITIALIZED;
	if (!mode)
		return CUDA_ERROR_INVALID_VALUE;
	*mode = wish && !strcmp(wish, "EAGER") ? CU_MODULE_EAGER_LOADING : CU_MODULE_LAZY_LOADING;
	return CUDA_SUCCESS;
}

/* --------------------------------------------------- functions, variables */

static CUresult complete(struct function *f, uint64_t handle)
{
	for (uint32_t at = VGPU_CUDA_PARAMS_INFO; at < f->nparams; at += VGPU_CUDA_PARAMS_INFO) {
		uint32_t n = f->nparams - at;
		CUresult r;

		if (n > VGPU_CUDA_PARAMS_INFO)
			n = VGPU_CUDA_PARAMS_INFO;
		r = rpc_vgpuParamInfo(handle, at, n, f->param + at);
		if (r != CUDA_SUCCESS)
			return r;
	}
	return CUDA_SUCCESS;
}

CUresult function_take(CUresult r, uint64_t handle, const char *name,
		       const struct vgpu_function_info *info, struct function **out)
{
	struct function *f;

	if (r != CUDA_SUCCESS) {
		handle_drop(handle);
		return r;
	}
	f = function_new(name, info);
	r = f ? complete(f, handle) : CUDA_ERROR_OUT_OF_MEMORY;
	if (r == CUDA_SUCCESS) {
		*out = f;
		return CUDA_SUCCESS;
	}
	free(f);
	handle_drop(handle); /* the host's object goes with its module or library */
	return r;
}

static CUresult ask_function(struct code *c, CUmodule hmod, const char *name, CUfunction *out)
{
	struct vgpu_function_info info;
	CUfunction made = HANDLE_AS(CUfunction, handle_new(VGPU_CUDA_FUNCTION, NULL));
	struct function *f;
	CUresult r;

	if (!made)
		return CUDA_ERROR_OUT_OF_MEMORY;
	r = rpc_vgpuModuleGetFunction(&made, hmod, name, &info);
	r = function_take(r, HANDLE_OF(made), name, &info, &f);
	if (r != CUDA_SUCCESS)
		return r;
	*out = HANDLE_AS(CUfunction, code_publish(c, f, HANDLE_OF(made))->handle);
	return CUDA_SUCCESS;
}

/* In a library's module: the function of the kernel, so that its attributes are known once only. */
static CUresult of_kernel(const struct code *c, const char *name, CUfunction *out)
{
	CUkernel k;
	CUresult r = cuLibraryGetKernel(&k, HANDLE_AS(CUlibrary, c->library), name);

	return r == CUDA_SUCCESS ? cuKernelGetFunction(out, k) : r;
}

CUresult cuModuleGetFunction(CUfunction *hfunc, CUmodule hmod, const char *name)
{
	struct function *known;
	struct code *c;
	CUresult r = shim_enter_context();

	if (r != CUDA_SUCCESS)
		return r;
	if (!hfunc || !name)
		return CUDA_ERROR_INVALID_VALUE;
	r = module_find_code(hmod, &c);
	if (r != CUDA_SUCCESS)
		return r;
	if (c->library && c->in_host_context == context_current())
		return of_kernel(c, name, hfunc);
	known = code_lookup(c, name);
	if (!known)
		return ask_function(c, hmod, name, hfunc);
	*hfunc = HANDLE_AS(CUfunction, known->handle);
	return CUDA_SUCCESS;
}

/* A variable is memory of the device like any other, found by its address from now on. */
void global_add(CUdeviceptr address, size_t bytes, uint64_t owner)
{
	struct range known;

	if (!bytes || (range_find(address, &known) && known.base == address))
		return;
	range_evict(address, bytes);
	range_add(&(struct range){.base = address,
				  .size = bytes,
				  .kind = RANGE_GLOBAL,
				  .context = context_top(),
				  .owner = owner});
}

CUresult cuModuleGetGlobal_v2(CUdeviceptr *dptr, size_t *bytes, CUmodule hmod, const char *name)
{
	CUdeviceptr address = 0;
	size_t size = 0;
	struct code *c;
	CUresult r = shim_enter_context();

	if (r == CUDA_SUCCESS && !name)
		r = CUDA_ERROR_INVALID_VALUE;
	if (r == CUDA_SUCCESS)
		r = module_find_code(hmod, &c);
	if (r == CUDA_SUCCESS)
		r = rpc_cuModuleGetGlobal_v2(&address, &size, hmod, name);
	if (r != CUDA_SUCCESS)
		return r;
	global_add(address, size, HANDLE_OF(hmod));
	if (dptr)
		*dptr = address;
	if (bytes)
		*bytes = size;
	return CUDA_SUCCESS;
}
