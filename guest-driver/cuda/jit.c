// SPDX-License-Identifier: GPL-2.0-or-later
/* Options of compiling device code. */
#include "jit.h"

#include <string.h>

#include "cuda_rpc.h"

#define PIECE 4096u

/* Options whose value is a pointer to more than a log; the older drivers' are gone. */
static int is_list(CUjit_option o)
{
	return o == CU_JIT_GLOBAL_SYMBOL_NAMES || o == CU_JIT_GLOBAL_SYMBOL_ADDRESSES ||
	       o == CU_JIT_REFERENCED_KERNEL_NAMES || o == CU_JIT_REFERENCED_VARIABLE_NAMES;
}

static CUresult parse_one(struct jit *j, CUjit_option o, void **value)
{
	switch (o) {
	case CU_JIT_INFO_LOG_BUFFER:
		j->log[0] = *value;
		return CUDA_SUCCESS;
	case CU_JIT_ERROR_LOG_BUFFER:
		j->log[1] = *value;
		return CUDA_SUCCESS;
	case CU_JIT_INFO_LOG_BUFFER_SIZE_BYTES:
		j->room[0] = (unsigned int)(uintptr_t)*value;
		j->filled[0] = value;
		return CUDA_SUCCESS;
	case CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES:
		j->room[1] = (unsigned int)(uintptr_t)*value;
		j->filled[1] = value;
		return CUDA_SUCCESS;
	case CU_JIT_WALL_TIME: /* a result, which the host does not pass on */
		return CUDA_SUCCESS;
	default:
		break;
	}
	if (is_list(o))
		return *value ? CUDA_ERROR_NOT_SUPPORTED : CUDA_SUCCESS;
	j->option[j->n++] =
		(struct vgpu_jit_option){.option = (vgpu_le32)o, .value = (uintptr_t)*value};
	return CUDA_SUCCESS;
}

CUresult jit_parse(struct jit *j, unsigned int n, const CUjit_option *options, void **values)
{
	CUresult r = CUDA_SUCCESS;

	memset(j, 0, sizeof(*j));
	if (n > JIT_OPTIONS_MAX || (n && (!options || !values)))
		return CUDA_ERROR_INVALID_VALUE;
	for (unsigned int i = 0; i < n && r == CUDA_SUCCESS; i++)
		r = parse_one(j, options[i], &values[i]);
	for (int i = 0; i < 2; i++) {
		if (!j->log[i])
			j->room[i] = 0;
		else if (j->room[i])
			j->log[i][0] = 0;
	}
	return r;
}

static unsigned int fetch(unsigned long long blob, unsigned int which, char *log, unsigned int room)
{
	unsigned int at = 0, total = 0;

	if (!room)
		return 0;
	room--; /* the NUL */
	do {
		unsigned int now = room - at < PIECE ? room - at : PIECE;
		char text[PIECE];

		if (rpc_vgpuBlobLog(blob, which, at, now, text, &total) != CUDA_SUCCESS)
			break;
		if (total > room)
			total = room;
		if (now > total - at)
			now = total - at;
		memcpy(log + at, text, now);
		at += now;
	} while (at < total);
	log[at] = 0;
	return at ? at + 1 : 0;
}

void jit_logs(const struct jit *j, unsigned long long blob)
{
	static const unsigned int which[2] = {VGPU_LOG_INFO, VGPU_LOG_ERROR};

	for (int i = 0; i < 2; i++) {
		unsigned int n = fetch(blob, which[i], j->log[i], j->room[i]);

		if (j->filled[i])
			*j->filled[i] = (void *)(uintptr_t)n;
	}
}
