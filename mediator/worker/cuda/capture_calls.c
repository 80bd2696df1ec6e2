/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Capturing streams.  All threads of the guest's program are one thread here,
 * so every capture is a relaxed one: it forbids other threads nothing.
 */
#include <string.h>

#include "contexts.h"
#include "cuda_dispatch.h"
#include "graph_memory.h"
#include "graphs.h"
#include "session.h"

static bool is_mode(CUstreamCaptureMode mode)
{
	return mode == CU_STREAM_CAPTURE_MODE_GLOBAL || mode == CU_STREAM_CAPTURE_MODE_RELAXED ||
	       mode == CU_STREAM_CAPTURE_MODE_THREAD_LOCAL;
}

struct capture {
	CUstreamCaptureStatus status;
	cuuint64_t id;
	CUgraph graph;
	const CUgraphNode *node;
	const CUgraphEdgeData *edge;
	size_t n;
};

static CUresult ask(struct cuda_session *s, CUstream stream, struct capture *c)
{
	const struct cuda_driver *drv = s->drv;

	memset(c, 0, sizeof(*c));
	if (drv->cuStreamGetCaptureInfo_v3)
		return drv->cuStreamGetCaptureInfo_v3(stream, &c->status, &c->id, &c->graph,
						      &c->node, &c->edge, &c->n);
	if (drv->cuStreamGetCaptureInfo_v2)
		return drv->cuStreamGetCaptureInfo_v2(stream, &c->status, &c->id, &c->graph,
						      &c->node, &c->n);
	return CUDA_ERROR_NOT_SUPPORTED;
}

/* --------------------------------------------- who owns the graph meanwhile */

/*
 * A graph that is captured belongs to the stream that the capture began in: that
 * one's data is the driver's graph, and the graph's handle, if it has one, is its
 * child.  It is the guest's when the capture has ended well.
 */
static struct cuda_object *stream_object(struct cuda_session *s, uint64_t stream)
{
	return handles_object(&s->handles, stream, VGPU_CUDA_STREAM);
}

bool captures_have(struct cuda_session *s, const struct cuda_object *stream, CUgraph graph)
{
	struct capture c;

	return session_context(s, handles_parent(s, stream->handle)) == CUDA_SUCCESS &&
	       ask(s, (CUstream)(uintptr_t)stream->real, &c) == CUDA_SUCCESS &&
	       c.status == CU_STREAM_CAPTURE_STATUS_ACTIVE && c.graph == graph;
}

void captures_gone(struct cuda_session *s, struct cuda_object *stream)
{
	if (stream->data && s->captures)
		s->captures--;
	stream->data = NULL;
}

static void begun(struct cuda_session *s, uint64_t handle)
{
	struct cuda_object *stream = stream_object(s, handle);
	struct capture c;

	s->captures++;
	if (stream && ask(s, (CUstream)(uintptr_t)stream->real, &c) == CUDA_SUCCESS)
		stream->data = c.graph;
}

static void ended(struct cuda_session *s, uint64_t handle, bool well)
{
	struct cuda_object *stream = stream_object(s, handle);
	uint64_t graph =
		stream && stream->data ? handles_find(s, VGPU_CUDA_GRAPH, stream->data) : 0;

	if (stream)
		captures_gone(s, stream);
	if (handles_parent(s, graph) != handle)
		return; /* the driver has made another one in its place meanwhile */
	if (well)
		handles_give(s, graph, 0);
	else
		handles_remove(s, graph);
}

/* The stream that the capture of `graph` began in, 0: not known. */
static uint64_t origin_of(struct cuda_session *s, uint64_t stream, const void *graph)
{
	const struct cuda_object *o = stream_object(s, stream);

	if (o && o->data == graph)
		return stream;
	for (uint32_t at = 0; (o = handles_each(&s->handles, VGPU_CUDA_STREAM, &at));) {
		if (o->data == graph)
			return o->handle;
	}
	return 0;
}

/* ------------------------------------------------------------ begin and end */

CUresult host_cuStreamBeginCapture_v2(struct cuda_session *s, CUstream stream,
				      CUstreamCaptureMode mode)
{
	CUresult r;

	if (!s->drv->cuStreamBeginCapture_v2)
		return CUDA_ERROR_NOT_SUPPORTED;
	if (!is_mode(mode))
		return CUDA_ERROR_INVALID_VALUE;
	contexts_before_capture(s);
	s->has_graphs = true;
	r = s->drv->cuStreamBeginCapture_v2(stream, CU_STREAM_CAPTURE_MODE_RELAXED);
	if (r == CUDA_SUCCESS)
		begun(s, REQUEST(s, cuStreamBeginCapture_v2)->hStream);
	return r;
}

