/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A few threads that sleep until events have passed, so that the worker can sleep too. */
#ifndef VGPU_WORKER_CUDA_HELPERS_H
#define VGPU_WORKER_CUDA_HELPERS_H

#include "cuda_driver.h"
#include <pthread.h>
#include <stdbool.h>

#define HELPERS_MAX 8u

struct helper_job {
	struct helper_job *next;
	CUcontext context;
	CUevent event;
	bool done;     /* guarded by the lock, as is the next */
	bool orphaned; /* the wait is over */
};

struct helpers {
	pthread_mutex_t lock;
	pthread_cond_t more;
	pthread_cond_t left;             /* a thread is through with its job */
	struct helper_job *head, **tail; /* not taken by a thread yet */
	struct helper_job *at_work[HELPERS_MAX];
	unsigned int threads;
	unsigned int started; /* of them */
	unsigned int idle;
	unsigned int queued;
	int wake; /* eventfd, written after each job */
	CUresult (*synchronize)(CUevent);
	CUresult (*set_current)(CUcontext);
};

void helpers_init(struct helpers *h, int wake, CUresult (*synchronize)(CUevent),
		  CUresult (*set_current)(CUcontext));

/* Gives a thread the event to sleep on; NULL if there is no memory. */
struct helper_job *helpers_start(struct helpers *h, CUcontext context, CUevent event);

/* Have all jobs a thread of their own? */
bool helpers_keep_up(struct helpers *h);

/*
 * The owner needs the job no more.  True: it was done and is freed; false: a
 * thread may still use the event, and frees the job when it is through.
 */
bool helpers_end(struct helpers *h, struct helper_job *job);

/*
 * Before a context goes, and its events with it: no thread uses them any more.
 * Waits until those that sleep on one have woken.
 */
void helpers_leave(struct helpers *h, CUcontext context);

#endif /* VGPU_WORKER_CUDA_HELPERS_H */
