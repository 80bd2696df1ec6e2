/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Functions and kernels: found by name, with all that the guest needs to know of them. */
#include <stdlib.h>
#include <string.h>

#include "cuda_dispatch.h"
#include "modules.h"
#include "session.h"

void modules_layout_free(void *layout)
{
	free(layout);
}

/* Parameter `i` of whichever of the two is given. */
static CUresult param_info(struct cuda_session *s, CUfunction f, CUkernel k, size_t i,
			   size_t *offset, size_t *size)
{
	if (f)
		return s->drv->cuFuncGetParamInfo ? s->drv->cuFuncGetParamInfo(f, i, offset, size)
						  : CUDA_ERROR_NOT_SUPPORTED;
	return s->drv->cuKernelGetParamInfo ? s->drv->cuKernelGetParamInfo(k, i, offset, size)
					    : CUDA_ERROR_NOT_SUPPORTED;
}

/* Room for one more parameter. */
static struct layout *grow(struct layout *l, uint32_t *room)
{
	struct layout *p;

	if (l && l->n < *room)
		return l;
	*room = l ? *room * 2 : 16;
	p = realloc(l, sizeof(*l) + *room * sizeof(l->param[0]));
	if (p && !l)
		memset(p, 0, sizeof(*p));
	if (!p)
		free(l);
	return p;
}

/*
 * Behind the last parameter the driver says INVALID_VALUE; any other error is
 * one.  Nothing may be missing: the driver reads as many as the kernel has.
 */
static CUresult make_layout(struct cuda_session *s, CUfunction f, CUkernel k, struct layout **out)
{
	struct layout *l = NULL;
	uint32_t room = 0;
	size_t offset, size;
	CUresult r;

	for (;;) {
		l = grow(l, &room);
		if (!l)
			return CUDA_ERROR_OUT_OF_MEMORY;
		r = param_info(s, f, k, l->n, &offset, &size);
		if (r != CUDA_SUCCESS || l->n == LAYOUT_PARAMS_MAX)
			break;
		l->param[l->n].offset = (uint32_t)offset;
		l->param[l->n++].size = (uint32_t)size;
		if (offset + size > l->bytes)
			l->bytes = (uint32_t)(offset + size);
	}
	if (r == CUDA_ERROR_INVALID_VALUE) {
		*out = l;
		return CUDA_SUCCESS;
	}
	free(l);
	return r == CUDA_SUCCESS ? CUDA_ERROR_NOT_SUPPORTED : r;
}

bool modules_layout_fits(struct cuda_session *s, const struct layout *l, CUfunction f, CUkernel k)
{
	size_t offset, size;

	for (uint32_t i = 0; i < l->n; i++) {
		if (param_info(s, f, k, i, &offset, &size) != CUDA_SUCCESS ||
		    offset != l->param[i].offset || size != l->param[i].size)
			return false;
	}
	return param_info(s, f, k, l->n, &offset, &size) == CUDA_ERROR_INVALID_VALUE;
}

/* Launching needs an array of as many addresses. */
static bool reserve_pointers(struct cuda_session *s, uint32_t n)
{
	void *p;

	if (n <= s->nparams)
		return true;
	p = realloc(s->params, n * sizeof(s->params[0]));
	if (!p)
		return false;
	s->params = p;
	s->nparams = n;
	return true;
}

static void put_layout(const struct layout *l, struct vgpu_function_info *info)
{
	info->params = l->n;
	info->param_bytes = l->bytes;
	for (uint32_t i = 0; i < l->n && i < VGPU_CUDA_PARAMS_INFO; i++)
		info->param[i] = (struct vgpu_param){.offset = (uint16_t)l->param[i].offset,
						     .size = (uint16_t)l->param[i].size};
}

static void put_attributes(struct cuda_session *s, CUfunction f, CUkernel k,
			   struct vgpu_function_info *info)
{
	for (unsigned int i = 0; i < CU_FUNC_ATTRIBUTE_MAX && i < VGPU_CUDA_FUNCTION_ATTRIBUTES;
	     i++) {
		CUresult r = CUDA_ERROR_NOT_SUPPORTED;
		int value = 0;

		if (f && s->drv->cuFuncGetAttribute)
			r = s->drv->cuFuncGetAttribute(&value, (CUfunction_attribute)i, f);
		else if (k && s->drv->cuKernelGetAttribute)
			r = s->drv->cuKernelGetAttribute(&value, (CUfunction_attribute)i, k,
							 s->device);
		info->attribute[i] = (uint32_t)(r == CUDA_SUCCESS ? value : VGPU_CUDA_UNKNOWN);
		info->attributes = i + 1;
	}
}

/*
 * For the handle that the dispatch makes next.  The driver tells nothing of a
 * kernel while no context is current, and programs look kernels up before they
 * have one.
 */
static CUresult describe(struct cuda_session *s, CUfunction f, CUkernel k, uint64_t parent,
			 struct vgpu_function_info *info)
{
	bool borrowed = k && !s->context && session_borrow(s);
	struct layout *l;
	int32_t local;
	CUresult r;

	put_attributes(s, f, k, info);
	r = make_layout(s, f, k, &l);
	if (borrowed)
		session_forget_context(s);
	if (r != CUDA_SUCCESS)
		return r;
	if (!reserve_pointers(s, l->n)) {
		free(l);
		return CUDA_ERROR_OUT_OF_MEMORY;
	}
	put_layout(l, info);
	local = (int32_t)info->attribute[CU_FUNC_ATTRIBUTE_LOCAL_SIZE_BYTES];
	l->local = local > 0 ? (uint32_t)local : 0; /* negative: not known */
	s->new_parent = parent;
	s->new_data = l;
	return CUDA_SUCCESS;
}

