/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What we keep of each context. */
#include "contexts.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "charge.h"
#include "session.h"
#include "waits.h"

struct cuda_context *contexts_new(CUcontext real, bool primary)
{
	struct cuda_context *c = calloc(1, sizeof(*c));

	if (c) {
		c->real = real;
		c->primary = primary;
	}
	return c;
}

struct cuda_context *contexts_of(struct cuda_session *s, uint64_t handle)
{
	struct cuda_object *o = handles_object(&s->handles, handle, VGPU_CUDA_CONTEXT);

	return o ? o->data : NULL;
}

struct cuda_context *contexts_current(struct cuda_session *s)
{
	return contexts_of(s, s->context);
}

/* NULL: none is free. */
static struct own_event *take_free(struct cuda_context *c, int kind)
{
	struct own_event *e = c->free_events[kind];

	if (e)
		c->free_events[kind] = e->next;
	return e;
}

void contexts_shut(struct cuda_session *s, uint64_t handle)
{
	struct cuda_object *o = handles_object(&s->handles, handle, VGPU_CUDA_CONTEXT);
	struct cuda_context *c = o ? o->data : NULL;

	if (!c || session_context(s, handle) != CUDA_SUCCESS)
		return;
	for (int kind = 0; kind < EVENT_KINDS; kind++) {
		struct own_event *e;

		while ((e = take_free(c, kind))) {
			s->drv->cuEventDestroy_v2(e->event);
			free(e);
		}
	}
	if (c->side)
		s->drv->cuStreamDestroy_v2(c->side);
	c->side = NULL;
	/* The GPU is done with them, even if an answer is still to be made of one. */
	if (c->slots_registered)
		s->drv->cuMemHostUnregister(c->slots);
	c->slots_registered = false;
}

void contexts_gone(struct cuda_session *s, struct cuda_object *o)
{
	struct cuda_context *c = o->data;

	if (s->context == o->handle)
		s->context = 0;
	waits_leave(s, o->handle);
	ranges_remove_owner(&s->ranges, o->handle);
	ranges_remove_owner(&s->textures, o->handle);
	ranges_remove_owner(&s->surfaces, o->handle);
	if (!c)
		return;
	for (unsigned int i = 0; i < CONTEXT_LIMITS; i++)
		charge_give(s, c->limit[i].charged);
	for (int kind = 0; kind < EVENT_KINDS; kind++) {
		struct own_event *e;

		while ((e = take_free(c, kind)))
			free(e);
	}
	if (c->slots)
		munmap(c->slots, (size_t)SLOTS * SLOT_BYTES);
	free(c->stream);
	free(c);
}

bool contexts_add_stream(struct cuda_session *s, uint64_t handle, CUstream stream)
{
	struct cuda_context *c = contexts_of(s, handle);
	unsigned int flags = 0;

	if (!c)
		return false;
	if (c->nstreams == c->room) {
		uint32_t room = c->room ? c->room * 2 : 8;
		void *p = realloc(c->stream, room * sizeof(c->stream[0]));

		if (!p)
			return false;
		c->stream = p;
		c->room = room;
	}
	if (s->drv->cuStreamGetFlags)
		s->drv->cuStreamGetFlags(stream, &flags);
	c->stream[c->nstreams++] = (struct guest_stream){
		.stream = stream, .blocking = !(flags & CU_STREAM_NON_BLOCKING)};
	return true;
}

void contexts_drop_stream(struct cuda_session *s, uint64_t handle, CUstream stream)
{
	struct cuda_object *o = handles_object(&s->handles, handle, VGPU_CUDA_CONTEXT);
	struct cuda_context *c = o ? o->data : NULL;

	for (uint32_t i = 0; c && i < c->nstreams; i++) {
		if (c->stream[i].stream == stream) {
			flow_stream_goes(c, c->stream[i].used);
			c->stream[i] = c->stream[--c->nstreams];
			return;
		}
	}
}

struct own_event *contexts_event(struct cuda_session *s, struct cuda_context *c,
				 enum own_event_kind kind)
{
	const unsigned int flags =
		CU_EVENT_DISABLE_TIMING | (kind == EVENT_TO_SLEEP ? CU_EVENT_BLOCKING_SYNC : 0);
	struct own_event *e = take_free(c, kind);

	if (e || !s->drv->cuEventCreate)
		return e;
	e = calloc(1, sizeof(*e));
	if (e && s->drv->cuEventCreate(&e->event, flags) != CUDA_SUCCESS) {
		free(e);
		e = NULL;
	}
	if (e)
		e->kind = kind;
	return e;
}

void contexts_event_back(struct cuda_context *c, struct own_event *e)
{
	e->next = c->free_events[e->kind];
	c->free_events[e->kind] = e;
}

CUstream contexts_side(struct cuda_session *s, struct cuda_context *c)
{
	if (!c->side && s->drv->cuStreamCreate &&
	    s->drv->cuStreamCreate(&c->side, CU_STREAM_NON_BLOCKING) != CUDA_SUCCESS)
		c->side = NULL;
	return c->side;
}

void contexts_inherit(struct cuda_session *s, struct cuda_context *c, CUstream stream)
{
	CUstream side = contexts_side(s, c);
	struct own_event *e = side ? contexts_event(s, c, EVENT_TO_ASK) : NULL;

	if (!e)
		return;
	if (s->drv->cuEventRecord(e->event, stream) == CUDA_SUCCESS)
		s->drv->cuStreamWaitEvent(side, e->event, 0);
	contexts_event_back(c, e);
}

void contexts_leave(struct cuda_session *s, CUstream stream)
{
	struct cuda_context *c = contexts_current(s);

	marks_flush(s, stream);
	if (c && waits_may_ask(s, stream) && s->drv->cuStreamQuery(stream) == CUDA_ERROR_NOT_READY)
		contexts_inherit(s, c, stream);
}

void contexts_before_capture(struct cuda_session *s)
{
	const struct cuda_context *c = contexts_current(s);

	contexts_leave(s, NULL);
	for (uint32_t i = 0; c && i < c->nstreams; i++)
		contexts_leave(s, c->stream[i].stream);
}

/* Only registered memory is copied to without waiting for what the stream does. */
static bool has_slots(struct cuda_session *s, struct cuda_context *c)
{
	const size_t bytes = (size_t)SLOTS * SLOT_BYTES;

	if (c->slots_registered)
		return true;
	if (!c->slots) {
		void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
			       0);

		if (p == MAP_FAILED)
			return false;
		c->slots = p;
	}
	c->slots_registered = s->drv->cuMemHostRegister_v2 &&
			      s->drv->cuMemHostRegister_v2(c->slots, bytes, 0) == CUDA_SUCCESS;
	return c->slots_registered;
}

bool contexts_has_slot(struct cuda_session *s, struct cuda_context *c)
{
	return has_slots(s, c) && c->slots_taken != UINT64_MAX;
}

uint8_t *contexts_slot(struct cuda_session *s, struct cuda_context *c)
{
	unsigned int i;

	if (!contexts_has_slot(s, c))
		return NULL;
	i = (unsigned int)__builtin_ctzll(~c->slots_taken);
	c->slots_taken |= 1ull << i;
	return c->slots + (size_t)i * SLOT_BYTES;
}

void contexts_slot_back(struct cuda_context *c, uint8_t *slot)
{
	c->slots_taken &= ~(1ull << (slot - c->slots) / SLOT_BYTES);
}
