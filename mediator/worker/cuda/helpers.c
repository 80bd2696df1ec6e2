/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Threads that sleep on events. */
#include "helpers.h"

#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

void helpers_init(struct helpers *h, int wake, CUresult (*synchronize)(CUevent),
		  CUresult (*set_current)(CUcontext))
{
	*h = (struct helpers){.wake = wake, .synchronize = synchronize, .set_current = set_current};
	pthread_mutex_init(&h->lock, NULL);
	pthread_cond_init(&h->more, NULL);
	h->tail = &h->head;
}

/* With the lock held; waits until there is one. */
static struct helper_job *take(struct helpers *h)
{
	struct helper_job *job;

	h->idle++;
	while (!h->head)
		pthread_cond_wait(&h->more, &h->lock);
	h->idle--;
	job = h->head;
	h->head = job->next;
	if (!h->head)
		h->tail = &h->head;
	h->queued--;
	return job;
}

static void *run(void *opaque)
{
	const uint64_t one = 1;
	struct helpers *h = opaque;

	pthread_mutex_lock(&h->lock);
	for (;;) {
		struct helper_job *job = take(h);
		bool orphaned = job->orphaned;

		pthread_mutex_unlock(&h->lock);
		if (!orphaned) {
			h->set_current(job->context);
			h->synchronize(job->event); /* the worker asks for the result itself */
		}
		pthread_mutex_lock(&h->lock);
		if (job->orphaned) {
			free(job);
			continue;
		}
		__atomic_store_n(&job->done, 1, __ATOMIC_RELEASE);
		if (write(h->wake, &one, sizeof(one)) < 0)
			continue; /* it is full: the worker wakes anyway */
	}
	return NULL;
}

static void start_thread(struct helpers *h)
{
	pthread_attr_t attr;
	pthread_t thread;

	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, 256u << 10);
	if (pthread_create(&thread, &attr, run, h) == 0)
		h->threads++;
	pthread_attr_destroy(&attr);
}

struct helper_job *helpers_start(struct helpers *h, CUcontext context, CUevent event)
{
	struct helper_job *job = calloc(1, sizeof(*job));

	if (!job)
		return NULL;
	job->context = context;
	job->event = event;
	pthread_mutex_lock(&h->lock);
	*h->tail = job;
	h->tail = &job->next;
	h->queued++;
	if (h->queued > h->idle && h->threads < HELPERS_MAX)
		start_thread(h);
	pthread_cond_signal(&h->more);
	pthread_mutex_unlock(&h->lock);
	return job;
}

bool helpers_keep_up(struct helpers *h)
{
	bool yes;

	pthread_mutex_lock(&h->lock);
	yes = h->queued == 0 || h->threads < HELPERS_MAX;
	if (h->queued > h->idle && h->threads == 0)
		yes = false; /* no thread could be made */
	pthread_mutex_unlock(&h->lock);
	return yes;
}

bool helpers_end(struct helpers *h, struct helper_job *job)
{
	bool done;

	pthread_mutex_lock(&h->lock);
	done = job->done;
	job->orphaned = true;
	pthread_mutex_unlock(&h->lock);
	if (done)
		free(job);
	return done;
}
