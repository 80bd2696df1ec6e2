/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Contexts, the primary one, and each thread's stack of current ones.
 */
#include <string.h>

#include "driver.h"

#define STACK_MAX 64

static _Thread_local CUcontext stack[STACK_MAX];
static _Thread_local unsigned int depth;

CUresult context_current(CUcontext *ctx)
{
	if (!depth || !stack[depth - 1])
		return CUDA_ERROR_INVALID_CONTEXT;
	*ctx = object_find(stack[depth - 1], OBJECT_CONTEXT);
	return *ctx ? CUDA_SUCCESS : CUDA_ERROR_CONTEXT_IS_DESTROYED;
}

static CUresult find(CUcontext handle, CUcontext *ctx)
{
	if (!handle)
		return context_current(ctx);
	*ctx = object_find(handle, OBJECT_CONTEXT);
	return *ctx ? CUDA_SUCCESS : CUDA_ERROR_INVALID_CONTEXT;
}

static void finish(void *object)
{
	CUcontext ctx = object;

	g_ptr_array_free(ctx->streams, TRUE);
}

static CUresult context_new(unsigned int flags, CUcontext *out)
{
	static uint64_t id;
	CUcontext ctx = object_new(OBJECT_CONTEXT, sizeof(*ctx), finish);

	if (!ctx)
		return CUDA_ERROR_OUT_OF_MEMORY;
	ctx->flags = flags;
	ctx->id = ++id;
	ctx->streams = g_ptr_array_new();
	ctx->limit[CU_LIMIT_STACK_SIZE] = 1024;
	ctx->limit[CU_LIMIT_PRINTF_FIFO_SIZE] = 1 << 20;
	ctx->limit[CU_LIMIT_MALLOC_HEAP_SIZE] = 8 << 20;
	ctx->limit[CU_LIMIT_DEV_RUNTIME_SYNC_DEPTH] = 2;
	ctx->limit[CU_LIMIT_DEV_RUNTIME_PENDING_LAUNCH_COUNT] = 2048;
	ctx->limit[CU_LIMIT_MAX_L2_FETCH_GRANULARITY] = 64;
	*out = ctx;
	return CUDA_SUCCESS;
}

struct owned {
	CUcontext ctx;
	enum object_type type;
};

static bool is_owned(void *object, const void *arg)
{
	const struct owned *o = arg;

	switch (o->type) {
	case OBJECT_EVENT:
		return ((CUevent)object)->ctx == o->ctx;
	case OBJECT_MODULE:
		return ((CUmodule)object)->ctx == o->ctx;
	case OBJECT_ARRAY:
		return ((CUarray)object)->ctx == o->ctx;
	default:
		return false;
	}
}

static void drop_owned(CUcontext ctx, enum object_type type)
{
	struct owned o = {ctx, type};
	GPtrArray *list = object_list(type, is_owned, &o);

	for (unsigned int i = 0; i < list->len; i++) {
		if (type == OBJECT_MODULE)
			module_unload(list->pdata[i]);
		else
			object_retire(list->pdata[i]);
	}
	g_ptr_array_free(list, TRUE);
}

/* Everything in it goes; threads that have it current learn it with their next call. */
static CUresult context_destroy(CUcontext ctx)
{
	CUresult err;

	object_ref(ctx);
	err = context_wait(ctx);
	if (!object_find(ctx, OBJECT_CONTEXT))
		err = CUDA_ERROR_INVALID_CONTEXT; /* another thread was faster */
	if (!err) {
		if (drv.primary == ctx)
			drv.primary = NULL;
		while (ctx->streams->len)
			stream_retire(ctx->streams->pdata[0]);
		drop_owned(ctx, OBJECT_EVENT);
		drop_owned(ctx, OBJECT_MODULE);
		drop_owned(ctx, OBJECT_ARRAY);
		ranges_remove_of(ctx);
		object_retire(ctx);
	}
	object_unref(ctx);
	return err;
}

static CUresult CUDAAPI cpu_cuCtxCreate_v2(CUcontext *ctx, unsigned int flags, CUdevice dev)
{
	CUresult err;

	ENTER();
	if (!ctx)
		return CUDA_ERROR_INVALID_VALUE;
	if (!device_is_valid(dev))
		return CUDA_ERROR_INVALID_DEVICE;
	if (depth >= STACK_MAX)
		return CUDA_ERROR_OUT_OF_MEMORY;
	err = context_new(flags, ctx);
	if (!err)
		stack[depth++] = *ctx;
	return err;
}

static CUresult CUDAAPI cpu_cuCtxCreate_v4(CUcontext *ctx, CUctxCreateParams *params,
					   unsigned int flags, CUdevice dev)
{
	if (params && (params->execAffinityParams || params->cigParams))
		return CUDA_ERROR_NOT_SUPPORTED;
	return cpu_cuCtxCreate_v2(ctx, flags, dev);
}

