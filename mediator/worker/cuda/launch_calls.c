/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Launching kernels: the hottest path of all, so nothing here allocates. */
#include <string.h>

#include "blobs.h"
#include "contexts.h"
#include "cuda_dispatch.h"
#include "launch.h"
#include "modules.h"
#include "session.h"

#define ATTRIBUTES_MAX 16u

const struct cuda_object *launches_function(struct cuda_session *s, uint64_t handle)
{
	const struct cuda_object *o = handles_object(&s->handles, handle, VGPU_CUDA_FUNCTION);

	return o ? o : handles_object(&s->handles, handle, VGPU_CUDA_KERNEL);
}

CUresult launches_attribute(struct cuda_session *s, const struct vgpu_launch_attribute *in,
			    CUlaunchAttribute *out)
{
	uint64_t handle;
	void *event;
	CUresult r;

	if (in->reserved)
		return CUDA_ERROR_INVALID_VALUE;
	memset(out, 0, sizeof(*out));
	out->id = (CUlaunchAttributeID)in->id;
	memcpy(&out->value, in->value, sizeof(out->value));
	switch (in->id) {
	case CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_EVENT:
	case CU_LAUNCH_ATTRIBUTE_LAUNCH_COMPLETION_EVENT:
		memcpy(&handle, in->value, sizeof(handle)); /* the event is the first member */
		r = handles_get(s, handle, VGPU_CUDA_EVENT, &event);
		memcpy(&out->value, &event, sizeof(event));
		return r;
	case CU_LAUNCH_ATTRIBUTE_ACCESS_POLICY_WINDOW:
		return ranges_check(s, (uintptr_t)out->value.accessPolicyWindow.base_ptr,
				    out->value.accessPolicyWindow.num_bytes)
			       ? CUDA_SUCCESS
			       : CUDA_ERROR_INVALID_VALUE;
	case CU_LAUNCH_ATTRIBUTE_DEVICE_UPDATABLE_KERNEL_NODE:
		return CUDA_ERROR_NOT_SUPPORTED;
	default:
		return CUDA_SUCCESS;
	}
}

static CUresult launch_ex(struct cuda_session *s, const CUlaunchConfig *config, CUfunction f,
			  const struct vgpu_launch_attribute *in, unsigned int n)
{
	CUlaunchAttribute attribute[ATTRIBUTES_MAX];
	CUlaunchConfig c = *config;

	if (!s->drv->cuLaunchKernelEx)
		return CUDA_ERROR_NOT_SUPPORTED;
	if (n > ATTRIBUTES_MAX)
		return CUDA_ERROR_INVALID_VALUE;
	for (unsigned int i = 0; i < n; i++) {
		CUresult r = launches_attribute(s, &in[i], &attribute[i]);

		if (r != CUDA_SUCCESS)
			return r;
	}
	c.attrs = attribute;
	c.numAttrs = n;
	return s->drv->cuLaunchKernelEx(&c, f, s->params, NULL);
}

bool launches_params(struct cuda_session *s, const struct layout *l, const uint8_t *packed,
		     uint64_t bytes)
{
	if (!l || bytes < l->bytes || l->n > s->nparams)
		return false;
	for (uint32_t i = 0; i < l->n; i++)
		s->params[i] = (void *)(packed + l->param[i].offset);
	return true;
}

CUresult launches_pay(struct cuda_session *s, const struct layout *l)
{
	return l->local ? contexts_local(s, l->local) : CUDA_SUCCESS;
}

CUresult host_vgpuLaunch(struct cuda_session *s, unsigned long long function, unsigned int gx,
			 unsigned int gy, unsigned int gz, unsigned int bx, unsigned int by,
			 unsigned int bz, unsigned int shared, CUstream stream, unsigned int flags,
			 unsigned long long blob, unsigned int attributes,
			 const struct vgpu_launch_attribute *attribute, unsigned int bytes,
			 const void *params)
{
	const struct cuda_object *o = launches_function(s, function);
	const struct blob *b = NULL;
	CUfunction f;
	CUresult r;

	if (!o)
		return CUDA_ERROR_INVALID_HANDLE;
	if (flags & ~(VGPU_LAUNCH_COOPERATIVE | VGPU_LAUNCH_BLOB))
		return CUDA_ERROR_INVALID_VALUE;
	if (flags & VGPU_LAUNCH_BLOB) {
		b = blobs_find(s, blob);
		if (!b || !b->data)
			return CUDA_ERROR_INVALID_VALUE;
	}
	if (!launches_params(s, o->data, b ? b->data : params, b ? b->bytes : bytes))
		return CUDA_ERROR_INVALID_VALUE;
	r = launches_pay(s, o->data);
	if (r != CUDA_SUCCESS)
		return r;
	f = (CUfunction)(uintptr_t)o->real;
	if (attributes) {
		const CUlaunchConfig config = {.gridDimX = gx,
					       .gridDimY = gy,
					       .gridDimZ = gz,
					       .blockDimX = bx,
					       .blockDimY = by,
					       .blockDimZ = bz,
					       .sharedMemBytes = shared,
					       .hStream = stream};

		return launch_ex(s, &config, f, attribute, attributes);
	}
	if (flags & VGPU_LAUNCH_COOPERATIVE)
		return s->drv->cuLaunchCooperativeKernel
			       ? s->drv->cuLaunchCooperativeKernel(f, gx, gy, gz, bx, by, bz,
								   shared, stream, s->params)
			       : CUDA_ERROR_NOT_SUPPORTED;
	return s->drv->cuLaunchKernel ? s->drv->cuLaunchKernel(f, gx, gy, gz, bx, by, bz, shared,
							       stream, s->params, NULL)
				      : CUDA_ERROR_NOT_SUPPORTED;
}
