/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Graphs as a whole: what they consist of, instantiating, updating, launching. */
#include <stdlib.h>

#include "cuda_dispatch.h"
#include "graph_memory.h"
#include "graphs.h"
#include "session.h"

#define NODES_MAX (1u << 20)

uint64_t graphs_node(struct cuda_session *s, CUgraphNode node, uint64_t graph,
		     struct fresh_handles *f)
{
	uint64_t handle = node ? handles_find(s, VGPU_CUDA_NODE, node) : 0;

	if (handle || !node || !f || f->used >= f->n)
		return handle;
	handle = f->handle[f->used];
	s->new_parent = graph;
	if (handles_set(s, handle, VGPU_CUDA_NODE, node) != CUDA_SUCCESS)
		return 0;
	f->used++;
	return handle;
}

/* A list of no places is an error to the driver, even if it has nothing to put there. */
#define ROOM_FOR_NONE 1u

CUresult host_vgpuGraphNodes(struct cuda_session *s, CUgraph graph, unsigned int which,
			     unsigned int first, unsigned int room, const uint64_t *fresh,
			     uint64_t *nodes, unsigned int *total, unsigned int *used)
{
	CUresult (*get)(CUgraph, CUgraphNode *, size_t *) =
		which == VGPU_GRAPH_ALL ? s->drv->cuGraphGetNodes : s->drv->cuGraphGetRootNodes;
	struct fresh_handles f = {.handle = fresh, .n = room};
	uint64_t handle = REQUEST(s, vgpuGraphNodes)->graph;
	CUgraphNode *node;
	size_t n = 0;
	CUresult r;

	if (!get || which > VGPU_GRAPH_ROOTS)
		return CUDA_ERROR_NOT_SUPPORTED;
	r = get(graph, NULL, &n);
	if (r != CUDA_SUCCESS)
		return r;
	node = n <= NODES_MAX ? calloc(n + ROOM_FOR_NONE, sizeof(node[0])) : NULL;
	if (!node)
		return CUDA_ERROR_OUT_OF_MEMORY;
	n += ROOM_FOR_NONE;
	r = get(graph, node, &n);
	*total = (unsigned int)n;
	for (size_t i = first; i < n && i - first < room && r == CUDA_SUCCESS; i++)
		nodes[i - first] = graphs_node(s, node[i], handle, &f);
	*used = f.used;
	free(node);
	return r;
}

CUresult host_vgpuGraphEdges(struct cuda_session *s, CUgraph graph, unsigned int first,
			     unsigned int room, uint64_t *from, uint64_t *to, CUgraphEdgeData *data,
			     unsigned int *total)
{
	CUgraphEdgeData *edge;
	CUgraphNode *node, *other;
	size_t n = 0;
	CUresult r = s->drv->cuGraphGetEdges_v2
			     ? s->drv->cuGraphGetEdges_v2(graph, NULL, NULL, NULL, &n)
			     : CUDA_ERROR_NOT_SUPPORTED;

	if (r != CUDA_SUCCESS)
		return r;
	if (n > NODES_MAX)
		return CUDA_ERROR_OUT_OF_MEMORY;
	n += ROOM_FOR_NONE;
	node = calloc(2 * n, sizeof(node[0]));
	other = node + n;
	edge = calloc(n, sizeof(edge[0]));
	r = node && edge ? s->drv->cuGraphGetEdges_v2(graph, node, other, edge, &n)
			 : CUDA_ERROR_OUT_OF_MEMORY;
	*total = (unsigned int)n;
	for (size_t i = first; i < n && i - first < room && r == CUDA_SUCCESS; i++) {
		from[i - first] = graphs_node(s, node[i], 0, NULL);
		to[i - first] = graphs_node(s, other[i], 0, NULL);
		data[i - first] = edge[i];
	}
	free(node);
	free(edge);
	return r;
}

