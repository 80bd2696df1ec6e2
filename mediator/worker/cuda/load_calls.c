/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Modules and libraries: from a blob to the driver and out of it again. */
#include <stdlib.h>

#include "blobs.h"
#include "cuda_dispatch.h"
#include "session.h"

#define OPTIONS_MAX 64u

/* What the driver is given: options whose values are numbers, and our own log buffers. */
struct options {
	unsigned int n;
	CUjit_option option[OPTIONS_MAX];
	void *value[OPTIONS_MAX];
};

/* Those whose value is a number; all others are addresses, or not known. */
static bool is_number(uint32_t option)
{
	switch (option) {
	case CU_JIT_MAX_REGISTERS:
	case CU_JIT_THREADS_PER_BLOCK:
	case CU_JIT_WALL_TIME:
	case CU_JIT_OPTIMIZATION_LEVEL:
	case CU_JIT_TARGET_FROM_CUCONTEXT:
	case CU_JIT_TARGET:
	case CU_JIT_FALLBACK_STRATEGY:
	case CU_JIT_GENERATE_DEBUG_INFO:
	case CU_JIT_LOG_VERBOSE:
	case CU_JIT_GENERATE_LINE_INFO:
	case CU_JIT_CACHE_MODE:
	case CU_JIT_POSITION_INDEPENDENT_CODE:
	case CU_JIT_MIN_CTA_PER_SM:
	case CU_JIT_MAX_THREADS_PER_BLOCK:
	case CU_JIT_OVERRIDE_DIRECTIVE_VALUES:
		return true;
	default:
		return false;
	}
}

static void add(struct options *o, CUjit_option option, uint64_t value)
{
	o->option[o->n] = option;
	o->value[o->n++] = (void *)(uintptr_t)value;
}

static bool take_options(struct options *o, const struct vgpu_jit_option *in, unsigned int n)
{
	if (n > OPTIONS_MAX - 4)
		return false;
	for (unsigned int i = 0; i < n; i++) {
		if (in[i].reserved || !is_number(in[i].option))
			return false;
		add(o, (CUjit_option)in[i].option, in[i].value);
	}
	return true;
}

static bool add_log(struct options *o, struct blob *b, unsigned int i, uint32_t bytes)
{
	static const CUjit_option buffer[] = {CU_JIT_INFO_LOG_BUFFER, CU_JIT_ERROR_LOG_BUFFER};
	static const CUjit_option size[] = {CU_JIT_INFO_LOG_BUFFER_SIZE_BYTES,
					    CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES};

	if (!bytes)
		return true;
	if (bytes > BLOB_LOG_MAX)
		bytes = BLOB_LOG_MAX;
	free(b->log[i]);
	b->log[i] = calloc(1, bytes + 1);
	b->log_bytes[i] = bytes;
	if (!b->log[i])
		return false;
	add(o, buffer[i], (uintptr_t)b->log[i]);
	add(o, size[i], bytes);
	return true;
}

static CUresult prepare(struct cuda_session *s, uint64_t number, struct options *o,
			const struct vgpu_jit_option *in, unsigned int n, uint32_t info,
			uint32_t error, struct blob **out)
{
	struct blob *b = blobs_find(s, number);

	if (!b || !take_options(o, in, n))
		return CUDA_ERROR_INVALID_VALUE;
	if (!image_is_sane(b))
		return CUDA_ERROR_INVALID_IMAGE;
	if (!add_log(o, b, 0, info) || !add_log(o, b, 1, error))
		return CUDA_ERROR_OUT_OF_MEMORY;
	*out = b;
	return CUDA_SUCCESS;
}

CUresult host_vgpuModuleLoad(struct cuda_session *s, CUmodule *module, unsigned long long number,
			     unsigned int options, const struct vgpu_jit_option *option,
			     unsigned int info_bytes, unsigned int error_bytes)
{
	struct options o = {0};
	struct blob *b;
	CUresult r;

	if (!s->drv->cuModuleLoadDataEx)
		return CUDA_ERROR_NOT_SUPPORTED;
	r = prepare(s, number, &o, option, options, info_bytes, error_bytes, &b);
	if (r != CUDA_SUCCESS)
		return r;
	r = s->drv->cuModuleLoadDataEx(module, b->data, o.n, o.option, o.value);
	blobs_spend(s, b);
	return r;
}

