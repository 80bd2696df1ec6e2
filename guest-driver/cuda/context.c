// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The stack of contexts of each thread, and contexts that programs create.
 *
 * Nothing here asks the host but creating and destroying.  A struct context is
 * never freed: another thread may have it on its stack, and then learns from
 * `alive` that it is gone.
 */
#include "context.h"

#include <pthread.h>
#include <stdlib.h>

#include "box.h"
#include "capture.h"
#include "context_priv.h"
#include "cuda_rpc.h"
#include "device.h"
#include "export/export.h"
#include "handles.h"
#include "ranges.h"
#include "register.h"
#include "spare.h"
#include "staging.h"
#include "window.h"

#define STACK_MAX 256

__thread bool shim_default_per_thread __attribute__((tls_model("initial-exec")));

static __thread struct context *top __attribute__((tls_model("initial-exec")));
static __thread struct stack {
	unsigned int depth; /* with `top` */
	struct context **below;
} * stack __attribute__((tls_model("initial-exec")));

static pthread_key_t stack_key;
static pthread_once_t stack_once = PTHREAD_ONCE_INIT;

static void free_stack(void *p)
{
	struct stack *s = p;

	free(s->below);
	free(s);
	stack = NULL;
	top = NULL;
}

static void make_key(void)
{
	pthread_key_create(&stack_key, free_stack);
}

static struct stack *own_stack(void)
{
	if (stack)
		return stack;
	pthread_once(&stack_once, make_key);
	stack = calloc(1, sizeof(*stack));
	if (stack)
		stack->below = calloc(STACK_MAX, sizeof(*stack->below));
	if (stack && !stack->below) {
		free(stack);
		stack = NULL;
	}
	if (stack)
		pthread_setspecific(stack_key, stack);
	return stack;
}

uint64_t context_current(void)
{
	return top ? top->host : 0;
}

struct context *context_top(void)
{
	return top;
}

struct context *context_find(CUcontext ctx)
{
	return ctx ? handle_data(HANDLE_OF(ctx), VGPU_CUDA_CONTEXT) : top;
}

CUresult shim_enter_context(void)
{
	CUresult r = shim_enter();

	if (r != CUDA_SUCCESS)
		return r;
	if (!top)
		return CUDA_ERROR_INVALID_CONTEXT;
	return top->alive ? CUDA_SUCCESS : CUDA_ERROR_CONTEXT_IS_DESTROYED;
}

CUresult shim_enter_object(uint64_t handle)
{
	return top || !vgpu_cuda_handle_type(handle) ? shim_enter_context() : shim_enter();
}

void context_lend(struct context *c)
{
	top = c;
}

struct context *context_new(CUdevice dev, unsigned int flags)
{
	static unsigned long long ids;
	struct context *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->self = handle_new(VGPU_CUDA_CONTEXT, c);
	if (!c->self) {
		free(c);
		return NULL;
	}
	c->host = c->self;
	c->device = dev;
	c->flags = flags;
	c->id = __atomic_add_fetch(&ids, 1, __ATOMIC_RELAXED);
	return c;
}

void context_ended(struct context *c)
{
	struct context *before = top;

	__atomic_store_n(&c->alive, false, __ATOMIC_RELEASE);
	top = c;
	capture_context_ends(c);
	register_context_ends(c);
	range_forget_context(c);
	spare_forget(c);
	staging_context_ends(c);
	box_context_ends(c);
	window_context_ends(c);
	top = before;
}

/* ------------------------------------------------------------- the stack */

static CUresult push(struct context *c)
{
	struct stack *s = own_stack();

	if (!s || s->depth == STACK_MAX)
		return CUDA_ERROR_OUT_OF_MEMORY;
	s->below[s->depth++] = top;
	top = c;
	return CUDA_SUCCESS;
}

static void pop(void)
{
	top = stack->below[--stack->depth];
}

CUresult cuCtxPushCurrent_v2(CUcontext ctx)
{
	struct context *c;
	CUresult r = shim_enter();

	if (r != CUDA_SUCCESS)
		return r;
	c = ctx ? context_find(ctx) : NULL;
	if (!c)
		return CUDA_ERROR_INVALID_CONTEXT;
	return c->alive || c->primary ? push(c) : CUDA_ERROR_CONTEXT_IS_DESTROYED;
}

