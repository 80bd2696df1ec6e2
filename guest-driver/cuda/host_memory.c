// SPDX-License-Identifier: GPL-2.0-or-later
/* Pinned memory of the host as programs ask for it. */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#include "capture.h"
#include "context_priv.h"
#include "device.h"
#include "ranges.h"
#include "register.h"
#include "window.h"

#define ALLOC_FLAGS \
	(CU_MEMHOSTALLOC_PORTABLE | CU_MEMHOSTALLOC_DEVICEMAP | CU_MEMHOSTALLOC_WRITECOMBINED)

static CUresult allocate(void **pp, size_t bytes, unsigned int flags)
{
	void *p = NULL;
	CUresult r = window_alloc(bytes, CU_MEMHOSTREGISTER_PORTABLE, &p);

	if (r != CUDA_SUCCESS)
		return r;
	if (range_add(&(struct range){.base = (uintptr_t)p,
				      .size = bytes,
				      .kind = RANGE_HOST,
				      .flags = flags,
				      .context = context_top()}) < 0) {
		window_free(p);
		return CUDA_ERROR_OUT_OF_MEMORY;
	}
	*pp = p;
	return CUDA_SUCCESS;
}

CUresult cuMemHostAlloc(void **pp, size_t bytesize, unsigned int Flags)
{
	CUresult r = shim_enter_context();

	if (r != CUDA_SUCCESS)
		return r;
	if (!pp || !bytesize || (Flags & ~(unsigned int)ALLOC_FLAGS))
		return CUDA_ERROR_INVALID_VALUE;
	r = capture_allows();
	if (r != CUDA_SUCCESS)
		return r;
	/* All of it is mapped and portable, as with unified addressing. */
	return allocate(pp, bytesize, Flags | CU_MEMHOSTALLOC_DEVICEMAP);
}

CUresult cuMemAllocHost_v2(void **pp, size_t bytesize)
{
	return cuMemHostAlloc(pp, bytesize, 0);
}

/*
 * In the context that it was made in, whose work is waited for; and for that of
 * the current one, which may use it as well.
 */
static CUresult give_back(const struct range *r)
{
	struct context *current = context_top();
	CUresult result;

	if (current && current != r->context && !capture_any())
		cuCtxSynchronize();
	context_lend(r->context);
	result = window_free((void *)(uintptr_t)r->base);
	context_lend(current);
	return result;
}

CUresult cuMemFreeHost(void *p)
{
	struct range old;
	CUresult r = shim_enter();

	if (r != CUDA_SUCCESS || !p)
		return r;
	if (!range_find((uintptr_t)p, &old) || old.base != (uintptr_t)p || old.kind != RANGE_HOST)
		return CUDA_ERROR_INVALID_VALUE;
	r = capture_allows();
	if (r != CUDA_SUCCESS)
		return r;
	if (!range_remove_kind(old.base, RANGE_HOST)) /* another thread was faster */
		return CUDA_ERROR_INVALID_VALUE;
	r = give_back(&old);
	if (r != CUDA_SUCCESS)
		range_add(&old);
	return r;
}

/* ------------------------------------------------- the program's own memory */

#define REGISTER_FLAGS \
	(CU_MEMHOSTREGISTER_PORTABLE | CU_MEMHOSTREGISTER_DEVICEMAP | CU_MEMHOSTREGISTER_READ_ONLY)

static bool takes_read_only(void)
{
	return device_attribute(context_top()->device,
				CU_DEVICE_ATTRIBUTE_READ_ONLY_HOST_REGISTER_SUPPORTED);
}

CUresult cuMemHostRegister_v2(void *p, size_t bytesize, unsigned int Flags)
{
	struct range new = {.base = (uintptr_t)p,
			    .size = bytesize,
			    .kind = RANGE_REGISTERED,
			    .flags = Flags | CU_MEMHOSTREGISTER_DEVICEMAP};
	CUresult r = shim_enter_context();

	if (r != CUDA_SUCCESS)
		return r;
	if (!p || !bytesize || new.base + bytesize < new.base)
		return CUDA_ERROR_INVALID_VALUE;
	if ((Flags & CU_MEMHOSTREGISTER_IOMEMORY) ||
	    ((Flags & CU_MEMHOSTREGISTER_READ_ONLY) && !takes_read_only()))
		return CUDA_ERROR_NOT_SUPPORTED;
	if (Flags & ~(unsigned int)REGISTER_FLAGS)
		return CUDA_ERROR_INVALID_VALUE;
	r = capture_allows();
	if (r != CUDA_SUCCESS)
		return r;
	new.context = context_top();
	if (range_add(&new) < 0)
		return CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED;
	r = register_pages(p, bytesize, Flags);
	if (r != CUDA_SUCCESS)
		range_remove(new.base, NULL);
	return r;
}

CUresult cuMemHostUnregister(void *p)
{
	struct range old;
	CUresult r = shim_enter();

	if (r != CUDA_SUCCESS)
		return r;
	if (!p)
		return CUDA_ERROR_INVALID_VALUE;
	if (!range_find((uintptr_t)p, &old) || old.base != (uintptr_t)p ||
	    old.kind != RANGE_REGISTERED)
		return CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED;
	r = capture_allows();
	if (r != CUDA_SUCCESS)
		return r;
	if (!range_remove_kind(old.base, RANGE_REGISTERED)) /* another thread was faster */
		return CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED;
	return unregister_pages(p, old.size);
}

/* ------------------------------------------------------------------ queries */

static bool find(const void *p, struct range *out)
{
	return range_find((uintptr_t)p, out) &&
	       (out->kind == RANGE_HOST || out->kind == RANGE_REGISTERED);
}

/* The device's address is the program's. */
CUresult cuMemHostGetDevicePointer_v2(CUdeviceptr *pdptr, void *p, unsigned int Flags)
{
	struct range found;
	CUresult r = shim_enter_context();

	if (r != CUDA_SUCCESS)
		return r;
	if (!pdptr || !p || Flags || !find(p, &found))
		return CUDA_ERROR_INVALID_VALUE;
	*pdptr = (uintptr_t)p;
	return CUDA_SUCCESS;
}

CUresult cuMemHostGetFlags(unsigned int *pFlags, void *p)
{
	struct range found;
	CUresult r = shim_enter_context();

	if (r != CUDA_SUCCESS)
		return r;
	if (!pFlags || !p || !find(p, &found))
		return CUDA_ERROR_INVALID_VALUE;
	*pFlags = found.flags & ~(unsigned int)CU_MEMHOSTREGISTER_READ_ONLY; /* as the driver */
	return CUDA_SUCCESS;
}
