/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Streams: queues of work, each with a thread of its own that is started with
 * the first piece.
 */
#include "driver.h"

#define STACK_SIZE ((size_t)512 << 10)

struct op *op_ref(struct op *op)
{
	op->refs++;
	return op;
}

void op_unref(struct op *op)
{
	if (!op || --op->refs)
		return;
	work_free(op->work);
	if (op->after)
		g_ptr_array_free(op->after, TRUE);
	g_free(op);
}

/* Ends early when the device has failed: nothing more will be done then. */
CUresult op_wait(struct op *op)
{
	while (!op->done && !drv.sticky)
		pthread_cond_wait(&drv.changed, &drv.lock);
	return drv.sticky;
}

static bool wants_to_run(const struct op *op)
{
	return !drv.sticky || (op->work && op->work->kind == WORK_HOST && op->work->host.callback);
}

static void drop_after(struct op *op)
{
	if (!op->after)
		return;
	for (unsigned int i = 0; i < op->after->len; i++)
		op_unref(op->after->pdata[i]);
	g_ptr_array_free(op->after, TRUE);
	op->after = NULL;
}

static void execute(CUstream s, struct op *op)
{
	struct work *w = op->work;
	CUresult err;

	for (unsigned int i = 0; op->after && i < op->after->len; i++)
		op_wait(op->after->pdata[i]);
	drop_after(op);
	if (w && wants_to_run(op)) {
		pthread_mutex_unlock(&drv.lock);
		err = work_run(w);
		pthread_mutex_lock(&drv.lock);
		if (err)
			driver_fail(err);
	}
	op->work = NULL;
	work_free(w);
	op->end = now_ns();
	op->done = true;
	drv.queued -= op->weight;
	s->queued--;
	pthread_cond_broadcast(&drv.changed);
	op_unref(op);
}

static void *stream_main(void *arg)
{
	CUstream s = arg;

	pthread_mutex_lock(&drv.lock);
	while (!s->retired || !g_queue_is_empty(&s->queue)) {
		if (g_queue_is_empty(&s->queue))
			pthread_cond_wait(&s->more, &drv.lock);
		else
			execute(s, g_queue_pop_head(&s->queue));
	}
	object_unref(s);
	pthread_mutex_unlock(&drv.lock);
	return NULL;
}

static CUresult start_thread(CUstream s)
{
	pthread_attr_t attr;
	pthread_t thread;
	int err;

	if (s->has_thread)
		return CUDA_SUCCESS;
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, STACK_SIZE);
	err = pthread_create(&thread, &attr, stream_main, object_ref(s));
	pthread_attr_destroy(&attr);
	if (err) {
		object_unref(s);
		return CUDA_ERROR_OUT_OF_MEMORY;
	}
	s->has_thread = true;
	return CUDA_SUCCESS;
}

static void stream_finish(void *object)
{
	CUstream s = object;

	op_unref(s->last);
	pthread_cond_destroy(&s->more);
	drv.streams--;
}

CUresult stream_new(CUcontext ctx, unsigned int flags, int priority, CUstream *out)
{
	static uint64_t id;
	CUstream s;

	if (drv.streams >= CPU_STREAMS_MAX)
		return CUDA_ERROR_OUT_OF_MEMORY;
	s = object_new(OBJECT_STREAM, sizeof(*s), stream_finish);
	if (!s)
		return CUDA_ERROR_OUT_OF_MEMORY;
	s->ctx = ctx;
	s->flags = flags;
	s->priority = priority;
	s->id = ++id;
	g_queue_init(&s->queue);
	pthread_cond_init(&s->more, NULL);
	drv.streams++;
	g_ptr_array_add(ctx->streams, s);
	*out = s;
	return CUDA_SUCCESS;
}

void stream_retire(CUstream s)
{
	capture_abandon(s);
	g_ptr_array_remove_fast(s->ctx->streams, s);
	if (s->ctx->legacy == s)
		s->ctx->legacy = NULL;
	if (s->ctx->per_thread == s)
		s->ctx->per_thread = NULL;
	s->retired = true;
	pthread_cond_signal(&s->more);
	object_retire(s);
}

CUresult stream_find(CUcontext ctx, CUstream handle, CUstream *out)
{
	CUstream *slot = handle == CU_STREAM_PER_THREAD ? &ctx->per_thread : &ctx->legacy;
	CUresult err;

	if (handle && handle != CU_STREAM_LEGACY && handle != CU_STREAM_PER_THREAD) {
		*out = object_find(handle, OBJECT_STREAM);
		return *out ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
	}
	if (!*slot) {
		err = stream_new(ctx, CU_STREAM_DEFAULT, 0, slot);
		if (err)
			return err;
		(*slot)->legacy = handle != CU_STREAM_PER_THREAD;
	}
	*out = *slot;
	return CUDA_SUCCESS;
}

static void add_after(struct op *op, const CUstream s)
{
	if (!s || !s->last || s->last->done)
		return;
	if (!op->after)
		op->after = g_ptr_array_new();
	g_ptr_array_add(op->after, op_ref(s->last));
}