CUresult host_vgpuGraphNeighbours(struct cuda_session *s, CUgraphNode node, unsigned int dependents,
				  unsigned int first, unsigned int room, uint64_t *nodes,
				  CUgraphEdgeData *data, unsigned int *total)
{
	CUresult (*get)(CUgraphNode, CUgraphNode *, CUgraphEdgeData *, size_t *) =
		dependents ? s->drv->cuGraphNodeGetDependentNodes_v2
			   : s->drv->cuGraphNodeGetDependencies_v2;
	CUgraphEdgeData *edge;
	CUgraphNode *other;
	size_t n = 0;
	CUresult r = get ? get(node, NULL, NULL, &n) : CUDA_ERROR_NOT_SUPPORTED;

	if (r != CUDA_SUCCESS)
		return r;
	if (n > NODES_MAX)
		return CUDA_ERROR_OUT_OF_MEMORY;
	n += ROOM_FOR_NONE;
	other = calloc(n, sizeof(other[0]));
	edge = calloc(n, sizeof(edge[0]));
	r = other && edge ? get(node, other, edge, &n) : CUDA_ERROR_OUT_OF_MEMORY;
	*total = (unsigned int)n;
	for (size_t i = first; i < n && i - first < room && r == CUDA_SUCCESS; i++) {
		nodes[i - first] = graphs_node(s, other[i], 0, NULL);
		data[i - first] = edge[i];
	}
	free(other);
	free(edge);
	return r;
}

/* A second handle of a node belongs to the first, so that they go together. */
CUresult host_cuGraphNodeFindInClone(struct cuda_session *s, CUgraphNode *node,
				     CUgraphNode original, CUgraph clone)
{
	CUresult r = s->drv->cuGraphNodeFindInClone
			     ? s->drv->cuGraphNodeFindInClone(node, original, clone)
			     : CUDA_ERROR_NOT_SUPPORTED;
	uint64_t known = r == CUDA_SUCCESS ? handles_find(s, VGPU_CUDA_NODE, *node) : 0;

	s->new_parent = known ? known : REQUEST(s, cuGraphNodeFindInClone)->hClonedGraph;
	return r;
}

CUresult host_cuGraphDestroyNode(struct cuda_session *s, CUgraphNode node)
{
	CUresult r = s->drv->cuGraphDestroyNode ? s->drv->cuGraphDestroyNode(node)
						: CUDA_ERROR_NOT_SUPPORTED;

	if (r == CUDA_SUCCESS)
		handles_remove(s, handles_find(s, VGPU_CUDA_NODE, node));
	return r;
}

CUresult graphs_free_to_end(struct cuda_session *s, uint64_t graph)
{
	switch (vgpu_cuda_handle_type(handles_parent(s, graph))) {
	case VGPU_CUDA_NODE:
		return CUDA_ERROR_INVALID_VALUE;
	case VGPU_CUDA_STREAM:
		return CUDA_ERROR_ILLEGAL_STATE;
	default:
		return CUDA_SUCCESS;
	}
}

CUresult host_cuGraphDestroy(struct cuda_session *s, CUgraph graph)
{
	CUresult r = graphs_free_to_end(s, REQUEST(s, cuGraphDestroy)->hGraph);

	if (r != CUDA_SUCCESS)
		return r;
	return s->drv->cuGraphDestroy ? s->drv->cuGraphDestroy(graph) : CUDA_ERROR_NOT_SUPPORTED;
}

CUresult host_vgpuGraphChild(struct cuda_session *s, CUgraphNode node, unsigned long long fresh,
			     unsigned long long *handle)
{
	CUgraph graph = NULL;
	CUresult r = s->drv->cuGraphChildGraphNodeGetGraph
			     ? s->drv->cuGraphChildGraphNodeGetGraph(node, &graph)
			     : CUDA_ERROR_NOT_SUPPORTED;

	if (r != CUDA_SUCCESS)
		return r;
	*handle = handles_find(s, VGPU_CUDA_GRAPH, graph);
	if (*handle)
		return CUDA_SUCCESS;
	s->new_parent = REQUEST(s, vgpuGraphChild)->node; /* it is gone with the node */
	*handle = fresh;
	return handles_set(s, fresh, VGPU_CUDA_GRAPH, graph);
}

