// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Pages of the program's own that the device reaches at the same addresses.
 *
 * In a VM the module pins them and the host maps what they are.  By the
 * daemon's socket memory that is private to a process cannot be shown to
 * another: there it is replaced, in place, by shared memory with the same
 * contents.  Nothing else may write to those pages meanwhile, which programs
 * see to anyway while they set up a buffer.
 *
 * Two registrations may share a page.  Each stretch of pages is known once
 * with a count; a registration that overlaps known ones takes what is missing.
 */
#include "register.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "client.h"
#include "cuda_rpc.h"

#define PAGE ((uint64_t)4096)
#define PIECE ((uint64_t)1 << 30)

struct stretch {
	uint64_t at, end;
	unsigned int users;
	bool replaced; /* by the area, else pinned as the buffer */
	uint32_t buffer;
	struct vgpu_area area;
	struct stretch *next;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct stretch *stretches;

static CUresult of_errno(void)
{
	switch (errno) {
	case EFAULT:
	case EINVAL:
		return CUDA_ERROR_INVALID_VALUE;
	case ENOMEM:
	case ENOSPC:
		return CUDA_ERROR_OUT_OF_MEMORY;
	case EOPNOTSUPP:
		return CUDA_ERROR_NOT_SUPPORTED;
	default:
		return CUDA_ERROR_OPERATING_SYSTEM;
	}
}

/* Are these pages the process's own, there and writable?  mincore() knows of holes only. */
static bool mapped(uint64_t at, uint64_t end)
{
	size_t pages = (end - at) / PAGE;
	unsigned char *there = malloc(pages);
	bool ok = there && mincore((void *)(uintptr_t)at, end - at, there) == 0;

	free(there);
	return ok;
}

/* Puts shared memory with the same contents where the pages are. */
static CUresult replace(struct stretch *s)
{
	size_t bytes = s->end - s->at;
	void *place = (void *)(uintptr_t)s->at;

	if (!mapped(s->at, s->end))
		return CUDA_ERROR_INVALID_VALUE;
	if (client_area_create(NULL, bytes, &s->area) < 0)
		return of_errno();
	memcpy(s->area.addr, place, bytes);
	/* An old size of 0 makes a second mapping of the same shared memory. */
	if (mremap(s->area.addr, 0, bytes, MREMAP_MAYMOVE | MREMAP_FIXED, place) == MAP_FAILED) {
		CUresult r = of_errno();

		client_area_destroy(&s->area);
		return r;
	}
	s->replaced = true;
	s->buffer = s->area.buffer;
	return CUDA_SUCCESS;
}

/* The pages become the process's private ones again, with what is in them now. */
static CUresult put_back(struct stretch *s)
{
	size_t bytes = s->end - s->at;
	void *place = (void *)(uintptr_t)s->at;
	void *own = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (own == MAP_FAILED)
		return CUDA_ERROR_OUT_OF_MEMORY;
	memcpy(own, place, bytes);
	if (mremap(own, bytes, bytes, MREMAP_MAYMOVE | MREMAP_FIXED, place) == MAP_FAILED) {
		munmap(own, bytes);
		return CUDA_ERROR_OPERATING_SYSTEM;
	}
	client_area_destroy(&s->area);
	s->replaced = false;
	return CUDA_SUCCESS;
}

static CUresult take(struct stretch *s, unsigned int flags)
{
	uint32_t access = VGPU_BUFFER_READ;
	struct vgpu_desc desc = {.length = s->end - s->at};
	CUresult r = CUDA_SUCCESS;

	if (!(flags & CU_MEMHOSTREGISTER_READ_ONLY))
		access |= VGPU_BUFFER_WRITE;
	if (client_buffer_register((void *)(uintptr_t)s->at, s->end - s->at, access, &s->buffer) <
	    0)
		r = errno == EOPNOTSUPP ? replace(s) : of_errno();
	if (r != CUDA_SUCCESS)
		return r;
	desc.buffer = s->buffer;
	r = rpc_vgpuHostMap(s->at, s->end - s->at, flags, &desc, 1);
	if (r != CUDA_SUCCESS && s->replaced)
		put_back(s);
	else if (r != CUDA_SUCCESS)
		client_buffer_unregister(s->buffer);
	return r;
}

static CUresult release(struct stretch *s)
{
	CUresult r = rpc_vgpuHostUnmap(s->at, s->end - s->at);

	if (r != CUDA_SUCCESS)
		return r; /* the host may still use the pages: they stay as they are */
	if (s->replaced)
		return put_back(s);
	client_buffer_unregister(s->buffer);
	return CUDA_SUCCESS;
}

/* The stretch that holds `at`, else in *next where the next one begins. */
static struct stretch *find(uint64_t at, uint64_t *next)
{
	for (struct stretch *s = stretches; s; s = s->next) {
		if (s->at <= at && at < s->end)
			return s;
		if (s->at > at && s->at < *next)
			*next = s->at;
	}
	return NULL;
}

/* Called with the lock held: gives back what [at, end) counts. */
static CUresult drop(uint64_t at, uint64_t end)
{
	CUresult r = CUDA_SUCCESS;

	for (struct stretch **s = &stretches; *s;) {
		struct stretch *old = *s;

		if (old->at >= end || old->end <= at || --old->users) {
			s = &old->next;
			continue;
		}
		*s = old->next;
		if (r == CUDA_SUCCESS)
			r = release(old);
		else
			release(old);
		free(old);
	}
	return r;
}

/* Called with the lock held. */
static CUresult add(uint64_t at, uint64_t end, unsigned int flags, uint64_t *done)
{
	for (*done = at; *done < end;) {
		uint64_t next = end - *done < PIECE ? end : *done + PIECE;
		struct stretch *s = find(*done, &next);
		CUresult r;

		if (s) {
			s->users++;
			*done = s->end;
			continue;
		}
		s = calloc(1, sizeof(*s));
		if (!s)
			return CUDA_ERROR_OUT_OF_MEMORY;
		s->at = *done;
		s->end = next;
		s->users = 1;
		r = take(s, flags);
		if (r != CUDA_SUCCESS) {
			free(s);
			return r;
		}
		s->next = stretches;
		stretches = s;
		*done = next;
	}
	return CUDA_SUCCESS;
}

CUresult register_pages(void *p, size_t n, unsigned int flags)
{
	uint64_t at = (uintptr_t)p & ~(PAGE - 1);
	uint64_t end = ((uintptr_t)p + n + PAGE - 1) & ~(PAGE - 1);
	uint64_t done;
	CUresult r;

	pthread_mutex_lock(&lock);
	r = add(at, end, flags, &done);
	if (r != CUDA_SUCCESS && done > at)
		drop(at, done);
	pthread_mutex_unlock(&lock);
	return r;
}

CUresult unregister_pages(void *p, size_t n)
{
	uint64_t at = (uintptr_t)p & ~(PAGE - 1);
	uint64_t end = ((uintptr_t)p + n + PAGE - 1) & ~(PAGE - 1);
	CUresult r;

	pthread_mutex_lock(&lock);
	r = drop(at, end);
	pthread_mutex_unlock(&lock);
	return r;
}