/* The default stream and the blocking ones wait for each other. */
static void order(CUstream s, struct op *op)
{
	if (s->flags & CU_STREAM_NON_BLOCKING)
		return;
	if (!s->legacy) {
		add_after(op, s->ctx->legacy);
		return;
	}
	for (unsigned int i = 0; i < s->ctx->streams->len; i++) {
		CUstream other = s->ctx->streams->pdata[i];

		if (other != s && !(other->flags & CU_STREAM_NON_BLOCKING))
			add_after(op, other);
	}
}

/* What is recorded by a graph counts from the end of the graph. */
static void note_records(struct work *w, struct op *op)
{
	if (w->kind == WORK_EXEC) {
		for (unsigned int i = 0; i < w->exec.work->len; i++)
			note_records(w->exec.work->pdata[i], op);
	} else if (w->kind == WORK_RECORD && w->event.event) {
		op_unref(w->event.event->op);
		w->event.event->op = op_ref(op);
	}
}

static void note_waits(struct work *w)
{
	if (w->kind == WORK_EXEC) {
		for (unsigned int i = 0; i < w->exec.work->len; i++)
			note_waits(w->exec.work->pdata[i]);
	} else if (w->kind == WORK_WAIT && w->event.event) {
		op_unref(w->event.wait);
		w->event.wait = w->event.event->op ? op_ref(w->event.event->op) : NULL;
	}
}

/* The default stream would have to wait for streams that capture, which it cannot. */
static CUresult check_capture(const CUstream s)
{
	for (unsigned int i = 0; s->legacy && i < s->ctx->streams->len; i++) {
		const CUstream other = s->ctx->streams->pdata[i];

		if (other->capture && !(other->flags & CU_STREAM_NON_BLOCKING)) {
			capture_invalidate(other->capture);
			return CUDA_ERROR_STREAM_CAPTURE_IMPLICIT;
		}
	}
	return CUDA_SUCCESS;
}

static bool has_room(const CUstream s, size_t weight)
{
	return s->queued < CPU_STREAM_MAX && (!drv.queued || drv.queued + weight <= CPU_WORK_MAX);
}

CUresult stream_submit(CUstream s, struct work *w, struct op **out)
{
	CUresult err = check_capture(s);
	size_t weight = 1 + work_weight(w);
	struct op *op;

	if (!err)
		err = start_thread(s);
	object_ref(s);
	while (!err && !has_room(s, weight) && !(err = drv.sticky))
		pthread_cond_wait(&drv.changed, &drv.lock);
	if (!err && s->retired)
		err = CUDA_ERROR_INVALID_HANDLE;
	if (err) {
		work_free(w);
		object_unref(s);
		return err;
	}
	op = g_new0(struct op, 1);
	op->refs = 2; /* the queue's and the stream's */
	op->work = w;
	order(s, op);
	note_waits(w);
	note_records(w, op);
	op_unref(s->last);
	s->last = op;
	op->weight = weight;
	drv.queued += weight;
	s->queued++;
	g_queue_push_tail(&s->queue, op);
	pthread_cond_signal(&s->more);
	if (out)
		*out = op_ref(op);
	object_unref(s);
	return CUDA_SUCCESS;
}

CUresult stream_submit_or_capture(CUstream s, struct work *w)
{
	if (s->capture)
		return capture_add(s, w);
	return stream_submit(s, w, NULL);
}

static bool blocks(const CUstream s)
{
	return !(s->flags & CU_STREAM_NON_BLOCKING);
}

/* The newest work of every stream that counts. */
static GPtrArray *newest(CUcontext ctx, const CUstream only)
{
	GPtrArray *list = g_ptr_array_new();

	for (unsigned int i = 0; i < ctx->streams->len; i++) {
		CUstream s = ctx->streams->pdata[i];

		if (only && s != only && !(only->legacy && blocks(s)))
			continue;
		if (s->last && !s->last->done)
			g_ptr_array_add(list, op_ref(s->last));
	}
	return list;
}

static CUresult wait_for(GPtrArray *list)
{
	for (unsigned int i = 0; i < list->len; i++) {
		op_wait(list->pdata[i]);
		op_unref(list->pdata[i]);
	}
	g_ptr_array_free(list, TRUE);
	return drv.sticky;
}

CUresult stream_wait(CUstream s)
{
	return wait_for(newest(s->ctx, s));
}

bool stream_is_idle(CUstream s)
{
	GPtrArray *list = newest(s->ctx, s);
	bool idle = list->len == 0;

	for (unsigned int i = 0; i < list->len; i++)
		op_unref(list->pdata[i]);
	g_ptr_array_free(list, TRUE);
	return idle;
}

static bool any(void *object, const void *arg)
{
	(void)object;
	(void)arg;
	return true;
}

CUresult context_wait(CUcontext ctx)
{
	GPtrArray *all;

	if (ctx)
		return wait_for(newest(ctx, NULL));
	all = object_list(OBJECT_CONTEXT, any, NULL);
	for (unsigned int i = 0; i < all->len; i++)
		object_ref(all->pdata[i]);
	for (unsigned int i = 0; i < all->len; i++) {
		wait_for(newest(all->pdata[i], NULL));
		object_unref(all->pdata[i]);
	}
	g_ptr_array_free(all, TRUE);
	return drv.sticky;
}
