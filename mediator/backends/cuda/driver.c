/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * For the worker's CUDA calls: the driver's own functions, and copies of guest
 * memory on the streams of the guest's program.
 */
#include "session.h"

#include <dlfcn.h>
#include <string.h>

/* Copies that may be under way at once; each keeps its list of pieces until it is over. */
#define PLANS_MAX 64u

struct bulk_plan {
	struct plan plan;
	cudaEvent_t over;
};

void *cuda_symbol(struct vgpu_backend *be, const char *name)
{
	if (!be->libcuda)
		be->libcuda = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
	return be->libcuda ? dlsym(be->libcuda, name) : NULL;
}

static void free_plan(void *data)
{
	struct bulk_plan *p = data;

	if (p->over) {
		cudaEventSynchronize(p->over);
		cudaEventDestroy(p->over);
	}
	plan_clear(&p->plan);
	g_free(p);
}

/* Lists and events belong to the context that was current when they were made. */
static void follow_context(struct vgpu_backend *be)
{
	static int (*get_current)(void **ctx);
	void *now = NULL, *address;

	if (!get_current) {
		address = cuda_symbol(be, "cuCtxGetCurrent");
		memcpy(&get_current, &address, sizeof(address));
	}
	if (get_current)
		get_current(&now);
	if (be->bulk && be->bulk_context != now)
		g_clear_pointer(&be->bulk, g_ptr_array_unref);
	if (!be->bulk)
		be->bulk = g_ptr_array_new_with_free_func(free_plan);
	be->bulk_context = now;
}

static struct bulk_plan *new_plan(struct vgpu_backend *be)
{
	struct bulk_plan *p = g_new0(struct bulk_plan, 1);

	plan_init(&p->plan);
	if (cudaEventCreateWithFlags(&p->over, cudaEventDisableTiming) != cudaSuccess) {
		p->over = NULL;
		free_plan(p);
		return NULL;
	}
	g_ptr_array_add(be->bulk, p);
	return p;
}

/* A plan that no copy uses any more. */
static struct bulk_plan *free_one(struct vgpu_backend *be)
{
	struct bulk_plan *p = NULL;

	for (guint i = 0; i < be->bulk->len; i++) {
		p = g_ptr_array_index(be->bulk, i);
		if (cudaEventQuery(p->over) != cudaErrorNotReady)
			return p;
	}
	cudaGetLastError(); /* "not ready" is kept as an error, too */
	if (be->bulk->len < PLANS_MAX)
		return new_plan(be);
	cudaEventSynchronize(p->over);
	return p;
}

int cuda_copy(struct vgpu_backend *be, void *stream, uint64_t device, const struct vgpu_operand *op,
	      bool to_device, uint64_t *copied)
{
	cudaStream_t st = stream;
	uint8_t *at = (uint8_t *)(uintptr_t)device;
	struct bulk_plan *p;
	cudaError_t err;

	follow_context(be);
	p = free_one(be);
	if (!p)
		return cudaErrorMemoryAllocation;
	err = plan_make(&p->plan, op, &be->regions, st);
	if (err == cudaSuccess)
		err = to_device ? plan_to_device(&p->plan, at, &be->staging, st, copied)
				: plan_from_device(&p->plan, at, &be->staging, st, copied);
	if (err == cudaSuccess)
		err = cudaEventRecord(p->over, st);
	cudaGetLastError();
	return (int)err; /* of the same numbers as the driver's */
}

void cuda_release(struct vgpu_backend *be)
{
	g_clear_pointer(&be->bulk, g_ptr_array_unref);
	session_release(be);
}
