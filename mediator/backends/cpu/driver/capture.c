/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Capture: what is put into a stream becomes nodes of a graph, behind those
 * that the stream put there before.
 */
#include <string.h>

#include "graph.h"

struct capture {
	unsigned int refs; /* one for each stream and each event that knows of it */
	CUgraph graph;     /* referenced */
	CUstream origin;   /* compared only */
	GPtrArray *stream; /* those that take part; they leave before they go */
	CUstreamCaptureMode mode;
	uint64_t id;
	bool invalid, ended, given; /* given: the graph was the program's before */
};

static void unref(struct capture *c)
{
	if (!c || --c->refs)
		return;
	object_unref(c->graph);
	g_ptr_array_free(c->stream, TRUE);
	g_free(c);
}

static struct capture *ref(struct capture *c)
{
	c->refs++;
	return c;
}

/* Lists of nodes, each counted. */
static GPtrArray *tips_new(CUgraphNode const *node, size_t n)
{
	GPtrArray *tips = g_ptr_array_new_with_free_func(object_unref);

	for (size_t i = 0; i < n; i++)
		if (!g_ptr_array_find(tips, node[i], NULL))
			g_ptr_array_add(tips, object_ref(node[i]));
	return tips;
}

static void tips_set(GPtrArray **to, GPtrArray *tips)
{
	if (*to)
		g_ptr_array_unref(*to);
	*to = tips;
}

/* Nodes that the program has destroyed meanwhile no longer count. */
static void tips_tidy(GPtrArray *tips)
{
	for (unsigned int i = tips->len; i-- > 0;)
		if (!((CUgraphNode)tips->pdata[i])->graph)
			g_ptr_array_remove_index(tips, i);
}

void capture_invalidate(struct capture *c)
{
	c->invalid = true;
}

static void join(struct capture *c, CUstream s, GPtrArray *tips)
{
	s->capture = ref(c);
	tips_set(&s->tips, tips);
	g_ptr_array_add(c->stream, s);
}

static void leave(CUstream s)
{
	struct capture *c = s->capture;

	s->capture = NULL;
	tips_set(&s->tips, NULL);
	g_ptr_array_remove(c->stream, s);
	unref(c);
}

/* All streams leave; the graph is the program's if `keep`, else it goes. */
static void end(struct capture *c, bool keep)
{
	ref(c);
	c->ended = true;
	while (c->stream->len)
		leave(c->stream->pdata[0]);
	c->graph->owned = false;
	if (!keep && !c->given)
		graph_drop(c->graph);
	unref(c);
}

void capture_abandon(CUstream s)
{
	struct capture *c = s->capture;

	if (!c)
		return;
	c->invalid = true;
	if (c->origin == s)
		end(c, false);
	else
		leave(s);
}

bool capture_has(CUevent e)
{
	if (e->capture && e->capture->ended)
		capture_forget_event(e);
	return e->capture != NULL;
}

void capture_forget_event(CUevent e)
{
	struct capture *c = e->capture;

	e->capture = NULL;
	tips_set(&e->tips, NULL);
	unref(c);
}

CUresult capture_add(CUstream s, struct work *w)
{
	struct capture *c = s->capture;
	CUgraphNode n;
	CUresult err;

	if (c->invalid) {
		work_free(w);
		return CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
	}
	tips_tidy(s->tips);
	err = graph_add(c->graph, work_node_type(w), w, NULL, (CUgraphNode *)s->tips->pdata,
			s->tips->len, &n);
	if (err)
		c->invalid = true;
	else
		tips_set(&s->tips, tips_new(&n, 1));
	return err;
}

CUresult capture_record(CUstream s, CUevent e)
{
	if (s->capture->invalid)
		return CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
	capture_forget_event(e);
	op_unref(e->op);
	e->op = NULL;
	e->capture = ref(s->capture);
	tips_tidy(s->tips);
	tips_set(&e->tips, tips_new((CUgraphNode *)s->tips->pdata, s->tips->len));
	return CUDA_SUCCESS;
}

CUresult capture_wait(CUstream s, CUevent e)
{
	struct capture *c = e->capture;

	if (c->invalid)
		return CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
	if (s->legacy || (s->capture && s->capture != c)) {
		c->invalid = true;
		if (s->capture)
			s->capture->invalid = true;
		return s->legacy ? CUDA_ERROR_STREAM_CAPTURE_IMPLICIT
				 : CUDA_ERROR_STREAM_CAPTURE_MERGE;
	}
	if (!s->capture) {
		join(c, s, tips_new((CUgraphNode *)e->tips->pdata, e->tips->len));
		return CUDA_SUCCESS;
	}
	for (unsigned int i = 0; i < e->tips->len; i++)
		if (!g_ptr_array_find(s->tips, e->tips->pdata[i], NULL))
			g_ptr_array_add(s->tips, object_ref(e->tips->pdata[i]));
	return CUDA_SUCCESS;
}

