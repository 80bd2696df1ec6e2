// SPDX-License-Identifier: GPL-2.0-or-later
/* Kernel nodes: made, changed, read, and their attributes. */
#include <stdlib.h>
#include <string.h>

#include "cuda_rpc.h"
#include "graph_node.h"
#include "handles.h"
#include "launch.h"

/* In one record with the dependencies that go with a node. */
#define PARAMS_MAX 6144u

struct packed {
	struct vgpu_kernel_node node;
	const void *params;
	uint8_t room[LAUNCH_PARAMS_MAX];
};

static CUresult pack(const CUDA_KERNEL_NODE_PARAMS_v2 *p, struct packed *out)
{
	struct function *f = function_find(p->func ? p->func : (CUfunction)p->kern);
	size_t bytes;
	CUresult r;

	if (!f)
		return CUDA_ERROR_INVALID_VALUE;
	r = launch_pack(f, p->kernelParams, p->extra, out->room, &out->params, &bytes);
	if (r != CUDA_SUCCESS)
		return r;
	if (bytes > PARAMS_MAX)
		return CUDA_ERROR_NOT_SUPPORTED;
	out->node = (struct vgpu_kernel_node){
		.function = f->handle,
		.grid = {p->gridDimX, p->gridDimY, p->gridDimZ},
		.block = {p->blockDimX, p->blockDimY, p->blockDimZ},
		.shared = p->sharedMemBytes,
		.bytes = (vgpu_le32)bytes,
	};
	return CUDA_SUCCESS;
}

/* The older form ends before the fields for kernels. */
static CUDA_KERNEL_NODE_PARAMS_v2 newer(const CUDA_KERNEL_NODE_PARAMS_v1 *p)
{
	CUDA_KERNEL_NODE_PARAMS_v2 q = {0};

	memcpy(&q, p, sizeof(*p));
	return q;
}

static CUresult add_kernel(const struct node_place *at, CUgraphNode *out,
			   const CUDA_KERNEL_NODE_PARAMS_v2 *p)
{
	struct packed k;
	CUgraphNode made;
	CUresult r;

	if (!p)
		return CUDA_ERROR_INVALID_VALUE;
	r = node_begin(at, out, &made);
	if (r != CUDA_SUCCESS)
		return r;
	r = pack(p, &k);
	if (r == CUDA_SUCCESS)
		r = rpc_vgpuGraphAddKernel(&made, at->graph, node_first(at), at->dependencies,
					   &k.node, k.node.bytes, k.params);
	return node_finish(r, at, made, out);
}

CUresult cuGraphAddKernelNode_v2(CUgraphNode *phGraphNode, CUgraph hGraph,
				 const CUgraphNode *dependencies, size_t numDependencies,
				 const CUDA_KERNEL_NODE_PARAMS *nodeParams)
{
	return add_kernel(&(struct node_place){hGraph, dependencies, numDependencies}, phGraphNode,
			  nodeParams);
}

CUresult cuGraphAddKernelNode(CUgraphNode *phGraphNode, CUgraph hGraph,
			      const CUgraphNode *dependencies, size_t numDependencies,
			      const CUDA_KERNEL_NODE_PARAMS_v1 *nodeParams)
{
	CUDA_KERNEL_NODE_PARAMS_v2 p;

	if (!nodeParams)
		return CUDA_ERROR_INVALID_VALUE;
	p = newer(nodeParams);
	return cuGraphAddKernelNode_v2(phGraphNode, hGraph, dependencies, numDependencies, &p);
}

static CUresult set_kernel(CUgraphExec exec, CUgraphNode node, const CUDA_KERNEL_NODE_PARAMS_v2 *p)
{
	struct packed k;
	CUresult r = exec ? node_enter_exec(exec, node, p) : node_enter(node, p);

	if (r == CUDA_SUCCESS)
		r = pack(p, &k);
	if (r != CUDA_SUCCESS)
		return r;
	return rpc_vgpuGraphSetKernel(exec, node, &k.node, k.node.bytes, k.params);
}

CUresult cuGraphKernelNodeSetParams_v2(CUgraphNode hNode, const CUDA_KERNEL_NODE_PARAMS *nodeParams)
{
	return set_kernel(NULL, hNode, nodeParams);
}

CUresult cuGraphKernelNodeSetParams(CUgraphNode hNode, const CUDA_KERNEL_NODE_PARAMS_v1 *nodeParams)
{
	CUDA_KERNEL_NODE_PARAMS_v2 p;

	if (!nodeParams)
		return CUDA_ERROR_INVALID_VALUE;
	p = newer(nodeParams);
	return set_kernel(NULL, hNode, &p);
}

CUresult cuGraphExecKernelNodeSetParams_v2(CUgraphExec hGraphExec, CUgraphNode hNode,
					   const CUDA_KERNEL_NODE_PARAMS *nodeParams)
{
	return hGraphExec ? set_kernel(hGraphExec, hNode, nodeParams) : CUDA_ERROR_INVALID_VALUE;
}

