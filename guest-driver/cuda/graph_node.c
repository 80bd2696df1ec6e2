// SPDX-License-Identifier: GPL-2.0-or-later
/* Nodes of graphs that are neither kernels nor copies: fills, host functions, memory, order. */
#include "graph_node.h"

#include <stdlib.h>
#include <string.h>

#include "callback.h"
#include "cuda_rpc.h"
#include "graph_memory.h"
#include "graph_objects.h"
#include "handles.h"

#define EDGES_MAX 128u /* that one call names */

CUresult node_begin(const struct node_place *at, CUgraphNode *out, CUgraphNode *made)
{
	CUresult r = shim_enter_context();

	if (r != CUDA_SUCCESS)
		return r;
	if (!out || (at->n && !at->dependencies) ||
	    !handle_valid(HANDLE_OF(at->graph), VGPU_CUDA_GRAPH))
		return CUDA_ERROR_INVALID_VALUE;
	*made = HANDLE_AS(CUgraphNode, handle_new(VGPU_CUDA_NODE, NULL));
	return *made ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

unsigned int node_first(const struct node_place *at)
{
	return at->n < EDGES_MAX ? (unsigned int)at->n : EDGES_MAX;
}

CUresult node_depends(const struct node_place *at, size_t from, CUgraphNode node,
		      const CUgraphEdgeData *edges)
{
	CUgraphNode to[EDGES_MAX];
	CUresult r = CUDA_SUCCESS;

	for (unsigned int i = 0; i < EDGES_MAX; i++)
		to[i] = node;
	while (from < at->n && r == CUDA_SUCCESS) {
		size_t now = at->n - from < EDGES_MAX ? at->n - from : EDGES_MAX;

		r = rpc_cuGraphAddDependencies_v2(at->graph, at->dependencies + from, to,
						  edges ? edges + from : NULL, now);
		from += now;
	}
	return r;
}

CUresult node_finish(CUresult r, const struct node_place *at, CUgraphNode made, CUgraphNode *out)
{
	if (r == CUDA_SUCCESS && at->n > EDGES_MAX) {
		r = node_depends(at, EDGES_MAX, made, NULL);
		if (r != CUDA_SUCCESS)
			rpc_cuGraphDestroyNode(made);
	}
	if (r != CUDA_SUCCESS) {
		handle_drop(HANDLE_OF(made));
		return r;
	}
	graph_owns(at->graph, HANDLE_OF(made));
	*out = made;
	return CUDA_SUCCESS;
}

CUresult node_enter(CUgraphNode node, const void *params)
{
	CUresult r = shim_enter_context();

	if (r != CUDA_SUCCESS)
		return r;
	return params && handle_valid(HANDLE_OF(node), VGPU_CUDA_NODE) ? CUDA_SUCCESS
								       : CUDA_ERROR_INVALID_VALUE;
}

CUresult node_enter_exec(CUgraphExec exec, CUgraphNode node, const void *params)
{
	CUresult r = node_enter(node, params);

	if (r == CUDA_SUCCESS && !handle_valid(HANDLE_OF(exec), VGPU_CUDA_GRAPHEXEC))
		r = CUDA_ERROR_INVALID_VALUE;
	return r;
}

/* ------------------------------------------------------------------- fills */

static struct vgpu_memset_node fill_of(const CUDA_MEMSET_NODE_PARAMS *p)
{
	return (struct vgpu_memset_node){.dst = p->dst,
					 .pitch = p->pitch,
					 .width = p->width,
					 .height = p->height,
					 .value = p->value,
					 .element = p->elementSize};
}

CUresult cuGraphAddMemsetNode(CUgraphNode *phGraphNode, CUgraph hGraph,
			      const CUgraphNode *dependencies, size_t numDependencies,
			      const CUDA_MEMSET_NODE_PARAMS *memsetParams, CUcontext ctx)
{
	struct node_place at = {hGraph, dependencies, numDependencies};
	struct vgpu_memset_node fill;
	CUgraphNode made;
	CUresult r;

	if (!memsetParams || !context_find(ctx))
		return CUDA_ERROR_INVALID_VALUE;
	r = node_begin(&at, phGraphNode, &made);
	if (r != CUDA_SUCCESS)
		return r;
	fill = fill_of(memsetParams);
	r = rpc_vgpuGraphAddMemset(&made, hGraph, node_first(&at), dependencies, &fill);
	return node_finish(r, &at, made, phGraphNode);
}

CUresult cuGraphMemsetNodeSetParams(CUgraphNode hNode, const CUDA_MEMSET_NODE_PARAMS *nodeParams)
{
	struct vgpu_memset_node fill;
	CUresult r = node_enter(hNode, nodeParams);

	if (r != CUDA_SUCCESS)
		return r;
	fill = fill_of(nodeParams);
	return rpc_vgpuGraphSetMemset(NULL, hNode, &fill);
}

CUresult cuGraphExecMemsetNodeSetParams(CUgraphExec hGraphExec, CUgraphNode hNode,
					const CUDA_MEMSET_NODE_PARAMS *memsetParams, CUcontext ctx)
{
	struct vgpu_memset_node fill;
	CUresult r = node_enter_exec(hGraphExec, hNode, memsetParams);

	(void)ctx;
	if (r != CUDA_SUCCESS)
		return r;
	fill = fill_of(memsetParams);
	return rpc_vgpuGraphSetMemset(hGraphExec, hNode, &fill);
}

CUresult cuGraphMemsetNodeGetParams(CUgraphNode hNode, CUDA_MEMSET_NODE_PARAMS *nodeParams)
{
	struct vgpu_memset_node fill;
	CUresult r = node_enter(hNode, nodeParams);

	if (r == CUDA_SUCCESS)
		r = rpc_vgpuGraphGetMemset(hNode, &fill);
	if (r != CUDA_SUCCESS)
		return r;
	*nodeParams = (CUDA_MEMSET_NODE_PARAMS){.dst = fill.dst,
						.pitch = fill.pitch,
						.value = fill.value,
						.elementSize = fill.element,
						.width = fill.width,
						.height = fill.height};
	return CUDA_SUCCESS;
}

/* ---------------------------------------------------------- host functions */

static CUresult callback_of(const CUDA_HOST_NODE_PARAMS *p, unsigned long long *id)
{
	CUresult r;

	if (!p || !p->fn)
		return CUDA_ERROR_INVALID_VALUE;
	r = callbacks_start();
	if (r != CUDA_SUCCESS)
		return r;
	*id = callback_add(p->fn, p->userData, true);
	return *id ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

/* Old numbers stay known: an executable graph made before may still name them. */
static void keep_callback(CUgraphNode node, unsigned long long id)
{
	struct node *n = handle_data(HANDLE_OF(node), VGPU_CUDA_NODE);

	if (!n) {
		n = calloc(1, sizeof(*n));
		if (n)
			handle_set_data(HANDLE_OF(node), n);
	}
	if (n)
		n->callback = id;
}

CUresult cuGraphAddHostNode(CUgraphNode *phGraphNode, CUgraph hGraph,
			    const CUgraphNode *dependencies, size_t numDependencies,
			    const CUDA_HOST_NODE_PARAMS *nodeParams)
{
	struct node_place at = {hGraph, dependencies, numDependencies};
	unsigned long long id = 0;
	CUgraphNode made;
	CUresult r = node_begin(&at, phGraphNode, &made);

	if (r != CUDA_SUCCESS)
		return r;
	r = callback_of(nodeParams, &id);
	if (r == CUDA_SUCCESS)
		r = rpc_vgpuGraphAddHost(&made, hGraph, node_first(&at), dependencies, id);
	if (r == CUDA_SUCCESS)
		keep_callback(made, id);
	else if (id)
		callback_drop(id);
	return node_finish(r, &at, made, phGraphNode);
}

static CUresult set_host(CUgraphExec exec, CUgraphNode node, const CUDA_HOST_NODE_PARAMS *p)
{
	unsigned long long id = 0;
	CUresult r = exec ? node_enter_exec(exec, node, p) : node_enter(node, p);

	if (r == CUDA_SUCCESS)
		r = callback_of(p, &id);
	if (r != CUDA_SUCCESS)
		return r;
	r = rpc_vgpuGraphSetHost(exec, node, id);
	if (r != CUDA_SUCCESS)
		callback_drop(id);
	else if (!exec)
		keep_callback(node, id);
	return r;
}

CUresult cuGraphHostNodeSetParams(CUgraphNode hNode, const CUDA_HOST_NODE_PARAMS *nodeParams)
{
	return set_host(NULL, hNode, nodeParams);
}

CUresult cuGraphExecHostNodeSetParams(CUgraphExec hGraphExec, CUgraphNode hNode,
				      const CUDA_HOST_NODE_PARAMS *nodeParams)
{
	return hGraphExec ? set_host(hGraphExec, hNode, nodeParams) : CUDA_ERROR_INVALID_VALUE;
}

CUresult cuGraphHostNodeGetParams(CUgraphNode hNode, CUDA_HOST_NODE_PARAMS *nodeParams)
{
	struct node *n;
	CUresult r = node_enter(hNode, nodeParams);

	if (r != CUDA_SUCCESS)
		return r;
	n = handle_data(HANDLE_OF(hNode), VGPU_CUDA_NODE);
	if (!n || !callback_find(n->callback, &nodeParams->fn, &nodeParams->userData))
		return CUDA_ERROR_NOT_SUPPORTED; /* it was captured */
	return CUDA_SUCCESS;
}

/* ------------------------------------------------------------------ memory */

CUresult cuGraphAddMemAllocNode(CUgraphNode *phGraphNode, CUgraph hGraph,
				const CUgraphNode *dependencies, size_t numDependencies,
				CUDA_MEM_ALLOC_NODE_PARAMS *nodeParams)
{
	struct node_place at = {hGraph, dependencies, numDependencies};
	struct node *n = calloc(1, sizeof(*n));
	CUgraphNode made;
	CUresult r;

	if (!n)
		return CUDA_ERROR_OUT_OF_MEMORY;
	r = nodeParams && nodeParams->bytesize ? node_begin(&at, phGraphNode, &made)
					       : CUDA_ERROR_INVALID_VALUE;
	if (r != CUDA_SUCCESS) {
		free(n);
		return r;
	}
	handle_set_data(HANDLE_OF(made), n);
	r = rpc_vgpuGraphAddAlloc(&made, hGraph, node_first(&at), dependencies,
				  &nodeParams->poolProps, nodeParams->bytesize, &nodeParams->dptr);
	if (r == CUDA_SUCCESS) {
		n->alloc = *nodeParams;
		n->alloc.accessDescs = NULL;
		n->alloc.accessDescCount = 0;
		r = graph_memory_add(nodeParams->dptr, nodeParams->bytesize);
	}
	return node_finish(r, &at, made, phGraphNode);
}

CUresult cuGraphMemAllocNodeGetParams(CUgraphNode hNode, CUDA_MEM_ALLOC_NODE_PARAMS *params_out)
{
	struct node *n;
	CUresult r = node_enter(hNode, params_out);

	if (r != CUDA_SUCCESS)
		return r;
	n = handle_data(HANDLE_OF(hNode), VGPU_CUDA_NODE);
	if (!n || !n->alloc.dptr)
		return CUDA_ERROR_NOT_SUPPORTED; /* it was captured */
	*params_out = n->alloc;
	return CUDA_SUCCESS;
}

CUresult cuGraphAddMemFreeNode(CUgraphNode *phGraphNode, CUgraph hGraph,
			       const CUgraphNode *dependencies, size_t numDependencies,
			       CUdeviceptr dptr)
{
	struct node_place at = {hGraph, dependencies, numDependencies};
	CUgraphNode made;
	CUresult r = node_begin(&at, phGraphNode, &made);

	if (r != CUDA_SUCCESS)
		return r;
	r = rpc_cuGraphAddMemFreeNode(&made, hGraph, dependencies, node_first(&at), dptr);
	return node_finish(r, &at, made, phGraphNode);
}

/* --------------------------------------------- order, and nothing besides */

CUresult cuGraphAddEmptyNode(CUgraphNode *phGraphNode, CUgraph hGraph,
			     const CUgraphNode *dependencies, size_t numDependencies)
{
	struct node_place at = {hGraph, dependencies, numDependencies};
	CUgraphNode made;
	CUresult r = node_begin(&at, phGraphNode, &made);

	if (r != CUDA_SUCCESS)
		return r;
	r = rpc_cuGraphAddEmptyNode(&made, hGraph, dependencies, node_first(&at));
	return node_finish(r, &at, made, phGraphNode);
}

CUresult cuGraphAddEventRecordNode(CUgraphNode *phGraphNode, CUgraph hGraph,
				   const CUgraphNode *dependencies, size_t numDependencies,
				   CUevent event)
{
	struct node_place at = {hGraph, dependencies, numDependencies};
	CUgraphNode made;
	CUresult r = node_begin(&at, phGraphNode, &made);

	if (r != CUDA_SUCCESS)
		return r;
	r = rpc_cuGraphAddEventRecordNode(&made, hGraph, dependencies, node_first(&at), event);
	return node_finish(r, &at, made, phGraphNode);
}

CUresult cuGraphAddEventWaitNode(CUgraphNode *phGraphNode, CUgraph hGraph,
				 const CUgraphNode *dependencies, size_t numDependencies,
				 CUevent event)
{
	struct node_place at = {hGraph, dependencies, numDependencies};
	CUgraphNode made;
	CUresult r = node_begin(&at, phGraphNode, &made);

	if (r != CUDA_SUCCESS)
		return r;
	r = rpc_cuGraphAddEventWaitNode(&made, hGraph, dependencies, node_first(&at), event);
	return node_finish(r, &at, made, phGraphNode);
}

CUresult cuGraphNodeFindInClone(CUgraphNode *phNode, CUgraphNode hOriginalNode,
				CUgraph hClonedGraph)
{
	struct node_place at = {.graph = hClonedGraph};
	CUgraphNode made;
	CUresult r = node_begin(&at, phNode, &made);

	if (r != CUDA_SUCCESS)
		return r;
	r = rpc_cuGraphNodeFindInClone(&made, hOriginalNode, hClonedGraph);
	return node_finish(r, &at, made, phNode);
}
