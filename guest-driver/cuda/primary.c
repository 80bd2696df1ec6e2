// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Primary contexts: how often they are retained, their flags, whether they
 * are active.  The host is asked only when one becomes active or inactive.
 */
#include <pthread.h>

#include "context_priv.h"
#include "cuda_rpc.h"
#include "device.h"
#include "export/export.h"
#include "handles.h"
#include "spare.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct primary {
	struct context *context;
	unsigned int retained;
	unsigned int flags; /* for when it becomes active next */
} primaries[DEVICES_MAX];

/* Called with the lock held. */
static struct context *context_of(CUdevice dev)
{
	struct primary *p = &primaries[dev];

	if (!p->context) {
		p->context = context_new(dev, p->flags);
		if (p->context) {
			p->context->primary = true;
			p->context->host = 0;
		}
	}
	return p->context;
}

CUcontext context_primary(CUdevice dev)
{
	struct context *c = NULL;

	pthread_mutex_lock(&lock);
	if (device_valid(dev))
		c = context_of(dev);
	pthread_mutex_unlock(&lock);
	return c ? HANDLE_AS(CUcontext, c->self) : NULL;
}

/* Called with the lock held. */
static CUresult activate(struct primary *p, CUdevice dev)
{
	struct context *c = context_of(dev);
	CUcontext made;
	CUresult r;

	if (!c)
		return CUDA_ERROR_OUT_OF_MEMORY;
	if (c->alive)
		return CUDA_SUCCESS;
	made = HANDLE_AS(CUcontext, handle_new(VGPU_CUDA_CONTEXT, NULL));
	if (!made)
		return CUDA_ERROR_OUT_OF_MEMORY;
	r = rpc_vgpuCtxRetainPrimary(&made, p->flags, dev);
	if (r == CUDA_ERROR_OUT_OF_MEMORY && spare_release())
		r = rpc_vgpuCtxRetainPrimary(&made, p->flags, dev);
	if (r != CUDA_SUCCESS) {
		handle_drop(HANDLE_OF(made));
		return r;
	}
	c->host = HANDLE_OF(made);
	c->flags = p->flags;
	c->limits_known = 0;
	c->synced = 0;
	__atomic_store_n(&c->alive, true, __ATOMIC_RELEASE);
	return CUDA_SUCCESS;
}

/* Called with the lock held. */
static CUresult deactivate(struct primary *p)
{
	struct context *c = p->context;
	uint64_t host;
	CUresult r;

	p->retained = 0;
	if (!c || !c->alive)
		return CUDA_SUCCESS;
	host = c->host;
	context_ended(c);
	r = rpc_vgpuCtxReleasePrimary(HANDLE_AS(CUcontext, host), c->device);
	c->host = 0;
	handle_drop(host);
	return r;
}

CUresult cuDevicePrimaryCtxRetain(CUcontext *pctx, CUdevice dev)
{
	CUresult r = shim_enter();

	if (r != CUDA_SUCCESS)
		return r;
	if (!pctx)
		return CUDA_ERROR_INVALID_VALUE;
	if (!device_valid(dev))
		return CUDA_ERROR_INVALID_DEVICE;
	pthread_mutex_lock(&lock);
	r = activate(&primaries[dev], dev);
	if (r == CUDA_SUCCESS) {
		primaries[dev].retained++;
		*pctx = HANDLE_AS(CUcontext, primaries[dev].context->self);
	}
	pthread_mutex_unlock(&lock);
	return r;
}

/*
 * Tells those who keep something with the context that it goes.  Called with
 * no lock held, for they may call the driver.
 */
static void announce_end(CUdevice dev)
{
	const struct context *c = __atomic_load_n(&primaries[dev].context, __ATOMIC_ACQUIRE);

	if (c)
		export_context_gone(HANDLE_AS(CUcontext, c->self));
}

CUresult cuDevicePrimaryCtxRelease_v2(CUdevice dev)
{
	CUresult r = CUDA_SUCCESS;

	if (!shim_initialised())
		return CUDA_ERROR_NOT_INITIALIZED;
	if (!device_valid(dev))
		return CUDA_ERROR_INVALID_DEVICE;
	if (__atomic_load_n(&primaries[dev].retained, __ATOMIC_RELAXED) == 1)
		announce_end(dev);
	pthread_mutex_lock(&lock);
	if (!primaries[dev].retained)
		r = CUDA_ERROR_INVALID_CONTEXT;
	else if (!--primaries[dev].retained)
		r = deactivate(&primaries[dev]);
	pthread_mutex_unlock(&lock);
	return r;
}

CUresult cuDevicePrimaryCtxReset_v2(CUdevice dev)
{
	CUresult r;

	if (!shim_initialised())
		return CUDA_ERROR_NOT_INITIALIZED;
	if (!device_valid(dev))
		return CUDA_ERROR_INVALID_DEVICE;
	announce_end(dev);
	pthread_mutex_lock(&lock);
	r = deactivate(&primaries[dev]);
	pthread_mutex_unlock(&lock);
	return r;
}

CUresult cuDevicePrimaryCtxSetFlags_v2(CUdevice dev, unsigned int flags)
{
	struct context *c;

	if (!shim_initialised())
		return CUDA_ERROR_NOT_INITIALIZED;
	if (!device_valid(dev))
		return CUDA_ERROR_INVALID_DEVICE;
	if (flags & ~CU_CTX_FLAGS_MASK)
		return CUDA_ERROR_INVALID_VALUE;
	pthread_mutex_lock(&lock);
	primaries[dev].flags = flags;
	c = primaries[dev].context;
	if (c)
		c->flags = flags;
	pthread_mutex_unlock(&lock);
	return CUDA_SUCCESS;
}

/* Asked hundreds of thousands of times by frameworks: takes no lock. */
CUresult cuDevicePrimaryCtxGetState(CUdevice dev, unsigned int *flags, int *active)
{
	struct context *c;

	if (!shim_initialised())
		return CUDA_ERROR_NOT_INITIALIZED;
	if (!device_valid(dev))
		return CUDA_ERROR_INVALID_DEVICE;
	c = __atomic_load_n(&primaries[dev].context, __ATOMIC_ACQUIRE);
	if (flags)
		*flags = primaries[dev].flags;
	if (active)
		*active = c && __atomic_load_n(&c->alive, __ATOMIC_ACQUIRE);
	return CUDA_SUCCESS;
}
