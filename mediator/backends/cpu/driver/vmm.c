/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Virtual memory management: reserved addresses, allocations without one, and
 * mappings of the one to the other.
 *
 * An allocation is a shared anonymous mapping; mapping it somewhere makes a
 * second mapping of the same pages.  A reservation is memory that nobody may
 * touch.  What is mapped is a range without access until it is given.
 */
#include <errno.h>
#include <sys/mman.h>

#include "driver.h"

#define RESERVED_TOTAL ((size_t)64 << 30)

struct physical {
	struct object obj;
	void *pages;
	size_t size;
	CUmemAllocationProp prop;
	unsigned int handles; /* that the program has not released yet */
};

struct reservation {
	uintptr_t base;
	size_t size;
};

static GArray *reservations; /* of struct reservation */
static size_t reserved;

static bool is_granular(size_t n)
{
	return n && n % CPU_GRANULARITY == 0;
}

static void finish(void *object)
{
	struct physical *p = object;

	munmap(p->pages, p->size);
	drv.memory_used -= p->size;
}

static CUresult check(const CUmemAllocationProp *prop)
{
	if (!prop || prop->type != CU_MEM_ALLOCATION_TYPE_PINNED)
		return CUDA_ERROR_INVALID_VALUE;
	if (prop->requestedHandleTypes != CU_MEM_HANDLE_TYPE_NONE ||
	    prop->location.type != CU_MEM_LOCATION_TYPE_DEVICE)
		return CUDA_ERROR_NOT_SUPPORTED;
	return device_is_valid(prop->location.id) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_DEVICE;
}

static CUresult CUDAAPI cpu_cuMemGetAllocationGranularity(size_t *out,
							  const CUmemAllocationProp *prop,
							  CUmemAllocationGranularity_flags option)
{
	ENTER();
	if (!out || option > CU_MEM_ALLOC_GRANULARITY_RECOMMENDED)
		return CUDA_ERROR_INVALID_VALUE;
	enter_error = check(prop);
	if (!enter_error)
		*out = CPU_GRANULARITY;
	return enter_error;
}

static CUresult CUDAAPI cpu_cuMemCreate(CUmemGenericAllocationHandle *out, size_t size,
					const CUmemAllocationProp *prop, unsigned long long flags)
{
	struct physical *p;

	ENTER();
	if (!out || flags || !is_granular(size))
		return CUDA_ERROR_INVALID_VALUE;
	enter_error = check(prop);
	if (enter_error)
		return enter_error;
	if (size > CPU_MEMORY_TOTAL - drv.memory_used)
		return CUDA_ERROR_OUT_OF_MEMORY;
	p = object_new(OBJECT_PHYSICAL, sizeof(*p), NULL);
	if (!p)
		return CUDA_ERROR_OUT_OF_MEMORY;
	p->pages = pages_map(size, true);
	if (!p->pages) {
		object_retire(p);
		return CUDA_ERROR_OUT_OF_MEMORY;
	}
	p->obj.finish = finish;
	p->size = size;
	p->handles = 1;
	p->prop = *prop;
	drv.memory_used += size;
	*out = (CUmemGenericAllocationHandle)(uintptr_t)p;
	return CUDA_SUCCESS;
}

static struct physical *find(CUmemGenericAllocationHandle handle)
{
	return object_find((const void *)(uintptr_t)handle, OBJECT_PHYSICAL);
}

/* Each handle that was given out is one release; mappings keep the memory too. */
static CUresult CUDAAPI cpu_cuMemRelease(CUmemGenericAllocationHandle handle)
{
	struct physical *p;

	ENTER();
	p = find(handle);
	if (!p)
		return CUDA_ERROR_INVALID_VALUE;
	if (--p->handles == 0)
		object_retire(p);
	return CUDA_SUCCESS;
}

static CUresult CUDAAPI cpu_cuMemRetainAllocationHandle(CUmemGenericAllocationHandle *out,
							void *address)
{
	struct physical *p;
	struct range *r;

	ENTER();
	r = range_find((uintptr_t)address);
	if (!out || !r || r->kind != RANGE_MAPPED)
		return CUDA_ERROR_INVALID_VALUE;
	p = r->owner;
	if (p->handles == G_MAXUINT)
		return CUDA_ERROR_OUT_OF_MEMORY;
	p->handles++;
	object_publish(p);
	*out = (CUmemGenericAllocationHandle)(uintptr_t)p;
	return CUDA_SUCCESS;
}

