/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Host memory that the device may use at its own address: allocated here, or
 * registered where it lies.
 */
#include <sys/mman.h>

#include "driver.h"

#define ALLOC_FLAGS \
	(CU_MEMHOSTALLOC_PORTABLE | CU_MEMHOSTALLOC_DEVICEMAP | CU_MEMHOSTALLOC_WRITECOMBINED)
#define REGISTER_FLAGS \
	(CU_MEMHOSTREGISTER_PORTABLE | CU_MEMHOSTREGISTER_DEVICEMAP | CU_MEMHOSTREGISTER_READ_ONLY)

static CUresult host_alloc(void **out, size_t size, unsigned int flags)
{
	struct range *r;
	CUresult err;

	ENTER_CONTEXT(ctx);
	if (!out || (flags & ~(unsigned int)ALLOC_FLAGS))
		return CUDA_ERROR_INVALID_VALUE;
	err = range_new(RANGE_HOST, size, ctx, &r);
	if (err)
		return err;
	r->flags = flags | CU_MEMHOSTALLOC_DEVICEMAP;
	*out = (void *)r->base;
	return CUDA_SUCCESS;
}

static CUresult CUDAAPI cpu_cuMemHostAlloc(void **out, size_t size, unsigned int flags)
{
	return host_alloc(out, size, flags);
}

static CUresult CUDAAPI cpu_cuMemAllocHost_v2(void **out, size_t size)
{
	return host_alloc(out, size, 0);
}

static struct range *find(void *p, enum range_kind kind)
{
	struct range *r = range_find((uintptr_t)p);

	return r && r->base == (uintptr_t)p && r->kind == kind ? r : NULL;
}

/* All queued work is done first, so that nothing of it meets missing memory. */
static CUresult drop(void *p, enum range_kind kind, CUresult missing)
{
	struct range *r;
	CUresult err;

	if (!p)
		return CUDA_ERROR_INVALID_VALUE;
	if (!find(p, kind))
		return missing;
	err = context_wait(NULL);
	if (err)
		return err;
	r = find(p, kind);
	if (!r)
		return missing;
	range_remove_unpinned(r);
	return CUDA_SUCCESS;
}

static CUresult CUDAAPI cpu_cuMemFreeHost(void *p)
{
	ENTER_CONTEXT(ctx);
	return drop(p, RANGE_HOST, CUDA_ERROR_INVALID_VALUE);
}

/* Whether all of the pages are mapped: the kernel says ENOMEM where some are not. */
static bool is_mapped(uintptr_t base, size_t size)
{
	uintptr_t first = base & ~(CPU_PAGE - 1);

	return msync((void *)first, base + size - first, MS_ASYNC) == 0;
}

static CUresult CUDAAPI cpu_cuMemHostRegister_v2(void *p, size_t size, unsigned int flags)
{
	uintptr_t base = (uintptr_t)p;
	struct range *r;
	CUresult err;

	ENTER_CONTEXT(ctx);
	if (!p || !size || base + size < base)
		return CUDA_ERROR_INVALID_VALUE;
	if (flags & CU_MEMHOSTREGISTER_IOMEMORY)
		return CUDA_ERROR_NOT_SUPPORTED;
	if (flags & ~(unsigned int)REGISTER_FLAGS)
		return CUDA_ERROR_INVALID_VALUE;
	if (!is_mapped(base, size))
		return CUDA_ERROR_INVALID_VALUE;
	err = range_adopt(RANGE_REGISTERED, base, size, &r);
	if (err)
		return err;
	r->flags = flags | CU_MEMHOSTREGISTER_DEVICEMAP;
	r->writable = !(flags & CU_MEMHOSTREGISTER_READ_ONLY);
	return CUDA_SUCCESS;
}

static CUresult CUDAAPI cpu_cuMemHostUnregister(void *p)
{
	ENTER_CONTEXT(ctx);
	return drop(p, RANGE_REGISTERED, CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED);
}

static const struct range *find_inside(const void *p)
{
	const struct range *r = range_find((uintptr_t)p);

	return r && (r->kind == RANGE_HOST || r->kind == RANGE_REGISTERED) ? r : NULL;
}

static CUresult CUDAAPI cpu_cuMemHostGetDevicePointer_v2(CUdeviceptr *dptr, void *p,
							 unsigned int flags)
{
	ENTER_CONTEXT(ctx);
	if (!dptr || flags || !find_inside(p))
		return CUDA_ERROR_INVALID_VALUE;
	*dptr = (CUdeviceptr)p;
	return CUDA_SUCCESS;
}

static CUresult CUDAAPI cpu_cuMemHostGetFlags(unsigned int *flags, void *p)
{
	const struct range *r;

	ENTER_CONTEXT(ctx);
	r = find_inside(p);
	if (!flags || !r)
		return CUDA_ERROR_INVALID_VALUE;
	*flags = r->flags;
	return CUDA_SUCCESS;
}

CPU_SYMBOLS(cpu_host_symbols, CPU_FN(cuMemHostAlloc), CPU_FN(cuMemAllocHost_v2),
	    CPU_FN(cuMemFreeHost), CPU_FN(cuMemHostRegister_v2), CPU_FN(cuMemHostUnregister),
	    CPU_FN(cuMemHostGetDevicePointer_v2), CPU_FN(cuMemHostGetFlags));
