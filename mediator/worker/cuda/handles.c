/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The table of objects: from handles to what the driver knows. */
#include "handles.h"

#include <stdlib.h>
#include <string.h>

#include "charge.h"
#include "contexts.h"
#include "graph_memory.h"
#include "graphs.h"
#include "link.h"
#include "modules.h"
#include "session.h"

#define ROOM_MIN 256u

static bool is_indexed(unsigned int type)
{
	return type == VGPU_CUDA_GRAPH || type == VGPU_CUDA_NODE;
}

/*
 * The driver frees the graph of a capture when that fails, and tells nobody: so
 * it is asked each time.
 */
static bool is_there(struct cuda_session *s, const struct cuda_object *o)
{
	while (o->parent) {
		const struct cuda_object *up = &s->handles.object[o->parent - 1];

		if (vgpu_cuda_handle_type(up->handle) == VGPU_CUDA_STREAM)
			return captures_have(s, up, (CUgraph)(uintptr_t)o->real);
		o = up;
	}
	return true;
}

CUresult handles_get(struct cuda_session *s, uint64_t handle, enum vgpu_cuda_type type, void **real)
{
	const struct cuda_object *o = handles_object(&s->handles, handle, type);

	if (!o || (is_indexed(type) && !is_there(s, o)))
		return CUDA_ERROR_INVALID_HANDLE;
	*real = (void *)(uintptr_t)o->real;
	return CUDA_SUCCESS;
}

static bool grow(struct cuda_handles *t, uint32_t index)
{
	uint32_t room = t->room ? t->room : ROOM_MIN;
	struct cuda_object *object;

	while (room <= index)
		room *= 2;
	if (room == t->room)
		return true;
	object = realloc(t->object, room * sizeof(object[0]));
	if (!object)
		return false;
	memset(object + t->room, 0, (room - t->room) * sizeof(object[0]));
	t->object = object;
	t->room = room;
	return true;
}

CUresult handles_free(struct cuda_session *s, uint64_t handle, enum vgpu_cuda_type type)
{
	uint32_t index = vgpu_cuda_handle_index(handle);

	if (!handle || vgpu_cuda_handle_type(handle) != type ||
	    handle != vgpu_cuda_handle(type, vgpu_cuda_handle_generation(handle), index))
		return CUDA_ERROR_INVALID_HANDLE;
	if (!grow(&s->handles, index))
		return CUDA_ERROR_OUT_OF_MEMORY;
	return s->handles.object[index].handle ? CUDA_ERROR_INVALID_HANDLE : CUDA_SUCCESS;
}

uint64_t handles_context(struct cuda_session *s, uint64_t handle)
{
	const struct cuda_object *o =
		handles_object(&s->handles, handle, vgpu_cuda_handle_type(handle));
	uint64_t parent = o && o->parent ? s->handles.object[o->parent - 1].handle : 0;

	return vgpu_cuda_handle_type(parent) == VGPU_CUDA_CONTEXT ? parent : 0;
}

/* What the driver frees together with the context it was made in. */
static bool belongs_to_context(unsigned int type)
{
	switch (type) {
	case VGPU_CUDA_MODULE:
	case VGPU_CUDA_STREAM:
	case VGPU_CUDA_EVENT:
	case VGPU_CUDA_ARRAY:
	case VGPU_CUDA_MIPMAP:
	case VGPU_CUDA_GRAPHEXEC:
	case VGPU_CUDA_LINK:
		return true;
	default:
		return false;
	}
}

static uint64_t parent_of(const struct cuda_session *s, unsigned int type)
{
	if (s->new_parent)
		return s->new_parent;
	return belongs_to_context(type) ? s->context : 0;
}

static void link_child(struct cuda_handles *t, uint32_t parent, uint32_t child)
{
	struct cuda_object *p = &t->object[parent], *c = &t->object[child];

	c->parent = parent + 1;
	c->next = p->child;
	if (p->child)
		t->object[p->child - 1].prev = child + 1;
	p->child = child + 1;
}

