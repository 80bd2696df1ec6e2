/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * CUDA's part of a worker: what the generated dispatch and the functions
 * written by hand (host_*) share.
 *
 * One thread, the worker's own, makes all calls.  A function that would have
 * to wait for the GPU enters a wait (waits.h) and returns HOST_PENDING.
 */
#ifndef VGPU_WORKER_CUDA_SESSION_H
#define VGPU_WORKER_CUDA_SESSION_H

#include <cuda.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cuda_driver.h"
#include "handles.h"
#include "ranges.h"
#include "vgpu_abi.h"
#include "vgpu_cuda.h"

struct worker;
struct waits;
struct blobs;
struct windows;
struct callbacks;
struct output;

/* A host_ function's answer comes later; nothing is to be marshalled now. */
#define HOST_PENDING ((CUresult)0x7fffff00)

/* Bytes that a response may have behind struct vgpu_cuda_result. */
#define CUDA_REPLY_MAX \
	(VGPU_RECORD_MAX - sizeof(struct vgpu_response) - sizeof(struct vgpu_cuda_result))

/* One call, decoded up to the structure of its function; in private memory. */
struct cuda_request_view {
	uint64_t id;
	uint32_t function; /* CUDA_FN_* */
	bool quiet;        /* no response: a failure becomes `deferred` of a later one */
	uint16_t ndesc;
	uint64_t context;    /* handle of the caller's current context, 0: none */
	const uint8_t *data; /* what follows struct vgpu_cuda_call; aligned to 8 */
	uint32_t length;
	const struct vgpu_desc *desc;
};

/*
 * The answer.  `data` (aligned to 8) is what follows struct vgpu_cuda_result;
 * the dispatch writes at most `capacity` bytes there and sets `length`.  Both
 * are 0 where `result` is not CUDA_SUCCESS.
 */
struct cuda_reply {
	CUresult result; /* HOST_PENDING: no response now */
	uint8_t *data;
	uint32_t capacity;
	uint32_t length;
};

struct cuda_session {
	struct cuda_driver drv;
	struct worker *worker;
	const struct cuda_request_view *req; /* of the call in progress */
	struct cuda_reply *reply;            /* ... and its answer, for functions that make it */
	struct cuda_handles handles;
	struct cuda_ranges ranges;
	struct waits *waits;
	struct blobs *blobs;
	struct windows *windows;
	struct callbacks *callbacks;
	struct output *output;
	uint64_t context;    /* handle of the context that is current in the driver */
	CUcontext current;   /* ... and the context; NULL: none */
	uint64_t new_parent; /* parent of the handle that the call in progress makes, 0: as usual */
	void *new_data;      /* ... and the data that it takes along */
	CUresult deferred;   /* the first failure of a quiet call, not reported yet */
	CUdevice device;     /* the driver's number of the device that the guest calls 0 */
	bool open;           /* cuInit() was called */
};

/*
 * Makes the context that the call names the current one; `req->context` 0
 * leaves none current.  CUDA_ERROR_INVALID_CONTEXT for a handle that is none.
 * The dispatch calls it for every function with context = true.
 */
CUresult cuda_session_enter(struct cuda_session *s, const struct cuda_request_view *req);

/* The guest's number of a device to the driver's; CUDA_ERROR_INVALID_DEVICE. */
static inline CUresult cuda_session_device(const struct cuda_session *s, int guest, CUdevice *real)
{
	if (guest != 0)
		return CUDA_ERROR_INVALID_DEVICE;
	*real = s->device;
	return CUDA_SUCCESS;
}

/*
 * The generated dispatch.  0: *reply is made; -EINVAL: the request is not what
 * its function's structure says; -EOPNOTSUPP: no such function.
 */
int cuda_dispatch(struct cuda_session *s, const struct cuda_request_view *req,
		  struct cuda_reply *reply);

#endif /* VGPU_WORKER_CUDA_SESSION_H */
