/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Occupancy of clusters, whose question has the form of a launch. */
#include "cuda_dispatch.h"
#include "launch.h"
#include "session.h"

#define ATTRIBUTES_MAX 16u

CUresult host_vgpuClusters(struct cuda_session *s, unsigned int which, unsigned long long function,
			   unsigned int gx, unsigned int gy, unsigned int gz, unsigned int bx,
			   unsigned int by, unsigned int bz, unsigned int shared,
			   unsigned int attributes, const struct vgpu_launch_attribute *attribute,
			   int *answer)
{
	const struct cuda_object *o = launches_function(s, function);
	CUlaunchAttribute attrs[ATTRIBUTES_MAX];
	const CUlaunchConfig config = {.gridDimX = gx,
				       .gridDimY = gy,
				       .gridDimZ = gz,
				       .blockDimX = bx,
				       .blockDimY = by,
				       .blockDimZ = bz,
				       .sharedMemBytes = shared,
				       .attrs = attrs,
				       .numAttrs = attributes};
	CUresult (*ask)(int *, CUfunction, const CUlaunchConfig *) =
		which == VGPU_CLUSTERS_ACTIVE ? s->drv->cuOccupancyMaxActiveClusters
					      : s->drv->cuOccupancyMaxPotentialClusterSize;
	CUresult r = CUDA_SUCCESS;

	if (which > VGPU_CLUSTERS_POTENTIAL || attributes > ATTRIBUTES_MAX)
		return CUDA_ERROR_INVALID_VALUE;
	if (!o)
		return CUDA_ERROR_INVALID_HANDLE;
	for (unsigned int i = 0; i < attributes && r == CUDA_SUCCESS; i++)
		r = launches_attribute(s, &attribute[i], &attrs[i]);
	if (r != CUDA_SUCCESS)
		return r;
	return ask ? ask(answer, (CUfunction)(uintptr_t)o->real, &config)
		   : CUDA_ERROR_NOT_SUPPORTED;
}
