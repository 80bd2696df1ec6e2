/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Nodes whose parameters have pointers in them: made, changed, read. */
#include <string.h>

#include "callbacks.h"
#include "charge.h"
#include "contexts.h"
#include "copy3d.h"
#include "cuda_dispatch.h"
#include "graph_memory.h"
#include "launch.h"
#include "memory.h"
#include "modules.h"
#include "session.h"

static CUcontext current(struct cuda_session *s)
{
	const struct cuda_context *c = contexts_current(s);

	return c ? c->real : NULL;
}

/* ---------------------------------------------------------------- kernels */

static CUresult take_kernel(struct cuda_session *s, const struct vgpu_kernel_node *in,
			    unsigned int bytes, const void *params, CUDA_KERNEL_NODE_PARAMS *out)
{
	const struct cuda_object *o = launches_function(s, in->function);

	if (!o)
		return CUDA_ERROR_INVALID_HANDLE;
	if (!launches_params(s, o->data, params, bytes))
		return CUDA_ERROR_INVALID_VALUE;
	*out = (CUDA_KERNEL_NODE_PARAMS){.gridDimX = in->grid[0],
					 .gridDimY = in->grid[1],
					 .gridDimZ = in->grid[2],
					 .blockDimX = in->block[0],
					 .blockDimY = in->block[1],
					 .blockDimZ = in->block[2],
					 .sharedMemBytes = in->shared,
					 .kernelParams = s->params};
	if (vgpu_cuda_handle_type(in->function) == VGPU_CUDA_KERNEL)
		out->kern = (CUkernel)(uintptr_t)o->real;
	else
		out->func = (CUfunction)(uintptr_t)o->real;
	return launches_pay(s, o->data);
}

CUresult host_vgpuGraphAddKernel(struct cuda_session *s, CUgraphNode *node, CUgraph graph,
				 unsigned int n, const CUgraphNode *dependencies,
				 const struct vgpu_kernel_node *kernel, unsigned int bytes,
				 const void *params)
{
	CUDA_KERNEL_NODE_PARAMS p;
	CUresult r = s->drv->cuGraphAddKernelNode_v2 ? take_kernel(s, kernel, bytes, params, &p)
						     : CUDA_ERROR_NOT_SUPPORTED;

	return r == CUDA_SUCCESS ? s->drv->cuGraphAddKernelNode_v2(node, graph, dependencies, n, &p)
				 : r;
}

CUresult host_vgpuGraphSetKernel(struct cuda_session *s, CUgraphExec exec, CUgraphNode node,
				 const struct vgpu_kernel_node *kernel, unsigned int bytes,
				 const void *params)
{
	CUDA_KERNEL_NODE_PARAMS p;
	CUresult r = take_kernel(s, kernel, bytes, params, &p);

	if (r != CUDA_SUCCESS)
		return r;
	if (exec)
		return s->drv->cuGraphExecKernelNodeSetParams_v2
			       ? s->drv->cuGraphExecKernelNodeSetParams_v2(exec, node, &p)
			       : CUDA_ERROR_NOT_SUPPORTED;
	return s->drv->cuGraphKernelNodeSetParams_v2
		       ? s->drv->cuGraphKernelNodeSetParams_v2(node, &p)
		       : CUDA_ERROR_NOT_SUPPORTED;
}

static const struct cuda_object *object_of(struct cuda_session *s, const CUDA_KERNEL_NODE_PARAMS *p)
{
	uint64_t handle = p->func ? handles_find(s, VGPU_CUDA_FUNCTION, p->func) : 0;

	if (!handle && p->kern)
		handle = handles_find(s, VGPU_CUDA_KERNEL, p->kern);
	if (!handle && p->func) /* a kernel in a function's clothes, as launches take it */
		handle = handles_find(s, VGPU_CUDA_KERNEL, p->func);
	return handle ? launches_function(s, handle) : NULL;
}

/*
 * The object was found by the driver's pointer, which may have been given to
 * another kernel since: its layout must not decide how much is read.
 */
static const struct layout *layout_of(struct cuda_session *s, const struct cuda_object *o)
{
	bool is_kernel = vgpu_cuda_handle_type(o->handle) == VGPU_CUDA_KERNEL;
	CUfunction f = is_kernel ? NULL : (CUfunction)(uintptr_t)o->real;
	CUkernel k = is_kernel ? (CUkernel)(uintptr_t)o->real : NULL;

	return o->data && modules_layout_fits(s, o->data, f, k) ? o->data : NULL;
}

