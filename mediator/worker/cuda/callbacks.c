/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Host functions of the guest's program: the driver's threads wait here for the guest. */
#include "callbacks.h"

#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "cuda_dispatch.h"
#include "notes.h"
#include "session.h"
#include "worker.h"

/* One function as it was enqueued. */
struct callback {
	struct cuda_session *session;
	uint64_t value;
	bool once; /* freed when it has run */
};

/* Of those in graphs, which stay: the graphs may run them at any time. */
#define REPEATED_MAX (1u << 20)

/* One that runs just now; on the stack of a driver's thread. */
struct running {
	struct running *next;
	uint64_t value;
	bool told; /* the note is out */
	bool done;
};

struct callbacks {
	pthread_mutex_t lock;
	pthread_cond_t done;
	struct running *head, **tail;
	GHashTable *repeated; /* those in graphs, by value; NULL: there never was one */
	uint32_t enqueued;    /* atomic: in streams, not run yet */
	uint32_t turn;        /* how often there was one after there had been none */
};

CUresult callbacks_init(struct cuda_session *s)
{
	struct callbacks *cs = calloc(1, sizeof(*cs));

	if (!cs)
		return CUDA_ERROR_OUT_OF_MEMORY;
	pthread_mutex_init(&cs->lock, NULL);
	pthread_cond_init(&cs->done, NULL);
	cs->tail = &cs->head;
	s->callbacks = cs;
	return CUDA_SUCCESS;
}

static void keep(struct callbacks *cs, struct callback *c)
{
	if (!cs->repeated)
		cs->repeated = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, free);
	g_hash_table_insert(cs->repeated, &c->value, c);
}

void *callbacks_new(struct cuda_session *s, uint64_t value, bool once)
{
	struct callbacks *cs = s->callbacks;
	struct callback *c = NULL;

	if (!callbacks_outstanding(s))
		cs->turn++;
	if (!once && cs->repeated)
		c = g_hash_table_lookup(cs->repeated, &value);
	if (c || (!once && cs->repeated && g_hash_table_size(cs->repeated) >= REPEATED_MAX))
		return c;
	c = calloc(1, sizeof(*c));
	if (!c)
		return NULL;
	*c = (struct callback){.session = s, .value = value, .once = once};
	if (once)
		__atomic_add_fetch(&s->callbacks->enqueued, 1, __ATOMIC_RELAXED);
	else
		keep(cs, c);
	return c;
}

void callbacks_drop(void *data)
{
	struct callback *c = data;

	if (!c->once)
		return;
	__atomic_sub_fetch(&c->session->callbacks->enqueued, 1, __ATOMIC_RELAXED);
	free(c);
}

static void tell_loop(struct cuda_session *s)
{
	const uint64_t one = 1;

	__atomic_store_n(&s->notified, 1, __ATOMIC_RELEASE);
	if (write(s->wake_fd, &one, sizeof(one)) < 0)
		return; /* it is full: the loop wakes anyway */
}

void CUDA_CB callbacks_run(void *data)
{
	struct callback *c = data;
	struct cuda_session *s = c->session;
	struct callbacks *cs = s->callbacks;
	struct running r = {.value = c->value};

	pthread_mutex_lock(&cs->lock);
	*cs->tail = &r;
	cs->tail = &r.next;
	tell_loop(s);
	while (!r.done)
		pthread_cond_wait(&cs->done, &cs->lock);
	pthread_mutex_unlock(&cs->lock);
	if (c->once)
		callbacks_drop(c);
}

bool callbacks_send(struct cuda_session *s)
{
	struct callbacks *cs = s->callbacks;
	bool sent = false;

	__atomic_store_n(&s->notified, 0, __ATOMIC_SEQ_CST);
	pthread_mutex_lock(&cs->lock);
	for (struct running *r = cs->head; r; r = r->next) {
		if (r->told)
			continue;
		if (!notes_send(s, VGPU_CUDA_NOTE_CALLBACK, r->value, NULL, 0)) {
			__atomic_store_n(&s->notified, 1, __ATOMIC_RELEASE);
			break;
		}
		r->told = sent = true;
	}
	pthread_mutex_unlock(&cs->lock);
	return sent;
}

CUresult callbacks_done(struct cuda_session *s, uint64_t value)
{
	struct callbacks *cs = s->callbacks;
	struct running **at, *r;

	pthread_mutex_lock(&cs->lock);
	for (at = &cs->head; *at; at = &(*at)->next) {
		if ((*at)->told && (*at)->value == value)
			break;
	}
	r = *at;
	if (r) {
		*at = r->next;
		if (cs->tail == &r->next)
			cs->tail = at;
		r->done = true; /* its thread goes on, and `r` with it */
		pthread_cond_broadcast(&cs->done);
	}
	pthread_mutex_unlock(&cs->lock);
	return r ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

uint32_t callbacks_turn(const struct cuda_session *s)
{
	return callbacks_outstanding(s) ? s->callbacks->turn : 0;
}

bool callbacks_outstanding(const struct cuda_session *s)
{
	return s->callbacks->repeated ||
	       __atomic_load_n(&s->callbacks->enqueued, __ATOMIC_RELAXED) ||
	       __atomic_load_n(&s->callbacks->head, __ATOMIC_RELAXED);
}

CUresult host_vgpuCallback(struct cuda_session *s, CUstream stream, unsigned long long id)
{
	CUstreamCaptureStatus capturing = CU_STREAM_CAPTURE_STATUS_NONE;
	void *data;
	CUresult r;

	if (!s->drv->cuLaunchHostFunc)
		return CUDA_ERROR_NOT_SUPPORTED;
	if (s->drv->cuStreamIsCapturing)
		s->drv->cuStreamIsCapturing(stream, &capturing);
	/* What comes before it is work; itself is none. */
	if (capturing == CU_STREAM_CAPTURE_STATUS_NONE)
		marks_make(s, worker_read_clock(s->worker));
	marks_forget(s);
	data = callbacks_new(s, id, capturing == CU_STREAM_CAPTURE_STATUS_NONE);
	if (!data)
		return CUDA_ERROR_OUT_OF_MEMORY;
	r = s->drv->cuLaunchHostFunc(stream, callbacks_run, data);
	if (r != CUDA_SUCCESS)
		callbacks_drop(data);
	return r;
}

CUresult host_vgpuCallbackDone(struct cuda_session *s, unsigned long long id)
{
	return callbacks_done(s, id);
}
