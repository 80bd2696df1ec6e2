/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Options of loading and linking. */
#include "jit.h"

#include <stdlib.h>

#include "blobs.h"

/* Those whose value is a number; all others are addresses, or not known. */
static bool is_number(uint32_t option)
{
	switch (option) {
	case CU_JIT_MAX_REGISTERS:
	case CU_JIT_THREADS_PER_BLOCK:
	case CU_JIT_WALL_TIME:
	case CU_JIT_OPTIMIZATION_LEVEL:
	case CU_JIT_TARGET_FROM_CUCONTEXT:
	case CU_JIT_TARGET:
	case CU_JIT_FALLBACK_STRATEGY:
	case CU_JIT_GENERATE_DEBUG_INFO:
	case CU_JIT_LOG_VERBOSE:
	case CU_JIT_GENERATE_LINE_INFO:
	case CU_JIT_CACHE_MODE:
	case CU_JIT_POSITION_INDEPENDENT_CODE:
	case CU_JIT_MIN_CTA_PER_SM:
	case CU_JIT_MAX_THREADS_PER_BLOCK:
	case CU_JIT_OVERRIDE_DIRECTIVE_VALUES:
		return true;
	default:
		return false;
	}
}

static void add(struct jit_options *o, CUjit_option option, uint64_t value)
{
	o->option[o->n] = option;
	o->value[o->n++] = (void *)(uintptr_t)value;
}

bool jit_take(struct jit_options *o, const struct vgpu_jit_option *in, unsigned int n)
{
	if (n > JIT_OPTIONS_MAX - 4)
		return false;
	for (unsigned int i = 0; i < n; i++) {
		if (in[i].reserved || !is_number(in[i].option))
			return false;
		add(o, (CUjit_option)in[i].option, in[i].value);
	}
	return true;
}

bool jit_log(struct jit_options *o, unsigned int which, uint32_t bytes, char **log,
	     uint32_t *log_bytes)
{
	static const CUjit_option buffer[] = {CU_JIT_INFO_LOG_BUFFER, CU_JIT_ERROR_LOG_BUFFER};
	static const CUjit_option size[] = {CU_JIT_INFO_LOG_BUFFER_SIZE_BYTES,
					    CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES};

	if (!bytes)
		return true;
	if (bytes > BLOB_LOG_MAX)
		bytes = BLOB_LOG_MAX;
	free(*log);
	*log = calloc(1, bytes + 1);
	*log_bytes = bytes;
	if (!*log)
		return false;
	add(o, buffer[which], (uintptr_t)*log);
	add(o, size[which], bytes);
	return true;
}