CUresult host_cuStreamBeginCaptureToGraph(struct cuda_session *s, CUstream stream, CUgraph graph,
					  const CUgraphNode *dependencies,
					  const CUgraphEdgeData *edges, size_t n,
					  CUstreamCaptureMode mode)
{
	const uint64_t handle = REQUEST(s, cuStreamBeginCaptureToGraph)->hGraph;
	const uint64_t origin = REQUEST(s, cuStreamBeginCaptureToGraph)->hStream;
	CUresult r;

	if (!s->drv->cuStreamBeginCaptureToGraph)
		return CUDA_ERROR_NOT_SUPPORTED;
	if (!is_mode(mode))
		return CUDA_ERROR_INVALID_VALUE;
	r = graphs_free_to_end(s, handle); /* as a capture that fails does */
	if (r != CUDA_SUCCESS)
		return r;
	contexts_before_capture(s);
	r = s->drv->cuStreamBeginCaptureToGraph(stream, graph, dependencies, edges, n,
						CU_STREAM_CAPTURE_MODE_RELAXED);
	if (r == CUDA_SUCCESS) {
		begun(s, origin);
		handles_give(s, handle, origin);
	}
	return r;
}

/* The graph of a capture that ended well: known from before, or from now on. */
static CUresult take_graph(struct cuda_session *s, uint64_t handle, CUgraph graph)
{
	uint64_t known = handles_find(s, VGPU_CUDA_GRAPH, graph);
	CUresult r = known ? CUDA_SUCCESS : handles_set(s, handle, VGPU_CUDA_GRAPH, graph);

	if (r == CUDA_SUCCESS)
		graph_memory_captured(s, known ? known : handle, graph);
	return known && known != handle ? CUDA_ERROR_INVALID_VALUE : r;
}

CUresult host_vgpuStreamEndCapture(struct cuda_session *s, CUstream stream,
				   unsigned long long handle)
{
	const uint64_t origin = REQUEST(s, vgpuStreamEndCapture)->stream;
	CUgraph graph = NULL;
	CUresult r;

	if (!s->drv->cuStreamEndCapture)
		return CUDA_ERROR_NOT_SUPPORTED;
	/* Known from before, or a place for a new one. */
	if (!handles_object(&s->handles, handle, VGPU_CUDA_GRAPH)) {
		r = handles_free(s, handle, VGPU_CUDA_GRAPH);
		if (r != CUDA_SUCCESS)
			return r;
	}
	r = s->drv->cuStreamEndCapture(stream, &graph);
	if (r == CUDA_SUCCESS && !graph)
		r = CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
	ended(s, origin, r == CUDA_SUCCESS);
	if (r == CUDA_SUCCESS)
		r = take_graph(s, handle, graph);
	graph_memory_sweep(s);
	return r;
}

/* ------------------------------------------------------------- what there is */

/* The handle of a graph that is captured: one that it has, or `fresh` from now on. */
static CUresult handle_of(struct cuda_session *s, CUgraph graph, uint64_t fresh, uint64_t *handle)
{
	*handle = handles_find(s, VGPU_CUDA_GRAPH, graph);
	if (*handle || !fresh)
		return CUDA_SUCCESS;
	s->new_parent = origin_of(s, REQUEST(s, vgpuStreamCaptureInfo)->stream, graph);
	if (!s->new_parent)
		return CUDA_ERROR_NOT_SUPPORTED;
	*handle = fresh;
	return handles_set(s, fresh, VGPU_CUDA_GRAPH, graph);
}

CUresult host_vgpuStreamCaptureInfo(struct cuda_session *s, CUstream stream,
				    unsigned long long graph, unsigned int room,
				    const uint64_t *fresh, struct vgpu_capture_info *info,
				    uint64_t *nodes, CUgraphEdgeData *edges)
{
	struct capture c;
	CUresult r = ask(s, stream, &c);
	struct fresh_handles f = {.handle = fresh, .n = room};
	uint64_t handle = 0;

	if (r != CUDA_SUCCESS)
		return r;
	info->status = c.status;
	if (c.status != CU_STREAM_CAPTURE_STATUS_ACTIVE)
		return CUDA_SUCCESS;
	info->id = c.id;
	info->dependencies = (uint32_t)c.n;
	r = handle_of(s, c.graph, graph, &handle);
	if (r != CUDA_SUCCESS)
		return r;
	info->graph = handle;
	for (size_t i = 0; i < c.n && i < room && info->graph; i++) {
		nodes[i] = graphs_node(s, c.node[i], info->graph, &f);
		if (c.edge)
			edges[i] = c.edge[i];
	}
	info->used = f.used;
	return CUDA_SUCCESS;
}
