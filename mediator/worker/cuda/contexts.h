/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What we keep of each context: its streams, events of our own to wait with,
 * and a little pinned memory for data on its way into a response.
 */
#ifndef VGPU_WORKER_CUDA_CONTEXTS_H
#define VGPU_WORKER_CUDA_CONTEXTS_H

#include "cuda_driver.h"
#include <stdbool.h>
#include <stdint.h>

#include "flow.h"

struct cuda_object;
struct cuda_session;

/*
 * What an event of ours is for.  One that a thread may sleep on has the GPU raise
 * an interrupt, for which the stream is held up: some 2.4 us on an H100.
 */
enum own_event_kind { EVENT_TO_ASK, EVENT_TO_SLEEP, EVENT_KINDS };

/* An event of ours, in a list while it is free. */
struct own_event {
	CUevent event;
	enum own_event_kind kind;
	struct own_event *next;
};

struct guest_stream {
	CUstream stream;
	bool blocking; /* waits for the legacy default stream, and that for it */
	struct flow_count used;
};

/* A limit that costs device memory; limit_calls.c. */
struct context_limit {
	bool known;
	uint64_t first;   /* what the context began with */
	uint64_t charged; /* for what is beyond it */
};

#define CONTEXT_LIMITS 3u
#define CONTEXT_STACK 0u /* the place of the stack's */

struct cuda_context {
	CUcontext real;
	bool primary;
	struct guest_stream *stream; /* those of the guest, not the default one */
	uint32_t nstreams;
	uint32_t room;
	CUstream side; /* of ours: takes over what an event or a destroyed stream stands for */
	struct flow_count used; /* of the default stream */
	struct flow_count gone; /* of streams that went before their work was done */
	struct flow_count made; /* streams, not calls */
	struct own_event *free_events[EVENT_KINDS];
	uint8_t *slots; /* SLOTS of SLOT_BYTES */
	uint64_t slots_taken;
	bool slots_registered;
	struct context_limit limit[CONTEXT_LIMITS];
	uint64_t local; /* bytes for a thread: the most that a kernel of it has needed */
};

#define SLOTS 64u
#define SLOT_BYTES 8192u

/* For the handle that is made next (s->new_data); NULL: no memory. */
struct cuda_context *contexts_new(CUcontext real, bool primary);

/* ------------------------------------------------------------------- cost */
/*
 * context_cost.c: a session's first context is for nothing, each further one that
 * is there at the same time costs what the daemon says (tenant_page.h).
 *
 * Before the guest's next one is made: charges for it and leaves that in
 * s->new_charged.  CUDA_SUCCESS, or CUDA_ERROR_OUT_OF_MEMORY.
 */
CUresult contexts_pay(struct cuda_session *s);

/*
 * A context has come or gone, of the guest or of ours: there is one for nothing
 * again if there are any, and the daemon learns how many nobody pays for.
 */
void contexts_settle(struct cuda_session *s);

/*
 * limit_calls.c: before a kernel is launched in the current context, or put into a
 * graph, that needs `bytes` of local memory for each thread.  The driver has that
 * for as many threads as can be at once, from then on.  CUDA_SUCCESS, or
 * CUDA_ERROR_OUT_OF_MEMORY.
 */
CUresult contexts_local(struct cuda_session *s, uint64_t bytes);

/* Any one of the guest's, as a handle; 0: it has none. */
uint64_t contexts_any(struct cuda_session *s);

/* Of the current context; NULL if there is none or no memory. */
struct cuda_context *contexts_current(struct cuda_session *s);

/* Of a context's handle; NULL if it is gone. */
struct cuda_context *contexts_of(struct cuda_session *s, uint64_t handle);

/* A context is given up by the guest but may live on: what is ours in it goes. */
void contexts_shut(struct cuda_session *s, uint64_t handle);

/* The object of a context goes; what the driver frees with it is not freed again. */
void contexts_gone(struct cuda_session *s, struct cuda_object *o);

/* A stream's handle appears in, or goes from, the context with that handle. */
bool contexts_add_stream(struct cuda_session *s, uint64_t handle, CUstream stream);
void contexts_drop_stream(struct cuda_session *s, uint64_t handle, CUstream stream);

/* An event of ours in the current context `c`; NULL if the driver has none. */
struct own_event *contexts_event(struct cuda_session *s, struct cuda_context *c,
				 enum own_event_kind kind);
void contexts_event_back(struct cuda_context *c, struct own_event *e);

/* The stream of ours in the current context, or NULL. */
CUstream contexts_side(struct cuda_session *s, struct cuda_context *c);

/* A stream of the current context goes with work in it: the context still waits for that. */
void contexts_inherit(struct cuda_session *s, struct cuda_context *c, CUstream stream);

/* The same for a stream that cannot be asked for a while, if there is work in it. */
void contexts_leave(struct cuda_session *s, CUstream stream);
/* Likewise for all of the current context, since some will be captured. */
void contexts_before_capture(struct cuda_session *s);

/* Is there one in the current context? */
bool contexts_has_slot(struct cuda_session *s, struct cuda_context *c);
/* SLOT_BYTES of memory that copies of the current context reach at once; NULL: all taken. */
uint8_t *contexts_slot(struct cuda_session *s, struct cuda_context *c);
void contexts_slot_back(struct cuda_context *c, uint8_t *slot);

#endif /* VGPU_WORKER_CUDA_CONTEXTS_H */
