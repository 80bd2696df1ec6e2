/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Calls that wait for the GPU by themselves, made so that they do not. */
#include <stdlib.h>
#include <string.h>

#include "callbacks.h"
#include "cuda_dispatch.h"
#include "session.h"
#include "waits.h"

/* A call that was put off: its body follows. */
struct put_off {
	uint32_t length;
	uint64_t body[];
};

/* Now the whole of it, once more; it may not be what it was when it was checked. */
static CUresult again(struct cuda_session *s, struct wait *w, CUresult r, struct cuda_reply *reply)
{
	struct put_off *p = w->data;
	const struct cuda_request_view req = {.body = (const uint8_t *)p->body,
					      .length = p->length,
					      .id = w->id,
					      .quiet = w->quiet};

	(void)r; /* what failed is over, too */
	s->req = &req;
	s->reply = reply;
	s->drained = true;
	if (cuda_dispatch(s, &req, reply))
		reply->result = CUDA_ERROR_INVALID_VALUE;
	s->drained = false;
	s->req = NULL;
	s->reply = NULL;
	free(p);
	return reply->result;
}

CUresult session_drain_if(struct cuda_session *s, bool always)
{
	struct put_off *p;
	struct wait *w;
	CUresult r;

	if (s->drained || (!always && !callbacks_outstanding(s) && !s->waits->n))
		return CUDA_SUCCESS;
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
	r = waits_context(s, w);
	if (r != (CUresult)HOST_PENDING)
		free(p);
	return r;
}

CUresult session_drain(struct cuda_session *s)
{
	return session_drain_if(s, false);
}
