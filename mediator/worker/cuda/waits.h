/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Calls that are answered when the GPU has done something.
 *
 * A wait is first a mere question ("is this stream idle?"), asked again and
 * again while the worker looks for requests.  Before anything else is enqueued
 * it is pinned: an event of ours marks the point that is waited for.  When
 * looking has taken long enough, threads sleep on those events instead.
 */
#ifndef VGPU_WORKER_CUDA_WAITS_H
#define VGPU_WORKER_CUDA_WAITS_H

#include "cuda_driver.h"
#include <stdbool.h>
#include <stdint.h>

#include "contexts.h"
#include "helpers.h"

struct cuda_reply;
struct cuda_session;
struct wait;

#define WAITS_MAX 4096u

/*
 * Called once when what was waited for has happened; `r`: CUDA_SUCCESS or the
 * error that the driver found.  Makes the data of the answer in *reply (for a
 * quiet call it is thrown away), gives up what the wait held, and returns the
 * call's result, or HOST_PENDING if another wait has taken it over.
 */
typedef CUresult (*wait_finish)(struct cuda_session *s, struct wait *w, CUresult r,
				struct cuda_reply *reply);

enum wait_on { WAIT_STREAM, WAIT_CONTEXT, WAIT_EVENT };

struct wait {
	struct wait *next;
	uint64_t id; /* of the request */
	bool quiet;
	bool pinned; /* `own` marks the point */
	bool cannot_pin;
	bool only_later; /* if nothing has to be waited for, finish is not called */
	uint64_t order;  /* among those */
	uint32_t turns;  /* how often it was put off */
	bool done;       /* `result` is known; the answer is on its way */
	uint8_t on;      /* enum wait_on */
	CUresult result;
	uint64_t context; /* handle */
	CUstream stream;
	CUevent event;
	struct own_event *own;
	struct helper_job *job; /* a thread that sleeps on `own` */
	wait_finish finish;     /* NULL: nothing but the result */
	/* The rest belongs to who made the wait. */
	uint64_t arg[6];
	void *data;
};

struct waits {
	uint64_t order_last;    /* of calls that were put off */
	uint64_t order_again;   /* of the one that is made now, 0: none */
	uint64_t context_again; /* ... and the context that it has waited for */
	uint32_t turns_again;   /* ... and how often it was put off */
	struct wait *head, **tail;
	struct wait *free_list;
	uint32_t n;
	uint32_t unpinned; /* of them */
	uint64_t moved;    /* when there was none, or the last one was over; ns */
	struct helpers helpers;
};

CUresult waits_init(struct cuda_session *s);

/* A wait for the request in progress, all zero but for that; NULL: too many. */
struct wait *waits_new(struct cuda_session *s);
void waits_drop(struct cuda_session *s, struct wait *w);

/*
 * Enter `w`, whose finish is set.  They return HOST_PENDING, or at once what
 * finish() returned, `w` being gone then.
 */
CUresult waits_stream(struct cuda_session *s, struct wait *w, CUstream stream);
CUresult waits_context(struct cuda_session *s, struct wait *w);
CUresult waits_event(struct cuda_session *s, struct wait *w, CUevent event);

/* Does asking about `stream` (NULL: the default one) leave captures alone? */
bool waits_may_ask(struct cuda_session *s, CUstream stream);

/* Is `stream` being captured, as far as the driver tells?  Never the default one. */
bool waits_is_capturing(struct cuda_session *s, CUstream stream);

/* Is a stream of the current context being captured? */
bool waits_is_captured(struct cuda_session *s);

/* Is nothing of the current context under way? */
bool waits_is_idle(struct cuda_session *s);

/* Something went on: the time that cuda_nap_ns() goes by begins anew. */
void waits_moved(struct waits *ws);

/* Before anything is enqueued by another call. */
void waits_pin(struct cuda_session *s);

/* Asks about some of the waits; one that is done is taken out and returned. */
struct wait *waits_look(struct cuda_session *s);

/*
 * A context has gone, and with it what its waits stand for: they end with
 * CUDA_ERROR_CONTEXT_IS_DESTROYED, also if the guest gives its handle to another.
 */
void waits_leave(struct cuda_session *s, uint64_t context);

/* ... and put back, because its answer cannot go out yet. */
void waits_put_back(struct cuda_session *s, struct wait *w);

/* Before sleeping: threads take over.  Milliseconds that the loop may sleep, or -1. */
int waits_sleep(struct cuda_session *s);

/* After finish(): the wait's own things go back. */
void waits_end(struct cuda_session *s, struct wait *w);

#endif /* VGPU_WORKER_CUDA_WAITS_H */
