/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A worker without a loop. */
#include "cuda-calls.h"

#include <glib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cpu_driver.h"
#include "cuda/entry.h"

struct worker *test_worker;
GString *calls_notes;

static uint64_t next_id = 1;
static struct outcome out;
static int saved[2] = {-1, -1};

/* ------------------------------------- what the rest of a worker would be */

void worker_watch(struct worker *w, int fd, uint32_t events, enum watch what)
{
	(void)w;
	(void)fd;
	(void)events;
	(void)what;
}

bool worker_push(struct worker *w, const void *record, uint32_t length)
{
	const struct vgpu_response *h = record;
	const struct vgpu_cuda_note *note = (const void *)(h + 1);

	(void)w;
	g_assert_cmpuint(h->length, ==, length);
	g_assert_cmpuint(h->id, ==, VGPU_CUDA_NOTE_ID);
	g_assert_cmpuint(length, ==, sizeof(*h) + sizeof(*note) + note->length);
	if (note->kind == VGPU_CUDA_NOTE_CALLBACK)
		g_string_append_printf(calls_notes, "%u:%" G_GUINT64_FORMAT, note->kind,
				       note->value);
	else {
		g_string_append_printf(calls_notes, "%u:", note->kind);
		g_string_append_len(calls_notes, (const char *)(note + 1), note->length);
	}
	return true;
}

GArray *calls_turns;
bool calls_no_daemon;

bool control_turn(struct worker *w, const struct ctl_turn_news *m)
{
	if (calls_no_daemon)
		turn_alone(w);
	else
		g_array_append_val(calls_turns, *m);
	return true;
}

jmp_buf *calls_broken;
int calls_broken_status;

void worker_broken(struct worker *w, int status, const char *reason)
{
	(void)w;
	if (!calls_broken)
		g_error("the worker would end: %d, %s", status, reason);
	calls_broken_status = status;
	longjmp(*calls_broken, 1);
}

void control_warning(struct worker *w, uint64_t request, const char *text)
{
	(void)w;
	(void)request;
	(void)text;
}

struct refusal calls_refusal;

void control_refused(struct worker *w, enum ctl_refused_kind kind, uint64_t request, uint64_t value,
		     const char *what)
{
	(void)w;
	(void)request;
	calls_refusal = (struct refusal){.n = calls_refusal.n + 1, .kind = kind, .value = value};
	g_strlcpy(calls_refusal.what, what, sizeof(calls_refusal.what));
}

bool control_fault(struct worker *w, int error)
{
	(void)w;
	(void)error;
	return true;
}

bool control_handle(struct worker *w)
{
	(void)w;
	return false;
}

static void *symbol(struct vgpu_backend *be, const char *name)
{
	(void)be;
	return cpu_driver_symbol(name);
}

static int copy(struct vgpu_backend *be, void *stream, uint64_t device,
		const struct vgpu_operand *op, bool to_device, uint64_t *copied)
{
	(void)be;
	*copied += op->length;
	return cpu_driver_copy(stream, device, op, to_device);
}

/* ------------------------------------------------------------------ calls */

void calls_own_output(void)
{
	fflush(stdout);
	dup2(saved[0], STDOUT_FILENO);
	dup2(saved[1], STDERR_FILENO);
}

void calls_start(void)
{
	static const struct vgpu_backend_ops ops = {.api = VGPU_BACKEND_API,
						    .id = VGPU_BACKEND_CPU,
						    .name = "cpu",
						    .symbol = symbol,
						    .copy = copy};

	fflush(stdout);
	for (int i = 0; i < 2 && saved[i] < 0; i++)
		saved[i] = dup(STDOUT_FILENO + i);
	test_worker = g_new0(struct worker, 1);
	test_worker->ops = &ops;
	test_worker->page = g_malloc0(VGPU_PAGE);
	tenant_alone(&test_worker->tenant);
	calls_refusal = (struct refusal){0};
	calls_notes = g_string_new(NULL);
	calls_turns = g_array_new(FALSE, FALSE, sizeof(struct ctl_turn_news));
}

/*
 * A session ends with its worker's process, so it is kept until then: a leak is
 * what it has lost.
 */