CUresult cuCtxPopCurrent_v2(CUcontext *pctx)
{
	CUresult r = shim_enter();

	if (r != CUDA_SUCCESS)
		return r;
	if (!top)
		return CUDA_ERROR_INVALID_CONTEXT;
	if (pctx)
		*pctx = HANDLE_AS(CUcontext, top->self);
	pop();
	return CUDA_SUCCESS;
}

/* Replaces the top, unlike pushing; NULL takes the top away. */
CUresult cuCtxSetCurrent(CUcontext ctx)
{
	struct context *c;

	if (!shim_initialised())
		return CUDA_ERROR_NOT_INITIALIZED;
	if (!ctx) {
		if (top)
			pop();
		return CUDA_SUCCESS;
	}
	c = context_find(ctx);
	if (!c)
		return CUDA_ERROR_INVALID_CONTEXT;
	if (!c->alive && !c->primary)
		return CUDA_ERROR_CONTEXT_IS_DESTROYED;
	if (!top)
		return push(c);
	top = c;
	return CUDA_SUCCESS;
}

CUresult cuCtxGetCurrent(CUcontext *pctx)
{
	if (!shim_initialised())
		return CUDA_ERROR_NOT_INITIALIZED;
	if (!pctx)
		return CUDA_ERROR_INVALID_VALUE;
	*pctx = top ? HANDLE_AS(CUcontext, top->self) : NULL;
	return CUDA_SUCCESS;
}

/* ------------------------------------------------- creating, destroying */

static CUresult create(CUcontext *pctx, unsigned int flags, CUdevice dev)
{
	struct context *c;
	CUcontext made;
	CUresult r = shim_enter();

	if (r != CUDA_SUCCESS)
		return r;
	if (!pctx || (flags & ~CU_CTX_FLAGS_MASK))
		return CUDA_ERROR_INVALID_VALUE;
	if (!device_valid(dev))
		return CUDA_ERROR_INVALID_DEVICE;
	c = context_new(dev, flags);
	if (!c)
		return CUDA_ERROR_OUT_OF_MEMORY;
	made = HANDLE_AS(CUcontext, c->self);
	r = rpc_vgpuCtxCreate(&made, flags, dev);
	if (r == CUDA_ERROR_OUT_OF_MEMORY && spare_release())
		r = rpc_vgpuCtxCreate(&made, flags, dev);
	if (r == CUDA_SUCCESS)
		r = push(c);
	if (r != CUDA_SUCCESS) {
		handle_drop(c->self);
		return r;
	}
	c->alive = true;
	*pctx = made;
	return CUDA_SUCCESS;
}

CUresult cuCtxCreate_v2(CUcontext *pctx, unsigned int flags, CUdevice dev)
{
	return create(pctx, flags, dev);
}

/* Affinities are for a shared server of contexts, which there is none of. */
CUresult cuCtxCreate_v3(CUcontext *pctx, CUexecAffinityParam *paramsArray, int numParams,
			unsigned int flags, CUdevice dev)
{
	if (paramsArray || numParams)
		return CUDA_ERROR_UNSUPPORTED_EXEC_AFFINITY;
	return create(pctx, flags, dev);
}

CUresult cuCtxCreate_v4(CUcontext *pctx, CUctxCreateParams *ctxCreateParams, unsigned int flags,
			CUdevice dev)
{
	if (ctxCreateParams &&
	    (ctxCreateParams->numExecAffinityParams || ctxCreateParams->cigParams))
		return CUDA_ERROR_NOT_SUPPORTED;
	return create(pctx, flags, dev);
}

CUresult cuCtxDestroy_v2(CUcontext ctx)
{
	struct context *c;
	CUresult r = shim_enter();

	if (r != CUDA_SUCCESS)
		return r;
	c = ctx ? context_find(ctx) : NULL;
	if (!c)
		return CUDA_ERROR_INVALID_CONTEXT;
	if (c->primary)
		return CUDA_ERROR_INVALID_CONTEXT;
	if (!c->alive)
		return CUDA_ERROR_CONTEXT_IS_DESTROYED;
	export_context_gone(ctx);
	context_ended(c);
	r = rpc_vgpuCtxDestroy(HANDLE_AS(CUcontext, c->host));
	if (top == c)
		pop();
	/* Its handle stays, so that who still has it learns that it was destroyed. */
	return r;
}