static void unlink_child(struct cuda_handles *t, struct cuda_object *c)
{
	if (!c->parent)
		return;
	if (c->prev)
		t->object[c->prev - 1].next = c->next;
	else
		t->object[c->parent - 1].child = c->next;
	if (c->next)
		t->object[c->next - 1].prev = c->prev;
	c->parent = c->next = c->prev = 0;
}

static void index_add(struct cuda_handles *t, uint32_t index)
{
	if (!t->by_real)
		t->by_real = g_hash_table_new(NULL, NULL);
	g_hash_table_insert(t->by_real, (void *)(uintptr_t)t->object[index].real,
			    GUINT_TO_POINTER(index + 1));
}

static void index_drop(struct cuda_handles *t, const struct cuda_object *o)
{
	void *key = (void *)(uintptr_t)o->real;

	if (t->by_real &&
	    GPOINTER_TO_UINT(g_hash_table_lookup(t->by_real, key)) == (guint)(o - t->object) + 1)
		g_hash_table_remove(t->by_real, key);
}

CUresult handles_set(struct cuda_session *s, uint64_t handle, enum vgpu_cuda_type type, void *real)
{
	uint32_t index = vgpu_cuda_handle_index(handle);
	uint64_t parent = parent_of(s, type);
	CUresult r = handles_free(s, handle, type);
	uint64_t context = s->new_second, known;
	void *data = s->new_data;

	s->new_parent = 0;
	s->new_second = 0;
	s->new_data = NULL;
	if (r != CUDA_SUCCESS)
		return r;
	known = is_indexed(type) ? handles_find(s, type, real) : 0;
	if (known && known != parent) { /* the driver has made a new one in its place */
		handles_remove(s, known);
		known = 0;
	}
	s->handles.object[index] = (struct cuda_object){.handle = handle,
							.real = (uintptr_t)real,
							.charged = s->new_charged,
							.data = data,
							.context = context};
	s->new_charged = 0;
	if (parent && handles_object(&s->handles, parent, vgpu_cuda_handle_type(parent)))
		link_child(&s->handles, vgpu_cuda_handle_index(parent), index);
	if (type == VGPU_CUDA_STREAM)
		contexts_add_stream(s, parent, real);
	if (type == VGPU_CUDA_ALLOCATION)
		charge_physical_hold(s, (uintptr_t)real);
	if (is_indexed(type) && !known)
		index_add(&s->handles, index);
	s->handles.bound += context != 0;
	s->has_graphs |= type == VGPU_CUDA_GRAPH;
	s->handles.live++;
	if (type == VGPU_CUDA_CONTEXT)
		contexts_settle(s);
	return CUDA_SUCCESS;
}

/* Our own part of an object. */
static void drop_data(struct cuda_session *s, struct cuda_object *o)
{
	switch (vgpu_cuda_handle_type(o->handle)) {
	case VGPU_CUDA_CONTEXT:
		contexts_gone(s, o);
		break;
	case VGPU_CUDA_STREAM:
		captures_gone(s, o);
		graph_memory_sweep(s);
		break;
	case VGPU_CUDA_FUNCTION:
	case VGPU_CUDA_KERNEL:
		modules_layout_free(o->data);
		break;
	case VGPU_CUDA_MODULE:
	case VGPU_CUDA_LIBRARY:
		ranges_remove_owner(&s->ranges, o->handle);
		break;
	case VGPU_CUDA_GRAPH:
	case VGPU_CUDA_GRAPHEXEC:
		graph_memory_drop(s, o->data);
		break;
	case VGPU_CUDA_LINK:
		link_data_free(o->data);
		break;
	case VGPU_CUDA_ALLOCATION:
		charge_physical_let_go(s, o->real);
		break;
	default:
		break;
	}
	o->data = NULL;
}

