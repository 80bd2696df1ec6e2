/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Large copies of ordinary memory where the host cannot reach its pages. */
#ifndef CUDA_STAGING_H
#define CUDA_STAGING_H

#include <stddef.h>

#include "api.h"

struct context;

/*
 * Through pinned memory, with several threads.  To the device: returns when
 * the data has left the program's memory.  From it: when it is there.  Where the
 * host's policy forbids pinned memory, in records.
 */
CUresult staging_copy(unsigned int direction, CUdeviceptr device, void *host, size_t n,
		      CUstream stream);

/* Bytes that went this way so far. */
unsigned long long staging_bytes(void);

/*
 * A context is about to end, and with it maybe the pinned memory: waits for the
 * copy that is using it.  None begins in a context that is not `alive`.
 */
void staging_context_ends(const struct context *c);

#endif /* CUDA_STAGING_H */
