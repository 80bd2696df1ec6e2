/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Calls that would fill the driver's queues are held back while the guest owes us an answer. */
#include "flow.h"

#include <stdlib.h>
#include <string.h>

#include "callbacks.h"
#include "contexts.h"
#include "session.h"
#include "vgpu_cuda_wire.h"
#include "waits.h"
#include "worker.h"

/*
 * On an H200 (driver 580) the 1022nd launch, fill, copy or record of an event
 * behind a host function that does not return blocked, in each stream; of
 * writes of 7680 bytes from ordinary memory the 531st.  Streams share queues,
 * so all of a session count together.
 */
#define LOAD_MAX 512u
/*
 * The first call of each stream counts as so many.  The driver blocks when it
 * makes the 34th stream or so while others are busy, and what streams wait for
 * is waited for by those that share a queue with them.
 */
#define LOAD_STREAM 16u
#define STREAMS_MAX 24u
/* Calls that wait: each takes an event of ours. */
#define WAITS_BEHIND 256u
/* Of all that are held back. */
#define HELD_BYTES_MAX ((uint64_t)64 << 20)

/* A call as it came: descriptors, then the body. */
struct held {
	struct held *next;
	uint64_t id;
	uint32_t length;
	uint32_t ndesc;
	bool quiet;
	uint64_t data[];
};

void flow_init(struct flow *f)
{
	f->tail = &f->head;
}

/* ------------------------------------------------------------------ counts */

static void add(struct flow_count *n, uint32_t turn, uint64_t calls)
{
	if (n->turn != turn)
		*n = (struct flow_count){.turn = turn, .calls = LOAD_STREAM};
	if (n->calls < LOAD_MAX)
		n->calls += calls < LOAD_MAX ? (uint32_t)calls : LOAD_MAX;
}

void flow_stream_goes(struct cuda_context *c, struct flow_count used)
{
	if (used.calls)
		add(&c->gone, used.turn, used.calls);
}

static struct flow_count *count_of(struct cuda_context *c, CUstream stream)
{
	for (uint32_t i = 0; i < c->nstreams; i++) {
		if (c->stream[i].stream == stream)
			return &c->stream[i].used;
	}
	return &c->used;
}

/* What is left of a count: nothing, if the stream is idle. */
static uint32_t look(struct cuda_session *s, struct flow_count *n, uint32_t turn, CUstream stream)
{
	if (n->turn != turn || !n->calls)
		return 0;
	if (waits_may_ask(s, stream) && s->drv->cuStreamQuery(stream) != CUDA_ERROR_NOT_READY)
		*n = (struct flow_count){0};
	return n->calls;
}

static uint32_t look_at_context(struct cuda_session *s, struct cuda_context *c, uint32_t turn)
{
	uint32_t load = look(s, &c->used, turn, NULL);

	if (c->side)
		load += look(s, &c->gone, turn, c->side);
	for (uint32_t i = 0; i < c->nstreams && load < LOAD_MAX; i++)
		load += look(s, &c->stream[i].used, turn, c->stream[i].stream);
	return load;
}

/* Asks all streams that had calls; the current context stays what it was. */
static uint32_t measure(struct cuda_session *s, uint32_t turn)
{
	uint64_t before = s->context;
	const struct cuda_object *o;
	uint32_t load = 0;

	for (uint32_t at = 0; (o = handles_each(&s->handles, VGPU_CUDA_CONTEXT, &at));) {
		if (o->data && session_context(s, o->handle) == CUDA_SUCCESS)
			load += look_at_context(s, o->data, turn);
	}
	if (before)
		session_context(s, before);
	return load;
}

/* With nothing in the queues any call has room. */
static bool has_room(struct cuda_session *s, uint32_t turn, uint64_t calls)
{
	struct flow *f = &s->flow;

	if (f->turn != turn) {
		f->turn = turn;
		f->load = 0;
	}
	if (f->load + calls < LOAD_MAX)
		return true;
	f->load = measure(s, turn);
	return !f->load || f->load + calls < LOAD_MAX;
}

static CUresult room_behind_callbacks(struct cuda_session *s, CUstream stream, uint64_t calls)
{
	uint32_t turn = callbacks_turn(s), before;
	struct cuda_context *c = turn ? contexts_current(s) : NULL;
	struct flow_count *n;

	if (!c || !waits_may_ask(s, stream))
		return CUDA_SUCCESS;
	if (!has_room(s, turn, calls))
		return flow_hold(s, s->req);
	n = count_of(c, stream);
	before = n->turn == turn ? n->calls : 0;
	add(n, turn, calls);
	s->flow.load += n->calls - before;
	return CUDA_SUCCESS;
}

