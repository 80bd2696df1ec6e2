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

	while (f && strcmp(f->name, name) != 0)
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

/* ------------------------------------------------------------- by context */

/* Asked at each launch, so without the lock: what is in the list stays there. */
struct function *kernel_instance(struct function *k)
{
	struct function *f = __atomic_load_n(&k->instances, __ATOMIC_ACQUIRE);

	while (f && f->in_host_context != context_current())
		f = f->next;
	return f;
}

struct function *kernel_publish(struct function *k, struct function *f, uint64_t handle)
{
	struct function *other;

	pthread_mutex_lock(&lock);
	other = kernel_instance(k);
	if (!other) {
		f->handle = handle;
		f->owner = k->owner;
		f->kernel = k;
		f->context = context_top();
		f->in_host_context = context_current();
		f->next = k->instances;
		handle_set_data(handle, f);
		__atomic_store_n(&k->instances, f, __ATOMIC_RELEASE);
	}
	pthread_mutex_unlock(&lock);
	if (!other)
		return f;
	free(f);
	handle_drop(handle);
	return other;
}

/* Called with the lock held. */
static struct code *module_here(const struct code *c)
{
	struct code *m = c->modules;

	while (m && m->in_host_context != context_current())
		m = m->next;
	return m;
}

struct code *library_module(struct code *c)
{
	struct code *m;

	pthread_mutex_lock(&lock);
	m = module_here(c);
	pthread_mutex_unlock(&lock);
	return m;
}

struct code *library_publish(struct code *c, struct code *m)
{
	struct code *other;

	pthread_mutex_lock(&lock);
	other = module_here(c);
	if (!other) {
		m->in_host_context = context_current();
		m->next = c->modules;
		c->modules = m;
	}
	pthread_mutex_unlock(&lock);
	if (!other)
		return m;
	handle_drop(m->handle);
	return other;
}

bool function_can_set(CUfunction_attribute a)
{
	return (unsigned int)a >= CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
}

int32_t function_attribute(struct function *f, CUfunction_attribute a)
{
	struct function *here = f;
	bool own;

	if ((unsigned int)a >= f->nattributes)
		return (int32_t)VGPU_CUDA_UNKNOWN;
	if (vgpu_cuda_handle_type(f->handle) == VGPU_CUDA_KERNEL)
		here = kernel_instance(f);
	if (!here || !here->kernel)
		return f->attribute[a];
	own = here->own >> (unsigned int)a & 1u;
	return own || !function_can_set(a) ? here->attribute[a] : here->kernel->attribute[a];
}

/* ------------------------------------------------------------------ the end */

static void drop_functions(struct function *f)
{
	struct function *next;

	for (; f; f = next) {
		next = f->next;
		drop_functions(f->instances); /* which have none */
		handle_drop(f->handle);
	}
}

void code_forget(struct code *c)
{
	struct function *f;
	struct code *m, *next;

	pthread_mutex_lock(&lock);
	f = c->functions;
	m = c->modules;
	c->functions = NULL;
	c->modules = NULL;
	pthread_mutex_unlock(&lock);
	drop_functions(f);
	for (; m; m = next) {
		next = m->next;
		drop_functions(m->functions);
		handle_drop(m->handle);
	}
}
