/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the library keeps about modules, libraries, functions and kernels.
 * The program may name a kernel wherever the API takes a function.
 */
#ifndef CUDA_FUNCTION_H
#define CUDA_FUNCTION_H

#include <stdbool.h>
#include <stdint.h>

#include "context.h"
#include "vgpu_calls.h"

/* A function, or a kernel, which is a function in no context yet. */
struct function {
	uint64_t handle;
	uint64_t owner;        /* of its module or library */
	struct function *next; /* of the same owner */
	char *name;            /* in the same piece of memory */
	struct context *context;
	struct function *kernel;    /* that this is the function of, in one context; or NULL */
	struct function *instances; /* of a kernel: its functions, by context */
	uint64_t in_host_context;   /* of such a function */
	uint32_t own;               /* ... attributes (bits) that were set for it alone */
	uint32_t nparams;
	uint32_t param_bytes;
	uint32_t nattributes;
	int32_t attribute[VGPU_CUDA_FUNCTION_ATTRIBUTES];
	struct vgpu_param param[];
};

/* A module or a library. */
struct code {
	uint64_t handle;
	struct context *context; /* of a module */
	struct code *modules;    /* of a library: its modules, by context */
	struct code *next;       /* of the same library */
	uint64_t in_host_context;
	uint64_t library; /* of a library's module, which is not the program's to unload; or 0 */
	struct function *functions;
};

/* The data of a function's or a kernel's handle; NULL: neither. */
struct function *function_find(CUfunction f);

/* A new entry for what the host said; it belongs to `handle` from function_publish() on. */
struct function *function_new(const char *name, const struct vgpu_function_info *info);

/* The code's function of that name, or NULL. */
struct function *code_lookup(struct code *c, const char *name);

/* Adds one; if another thread was quicker, that one is returned and `f` given back. */
struct function *code_publish(struct code *c, struct function *f, uint64_t handle);

/* The function of kernel `k` in the current context if it was asked for already, or NULL. */
struct function *kernel_instance(struct function *k);

/* Adds it; as code_publish(). */
struct function *kernel_publish(struct function *k, struct function *f, uint64_t handle);

/* The same for the modules of a library; `m` has its handle already. */
struct code *library_module(struct code *c);
struct code *library_publish(struct code *c, struct code *m);

/* Can the program set it? */
bool function_can_set(CUfunction_attribute a);

/*
 * An attribute as it counts where `f` is launched in the current context, or
 * VGPU_CUDA_UNKNOWN.  A kernel's holds for its functions until they are given
 * one of their own, which a later one of the kernel's does not change.
 */
int32_t function_attribute(struct function *f, CUfunction_attribute a);

/* Drops the handles of all functions, and of a library's modules. */
void code_forget(struct code *c);

#endif /* CUDA_FUNCTION_H */
