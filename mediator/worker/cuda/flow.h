/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The driver's queues are finite: who enqueues into a full one blocks in the
 * driver.  If that was this thread, and what the queue waits for a host
 * function of the guest's program, nobody would take the guest's word that the
 * function has run.  So while such functions are outstanding, calls that might
 * block are held back, and all that come after them, to be made in their order
 * when there is room; vgpuCallbackDone alone is always taken.
 */
#ifndef VGPU_WORKER_CUDA_FLOW_H
#define VGPU_WORKER_CUDA_FLOW_H

#include "cuda_driver.h"
#include <stdbool.h>
#include <stdint.h>

struct cuda_context;
struct cuda_request_view;
struct cuda_session;

/* What was enqueued while host functions were outstanding: in a stream, say. */
struct flow_count {
	uint32_t turn; /* callbacks_turn() of that; another one: nothing was */
	uint32_t calls;
};

struct flow {
	struct held *head, **tail;
	struct held *current; /* the one that is being made */
	bool again;           /* ... but not yet, it turned out */
	bool for_turn;  /* the first ones waited, or wait, for the session's turn at the GPU */
	uint64_t bytes; /* of all */
	uint32_t turn;  /* of `load` */
	uint32_t load;  /* at least what is enqueued and not done */
};

void flow_init(struct flow *f);

/* A call that enqueues into `stream` comes.  CUDA_SUCCESS: there is room; HOST_PENDING: later. */
CUresult flow_room(struct cuda_session *s, CUstream stream);
/* The same for one that takes the room of `calls` more. */
CUresult flow_room_for(struct cuda_session *s, CUstream stream, uint64_t calls);
/* Likewise for one that makes a stream in the current context. */
CUresult flow_new_stream(struct cuda_session *s);

/* Must the ring keep what comes?  What is held back takes memory. */
bool flow_is_full(const struct cuda_session *s);

/* A stream goes, its work does not. */
void flow_stream_goes(struct cuda_context *c, struct flow_count used);

/* Before any call is looked into: must it wait for those that are held back? */
bool flow_is_closed(struct cuda_session *s, uint32_t function);

/* Holds the call in progress back: HOST_PENDING, or an error. */
CUresult flow_hold(struct cuda_session *s, const struct cuda_request_view *req);

/* The next held call, if any, to be made now; flow_after() tells whether it was. */
bool flow_next(struct cuda_session *s, struct cuda_request_view *req);
bool flow_after(struct cuda_session *s);

#endif /* VGPU_WORKER_CUDA_FLOW_H */
