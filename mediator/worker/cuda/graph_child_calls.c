/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Graphs within nodes of graphs. */
#include "cuda_dispatch.h"
#include "session.h"

/* It is the driver's and goes with the node: so does its handle. */
CUresult host_vgpuGraphChild(struct cuda_session *s, CUgraphNode node, unsigned long long fresh,
			     unsigned long long *graph)
{
	CUgraph child = NULL;
	CUresult r;

	if (!s->drv->cuGraphChildGraphNodeGetGraph)
		return CUDA_ERROR_NOT_SUPPORTED;
	r = s->drv->cuGraphChildGraphNodeGetGraph(node, &child);
	if (r != CUDA_SUCCESS)
		return r;
	*graph = handles_find(s, VGPU_CUDA_GRAPH, child);
	if (*graph)
		return CUDA_SUCCESS;
	s->new_parent = REQUEST(s, vgpuGraphChild)->node;
	r = handles_set(s, fresh, VGPU_CUDA_GRAPH, child);
	if (r == CUDA_SUCCESS)
		*graph = fresh;
	return r;
}
