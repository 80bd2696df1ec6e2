/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Calls that are answered when the GPU has done something. */
#include "waits.h"

#include <stdlib.h>
#include <string.h>

#include "output.h"
#include "session.h"

/* Waits asked about in one look; streams of a context that are asked one by one. */
#define LOOK_WAITS 8u
#define LOOK_STREAMS 8u

CUresult waits_init(struct cuda_session *s)
{
	struct waits *ws = calloc(1, sizeof(*ws));

	if (!ws)
		return CUDA_ERROR_OUT_OF_MEMORY;
	ws->tail = &ws->head;
	helpers_init(&ws->helpers, s->wake_fd, s->drv->cuEventSynchronize, s->drv->cuCtxSetCurrent);
	s->waits = ws;
	return CUDA_SUCCESS;
}

struct wait *waits_new(struct cuda_session *s)
{
	struct waits *ws = s->waits;
	struct wait *w = ws->free_list;

	if (w) {
		ws->free_list = w->next;
		memset(w, 0, sizeof(*w));
	} else if (ws->n >= WAITS_MAX) {
		return NULL;
	} else {
		w = calloc(1, sizeof(*w));
		if (!w)
			return NULL;
	}
	w->id = s->req->id;
	w->quiet = s->req->quiet;
	w->context = s->context;
	return w;
}

void waits_drop(struct cuda_session *s, struct wait *w)
{
	w->next = s->waits->free_list;
	s->waits->free_list = w;
}

void waits_end(struct cuda_session *s, struct wait *w)
{
	struct cuda_context *c = contexts_of(s, w->context);
	bool is_free = true;

	if (w->job)
		is_free = helpers_end(&s->waits->helpers, w->job);
	/* One that a thread still sleeps on is left to the context. */
	if (w->own && is_free && c)
		contexts_event_back(c, w->own);
	else if (w->own)
		free(w->own);
	waits_drop(s, w);
}

/*
 * A question to a stream that is being captured would end the capture; so
 * would one to the default stream while a stream is that waits for it.
 */
bool waits_may_ask(struct cuda_session *s, CUstream stream)
{
	CUstreamCaptureStatus status = CU_STREAM_CAPTURE_STATUS_NONE;

	if (!s->captures || !s->drv->cuStreamIsCapturing)
		return true;
	return s->drv->cuStreamIsCapturing(stream, &status) == CUDA_SUCCESS &&
	       status == CU_STREAM_CAPTURE_STATUS_NONE;
}

bool waits_is_capturing(struct cuda_session *s, CUstream stream)
{
	CUstreamCaptureStatus status = CU_STREAM_CAPTURE_STATUS_NONE;

	return s->captures && stream && s->drv->cuStreamIsCapturing &&
	       s->drv->cuStreamIsCapturing(stream, &status) == CUDA_SUCCESS &&
	       status != CU_STREAM_CAPTURE_STATUS_NONE;
}

bool waits_is_captured(struct cuda_session *s)
{
	const struct cuda_context *c = s->captures ? contexts_current(s) : NULL;

	for (uint32_t i = 0; c && i < c->nstreams; i++) {
		if (!waits_may_ask(s, c->stream[i].stream))
			return true;
	}
	return false;
}

/* Is the context idle?  With `all`: all of it; else what the default stream waits for. */
static CUresult query_streams(struct cuda_session *s, const struct cuda_context *c, bool all)
{
	CUresult r = waits_may_ask(s, NULL) ? s->drv->cuStreamQuery(NULL) : CUDA_SUCCESS;

	for (uint32_t i = 0; i < c->nstreams && r == CUDA_SUCCESS; i++) {
		if ((all || c->stream[i].blocking) && waits_may_ask(s, c->stream[i].stream))
			r = s->drv->cuStreamQuery(c->stream[i].stream);
	}
	if (r == CUDA_SUCCESS && c->side)
		r = s->drv->cuStreamQuery(c->side);
	return r;
}

bool waits_is_idle(struct cuda_session *s)
{
	const struct cuda_context *c = contexts_current(s);

	return !c || query_streams(s, c, true) != CUDA_ERROR_NOT_READY;
}

/* Stream 0 and its other name. */
static bool is_default(CUstream stream)
{
	return (uintptr_t)stream <= (uintptr_t)CU_STREAM_LEGACY;
}

