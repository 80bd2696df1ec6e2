/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * CONTEXT_CHECKS, 263e8860-7cd2-6143-92f6-bbd5006dfa7e: whether there is
 * something unusual about a context (confined kinds of which nothing is
 * public).  Ours never have any of it.
 *
 * Slots 2 and 3 from ZLUDA; slot 1 is refused, as Lupine found that cuBLAS of
 * CUDA 13 expects.
 */
#include "tables.h"

/* Slot 2: what is special about `context`; where there is something, `detail` tells more. */
static CUresult context_check(CUcontext context, unsigned *special, const void **detail)
{
	(void)context;
	(void)detail;
	if (!special)
		return CUDA_ERROR_INVALID_VALUE;
	*special = 0;
	return CUDA_SUCCESS;
}

/* Slot 3: the same of the process. */
static unsigned process_check(void)
{
	return 0;
}

const union export_slot export_context_checks[17] = {
	[0] = EXPORT_SIZE(export_context_checks),
	[1] = EXPORT_REFUSE,
	[2] = EXPORT_CALL(context_check),
	[3] = EXPORT_CALL(process_check),
	[4] = EXPORT_REFUSE,
	[5] = EXPORT_REFUSE,
	[6] = EXPORT_REFUSE,
	[7] = EXPORT_REFUSE,
	[8] = EXPORT_REFUSE,
	[9] = EXPORT_REFUSE,
	[10] = EXPORT_REFUSE,
	[11] = EXPORT_REFUSE,
	[12] = EXPORT_REFUSE,
	[13] = EXPORT_REFUSE,
	[14] = EXPORT_REFUSE,
	[15] = EXPORT_REFUSE,
	[16] = EXPORT_REFUSE,
};