CUresult host_vgpuGraphGetKernel(struct cuda_session *s, CUgraphNode node,
				 struct vgpu_kernel_node *kernel, unsigned int bytes, void *params)
{
	CUDA_KERNEL_NODE_PARAMS p = {0};
	const struct cuda_object *o;
	const struct layout *l;
	CUresult r = s->drv->cuGraphKernelNodeGetParams_v2
			     ? s->drv->cuGraphKernelNodeGetParams_v2(node, &p)
			     : CUDA_ERROR_NOT_SUPPORTED;

	if (r != CUDA_SUCCESS)
		return r;
	o = object_of(s, &p);
	l = o ? layout_of(s, o) : NULL;
	if (!l || (l->n && !p.kernelParams))
		return CUDA_ERROR_NOT_SUPPORTED;
	*kernel = (struct vgpu_kernel_node){.function = o->handle,
					    .grid = {p.gridDimX, p.gridDimY, p.gridDimZ},
					    .block = {p.blockDimX, p.blockDimY, p.blockDimZ},
					    .shared = p.sharedMemBytes,
					    .bytes = l->bytes};
	if (bytes < l->bytes)
		return CUDA_SUCCESS; /* the guest asks again with more room */
	for (uint32_t i = 0; i < l->n; i++)
		memcpy((uint8_t *)params + l->param[i].offset, p.kernelParams[i], l->param[i].size);
	return CUDA_SUCCESS;
}

CUresult host_vgpuGraphSetAttribute(struct cuda_session *s, CUgraphNode node, unsigned int id,
				    const struct vgpu_launch_attribute *attribute)
{
	CUlaunchAttribute a;
	CUresult r = attribute->id == id ? launches_attribute(s, attribute, &a)
					 : CUDA_ERROR_INVALID_VALUE;

	if (r != CUDA_SUCCESS)
		return r;
	return s->drv->cuGraphKernelNodeSetAttribute
		       ? s->drv->cuGraphKernelNodeSetAttribute(node, a.id, &a.value)
		       : CUDA_ERROR_NOT_SUPPORTED;
}

CUresult host_vgpuGraphGetAttribute(struct cuda_session *s, CUgraphNode node, unsigned int id,
				    struct vgpu_launch_attribute *attribute)
{
	CUkernelNodeAttrValue value = {0};
	CUresult r;

	/* These hold events or nodes, which are the host's own. */
	if (id == CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_EVENT ||
	    id == CU_LAUNCH_ATTRIBUTE_LAUNCH_COMPLETION_EVENT ||
	    id == CU_LAUNCH_ATTRIBUTE_DEVICE_UPDATABLE_KERNEL_NODE)
		return CUDA_ERROR_NOT_SUPPORTED;
	r = s->drv->cuGraphKernelNodeGetAttribute
		    ? s->drv->cuGraphKernelNodeGetAttribute(node, (CUkernelNodeAttrID)id, &value)
		    : CUDA_ERROR_NOT_SUPPORTED;
	attribute->id = id;
	memcpy(attribute->value, &value, sizeof(attribute->value));
	return r;
}

/* ----------------------------------------------------------------- copies */

CUresult host_vgpuGraphAddCopy(struct cuda_session *s, CUgraphNode *node, CUgraph graph,
			       unsigned int n, const CUgraphNode *dependencies,
			       const struct vgpu_copy3d *copy)
{
	CUDA_MEMCPY3D c;
	CUresult r =
		s->drv->cuGraphAddMemcpyNode ? copy3d_make(s, copy, &c) : CUDA_ERROR_NOT_SUPPORTED;

	if (r == CUDA_SUCCESS && !c.WidthInBytes)
		r = CUDA_ERROR_INVALID_VALUE;
	return r == CUDA_SUCCESS
		       ? s->drv->cuGraphAddMemcpyNode(node, graph, dependencies, n, &c, current(s))
		       : r;
}

CUresult host_vgpuGraphSetCopy(struct cuda_session *s, CUgraphExec exec, CUgraphNode node,
			       const struct vgpu_copy3d *copy)
{
	CUDA_MEMCPY3D c;
	CUresult r = copy3d_make(s, copy, &c);

	if (r == CUDA_SUCCESS && !c.WidthInBytes)
		r = CUDA_ERROR_INVALID_VALUE;
	if (r != CUDA_SUCCESS)
		return r;
	if (exec)
		return s->drv->cuGraphExecMemcpyNodeSetParams
			       ? s->drv->cuGraphExecMemcpyNodeSetParams(exec, node, &c, current(s))
			       : CUDA_ERROR_NOT_SUPPORTED;
	return s->drv->cuGraphMemcpyNodeSetParams ? s->drv->cuGraphMemcpyNodeSetParams(node, &c)
						  : CUDA_ERROR_NOT_SUPPORTED;
}