static CUresult ask(struct cuda_session *s, struct wait *w)
{
	CUresult r = session_context(s, w->context);
	const struct cuda_context *c;

	if (r != CUDA_SUCCESS)
		return CUDA_ERROR_CONTEXT_IS_DESTROYED;
	if (w->pinned)
		return s->drv->cuEventQuery(w->own->event);
	switch (w->on) {
	case WAIT_STREAM:
		if (!is_default(w->stream))
			return s->drv->cuStreamQuery(w->stream);
		break;
	case WAIT_EVENT:
		return s->drv->cuEventQuery(w->event);
	default:
		break;
	}
	c = contexts_current(s);
	return c ? query_streams(s, c, w->on == WAIT_CONTEXT) : CUDA_ERROR_OUT_OF_MEMORY;
}

/*
 * The driver's own call, which returns at once now: it brings out what kernels
 * have printed.
 */
static CUresult synchronize(struct cuda_session *s, const struct wait *w)
{
	if (w->pinned)
		return s->drv->cuEventSynchronize(w->own->event);
	switch (w->on) {
	case WAIT_STREAM:
		return s->drv->cuStreamSynchronize(w->stream);
	case WAIT_EVENT:
		return s->drv->cuEventSynchronize(w->event);
	default:
		/* With a capture under way it would fail, and end that. */
		return s->captures ? CUDA_SUCCESS : s->drv->cuCtxSynchronize();
	}
}

/* What the context's streams have been given so far, gathered by our stream. */
static CUresult gather(struct cuda_session *s, struct cuda_context *c, CUevent event)
{
	CUstream side = contexts_side(s, c);
	CUresult r = side ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;

	for (uint32_t i = 0; i <= c->nstreams && r == CUDA_SUCCESS; i++) {
		CUstream stream = i ? c->stream[i - 1].stream : NULL;

		if (!waits_may_ask(s, stream))
			continue;
		r = s->drv->cuEventRecord(event, stream);
		if (r == CUDA_SUCCESS)
			r = s->drv->cuStreamWaitEvent(side, event, 0);
	}
	return r == CUDA_SUCCESS ? s->drv->cuEventRecord(event, side) : r;
}

static CUresult mark(struct cuda_session *s, struct wait *w, struct cuda_context *c, CUevent event)
{
	CUstream side;
	CUresult r;

	switch (w->on) {
	case WAIT_STREAM:
		return s->drv->cuEventRecord(event, w->stream);
	case WAIT_EVENT:
		side = contexts_side(s, c);
		r = side ? s->drv->cuStreamWaitEvent(side, w->event, 0) : CUDA_ERROR_OUT_OF_MEMORY;
		return r == CUDA_SUCCESS ? s->drv->cuEventRecord(event, side) : r;
	default:
		if (!s->captures && s->extra.cuCtxRecordEvent &&
		    s->extra.cuCtxRecordEvent(c->real, event) == CUDA_SUCCESS)
			return CUDA_SUCCESS;
		return gather(s, c, event);
	}
}

static void pin(struct cuda_session *s, struct wait *w)
{
	struct cuda_context *c;

	if (w->pinned || w->cannot_pin || w->done)
		return;
	s->waits->unpinned--;
	w->cannot_pin = true;
	if (session_context(s, w->context) != CUDA_SUCCESS)
		return;
	c = contexts_current(s);
	w->own = c ? contexts_event(s, c, EVENT_TO_SLEEP) : NULL;
	if (!w->own || mark(s, w, c, w->own->event) != CUDA_SUCCESS) {
		w->on = WAIT_CONTEXT; /* the stream or event may go before this wait does */
		return;
	}
	w->pinned = true;
	w->cannot_pin = false;
}

void waits_pin(struct cuda_session *s)
{
	if (!s->waits || !s->waits->unpinned)
		return;
	for (struct wait *w = s->waits->head; w; w = w->next)
		pin(s, w);
}

/*
 * Calls of one context that were put off are made in the order they came in: a
 * context is not to go before memory in it that is freed, and was, in the program.
 * One that waits for a stream alone follows those of that stream: what others
 * wait for may be what the program does once this one is answered.
 */
static bool follows(const struct wait *w, const struct wait *o)
{
	if (!o->only_later || o->context != w->context || o->order >= w->order)
		return false;
	return w->on != WAIT_STREAM || (o->on == WAIT_STREAM && o->stream == w->stream);
}

