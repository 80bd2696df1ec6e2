/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Pieces of work: what streams queue, graphs keep and launch again.
 */
#include <stdlib.h>
#include <string.h>

#include "driver.h"

struct work *work_new(enum work_kind kind)
{
	struct work *w = g_new0(struct work, 1);

	w->kind = kind;
	return w;
}

size_t work_weight(const struct work *w)
{
	if (!w)
		return 0;
	if (w->kind == WORK_EXEC)
		return 1 + w->exec.total;
	return w->kind == WORK_RUNS ? 1 + w->runs.n / 16 : 1;
}

static void *maybe_ref(void *object)
{
	return object ? object_ref(object) : NULL;
}

static GPtrArray *clone_all(const GPtrArray *from)
{
	GPtrArray *to = g_ptr_array_new();

	for (unsigned int i = 0; i < from->len; i++)
		g_ptr_array_add(to, work_clone(from->pdata[i]));
	return to;
}

struct work *work_clone(const struct work *from)
{
	struct work *w = g_memdup2(from, sizeof(*from));

	switch (w->kind) {
	case WORK_KERNEL:
		object_ref(w->kernel.fn);
		w->kernel.param = g_memdup2(from->kernel.param, from->kernel.size);
		break;
	case WORK_COPY: /* never staged where it can be cloned: see copy_make() */
		w->copy.staged = NULL;
		maybe_ref(w->copy.src_array);
		maybe_ref(w->copy.dst_array);
		break;
	case WORK_RECORD:
	case WORK_WAIT:
		maybe_ref(w->event.event);
		if (w->event.wait)
			op_ref(w->event.wait);
		break;
	case WORK_VALUE:
		w->value.op = g_memdup2(from->value.op, from->value.n * sizeof(*from->value.op));
		break;
	case WORK_ALLOC:
	case WORK_FREE:
		graph_memory_ref(&w->free);
		break;
	case WORK_EXEC:
		w->exec.work = clone_all(from->exec.work);
		break;
	default:
		break;
	}
	return w;
}

void work_free(struct work *w)
{
	if (!w)
		return;
	switch (w->kind) {
	case WORK_KERNEL:
		object_unref(w->kernel.fn);
		g_free(w->kernel.param);
		break;
	case WORK_COPY:
		if (w->copy.staged)
			drv.staged -= w->copy.d.WidthInBytes;
		free(w->copy.staged);
		object_unref(w->copy.src_array);
		object_unref(w->copy.dst_array);
		break;
	case WORK_RECORD:
	case WORK_WAIT:
		object_unref(w->event.event);
		op_unref(w->event.wait);
		break;
	case WORK_VALUE:
		g_free(w->value.op);
		break;
	case WORK_RUNS:
		g_free(w->runs.run);
		break;
	case WORK_ALLOC:
	case WORK_FREE:
		graph_memory_unref(&w->free);
		break;
	case WORK_EXEC:
		for (unsigned int i = 0; i < w->exec.work->len; i++)
			work_free(w->exec.work->pdata[i]);
		g_ptr_array_free(w->exec.work, TRUE);
		break;
	default:
		break;
	}
	g_free(w);
}

static CUresult run_host(const struct host_work *h)
{
	CUresult state;

	pthread_mutex_lock(&drv.lock);
	state = drv.sticky;
	pthread_mutex_unlock(&drv.lock);
	if (h->callback)
		h->callback(h->stream, state, h->data);
	else if (!state)
		h->fn(h->data);
	return CUDA_SUCCESS;
}

static CUresult run_wait(const struct event_work *e)
{
	if (!e->wait)
		return CUDA_SUCCESS;
	pthread_mutex_lock(&drv.lock);
	op_wait(e->wait);
	pthread_mutex_unlock(&drv.lock);
	return CUDA_SUCCESS;
}

static CUresult run_free(const struct free_work *f)
{
	struct range *r;

	pthread_mutex_lock(&drv.lock);
	r = range_find(f->address);
	if (r && r->base == f->address && r->id == f->id) {
		if (r->kind == RANGE_GRAPH)
			graph_memory_gone(r);
		else
			range_remove(r);
	}
	pthread_mutex_unlock(&drv.lock);
	return CUDA_SUCCESS;
}

static CUresult run_alloc(const struct free_work *f)
{
	pthread_mutex_lock(&drv.lock);
	graph_memory_here(f);
	pthread_mutex_unlock(&drv.lock);
	return CUDA_SUCCESS;
}

static CUresult run_all(const GPtrArray *list)
{
	CUresult err = CUDA_SUCCESS;

	for (unsigned int i = 0; i < list->len && !err; i++)
		err = work_run(list->pdata[i]);
	return err;
}

CUresult work_run(struct work *w)
{
	switch (w->kind) {
	case WORK_KERNEL:
		return kernel_run(&w->kernel);
	case WORK_COPY:
		return copy_run(&w->copy);
	case WORK_MEMSET:
		return memset_run(&w->set);
	case WORK_HOST:
		return run_host(&w->host);
	case WORK_WAIT:
		return run_wait(&w->event);
	case WORK_VALUE:
		return value_run(&w->value);
	case WORK_ALLOC:
		return run_alloc(&w->free);
	case WORK_FREE:
		return run_free(&w->free);
	case WORK_RUNS:
		return runs_run(&w->runs);
	case WORK_EXEC:
		return run_all(w->exec.work);
	case WORK_EMPTY:
	case WORK_RECORD:
		break;
	}
	return CUDA_SUCCESS;
}
