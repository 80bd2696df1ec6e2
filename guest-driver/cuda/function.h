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
	uint64_t in_host_context; /* of a kernel: where `function` was asked for */
	CUfunction function;
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
	CUmodule module;         /* of a library: its module in the context below */
	uint64_t in_host_context;
	bool borrowed; /* a library's module: not the program's to unload */
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

/* Drops the handles of all functions. */
void code_forget(struct code *c);

#endif /* CUDA_FUNCTION_H */