static bool is_next(const struct cuda_session *s, const struct wait *w)
{
	for (const struct wait *o = s->waits->head; o && w->only_later; o = o->next) {
		if (follows(w, o))
			return false;
	}
	return true;
}

void waits_moved(struct waits *ws)
{
	ws->moved = (uint64_t)g_get_monotonic_time() * 1000;
}

static CUresult enter(struct cuda_session *s, struct wait *w)
{
	const struct cuda_context *c;
	CUresult r = is_next(s, w) ? ask(s, w) : CUDA_ERROR_NOT_READY;

	if (r != CUDA_ERROR_NOT_READY) {
		if (r == CUDA_SUCCESS)
			r = synchronize(s, w);
		if (w->only_later) {
			waits_end(s, w);
			return CUDA_SUCCESS;
		}
		/* Text of kernels has to go first; that may need time. */
		if (output_drain(s)) {
			r = w->finish ? w->finish(s, w, r, s->reply) : r;
			waits_end(s, w);
			return r;
		}
		w->result = r;
		w->done = true;
	}
	if (!s->waits->n)
		waits_moved(s->waits);
	*s->waits->tail = w;
	s->waits->tail = &w->next;
	s->waits->n++;
	if (!w->done)
		s->waits->unpinned++;
	/* One event is asked faster than many streams. */
	c = contexts_current(s);
	if (c && c->nstreams > LOOK_STREAMS && (w->on == WAIT_CONTEXT || is_default(w->stream)))
		pin(s, w);
	return HOST_PENDING;
}

CUresult waits_stream(struct cuda_session *s, struct wait *w, CUstream stream)
{
	w->on = WAIT_STREAM;
	w->stream = stream;
	return enter(s, w);
}

CUresult waits_context(struct cuda_session *s, struct wait *w)
{
	w->on = WAIT_CONTEXT;
	return enter(s, w);
}

CUresult waits_event(struct cuda_session *s, struct wait *w, CUevent event)
{
	w->on = WAIT_EVENT;
	w->event = event;
	return enter(s, w);
}

static void take_out(struct waits *ws, struct wait **at)
{
	struct wait *w = *at;

	*at = w->next;
	if (ws->tail == &w->next)
		ws->tail = at;
	ws->n--;
	waits_moved(ws);
	if (!w->pinned && !w->cannot_pin && !w->done)
		ws->unpinned--;
}

/* Puts those that were looked at behind the others. */
static void rotate(struct waits *ws, struct wait **from)
{
	if (!*from || from == &ws->head)
		return;
	*ws->tail = ws->head;
	ws->head = *from;
	ws->tail = from;
	*from = NULL;
}

struct wait *waits_look(struct cuda_session *s)
{
	struct waits *ws = s->waits;
	struct wait **at = &ws->head;

	for (unsigned int i = 0; *at && i < LOOK_WAITS; i++, at = &(*at)->next) {
		struct wait *w = *at;

		if (!w->done) {
			CUresult r = ask(s, w);

			if (r == CUDA_ERROR_NOT_READY || !is_next(s, w))
				continue;
			if (r == CUDA_SUCCESS)
				r = synchronize(s, w);
			w->result = r;
		}
		take_out(ws, at);
		w->done = true;
		return w;
	}
	rotate(ws, at);
	return NULL;
}

void waits_leave(struct cuda_session *s, uint64_t context)
{
	for (struct wait *w = s->waits->head; w; w = w->next) {
		if (w->context == context)
			w->context = 0;
	}
}

void waits_put_back(struct cuda_session *s, struct wait *w)
{
	w->next = s->waits->head;
	s->waits->head = w;
	if (!w->next)
		s->waits->tail = &w->next;
	s->waits->n++;
}

int waits_sleep(struct cuda_session *s)
{
	struct waits *ws = s->waits;
	bool all = true;

	for (struct wait *w = ws->head; w; w = w->next) {
		pin(s, w);
		if (w->pinned && !w->job) {
			struct cuda_context *c = contexts_of(s, w->context);

			if (c)
				w->job = helpers_start(&ws->helpers, c->real, w->own->event);
		}
		all = all && w->job;
	}
	return all && helpers_keep_up(&ws->helpers) ? -1 : 1;
}
