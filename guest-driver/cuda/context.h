/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which context is current to the calling thread, and whether calls may be
 * made at all.
 */
#ifndef CUDA_CONTEXT_H
#define CUDA_CONTEXT_H

#include <cuda.h>
#include <stdint.h>

/* The handle of the calling thread's current context, 0 if there is none. */
uint64_t context_current(void);

/*
 * May a call be made: CUDA_SUCCESS after cuInit() in this process;
 * CUDA_ERROR_NOT_INITIALIZED before it and in a forked child;
 * or the error that the session ended with.
 */
CUresult shim_enter(void);

/* As shim_enter(), and a context that lives must be current. */
CUresult shim_enter_context(void);

/* Streams, as the caller named them, to what the host knows. */

/*
 * `stream` as given to an ordinary entry point: NULL is the legacy default
 * stream; CU_STREAM_PER_THREAD becomes the calling thread's own stream in the
 * current context.  A handle that is no stream: CUDA_ERROR_INVALID_HANDLE.
 */
CUresult shim_stream(CUstream stream, CUstream *out);

/* As given to an entry point with suffix _ptsz: NULL is the thread's own stream as well. */
CUresult shim_stream_ptsz(CUstream stream, CUstream *out);

#endif /* CUDA_CONTEXT_H */
