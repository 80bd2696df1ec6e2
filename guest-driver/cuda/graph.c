// SPDX-License-Identifier: GPL-2.0-or-later
/* Graphs: instantiating, updating, and what nodes and edges there are. */
#include <stdlib.h>
#include <string.h>

#include "context.h"
#include "cuda_rpc.h"
#include "graph_memory.h"
#include "graph_objects.h"
#include "handles.h"

static CUresult enter(CUgraph graph)
{
	CUresult r = shim_enter_context();

	if (r != CUDA_SUCCESS)
		return r;
	return handle_valid(HANDLE_OF(graph), VGPU_CUDA_GRAPH) ? CUDA_SUCCESS
							       : CUDA_ERROR_INVALID_VALUE;
}

/* ----------------------------------------------------------- instantiating */

static CUresult instantiate(CUgraphExec *out, CUgraph graph, unsigned long long flags,
			    CUstream upload, struct vgpu_graph_result *answer)
{
	uint64_t exec;
	CUresult r = enter(graph);

	if (r == CUDA_SUCCESS && !out)
		r = CUDA_ERROR_INVALID_VALUE;
	if (r != CUDA_SUCCESS)
		return r;
	exec = handle_new(VGPU_CUDA_GRAPHEXEC, NULL);
	if (!exec)
		return CUDA_ERROR_OUT_OF_MEMORY;
	memset(answer, 0, sizeof(*answer));
	r = rpc_vgpuGraphInstantiate(exec, graph, flags, upload, answer);
	if (r == CUDA_SUCCESS)
		r = (CUresult)answer->result;
	if (r != CUDA_SUCCESS) {
		handle_drop(exec);
		return r;
	}
	r = graph_shares(HANDLE_OF(graph), exec);
	if (r == CUDA_SUCCESS && graph_memory_any()) /* it may be this graph's */
		r = graph_answers(exec);
	if (r == CUDA_SUCCESS)
		*out = HANDLE_AS(CUgraphExec, exec);
	else
		cuGraphExecDestroy(HANDLE_AS(CUgraphExec, exec));
	return r;
}

CUresult cuGraphInstantiateWithFlags(CUgraphExec *phGraphExec, CUgraph hGraph,
				     unsigned long long flags)
{
	struct vgpu_graph_result answer;

	if (flags & CUDA_GRAPH_INSTANTIATE_FLAG_DEVICE_LAUNCH)
		return CUDA_ERROR_NOT_SUPPORTED;
	return instantiate(phGraphExec, hGraph, flags, NULL, &answer);
}

static CUresult with_params(CUgraphExec *phGraphExec, CUgraph hGraph,
			    CUDA_GRAPH_INSTANTIATE_PARAMS *p, CUstream upload)
{
	struct vgpu_graph_result answer = {0};
	CUresult r;

	if (p->flags & CUDA_GRAPH_INSTANTIATE_FLAG_DEVICE_LAUNCH)
		return CUDA_ERROR_NOT_SUPPORTED;
	r = shim_stream(upload, &upload);
	if (r == CUDA_SUCCESS)
		r = instantiate(phGraphExec, hGraph, p->flags, upload, &answer);
	p->hErrNode_out = HANDLE_AS(CUgraphNode, answer.node);
	p->result_out = r == CUDA_SUCCESS ? CUDA_GRAPH_INSTANTIATE_SUCCESS
					  : (CUgraphInstantiateResult)answer.detail;
	if (r != CUDA_SUCCESS && p->result_out == CUDA_GRAPH_INSTANTIATE_SUCCESS)
		p->result_out = CUDA_GRAPH_INSTANTIATE_ERROR;
	return r;
}

CUresult cuGraphInstantiateWithParams(CUgraphExec *phGraphExec, CUgraph hGraph,
				      CUDA_GRAPH_INSTANTIATE_PARAMS *instantiateParams)
{
	if (!instantiateParams)
		return CUDA_ERROR_INVALID_VALUE;
	return with_params(phGraphExec, hGraph, instantiateParams,
			   instantiateParams->hUploadStream);
}

CUresult cuGraphInstantiateWithParams_ptsz(CUgraphExec *phGraphExec, CUgraph hGraph,
					   CUDA_GRAPH_INSTANTIATE_PARAMS *instantiateParams)
{
	CUstream upload;

	if (!instantiateParams)
		return CUDA_ERROR_INVALID_VALUE;
	upload = instantiateParams->hUploadStream;
	return with_params(phGraphExec, hGraph, instantiateParams,
			   upload ? upload : CU_STREAM_PER_THREAD);
}

/* The forms up to CUDA 11 tell a node and write words about it. */
CUresult cuGraphInstantiate(CUgraphExec *phGraphExec, CUgraph hGraph, CUgraphNode *phErrorNode,
			    char *logBuffer, size_t bufferSize)
{
	struct vgpu_graph_result answer = {0};
	CUresult r = instantiate(phGraphExec, hGraph, 0, NULL, &answer);

	if (phErrorNode)
		*phErrorNode = HANDLE_AS(CUgraphNode, answer.node);
	if (logBuffer && bufferSize)
		logBuffer[0] = 0;
	return r;
}