static void drop(struct cuda_session *s, struct cuda_object *o)
{
	const bool context = vgpu_cuda_handle_type(o->handle) == VGPU_CUDA_CONTEXT;

	if (o->parent && vgpu_cuda_handle_type(o->handle) == VGPU_CUDA_STREAM)
		contexts_drop_stream(s, s->handles.object[o->parent - 1].handle,
				     (CUstream)(uintptr_t)o->real);
	unlink_child(&s->handles, o);
	if (is_indexed(vgpu_cuda_handle_type(o->handle)))
		index_drop(&s->handles, o);
	drop_data(s, o);
	charge_give(s, o->charged);
	s->handles.bound -= o->context != 0;
	memset(o, 0, sizeof(*o));
	s->handles.live--;
	if (context)
		contexts_settle(s);
}

/* Without recursion: a guest may build chains as long as the table. */
static void remove_tree(struct cuda_session *s, uint64_t handle)
{
	struct cuda_handles *t = &s->handles;
	struct cuda_object *top = handles_object(t, handle, vgpu_cuda_handle_type(handle));
	struct cuda_object *o = top;

	while (o) {
		struct cuda_object *up;

		while (o->child)
			o = &t->object[o->child - 1];
		up = o == top ? NULL : &t->object[o->parent - 1];
		drop(s, o);
		o = up;
	}
}

void handles_remove(struct cuda_session *s, uint64_t handle)
{
	const struct cuda_handles *t = &s->handles;
	bool context = vgpu_cuda_handle_type(handle) == VGPU_CUDA_CONTEXT;

	for (uint32_t i = 0; context && t->bound && i < t->room; i++) {
		if (t->object[i].handle && t->object[i].context == handle)
			remove_tree(s, t->object[i].handle);
	}
	remove_tree(s, handle);
}

void handles_give(struct cuda_session *s, uint64_t handle, uint64_t parent)
{
	struct cuda_handles *t = &s->handles;
	struct cuda_object *o = handles_object(t, handle, vgpu_cuda_handle_type(handle));

	if (!o)
		return;
	unlink_child(t, o);
	if (handles_object(t, parent, vgpu_cuda_handle_type(parent)))
		link_child(t, vgpu_cuda_handle_index(parent), vgpu_cuda_handle_index(handle));
}

uint64_t handles_parent(struct cuda_session *s, uint64_t handle)
{
	const struct cuda_object *o =
		handles_object(&s->handles, handle, vgpu_cuda_handle_type(handle));

	return o && o->parent ? s->handles.object[o->parent - 1].handle : 0;
}

uint64_t handles_find(struct cuda_session *s, enum vgpu_cuda_type type, void *real)
{
	struct cuda_object *o;

	if (is_indexed(type)) {
		guint at = s->handles.by_real
				   ? GPOINTER_TO_UINT(g_hash_table_lookup(s->handles.by_real, real))
				   : 0;

		o = at ? &s->handles.object[at - 1] : NULL;
		return o && vgpu_cuda_handle_type(o->handle) == type ? o->handle : 0;
	}
	for (uint32_t at = 0; (o = handles_each(&s->handles, type, &at));) {
		if (o->real == (uintptr_t)real)
			return o->handle;
	}
	return 0;
}

struct cuda_object *handles_each(struct cuda_handles *t, unsigned int type, uint32_t *at)
{
	while (*at < t->room) {
		struct cuda_object *o = &t->object[(*at)++];

		if (o->handle && vgpu_cuda_handle_type(o->handle) == type)
			return o;
	}
	return NULL;
}

void handles_clear(struct cuda_session *s)
{
	struct cuda_handles *t = &s->handles;

	for (uint32_t i = 0; i < t->room; i++) {
		if (t->object[i].handle)
			handles_remove(s, t->object[i].handle);
	}
	free(t->object);
	if (t->by_real)
		g_hash_table_unref(t->by_real);
	*t = (struct cuda_handles){0};
}
