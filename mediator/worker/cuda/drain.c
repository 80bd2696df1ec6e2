/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Calls that wait for the GPU by themselves, made so that they do not. */
#include <stdlib.h>
#include <string.h>

#include "callbacks.h"
#include "cuda_dispatch.h"
#include "session.h"
#include "waits.h"

/* How often a call is put off that must not wait for ever. */
#define TURNS_MAX 4u

/* A call that was put off: its descriptors and its body follow. */
struct put_off {
	uint32_t length;
	uint32_t ndesc;
	uint64_t data[];
};

static size_t descs_of(uint32_t n)
{
	return n * sizeof(struct vgpu_desc);
}

/*
 * Now the whole of it, once more: nothing may be what it was when it was
 * checked, and the call is put off again if more work has come meanwhile.
 */
static CUresult again(struct cuda_session *s, struct wait *w, CUresult r, struct cuda_reply *reply)
{
	struct put_off *p = w->data;
	const struct cuda_request_view req = {.desc = (const void *)p->data,
					      .ndesc = p->ndesc,
					      .body = (const uint8_t *)p->data + descs_of(p->ndesc),
					      .length = p->length,
					      .id = w->id,
					      .quiet = w->quiet};
	int err;

	(void)r; /* what failed is over, too */
	s->waits->order_again = w->order;
	s->waits->context_again = w->context;
	s->waits->turns_again = w->turns;
	err = session_make_call(s, &req, reply);
	s->waits->order_again = 0;
	s->waits->turns_again = 0;
	if (err)
		reply->result = err == HOST_PENDING ? HOST_PENDING : CUDA_ERROR_INVALID_VALUE;
	free(p);
	return reply->result;
}

/* Until the current context (or, if given, a stream in it) is idle; CUDA_SUCCESS: it is. */
static CUresult put_off(struct cuda_session *s, const CUstream *stream)
{
	const size_t descs = descs_of(s->req->ndesc);
	struct put_off *p;
	struct wait *w;
	CUresult r;

	p = malloc(sizeof(*p) + descs + s->req->length);
	w = p ? waits_new(s) : NULL;
	if (!w) {
		free(p);
		return CUDA_SUCCESS; /* then it may block */
	}
	p->length = s->req->length;
	p->ndesc = s->req->ndesc;
	if (descs)
		memcpy(p->data, s->req->desc, descs);
	memcpy((uint8_t *)p->data + descs, s->req->body, p->length);
	w->data = p;
	w->finish = again;
	w->only_later = true;
	w->order = s->waits->order_again ? s->waits->order_again : ++s->waits->order_last;
	w->turns = s->waits->turns_again + 1;
	r = stream ? waits_stream(s, w, *stream) : waits_context(s, w);
	if (r != (CUresult)HOST_PENDING)
		free(p);
	return r;
}

/*
 * What was there when the call came is done.  Then only a host function of the
 * guest forbids making it: what others have begun since ends by itself, and to
 * wait for that, too, might have no end.
 */
static bool has_waited(const struct cuda_session *s)
{
	return s->waits->order_again && !callbacks_outstanding(s);
}

bool session_has_put_off(const struct cuda_session *s)
{
	for (const struct wait *w = s->waits->head; w; w = w->next) {
		if (w->finish == again)
			return true;
	}
	return false;
}

CUresult session_drain(struct cuda_session *s)
{
	if (s->waits->turns_again >= TURNS_MAX && !callbacks_outstanding(s))
		return CUDA_SUCCESS;
	return put_off(s, NULL);
}

CUresult session_drain_stream(struct cuda_session *s, CUstream stream)
{
	return has_waited(s) ? CUDA_SUCCESS : put_off(s, &stream);
}

/* All contexts from the place `at` in the table on. */
static CUresult drain_from(struct cuda_session *s, uint32_t at)
{
	const uint64_t current = s->context;
	const struct cuda_object *o;

	while ((o = handles_each(&s->handles, VGPU_CUDA_CONTEXT, &at))) {
		CUresult r = session_context(s, o->handle) == CUDA_SUCCESS ? put_off(s, NULL)
									   : CUDA_SUCCESS;

		if (r != CUDA_SUCCESS)
			return r;
	}
	if (current)
		session_context(s, current);
	return CUDA_SUCCESS;
}

CUresult session_drain_all(struct cuda_session *s)
{
	return drain_from(s, 0);
}

CUresult session_drain_each(struct cuda_session *s)
{
	uint32_t waited = vgpu_cuda_handle_index(s->waits->context_again) + 1;

	return drain_from(s, has_waited(s) ? waited : 0);
}
