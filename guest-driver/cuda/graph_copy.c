// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Copies in graphs.
 *
 * When a graph runs nobody can fetch memory that the host does not reach, so
 * that ordinary memory of the program is pinned as long as the graph lives.
 */
#include <stdlib.h>

#include "box.h"
#include "client.h"
#include "cuda_rpc.h"
#include "graph_node.h"
#include "graph_objects.h"
#include "handles.h"
#include "register.h"

#define PAGE ((uint64_t)4096)

struct pinned {
	void *at;
	size_t bytes;
};

static void unpin(void *data)
{
	struct pinned *p = data;

	unregister_pages(p->at, p->bytes);
	free(p);
}

/*
 * Can pages be pinned as they are?  By the daemon's socket they would have to
 * be replaced, which must not happen to a stack or a heap in use.
 */
static bool can_pin(const void *at)
{
	void *page = (void *)((uintptr_t)at & ~(PAGE - 1));
	uint32_t buffer;

	if (client_buffer_register(page, PAGE, VGPU_BUFFER_READ, &buffer) < 0)
		return false;
	client_buffer_unregister(buffer);
	return true;
}

/* Pins one side's memory until `holder`, a graph or executable graph, is gone. */
static CUresult pin(const struct vgpu_copy3d *b, const struct vgpu_copy3d_side *s, uint64_t holder)
{
	uint64_t rows = (s->z + b->depth - 1) * s->height + s->y + b->height - 1;
	struct pinned *p;
	CUresult r;

	if (!holder || !can_pin((void *)(uintptr_t)s->address))
		return CUDA_ERROR_NOT_SUPPORTED;
	p = malloc(sizeof(*p));
	if (!p)
		return CUDA_ERROR_OUT_OF_MEMORY;
	*p = (struct pinned){(void *)(uintptr_t)s->address, rows * s->pitch + s->x + b->width};
	r = register_pages(p->at, p->bytes, 0);
	if (r != CUDA_SUCCESS) {
		free(p);
		return r;
	}
	r = graph_keeps(holder, unpin, p);
	if (r != CUDA_SUCCESS)
		unpin(p);
	return r;
}

/* `holder`: a graph, an executable one, or a node for its graph. */
static CUresult box_for_graph(uint64_t holder, const CUDA_MEMCPY3D *p, struct vgpu_copy3d *box)
{
	bool src_far, dst_far;
	CUresult r = box_of(p, box, &src_far, &dst_far);

	if (r == CUDA_SUCCESS && (src_far || dst_far) &&
	    vgpu_cuda_handle_type(holder) == VGPU_CUDA_NODE)
		holder = node_graph(HANDLE_AS(CUgraphNode, holder));
	if (r == CUDA_SUCCESS && src_far)
		r = pin(box, &box->src, holder);
	if (r == CUDA_SUCCESS && dst_far)
		r = pin(box, &box->dst, holder);
	return r;
}

CUresult cuGraphAddMemcpyNode(CUgraphNode *phGraphNode, CUgraph hGraph,
			      const CUgraphNode *dependencies, size_t numDependencies,
			      const CUDA_MEMCPY3D *copyParams, CUcontext ctx)
{
	struct node_place at = {hGraph, dependencies, numDependencies};
	struct vgpu_copy3d box;
	CUgraphNode made;
	CUresult r;

	if (!copyParams || !context_find(ctx))
		return CUDA_ERROR_INVALID_VALUE;
	r = node_begin(&at, phGraphNode, &made);
	if (r != CUDA_SUCCESS)
		return r;
	r = box_for_graph(HANDLE_OF(hGraph), copyParams, &box);
	if (r == CUDA_SUCCESS)
		r = rpc_vgpuGraphAddCopy(&made, hGraph, node_first(&at), dependencies, &box);
	return node_finish(r, &at, made, phGraphNode);
}

CUresult cuGraphMemcpyNodeSetParams(CUgraphNode hNode, const CUDA_MEMCPY3D *nodeParams)
{
	struct vgpu_copy3d box;
	CUresult r = node_enter(hNode, nodeParams);

	if (r == CUDA_SUCCESS)
		r = box_for_graph(HANDLE_OF(hNode), nodeParams, &box);
	return r == CUDA_SUCCESS ? rpc_vgpuGraphSetCopy(NULL, hNode, &box) : r;
}

CUresult cuGraphExecMemcpyNodeSetParams(CUgraphExec hGraphExec, CUgraphNode hNode,
					const CUDA_MEMCPY3D *copyParams, CUcontext ctx)
{
	struct vgpu_copy3d box;
	CUresult r = node_enter_exec(hGraphExec, hNode, copyParams);

	(void)ctx;
	if (r == CUDA_SUCCESS)
		r = box_for_graph(HANDLE_OF(hGraphExec), copyParams, &box);
	return r == CUDA_SUCCESS ? rpc_vgpuGraphSetCopy(hGraphExec, hNode, &box) : r;
}

CUresult cuGraphMemcpyNodeGetParams(CUgraphNode hNode, CUDA_MEMCPY3D *nodeParams)
{
	struct vgpu_copy3d box;
	CUresult r = node_enter(hNode, nodeParams);

	if (r == CUDA_SUCCESS)
		r = rpc_vgpuGraphGetCopy(hNode, &box);
	if (r == CUDA_SUCCESS)
		box_back(&box, nodeParams);
	return r;
}