static void keep_session(void)
{
	static GPtrArray *sessions;

	if (!sessions)
		sessions = g_ptr_array_new();
	g_ptr_array_add(sessions, test_worker->cuda);
}

void calls_stop(void)
{
	calls_own_output();
	keep_session();
	free((void *)test_worker->tenant.page);
	free(test_worker->tenant.usage);
	g_free(test_worker->page);
	g_free(test_worker);
	g_string_free(calls_notes, TRUE);
	g_array_free(calls_turns, TRUE);
	test_worker = NULL;
}

static const struct vgpu_desc *descs; /* of the next call */
static uint16_t ndescs;

static size_t compose(uint8_t *rec, uint32_t function, uint64_t context, uint16_t flags,
		      const struct part *part, unsigned int n)
{
	struct vgpu_request h = {
		.command = VGPU_CMD_CUDA, .flags = flags, .id = next_id++, .ndesc = ndescs};
	const struct vgpu_cuda_call call = {.function = function, .context = context};
	size_t at = sizeof(h) + ndescs * sizeof(descs[0]);

	if (ndescs)
		memcpy(rec + sizeof(h), descs, ndescs * sizeof(descs[0]));
	ndescs = 0;
	memcpy(rec + at, &call, sizeof(call));
	at += sizeof(call);
	for (unsigned int i = 0; i < n; i++) {
		size_t padded = (part[i].length + 7) & ~(size_t)7;

		g_assert_cmpuint(at + padded, <=, VGPU_RECORD_MAX);
		memset(rec + at, 0, padded);
		if (part[i].length)
			memcpy(rec + at, part[i].data, part[i].length);
		at += padded;
	}
	h.length = (uint32_t)at;
	memcpy(rec, &h, sizeof(h));
	return at;
}

static struct outcome *take(uint64_t *id)
{
	const struct vgpu_response *h = &test_worker->rsp.header;
	const struct vgpu_cuda_result *res = (const void *)(h + 1);

	memset(&out, 0, sizeof(out));
	out.status = (int)h->status;
	if (id)
		*id = h->id;
	if (out.status)
		return &out;
	out.result = (CUresult)res->result;
	out.deferred = (CUresult)res->deferred;
	out.length = h->length - (uint32_t)(sizeof(*h) + sizeof(*res));
	memcpy(out.data, res + 1, out.length);
	return &out;
}

struct outcome *calls_wait(uint64_t *id)
{
	for (unsigned int i = 0; i < 1000000; i++) {
		if (cuda_poll(test_worker) == CUDA_RESPONSE)
			return take(id);
		if (i > 100)
			g_usleep(10);
	}
	g_error("no answer came");
}

void calls_send(uint32_t function, uint64_t context, uint16_t flags, const struct part *part,
		unsigned int n)
{
	static uint64_t rec[VGPU_RECORD_MAX / 8];
	size_t length = compose((uint8_t *)rec, function, context, flags, part, n);

	g_assert_false(cuda_request(test_worker, rec, (uint32_t)length));
}

void calls_send_with(const struct vgpu_desc *desc, unsigned int ndesc, uint32_t function,
		     uint64_t context, const struct part *part, unsigned int n)
{
	descs = desc;
	ndescs = (uint16_t)ndesc;
	calls_send(function, context, 0, part, n);
}

struct outcome *calls_make(uint32_t function, uint64_t context, uint16_t flags,
			   const struct part *part, unsigned int n)
{
	static uint64_t rec[VGPU_RECORD_MAX / 8];
	size_t length = compose((uint8_t *)rec, function, context, flags, part, n);

	if (cuda_request(test_worker, rec, (uint32_t)length))
		return take(NULL);
	if (!(flags & VGPU_REQUEST_QUIET))
		return calls_wait(NULL);
	memset(&out, 0, sizeof(out));
	out.status = 1;
	return &out;
}

void calls_give(const struct vgpu_desc *desc, unsigned int ndesc)
{
	descs = desc;
	ndescs = (uint16_t)ndesc;
}

struct outcome *calls_make_with(const struct vgpu_desc *desc, unsigned int ndesc, uint32_t function,
				uint64_t context, const struct part *part, unsigned int n)
{
	calls_give(desc, ndesc);
	return calls_make(function, context, 0, part, n);
}
