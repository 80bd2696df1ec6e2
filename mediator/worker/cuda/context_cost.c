/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What contexts cost the tenant.  Hundreds of MiB of device memory each, which no
 * allocation of the guest stands for.  What a session has to have, one of the
 * guest's and one of the worker's own, is part of what a session is; the daemon is
 * told of it, since from outside it cannot be told from what a guest took.
 */
#include "charge.h"
#include "contexts.h"
#include "session.h"
#include "worker.h"

uint64_t contexts_any(struct cuda_session *s)
{
	uint32_t at = 0;
	const struct cuda_object *o = handles_each(&s->handles, VGPU_CUDA_CONTEXT, &at);

	return o ? o->handle : 0;
}

CUresult contexts_pay(struct cuda_session *s)
{
	const struct worker_tenant *t = &s->worker->tenant;
	CUresult r;

	if (!contexts_any(s))
		return CUDA_SUCCESS;
	r = charge_take(s, t->limits.context);
	if (r == CUDA_SUCCESS)
		s->new_charged = t->limits.context;
	return r;
}

/* The primary context is there although the guest does not hold it. */
static bool has_own(struct cuda_session *s, bool guest_has_primary)
{
	unsigned int flags;
	int active = 0;

	if (guest_has_primary)
		return false;
	/* A backend's commands make it, too, by NVIDIA's runtime, which keeps it. */
	if (s->drv->cuDevicePrimaryCtxGetState &&
	    s->drv->cuDevicePrimaryCtxGetState(s->device, &flags, &active) == CUDA_SUCCESS)
		return active;
	return s->borrowed;
}

void contexts_settle(struct cuda_session *s)
{
	struct cuda_object *o, *paid = NULL;
	struct worker_tenant *t = &s->worker->tenant;
	bool primary = false;
	uint64_t unpaid = 0;

	for (uint32_t at = 0; (o = handles_each(&s->handles, VGPU_CUDA_CONTEXT, &at));) {
		const struct cuda_context *c = o->data;

		primary |= c && c->primary;
		if (o->charged)
			paid = o;
		else
			unpaid++;
	}
	if (!unpaid && paid) {
		charge_give(s, paid->charged);
		paid->charged = 0;
		unpaid = 1;
	}
	unpaid += has_own(s, primary);
	t->own.contexts = unpaid;
	__atomic_store_n(&t->mine->contexts, unpaid, __ATOMIC_RELAXED);
}