CUresult cuGraphInstantiate_v2(CUgraphExec *phGraphExec, CUgraph hGraph, CUgraphNode *phErrorNode,
			       char *logBuffer, size_t bufferSize)
{
	return cuGraphInstantiate(phGraphExec, hGraph, phErrorNode, logBuffer, bufferSize);
}

static CUresult update(CUgraphExec exec, CUgraph graph, struct vgpu_graph_result *answer)
{
	CUresult r = enter(graph);

	if (r == CUDA_SUCCESS && !handle_valid(HANDLE_OF(exec), VGPU_CUDA_GRAPHEXEC))
		r = CUDA_ERROR_INVALID_VALUE;
	memset(answer, 0, sizeof(*answer));
	answer->detail = CU_GRAPH_EXEC_UPDATE_ERROR;
	if (r == CUDA_SUCCESS)
		r = rpc_vgpuGraphExecUpdate(exec, graph, answer);
	if (r == CUDA_SUCCESS)
		r = (CUresult)answer->result;
	return r == CUDA_SUCCESS ? graph_shares(HANDLE_OF(graph), HANDLE_OF(exec)) : r;
}

CUresult cuGraphExecUpdate_v2(CUgraphExec hGraphExec, CUgraph hGraph,
			      CUgraphExecUpdateResultInfo *resultInfo)
{
	struct vgpu_graph_result answer;
	CUresult r;

	if (!resultInfo)
		return CUDA_ERROR_INVALID_VALUE;
	r = update(hGraphExec, hGraph, &answer);
	resultInfo->result = (CUgraphExecUpdateResult)answer.detail;
	resultInfo->errorNode = HANDLE_AS(CUgraphNode, answer.node);
	resultInfo->errorFromNode = HANDLE_AS(CUgraphNode, answer.from);
	return r;
}

CUresult cuGraphExecUpdate(CUgraphExec hGraphExec, CUgraph hGraph, CUgraphNode *hErrorNode_out,
			   CUgraphExecUpdateResult *updateResult_out)
{
	struct vgpu_graph_result answer;
	CUresult r = update(hGraphExec, hGraph, &answer);

	if (hErrorNode_out)
		*hErrorNode_out = HANDLE_AS(CUgraphNode, answer.node);
	if (updateResult_out)
		*updateResult_out = (CUgraphExecUpdateResult)answer.detail;
	return r;
}

/* ------------------------------------------------------------------- nodes */

#define ROOM 128u

static CUresult some_nodes(CUgraph graph, unsigned int which, unsigned int first, uint64_t *nodes,
			   unsigned int *total)
{
	uint64_t fresh[ROOM];
	unsigned int used = 0;
	CUresult r;

	for (unsigned int i = 0; i < ROOM; i++)
		fresh[i] = handle_new(VGPU_CUDA_NODE, NULL);
	r = rpc_vgpuGraphNodes(graph, which, first, ROOM, fresh, nodes, total, &used);
	if (r != CUDA_SUCCESS)
		used = 0;
	for (unsigned int i = 0; i < ROOM; i++) {
		if (i < used)
			graph_owns(graph, fresh[i]);
		else
			handle_drop(fresh[i]);
	}
	return r;
}

/* With nowhere to put them: how many there are.  Else what is left over becomes NULL. */
static CUresult nodes_of(CUgraph graph, unsigned int which, CUgraphNode *out, size_t *n)
{
	size_t room = out && n ? *n : 0, at = 0;
	unsigned int total = 0;
	CUresult r = enter(graph);

	if (r == CUDA_SUCCESS && !n)
		r = CUDA_ERROR_INVALID_VALUE;
	if (r != CUDA_SUCCESS)
		return r;
	do {
		uint64_t nodes[ROOM];

		r = some_nodes(graph, which, (unsigned int)at, nodes, &total);
		if (r != CUDA_SUCCESS)
			return r;
		for (unsigned int i = 0; i < ROOM && at < total && at < room; i++, at++)
			out[at] = HANDLE_AS(CUgraphNode, nodes[i]);
	} while (at < total && at < room);
	if (out)
		for (; at < room; at++)
			out[at] = NULL;
	*n = !out || total < room ? total : room;
	return CUDA_SUCCESS;
}

CUresult cuGraphGetNodes(CUgraph hGraph, CUgraphNode *nodes, size_t *numNodes)
{
	return nodes_of(hGraph, VGPU_GRAPH_ALL, nodes, numNodes);
}

CUresult cuGraphGetRootNodes(CUgraph hGraph, CUgraphNode *rootNodes, size_t *numRootNodes)
{
	return nodes_of(hGraph, VGPU_GRAPH_ROOTS, rootNodes, numRootNodes);
}

/* ------------------------------------------------------------------- edges */

