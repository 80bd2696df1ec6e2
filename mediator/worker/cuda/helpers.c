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
	pthread_cond_init(&h->left, NULL);
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

/* With the lock held: nobody uses the job's event any more. */
static void finish(struct helper_job *job)
{
	if (job->orphaned)
		free(job);
	else
		job->done = true;
}

/* The worker asks for the result itself. */
static void sleep_on(struct helpers *h, struct helper_job **place, struct helper_job *job)
{
	const uint64_t one = 1;

	*place = job;
	pthread_mutex_unlock(&h->lock);
	h->set_current(job->context);
	h->synchronize(job->event);
	pthread_mutex_lock(&h->lock);
	*place = NULL;
	finish(job);
	pthread_cond_broadcast(&h->left);
	if (write(h->wake, &one, sizeof(one)) < 0)
		return; /* it is full: the worker wakes anyway */
}

static void *run(void *opaque)
{
	struct helpers *h = opaque;
	struct helper_job **place;

	pthread_mutex_lock(&h->lock);
	place = &h->at_work[h->started++];
	for (;;) {
		struct helper_job *job = take(h);

		if (job->orphaned)
			free(job);
		else
			sleep_on(h, place, job);
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

static bool is_at_work(const struct helpers *h, CUcontext context)
{
	for (unsigned int i = 0; i < HELPERS_MAX; i++) {
		if (h->at_work[i] && h->at_work[i]->context == context)
			return true;
	}
	return false;
}

void helpers_leave(struct helpers *h, CUcontext context)
{
	struct helper_job **at = &h->head;

	pthread_mutex_lock(&h->lock);
	while (*at) {
		struct helper_job *job = *at;

		if (job->context != context) {
			at = &job->next;
			continue;
		}
		*at = job->next;
		h->queued--;
		finish(job);
	}
	h->tail = at;
	while (is_at_work(h, context))
		pthread_cond_wait(&h->left, &h->lock);
	pthread_mutex_unlock(&h->lock);
}