CUresult host_vgpuLibraryLoad(struct cuda_session *s, CUlibrary *library, unsigned long long number,
			      unsigned int options, const struct vgpu_jit_option *option,
			      unsigned int library_options,
			      const struct vgpu_jit_option *library_option, unsigned int info_bytes,
			      unsigned int error_bytes)
{
	struct options o = {0};
	struct blob *b;
	CUresult r = session_open(s);

	if (r != CUDA_SUCCESS)
		return r;
	if (!s->drv->cuLibraryLoadData)
		return CUDA_ERROR_NOT_SUPPORTED;
	/* BINARY_IS_PRESERVED is the program's promise about its own memory; ours goes. */
	for (unsigned int i = 0; i < library_options; i++) {
		if (library_option[i].option != CU_LIBRARY_BINARY_IS_PRESERVED)
			return CUDA_ERROR_NOT_SUPPORTED;
	}
	r = prepare(s, number, &o, option, options, info_bytes, error_bytes, &b);
	if (r != CUDA_SUCCESS)
		return r;
	r = s->drv->cuLibraryLoadData(library, b->data, o.option, o.value, o.n, NULL, NULL, 0);
	blobs_spend(s, b);
	return r;
}

CUresult host_cuModuleUnload(struct cuda_session *s, CUmodule module)
{
	return s->drv->cuModuleUnload ? s->drv->cuModuleUnload(module) : CUDA_ERROR_NOT_SUPPORTED;
}

CUresult host_cuLibraryUnload(struct cuda_session *s, CUlibrary library)
{
	return s->drv->cuLibraryUnload ? s->drv->cuLibraryUnload(library)
				       : CUDA_ERROR_NOT_SUPPORTED;
}

/* A module's variable is memory of the session as long as its module lives. */
static CUresult note_global(struct cuda_session *s, CUdeviceptr at, size_t bytes, uint64_t owner)
{
	struct cuda_range *range;

	if (!bytes || ranges_check(s, at, bytes))
		return CUDA_SUCCESS;
	if (!ranges_add(&s->ranges, at, bytes, RANGE_GLOBAL, owner))
		return CUDA_ERROR_OUT_OF_MEMORY;
	range = ranges_find(&s->ranges, at);
	range->context = s->context;
	return CUDA_SUCCESS;
}

CUresult host_cuModuleGetGlobal_v2(struct cuda_session *s, CUdeviceptr *dptr, size_t *bytes,
				   CUmodule module, const char *name)
{
	CUdeviceptr at = 0;
	size_t size = 0;
	CUresult r = s->drv->cuModuleGetGlobal_v2
			     ? s->drv->cuModuleGetGlobal_v2(&at, &size, module, name)
			     : CUDA_ERROR_NOT_SUPPORTED;

	if (r == CUDA_SUCCESS)
		r = note_global(s, at, size, REQUEST(s, cuModuleGetGlobal_v2)->hmod);
	if (dptr)
		*dptr = at;
	if (bytes)
		*bytes = size;
	return r;
}

CUresult host_cuLibraryGetGlobal(struct cuda_session *s, CUdeviceptr *dptr, size_t *bytes,
				 CUlibrary library, const char *name)
{
	CUdeviceptr at = 0;
	size_t size = 0;
	CUresult r = s->drv->cuLibraryGetGlobal
			     ? s->drv->cuLibraryGetGlobal(&at, &size, library, name)
			     : CUDA_ERROR_NOT_SUPPORTED;

	if (r == CUDA_SUCCESS)
		r = note_global(s, at, size, REQUEST(s, cuLibraryGetGlobal)->library);
	if (dptr)
		*dptr = at;
	if (bytes)
		*bytes = size;
	return r;
}
