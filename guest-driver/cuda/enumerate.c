// SPDX-License-Identifier: GPL-2.0-or-later
/* Listing what a module or library has, by the names that the host tells. */
#include <string.h>

#include "cuda_rpc.h"
#include "handles.h"
#include "module.h"

#define NAMES 6144u

/* Either a module or a library. */
struct source {
	CUmodule module;
	CUlibrary library;
};

static CUresult ask(const struct source *s, unsigned int first, char *names, unsigned int *count,
		    unsigned int *total)
{
	return s->library ? rpc_vgpuLibraryNames(s->library, first, NAMES, names, count, total)
			  : rpc_vgpuModuleNames(s->module, first, NAMES, names, count, total);
}

static CUresult count_of(const struct source *s, unsigned int *total)
{
	char names[NAMES];
	unsigned int count;

	return ask(s, 0, names, &count, total);
}

static CUresult find(const struct source *s, const char *name, void **out)
{
	return s->library ? cuLibraryGetKernel((CUkernel *)out, s->library, name)
			  : cuModuleGetFunction((CUfunction *)out, s->module, name);
}

static CUresult fill(const struct source *s, void **out, unsigned int room)
{
	unsigned int done = 0, count = 0, total = 0;
	char names[NAMES];

	do {
		const char *name = names, *end = names + NAMES;
		CUresult r = ask(s, done, names, &count, &total);

		if (r != CUDA_SUCCESS)
			return r;
		for (; count && done < room; count--, done++) {
			size_t length = strnlen(name, (size_t)(end - name));

			if (name + length >= end)
				return CUDA_ERROR_UNKNOWN; /* the host's mistake */
			r = find(s, name, &out[done]);
			if (r != CUDA_SUCCESS)
				return r;
			name += length + 1;
		}
		if (count || name == names)
			break;
	} while (done < room && done < total);
	return CUDA_SUCCESS;
}

CUresult cuModuleGetFunctionCount(unsigned int *count, CUmodule mod)
{
	struct source s = {.module = mod};
	struct code *c;
	CUresult r = shim_enter_context();

	if (r == CUDA_SUCCESS)
		r = module_find_code(mod, &c);
	if (r == CUDA_SUCCESS && !count)
		r = CUDA_ERROR_INVALID_VALUE;
	return r == CUDA_SUCCESS ? count_of(&s, count) : r;
}

CUresult cuModuleEnumerateFunctions(CUfunction *functions, unsigned int numFunctions, CUmodule mod)
{
	struct source s = {.module = mod};
	struct code *c;
	CUresult r = shim_enter_context();

	if (r == CUDA_SUCCESS)
		r = module_find_code(mod, &c);
	if (r == CUDA_SUCCESS && (!functions || !numFunctions))
		r = CUDA_ERROR_INVALID_VALUE;
	return r == CUDA_SUCCESS ? fill(&s, (void **)functions, numFunctions) : r;
}

CUresult cuLibraryGetKernelCount(unsigned int *count, CUlibrary lib)
{
	struct source s = {.library = lib};
	CUresult r = shim_enter();

	if (r == CUDA_SUCCESS && !handle_valid(HANDLE_OF(lib), VGPU_CUDA_LIBRARY))
		r = CUDA_ERROR_INVALID_HANDLE;
	if (r == CUDA_SUCCESS && !count)
		r = CUDA_ERROR_INVALID_VALUE;
	return r == CUDA_SUCCESS ? count_of(&s, count) : r;
}

CUresult cuLibraryEnumerateKernels(CUkernel *kernels, unsigned int numKernels, CUlibrary lib)
{
	struct source s = {.library = lib};
	CUresult r = shim_enter();

	if (r == CUDA_SUCCESS && !handle_valid(HANDLE_OF(lib), VGPU_CUDA_LIBRARY))
		r = CUDA_ERROR_INVALID_HANDLE;
	if (r == CUDA_SUCCESS && (!kernels || !numKernels))
		r = CUDA_ERROR_INVALID_VALUE;
	return r == CUDA_SUCCESS ? fill(&s, (void **)kernels, numKernels) : r;
}
