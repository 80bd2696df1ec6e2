// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Host functions in streams.
 *
 * The host says by number that one is due, at which its stream stands still.
 * A thread of ours runs it, one after the other as the notes came, and says
 * that it is done.  Such a function must not call CUDA, so that one thread is
 * enough.
 */
#include "callback.h"

#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include "capture.h"
#include "client.h"
#include "context.h"
#include "cuda_rpc.h"
#include "own_thread.h"

struct callback {
	unsigned long long id;
	CUhostFn fn;
	void *data;
	bool often;
	struct callback *next;
};

struct due {
	unsigned long long id;
	struct due *next;
};

#define BUCKETS 256u

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t news = PTHREAD_COND_INITIALIZER;
static struct callback *table[BUCKETS];
static unsigned long long numbers;
static struct due *first_due, **last_due = &first_due;
static bool running;

unsigned long long callback_add(CUhostFn fn, void *data, bool often)
{
	struct callback *c = malloc(sizeof(*c));

	if (!c)
		return 0;
	pthread_mutex_lock(&lock);
	*c = (struct callback){++numbers, fn, data, often, NULL};
	c->next = table[c->id % BUCKETS];
	table[c->id % BUCKETS] = c;
	pthread_mutex_unlock(&lock);
	return c->id;
}

/* Called with the lock held. */
static struct callback **place_of(unsigned long long id)
{
	struct callback **c = &table[id % BUCKETS];

	while (*c && (*c)->id != id)
		c = &(*c)->next;
	return c;
}

void callback_drop(unsigned long long id)
{
	struct callback **c, *old;

	pthread_mutex_lock(&lock);
	c = place_of(id);
	old = *c;
	if (old)
		*c = old->next;
	pthread_mutex_unlock(&lock);
	free(old);
}

bool callback_find(unsigned long long id, CUhostFn *fn, void **data)
{
	struct callback *c;

	pthread_mutex_lock(&lock);
	c = *place_of(id);
	if (c) {
		*fn = c->fn;
		*data = c->data;
	}
	pthread_mutex_unlock(&lock);
	return c != NULL;
}

/* ------------------------------------------------------------------ notes */

static void print(int fd, const char *text, size_t length)
{
	while (length) {
		ssize_t n = write(fd, text, length);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return;
		text += n;
		length -= (size_t)n;
	}
}

/* Called by whichever thread receives: nothing here may make a call or wait for one. */
static void take_note(const struct vgpu_cuda_note *note, const void *data)
{
	struct due *d;

	switch (note->kind) {
	case VGPU_CUDA_NOTE_STDOUT:
		print(STDOUT_FILENO, data, note->length);
		return;
	case VGPU_CUDA_NOTE_STDERR:
		print(STDERR_FILENO, data, note->length);
		return;
	case VGPU_CUDA_NOTE_CALLBACK:
		d = malloc(sizeof(*d));
		if (!d)
			return;
		*d = (struct due){note->value, NULL};
		pthread_mutex_lock(&lock);
		*last_due = d;
		last_due = &d->next;
		pthread_cond_signal(&news);
		pthread_mutex_unlock(&lock);
		return;
	default: /* of a newer host */
		return;
	}
}

void notes_start(void)
{
	client_on_note(take_note);
}

static void run_one(unsigned long long id)
{
	struct callback *c;
	CUhostFn fn = NULL;
	void *data = NULL;
	bool once = false;

	pthread_mutex_lock(&lock);
	c = *place_of(id);
	if (c) {
		fn = c->fn;
		data = c->data;
		once = !c->often;
	}
	pthread_mutex_unlock(&lock);
	if (fn)
		fn(data);
	if (once)
		callback_drop(id);
	rpc_vgpuCallbackDone(id);
}

static void *run(void *unused)
{
	(void)unused;
	pthread_mutex_lock(&lock);
	for (;;) {
		struct due *d = first_due;

		if (!d) {
			pthread_cond_wait(&news, &lock);
			continue;
		}
		first_due = d->next;
		if (!first_due)
			last_due = &first_due;
		pthread_mutex_unlock(&lock);
		run_one(d->id);
		free(d);
		pthread_mutex_lock(&lock);
	}
	return NULL;
}

CUresult callbacks_start(void)
{
	CUresult r = client_notes_start();

	if (r != CUDA_SUCCESS)
		return r;
	pthread_mutex_lock(&lock);
	if (!running)
		running = own_thread_start(run, NULL, 0);
	if (!running)
		r = CUDA_ERROR_OPERATING_SYSTEM;
	pthread_mutex_unlock(&lock);
	return r;
}

/* ------------------------------------------------------------ entry points */

CUresult cuLaunchHostFunc(CUstream hStream, CUhostFn fn, void *userData)
{
	unsigned long long id;
	CUresult r = shim_enter_context();

	if (r == CUDA_SUCCESS && !fn)
		r = CUDA_ERROR_INVALID_VALUE;
	if (r == CUDA_SUCCESS)
		r = shim_stream(hStream, &hStream);
	if (r == CUDA_SUCCESS)
		r = callbacks_start();
	if (r != CUDA_SUCCESS)
		return r;
	/* In a captured stream it becomes a node, which may run many times. */
	id = callback_add(fn, userData, capture_has(hStream));
	if (!id)
		return CUDA_ERROR_OUT_OF_MEMORY;
	r = rpc_vgpuCallback(hStream, id);
	if (r != CUDA_SUCCESS)
		callback_drop(id);
	return r;
}

/* The older form also tells the stream and how it fares. */
struct with_status {
	CUstreamCallback fn;
	void *data;
	CUstream stream;
};

static void call_with_status(void *p)
{
	struct with_status *w = p;

	w->fn(w->stream, client_sticky(), w->data);
	free(w);
}

CUresult cuStreamAddCallback(CUstream hStream, CUstreamCallback callback, void *userData,
			     unsigned int flags)
{
	struct with_status *w;
	CUstream stream = hStream;
	CUresult r = shim_enter_context();

	if (r == CUDA_SUCCESS && (!callback || flags))
		r = CUDA_ERROR_INVALID_VALUE;
	if (r == CUDA_SUCCESS)
		r = shim_stream(hStream, &stream);
	if (r == CUDA_SUCCESS && capture_has(stream))
		r = CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
	if (r != CUDA_SUCCESS)
		return r;
	w = malloc(sizeof(*w));
	if (!w)
		return CUDA_ERROR_OUT_OF_MEMORY;
	*w = (struct with_status){callback, userData, hStream};
	r = cuLaunchHostFunc(stream, call_with_status, w);
	if (r != CUDA_SUCCESS)
		free(w);
	return r;
}
