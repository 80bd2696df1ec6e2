/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the files about modules, libraries and functions share. */
#ifndef CUDA_MODULE_H
#define CUDA_MODULE_H

#include "function.h"

/* CUDA_ERROR_INVALID_HANDLE if it is no module. */
CUresult module_find_code(CUmodule m, struct code **out);

/* Begins to keep something about a module of the current context; `library`: whose, or 0. */
CUresult module_adopt(uint64_t handle, uint64_t library);

/*
 * Takes the answer `r` and `info` of a call that was to make the function or
 * kernel `handle`, and asks for the parameters that did not fit in.  *out is the
 * caller's; if the call failed the handle is dropped.
 */
CUresult function_take(CUresult r, uint64_t handle, const char *name,
		       const struct vgpu_function_info *info, struct function **out);

/* Notes a variable of a module or library. */
void global_add(CUdeviceptr address, size_t bytes, uint64_t owner);

#endif /* CUDA_MODULE_H */