static CUresult CUDAAPI cpu_cuMemGetAllocationPropertiesFromHandle(
	CUmemAllocationProp *out, CUmemGenericAllocationHandle handle)
{
	const struct physical *p;

	ENTER();
	p = find(handle);
	if (!out || !p)
		return CUDA_ERROR_INVALID_VALUE;
	*out = p->prop;
	return CUDA_SUCCESS;
}

static const struct reservation *around(uintptr_t address, size_t size)
{
	for (unsigned int i = 0; reservations && i < reservations->len; i++) {
		const struct reservation *r = &g_array_index(reservations, struct reservation, i);

		if (address >= r->base && address - r->base < r->size &&
		    size <= r->size - (address - r->base))
			return r;
	}
	return NULL;
}

/* Aligned to the granularity, whatever the kernel gives. */
static void *reserve(size_t size, uintptr_t hint)
{
	size_t more = size + CPU_GRANULARITY;
	uintptr_t base, start;
	void *p;

	if (hint && hint % CPU_GRANULARITY == 0) {
		p = mmap((void *)hint, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
			 -1, 0);
		if (p != MAP_FAILED && (uintptr_t)p % CPU_GRANULARITY == 0)
			return p;
		if (p != MAP_FAILED)
			munmap(p, size);
	}
	p = mmap(NULL, more, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p == MAP_FAILED)
		return NULL;
	base = (uintptr_t)p;
	start = (base + CPU_GRANULARITY - 1) & ~(CPU_GRANULARITY - 1);
	if (start > base)
		munmap((void *)base, start - base);
	if (base + more > start + size)
		munmap((void *)(start + size), base + more - start - size);
	return (void *)start;
}

static CUresult CUDAAPI cpu_cuMemAddressReserve(CUdeviceptr *out, size_t size, size_t alignment,
						CUdeviceptr hint, unsigned long long flags)
{
	struct reservation r = {.size = size};

	ENTER();
	if (!out || flags || !is_granular(size) || (alignment & (alignment - 1)))
		return CUDA_ERROR_INVALID_VALUE;
	if (alignment > CPU_GRANULARITY)
		return CUDA_ERROR_NOT_SUPPORTED;
	if (size > RESERVED_TOTAL - reserved || (reservations && reservations->len >= 4096))
		return CUDA_ERROR_OUT_OF_MEMORY;
	r.base = (uintptr_t)reserve(size, hint);
	if (!r.base)
		return CUDA_ERROR_OUT_OF_MEMORY;
	if (!reservations)
		reservations = g_array_new(FALSE, FALSE, sizeof(r));
	g_array_append_val(reservations, r);
	reserved += size;
	*out = r.base;
	return CUDA_SUCCESS;
}

static CUresult CUDAAPI cpu_cuMemAddressFree(CUdeviceptr address, size_t size)
{
	const struct reservation *r;

	ENTER();
	r = around(address, size);
	if (!r || r->base != address || r->size != size)
		return CUDA_ERROR_INVALID_VALUE;
	if (range_overlaps(address, size))
		return CUDA_ERROR_INVALID_VALUE; /* something is still mapped */
	munmap((void *)address, size);
	reserved -= size;
	g_array_remove_index_fast(reservations,
				  (guint)(r - (struct reservation *)(void *)reservations->data));
	return CUDA_SUCCESS;
}

static CUresult CUDAAPI cpu_cuMemMap(CUdeviceptr address, size_t size, size_t offset,
				     CUmemGenericAllocationHandle handle, unsigned long long flags)
{
	struct physical *p;
	struct range *r;

	ENTER();
	p = find(handle);
	if (!p)
		return CUDA_ERROR_INVALID_HANDLE;
	if (flags || !is_granular(size) || offset % CPU_GRANULARITY || address % CPU_GRANULARITY ||
	    offset > p->size || size > p->size - offset || !around(address, size))
		return CUDA_ERROR_INVALID_VALUE;
	if (range_overlaps(address, size))
		return CUDA_ERROR_INVALID_VALUE;
	enter_error = range_adopt(RANGE_MAPPED, address, size, &r);
	if (enter_error)
		return enter_error;
	r->readable = r->writable = false;
	/* Of size 0: another mapping of the same pages, in place of what was reserved. */
	if (mremap((char *)p->pages + offset, 0, size, MREMAP_MAYMOVE | MREMAP_FIXED,
		   (void *)address) == MAP_FAILED) {
		range_remove(r);
		return CUDA_ERROR_OUT_OF_MEMORY;
	}
	r->owner = object_ref(p);
	r->offset = offset;
	return CUDA_SUCCESS;
}