static CUresult CUDAAPI cpu_cuCtxDestroy_v2(CUcontext handle)
{
	CUcontext ctx;

	ENTER();
	ctx = object_find(handle, OBJECT_CONTEXT);
	if (!ctx || ctx->primary)
		return CUDA_ERROR_INVALID_CONTEXT;
	if (depth && stack[depth - 1] == ctx)
		depth--;
	return context_destroy(ctx);
}

static CUresult CUDAAPI cpu_cuCtxSetCurrent(CUcontext handle)
{
	ENTER();
	if (handle && !object_find(handle, OBJECT_CONTEXT))
		return CUDA_ERROR_INVALID_CONTEXT;
	if (!handle) {
		if (depth)
			depth--;
	} else if (depth) {
		stack[depth - 1] = handle;
	} else {
		stack[depth++] = handle;
	}
	return CUDA_SUCCESS;
}

static CUresult CUDAAPI cpu_cuCtxGetCurrent(CUcontext *ctx)
{
	ENTER();
	if (!ctx)
		return CUDA_ERROR_INVALID_VALUE;
	*ctx = depth ? stack[depth - 1] : NULL;
	return CUDA_SUCCESS;
}

static CUresult CUDAAPI cpu_cuCtxPushCurrent_v2(CUcontext handle)
{
	ENTER();
	if (!object_find(handle, OBJECT_CONTEXT))
		return CUDA_ERROR_INVALID_CONTEXT;
	if (depth >= STACK_MAX)
		return CUDA_ERROR_OUT_OF_MEMORY;
	stack[depth++] = handle;
	return CUDA_SUCCESS;
}

static CUresult CUDAAPI cpu_cuCtxPopCurrent_v2(CUcontext *ctx)
{
	ENTER();
	if (!depth)
		return CUDA_ERROR_INVALID_CONTEXT;
	depth--;
	if (ctx)
		*ctx = stack[depth];
	return CUDA_SUCCESS;
}

static CUresult CUDAAPI cpu_cuCtxGetDevice(CUdevice *dev)
{
	ENTER_CONTEXT(ctx);
	if (!dev)
		return CUDA_ERROR_INVALID_VALUE;
	*dev = 0;
	return CUDA_SUCCESS;
}

static CUresult CUDAAPI cpu_cuCtxGetFlags(unsigned int *flags)
{
	ENTER_CONTEXT(ctx);
	if (!flags)
		return CUDA_ERROR_INVALID_VALUE;
	*flags = ctx->flags;
	return CUDA_SUCCESS;
}

static CUresult CUDAAPI cpu_cuCtxSetFlags(unsigned int flags)
{
	ENTER_CONTEXT(ctx);
	if (flags & ~(unsigned int)CU_CTX_FLAGS_MASK)
		return CUDA_ERROR_INVALID_VALUE;
	ctx->flags = flags;
	return CUDA_SUCCESS;
}

static CUresult CUDAAPI cpu_cuCtxGetId(CUcontext handle, unsigned long long *id)
{
	CUcontext ctx;
	CUresult err;

	ENTER();
	if (!id)
		return CUDA_ERROR_INVALID_VALUE;
	err = find(handle, &ctx);
	if (!err)
		*id = ctx->id;
	return err;
}

static CUresult CUDAAPI cpu_cuCtxSynchronize(void)
{
	ENTER_CONTEXT(ctx);
	for (unsigned int i = 0; i < ctx->streams->len; i++)
		if (((CUstream)ctx->streams->pdata[i])->capture)
			return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
	object_ref(ctx);
	enter_error = context_wait(ctx);
	object_unref(ctx);
	return enter_error;
}

static CUresult CUDAAPI cpu_cuCtxSetLimit(CUlimit limit, size_t value)
{
	ENTER_CONTEXT(ctx);
	if (limit >= CU_LIMIT_MAX)
		return CUDA_ERROR_UNSUPPORTED_LIMIT;
	if (limit == CU_LIMIT_STACK_SIZE && value > 512u << 10)
		return CUDA_ERROR_INVALID_VALUE;
	ctx->limit[limit] = value;
	return CUDA_SUCCESS;
}

static CUresult CUDAAPI cpu_cuCtxGetLimit(size_t *value, CUlimit limit)
{
	ENTER_CONTEXT(ctx);
	if (!value)
		return CUDA_ERROR_INVALID_VALUE;
	if (limit >= CU_LIMIT_MAX)
		return CUDA_ERROR_UNSUPPORTED_LIMIT;
	*value = ctx->limit[limit];
	return CUDA_SUCCESS;
}

static CUresult CUDAAPI cpu_cuCtxGetCacheConfig(CUfunc_cache *config)
{
	ENTER_CONTEXT(ctx);
	if (!config)
		return CUDA_ERROR_INVALID_VALUE;
	*config = ctx->cache;
	return CUDA_SUCCESS;
}