static CUresult begin(CUstream s, CUgraph g, bool given, GPtrArray *tips, CUstreamCaptureMode mode)
{
	static uint64_t id;
	struct capture *c = g_new0(struct capture, 1);

	c->graph = object_ref(g);
	g->owned = true;
	c->origin = s;
	c->stream = g_ptr_array_new();
	c->mode = mode;
	c->id = ++id;
	c->given = given;
	join(c, s, tips);
	return CUDA_SUCCESS;
}

static CUresult check(CUstream s, CUstreamCaptureMode mode)
{
	if (mode > CU_STREAM_CAPTURE_MODE_RELAXED)
		return CUDA_ERROR_INVALID_VALUE;
	if (s->legacy)
		return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
	return s->capture ? CUDA_ERROR_ILLEGAL_STATE : CUDA_SUCCESS;
}

static CUresult CUDAAPI cpu_cuStreamBeginCapture_v2(CUstream handle, CUstreamCaptureMode mode)
{
	CUgraph g;
	CUstream s;

	ENTER_CONTEXT(ctx);
	enter_error = stream_find(ctx, handle, &s);
	if (!enter_error)
		enter_error = check(s, mode);
	if (!enter_error)
		enter_error = graph_new(&g);
	return enter_error ? enter_error : begin(s, g, false, tips_new(NULL, 0), mode);
}

static CUresult CUDAAPI cpu_cuStreamBeginCaptureToGraph(CUstream handle, CUgraph graph,
							const CUgraphNode *before,
							const CUgraphEdgeData *data, size_t n,
							CUstreamCaptureMode mode)
{
	CUgraph g;
	CUstream s;

	(void)data;
	ENTER_CONTEXT(ctx);
	enter_error = stream_find(ctx, handle, &s);
	if (!enter_error)
		enter_error = check(s, mode);
	if (enter_error)
		return enter_error;
	g = object_find(graph, OBJECT_GRAPH);
	if (!g || g->owned || (n && !before))
		return CUDA_ERROR_INVALID_VALUE;
	for (size_t i = 0; i < n; i++) {
		CUgraphNode node = object_find(before[i], OBJECT_NODE);

		if (!node || node->graph != g)
			return CUDA_ERROR_INVALID_VALUE;
	}
	return begin(s, g, true, tips_new(before, n), mode);
}

/* Marks all that comes before the origin's newest nodes, and sees whether others' are there. */
static bool is_joined(struct capture *c)
{
	GPtrArray *seen = g_ptr_array_new();
	bool joined = true;

	for (unsigned int i = 0; i < c->graph->node->len; i++)
		((CUgraphNode)c->graph->node->pdata[i])->open = 0;
	tips_tidy(c->origin->tips);
	for (unsigned int i = 0; i < c->origin->tips->len; i++)
		g_ptr_array_add(seen, c->origin->tips->pdata[i]);
	for (unsigned int i = 0; i < seen->len; i++)
		((CUgraphNode)seen->pdata[i])->open = 1;
	for (unsigned int i = 0; i < seen->len; i++) {
		const GPtrArray *before = ((CUgraphNode)seen->pdata[i])->before;

		for (unsigned int j = 0; j < before->len; j++) {
			CUgraphNode n = before->pdata[j];

			if (!n->open)
				g_ptr_array_add(seen, n);
			n->open = 1;
		}
	}
	for (unsigned int i = 0; i < c->stream->len && joined; i++) {
		CUstream s = c->stream->pdata[i];

		tips_tidy(s->tips);
		for (unsigned int j = 0; j < s->tips->len; j++)
			joined = joined && ((CUgraphNode)s->tips->pdata[j])->open;
	}
	g_ptr_array_free(seen, TRUE);
	return joined;
}

static CUresult CUDAAPI cpu_cuStreamEndCapture(CUstream handle, CUgraph *out)
{
	struct capture *c;
	CUstream s;

	ENTER_CONTEXT(ctx);
	enter_error = stream_find(ctx, handle, &s);
	if (enter_error)
		return enter_error;
	if (!out)
		return CUDA_ERROR_INVALID_VALUE;
	*out = NULL;
	c = s->capture;
	if (!c)
		return CUDA_ERROR_ILLEGAL_STATE;
	if (c->origin != s) {
		c->invalid = true;
		return CUDA_ERROR_STREAM_CAPTURE_UNMATCHED;
	}
	if (c->invalid)
		enter_error = CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
	else if (!is_joined(c))
		enter_error = CUDA_ERROR_STREAM_CAPTURE_UNJOINED;
	else
		*out = c->graph;
	end(c, !enter_error);
	return enter_error;
}

