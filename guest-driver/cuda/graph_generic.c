// SPDX-License-Identifier: GPL-2.0-or-later
/* Nodes by the one structure that stands for all kinds. */
#include "cuda_rpc.h"
#include "graph_node.h"
#include "handles.h"

static CUresult add_any(const struct node_place *at, CUgraphNode *out, CUgraphNodeParams *p)
{
	CUcontext ctx = context_top() ? HANDLE_AS(CUcontext, context_top()->self) : NULL;

	switch (p->type) {
	case CU_GRAPH_NODE_TYPE_KERNEL:
		return cuGraphAddKernelNode_v2(out, at->graph, at->dependencies, at->n,
					       (const CUDA_KERNEL_NODE_PARAMS_v2 *)&p->kernel);
	case CU_GRAPH_NODE_TYPE_MEMCPY:
		return cuGraphAddMemcpyNode(out, at->graph, at->dependencies, at->n,
					    &p->memcpy.copyParams, ctx);
	case CU_GRAPH_NODE_TYPE_MEMSET:
		return cuGraphAddMemsetNode(out, at->graph, at->dependencies, at->n,
					    (const CUDA_MEMSET_NODE_PARAMS *)&p->memset, ctx);
	case CU_GRAPH_NODE_TYPE_HOST:
		return cuGraphAddHostNode(out, at->graph, at->dependencies, at->n,
					  (const CUDA_HOST_NODE_PARAMS *)&p->host);
	case CU_GRAPH_NODE_TYPE_GRAPH:
		if (p->graph.ownership != CU_GRAPH_CHILD_GRAPH_OWNERSHIP_CLONE)
			return CUDA_ERROR_NOT_SUPPORTED;
		return cuGraphAddChildGraphNode(out, at->graph, at->dependencies, at->n,
						p->graph.graph);
	case CU_GRAPH_NODE_TYPE_EMPTY:
		return cuGraphAddEmptyNode(out, at->graph, at->dependencies, at->n);
	case CU_GRAPH_NODE_TYPE_WAIT_EVENT:
		return cuGraphAddEventWaitNode(out, at->graph, at->dependencies, at->n,
					       p->eventWait.event);
	case CU_GRAPH_NODE_TYPE_EVENT_RECORD:
		return cuGraphAddEventRecordNode(out, at->graph, at->dependencies, at->n,
						 p->eventRecord.event);
	case CU_GRAPH_NODE_TYPE_MEM_ALLOC:
		return cuGraphAddMemAllocNode(out, at->graph, at->dependencies, at->n,
					      (CUDA_MEM_ALLOC_NODE_PARAMS *)&p->alloc);
	case CU_GRAPH_NODE_TYPE_MEM_FREE:
		return cuGraphAddMemFreeNode(out, at->graph, at->dependencies, at->n, p->free.dptr);
	default:
		return CUDA_ERROR_NOT_SUPPORTED;
	}
}

/* The structures of the general form begin as those of the single ones. */
_Static_assert(sizeof(CUDA_KERNEL_NODE_PARAMS_v3) == sizeof(CUDA_KERNEL_NODE_PARAMS_v2), "kernel");
_Static_assert(sizeof(CUDA_MEM_ALLOC_NODE_PARAMS_v2) == sizeof(CUDA_MEM_ALLOC_NODE_PARAMS_v1),
	       "alloc");

CUresult cuGraphAddNode_v2(CUgraphNode *phGraphNode, CUgraph hGraph,
			   const CUgraphNode *dependencies, const CUgraphEdgeData *dependencyData,
			   size_t numDependencies, CUgraphNodeParams *nodeParams)
{
	struct node_place at = {hGraph, dependencies, numDependencies};
	CUgraphNode made;
	CUresult r;

	if (!nodeParams || !phGraphNode)
		return CUDA_ERROR_INVALID_VALUE;
	if (!numDependencies || !dependencyData)
		return add_any(&at, phGraphNode, nodeParams);
	if (!dependencies)
		return CUDA_ERROR_INVALID_VALUE;
	/* First alone, since only edges that are added later have more to say than that they are.
	 */
	r = add_any(&(struct node_place){.graph = hGraph}, &made, nodeParams);
	if (r != CUDA_SUCCESS)
		return r;
	r = node_depends(&at, 0, made, dependencyData);
	if (r == CUDA_SUCCESS)
		*phGraphNode = made;
	else
		cuGraphDestroyNode(made);
	return r;
}