CUresult host_vgpuGraphGetCopy(struct cuda_session *s, CUgraphNode node, struct vgpu_copy3d *copy)
{
	CUDA_MEMCPY3D c = {0};
	CUresult r = s->drv->cuGraphMemcpyNodeGetParams
			     ? s->drv->cuGraphMemcpyNodeGetParams(node, &c)
			     : CUDA_ERROR_NOT_SUPPORTED;

	if (r != CUDA_SUCCESS)
		return r;
	copy->src = (struct vgpu_copy3d_side){
		.type = c.srcMemoryType,
		.address =
			c.srcMemoryType == CU_MEMORYTYPE_HOST ? (uintptr_t)c.srcHost : c.srcDevice,
		.array = c.srcArray ? handles_find(s, VGPU_CUDA_ARRAY, c.srcArray) : 0,
		.x = c.srcXInBytes,
		.y = c.srcY,
		.z = c.srcZ,
		.lod = c.srcLOD,
		.pitch = c.srcPitch,
		.height = c.srcHeight};
	copy->dst = (struct vgpu_copy3d_side){
		.type = c.dstMemoryType,
		.address =
			c.dstMemoryType == CU_MEMORYTYPE_HOST ? (uintptr_t)c.dstHost : c.dstDevice,
		.array = c.dstArray ? handles_find(s, VGPU_CUDA_ARRAY, c.dstArray) : 0,
		.x = c.dstXInBytes,
		.y = c.dstY,
		.z = c.dstZ,
		.lod = c.dstLOD,
		.pitch = c.dstPitch,
		.height = c.dstHeight};
	copy->width = c.WidthInBytes;
	copy->height = c.Height;
	copy->depth = c.Depth;
	return CUDA_SUCCESS;
}

/* ------------------------------------------------------------------ fills */

static CUresult take_memset(struct cuda_session *s, const struct vgpu_memset_node *in,
			    CUDA_MEMSET_NODE_PARAMS *out)
{
	uint64_t width;

	if (in->element != 1 && in->element != 2 && in->element != 4)
		return CUDA_ERROR_INVALID_VALUE;
	if (__builtin_mul_overflow(in->width, (uint64_t)in->element, &width) ||
	    !memory_has_rows(s, in->dst, in->pitch, width, in->height))
		return CUDA_ERROR_INVALID_VALUE;
	*out = (CUDA_MEMSET_NODE_PARAMS){.dst = in->dst,
					 .pitch = in->pitch,
					 .value = in->value,
					 .elementSize = in->element,
					 .width = in->width,
					 .height = in->height};
	return CUDA_SUCCESS;
}

CUresult host_vgpuGraphAddMemset(struct cuda_session *s, CUgraphNode *node, CUgraph graph,
				 unsigned int n, const CUgraphNode *dependencies,
				 const struct vgpu_memset_node *set)
{
	CUDA_MEMSET_NODE_PARAMS p;
	CUresult r =
		s->drv->cuGraphAddMemsetNode ? take_memset(s, set, &p) : CUDA_ERROR_NOT_SUPPORTED;

	return r == CUDA_SUCCESS
		       ? s->drv->cuGraphAddMemsetNode(node, graph, dependencies, n, &p, current(s))
		       : r;
}

CUresult host_vgpuGraphSetMemset(struct cuda_session *s, CUgraphExec exec, CUgraphNode node,
				 const struct vgpu_memset_node *set)
{
	CUDA_MEMSET_NODE_PARAMS p;
	CUresult r = take_memset(s, set, &p);

	if (r != CUDA_SUCCESS)
		return r;
	if (exec)
		return s->drv->cuGraphExecMemsetNodeSetParams
			       ? s->drv->cuGraphExecMemsetNodeSetParams(exec, node, &p, current(s))
			       : CUDA_ERROR_NOT_SUPPORTED;
	return s->drv->cuGraphMemsetNodeSetParams ? s->drv->cuGraphMemsetNodeSetParams(node, &p)
						  : CUDA_ERROR_NOT_SUPPORTED;
}

