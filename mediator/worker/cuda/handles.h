/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The objects of a session: from the guest's handles to the driver's pointers.
 *
 * The guest chooses the handles.  An object may have a parent (a function its
 * module, a stream its context); when the parent goes, so do they, so that no
 * handle ever leads to an object that the driver has freed.  What belongs to two
 * (a kernel's function to its library and to a context) has a context beside its
 * parent, and goes with either.
 */
#ifndef VGPU_WORKER_CUDA_HANDLES_H
#define VGPU_WORKER_CUDA_HANDLES_H

#include <glib.h>

#include "cuda_driver.h"
#include <stddef.h>
#include <stdint.h>

#include "vgpu_cuda.h"

struct cuda_session;

#define HANDLES_MAX (1u << VGPU_CUDA_HANDLE_INDEX_BITS)

struct cuda_object {
	uint64_t handle;  /* 0: free */
	uint64_t real;    /* the driver's pointer or number */
	uint64_t charged; /* bytes that the tenant is charged for it (charge.h) */
	void *data;       /* kept by us; given back by handles_remove() as the type says */
	uint32_t parent;  /* place in the table and 1; 0: none */
	uint32_t child;   /* likewise, the first one */
	uint32_t next;    /* children of the same parent */
	uint32_t prev;
	uint64_t context; /* handle of a context that it goes with as well, 0: none */
};

struct cuda_handles {
	struct cuda_object *object;
	uint32_t room;
	uint32_t live;
	uint32_t bound;      /* objects that have a context beside their parent */
	GHashTable *by_real; /* of graphs and nodes, which the driver names to us: index and 1 */
};

/* The object, or NULL: stale, of another type, or none. */
static inline struct cuda_object *handles_object(struct cuda_handles *t, uint64_t handle,
						 unsigned int type)
{
	uint32_t index = vgpu_cuda_handle_index(handle);
	struct cuda_object *o;

	if (index >= t->room || !handle)
		return NULL;
	o = &t->object[index];
	return o->handle == handle && vgpu_cuda_handle_type(handle) == type ? o : NULL;
}

/*
 * The driver's object of a handle in *real, or CUDA_ERROR_INVALID_HANDLE; so
 * for a graph that is being captured and its nodes, once that has failed.
 * Handle 0 and, for streams, 1 and 2 are the caller's to treat: they are never
 * in the table.
 */
CUresult handles_get(struct cuda_session *s, uint64_t handle, enum vgpu_cuda_type type,
		     void **real);

/*
 * May `handle` be taken for a new object?  CUDA_SUCCESS (its place in the table
 * is there), CUDA_ERROR_INVALID_HANDLE (taken or malformed) or
 * CUDA_ERROR_OUT_OF_MEMORY.
 */
CUresult handles_free(struct cuda_session *s, uint64_t handle, enum vgpu_cuda_type type);

/*
 * Stores a new object, after handles_free() and the driver's success; the same
 * errors.  Its parent is s->new_parent, or as usual for the type; its second one
 * s->new_second; its data is s->new_data, its charge s->new_charged.  All are 0 afterwards.  A node
 * that has a handle already gets another if that is to be the parent.
 */
CUresult handles_set(struct cuda_session *s, uint64_t handle, enum vgpu_cuda_type type, void *real);

/* Takes the handle out, and those of everything that belonged to it. */
void handles_remove(struct cuda_session *s, uint64_t handle);

/* Another parent for an object, 0: none. */
void handles_give(struct cuda_session *s, uint64_t handle, uint64_t parent);

/* The handle of what a living object belongs to, 0: nothing. */
uint64_t handles_parent(struct cuda_session *s, uint64_t handle);

/* The handle of the driver's object, 0: not known.  Fast for graphs and their nodes only. */
uint64_t handles_find(struct cuda_session *s, enum vgpu_cuda_type type, void *real);

/* The handle of the context that an object belongs to, 0: none. */
uint64_t handles_context(struct cuda_session *s, uint64_t handle);

/* The next object of `type` at or after place *at (begin with 0), or NULL. */
struct cuda_object *handles_each(struct cuda_handles *t, unsigned int type, uint32_t *at);

/* Frees the table, not the objects. */
void handles_clear(struct cuda_session *s);

#endif /* VGPU_WORKER_CUDA_HANDLES_H */
