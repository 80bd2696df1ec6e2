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

CUresult host_cuStreamBeginCapture_v2(struct cuda_session *s, CUstream stream,
				      CUstreamCaptureMode mode)
{
	if (!s->drv->cuStreamBeginCapture_v2)
		return CUDA_ERROR_NOT_SUPPORTED;
	if (!is_mode(mode))
		return CUDA_ERROR_INVALID_VALUE;
	contexts_before_capture(s);
	s->captures++;
	return s->drv->cuStreamBeginCapture_v2(stream, CU_STREAM_CAPTURE_MODE_RELAXED);
}

CUresult host_cuStreamBeginCaptureToGraph(struct cuda_session *s, CUstream stream, CUgraph graph,
					  const CUgraphNode *dependencies,
					  const CUgraphEdgeData *edges, size_t n,
					  CUstreamCaptureMode mode)
{
	if (!s->drv->cuStreamBeginCaptureToGraph)
		return CUDA_ERROR_NOT_SUPPORTED;
	if (!is_mode(mode))
		return CUDA_ERROR_INVALID_VALUE;
	contexts_before_capture(s);
	s->captures++;
	return s->drv->cuStreamBeginCaptureToGraph(stream, graph, dependencies, edges, n,
						   CU_STREAM_CAPTURE_MODE_RELAXED);
}

/* The handle of a graph: one that it has, or `fresh` from now on; 0: neither. */
static uint64_t handle_of(struct cuda_session *s, CUgraph graph, uint64_t fresh, CUresult *r)
{
	uint64_t handle = handles_find(s, VGPU_CUDA_GRAPH, graph);

	*r = CUDA_SUCCESS;
	if (handle || !fresh)
		return handle;
	*r = handles_set(s, fresh, VGPU_CUDA_GRAPH, graph);
	return *r == CUDA_SUCCESS ? fresh : 0;
}

CUresult host_vgpuStreamEndCapture(struct cuda_session *s, CUstream stream,
				   unsigned long long handle)
{
	CUgraph graph = NULL;
	CUresult r, stored;

	if (!s->drv->cuStreamEndCapture)
		return CUDA_ERROR_NOT_SUPPORTED;
	/* Known from before, or a place for a new one. */
	if (!handles_object(&s->handles, handle, VGPU_CUDA_GRAPH)) {
		r = handles_free(s, handle, VGPU_CUDA_GRAPH);
		if (r != CUDA_SUCCESS)
			return r;
	}
	r = s->drv->cuStreamEndCapture(stream, &graph);
	if (s->captures && r != CUDA_ERROR_ILLEGAL_STATE)
		s->captures--;
	if (r != CUDA_SUCCESS || !graph) {
		handles_remove(s, handle); /* the graph is gone */
		return r == CUDA_SUCCESS ? CUDA_ERROR_STREAM_CAPTURE_INVALIDATED : r;
	}
	if (handle_of(s, graph, handle, &stored) != handle)
		return stored == CUDA_SUCCESS ? CUDA_ERROR_INVALID_VALUE : stored;
	graph_memory_captured(s, handle, graph);
	return CUDA_SUCCESS;
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

CUresult host_vgpuStreamCaptureInfo(struct cuda_session *s, CUstream stream,
				    unsigned long long graph, unsigned int room,
				    const uint64_t *fresh, struct vgpu_capture_info *info,
				    uint64_t *nodes, CUgraphEdgeData *edges)
{
	struct capture c;
	CUresult r = ask(s, stream, &c), stored;
	struct fresh_handles f = {.handle = fresh, .n = room};

	if (r != CUDA_SUCCESS)
		return r;
	info->status = c.status;
	if (c.status != CU_STREAM_CAPTURE_STATUS_ACTIVE)
		return CUDA_SUCCESS;
	info->id = c.id;
	info->dependencies = (uint32_t)c.n;
	info->graph = handle_of(s, c.graph, graph, &stored);
	for (size_t i = 0; i < c.n && i < room && info->graph; i++) {
		nodes[i] = graphs_node(s, c.node[i], info->graph, &f);
		if (c.edge)
			edges[i] = c.edge[i];
	}
	info->used = f.used;
	return stored;
}
