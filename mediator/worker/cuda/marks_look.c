/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Work on its way to the GPU: which of it is done, and how long did it take? */
#include "marks.h"

#include "contexts.h"
#include "entry.h"
#include "session.h"
#include "waits.h"
#include "worker.h"

#define US 1000u
#define MS 1000000u

#define LIKELY_LEAST_NS (2 * US)

/* A kernel may take its time; a queue in which nothing happens so long may wait for the guest. */
#define STALL_NS (200 * MS)
#define STALL_CALLS 4u

/* Streams whose first mark has not passed, looked at in one poll. */
#define LOOK_MARKS 4u
/* Streams in which marks wait for their turn to begin, looked at in one poll. */
#define LOOK_STREAMS 64u

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

static bool has_passed(struct cuda_session *s, const struct mark *k, const struct own_event *e)
{
	return session_context(s, k->context) != CUDA_SUCCESS ||
	       s->drv->cuEventQuery(e->event) != CUDA_ERROR_NOT_READY;
}

static void count_all(struct marks *m)
{
	for (uint32_t i = 0; i < m->n; i++)
		m->mark[i].stuck = 0;
	for (uint32_t i = 0; i < m->lanes; i++)
		m->lane[i].stuck = 0;
	m->stuck = 0;
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
	for (uint32_t i = 0; i < m->lanes; i++)
		m->lane[i].stuck = m->lane[i].calls;
	m->stuck = m->outstanding;
	m->passed_ns = now;
}

/* Streams whose next mark has not begun, or not passed; what follows there has not either. */
struct standing {
	const struct mark *first[LOOK_STREAMS];
	unsigned int n;
};

static bool stands(const struct standing *st, const struct mark *k)
{
	for (unsigned int i = 0; i < st->n; i++) {
		if (st->first[i]->stream == k->stream && st->first[i]->context == k->context)
			return true;
	}
	return st->n == LOOK_STREAMS;
}

/* Is it still unknown whether the GPU has come to it?  From when it has, its time counts. */
static bool has_yet_to_begin(struct cuda_session *s, struct mark *k, struct standing *st,
			     uint64_t now)
{
	if (!k->begin)
		return false;
	if (stands(st, k))
		return true;
	if (!has_passed(s, k, k->begin)) {
		st->first[st->n++] = k;
		return true;
	}
	marks_event_back(s, k->context, k->begin);
	k->begin = NULL;
	k->began = now;
	return false;
}

/* What comes behind it has not begun before it passed. */
static void take_out(struct cuda_session *s, uint32_t i, uint64_t now)
{
	struct marks *m = &s->marks;
	const struct mark *gone = &m->mark[i];

	if (gone->begin)
		marks_event_back(s, gone->context, gone->begin);
	marks_event_back(s, gone->context, gone->own);
	m->outstanding -= m->mark[i].calls;
	m->n--;
	for (uint32_t k = i; k < m->n; k++) {
		m->mark[k] = m->mark[k + 1];
		if (m->mark[k].began < now)
			m->mark[k].began = now;
	}
	for (uint32_t k = 0; k < m->lanes; k++) {
		if (m->lane[k].since < now)
			m->lane[k].since = now;
	}
}

static void pass(struct cuda_session *s, uint32_t i, uint64_t now)
{
	struct marks *m = &s->marks;

	if (m->mark[i].stuck) /* that took no time of its own */
		count_all(m);
	else
		learn(m, &m->mark[i], now);
	take_out(s, i, now);
	m->passed_ns = now;
}

/* True: some have passed. */
static bool look_at_marks(struct cuda_session *s, uint64_t now)
{
	struct standing st = {.n = 0}, behind = {.n = 0};
	struct marks *m = &s->marks;
	bool some = false;

	for (uint32_t i = 0; i < m->n && behind.n < LOOK_MARKS;) {
		struct mark *k = &m->mark[i];

		if (has_yet_to_begin(s, k, &st, now)) {
			i++;
		} else if (stands(&behind, k)) {
			k->undone = now;
			i++;
		} else if (has_passed(s, k, k->own)) {
			pass(s, i, now);
			some = true;
		} else {
			behind.first[behind.n++] = k;
			k->undone = now;
			i++;
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

/* ------------------------------------------------------------------- judging */

/* A piece of work that is not done yet. */
struct piece {
	uint64_t began; /* 0: there is none */
	uint64_t calls;
};

/* The oldest one, of those that are `excused` or of the others. */
static struct piece oldest(const struct marks *m, bool excused)
{
	struct piece p = {0};

	for (uint32_t i = 0; i < m->n; i++) {
		const struct mark *k = &m->mark[i];

		if (!k->begin && k->excused == excused)
			return (struct piece){.began = k->began, .calls = k->calls};
	}
	for (uint32_t i = 0; i < m->lanes; i++) {
		const struct lane *l = &m->lane[i];

		if (l->excused == excused && (!p.began || l->since < p.began))
			p = (struct piece){.began = l->since, .calls = l->calls};
	}
	return p;
}

/* What is not done yet: since when, and is that too long? */
static void judge(struct cuda_session *s, uint64_t now, bool some)
{
	const struct piece excused = oldest(&s->marks, true);
	const struct piece p = oldest(&s->marks, false);

	/* The daemon, which does not know of functions of the guest's, shall not mind. */
	turn_account(s->worker, now, p.began ? p.began : now, some);
	if (p.began)
		turn_check_length(s->worker, now, p.began, p.calls, false);
	if (excused.began)
		turn_check_length(s->worker, now, excused.began, excused.calls, true);
}

static void end_lanes(struct marks *m)
{
	m->outstanding = m->unmarked = 0;
	m->lanes = 0;
	count_all(m);
}

/*
 * Nothing that is under way is marked.  While more comes, that is seen to when it is
 * due; marks as often as looks would hold up a GPU that is busy with short kernels.
 * True: nothing is under way any more.
 */
static bool look_at_lanes(struct cuda_session *s, uint64_t now)
{
	struct marks *m = &s->marks;
	const bool comes = m->unmarked != m->seen;

	m->seen = m->unmarked;
	if (all_is_idle(s)) {
		end_lanes(m);
		return true;
	}
	if (!comes || marks_are_due(s, now))
		marks_make(s, now);
	return false;
}

void marks_poll(struct cuda_session *s, uint64_t now)
{
	struct marks *m = &s->marks;
	const uint64_t context = s->context;
	bool some;

	if (!m->outstanding)
		return;
	some = look_at_marks(s, now);
	if (!m->n && m->outstanding)
		some |= look_at_lanes(s, now);
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