CUresult cuGraphExecKernelNodeSetParams(CUgraphExec hGraphExec, CUgraphNode hNode,
					const CUDA_KERNEL_NODE_PARAMS_v1 *nodeParams)
{
	CUDA_KERNEL_NODE_PARAMS_v2 p;

	if (!nodeParams || !hGraphExec)
		return CUDA_ERROR_INVALID_VALUE;
	p = newer(nodeParams);
	return set_kernel(hGraphExec, hNode, &p);
}

/* The program gets pointers, which must stay good as long as the node does. */
static CUresult keep_params(CUgraphNode node, const struct function *f, const uint8_t *params,
			    void ***out)
{
	struct node *n = handle_data(HANDLE_OF(node), VGPU_CUDA_NODE);
	uint8_t *copy;

	if (!n || n->nparams != f->nparams || n->param_bytes != f->param_bytes) {
		struct node *old = n;

		n = calloc(1, sizeof(*n) + f->nparams * sizeof(void *) + f->param_bytes);
		if (!n)
			return CUDA_ERROR_OUT_OF_MEMORY;
		n->nparams = f->nparams;
		n->param_bytes = f->param_bytes;
		handle_set_data(HANDLE_OF(node), n);
		free(old); /* of another function: the program was told that these end */
	}
	copy = (uint8_t *)&n->pointer[n->nparams];
	memcpy(copy, params, f->param_bytes);
	for (uint32_t i = 0; i < f->nparams; i++)
		n->pointer[i] = copy + f->param[i].offset;
	*out = f->nparams ? n->pointer : NULL;
	return CUDA_SUCCESS;
}

CUresult cuGraphKernelNodeGetParams_v2(CUgraphNode hNode, CUDA_KERNEL_NODE_PARAMS *nodeParams)
{
	uint8_t params[PARAMS_MAX];
	struct vgpu_kernel_node k;
	struct function *f;
	CUresult r = node_enter(hNode, nodeParams);

	if (r == CUDA_SUCCESS)
		r = rpc_vgpuGraphGetKernel(hNode, &k, sizeof(params), params);
	if (r != CUDA_SUCCESS)
		return r;
	f = function_find(HANDLE_AS(CUfunction, k.function));
	if (!f || f->param_bytes > sizeof(params))
		return CUDA_ERROR_NOT_SUPPORTED;
	memset(nodeParams, 0, sizeof(*nodeParams));
	if (vgpu_cuda_handle_type(k.function) == VGPU_CUDA_KERNEL)
		nodeParams->kern = HANDLE_AS(CUkernel, k.function);
	else
		nodeParams->func = HANDLE_AS(CUfunction, k.function);
	nodeParams->gridDimX = k.grid[0];
	nodeParams->gridDimY = k.grid[1];
	nodeParams->gridDimZ = k.grid[2];
	nodeParams->blockDimX = k.block[0];
	nodeParams->blockDimY = k.block[1];
	nodeParams->blockDimZ = k.block[2];
	nodeParams->sharedMemBytes = k.shared;
	return keep_params(hNode, f, params, &nodeParams->kernelParams);
}

CUresult cuGraphKernelNodeGetParams(CUgraphNode hNode, CUDA_KERNEL_NODE_PARAMS_v1 *nodeParams)
{
	CUDA_KERNEL_NODE_PARAMS_v2 p;
	CUresult r;

	if (!nodeParams)
		return CUDA_ERROR_INVALID_VALUE;
	r = cuGraphKernelNodeGetParams_v2(hNode, &p);
	if (r != CUDA_SUCCESS)
		return r;
	if (!p.func) { /* the older form knows functions only */
		r = cuKernelGetFunction(&p.func, p.kern);
		if (r != CUDA_SUCCESS)
			return r;
	}
	memcpy(nodeParams, &p, sizeof(*nodeParams));
	return CUDA_SUCCESS;
}

CUresult cuGraphKernelNodeGetAttribute(CUgraphNode hNode, CUkernelNodeAttrID attr,
				       CUkernelNodeAttrValue *value_out)
{
	struct vgpu_launch_attribute a = {0};
	CUresult r = node_enter(hNode, value_out);

	if (r == CUDA_SUCCESS)
		r = rpc_vgpuGraphGetAttribute(hNode, (unsigned int)attr, &a);
	if (r == CUDA_SUCCESS)
		memcpy(value_out, a.value, sizeof(*value_out));
	return r;
}

CUresult cuGraphKernelNodeSetAttribute(CUgraphNode hNode, CUkernelNodeAttrID attr,
				       const CUkernelNodeAttrValue *value)
{
	struct vgpu_launch_attribute a = {.id = (vgpu_le32)attr};
	CUresult r = node_enter(hNode, value);

	if (r != CUDA_SUCCESS)
		return r;
	memcpy(a.value, value, sizeof(*value));
	return rpc_vgpuGraphSetAttribute(hNode, (unsigned int)attr, &a);
}
