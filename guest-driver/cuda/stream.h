/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the library keeps about a stream. */
#ifndef CUDA_STREAM_H
#define CUDA_STREAM_H

#include <stdbool.h>
#include <stdint.h>

#include "context.h"

struct stream {
	struct context *context;
	unsigned int flags;
	int priority;
	unsigned long long id;
	uint64_t synced; /* client_sequence() when it was seen idle, and 1; 0: never */
};

/* A new stream's handle in *out; the host is told quietly. */
CUresult stream_make(unsigned int flags, int priority, CUstream *out);

/* Waits until all work in a stream, as shim_stream() gives it, is done. */
CUresult stream_wait(CUstream stream);

/* The stream was seen idle when client_sequence() was `sequence`. */
void stream_is_idle(CUstream stream, uint64_t sequence);

#endif /* CUDA_STREAM_H */
