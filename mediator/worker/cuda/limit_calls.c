/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Limits of a context: some are device memory that the driver sets aside.  What
 * a context has at first is its own cost; what a program adds is charged, and so
 * is local memory of its kernels, which lies where the stacks are.
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
		return CONTEXT_STACK;
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

/* What the context began with, before anything is changed. */
static CUresult know(struct cuda_session *s, struct context_limit *l, CUlimit limit)
{
	size_t first = 0;
	CUresult r;

	if (l->known)
		return CUDA_SUCCESS;
	r = s->drv->cuCtxGetLimit ? s->drv->cuCtxGetLimit(&first, limit) : CUDA_ERROR_NOT_SUPPORTED;
	if (r != CUDA_SUCCESS)
		return r;
	l->first = first;
	l->known = true;
	return CUDA_SUCCESS;
}

/* To `cost`, if that is more than it is; what was charged before is in l->charged. */
static CUresult pay_up_to(struct cuda_session *s, struct context_limit *l, uint64_t cost)
{
	CUresult r = cost > l->charged ? charge_take(s, cost - l->charged) : CUDA_SUCCESS;

	if (r == CUDA_SUCCESS && cost > l->charged)
		l->charged = cost;
	return r;
}

static uint64_t cost_of(const struct cuda_session *s, const struct context_limit *l, CUlimit limit,
			uint64_t value)
{
	return charge_of(value > l->first ? price(s, limit, value - l->first) : 0);
}

static CUresult set(struct cuda_session *s, struct cuda_context *c, unsigned int place,
		    CUlimit limit, size_t value)
{
	/* What kernels have needed stays, however small the limit is. */
	const uint64_t least = place == CONTEXT_STACK ? c->local : 0;
	struct context_limit *l = &c->limit[place];
	uint64_t cost, before;
	CUresult r = know(s, l, limit);

	if (r != CUDA_SUCCESS)
		return r;
	before = l->charged;
	cost = cost_of(s, l, limit, MAX(value, least));
	r = pay_up_to(s, l, cost);
	if (r != CUDA_SUCCESS)
		return r;
	r = s->drv->cuCtxSetLimit(limit, value);
	if (r != CUDA_SUCCESS)
		cost = before;
	charge_give(s, l->charged - cost);
	l->charged = cost;
	return r;
}

CUresult contexts_local(struct cuda_session *s, uint64_t bytes)
{
	struct cuda_context *c = contexts_current(s);
	struct context_limit *l;
	CUresult r;

	if (!c || bytes <= c->local)
		return CUDA_SUCCESS;
	l = &c->limit[CONTEXT_STACK];
	if (know(s, l, CU_LIMIT_STACK_SIZE) != CUDA_SUCCESS)
		return CUDA_SUCCESS; /* a driver without it has no stacks */
	r = pay_up_to(s, l, cost_of(s, l, CU_LIMIT_STACK_SIZE, bytes));
	if (r == CUDA_SUCCESS)
		c->local = bytes;
	return r;
}

CUresult host_cuCtxSetLimit(struct cuda_session *s, CUlimit limit, size_t value)
{
	struct cuda_context *c = contexts_current(s);
	const int place = place_of(limit);

	if (!s->drv->cuCtxSetLimit)
		return CUDA_ERROR_NOT_SUPPORTED;
	return c && place >= 0 ? set(s, c, (unsigned int)place, limit, value)
			       : s->drv->cuCtxSetLimit(limit, value);
}