CUresult host_vgpuGraphGetMemset(struct cuda_session *s, CUgraphNode node,
				 struct vgpu_memset_node *set)
{
	CUDA_MEMSET_NODE_PARAMS p = {0};
	CUresult r = s->drv->cuGraphMemsetNodeGetParams
			     ? s->drv->cuGraphMemsetNodeGetParams(node, &p)
			     : CUDA_ERROR_NOT_SUPPORTED;

	*set = (struct vgpu_memset_node){.dst = p.dst,
					 .pitch = p.pitch,
					 .width = p.width,
					 .height = p.height,
					 .value = p.value,
					 .element = p.elementSize};
	return r;
}

/* --------------------------------------------------------- host functions */

static bool take_host(struct cuda_session *s, uint64_t id, CUDA_HOST_NODE_PARAMS *out)
{
	*out = (CUDA_HOST_NODE_PARAMS){.fn = callbacks_run,
				       .userData = callbacks_new(s, id, false)};
	return out->userData;
}

CUresult host_vgpuGraphAddHost(struct cuda_session *s, CUgraphNode *node, CUgraph graph,
			       unsigned int n, const CUgraphNode *dependencies,
			       unsigned long long id)
{
	CUDA_HOST_NODE_PARAMS p;
	CUresult r;

	if (!s->drv->cuGraphAddHostNode)
		return CUDA_ERROR_NOT_SUPPORTED;
	if (!take_host(s, id, &p))
		return CUDA_ERROR_OUT_OF_MEMORY;
	r = s->drv->cuGraphAddHostNode(node, graph, dependencies, n, &p);
	if (r != CUDA_SUCCESS)
		callbacks_drop(p.userData);
	return r;
}

CUresult host_vgpuGraphSetHost(struct cuda_session *s, CUgraphExec exec, CUgraphNode node,
			       unsigned long long id)
{
	CUDA_HOST_NODE_PARAMS p;
	CUresult r = CUDA_ERROR_NOT_SUPPORTED;

	if (!take_host(s, id, &p))
		return CUDA_ERROR_OUT_OF_MEMORY;
	if (exec && s->drv->cuGraphExecHostNodeSetParams)
		r = s->drv->cuGraphExecHostNodeSetParams(exec, node, &p);
	else if (!exec && s->drv->cuGraphHostNodeSetParams)
		r = s->drv->cuGraphHostNodeSetParams(node, &p);
	if (r != CUDA_SUCCESS)
		callbacks_drop(p.userData);
	return r;
}

/* ----------------------------------------------------------------- memory */

CUresult host_vgpuGraphAddAlloc(struct cuda_session *s, CUgraphNode *node, CUgraph graph,
				unsigned int n, const CUgraphNode *dependencies,
				const CUmemPoolProps *props, unsigned long long bytes,
				CUdeviceptr *address)
{
	CUDA_MEM_ALLOC_NODE_PARAMS p = {.poolProps = *props, .bytesize = bytes};
	CUresult r;

	if (!s->drv->cuGraphAddMemAllocNode)
		return CUDA_ERROR_NOT_SUPPORTED;
	r = charge_pool_take(s, CHARGE_GRAPHS, charge_of(bytes));
	if (r != CUDA_SUCCESS)
		return r;
	r = s->drv->cuGraphAddMemAllocNode(node, graph, dependencies, n, &p);
	if (r != CUDA_SUCCESS) {
		charge_pool_undo(s, CHARGE_GRAPHS, charge_of(bytes));
		return r;
	}
	*address = p.dptr;
	/* The node is there, and its memory will be: it stays charged for. */
	if (!memory_note(s, p.dptr, bytes, RANGE_GRAPH))
		return CUDA_ERROR_OUT_OF_MEMORY;
	charge_range(s, p.dptr, charge_of(bytes), CHARGE_GRAPHS);
	graph_memory_add(s, REQUEST(s, vgpuGraphAddAlloc)->graph, p.dptr, false);
	return CUDA_SUCCESS;
}

CUresult host_cuGraphAddMemFreeNode(struct cuda_session *s, CUgraphNode *node, CUgraph graph,
				    const CUgraphNode *dependencies, size_t n, CUdeviceptr at)
{
	CUresult r = s->drv->cuGraphAddMemFreeNode
			     ? s->drv->cuGraphAddMemFreeNode(node, graph, dependencies, n, at)
			     : CUDA_ERROR_NOT_SUPPORTED;

	if (r == CUDA_SUCCESS)
		graph_memory_add(s, REQUEST(s, cuGraphAddMemFreeNode)->hGraph, at, true);
	return r;
}
