// SPDX-License-Identifier: GPL-2.0-or-later
/* libvgpu: memory that both sides reach; the address space side of it. */
#include <sys/mman.h>

#include "session.h"

#define HUGE_PAGE ((size_t)2 << 20)

void *area_reserve(size_t length)
{
	size_t extra = length >= HUGE_PAGE ? HUGE_PAGE : 0;
	uint8_t *at = mmap(NULL, length + extra, PROT_NONE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	size_t skip;

	if (at == MAP_FAILED)
		return NULL;
	if (!extra)
		return at;
	skip = -(uintptr_t)at & (HUGE_PAGE - 1);
	if (skip)
		munmap(at, skip);
	if (skip < extra)
		munmap(at + skip + length, extra - skip);
	return at + skip;
}

void area_unmap(const struct vgpu_area *a)
{
	if (!a->fixed) {
		munmap(a->addr, a->length);
		return;
	}
	if (mmap(a->addr, a->length, PROT_NONE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) == MAP_FAILED)
		mprotect(a->addr, a->length, PROT_NONE); /* still the caller's room */
}

int vgpu_area_create(struct vgpu_session *s, void *addr, size_t length, struct vgpu_area *a)
{
	*a = (struct vgpu_area){.addr = addr, .length = length, .fixed = addr != NULL};
	if (!s->transport->area_create || !s->mapped)
		return fail(EOPNOTSUPP);
	if (!length || length % VGPU_PAGE || (uintptr_t)addr % VGPU_PAGE)
		return fail(EINVAL);
	if (length > VGPU_BUFFER_BYTES_MAX)
		return fail(EMSGSIZE);
	if (!addr)
		a->addr = area_reserve(length);
	if (!a->addr)
		return -1;
	if (s->transport->area_create(s, a) < 0) {
		int error = errno;

		area_unmap(a);
		return fail(error);
	}
	return 0;
}

int vgpu_area_destroy(struct vgpu_session *s, const struct vgpu_area *a)
{
	return s->transport->area_destroy(s, a);
}
