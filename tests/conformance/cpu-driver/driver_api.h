/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the tests of the software driver share: calls by name, and a module. */
#ifndef DRIVER_API_H
#define DRIVER_API_H

#include <cuda.h>
#include <glib.h>

/* Calls the function `name` of cuda.h as the software driver has it. */
void (*driver_symbol(const char *name))(void);
#define CALL(name, ...) (((__typeof__(&name))driver_symbol(#name))(__VA_ARGS__))
#define OK(name, ...) g_assert_cmpint(CALL(name, __VA_ARGS__), ==, CUDA_SUCCESS)
#define FAILS(error, name, ...) g_assert_cmpint(CALL(name, __VA_ARGS__), ==, error)

/* PTX that declares every built-in kernel. */
extern const char kernels_ptx[];

/* Starts the driver and makes a context; the other one waits and destroys it. */
CUcontext context_begin(void);
void context_end(CUcontext ctx);
CUmodule module_begin(void);
CUfunction function_of(CUmodule m, const char *name);
/* One block of `threads`; the parameters follow as pointers. */
#define LAUNCH(fn, threads, stream, ...) \
	OK(cuLaunchKernel, fn, 1, 1, 1, threads, 1, 1, 0, stream, (void *[]){__VA_ARGS__}, NULL)

#endif /* DRIVER_API_H */
