/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * CUDART_INTERFACE, 6bd5fb6c-5bf4-e74a-8987-d93912fd9df9: how the runtime asks
 * for a device's context and, before CUDA 12, loads a program's fat binaries.
 *
 * Arguments and meaning of the slots: ZLUDA's dark_api.  All of it is done by
 * the driver API's own functions.
 */
#include "tables.h"

#include "../context.h"

/* Slots 6 and 8 have three more arguments, of which only "nothing" is known. */
static int extras_empty(const void *a, const void *b, unsigned c)
{
	return !a && !b && !c;
}

/* Slot 1: a module of the fat binary that nvcc put into the program. */
static CUresult load_module(CUmodule *module, const void *wrapper)
{
	if (!module || !wrapper)
		return CUDA_ERROR_INVALID_VALUE;
	return cuModuleLoadData(module, wrapper);
}

/*
 * Slot 2: the primary context of `device`, which by this becomes neither
 * active nor current.
 */
static CUresult primary_context(CUcontext *context, CUdevice device)
{
	CUresult r = shim_enter();

	if (r != CUDA_SUCCESS)
		return r;
	if (!context)
		return CUDA_ERROR_INVALID_VALUE;
	*context = context_primary(device);
	return *context ? CUDA_SUCCESS : CUDA_ERROR_INVALID_DEVICE;
}

/* Slot 6. */
static CUresult load_module_with(CUmodule *module, const void *wrapper, const void *a,
				 const void *b, unsigned c)
{
	return extras_empty(a, b, c) ? load_module(module, wrapper) : CUDA_ERROR_NOT_SUPPORTED;
}

/* Slot 8: the same for a fat binary without nvcc's wrapper. */
static CUresult load_image_with(const void *image, CUmodule *module, const void *a, const void *b,
				unsigned c)
{
	return extras_empty(a, b, c) ? load_module(module, image) : CUDA_ERROR_NOT_SUPPORTED;
}

/* Slot 12: makes the compilers ready.  They are the host's, which always is. */
static CUresult load_compilers(void)
{
	return CUDA_SUCCESS;
}

const union export_slot export_cudart_interface[13] = {
	[0] = EXPORT_SIZE(export_cudart_interface),
	[1] = EXPORT_CALL(load_module),
	[2] = EXPORT_CALL(primary_context),
	[3] = EXPORT_REFUSE,
	[4] = EXPORT_REFUSE,
	[5] = EXPORT_REFUSE,
	[6] = EXPORT_CALL(load_module_with),
	[7] = EXPORT_IDLE,
	[8] = EXPORT_CALL(load_image_with),
	[9] = EXPORT_REFUSE,
	[10] = EXPORT_REFUSE,
	[11] = EXPORT_REFUSE,
	[12] = EXPORT_CALL(load_compilers),
};
