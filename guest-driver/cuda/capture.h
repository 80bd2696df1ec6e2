/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which streams are being captured into graphs. */
#ifndef CUDA_CAPTURE_H
#define CUDA_CAPTURE_H

#include <stdbool.h>

#include "api.h"

/* Is any stream of this process being captured? */
bool capture_any(void);

/* Is this stream, as shim_stream() gives it, being captured? */
bool capture_has(CUstream stream);

/*
 * May the calling thread make a call that would break a capture?
 * CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED if a capture's mode forbids it.
 */
CUresult capture_allows(void);

#endif /* CUDA_CAPTURE_H */
