/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * CONTEXT_LOCAL_STORAGE, c693336e-1121-df11-a8c3-68f355d89593: what the
 * runtime and the libraries keep with a context, each under a key of its own.
 *
 * From ZLUDA: the slots and their arguments, that the context's end calls
 * the keeper back, and that a key without a value is an invalid handle.  From
 * Lupine: context -1 is, as NULL is, the current one.  The table has no size
 * in front.
 *
 * The runtime looks its value up at every call: each thread remembers what it
 * found last, for as long as nothing has changed.
 */
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#include "../context.h"
#include "../handles.h"
#include "export.h"
#include "tables.h"

#define BUCKETS 64

typedef void (*end_fn)(CUcontext context, void *key, void *value);

struct item {
	struct item *next;
	CUcontext context;
	void *key, *value;
	end_fn end; /* may be NULL */
};

static struct item *buckets[BUCKETS];
static unsigned changes; /* of any item; written under the lock */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static __thread struct {
	CUcontext context;
	void *key, *value;
	unsigned changes;
} last __attribute__((tls_model("initial-exec"))); /* context NULL: nothing yet */

static void lock_for_change(void)
{
	pthread_mutex_lock(&lock);
	__atomic_fetch_add(&changes, 1, __ATOMIC_RELEASE);
}

static CUresult resolve(CUcontext *context)
{
	const struct context *top;

	if (*context && *context != (CUcontext)-1)
		return CUDA_SUCCESS;
	top = context_top();
	if (!top)
		return CUDA_ERROR_INVALID_CONTEXT;
	*context = HANDLE_AS(CUcontext, top->self);
	return CUDA_SUCCESS;
}

/* The link that points to the item, or the end of its bucket. */
static struct item **find(CUcontext context, const void *key)
{
	uintptr_t h = ((uintptr_t)context ^ ((uintptr_t)key >> 4)) * 0x9e3779b97f4a7c15;
	struct item **link = &buckets[h >> 32 & (BUCKETS - 1)];

	while (*link && ((*link)->context != context || (*link)->key != key))
		link = &(*link)->next;
	return link;
}

/* Slot 0: a second value under the same key replaces the first. */
static CUresult put(CUcontext context, void *key, void *value, end_fn end)
{
	CUresult r = resolve(&context);
	struct item *fresh, **link;

	if (r)
		return r;
	fresh = malloc(sizeof(*fresh));
	if (!fresh)
		return CUDA_ERROR_OUT_OF_MEMORY;
	*fresh = (struct item){NULL, context, key, value, end};

	lock_for_change();
	link = find(context, key);
	if (*link) {
		fresh->next = (*link)->next;
		free(*link);
	}
	*link = fresh;
	pthread_mutex_unlock(&lock);
	return CUDA_SUCCESS;
}

/* Slot 1: the keeper takes its value away itself and is not called. */
static CUresult delete (CUcontext context, void *key)
{
	CUresult r = resolve(&context);
	struct item **link, *old;

	if (r)
		return r;
	lock_for_change();
	link = find(context, key);
	old = *link;
	if (old)
		*link = old->next;
	pthread_mutex_unlock(&lock);
	free(old);
	return old ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
}

/* Finds the value, and remembers it; false: there is none. */
static bool look_up(CUcontext context, void *key)
{
	const struct item *item;

	pthread_mutex_lock(&lock);
	item = *find(context, key);
	last.context = item ? context : NULL;
	last.key = key;
	last.value = item ? item->value : NULL;
	last.changes = changes;
	pthread_mutex_unlock(&lock);
	return item;
}

/* Slot 2. */
static CUresult get(void **value, CUcontext context, void *key)
{
	CUresult r = resolve(&context);

	if (!value)
		return CUDA_ERROR_INVALID_VALUE;
	*value = NULL;
	if (r)
		return r;
	if (last.context != context || last.key != key ||
	    last.changes != __atomic_load_n(&changes, __ATOMIC_ACQUIRE))
		if (!look_up(context, key))
			return CUDA_ERROR_INVALID_HANDLE;
	*value = last.value;
	return CUDA_SUCCESS;
}

/* Takes out some item of the context; NULL: none is left. */
static struct item *take(CUcontext context)
{
	struct item *item = NULL;

	lock_for_change();
	for (int i = 0; i < BUCKETS && !item; i++) {
		struct item **link = &buckets[i];

		while (*link && (*link)->context != context)
			link = &(*link)->next;
		item = *link;
		if (item)
			*link = item->next;
	}
	pthread_mutex_unlock(&lock);
	return item;
}

void export_context_gone(CUcontext context)
{
	struct item *item;

	while ((item = take(context))) {
		if (item->end)
			item->end(item->context, item->key, item->value);
		free(item);
	}
}

const union export_slot export_context_storage[4] = {
	[0] = EXPORT_CALL(put),
	[1] = EXPORT_CALL(delete),
	[2] = EXPORT_CALL(get),
	[3] = EXPORT_REFUSE,
};