/* The ranges that make up exactly [address, address + size); NULL: they do not. */
static GPtrArray *mapped(CUdeviceptr address, size_t size)
{
	GPtrArray *list = g_ptr_array_new();

	if (!size || address + size < address)
		goto none;
	for (uintptr_t at = address; at < address + size;) {
		struct range *r = range_find(at);

		if (!r || r->kind != RANGE_MAPPED || r->base != at || r->leaving ||
		    r->size > address + size - at)
			goto none;
		g_ptr_array_add(list, r);
		at += r->size;
	}
	return list;
none:
	g_ptr_array_free(list, TRUE);
	return NULL;
}

static void unmap(struct range *r)
{
	void *p;

	while (r->pins)
		pthread_cond_wait(&drv.changed, &drv.lock);
	/* Before the range goes: nobody else may map something here in between. */
	p = mmap((void *)r->base, r->size, PROT_NONE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
	if (p == MAP_FAILED) /* the old pages stay until something is mapped here again */
		g_warning("memory stays mapped: %s", g_strerror(errno));
	range_remove(r);
}

static CUresult CUDAAPI cpu_cuMemUnmap(CUdeviceptr address, size_t size)
{
	GPtrArray *list;

	ENTER();
	list = mapped(address, size);
	if (!list)
		return CUDA_ERROR_INVALID_VALUE;
	g_ptr_array_free(list, TRUE);
	enter_error = context_wait(NULL);
	if (enter_error)
		return enter_error;
	list = mapped(address, size);
	if (!list)
		return CUDA_ERROR_INVALID_VALUE;
	for (unsigned int i = 0; i < list->len; i++)
		((struct range *)list->pdata[i])->leaving = true; /* so that only we take it away */
	for (unsigned int i = 0; i < list->len; i++)
		unmap(list->pdata[i]);
	g_ptr_array_free(list, TRUE);
	return CUDA_SUCCESS;
}

static CUresult CUDAAPI cpu_cuMemSetAccess(CUdeviceptr address, size_t size,
					   const CUmemAccessDesc *desc, size_t n)
{
	GPtrArray *list;

	ENTER();
	if (!desc || n != 1 || desc->location.type != CU_MEM_LOCATION_TYPE_DEVICE)
		return CUDA_ERROR_INVALID_VALUE;
	if (!device_is_valid(desc->location.id))
		return CUDA_ERROR_INVALID_DEVICE;
	if (desc->flags != CU_MEM_ACCESS_FLAGS_PROT_NONE &&
	    desc->flags != CU_MEM_ACCESS_FLAGS_PROT_READ &&
	    desc->flags != CU_MEM_ACCESS_FLAGS_PROT_READWRITE)
		return CUDA_ERROR_INVALID_VALUE;
	list = mapped(address, size);
	if (!list)
		return CUDA_ERROR_INVALID_VALUE;
	for (unsigned int i = 0; i < list->len; i++) {
		struct range *r = list->pdata[i];

		r->readable = desc->flags != CU_MEM_ACCESS_FLAGS_PROT_NONE;
		r->writable = desc->flags == CU_MEM_ACCESS_FLAGS_PROT_READWRITE;
	}
	g_ptr_array_free(list, TRUE);
	return CUDA_SUCCESS;
}

static CUresult CUDAAPI cpu_cuMemGetAccess(unsigned long long *flags, const CUmemLocation *location,
					   CUdeviceptr address)
{
	const struct range *r;

	ENTER();
	r = range_find(address);
	if (!flags || !location || location->type != CU_MEM_LOCATION_TYPE_DEVICE ||
	    !device_is_valid(location->id) || !r)
		return CUDA_ERROR_INVALID_VALUE;
	*flags = r->writable   ? CU_MEM_ACCESS_FLAGS_PROT_READWRITE
		 : r->readable ? CU_MEM_ACCESS_FLAGS_PROT_READ
			       : CU_MEM_ACCESS_FLAGS_PROT_NONE;
	return CUDA_SUCCESS;
}

CPU_SYMBOLS(cpu_vmm_symbols, CPU_FN(cuMemGetAllocationGranularity), CPU_FN(cuMemCreate),
	    CPU_FN(cuMemRelease), CPU_FN(cuMemRetainAllocationHandle),
	    CPU_FN(cuMemGetAllocationPropertiesFromHandle), CPU_FN(cuMemAddressReserve),
	    CPU_FN(cuMemAddressFree), CPU_FN(cuMemMap), CPU_FN(cuMemUnmap), CPU_FN(cuMemSetAccess),
	    CPU_FN(cuMemGetAccess));
