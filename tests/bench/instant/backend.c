/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A backend whose driver takes launches and does nothing with them, in a
 * microsecond or so.
 *
 * The cpu backend's otherwise.  A launch there goes to another thread, which takes
 * longer than all that the worker does, and never the same.  Here each takes the
 * same, and long enough for the program to be ahead of the worker, so that what the
 * worker takes is what is seen; and events and streams, about which the worker asks
 * for its accounts, take half of it.  The worker finds it by the cuda backend's name.
 */
#include <gmodule.h>
#include <string.h>

#include "backend.h"
#include "cuda_driver.h"

/* Some cycles each; not measured by a clock, so that it is the same in all workers. */
#define LAUNCH_ROUNDS 2000u
#define EVENT_ROUNDS 1000u

static CUresult take(unsigned int rounds)
{
	for (volatile unsigned int i = 0; i < rounds; i++)
		;
	return CUDA_SUCCESS;
}

static CUresult CUDAAPI launch(CUfunction f, unsigned int gx, unsigned int gy, unsigned int gz,
			       unsigned int bx, unsigned int by, unsigned int bz,
			       unsigned int shared, CUstream stream, void **params, void **extra)
{
	(void)f, (void)gx, (void)gy, (void)gz, (void)bx, (void)by, (void)bz;
	(void)shared, (void)stream, (void)params, (void)extra;
	return take(LAUNCH_ROUNDS);
}

/* All is done at once, so that there is nothing to be noted. */
static CUresult CUDAAPI record(CUevent event, CUstream stream)
{
	(void)event, (void)stream;
	return take(EVENT_ROUNDS);
}

static CUresult CUDAAPI query_event(CUevent event)
{
	(void)event;
	return take(EVENT_ROUNDS);
}

static CUresult CUDAAPI query_stream(CUstream stream)
{
	(void)stream;
	return take(EVENT_ROUNDS);
}

/* Through a structure: ISO C has no cast from a function's pointer to an object's. */
static const struct {
	CUresult (*launch)(CUfunction, unsigned int, unsigned int, unsigned int, unsigned int,
			   unsigned int, unsigned int, unsigned int, CUstream, void **, void **);
	CUresult (*record)(CUevent, CUstream);
	CUresult (*query_event)(CUevent);
	CUresult (*query_stream)(CUstream);
} functions = {launch, record, query_event, query_stream};

static const char *const names[] = {"cuLaunchKernel", "cuEventRecord", "cuEventQuery",
				    "cuStreamQuery"};

static void *symbol(struct vgpu_backend *be, const char *name)
{
	void *found = vgpu_backend_cpu()->symbol(be, name);

	for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
		if (strcmp(name, names[i]) == 0)
			memcpy(&found, (const char *)&functions + i * sizeof(found), sizeof(found));
	}
	return found;
}

G_MODULE_EXPORT const struct vgpu_backend_ops *vgpu_backend_get(void);

const struct vgpu_backend_ops *vgpu_backend_get(void)
{
	static struct vgpu_backend_ops ops;

	ops = *vgpu_backend_cpu();
	ops.symbol = symbol;
	return &ops;
}
