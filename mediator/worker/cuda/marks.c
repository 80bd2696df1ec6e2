/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Work on its way to the GPU: marks are made. */
#include "marks.h"

#include <stdlib.h>

#include "callbacks.h"
#include "contexts.h"
#include "session.h"
#include "waits.h"
#include "worker.h"

#define US 1000u
#define MS 1000000u

/* Between two marks, of work or of time; recording one costs about a microsecond. */
#define SPACE_NS (250 * US)
/* ... of work that may be, where only so much may be on its way. */
#define SPACE_LIKELY_NS (1 * MS)

/* What a call takes before any was seen: too much, so that few go first. */
#define LIKELY_FIRST_NS (1 * MS)

/* More than these are made only where it matters what each is for. */
#define MARKS_USUAL 32u

void marks_init(struct marks *m)
{
	*m = (struct marks){.likely_ns = LIKELY_FIRST_NS};
}

static struct own_event *record(struct cuda_session *s, struct cuda_context *c, CUstream stream)
{
	struct own_event *own = contexts_event(s, c, EVENT_TO_ASK);

	if (own && s->drv->cuEventRecord(own->event, stream) != CUDA_SUCCESS) {
		contexts_event_back(c, own);
		own = NULL;
	}
	return own;
}

void marks_event_back(struct cuda_session *s, uint64_t context, struct own_event *e)
{
	struct cuda_context *c = contexts_of(s, context);

	if (c)
		contexts_event_back(c, e);
	else
		free(e);
}

static bool may_record(struct cuda_session *s, CUstream stream)
{
	return s->drv->cuEventRecord && waits_may_ask(s, stream);
}

/* ---------------------------------------------------------------------- lanes */

static bool mark_lane(struct cuda_session *s, const struct lane *l)
{
	struct cuda_context *c = contexts_current(s);
	struct marks *m = &s->marks;
	struct own_event *own;

	if (m->n == MARKS_MAX || !c || !may_record(s, l->stream))
		return false;
	own = record(s, c, l->stream);
	if (!own)
		return false;
	m->mark[m->n++] = (struct mark){.own = own,
					.context = l->context,
					.stream = l->stream,
					.calls = l->calls,
					.stuck = l->stuck,
					.began = l->since,
					.excused = l->excused};
	return true;
}

static void take_lane(struct marks *m, struct lane *l)
{
	m->unmarked -= l->calls;
	*l = m->lane[--m->lanes];
}

/* Nobody will know when its work is done. */
static void drop_lane(struct marks *m, struct lane *l)
{
	m->outstanding -= l->calls;
	m->stuck -= l->stuck;
	take_lane(m, l);
}

/* True: the lane is no more, and another one may be in its place. */
static bool end_lane(struct cuda_session *s, struct lane *l)
{
	struct marks *m = &s->marks;

	if (session_context(s, l->context) != CUDA_SUCCESS) {
		drop_lane(m, l); /* the context has gone, and its work with it */
		return true;
	}
	if (!mark_lane(s, l))
		return false;
	take_lane(m, l);
	return true;
}

void marks_make(struct cuda_session *s, uint64_t now)
{
	const uint64_t context = s->context;
	struct marks *m = &s->marks;

	m->marked_ns = now;
	for (uint32_t i = 0; i < m->lanes;)
		i += !end_lane(s, &m->lane[i]);
	if (context)
		session_context(s, context);
}

/* The stream for which all others of its context wait, and which waits for these. */
static bool is_legacy(CUstream stream)
{
	return !stream || stream == CU_STREAM_LEGACY;
}

/*
 * A mark in the default stream that comes later than what follows elsewhere would
 * hold that up.
 */
static void leave_legacy(struct cuda_session *s)
{
	const uint64_t context = s->context;
	struct marks *m = &s->marks;

	for (uint32_t i = 0; i < m->lanes;) {
		struct lane *l = &m->lane[i];

		if (!is_legacy(l->stream)) {
			i++;
		} else if (!end_lane(s, l)) { /* very many marks are outstanding: these will do */
			drop_lane(m, l);
		}
	}
	m->legacy = false;
	if (context)
		session_context(s, context);
}

/* ------------------------------------------------------------ before the call */

/* May what comes wait for a function of the guest's, and does it matter? */
static bool is_to_be_bracketed(const struct cuda_session *s)
{
	return s->worker->tenant.limits.kernel_ns != TENANT_NO_LIMIT && callbacks_outstanding(s);
}

