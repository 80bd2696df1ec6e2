/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the export tables call of the library around them, as small as can be. */
#include "fake_cuda.h"

struct context *fake_current;

struct context *context_top(void)
{
	return fake_current;
}

CUresult shim_enter(void)
{
	return CUDA_SUCCESS;
}

CUcontext context_primary(CUdevice dev)
{
	return dev == 0 ? FAKE_PRIMARY : NULL;
}

CUresult cuModuleLoadData(CUmodule *module, const void *image)
{
	*module = (CUmodule)(uintptr_t)image;
	return CUDA_SUCCESS;
}

CUresult cuDriverGetVersion(int *version)
{
	*version = FAKE_VERSION;
	return CUDA_SUCCESS;
}

CUresult cuDeviceGetCount(int *n)
{
	*n = 2;
	return CUDA_SUCCESS;
}

CUresult cuDeviceGetUuid(CUuuid *uuid, CUdevice dev)
{
	for (int i = 0; i < 16; i++)
		uuid->bytes[i] = (char)(i + 16 * dev);
	return CUDA_SUCCESS;
}

CUresult cuDeviceGetAttribute(int *value, CUdevice_attribute a, CUdevice dev)
{
	*value = 100 * (int)a + dev;
	return CUDA_SUCCESS;
}

CUresult cuModuleGetFunctionCount(unsigned int *n, CUmodule module)
{
	(void)module;
	*n = 3;
	return CUDA_SUCCESS;
}

CUresult cuModuleEnumerateFunctions(CUfunction *f, unsigned int n, CUmodule module)
{
	(void)module;
	for (unsigned int i = 0; i < n; i++)
		f[i] = (CUfunction)(uintptr_t)(i + 1);
	return CUDA_SUCCESS;
}
