// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Pages of the program's own that the device reaches at the same addresses.
 *
 * In a VM the module pins them and the host maps what they are.  By the
 * daemon's socket memory that is private to a process cannot be shown to
 * another: there it is replaced, in place, by shared memory with the same
 * contents.  Nothing else may write to those pages meanwhile, which programs
 * see to anyway while they set up a buffer.  Memory that others share already
 * would be torn off from them, so that it is refused there.
 *
 * Two registrations may share a page.  Each stretch of pages is known once
 * with a count; a registration that overlaps known ones takes what is missing.
 * A registration ends with its context, in which the stretch is made; what
 * others still need of it is made anew in theirs.
 */
#include "register.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "cancel.h"
#include "client.h"
#include "context_priv.h"
#include "cuda_rpc.h"
#include "mappings.h"
#include "ranges.h"

#define PAGE ((uint64_t)4096)
#define PIECE ((uint64_t)1 << 30)
#define STACK_IN_USE ((uintptr_t)64 << 10) /* of the functions below, generously */

struct stretch {
	uint64_t at, end;
	unsigned int users;
	struct context *context; /* that it is registered in */
	bool held;               /* else making it anew has failed, and it is ordinary memory */
	bool read_only;
	bool replaced; /* by the area, else pinned as the buffer */
	int protection;
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

/* Is [at, end) where this thread's stack is being written to right now? */
static bool is_own_stack(uint64_t at, uint64_t end)
{
	uintptr_t frame = (uintptr_t)__builtin_frame_address(0);

	return at < frame && end > frame - STACK_IN_USE;
}

/* May these pages be replaced?  Ends the stretch where they are mapped in another way. */
static CUresult check_mapping(struct stretch *s)
{
	int needed = PROT_READ | (s->read_only ? 0 : PROT_WRITE);
	struct mapping m;
	int found = mapping_at(s->at, &m);

	if (found < 0)
		return CUDA_ERROR_NOT_SUPPORTED;
	if (!found || (m.protection & needed) != needed)
		return CUDA_ERROR_INVALID_VALUE;
	if (m.end < s->end)
		s->end = m.end;
	if (m.shared || is_own_stack(s->at, s->end))
		return CUDA_ERROR_NOT_SUPPORTED;
	s->protection = m.protection;
	return CUDA_SUCCESS;
}

/* Puts `from` where the pages are, mapped as they were. */
static CUresult put(const struct stretch *s, void *from, size_t old_size)
{
	size_t bytes = s->end - s->at;
	void *place = (void *)(uintptr_t)s->at;

	if (mremap(from, old_size, bytes, MREMAP_MAYMOVE | MREMAP_FIXED, place) == MAP_FAILED)
		return of_errno();
	mprotect(place, bytes, s->protection); /* at worst more is allowed than was */
	return CUDA_SUCCESS;
}

/* Puts shared memory with the same contents where the pages are. */
static CUresult replace(struct stretch *s)
{
	CUresult r = check_mapping(s);
	size_t bytes = s->end - s->at;

	if (r != CUDA_SUCCESS)
		return r;
	if (client_area_create(NULL, bytes, &s->area) < 0)
		return of_errno();
	memcpy(s->area.addr, (void *)(uintptr_t)s->at, bytes);
	/* An old size of 0 makes a second mapping of the same shared memory. */
	r = put(s, s->area.addr, 0);
	if (r != CUDA_SUCCESS) {
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
	void *own = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CUresult r;

	if (own == MAP_FAILED)
		return CUDA_ERROR_OUT_OF_MEMORY;
	memcpy(own, s->area.addr, bytes);
	r = put(s, own, bytes);
	if (r != CUDA_SUCCESS) {
		munmap(own, bytes);
		return r;
	}
	client_area_destroy(&s->area);
	s->replaced = false;
	return CUDA_SUCCESS;
}

/* Makes the pages the host's, in the current context. */
static CUresult take(struct stretch *s)
{
	uint32_t access = VGPU_BUFFER_READ | (s->read_only ? 0 : VGPU_BUFFER_WRITE);
	unsigned int flags = s->read_only ? CU_MEMHOSTREGISTER_READ_ONLY : 0;
	struct vgpu_desc desc = {0};
	CUresult r = CUDA_SUCCESS;

	if (client_buffer_register((void *)(uintptr_t)s->at, s->end - s->at, access, &s->buffer) <
	    0)
		r = errno == EOPNOTSUPP ? replace(s) : of_errno();
	if (r != CUDA_SUCCESS)
		return r;
	desc.buffer = s->buffer;
	desc.length = s->end - s->at;
	r = rpc_vgpuHostMap(s->at, s->end - s->at, flags, &desc, 1);
	s->context = context_top();
	s->held = r == CUDA_SUCCESS;
	if (r != CUDA_SUCCESS && s->replaced)
		put_back(s);
	else if (r != CUDA_SUCCESS)
		client_buffer_unregister(s->buffer);
	return r;
}

/* In the context that it was made in, whichever is current. */
static CUresult release(struct stretch *s)
{
	struct context *current = context_top();
	CUresult r;

	if (!s->held)
		return CUDA_SUCCESS;
	context_lend(s->context);
	r = rpc_vgpuHostUnmap(s->at, s->end - s->at);
	context_lend(current);
	if (r != CUDA_SUCCESS)
		return r; /* the host may still use the pages: they stay as they are */
	s->held = false;
	if (s->replaced)
		return put_back(s);
	client_buffer_unregister(s->buffer);
	return CUDA_SUCCESS;
}

/* A stretch that is known, for one more registration. */
static CUresult share(struct stretch *s, bool read_only)
{
	CUresult r;

	if (s->held && (read_only || !s->read_only))
		return CUDA_SUCCESS;
	r = release(s);
	s->read_only = s->read_only && read_only;
	return r == CUDA_SUCCESS ? take(s) : r;
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
static CUresult add(uint64_t at, uint64_t end, bool read_only, uint64_t *done)
{
	for (*done = at; *done < end;) {
		uint64_t next = end - *done < PIECE ? end : *done + PIECE;
		struct stretch *s = find(*done, &next);
		CUresult r;

		if (s) {
			r = share(s, read_only);
			if (r != CUDA_SUCCESS)
				return r;
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
		s->read_only = read_only;
		r = take(s);
		if (r != CUDA_SUCCESS) {
			free(s);
			return r;
		}
		s->next = stretches;
		stretches = s;
		*done = s->end;
	}
	return CUDA_SUCCESS;
}

static uint64_t first_page(uint64_t at)
{
	return at & ~(PAGE - 1);
}

static uint64_t last_page_end(uint64_t end)
{
	return (end + PAGE - 1) & ~(PAGE - 1);
}

CUresult register_pages(void *p, size_t n, unsigned int flags)
{
	uint64_t at = first_page((uintptr_t)p);
	uint64_t done;
	int cancel = cancel_disable();
	CUresult r;

	pthread_mutex_lock(&lock);
	r = add(at, last_page_end((uintptr_t)p + n), flags & CU_MEMHOSTREGISTER_READ_ONLY, &done);
	if (r != CUDA_SUCCESS && done > at)
		drop(at, done);
	pthread_mutex_unlock(&lock);
	cancel_restore(cancel);
	return r;
}

CUresult unregister_pages(void *p, size_t n)
{
	CUresult r;

	pthread_mutex_lock(&lock);
	r = drop(first_page((uintptr_t)p), last_page_end((uintptr_t)p + n));
	pthread_mutex_unlock(&lock);
	return r;
}

/* Whose registration keeps a stretch in use, if that one's context lives; else NULL. */
static struct context *heir_of(const struct stretch *s)
{
	struct range r;

	if (!range_find_in(s->at, s->end - s->at, &r) || r.kind != RANGE_REGISTERED)
		return NULL;
	return __atomic_load_n(&r.context->alive, __ATOMIC_ACQUIRE) ? r.context : NULL;
}

/* Called with the lock held: what others still use is made anew in a context of theirs. */
static void pass_on(const struct context *c)
{
	struct context *current = context_top();

	for (struct stretch *s = stretches; s; s = s->next) {
		if (s->context != c || !s->held || release(s) != CUDA_SUCCESS)
			continue;
		context_lend(heir_of(s));
		if (context_top())
			take(s);
		context_lend(current);
	}
}

void register_context_ends(const struct context *c)
{
	int cancel = cancel_disable();
	struct range old;

	pthread_mutex_lock(&lock);
	while (range_take(c, RANGE_REGISTERED, &old))
		drop(first_page(old.base), last_page_end(old.base + old.size));
	pass_on(c);
	pthread_mutex_unlock(&lock);
	cancel_restore(cancel);
}