bool marks_note(struct cuda_session *s, CUstream stream, uint64_t calls)
{
	struct marks *m = &s->marks;
	struct cuda_context *c;

	if (m->legacy && !is_legacy(stream))
		leave_legacy(s);
	m->context = s->context;
	m->stream = stream;
	m->calls = calls ? calls : 1;
	if (!is_to_be_bracketed(s))
		return true;
	c = contexts_current(s);
	if (!c || !may_record(s, stream))
		return true;
	if (m->lanes)
		marks_make(s, worker_read_clock(s->worker));
	if (m->n == MARKS_MAX) {
		m->calls = 0;
		return false;
	}
	m->begin = record(s, c, stream);
	return true;
}

void marks_forget(struct cuda_session *s)
{
	struct marks *m = &s->marks;

	m->calls = 0;
	if (m->begin)
		marks_event_back(s, m->context, m->begin);
	m->begin = NULL;
}

/* -------------------------------------------------------------- after the call */

bool marks_are_due(const struct cuda_session *s, uint64_t now)
{
	const struct marks *m = &s->marks;

	if (m->n >= MARKS_USUAL)
		return false;
	if (now - m->marked_ns >= SPACE_NS || m->unmarked * m->least_ns >= SPACE_NS)
		return true;
	return s->worker->turn.leased && m->unmarked * m->likely_ns >= SPACE_LIKELY_NS;
}

static struct lane *find_lane(struct marks *m, uint64_t context, CUstream stream)
{
	for (uint32_t i = 0; i < m->lanes; i++) {
		if (m->lane[i].stream == stream && m->lane[i].context == context)
			return &m->lane[i];
	}
	return NULL;
}

void marks_flush(struct cuda_session *s, CUstream stream)
{
	struct lane *l = find_lane(&s->marks, s->context, stream);

	if (l)
		end_lane(s, l);
}

void marks_stream_goes(struct cuda_session *s, CUstream stream)
{
	struct cuda_context *c = contexts_current(s);
	struct marks *m = &s->marks;
	struct lane *l = find_lane(&s->marks, s->context, stream);

	if (!l)
		return;
	if (c && c->side) { /* has taken over what is left of it */
		l->stream = c->side;
		return;
	}
	drop_lane(m, l);
}

/* Where the call in progress is counted. */
static struct lane *lane_of_call(struct cuda_session *s, uint64_t now)
{
	struct marks *m = &s->marks;
	struct lane *l = find_lane(m, m->context, m->stream);

	if (l)
		return l;
	if (m->lanes == LANES_MAX)
		marks_make(s, now);
	if (m->lanes == LANES_MAX) { /* none could be marked: it shares one */
		m->lane[0].excused = true;
		return &m->lane[0];
	}
	m->legacy |= is_legacy(m->stream);
	l = &m->lane[m->lanes++];
	*l = (struct lane){.context = m->context, .stream = m->stream, .since = now};
	return l;
}

static void count(struct cuda_session *s, struct lane *l)
{
	struct marks *m = &s->marks;

	l->calls += m->calls;
	if (callbacks_outstanding(s))
		l->excused = true;
	m->unmarked += m->calls;
	m->outstanding += m->calls;
}

/* A call between two events, for itself. */
static void count_bracketed(struct cuda_session *s, uint64_t now)
{
	struct marks *m = &s->marks;
	const struct lane l = {
		.context = m->context, .stream = m->stream, .calls = m->calls, .since = now};

	if (session_context(s, l.context) != CUDA_SUCCESS || !mark_lane(s, &l)) {
		count(s, lane_of_call(s, now));
		return;
	}
	m->outstanding += m->calls;
	m->mark[m->n - 1].begin = m->begin;
	m->begin = NULL;
}

void marks_made(struct cuda_session *s)
{
	struct marks *m = &s->marks;
	struct lane *l = m->begin ? NULL : find_lane(m, m->context, m->stream);
	/* Only when the first of a lane was made counts; of the others, whether a mark is due. */
	const uint64_t now = l ? s->worker->now_ns : worker_read_clock(s->worker);

	if (!m->outstanding) {
		turn_account(s->worker, now, now, false);
		m->passed_ns = now;
	}
	if (m->begin)
		count_bracketed(s, now);
	else
		count(s, l ? l : lane_of_call(s, now));
	marks_forget(s);
	if (marks_are_due(s, now))
		marks_make(s, now);
}
