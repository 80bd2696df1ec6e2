/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which context is current to the calling thread, and whether calls may be
 * made at all.
 *
 * A context is known under two handles: the one that the program has, which
 * for a primary context never changes, and the host's, which is a new one each
 * time a primary context becomes active.
 */
#ifndef CUDA_CONTEXT_H
#define CUDA_CONTEXT_H

#include <stdbool.h>
#include <stdint.h>

#include "api.h"

#define CONTEXT_LIMITS 10 /* CUlimit values that are kept */

struct context {
	uint64_t self; /* what the program has; never used for another context */
	uint64_t host; /* what the host has; 0 while a primary one is inactive */
	CUdevice device;
	unsigned int flags;
	unsigned long long id; /* unique in this process */
	bool primary;
	bool alive;
	size_t limit[CONTEXT_LIMITS];
	uint32_t limits_known; /* bits */
	uint64_t synced;       /* calls made before the latest complete wait for it */
};

/* Set by entry points with suffix _ptds around the plain one: the thread's own stream is meant. */
extern __thread bool shim_default_per_thread __attribute__((tls_model("initial-exec")));

/* The host's handle of the calling thread's current context, 0 if there is none. */
uint64_t context_current(void);

/* The calling thread's current context, dead or alive, or NULL. */
struct context *context_top(void);

/* Of a handle as a program has it; NULL stands for the current one. NULL: no such context. */
struct context *context_find(CUcontext ctx);

/* The primary context of a device, which this neither retains nor activates; NULL: no such device.
 */
CUcontext context_primary(CUdevice dev);

/*
 * May a call be made: CUDA_SUCCESS after cuInit() in this process;
 * CUDA_ERROR_NOT_INITIALIZED before it and in a forked child;
 * or the error that the session ended with.
 */
CUresult shim_enter(void);

/* As shim_enter(), and a context that lives must be current. */
CUresult shim_enter_context(void);

/*
 * As shim_enter_context(), but a thread without one may use this stream or other
 * object that belongs to a context; the default streams do not.
 */
CUresult shim_enter_object(uint64_t handle);

/* Is shim_enter()'s first condition met?  For what needs no session. */
bool shim_initialised(void);

/*
 * What goes to the host for a stream that the program named: NULL and
 * CU_STREAM_LEGACY stay as they are, CU_STREAM_PER_THREAD becomes the calling
 * thread's own stream in the current context (made now if need be).  What is
 * no living stream: CUDA_ERROR_INVALID_HANDLE.
 */
CUresult shim_stream(CUstream stream, CUstream *out);

/* As given to an entry point with suffix _ptsz: NULL is the thread's own stream as well. */
CUresult shim_stream_ptsz(CUstream stream, CUstream *out);

/* For synchronous calls that name no stream: NULL, or under _ptds the thread's own. */
CUresult shim_default_stream(CUstream *out);

/* A living stream's context; the current one for the default streams. */
struct context *shim_stream_context(CUstream stream);

#endif /* CUDA_CONTEXT_H */
