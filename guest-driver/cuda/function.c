// SPDX-License-Identifier: GPL-2.0-or-later
/* Functions and kernels: the list that each module and library has of its own. */
#include "function.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "cuda_rpc.h"
#include "handles.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

struct function *function_find(CUfunction f)
{
	uint64_t h = HANDLE_OF(f);
	uint32_t type = vgpu_cuda_handle_type(h);

	if (type != VGPU_CUDA_FUNCTION && type != VGPU_CUDA_KERNEL)
		return NULL;
	return handle_data(h, type);
}

struct function *function_new(const char *name, const struct vgpu_function_info *info)
{
	size_t params = sizeof(struct vgpu_param) * info->params;
	size_t length = strlen(name) + 1;
	struct function *f = calloc(1, sizeof(*f) + params + length);

	if (!f)
		return NULL;
	f->name = (char *)f->param + params;
	memcpy(f->name, name, length);
	f->nparams = info->params;
	f->param_bytes = info->param_bytes;
	f->nattributes = info->attributes < VGPU_CUDA_FUNCTION_ATTRIBUTES
				 ? info->attributes
				 : VGPU_CUDA_FUNCTION_ATTRIBUTES;
	memcpy(f->attribute, info->attribute, sizeof(f->attribute));
	if (info->params < VGPU_CUDA_PARAMS_INFO)
		memcpy(f->param, info->param, params);
	else
		memcpy(f->param, info->param, sizeof(info->param));
	return f;
}

/* Called with the lock held. */
static struct function *lookup(const struct code *c, const char *name)
{
	struct function *f = c->functions;

	while (f && strcmp(f->name, name))
		f = f->next;
	return f;
}

struct function *code_lookup(struct code *c, const char *name)
{
	struct function *f;

	pthread_mutex_lock(&lock);
	f = lookup(c, name);
	pthread_mutex_unlock(&lock);
	return f;
}

struct function *code_publish(struct code *c, struct function *f, uint64_t handle)
{
	struct function *other;

	pthread_mutex_lock(&lock);
	other = lookup(c, f->name);
	if (!other) {
		f->handle = handle;
		f->owner = c->handle;
		f->context = c->context;
		f->next = c->functions;
		c->functions = f;
		handle_set_data(handle, f);
	}
	pthread_mutex_unlock(&lock);
	if (!other)
		return f;
	free(f);
	handle_drop(handle);
	return other;
}

void code_forget(struct code *c)
{
	struct function *f, *next;

	pthread_mutex_lock(&lock);
	f = c->functions;
	c->functions = NULL;
	pthread_mutex_unlock(&lock);
	for (; f; f = next) {
		next = f->next;
		if (vgpu_cuda_handle_type(f->handle) == VGPU_CUDA_KERNEL && f->function)
			handle_drop(HANDLE_OF(f->function));
		handle_drop(f->handle);
	}
}
