/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which streams are being captured into graphs. */
#ifndef CUDA_CAPTURE_H
#define CUDA_CAPTURE_H

#include <stdbool.h>

#include "api.h"

struct context;

/* Is any stream of this process being captured? */
bool capture_any(void);

/* Is this stream, as shim_stream() gives it, being captured? */
bool capture_has(CUstream stream);

/*
 * May the calling thread make a call that would break a capture?
 * CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED if a capture's mode forbids it.
 */
CUresult capture_allows(void);

/* A stream, or a context with its streams, is gone: so are the captures that began there. */
void capture_stream_ends(CUstream stream);
void capture_context_ends(const struct context *c);

#endif /* CUDA_CAPTURE_H */
