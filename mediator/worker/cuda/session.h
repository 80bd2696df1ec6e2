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

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <glib.h>

#include "backend.h"
#include "cuda_driver.h"
#include "flow.h"
#include "handles.h"
#include "marks.h"
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
#define HOST_PENDING (-1)

/* Bytes that a response may have behind struct vgpu_cuda_result. */
#define CUDA_REPLY_MAX \
	(VGPU_RECORD_MAX - sizeof(struct vgpu_response) - sizeof(struct vgpu_cuda_result))

/* One call; everything lies in private memory. */
struct cuda_request_view {
	const uint8_t *body; /* aligned to 8, begins with struct vgpu_cuda_call */
	uint32_t length;
	const struct vgpu_desc *desc;
	uint32_t ndesc;
	uint64_t id;
	bool quiet; /* no response: a failure becomes `deferred` of a later one */
};

/*
 * The answer.  `data` (aligned to 8) is what follows struct vgpu_cuda_result;
 * the dispatch writes at most `room` bytes there and sets `length`.
 */
struct cuda_reply {
	uint8_t *data;
	uint32_t room;
	uint32_t length; /* counts only if `result` is CUDA_SUCCESS */
	CUresult result;
};

/* Functions beside those that the table of calls names. */
struct cuda_extra {
	CUresult (*cuThreadExchangeStreamCaptureMode)(CUstreamCaptureMode *mode);
	CUresult (*cuCtxRecordEvent)(CUcontext ctx, CUevent event);
	CUresult (*cuMemGetAllocationGranularity)(size_t *granularity,
						  const CUmemAllocationProp *prop,
						  CUmemAllocationGranularity_flags option);
	CUresult (*cuDevicePrimaryCtxRetain)(CUcontext *ctx, CUdevice dev);
};

struct cuda_session {
	const struct cuda_driver *drv;
	struct cuda_extra extra;
	struct worker *worker;
	const struct cuda_request_view *req; /* of the call in progress */
	struct cuda_reply *reply;            /* ... and its answer, for functions that make it */
	struct cuda_handles handles;
	struct cuda_ranges ranges;
	struct cuda_ranges reserved; /* address ranges without memory */
	struct cuda_ranges textures; /* objects by number, each as a range of 1 */
	struct cuda_ranges surfaces;
	struct waits *waits;
	struct flow flow; /* calls that are held back */
	struct marks marks;
	struct blobs *blobs;
	struct windows *windows;
	struct callbacks *callbacks;
	struct output *output;
	GHashTable *pools;    /* the driver's pool -> what it is charged for; charge_pool.c */
	GHashTable *physical; /* the driver's handle of memory -> its users; charge.c */
	uint64_t context;     /* handle of the context that is current in the driver */
	uint64_t new_parent; /* parent of the handle that the call in progress makes, 0: as usual */
	uint64_t new_charged; /* ... and what the tenant was charged for it */
	uint64_t new_second;  /* ... and the context that it goes with as well, 0: none */
	void *new_data;       /* ... and the data that it takes along */
	void **params;        /* addresses of a kernel's parameters */
	uint32_t nparams;     /* ... room for as many as any known kernel has */
	uint32_t function;    /* number of the call that was taken last */
	CUresult deferred;    /* the first failure of a quiet call, not reported yet */
	CUcontext borrowed;   /* the primary context, retained for session_borrow() */
	CUdevice device;      /* the driver's number of the device that the guest calls 0 */
	int wake_fd;          /* eventfd that the loop watches; any thread may write it */
	uint32_t captures;    /* begun and not ended; capture_calls.c counts */
	bool captured_memory; /* some capture under way may hold allocations */
	bool open;            /* cuInit() was called */
	bool has_graphs;      /* there was one, or a capture: addresses may go into graphs */
	bool failed;          /* the daemon knows that a context was lost */
	int notified;         /* atomic: callbacks.c has something for the loop */
};

/*
 * Makes a context the current one.  CUDA_ERROR_INVALID_CONTEXT for 0 and for a
 * handle that is none.
 */
CUresult session_context(struct cuda_session *s, uint64_t handle);

/*
 * Makes a context current for a call that needs any: one of the guest's, or, before
 * it has one, the device's primary context, until the guest makes one.
 * session_forget_context() ends that.
 */
bool session_borrow(struct cuda_session *s);

/* The guest's number of a device to the driver's, or CUDA_ERROR_INVALID_DEVICE. */
static inline CUresult session_device(const struct cuda_session *s, CUdevice guest, CUdevice *real)
{
	if (guest != 0)
		return CUDA_ERROR_INVALID_DEVICE;
	*real = s->device;
	return CUDA_SUCCESS;
}

/* Nothing is known of what context is current: somebody else used the driver. */
static inline void session_forget_context(struct cuda_session *s)
{
	s->context = 0;
}

/* fault.c: an answer goes out; tells the daemon if it says that the context is lost. */
void session_note_result(struct cuda_session *s, CUresult r);

/* Dispatches a call, for the first time or once more; nothing of it is left in the session. */
int session_make_call(struct cuda_session *s, const struct cuda_request_view *req,
		      struct cuda_reply *reply);

/* Opens the driver where that has not happened yet, and initialises it. */
CUresult session_open(struct cuda_session *s);

/*
 * Before a context goes, or calls that may block: whatever the backend keeps in
 * contexts of its own accord is given up.
 */
void session_release_backend(struct cuda_session *s);

/*
 * Before a call that would block until the GPU has come far enough, since this
 * thread is needed meanwhile: for other threads of the program, whose calls the
 * GPU may wait for.  CUDA_SUCCESS: go on; HOST_PENDING: the call is dispatched
 * again when its context is idle.  One that is given new work all the time is not
 * waited for for ever: after some turns, each of which saw all done that was asked
 * for before it, the call may block for the little that came since.
 */
CUresult session_drain(struct cuda_session *s);
/* Is there a call that was put off? */
bool session_has_put_off(const struct cuda_session *s);
/*
 * Before a call that would block until `stream` has come so far: it is
 * dispatched again when that has done what it was given before.
 */
CUresult session_drain_stream(struct cuda_session *s, CUstream stream);
/* The same for calls that wait for all contexts, or for one that is not current. */
CUresult session_drain_all(struct cuda_session *s);
/* ... or for what each context was given before it, and not for what comes later. */
CUresult session_drain_each(struct cuda_session *s);

/*
 * As buffers_get() for descriptor `i` of the call in progress; also if the
 * region that it lies in was announced only just now.  *op is void once the
 * next descriptor is looked up.
 */
int session_operand(struct cuda_session *s, uint32_t i, uint32_t access, struct vgpu_operand *op);

/* The fixed structure of the call in progress. */
#define REQUEST(s, name) \
	((const struct vgpu_##name##_req *)((s)->req->body + sizeof(struct vgpu_cuda_call)))

#endif /* VGPU_WORKER_CUDA_SESSION_H */