static CUresult CUDAAPI cpu_cuCtxSetCacheConfig(CUfunc_cache config)
{
	ENTER_CONTEXT(ctx);
	if (config > CU_FUNC_CACHE_PREFER_EQUAL)
		return CUDA_ERROR_INVALID_VALUE;
	ctx->cache = config;
	return CUDA_SUCCESS;
}

static CUresult CUDAAPI cpu_cuCtxGetApiVersion(CUcontext handle, unsigned int *version)
{
	CUcontext ctx;
	CUresult err;

	ENTER();
	if (!version)
		return CUDA_ERROR_INVALID_VALUE;
	err = find(handle, &ctx);
	if (!err)
		*version = 3020;
	return err;
}

static CUresult CUDAAPI cpu_cuCtxGetStreamPriorityRange(int *least, int *greatest)
{
	ENTER_CONTEXT(ctx);
	if (least)
		*least = 0;
	if (greatest)
		*greatest = -5;
	return CUDA_SUCCESS;
}

static CUresult CUDAAPI cpu_cuCtxResetPersistingL2Cache(void)
{
	ENTER_CONTEXT(ctx);
	return CUDA_SUCCESS;
}

static CUresult CUDAAPI cpu_cuDevicePrimaryCtxRetain(CUcontext *ctx, CUdevice dev)
{
	CUresult err = CUDA_SUCCESS;

	ENTER();
	if (!ctx)
		return CUDA_ERROR_INVALID_VALUE;
	if (!device_is_valid(dev))
		return CUDA_ERROR_INVALID_DEVICE;
	if (!drv.primary) {
		err = context_new(drv.primary_flags, &drv.primary);
		if (err)
			return err;
		drv.primary->primary = true;
	}
	drv.primary->retained++;
	*ctx = drv.primary;
	return CUDA_SUCCESS;
}

static CUresult CUDAAPI cpu_cuDevicePrimaryCtxRelease_v2(CUdevice dev)
{
	ENTER();
	if (!device_is_valid(dev))
		return CUDA_ERROR_INVALID_DEVICE;
	if (!drv.primary || !drv.primary->retained)
		return CUDA_ERROR_INVALID_CONTEXT;
	if (--drv.primary->retained)
		return CUDA_SUCCESS;
	return context_destroy(drv.primary);
}

static CUresult CUDAAPI cpu_cuDevicePrimaryCtxReset_v2(CUdevice dev)
{
	ENTER();
	if (!device_is_valid(dev))
		return CUDA_ERROR_INVALID_DEVICE;
	return drv.primary ? context_destroy(drv.primary) : CUDA_SUCCESS;
}

static CUresult CUDAAPI cpu_cuDevicePrimaryCtxSetFlags_v2(CUdevice dev, unsigned int flags)
{
	ENTER();
	if (!device_is_valid(dev))
		return CUDA_ERROR_INVALID_DEVICE;
	if (flags & ~(unsigned int)CU_CTX_FLAGS_MASK)
		return CUDA_ERROR_INVALID_VALUE;
	drv.primary_flags = flags;
	if (drv.primary)
		drv.primary->flags = flags;
	return CUDA_SUCCESS;
}

static CUresult CUDAAPI cpu_cuDevicePrimaryCtxGetState(CUdevice dev, unsigned int *flags,
						       int *active)
{
	ENTER();
	if (!device_is_valid(dev))
		return CUDA_ERROR_INVALID_DEVICE;
	if (flags)
		*flags = drv.primary_flags;
	if (active)
		*active = drv.primary != NULL;
	return CUDA_SUCCESS;
}

CPU_SYMBOLS(cpu_context_symbols, {"cuCtxCreate_v2", (cpu_fn)cpu_cuCtxCreate_v2, 1},
	    CPU_FN(cuCtxCreate_v4), CPU_FN(cuCtxDestroy_v2), CPU_FN(cuCtxSetCurrent),
	    CPU_FN(cuCtxGetCurrent), CPU_FN(cuCtxPushCurrent_v2), CPU_FN(cuCtxPopCurrent_v2),
	    CPU_FN(cuCtxGetDevice), CPU_FN(cuCtxGetFlags), CPU_FN(cuCtxSetFlags),
	    CPU_FN(cuCtxGetId), CPU_FN(cuCtxSynchronize), CPU_FN(cuCtxSetLimit),
	    CPU_FN(cuCtxGetLimit), CPU_FN(cuCtxGetCacheConfig), CPU_FN(cuCtxSetCacheConfig),
	    CPU_FN(cuCtxGetApiVersion), CPU_FN(cuCtxGetStreamPriorityRange),
	    CPU_FN(cuCtxResetPersistingL2Cache), CPU_FN(cuDevicePrimaryCtxRetain),
	    CPU_FN(cuDevicePrimaryCtxRelease_v2), CPU_FN(cuDevicePrimaryCtxReset_v2),
	    CPU_FN(cuDevicePrimaryCtxSetFlags_v2), CPU_FN(cuDevicePrimaryCtxGetState));
