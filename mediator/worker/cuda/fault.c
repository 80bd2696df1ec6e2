/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Errors of the GPU that end a context: the daemon counts them for the tenant. */
#include "session.h"
#include "worker.h"

/* After these every later call in the context fails likewise. */
static bool ends_context(CUresult r)
{
	switch (r) {
	case CUDA_ERROR_ILLEGAL_ADDRESS:
	case CUDA_ERROR_LAUNCH_TIMEOUT:
	case CUDA_ERROR_ASSERT:
	case CUDA_ERROR_HARDWARE_STACK_ERROR:
	case CUDA_ERROR_ILLEGAL_INSTRUCTION:
	case CUDA_ERROR_MISALIGNED_ADDRESS:
	case CUDA_ERROR_INVALID_ADDRESS_SPACE:
	case CUDA_ERROR_INVALID_PC:
	case CUDA_ERROR_LAUNCH_FAILED:
		return true;
	default:
		return false;
	}
}

void session_note_result(struct cuda_session *s, CUresult r)
{
	/* If nobody hears it now: a later call fails, too. */
	if (!s->failed && ends_context(r))
		s->failed = control_fault(s->worker, (int)r);
}
