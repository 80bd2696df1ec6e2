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

/* A call that was put off: its body follows. */
struct put_off {
	uint32_t length;
	uint64_t body[];
};

/*
 * Now the whole of it, once more: nothing may be what it was when it was
 * checked, and the call is put off again if more work has come meanwhile.
 */
static CUresult again(struct cuda_session *s, struct wait *w, CUresult r, struct cuda_reply *reply)
{
	struct put_off *p = w->data;
	const struct cuda_request_view req = {.body = (const uint8_t *)p->body,
					      .length = p->length,
					      .id = w->id,
					      .quiet = w->quiet};
	int err;

	(void)r; /* what failed is over, too */
	s->req = &req;
	s->reply = reply;
	s->waits->order_again = w->order;
	s->waits->turns_again = w->turns;
	err = cuda_dispatch(s, &req, reply);
	s->waits->order_again = 0;
	s->waits->turns_again = 0;
	if (err)
		reply->result = err == HOST_PENDING ? HOST_PENDING : CUDA_ERROR_INVALID_VALUE;
	s->req = NULL;
	s->reply = NULL;
	free(p);
	return reply->result;
}

/* Until the current context is idle; CUDA_SUCCESS: it is. */
static CUresult put_off(struct cuda_session *s)
{
	struct put_off *p;
	struct wait *w;
	CUresult r;

	p = malloc(sizeof(*p) + s->req->length);
	w = p ? waits_new(s) : NULL;
	if (!w) {
		free(p);
		return CUDA_SUCCESS; /* then it may block */
	}
	p->length = s->req->length;
	memcpy(p->body, s->req->body, p->length);
	w->data = p;
	w->finish = again;
	w->only_later = true;
	w->order = s->waits->order_again ? s->waits->order_again : ++s->waits->order_last;
	w->turns = s->waits->turns_again + 1;
	r = waits_context(s, w);
	if (r != (CUresult)HOST_PENDING)
		free(p);
	return r;
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
	return put_off(s);
}

CUresult session_drain_turns(struct cuda_session *s)
{
	if (s->waits->turns_again >= TURNS_MAX && !callbacks_outstanding(s))
		return CUDA_SUCCESS;
	return put_off(s);
}

CUresult session_drain_all(struct cuda_session *s)
{
	const struct cuda_object *o;

	for (uint32_t at = 0; (o = handles_each(&s->handles, VGPU_CUDA_CONTEXT, &at));) {
		CUresult r =
			session_context(s, o->handle) == CUDA_SUCCESS ? put_off(s) : CUDA_SUCCESS;

		if (r != CUDA_SUCCESS)
			return r;
	}
	return CUDA_SUCCESS;
}