/* All nodes must have handles before the host can name them. */
static CUresult name_nodes(CUgraph graph)
{
	unsigned int total = 0, at = 0;

	do {
		uint64_t nodes[ROOM];
		CUresult r = some_nodes(graph, VGPU_GRAPH_ALL, at, nodes, &total);

		if (r != CUDA_SUCCESS)
			return r;
		at += ROOM;
	} while (at < total);
	return CUDA_SUCCESS;
}

CUresult cuGraphGetEdges_v2(CUgraph hGraph, CUgraphNode *from, CUgraphNode *to,
			    CUgraphEdgeData *edgeData, size_t *numEdges)
{
	size_t room = from && to && numEdges ? *numEdges : 0, at = 0;
	unsigned int total = 0;
	CUresult r = enter(hGraph);

	if (r == CUDA_SUCCESS && !numEdges)
		r = CUDA_ERROR_INVALID_VALUE;
	if (r == CUDA_SUCCESS)
		r = name_nodes(hGraph);
	if (r != CUDA_SUCCESS)
		return r;
	do {
		uint64_t f[ROOM], t[ROOM];
		CUgraphEdgeData d[ROOM];

		r = rpc_vgpuGraphEdges(hGraph, (unsigned int)at, ROOM, f, t, d, &total);
		if (r != CUDA_SUCCESS)
			return r;
		for (unsigned int i = 0; i < ROOM && at < total && at < room; i++, at++) {
			from[at] = HANDLE_AS(CUgraphNode, f[i]);
			to[at] = HANDLE_AS(CUgraphNode, t[i]);
			if (edgeData)
				edgeData[at] = d[i];
		}
	} while (at < total && at < room);
	*numEdges = !room || total < room ? total : room;
	return CUDA_SUCCESS;
}

CUresult cuGraphGetEdges(CUgraph hGraph, CUgraphNode *from, CUgraphNode *to, size_t *numEdges)
{
	return cuGraphGetEdges_v2(hGraph, from, to, NULL, numEdges);
}

static CUresult neighbours(CUgraphNode node, unsigned int dependents, CUgraphNode *out,
			   CUgraphEdgeData *edges, size_t *n)
{
	size_t room = out && n ? *n : 0, at = 0;
	unsigned int total = 0;
	CUresult r = shim_enter_context();

	if (r == CUDA_SUCCESS && !handle_valid(HANDLE_OF(node), VGPU_CUDA_NODE))
		r = CUDA_ERROR_INVALID_VALUE;
	if (r == CUDA_SUCCESS && !n)
		r = CUDA_ERROR_INVALID_VALUE;
	if (r != CUDA_SUCCESS)
		return r;
	do {
		uint64_t nodes[ROOM];
		CUgraphEdgeData d[ROOM];

		r = rpc_vgpuGraphNeighbours(node, dependents, (unsigned int)at, ROOM, nodes, d,
					    &total);
		if (r != CUDA_SUCCESS)
			return r;
		for (unsigned int i = 0; i < ROOM && at < total && at < room; i++, at++) {
			out[at] = HANDLE_AS(CUgraphNode, nodes[i]);
			if (edges)
				edges[at] = d[i];
		}
	} while (at < total && at < room);
	if (out)
		for (; at < room; at++)
			out[at] = NULL;
	*n = !out || total < room ? total : room;
	return CUDA_SUCCESS;
}

CUresult cuGraphNodeGetDependencies_v2(CUgraphNode hNode, CUgraphNode *dependencies,
				       CUgraphEdgeData *edgeData, size_t *numDependencies)
{
	return neighbours(hNode, 0, dependencies, edgeData, numDependencies);
}

CUresult cuGraphNodeGetDependencies(CUgraphNode hNode, CUgraphNode *dependencies,
				    size_t *numDependencies)
{
	return neighbours(hNode, 0, dependencies, NULL, numDependencies);
}

CUresult cuGraphNodeGetDependentNodes_v2(CUgraphNode hNode, CUgraphNode *dependentNodes,
					 CUgraphEdgeData *edgeData, size_t *numDependentNodes)
{
	return neighbours(hNode, 1, dependentNodes, edgeData, numDependentNodes);
}

CUresult cuGraphNodeGetDependentNodes(CUgraphNode hNode, CUgraphNode *dependentNodes,
				      size_t *numDependentNodes)
{
	return neighbours(hNode, 1, dependentNodes, NULL, numDependentNodes);
}

CUresult cuGraphAddDependencies(CUgraph hGraph, const CUgraphNode *from, const CUgraphNode *to,
				size_t numDependencies)
{
	return cuGraphAddDependencies_v2(hGraph, from, to, NULL, numDependencies);
}

CUresult cuGraphRemoveDependencies(CUgraph hGraph, const CUgraphNode *from, const CUgraphNode *to,
				   size_t numDependencies)
{
	return cuGraphRemoveDependencies_v2(hGraph, from, to, NULL, numDependencies);
}
