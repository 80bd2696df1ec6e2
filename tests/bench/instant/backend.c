/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A backend whose driver takes launches and does nothing with them, in half a
 * microsecond or so.
 *
 * The cpu backend's otherwise.  A launch there goes to another thread, which takes
 * longer than all that the worker does, and never the same.  Here each takes the
 * same, and long enough for the program to be ahead of the worker, so that what the
 * worker takes is what is seen.  The worker finds it by the name of the cuda backend.
 */
#include <gmodule.h>
#include <string.h>

#include "backend.h"
#include "cuda_driver.h"

/* Some cycles each; not measured by a clock, so that it is the same in all workers. */
#define ROUNDS 800u

static CUresult CUDAAPI launch(CUfunction f, unsigned int gx, unsigned int gy, unsigned int gz,
			       unsigned int bx, unsigned int by, unsigned int bz,
			       unsigned int shared, CUstream stream, void **params, void **extra)
{
	(void)f, (void)gx, (void)gy, (void)gz, (void)bx, (void)by, (void)bz;
	(void)shared, (void)stream, (void)params, (void)extra;
	for (volatile unsigned int i = 0; i < ROUNDS; i++)
		;
	return CUDA_SUCCESS;
}

/* Behind launches that are done: the event is as if it had never been recorded. */
static CUresult CUDAAPI record(CUevent event, CUstream stream)
{
	(void)event, (void)stream;
	return CUDA_SUCCESS;
}

static void *symbol(struct vgpu_backend *be, const char *name)
{
	CUresult (*launches)(CUfunction, unsigned int, unsigned int, unsigned int, unsigned int,
			     unsigned int, unsigned int, unsigned int, CUstream, void **, void **) =
		launch;
	CUresult (*records)(CUevent, CUstream) = record;
	void *found = vgpu_backend_cpu()->symbol(be, name);

	/* ISO C has no cast from a function's pointer to an object's. */
	if (strcmp(name, "cuLaunchKernel") == 0)
		memcpy(&found, &launches, sizeof(found));
	if (strcmp(name, "cuEventRecord") == 0)
		memcpy(&found, &records, sizeof(found));
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
