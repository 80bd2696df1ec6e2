/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Large copies of ordinary memory where the host cannot reach its pages. */
#ifndef CUDA_STAGING_H
#define CUDA_STAGING_H

#include <stddef.h>

#include "api.h"

/*
 * Through pinned memory, with several threads.  To the device: returns when
 * the data has left the program's memory.  From it: when it is there.
 */
CUresult staging_copy(unsigned int direction, CUdeviceptr device, void *host, size_t n,
		      CUstream stream);

/* Bytes that went this way so far. */
unsigned long long staging_bytes(void);

#endif /* CUDA_STAGING_H */
