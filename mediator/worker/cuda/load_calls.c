/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Modules and libraries: from a blob to the driver and out of it again. */
#include "blobs.h"
#include "charge.h"
#include "cuda_dispatch.h"
#include "jit.h"
#include "session.h"

static CUresult prepare(struct cuda_session *s, uint64_t number, struct jit_options *o,
			const struct vgpu_jit_option *in, unsigned int n, uint32_t info,
			uint32_t error, struct blob **out)
{
	struct blob *b = blobs_find(s, number);

	if (!b || !jit_take(o, in, n))
		return CUDA_ERROR_INVALID_VALUE;
	if (!image_is_sane(b))
		return CUDA_ERROR_INVALID_IMAGE;
	if (!jit_log(o, 0, info, &b->log[0], &b->log_bytes[0]) ||
	    !jit_log(o, 1, error, &b->log[1], &b->log_bytes[1]))
		return CUDA_ERROR_OUT_OF_MEMORY;
	*out = b;
	return CUDA_SUCCESS;
}

/* What an image will need: at least what it is; what it asks for beyond that, see image_memory.c.
 */
static CUresult take_for(struct cuda_session *s, const struct blob *b, uint64_t *bytes)
{
	*bytes = charge_of(image_memory(b));
	return charge_take(s, *bytes);
}

static void loaded(struct cuda_session *s, struct blob *b, uint64_t bytes, CUresult r)
{
	if (r == CUDA_SUCCESS)
		s->new_charged = bytes;
	else
		charge_give(s, bytes);
	blobs_spend(s, b);
}

CUresult host_vgpuModuleLoad(struct cuda_session *s, CUmodule *module, unsigned long long number,
			     unsigned int options, const struct vgpu_jit_option *option,
			     unsigned int info_bytes, unsigned int error_bytes)
{
	struct jit_options o = {0};
	struct blob *b;
	uint64_t bytes;
	CUresult r;

	if (!s->drv->cuModuleLoadDataEx)
		return CUDA_ERROR_NOT_SUPPORTED;
	r = prepare(s, number, &o, option, options, info_bytes, error_bytes, &b);
	if (r != CUDA_SUCCESS)
		return r;
	r = take_for(s, b, &bytes);
	if (r != CUDA_SUCCESS)
		return r;
	r = s->drv->cuModuleLoadDataEx(module, b->data, o.n, o.option, o.value);
	loaded(s, b, bytes, r);
	return r;
}

CUresult host_vgpuLibraryLoad(struct cuda_session *s, CUlibrary *library, unsigned long long number,
			      unsigned int options, const struct vgpu_jit_option *option,
			      unsigned int library_options,
			      const struct vgpu_jit_option *library_option, unsigned int info_bytes,
			      unsigned int error_bytes)
{
	struct jit_options o = {0};
	struct blob *b;
	uint64_t bytes;
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
	r = take_for(s, b, &bytes);
	if (r != CUDA_SUCCESS)
		return r;
	r = s->drv->cuLibraryLoadData(library, b->data, o.option, o.value, o.n, NULL, NULL, 0);
	loaded(s, b, bytes, r);
	return r;
}

CUresult host_cuModuleUnload(struct cuda_session *s, CUmodule module)
{
	const uint64_t owner = handles_parent(s, REQUEST(s, cuModuleUnload)->hmod);
	CUresult r = s->drv->cuModuleUnload ? CUDA_SUCCESS : CUDA_ERROR_NOT_SUPPORTED;

	if (vgpu_cuda_handle_type(owner) == VGPU_CUDA_LIBRARY) /* it goes with that */
		return CUDA_ERROR_NOT_PERMITTED;
	if (r == CUDA_SUCCESS)
		r = session_context(s, owner); /* it is this one's work that is waited for */
	if (r == CUDA_SUCCESS)
		r = session_drain(s);
	return r == CUDA_SUCCESS ? s->drv->cuModuleUnload(module) : r;
}

CUresult host_cuLibraryUnload(struct cuda_session *s, CUlibrary library)
{
	CUresult r = s->drv->cuLibraryUnload ? session_drain_each(s) : CUDA_ERROR_NOT_SUPPORTED;

	return r == CUDA_SUCCESS ? s->drv->cuLibraryUnload(library) : r;
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