static CUstreamCaptureStatus status_of(const CUstream s)
{
	if (!s->capture)
		return CU_STREAM_CAPTURE_STATUS_NONE;
	return s->capture->invalid ? CU_STREAM_CAPTURE_STATUS_INVALIDATED
				   : CU_STREAM_CAPTURE_STATUS_ACTIVE;
}

static CUresult CUDAAPI cpu_cuStreamIsCapturing(CUstream handle, CUstreamCaptureStatus *status)
{
	CUstream s;

	ENTER_CONTEXT(ctx);
	enter_error = stream_find(ctx, handle, &s);
	if (!status)
		return CUDA_ERROR_INVALID_VALUE;
	if (!enter_error)
		*status = status_of(s);
	return enter_error;
}

static CUresult CUDAAPI cpu_cuStreamGetCaptureInfo_v2(CUstream handle,
						      CUstreamCaptureStatus *status, cuuint64_t *id,
						      CUgraph *graph, const CUgraphNode **before,
						      size_t *n)
{
	CUstream s;

	ENTER_CONTEXT(ctx);
	enter_error = stream_find(ctx, handle, &s);
	if (!status)
		return CUDA_ERROR_INVALID_VALUE;
	if (enter_error)
		return enter_error;
	*status = status_of(s);
	if (*status != CU_STREAM_CAPTURE_STATUS_ACTIVE)
		return CUDA_SUCCESS;
	tips_tidy(s->tips);
	if (id)
		*id = s->capture->id;
	if (graph)
		*graph = s->capture->graph;
	if (before)
		*before = (const CUgraphNode *)s->tips->pdata;
	if (n)
		*n = s->tips->len;
	return CUDA_SUCCESS;
}

/* Edges have no data here, so there is none to give. */
static CUresult CUDAAPI cpu_cuStreamGetCaptureInfo_v3(CUstream s, CUstreamCaptureStatus *status,
						      cuuint64_t *id, CUgraph *graph,
						      const CUgraphNode **before,
						      const CUgraphEdgeData **data, size_t *n)
{
	if (data)
		*data = NULL;
	return cpu_cuStreamGetCaptureInfo_v2(s, status, id, graph, before, n);
}

static CUresult CUDAAPI cpu_cuStreamUpdateCaptureDependencies_v2(CUstream handle,
								 CUgraphNode *before,
								 const CUgraphEdgeData *data,
								 size_t n, unsigned int flags)
{
	GPtrArray *tips;
	CUstream s;

	(void)data;
	ENTER_CONTEXT(ctx);
	enter_error = stream_find(ctx, handle, &s);
	if (enter_error)
		return enter_error;
	if (flags > CU_STREAM_SET_CAPTURE_DEPENDENCIES || (n && !before))
		return CUDA_ERROR_INVALID_VALUE;
	if (!s->capture)
		return CUDA_ERROR_ILLEGAL_STATE;
	for (size_t i = 0; i < n; i++) {
		CUgraphNode node = object_find(before[i], OBJECT_NODE);

		if (!node || node->graph != s->capture->graph)
			return CUDA_ERROR_INVALID_VALUE;
	}
	tips = tips_new(before, n);
	for (unsigned int i = 0; flags == CU_STREAM_ADD_CAPTURE_DEPENDENCIES && i < s->tips->len;
	     i++)
		if (!g_ptr_array_find(tips, s->tips->pdata[i], NULL))
			g_ptr_array_add(tips, object_ref(s->tips->pdata[i]));
	tips_set(&s->tips, tips);
	return CUDA_SUCCESS;
}

/* Kept for the program's sake: nothing here is unsafe during a capture. */
static CUresult CUDAAPI cpu_cuThreadExchangeStreamCaptureMode(CUstreamCaptureMode *mode)
{
	static _Thread_local CUstreamCaptureMode current = CU_STREAM_CAPTURE_MODE_GLOBAL;
	CUstreamCaptureMode was = current;

	ENTER();
	if (!mode || *mode > CU_STREAM_CAPTURE_MODE_RELAXED)
		return CUDA_ERROR_INVALID_VALUE;
	current = *mode;
	*mode = was;
	return CUDA_SUCCESS;
}

CPU_SYMBOLS(cpu_capture_symbols, CPU_FN(cuStreamBeginCapture_v2),
	    CPU_FN(cuStreamBeginCaptureToGraph), CPU_FN(cuStreamEndCapture),
	    CPU_FN(cuStreamIsCapturing),
	    {"cuStreamGetCaptureInfo_v2", (cpu_fn)cpu_cuStreamGetCaptureInfo_v2, 1},
	    CPU_FN(cuStreamGetCaptureInfo_v3), CPU_FN(cuStreamUpdateCaptureDependencies_v2),
	    CPU_FN(cuThreadExchangeStreamCaptureMode));