CUresult host_vgpuModuleGetFunction(struct cuda_session *s, CUfunction *f, CUmodule module,
				    const char *name, struct vgpu_function_info *info)
{
	CUresult r = s->drv->cuModuleGetFunction ? s->drv->cuModuleGetFunction(f, module, name)
						 : CUDA_ERROR_NOT_SUPPORTED;

	if (r != CUDA_SUCCESS)
		return r;
	return describe(s, *f, NULL, REQUEST(s, vgpuModuleGetFunction)->module, info);
}

CUresult host_vgpuLibraryGetKernel(struct cuda_session *s, CUkernel *k, CUlibrary library,
				   const char *name, struct vgpu_function_info *info)
{
	CUresult r = s->drv->cuLibraryGetKernel ? s->drv->cuLibraryGetKernel(k, library, name)
						: CUDA_ERROR_NOT_SUPPORTED;

	if (r != CUDA_SUCCESS)
		return r;
	return describe(s, NULL, *k, REQUEST(s, vgpuLibraryGetKernel)->library, info);
}

CUresult host_vgpuKernelGetFunction(struct cuda_session *s, CUfunction *f, CUkernel kernel,
				    struct vgpu_function_info *info)
{
	CUresult r = s->drv->cuKernelGetFunction ? s->drv->cuKernelGetFunction(f, kernel)
						 : CUDA_ERROR_NOT_SUPPORTED;

	if (r != CUDA_SUCCESS)
		return r;
	s->new_second = s->context;
	return describe(s, *f, NULL, REQUEST(s, vgpuKernelGetFunction)->kernel, info);
}

CUresult host_vgpuLibraryGetModule(struct cuda_session *s, CUmodule *module, CUlibrary library)
{
	s->new_parent = REQUEST(s, vgpuLibraryGetModule)->library;
	s->new_second = s->context;
	return s->drv->cuLibraryGetModule ? s->drv->cuLibraryGetModule(module, library)
					  : CUDA_ERROR_NOT_SUPPORTED;
}

CUresult host_vgpuParamInfo(struct cuda_session *s, unsigned long long function, unsigned int first,
			    unsigned int count, struct vgpu_param *param)
{
	const struct cuda_object *o =
		handles_object(&s->handles, function, vgpu_cuda_handle_type(function));
	const struct layout *l;

	if (!o || (vgpu_cuda_handle_type(function) != VGPU_CUDA_FUNCTION &&
		   vgpu_cuda_handle_type(function) != VGPU_CUDA_KERNEL))
		return CUDA_ERROR_INVALID_HANDLE;
	l = o->data;
	if (!l || first > l->n || count > l->n - first)
		return CUDA_ERROR_INVALID_VALUE;
	for (unsigned int i = 0; i < count; i++)
		param[i] = (struct vgpu_param){.offset = (uint16_t)l->param[first + i].offset,
					       .size = (uint16_t)l->param[first + i].size};
	return CUDA_SUCCESS;
}

/* ------------------------------------------------------------------ names */

/* Appends a name while there is room. */
static bool add_name(const char *name, char *names, unsigned int bytes, unsigned int *used)
{
	size_t length = strlen(name) + 1;

	if (length > bytes - *used)
		return false;
	memcpy(names + *used, name, length);
	*used += (unsigned int)length;
	return true;
}

CUresult host_vgpuModuleNames(struct cuda_session *s, CUmodule module, unsigned int first,
			      unsigned int bytes, char *names, unsigned int *count,
			      unsigned int *total)
{
	const struct cuda_driver *drv = s->drv;
	unsigned int used = 0;
	CUfunction *f;
	CUresult r;

	if (!drv->cuModuleGetFunctionCount || !drv->cuModuleEnumerateFunctions ||
	    !drv->cuFuncGetName)
		return CUDA_ERROR_NOT_SUPPORTED;
	r = drv->cuModuleGetFunctionCount(total, module);
	if (r != CUDA_SUCCESS)
		return r;
	f = calloc(*total + 1, sizeof(f[0]));
	if (!f)
		return CUDA_ERROR_OUT_OF_MEMORY;
	r = drv->cuModuleEnumerateFunctions(f, *total, module);
	for (unsigned int i = first; i < *total && r == CUDA_SUCCESS; i++) {
		const char *name = NULL;

		r = drv->cuFuncGetName(&name, f[i]);
		if (r == CUDA_SUCCESS && !add_name(name, names, bytes, &used))
			break;
		*count += r == CUDA_SUCCESS;
	}
	free(f);
	return r;
}

CUresult host_vgpuLibraryNames(struct cuda_session *s, CUlibrary library, unsigned int first,
			       unsigned int bytes, char *names, unsigned int *count,
			       unsigned int *total)
{
	const struct cuda_driver *drv = s->drv;
	unsigned int used = 0;
	CUkernel *k;
	CUresult r;

	if (!drv->cuLibraryGetKernelCount || !drv->cuLibraryEnumerateKernels ||
	    !drv->cuKernelGetName)
		return CUDA_ERROR_NOT_SUPPORTED;
	r = drv->cuLibraryGetKernelCount(total, library);
	if (r != CUDA_SUCCESS)
		return r;
	k = calloc(*total + 1, sizeof(k[0]));
	if (!k)
		return CUDA_ERROR_OUT_OF_MEMORY;
	r = drv->cuLibraryEnumerateKernels(k, *total, library);
	for (unsigned int i = first; i < *total && r == CUDA_SUCCESS; i++) {
		const char *name = NULL;

		r = drv->cuKernelGetName(&name, k[i]);
		if (r == CUDA_SUCCESS && !add_name(name, names, bytes, &used))
			break;
		*count += r == CUDA_SUCCESS;
	}
	free(k);
	return r;
}
