/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Modules: the entries of a PTX text as functions, its variables as memory.
 */
#include <stdlib.h>
#include <string.h>

#include "driver.h"
#include "image.h"
#include "ptx.h"

static void finish_function(void *object)
{
	CUfunction f = object;

	ptx_unref(f->ptx);
	g_ptr_array_unref(f->global);
}

static void finish_module(void *object)
{
	CUmodule m = object;

	g_ptr_array_free(m->function, TRUE);
	g_ptr_array_unref(m->global);
	ptx_unref(m->ptx);
}

static CUresult add_functions(CUmodule m)
{
	for (unsigned int i = 0; i < m->ptx->entry->len; i++) {
		CUfunction f = object_new(OBJECT_FUNCTION, sizeof(*f), finish_function);

		if (!f)
			return CUDA_ERROR_OUT_OF_MEMORY;
		f->module = m;
		f->ptx = ptx_ref(m->ptx);
		f->entry = m->ptx->entry->pdata[i];
		f->builtin = builtin_find(f->entry);
		f->global = g_ptr_array_ref(m->global);
		f->limit.carveout = -1;
		f->limit.dynamic_shared = MAX(0, (int)CPU_SHARED_MAX - (int)f->entry->shared);
		g_ptr_array_add(m->function, f);
	}
	return CUDA_SUCCESS;
}

static CUresult add_variables(CUmodule m)
{
	for (unsigned int i = 0; i < m->ptx->variable->len; i++) {
		const struct ptx_variable *v = m->ptx->variable->pdata[i];
		struct range *r;
		CUresult err = range_new(RANGE_GLOBAL, v->size, m->ctx, &r);

		if (err)
			return err;
		if (v->init->len)
			memcpy((void *)r->base, v->init->data, v->init->len);
		g_ptr_array_add(m->global, (void *)r->base);
	}
	return CUDA_SUCCESS;
}

static CUresult read_image(const void *image, struct ptx_module **out)
{
	size_t length = 0;
	char *text = NULL;

	switch (image_ptx(image, &text, &length)) {
	case IMAGE_PTX:
		*out = ptx_parse(text, length, NULL);
		g_free(text);
		return *out ? CUDA_SUCCESS : CUDA_ERROR_INVALID_PTX;
	case IMAGE_NO_PTX:
		return CUDA_ERROR_NO_BINARY_FOR_GPU;
	case IMAGE_INVALID:
		break;
	}
	return CUDA_ERROR_INVALID_IMAGE;
}

CUresult module_load(const void *image, CUcontext ctx, CUmodule *out)
{
	struct ptx_module *ptx;
	CUresult err = read_image(image, &ptx);
	CUmodule m;

	if (err)
		return err;
	m = object_new(OBJECT_MODULE, sizeof(*m), finish_module);
	if (!m) {
		ptx_unref(ptx);
		return CUDA_ERROR_OUT_OF_MEMORY;
	}
	m->ctx = ctx;
	m->ptx = ptx;
	m->function = g_ptr_array_new();
	m->global = g_ptr_array_new();
	err = add_variables(m);
	if (!err)
		err = add_functions(m);
	if (err)
		module_unload(m);
	else
		*out = m;
	return err;
}

void module_unload(CUmodule m)
{
	for (unsigned int i = 0; i < m->global->len; i++) {
		struct range *r = range_find((uintptr_t)m->global->pdata[i]);

		if (r && r->kind == RANGE_GLOBAL)
			range_remove(r);
	}
	for (unsigned int i = 0; i < m->function->len; i++)
		object_retire(m->function->pdata[i]);
	object_retire(m);
}

CUfunction module_function(CUmodule m, const char *name)
{
	for (unsigned int i = 0; i < m->function->len; i++) {
		CUfunction f = m->function->pdata[i];

		if (!strcmp(f->entry->name, name))
			return f;
	}
	return NULL;
}

CUresult module_global(CUmodule m, const char *name, CUdeviceptr *dptr, size_t *bytes)
{
	for (unsigned int i = 0; i < m->global->len; i++) {
		const struct ptx_variable *v = m->ptx->variable->pdata[i];

		if (strcmp(v->name, name) != 0)
			continue;
		if (dptr)
			*dptr = (CUdeviceptr)m->global->pdata[i];
		if (bytes)
			*bytes = v->size;
		return CUDA_SUCCESS;
	}
	return CUDA_ERROR_NOT_FOUND;
}

