/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Work on its way to the GPU. */
#include "marks.h"

#include <stdlib.h>

#include "callbacks.h"
#include "contexts.h"
#include "entry.h"
#include "fdio.h"
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
#define LIKELY_LEAST_NS (2 * US)

/* A kernel may take its time; a queue in which nothing happens so long may wait for the guest. */
#define STALL_NS (200 * MS)
#define STALL_CALLS 4u

/* Marks that have not passed, looked at in one poll. */
#define LOOK_MARKS 4u

void marks_init(struct marks *m)
{
	*m = (struct marks){.likely_ns = LIKELY_FIRST_NS};
}

void marks_note(struct cuda_session *s, CUstream stream, uint64_t calls)
{
	s->marks.stream = stream;
	s->marks.calls = calls ? calls : 1;
}

/* -------------------------------------------------------------------- making */

static bool is_due(const struct cuda_session *s, uint64_t now)
{
	const struct marks *m = &s->marks;

	if (now - m->marked_ns >= SPACE_NS || m->unmarked * m->least_ns >= SPACE_NS)
		return true;
	return s->worker->turn.leased && m->unmarked * m->likely_ns >= SPACE_LIKELY_NS;
}

static void make_mark(struct cuda_session *s, CUstream stream, uint64_t now)
{
	struct cuda_context *c = contexts_current(s);
	struct marks *m = &s->marks;
	struct own_event *own;

	m->marked_ns = now;
	if (m->n == MARKS_MAX || !c || !s->drv->cuEventRecord || !waits_may_ask(s, stream))
		return;
	own = contexts_event(s, c);
	if (!own)
		return;
	if (s->drv->cuEventRecord(own->event, stream) != CUDA_SUCCESS) {
		contexts_event_back(c, own);
		return;
	}
	m->mark[m->n++] = (struct mark){.own = own,
					.context = s->context,
					.calls = m->unmarked,
					.stuck = m->unmarked_stuck,
					.began = m->unmarked_ns};
	m->unmarked = m->unmarked_stuck = 0;
}

void marks_made(struct cuda_session *s)
{
	struct marks *m = &s->marks;
	const uint64_t now = fdio_now_ns();

	if (!m->outstanding) {
		turn_account(s->worker, now, now, false);
		m->passed_ns = now;
	}
	if (!m->unmarked)
		m->unmarked_ns = now;
	m->unmarked += m->calls;
	m->outstanding += m->calls;
	m->calls = 0;
	if (is_due(s, now))
		make_mark(s, m->stream, now);
}

/* ------------------------------------------------------------------- looking */

/* What the time that some calls took says of one. */
static void learn(struct marks *m, const struct mark *k, uint64_t now)
{
	const uint64_t most = (now - k->began) / k->calls;
	const uint64_t least = k->undone > k->began ? (k->undone - k->began) / k->calls : 0;
	const uint64_t likely = (most + least) / 2;

	m->least_ns = least;
	/* Up at once, since too much would be on its way; down in steps. */
	m->likely_ns = likely > m->likely_ns ? likely : (m->likely_ns + likely) / 2;
	if (m->likely_ns < LIKELY_LEAST_NS)
		m->likely_ns = LIKELY_LEAST_NS;
}

static bool has_passed(struct cuda_session *s, const struct mark *k)
{
	return session_context(s, k->context) != CUDA_SUCCESS ||
	       s->drv->cuEventQuery(k->own->event) != CUDA_ERROR_NOT_READY;
}

static void count_all(struct marks *m)
{
	for (uint32_t i = 0; i < m->n; i++)
		m->mark[i].stuck = 0;
	m->stuck = m->unmarked_stuck = 0;
}

bool marks_are_stalled(const struct cuda_session *s, uint64_t now)
{
	const struct marks *m = &s->marks;
	const uint64_t patience = STALL_CALLS * m->likely_ns;

	return m->outstanding > m->stuck &&
	       now - m->passed_ns > (patience > STALL_NS ? patience : STALL_NS);
}

