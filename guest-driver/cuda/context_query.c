// SPDX-License-Identifier: GPL-2.0-or-later
/* What a program asks about the current context, and waiting for it. */
#include "client.h"
#include "context.h"
#include "cuda_rpc.h"
#include "device.h"
#include "handles.h"

/* Asked hundreds of thousands of times by frameworks. */
CUresult cuCtxGetDevice(CUdevice *device)
{
	struct context *c = context_top();

	if (!shim_initialised())
		return CUDA_ERROR_NOT_INITIALIZED;
	if (!device)
		return CUDA_ERROR_INVALID_VALUE;
	if (!c)
		return CUDA_ERROR_INVALID_CONTEXT;
	*device = c->device;
	return CUDA_SUCCESS;
}

/* The context meant, in *c, if it can be asked. */
static CUresult ask(CUcontext ctx, const void *out, struct context **c)
{
	if (!shim_initialised())
		return CUDA_ERROR_NOT_INITIALIZED;
	if (!out)
		return CUDA_ERROR_INVALID_VALUE;
	*c = context_find(ctx);
	if (!*c)
		return CUDA_ERROR_INVALID_CONTEXT;
	return (*c)->alive ? CUDA_SUCCESS : CUDA_ERROR_CONTEXT_IS_DESTROYED;
}

CUresult cuCtxGetDevice_v2(CUdevice *device, CUcontext ctx)
{
	struct context *c;
	CUresult r = ask(ctx, device, &c);

	if (r == CUDA_SUCCESS)
		*device = c->device;
	return r;
}

CUresult cuCtxGetFlags(unsigned int *flags)
{
	struct context *c;
	CUresult r = ask(NULL, flags, &c);

	if (r == CUDA_SUCCESS)
		*flags = c->flags;
	return r;
}

/* How to wait is the library's own affair, so that flags are only remembered. */
CUresult cuCtxSetFlags(unsigned int flags)
{
	struct context *c;
	CUresult r = ask(NULL, &flags, &c);

	if (r == CUDA_SUCCESS && (flags & ~CU_CTX_FLAGS_MASK))
		r = CUDA_ERROR_INVALID_VALUE;
	if (r == CUDA_SUCCESS)
		c->flags = flags;
	return r;
}

CUresult cuCtxGetId(CUcontext ctx, unsigned long long *ctxId)
{
	struct context *c;
	CUresult r = ask(ctx, ctxId, &c);

	if (r == CUDA_SUCCESS)
		*ctxId = c->id;
	return r;
}

CUresult cuCtxGetApiVersion(CUcontext ctx, unsigned int *version)
{
	struct context *c;
	CUresult r = ask(ctx, version, &c);

	if (r == CUDA_SUCCESS)
		*version = device_info(c->device)->context_api_version;
	return r;
}

CUresult cuCtxGetStreamPriorityRange(int *leastPriority, int *greatestPriority)
{
	struct context *c;
	CUresult r = ask(NULL, "", &c);

	if (r != CUDA_SUCCESS)
		return r;
	if (leastPriority)
		*leastPriority = (int)device_info(c->device)->priority_least;
	if (greatestPriority)
		*greatestPriority = (int)device_info(c->device)->priority_greatest;
	return CUDA_SUCCESS;
}

/* Banks of shared memory have had one width only for many generations. */
CUresult cuCtxGetSharedMemConfig(CUsharedconfig *pConfig)
{
	struct context *c;
	CUresult r = ask(NULL, pConfig, &c);

	if (r == CUDA_SUCCESS)
		*pConfig = CU_SHARED_MEM_CONFIG_FOUR_BYTE_BANK_SIZE;
	return r;
}

CUresult cuCtxSetSharedMemConfig(CUsharedconfig config)
{
	struct context *c;
	CUresult r = ask(NULL, &config, &c);

	if (r == CUDA_SUCCESS && (unsigned int)config > CU_SHARED_MEM_CONFIG_EIGHT_BYTE_BANK_SIZE)
		r = CUDA_ERROR_INVALID_VALUE;
	return r;
}

/* ------------------------------------------------------------------ limits */

CUresult cuCtxGetLimit(size_t *pvalue, CUlimit limit)
{
	struct context *c;
	CUresult r = ask(NULL, pvalue, &c);

	if (r != CUDA_SUCCESS)
		return r;
	if ((unsigned int)limit >= CONTEXT_LIMITS)
		return CUDA_ERROR_UNSUPPORTED_LIMIT;
	if (!(__atomic_load_n(&c->limits_known, __ATOMIC_ACQUIRE) & 1u << limit)) {
		r = rpc_cuCtxGetLimit(&c->limit[limit], limit);
		if (r != CUDA_SUCCESS)
			return r;
		__atomic_or_fetch(&c->limits_known, 1u << limit, __ATOMIC_RELEASE);
	}
	*pvalue = c->limit[limit];
	return CUDA_SUCCESS;
}

/* The device may round what it is given, so that it is asked again. */
CUresult cuCtxSetLimit(CUlimit limit, size_t value)
{
	struct context *c;
	CUresult r = ask(NULL, &limit, &c);

	if (r != CUDA_SUCCESS)
		return r;
	if ((unsigned int)limit >= CONTEXT_LIMITS)
		return CUDA_ERROR_UNSUPPORTED_LIMIT;
	r = rpc_cuCtxSetLimit(limit, value);
	__atomic_and_fetch(&c->limits_known, ~(1u << limit), __ATOMIC_RELEASE);
	return r;
}

/* ----------------------------------------------------------------- waiting */

CUresult cuCtxSynchronize(void)
{
	struct context *c;
	uint64_t now;
	CUresult r = shim_enter_context();

	if (r != CUDA_SUCCESS)
		return r;
	c = context_top();
	now = client_sequence();
	if (__atomic_load_n(&c->synced, __ATOMIC_RELAXED) == now + 1)
		return CUDA_SUCCESS; /* nothing was asked for since */
	r = rpc_vgpuCtxSynchronize();
	if (r == CUDA_SUCCESS)
		__atomic_store_n(&c->synced, now + 2, __ATOMIC_RELAXED);
	return r;
}

CUresult cuCtxSynchronize_v2(CUcontext ctx)
{
	CUresult r;

	if (!ctx)
		return cuCtxSynchronize();
	r = cuCtxPushCurrent_v2(ctx);
	if (r != CUDA_SUCCESS)
		return r;
	r = cuCtxSynchronize();
	cuCtxPopCurrent_v2(NULL);
	return r;
}

/* ---------------------------------------------------- forms of long ago */

CUresult cuCtxAttach(CUcontext *pctx, unsigned int flags)
{
	(void)pctx;
	(void)flags;
	return CUDA_ERROR_NOT_SUPPORTED;
}

CUresult cuCtxDetach(CUcontext ctx)
{
	(void)ctx;
	return CUDA_ERROR_NOT_SUPPORTED;
}

CUresult cuCtxGetExecAffinity(CUexecAffinityParam *pExecAffinity, CUexecAffinityType type)
{
	struct context *c;
	CUresult r = ask(NULL, pExecAffinity, &c);

	(void)type;
	return r == CUDA_SUCCESS ? CUDA_ERROR_UNSUPPORTED_EXEC_AFFINITY : r;
}
