/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The software driver's lock, the registry of what handles name, and the error
 * that stays.
 */
#include <stdlib.h>
#include <time.h>

#include "driver.h"

struct cpu_driver drv = {
	.lock = PTHREAD_MUTEX_INITIALIZER,
	.changed = PTHREAD_COND_INITIALIZER,
};

uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

struct guard guard_enter(CUresult *err)
{
	pthread_mutex_lock(&drv.lock);
	*err = !drv.initialised ? CUDA_ERROR_NOT_INITIALIZED : drv.sticky;
	return (struct guard){.held = true};
}

void guard_leave(struct guard *g)
{
	if (g->held)
		pthread_mutex_unlock(&drv.lock);
}

void driver_fail(CUresult err)
{
	if (!drv.sticky)
		drv.sticky = err;
	pthread_cond_broadcast(&drv.changed);
}

void *object_new(enum object_type type, size_t size, void (*finish)(void *object))
{
	struct object *o;

	if (!drv.objects)
		drv.objects = g_hash_table_new(g_direct_hash, g_direct_equal);
	if (g_hash_table_size(drv.objects) >= CPU_OBJECTS_MAX)
		return NULL;
	o = calloc(1, size);
	if (!o)
		return NULL;
	o->type = type;
	o->refs = 1;
	o->finish = finish;
	g_hash_table_add(drv.objects, o);
	return o;
}

void *object_find(const void *handle, enum object_type type)
{
	struct object *o = NULL;

	if (handle && drv.objects && g_hash_table_contains(drv.objects, handle))
		o = (struct object *)handle;
	return o && o->type == type ? o : NULL;
}

void *object_ref(void *object)
{
	struct object *o = object;

	o->refs++;
	return o;
}

void object_unref(void *object)
{
	struct object *o = object;

	if (!o || --o->refs)
		return;
	if (o->finish)
		o->finish(o);
	free(o);
}

void object_retire(void *object)
{
	if (g_hash_table_remove(drv.objects, object))
		object_unref(object);
}

void object_publish(void *object)
{
	if (g_hash_table_add(drv.objects, object))
		object_ref(object);
}

GPtrArray *object_list(enum object_type type, bool (*match)(void *object, const void *arg),
		       const void *arg)
{
	GPtrArray *list = g_ptr_array_new();
	GHashTableIter it;
	gpointer key;

	if (!drv.objects)
		return list;
	g_hash_table_iter_init(&it, drv.objects);
	while (g_hash_table_iter_next(&it, &key, NULL)) {
		struct object *o = key;

		if (o->type == type && match(o, arg))
			g_ptr_array_add(list, o);
	}
	return list;
}
