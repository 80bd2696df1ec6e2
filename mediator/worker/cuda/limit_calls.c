/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Limits of a context: some are device memory that the driver sets aside.  What
 * a context has at first is its own cost, which no tenant is charged for; what
 * a program adds is.
 */
#include "charge.h"
#include "contexts.h"
#include "cuda_dispatch.h"
#include "session.h"

/* Threads that the device can run at once: each has a stack. */
static uint64_t threads(const struct cuda_session *s)
{
	int processors = 0, each = 0;

	if (!s->drv->cuDeviceGetAttribute)
		return 1;
	s->drv->cuDeviceGetAttribute(&processors, CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT,
				     s->device);
	s->drv->cuDeviceGetAttribute(&each, CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_MULTIPROCESSOR,
				     s->device);
	return processors > 0 && each > 0 ? (uint64_t)processors * (uint64_t)each : 1;
}

/* The place of a limit that costs memory, -1: it costs none. */
static int place_of(CUlimit limit)
{
	switch (limit) {
	case CU_LIMIT_STACK_SIZE:
		return 0;
	case CU_LIMIT_PRINTF_FIFO_SIZE:
		return 1;
	case CU_LIMIT_MALLOC_HEAP_SIZE:
		return 2;
	default:
		return -1;
	}
}

static uint64_t price(const struct cuda_session *s, CUlimit limit, uint64_t beyond)
{
	return limit == CU_LIMIT_STACK_SIZE ? vgpu_cuda_product(beyond, threads(s)) : beyond;
}

static CUresult set(struct cuda_session *s, struct cuda_context *c, int place, CUlimit limit,
		    size_t value)
{
	struct context_limit *l = &c->limit[place];
	uint64_t cost, before = l->charged;
	size_t first = 0;
	CUresult r;

	if (!l->known) {
		r = s->drv->cuCtxGetLimit ? s->drv->cuCtxGetLimit(&first, limit)
					  : CUDA_ERROR_NOT_SUPPORTED;
		if (r != CUDA_SUCCESS)
			return r;
		l->first = first;
		l->known = true;
	}
	cost = charge_of(value > l->first ? price(s, limit, value - l->first) : 0);
	if (cost > before) {
		r = charge_take(s, cost - before);
		if (r != CUDA_SUCCESS)
			return r;
	}
	r = s->drv->cuCtxSetLimit(limit, value);
	l->charged = r == CUDA_SUCCESS ? cost : before;
	charge_give(s, MAX(cost, before) - l->charged);
	return r;
}

CUresult host_cuCtxSetLimit(struct cuda_session *s, CUlimit limit, size_t value)
{
	struct cuda_context *c = contexts_current(s);
	const int place = place_of(limit);

	if (!s->drv->cuCtxSetLimit)
		return CUDA_ERROR_NOT_SUPPORTED;
	return c && place >= 0 ? set(s, c, place, limit, value)
			       : s->drv->cuCtxSetLimit(limit, value);
}
