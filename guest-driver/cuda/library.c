// SPDX-License-Identifier: GPL-2.0-or-later
/* Libraries: images in no context yet, their kernels, and their modules by context. */
#include <stdlib.h>

#include "cuda_rpc.h"
#include "handles.h"
#include "image.h"
#include "jit.h"
#include "module.h"
#include "ranges.h"

static struct code *find(CUlibrary l)
{
	return handle_data(HANDLE_OF(l), VGPU_CUDA_LIBRARY);
}

/*
 * Both options there are concern the program's own memory: tables of host
 * functions, which have no meaning elsewhere, and whether the image stays,
 * of which the host has a copy.
 */
static CUresult check_options(const CUlibraryOption *options, unsigned int n)
{
	if (n && !options)
		return CUDA_ERROR_INVALID_VALUE;
	for (unsigned int i = 0; i < n; i++)
		if ((unsigned int)options[i] >= CU_LIBRARY_NUM_OPTIONS)
			return CUDA_ERROR_INVALID_VALUE;
	return CUDA_SUCCESS;
}

static CUresult load(CUlibrary *library, const struct image *i, const struct jit *j)
{
	struct code *c = calloc(1, sizeof(*c));
	unsigned long long blob;
	CUlibrary made;
	CUresult r;

	if (!c)
		return CUDA_ERROR_OUT_OF_MEMORY;
	c->handle = handle_new(VGPU_CUDA_LIBRARY, c);
	if (!c->handle) {
		free(c);
		return CUDA_ERROR_OUT_OF_MEMORY;
	}
	made = HANDLE_AS(CUlibrary, c->handle);
	r = image_send(i, &blob);
	if (r == CUDA_SUCCESS) {
		r = rpc_vgpuLibraryLoad(&made, blob, j->n, j->option, 0, NULL, j->room[0],
					j->room[1]);
		jit_logs(j, blob);
		rpc_vgpuBlobEnd(blob);
	}
	if (r == CUDA_SUCCESS)
		*library = made;
	else
		handle_drop(HANDLE_OF(made));
	return r;
}

CUresult cuLibraryLoadData(CUlibrary *library, const void *code, CUjit_option *jitOptions,
			   void **jitOptionsValues, unsigned int numJitOptions,
			   CUlibraryOption *libraryOptions, void **libraryOptionValues,
			   unsigned int numLibraryOptions)
{
	struct image i;
	struct jit j;
	CUresult r = shim_enter();

	(void)libraryOptionValues;
	if (r == CUDA_SUCCESS && !library)
		r = CUDA_ERROR_INVALID_VALUE;
	if (r == CUDA_SUCCESS)
		r = check_options(libraryOptions, numLibraryOptions);
	if (r == CUDA_SUCCESS)
		r = image_of(code, &i);
	if (r == CUDA_SUCCESS)
		r = jit_parse(&j, numJitOptions, jitOptions, jitOptionsValues);
	return r == CUDA_SUCCESS ? load(library, &i, &j) : r;
}

CUresult cuLibraryLoadFromFile(CUlibrary *library, const char *fileName, CUjit_option *jitOptions,
			       void **jitOptionsValues, unsigned int numJitOptions,
			       CUlibraryOption *libraryOptions, void **libraryOptionValues,
			       unsigned int numLibraryOptions)
{
	struct image file;
	CUresult r = shim_enter();

	if (r == CUDA_SUCCESS)
		r = image_read_file(fileName, &file);
	if (r != CUDA_SUCCESS)
		return r;
	r = cuLibraryLoadData(library, file.data, jitOptions, jitOptionsValues, numJitOptions,
			      libraryOptions, libraryOptionValues, numLibraryOptions);
	image_free_file(&file);
	return r;
}

CUresult cuLibraryUnload(CUlibrary library)
{
	struct code *c;
	CUresult r = shim_enter();

	if (r != CUDA_SUCCESS)
		return r;
	c = find(library);
	if (!c)
		return CUDA_ERROR_INVALID_HANDLE;
	r = rpc_cuLibraryUnload(library);
	if (r != CUDA_SUCCESS)
		return r;
	code_forget(c);
	range_forget_owner(c->handle);
	handle_drop(c->handle);
	return CUDA_SUCCESS;
}

static CUresult ask_kernel(struct code *c, CUlibrary library, const char *name, CUkernel *out)
{
	struct vgpu_function_info info;
	CUkernel made = HANDLE_AS(CUkernel, handle_new(VGPU_CUDA_KERNEL, NULL));
	struct function *f;
	CUresult r;

	if (!made)
		return CUDA_ERROR_OUT_OF_MEMORY;
	r = rpc_vgpuLibraryGetKernel(&made, library, name, &info);
	r = function_take(r, HANDLE_OF(made), name, &info, &f);
	if (r != CUDA_SUCCESS)
		return r;
	*out = HANDLE_AS(CUkernel, code_publish(c, f, HANDLE_OF(made))->handle);
	return CUDA_SUCCESS;
}

CUresult cuLibraryGetKernel(CUkernel *pKernel, CUlibrary library, const char *name)
{
	struct function *known;
	struct code *c;
	CUresult r = shim_enter();

	if (r != CUDA_SUCCESS)
		return r;
	if (!pKernel || !name)
		return CUDA_ERROR_INVALID_VALUE;
	c = find(library);
	if (!c)
		return CUDA_ERROR_INVALID_HANDLE;
	known = code_lookup(c, name);
	if (!known)
		return ask_kernel(c, library, name, pKernel);
	*pKernel = HANDLE_AS(CUkernel, known->handle);
	return CUDA_SUCCESS;
}

CUresult cuLibraryGetGlobal(CUdeviceptr *dptr, size_t *bytes, CUlibrary library, const char *name)
{
	CUdeviceptr address = 0;
	size_t size = 0;
	CUresult r = shim_enter_context();

	if (r != CUDA_SUCCESS)
		return r;
	if (!name)
		return CUDA_ERROR_INVALID_VALUE;
	if (!find(library))
		return CUDA_ERROR_INVALID_HANDLE;
	r = rpc_cuLibraryGetGlobal(&address, &size, library, name);
	if (r != CUDA_SUCCESS)
		return r;
	global_add(address, size, HANDLE_OF(library));
	if (dptr)
		*dptr = address;
	if (bytes)
		*bytes = size;
	return CUDA_SUCCESS;
}

CUresult cuLibraryGetModule(CUmodule *pMod, CUlibrary library)
{
	struct code *c, *m;
	CUmodule made;
	CUresult r = shim_enter_context();

	if (r != CUDA_SUCCESS)
		return r;
	if (!pMod)
		return CUDA_ERROR_INVALID_VALUE;
	c = find(library);
	if (!c)
		return CUDA_ERROR_INVALID_HANDLE;
	m = library_module(c);
	if (m) {
		*pMod = HANDLE_AS(CUmodule, m->handle);
		return CUDA_SUCCESS;
	}
	made = HANDLE_AS(CUmodule, handle_new(VGPU_CUDA_MODULE, NULL));
	if (!made)
		return CUDA_ERROR_OUT_OF_MEMORY;
	r = module_adopt(HANDLE_OF(made), c->handle);
	if (r == CUDA_SUCCESS)
		r = rpc_vgpuLibraryGetModule(&made, library);
	if (r == CUDA_SUCCESS)
		r = module_find_code(made, &m);
	if (r != CUDA_SUCCESS) {
		handle_drop(HANDLE_OF(made));
		return r;
	}
	*pMod = HANDLE_AS(CUmodule, library_publish(c, m)->handle);
	return CUDA_SUCCESS;
}