CUresult cuGraphAddNode(CUgraphNode *phGraphNode, CUgraph hGraph, const CUgraphNode *dependencies,
			size_t numDependencies, CUgraphNodeParams *nodeParams)
{
	return cuGraphAddNode_v2(phGraphNode, hGraph, dependencies, NULL, numDependencies,
				 nodeParams);
}

CUresult cuGraphNodeSetParams(CUgraphNode hNode, CUgraphNodeParams *p)
{
	if (!p)
		return CUDA_ERROR_INVALID_VALUE;
	switch (p->type) {
	case CU_GRAPH_NODE_TYPE_KERNEL:
		return cuGraphKernelNodeSetParams_v2(
			hNode, (const CUDA_KERNEL_NODE_PARAMS_v2 *)&p->kernel);
	case CU_GRAPH_NODE_TYPE_MEMCPY:
		return cuGraphMemcpyNodeSetParams(hNode, &p->memcpy.copyParams);
	case CU_GRAPH_NODE_TYPE_MEMSET:
		return cuGraphMemsetNodeSetParams(hNode,
						  (const CUDA_MEMSET_NODE_PARAMS *)&p->memset);
	case CU_GRAPH_NODE_TYPE_HOST:
		return cuGraphHostNodeSetParams(hNode, (const CUDA_HOST_NODE_PARAMS *)&p->host);
	case CU_GRAPH_NODE_TYPE_WAIT_EVENT:
		return cuGraphEventWaitNodeSetEvent(hNode, p->eventWait.event);
	case CU_GRAPH_NODE_TYPE_EVENT_RECORD:
		return cuGraphEventRecordNodeSetEvent(hNode, p->eventRecord.event);
	default:
		return CUDA_ERROR_NOT_SUPPORTED;
	}
}

CUresult cuGraphExecNodeSetParams(CUgraphExec hGraphExec, CUgraphNode hNode, CUgraphNodeParams *p)
{
	if (!p || !hGraphExec)
		return CUDA_ERROR_INVALID_VALUE;
	switch (p->type) {
	case CU_GRAPH_NODE_TYPE_KERNEL:
		return cuGraphExecKernelNodeSetParams_v2(
			hGraphExec, hNode, (const CUDA_KERNEL_NODE_PARAMS_v2 *)&p->kernel);
	case CU_GRAPH_NODE_TYPE_MEMCPY:
		return cuGraphExecMemcpyNodeSetParams(hGraphExec, hNode, &p->memcpy.copyParams,
						      p->memcpy.copyCtx);
	case CU_GRAPH_NODE_TYPE_MEMSET:
		return cuGraphExecMemsetNodeSetParams(hGraphExec, hNode,
						      (const CUDA_MEMSET_NODE_PARAMS *)&p->memset,
						      p->memset.ctx);
	case CU_GRAPH_NODE_TYPE_HOST:
		return cuGraphExecHostNodeSetParams(hGraphExec, hNode,
						    (const CUDA_HOST_NODE_PARAMS *)&p->host);
	case CU_GRAPH_NODE_TYPE_GRAPH:
		return cuGraphExecChildGraphNodeSetParams(hGraphExec, hNode, p->graph.graph);
	case CU_GRAPH_NODE_TYPE_WAIT_EVENT:
		return cuGraphExecEventWaitNodeSetEvent(hGraphExec, hNode, p->eventWait.event);
	case CU_GRAPH_NODE_TYPE_EVENT_RECORD:
		return cuGraphExecEventRecordNodeSetEvent(hGraphExec, hNode, p->eventRecord.event);
	default:
		return CUDA_ERROR_NOT_SUPPORTED;
	}
}
