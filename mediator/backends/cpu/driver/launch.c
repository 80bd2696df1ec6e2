/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Launching functions.
 */
#include <string.h>

#include "driver.h"
#include "ptx.h"

CUfunction function_find(CUfunction handle)
{
	CUkernel k = object_find(handle, OBJECT_KERNEL);

	return k ? k->fn : object_find(handle, OBJECT_FUNCTION);
}

static CUresult check(const CUfunction f, const struct launch *l)
{
	static const unsigned int grid[] = {2147483647, 65535, 65535};
	static const unsigned int block[] = {1024, 1024, 64};
	uint64_t threads = 1;

	for (int i = 0; i < 3; i++) {
		if (!l->grid[i] || l->grid[i] > grid[i] || !l->block[i] || l->block[i] > block[i])
			return CUDA_ERROR_INVALID_VALUE;
		threads *= l->block[i];
	}
	if (threads > CPU_THREADS_MAX || (f->entry->max_threads && threads > f->entry->max_threads))
		return CUDA_ERROR_INVALID_VALUE;
	if (l->shared > CPU_SHARED_OPTIN || (int)l->shared > f->limit.dynamic_shared)
		return CUDA_ERROR_INVALID_VALUE;
	return CUDA_SUCCESS;
}

/* { CU_LAUNCH_PARAM_BUFFER_POINTER, p, CU_LAUNCH_PARAM_BUFFER_SIZE, &size, END } in any order. */
static CUresult take_extra(uint8_t *to, size_t size, void **extra)
{
	const void *from = NULL;
	size_t given = 0;

	for (; *extra != CU_LAUNCH_PARAM_END; extra += 2) {
		if (*extra == CU_LAUNCH_PARAM_BUFFER_POINTER)
			from = extra[1];
		else if (*extra == CU_LAUNCH_PARAM_BUFFER_SIZE && extra[1])
			given = *(size_t *)extra[1];
		else
			return CUDA_ERROR_INVALID_VALUE;
	}
	if (given < size || (size && !from))
		return CUDA_ERROR_INVALID_VALUE;
	if (size)
		memcpy(to, from, size);
	return CUDA_SUCCESS;
}

static CUresult take_params(uint8_t *to, const struct ptx_entry *e, void **params)
{
	if (e->param->len && !params)
		return CUDA_ERROR_INVALID_VALUE;
	for (unsigned int i = 0; i < e->param->len; i++) {
		const struct ptx_param *p = &g_array_index(e->param, struct ptx_param, i);

		if (!params[i])
			return CUDA_ERROR_INVALID_VALUE;
		memcpy(to + p->offset, params[i], p->size);
	}
	return CUDA_SUCCESS;
}

CUresult launch_make(CUfunction handle, const struct launch *l, void **params, void **extra,
		     struct work **out)
{
	CUfunction f = function_find(handle);
	struct work *w;
	CUresult err;

	if (!f)
		return CUDA_ERROR_INVALID_HANDLE;
	if (params && extra)
		return CUDA_ERROR_INVALID_VALUE;
	err = check(f, l);
	if (err)
		return err;
	if (!f->builtin)
		return CUDA_ERROR_NOT_SUPPORTED;
	w = work_new(WORK_KERNEL);
	w->kernel.fn = object_ref(f);
	w->kernel.launch = *l;
	w->kernel.size = f->entry->param_bytes;
	w->kernel.param = g_malloc0(f->entry->param_bytes + 1);
	err = extra ? take_extra(w->kernel.param, w->kernel.size, extra)
		    : take_params(w->kernel.param, f->entry, params);
	if (err)
		work_free(w);
	else
		*out = w;
	return err;
}

static CUresult launch(CUfunction f, const struct launch *l, CUstream stream, void **params,
		       void **extra)
{
	struct work *w;
	CUstream s;

	ENTER_CONTEXT(ctx);
	enter_error = stream_find(ctx, stream, &s);
	if (!enter_error)
		enter_error = launch_make(f, l, params, extra, &w);
	return enter_error ? enter_error : stream_submit_or_capture(s, w);
}

static CUresult CUDAAPI cpu_cuLaunchKernel(CUfunction f, unsigned int gx, unsigned int gy,
					   unsigned int gz, unsigned int bx, unsigned int by,
					   unsigned int bz, unsigned int shared, CUstream s,
					   void **params, void **extra)
{
	const struct launch l = {.grid = {gx, gy, gz}, .block = {bx, by, bz}, .shared = shared};

	return launch(f, &l, s, params, extra);
}

static CUresult CUDAAPI cpu_cuLaunchCooperativeKernel(CUfunction f, unsigned int gx,
						      unsigned int gy, unsigned int gz,
						      unsigned int bx, unsigned int by,
						      unsigned int bz, unsigned int shared,
						      CUstream s, void **params)
{
	const struct launch l = {
		.grid = {gx, gy, gz}, .block = {bx, by, bz}, .shared = shared, .cooperative = true};

	return launch(f, &l, s, params, NULL);
}

/* Those that change nothing for a kernel that is done by the CPU are taken. */
CUresult launch_attribute(const CUlaunchAttribute *a, struct launch *l)
{
	switch (a->id) {
	case CU_LAUNCH_ATTRIBUTE_COOPERATIVE:
		l->cooperative = a->value.cooperative != 0;
		return CUDA_SUCCESS;
	case CU_LAUNCH_ATTRIBUTE_IGNORE:
	case CU_LAUNCH_ATTRIBUTE_ACCESS_POLICY_WINDOW:
	case CU_LAUNCH_ATTRIBUTE_SYNCHRONIZATION_POLICY:
	case CU_LAUNCH_ATTRIBUTE_PRIORITY:
	case CU_LAUNCH_ATTRIBUTE_MEM_SYNC_DOMAIN_MAP:
	case CU_LAUNCH_ATTRIBUTE_MEM_SYNC_DOMAIN:
	case CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION:
		return CUDA_SUCCESS;
	default:
		return CUDA_ERROR_NOT_SUPPORTED;
	}
}

static CUresult CUDAAPI cpu_cuLaunchKernelEx(const CUlaunchConfig *c, CUfunction f, void **params,
					     void **extra)
{
	struct launch l;

	if (!c || (c->numAttrs && !c->attrs))
		return CUDA_ERROR_INVALID_VALUE;
	l = (struct launch){.grid = {c->gridDimX, c->gridDimY, c->gridDimZ},
			    .block = {c->blockDimX, c->blockDimY, c->blockDimZ},
			    .shared = c->sharedMemBytes};
	for (unsigned int i = 0; i < c->numAttrs; i++) {
		CUresult err = launch_attribute(&c->attrs[i], &l);

		if (err)
			return err;
	}
	return launch(f, &l, c->hStream, params, extra);
}

CPU_SYMBOLS(cpu_launch_symbols, CPU_FN(cuLaunchKernel), CPU_FN(cuLaunchCooperativeKernel),
	    CPU_FN(cuLaunchKernelEx));