CUresult flow_room_for(struct cuda_session *s, CUstream stream, uint64_t calls)
{
	CUresult r;

	marks_forget(s);                   /* it was let through before, for something else */
	if (waits_is_capturing(s, stream)) /* what goes into a graph does not go to the GPU now */
		return room_behind_callbacks(s, stream, calls);
	if (!turn_may_submit(s->worker)) {
		s->flow.for_turn = true;
		return flow_hold(s, s->req);
	}
	r = room_behind_callbacks(s, stream, calls);
	if (r != CUDA_SUCCESS)
		return r;
	return marks_note(s, stream, calls) ? CUDA_SUCCESS : flow_hold(s, s->req);
}

bool flow_is_full(const struct cuda_session *s)
{
	if (!s->flow.head || !s->flow.for_turn)
		return false;
	/* The word that a function of the guest's has run may be what is to come. */
	return !callbacks_outstanding(s) || s->flow.bytes > HELD_BYTES_MAX / 2;
}

CUresult flow_room(struct cuda_session *s, CUstream stream)
{
	return flow_room_for(s, stream, 1);
}

CUresult flow_new_stream(struct cuda_session *s)
{
	struct cuda_context *c = contexts_current(s);
	uint32_t turn = callbacks_turn(s);

	/* Ours is made while that cannot block. */
	if (c && c->nstreams >= STREAMS_MAX / 2)
		contexts_side(s, c);
	if (!c || !turn)
		return CUDA_SUCCESS;
	if (c->made.turn != turn)
		c->made = (struct flow_count){.turn = turn, .calls = c->nstreams};
	if (c->made.calls >= STREAMS_MAX && !waits_is_idle(s))
		return flow_hold(s, s->req);
	c->made.calls++;
	return CUDA_SUCCESS;
}

/* -------------------------------------------------------------- held calls */

static size_t descs_of(uint32_t n)
{
	return n * sizeof(struct vgpu_desc);
}

/* All that a held call takes: a guest may hold very many very small ones. */
static uint64_t bytes_of(uint32_t ndesc, uint32_t length)
{
	return sizeof(struct held) + descs_of(ndesc) + length;
}

bool flow_is_closed(struct cuda_session *s, uint32_t function)
{
	if (function == CUDA_FN_vgpuCallbackDone)
		return false;
	return s->flow.head || (s->waits->n >= WAITS_BEHIND && callbacks_turn(s));
}

CUresult flow_hold(struct cuda_session *s, const struct cuda_request_view *req)
{
	const size_t descs = descs_of(req->ndesc);
	const uint64_t bytes = bytes_of(req->ndesc, req->length);
	struct flow *f = &s->flow;
	struct held *h;

	if (f->current) {
		f->again = true;
		return (CUresult)HOST_PENDING;
	}
	if (f->bytes + bytes > HELD_BYTES_MAX)
		return CUDA_ERROR_OUT_OF_MEMORY;
	h = malloc(bytes);
	if (!h)
		return CUDA_ERROR_OUT_OF_MEMORY;
	*h = (struct held){
		.id = req->id, .quiet = req->quiet, .length = req->length, .ndesc = req->ndesc};
	if (descs)
		memcpy(h->data, req->desc, descs);
	memcpy((uint8_t *)h->data + descs, req->body, req->length);
	f->bytes += bytes;
	if (!f->head)
		waits_moved(s->waits);
	*f->tail = h;
	f->tail = &h->next;
	return (CUresult)HOST_PENDING;
}

bool flow_next(struct cuda_session *s, struct cuda_request_view *req)
{
	struct held *h = s->flow.head;

	if (!h || (s->flow.for_turn && turn_is_shut(s->worker)) ||
	    (s->waits->n >= WAITS_BEHIND && callbacks_turn(s)))
		return false;
	*req = (struct cuda_request_view){.desc = (const void *)h->data,
					  .ndesc = h->ndesc,
					  .body = (const uint8_t *)h->data + descs_of(h->ndesc),
					  .length = h->length,
					  .id = h->id,
					  .quiet = h->quiet};
	s->flow.current = h;
	s->flow.again = false;
	return true;
}

bool flow_after(struct cuda_session *s)
{
	struct flow *f = &s->flow;
	struct held *h = f->current;

	f->current = NULL;
	if (f->again)
		return false;
	waits_moved(s->waits);
	f->head = h->next;
	if (!f->head) {
		f->tail = &f->head;
		f->for_turn = false;
	}
	f->bytes -= bytes_of(h->ndesc, h->length);
	free(h);
	return true;
}