void marks_give_up(struct cuda_session *s, uint64_t now)
{
	struct marks *m = &s->marks;

	for (uint32_t i = 0; i < m->n; i++)
		m->mark[i].stuck = m->mark[i].calls;
	m->unmarked_stuck = m->unmarked;
	m->stuck = m->outstanding;
	m->passed_ns = now;
}

/* What comes behind it has not begun before it passed. */
static void take_out(struct cuda_session *s, uint32_t i, uint64_t now)
{
	struct marks *m = &s->marks;
	struct cuda_context *c = contexts_of(s, m->mark[i].context);

	if (c)
		contexts_event_back(c, m->mark[i].own);
	else
		free(m->mark[i].own);
	m->outstanding -= m->mark[i].calls;
	m->n--;
	for (uint32_t k = i; k < m->n; k++) {
		m->mark[k] = m->mark[k + 1];
		if (m->mark[k].began < now)
			m->mark[k].began = now;
	}
	if (m->unmarked_ns < now)
		m->unmarked_ns = now;
}

/* True: some have passed. */
static bool look_at_marks(struct cuda_session *s, uint64_t now)
{
	struct marks *m = &s->marks;
	unsigned int undone = 0;
	bool some = false;

	for (uint32_t i = 0; i < m->n && undone < LOOK_MARKS;) {
		if (has_passed(s, &m->mark[i])) {
			if (m->mark[i].stuck) /* that took no time of its own */
				count_all(m);
			else
				learn(m, &m->mark[i], now);
			take_out(s, i, now);
			m->passed_ns = now;
			some = true;
		} else {
			m->mark[i++].undone = now;
			undone++;
		}
	}
	return some;
}

/* Nothing is marked: only the streams themselves know. */
static bool all_is_idle(struct cuda_session *s)
{
	const struct cuda_object *o;

	for (uint32_t at = 0; (o = handles_each(&s->handles, VGPU_CUDA_CONTEXT, &at));) {
		if (session_context(s, o->handle) == CUDA_SUCCESS && !waits_is_idle(s))
			return false;
	}
	return true;
}

/* What is not done yet: since when, and is that too long? */
static void judge(struct cuda_session *s, uint64_t now, bool some)
{
	const struct marks *m = &s->marks;
	const uint64_t began = m->n ? m->mark[0].began : m->unmarked_ns;
	const bool excused = callbacks_outstanding(s);

	/* The daemon, which does not know of functions of the guest's, shall not mind. */
	turn_account(s->worker, now, excused ? now : began, some);
	turn_check_length(s->worker, now, began, m->n ? m->mark[0].calls : m->unmarked, excused);
}

void marks_poll(struct cuda_session *s, uint64_t now)
{
	struct marks *m = &s->marks;
	const uint64_t context = s->context;
	bool some;

	if (!m->outstanding)
		return;
	some = look_at_marks(s, now);
	if (!m->n && all_is_idle(s)) {
		m->outstanding = m->unmarked = 0;
		count_all(m);
		some = true;
	}
	if (context)
		session_context(s, context);
	if (m->outstanding)
		judge(s, now, some);
	else
		turn_account(s->worker, now, 0, some);
}

/* ------------------------------------------------------------ for the worker */

void cuda_gpu_poll(struct worker *w, uint64_t now)
{
	if (w->cuda)
		marks_poll(w->cuda, now);
}

uint64_t cuda_outstanding_ns(const struct worker *w)
{
	const struct marks *m = w->cuda ? &w->cuda->marks : NULL;

	return m ? (m->outstanding - m->stuck) * m->likely_ns : 0;
}

bool cuda_is_stalled(const struct worker *w, uint64_t now)
{
	return w->cuda && marks_are_stalled(w->cuda, now);
}

bool cuda_has_room(const struct worker *w, uint64_t ns)
{
	const struct marks *m = w->cuda ? &w->cuda->marks : NULL;

	if (!m || m->outstanding == m->stuck)
		return true;
	/* Behind what is stuck likely times mean nothing: each time twice as many. */
	return cuda_outstanding_ns(w) < ns || m->outstanding - m->stuck < m->stuck;
}

void cuda_give_up(struct worker *w, uint64_t now)
{
	if (w->cuda)
		marks_give_up(w->cuda, now);
}
