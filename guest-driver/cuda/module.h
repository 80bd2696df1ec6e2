/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the files about modules, libraries and functions share. */
#ifndef CUDA_MODULE_H
#define CUDA_MODULE_H

#include "function.h"

/* CUDA_ERROR_INVALID_HANDLE if it is no module. */
CUresult module_find_code(CUmodule m, struct code **out);

/* Begins to keep something about a module of the current context. */
CUresult module_adopt(uint64_t handle, bool borrowed);

/* Asks for the parameters that did not fit into the function's first answer. */
CUresult function_complete(struct function *f, uint64_t handle);

/* Notes a variable of a module or library. */
void global_add(CUdeviceptr address, size_t bytes, uint64_t owner);

#endif /* CUDA_MODULE_H */
