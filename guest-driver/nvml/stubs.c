/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Every exported name, as a function that says "not supported".  They are
 * weak: where a function of that name is written elsewhere, it is taken.
 *
 * A made-up success would be worse: a program would go on with what it was not told.
 */
#include "library.h"

#define NVML_FUNCTION(name)                                                     \
	NVML_EXPORT __attribute__((weak)) nvmlReturn_t name(void);              \
	NVML_EXPORT __attribute__((weak)) nvmlReturn_t name(void)               \
	{                                                                       \
		return nvml_enter() == NVML_SUCCESS ? NVML_ERROR_NOT_SUPPORTED  \
						    : NVML_ERROR_UNINITIALIZED; \
	}
#include "functions.inc"
