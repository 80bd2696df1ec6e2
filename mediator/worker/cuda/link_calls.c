/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Linking of device code. */
#include <stdlib.h>
#include <string.h>

#include "blobs.h"
#include "cuda_dispatch.h"
#include "jit.h"
#include "link.h"
#include "session.h"

void link_data_free(struct link_data *l)
{
	if (!l)
		return;
	free(l->log[0]);
	free(l->log[1]);
	free(l);
}

CUresult host_vgpuLinkCreate(struct cuda_session *s, CUlinkState *link, unsigned int options,
			     const struct vgpu_jit_option *option, unsigned int info_bytes,
			     unsigned int error_bytes)
{
	struct link_data *l = calloc(1, sizeof(*l));
	struct jit_options o = {0};
	CUresult r = CUDA_SUCCESS;

	if (!l)
		return CUDA_ERROR_OUT_OF_MEMORY;
	if (!s->drv->cuLinkCreate_v2)
		r = CUDA_ERROR_NOT_SUPPORTED;
	else if (!jit_take(&o, option, options))
		r = CUDA_ERROR_INVALID_VALUE;
	else if (!jit_log(&o, 0, info_bytes, &l->log[0], &l->log_bytes[0]) ||
		 !jit_log(&o, 1, error_bytes, &l->log[1], &l->log_bytes[1]))
		r = CUDA_ERROR_OUT_OF_MEMORY;
	if (r == CUDA_SUCCESS)
		r = s->drv->cuLinkCreate_v2(o.n, o.option, o.value, link);
	if (r == CUDA_SUCCESS)
		s->new_data = l;
	else
		link_data_free(l);
	return r;
}

CUresult host_vgpuLinkAdd(struct cuda_session *s, CUlinkState link, unsigned int type,
			  unsigned long long blob, const char *name, unsigned int options,
			  const struct vgpu_jit_option *option)
{
	struct blob *b = blobs_find(s, blob);
	struct jit_options o = {0};
	CUresult r;

	if (!s->drv->cuLinkAddData_v2)
		return CUDA_ERROR_NOT_SUPPORTED;
	if (!b || !b->data || !jit_take(&o, option, options))
		return CUDA_ERROR_INVALID_VALUE;
	r = s->drv->cuLinkAddData_v2(link, (CUjitInputType)type, b->data, b->bytes, name, o.n,
				     o.option, o.value);
	blobs_spend(s, b);
	return r;
}

static struct link_data *data_of(struct cuda_session *s, uint64_t handle)
{
	const struct cuda_object *o = handles_object(&s->handles, handle, VGPU_CUDA_LINK);

	return o ? o->data : NULL;
}

CUresult host_vgpuLinkComplete(struct cuda_session *s, CUlinkState link, unsigned long long *bytes)
{
	struct link_data *l = data_of(s, REQUEST(s, vgpuLinkComplete)->link);
	void *image = NULL;
	size_t size = 0;
	CUresult r;

	if (!s->drv->cuLinkComplete || !l)
		return CUDA_ERROR_NOT_SUPPORTED;
	r = s->drv->cuLinkComplete(link, &image, &size);
	if (r != CUDA_SUCCESS)
		return r;
	l->image = image;
	l->bytes = size;
	*bytes = size;
	return CUDA_SUCCESS;
}

CUresult host_vgpuLinkData(struct cuda_session *s, CUlinkState link, unsigned long long offset,
			   unsigned int bytes, void *data)
{
	const struct link_data *l = data_of(s, REQUEST(s, vgpuLinkData)->link);

	(void)link;
	if (!l || !l->image || offset > l->bytes || bytes > l->bytes - offset)
		return CUDA_ERROR_INVALID_VALUE;
	memcpy(data, l->image + offset, bytes);
	return CUDA_SUCCESS;
}

CUresult host_vgpuLinkLog(struct cuda_session *s, CUlinkState link, unsigned int which,
			  unsigned int offset, unsigned int bytes, char *text, unsigned int *total)
{
	const struct link_data *l = data_of(s, REQUEST(s, vgpuLinkLog)->link);
	unsigned int i = which - VGPU_LOG_INFO;
	size_t length;

	(void)link;
	if (!l || i > 1)
		return CUDA_ERROR_INVALID_VALUE;
	length = l->log[i] ? strnlen(l->log[i], l->log_bytes[i]) : 0;
	*total = (unsigned int)length;
	if (offset < length && bytes)
		memcpy(text, l->log[i] + offset, bytes < length - offset ? bytes : length - offset);
	return CUDA_SUCCESS;
}

CUresult host_cuLinkDestroy(struct cuda_session *s, CUlinkState link)
{
	return s->drv->cuLinkDestroy ? s->drv->cuLinkDestroy(link) : CUDA_ERROR_NOT_SUPPORTED;
}
