/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ToolsContext, 21318c60-9714-3248-8ca6-41ff7324c8f2: meant for profilers and
 * debuggers, but used by cuBLASLt as well, which without it refuses matrix
 * products.
 *
 * The number of slots is that of driver 580; arguments and answers of slots 4,
 * 39 and 51 are what Lupine found cuBLASLt to be content with.
 */
#include <stdint.h>

#include "tables.h"

#define REFUSE_4 EXPORT_REFUSE, EXPORT_REFUSE, EXPORT_REFUSE, EXPORT_REFUSE
#define REFUSE_8 REFUSE_4, REFUSE_4
#define REFUSE_16 REFUSE_8, REFUSE_8

/* Slot 51's object; nobody was seen to look into it. */
static uint64_t object[64];

/* Slot 4: asked of context NULL, to which the answer is 0. */
static CUresult slot_4(CUcontext context, uint64_t *out)
{
	if (!out)
		return CUDA_ERROR_UNKNOWN;
	*out = context ? 1 : 0;
	return CUDA_SUCCESS;
}

/* Slot 39: nothing there. */
static CUresult slot_39(uintptr_t unknown, const void *in, uint64_t *out)
{
	(void)unknown;
	if (!in || !out)
		return CUDA_ERROR_INVALID_VALUE;
	*out = 0;
	return CUDA_SUCCESS;
}

/* Slot 51: an object by its number, of which -1 is none. */
static CUresult slot_51(CUcontext context, uint64_t number, void **out)
{
	(void)context;
	if (!out)
		return CUDA_ERROR_INVALID_VALUE;
	if (number == UINT64_MAX)
		return CUDA_ERROR_INVALID_HANDLE;
	*out = object;
	return CUDA_SUCCESS;
}

/* clang-format off */
const union export_slot export_tools_context[93] = {
	/* 0 */ EXPORT_SIZE(export_tools_context), EXPORT_REFUSE, EXPORT_REFUSE, EXPORT_REFUSE,
	/* 4 */ EXPORT_CALL(slot_4), EXPORT_REFUSE, EXPORT_REFUSE, EXPORT_REFUSE,
	/* 8 */ REFUSE_16, REFUSE_8, REFUSE_4, EXPORT_REFUSE, EXPORT_REFUSE, EXPORT_REFUSE,
	/* 39 */ EXPORT_CALL(slot_39),
	/* 40 */ REFUSE_8, EXPORT_REFUSE, EXPORT_REFUSE, EXPORT_REFUSE,
	/* 51 */ EXPORT_CALL(slot_51),
	/* 52 */ REFUSE_16, REFUSE_16, REFUSE_8, EXPORT_REFUSE,
};
/* clang-format on */