static CUresult load(CUmodule *out, const void *image)
{
	ENTER_CONTEXT(ctx);
	if (!out || !image)
		return CUDA_ERROR_INVALID_VALUE;
	return module_load(image, ctx, out);
}

static CUresult CUDAAPI cpu_cuModuleLoadData(CUmodule *out, const void *image)
{
	return load(out, image);
}

/* Options ask for logs and optimisation: there is nothing to say and to optimise. */
static CUresult CUDAAPI cpu_cuModuleLoadDataEx(CUmodule *out, const void *image, unsigned int n,
					       CUjit_option *option, void **value)
{
	for (unsigned int i = 0; option && value && i < n; i++)
		if (option[i] == CU_JIT_INFO_LOG_BUFFER_SIZE_BYTES ||
		    option[i] == CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES)
			value[i] = NULL;
	return load(out, image);
}

static CUresult CUDAAPI cpu_cuModuleLoadFatBinary(CUmodule *out, const void *image)
{
	return load(out, image);
}

static CUresult CUDAAPI cpu_cuModuleUnload(CUmodule handle)
{
	CUmodule m;

	ENTER_CONTEXT(ctx);
	m = object_find(handle, OBJECT_MODULE);
	if (!m || !m->ctx)
		return CUDA_ERROR_INVALID_HANDLE;
	enter_error = context_wait(NULL);
	if (enter_error)
		return enter_error;
	if (object_find(handle, OBJECT_MODULE) != m)
		return CUDA_ERROR_INVALID_HANDLE;
	module_unload(m);
	return CUDA_SUCCESS;
}

static CUresult CUDAAPI cpu_cuModuleGetLoadingMode(CUmoduleLoadingMode *mode)
{
	ENTER();
	if (!mode)
		return CUDA_ERROR_INVALID_VALUE;
	*mode = CU_MODULE_EAGER_LOADING;
	return CUDA_SUCCESS;
}

static CUresult CUDAAPI cpu_cuModuleGetFunction(CUfunction *out, CUmodule handle, const char *name)
{
	CUmodule m;

	ENTER_CONTEXT(ctx);
	if (!out || !name)
		return CUDA_ERROR_INVALID_VALUE;
	m = object_find(handle, OBJECT_MODULE);
	if (!m)
		return CUDA_ERROR_INVALID_HANDLE;
	*out = module_function(m, name);
	return *out ? CUDA_SUCCESS : CUDA_ERROR_NOT_FOUND;
}

static CUresult CUDAAPI cpu_cuModuleGetFunctionCount(unsigned int *n, CUmodule handle)
{
	CUmodule m;

	ENTER_CONTEXT(ctx);
	m = object_find(handle, OBJECT_MODULE);
	if (!n || !m)
		return n ? CUDA_ERROR_INVALID_HANDLE : CUDA_ERROR_INVALID_VALUE;
	*n = m->function->len;
	return CUDA_SUCCESS;
}

static CUresult CUDAAPI cpu_cuModuleEnumerateFunctions(CUfunction *out, unsigned int n,
						       CUmodule handle)
{
	CUmodule m;

	ENTER_CONTEXT(ctx);
	m = object_find(handle, OBJECT_MODULE);
	if (!out || !m)
		return out ? CUDA_ERROR_INVALID_HANDLE : CUDA_ERROR_INVALID_VALUE;
	for (unsigned int i = 0; i < n && i < m->function->len; i++)
		out[i] = m->function->pdata[i];
	return CUDA_SUCCESS;
}

static CUresult CUDAAPI cpu_cuModuleGetGlobal_v2(CUdeviceptr *dptr, size_t *bytes, CUmodule handle,
						 const char *name)
{
	CUmodule m;

	ENTER_CONTEXT(ctx);
	if (!name)
		return CUDA_ERROR_INVALID_VALUE;
	m = object_find(handle, OBJECT_MODULE);
	return m ? module_global(m, name, dptr, bytes) : CUDA_ERROR_INVALID_HANDLE;
}

CPU_SYMBOLS(cpu_module_symbols, CPU_FN(cuModuleLoadData), CPU_FN(cuModuleLoadDataEx),
	    CPU_FN(cuModuleLoadFatBinary), CPU_FN(cuModuleUnload), CPU_FN(cuModuleGetLoadingMode),
	    CPU_FN(cuModuleGetFunction), CPU_FN(cuModuleGetFunctionCount),
	    CPU_FN(cuModuleEnumerateFunctions), CPU_FN(cuModuleGetGlobal_v2));