/* ---------------------------------------------------------- instantiating */

static CUresult instantiate(struct cuda_session *s, CUgraph graph, unsigned long long flags,
			    CUstream upload, CUgraphExec *exec, struct vgpu_graph_result *answer)
{
	CUDA_GRAPH_INSTANTIATE_PARAMS p = {.flags = flags, .hUploadStream = upload};
	CUresult r;

	if (!s->drv->cuGraphInstantiateWithParams)
		return s->drv->cuGraphInstantiateWithFlags
			       ? s->drv->cuGraphInstantiateWithFlags(exec, graph, flags)
			       : CUDA_ERROR_NOT_SUPPORTED;
	r = s->drv->cuGraphInstantiateWithParams(exec, graph, &p);
	answer->detail = p.result_out;
	if (r != CUDA_SUCCESS)
		answer->node = graphs_node(s, p.hErrNode_out, 0, NULL);
	return r;
}

CUresult host_vgpuGraphInstantiate(struct cuda_session *s, unsigned long long handle, CUgraph graph,
				   unsigned long long flags, CUstream upload,
				   struct vgpu_graph_result *answer)
{
	CUgraphExec exec = NULL;
	CUresult r = handles_free(s, handle, VGPU_CUDA_GRAPHEXEC);

	if (r != CUDA_SUCCESS)
		return r;
	r = instantiate(s, graph, flags, upload, &exec, answer);
	if (r == CUDA_SUCCESS) {
		struct graph_memory *m =
			graph_memory_share(s, REQUEST(s, vgpuGraphInstantiate)->graph);

		s->new_data = m;
		r = handles_set(s, handle, VGPU_CUDA_GRAPHEXEC, exec);
		if (r != CUDA_SUCCESS)
			graph_memory_drop(s, m);
	}
	answer->result = r;
	return CUDA_SUCCESS;
}

CUresult host_vgpuGraphExecUpdate(struct cuda_session *s, CUgraphExec exec, CUgraph graph,
				  struct vgpu_graph_result *answer)
{
	CUgraphExecUpdateResultInfo info = {0};

	if (!s->drv->cuGraphExecUpdate_v2)
		return CUDA_ERROR_NOT_SUPPORTED;
	answer->result = s->drv->cuGraphExecUpdate_v2(exec, graph, &info);
	answer->detail = info.result;
	if (answer->result != CUDA_SUCCESS) {
		answer->node = graphs_node(s, info.errorNode, 0, NULL);
		answer->from = graphs_node(s, info.errorFromNode, 0, NULL);
	}
	return CUDA_SUCCESS;
}

static CUresult launch(struct cuda_session *s, uint64_t handle, CUgraphExec exec, CUstream stream)
{
	const struct cuda_object *o = handles_object(&s->handles, handle, VGPU_CUDA_GRAPHEXEC);
	CUresult r = s->drv->cuGraphLaunch ? s->drv->cuGraphLaunch(exec, stream)
					   : CUDA_ERROR_NOT_SUPPORTED;

	if (r == CUDA_SUCCESS && o)
		graph_memory_launched(s, o->data);
	return r;
}

CUresult host_cuGraphLaunch(struct cuda_session *s, CUgraphExec exec, CUstream stream)
{
	return launch(s, REQUEST(s, cuGraphLaunch)->hGraph, exec, stream);
}

CUresult host_vgpuGraphLaunch(struct cuda_session *s, CUgraphExec exec, CUstream stream)
{
	return launch(s, REQUEST(s, vgpuGraphLaunch)->exec, exec, stream);
}
