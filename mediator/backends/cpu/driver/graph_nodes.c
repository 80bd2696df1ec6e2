/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The nodes of each type: added, asked for what they do, given something else to do.
 */
#include "graph.h"
#include "ptx.h"

CUresult params_kernel(const CUDA_KERNEL_NODE_PARAMS *p, struct work **out)
{
	struct launch l;

	if (!p)
		return CUDA_ERROR_INVALID_VALUE;
	l = (struct launch){.grid = {p->gridDimX, p->gridDimY, p->gridDimZ},
			    .block = {p->blockDimX, p->blockDimY, p->blockDimZ},
			    .shared = p->sharedMemBytes};
	return launch_make(p->func ? p->func : (CUfunction)p->kern, &l, p->kernelParams, p->extra,
			   out);
}

CUresult params_host(const CUDA_HOST_NODE_PARAMS *p, struct work **out)
{
	if (!p || !p->fn)
		return CUDA_ERROR_INVALID_VALUE;
	*out = work_new(WORK_HOST);
	(*out)->host.fn = p->fn;
	(*out)->host.data = p->userData;
	return CUDA_SUCCESS;
}

CUresult params_event(CUevent handle, bool record, struct work **out)
{
	CUevent e = object_find(handle, OBJECT_EVENT);

	if (!e)
		return CUDA_ERROR_INVALID_HANDLE;
	*out = work_new(record ? WORK_RECORD : WORK_WAIT);
	(*out)->event.event = object_ref(e);
	return CUDA_SUCCESS;
}

static CUresult params_copy(const CUDA_MEMCPY3D *p, struct work **out)
{
	return p ? copy_make(p, ACCESS_LATER, out) : CUDA_ERROR_INVALID_VALUE;
}

static CUresult params_set(const CUDA_MEMSET_NODE_PARAMS *p, struct work **out)
{
	return p ? memset_make(p, ACCESS_LATER, out) : CUDA_ERROR_INVALID_VALUE;
}

/* Puts `w` (unless making it failed) into the graph. */
static CUresult add(CUgraphNode *out, CUgraph handle, const CUgraphNode *before, size_t n,
		    CUgraphNodeType type, struct work *w, CUgraph child, CUresult err)
{
	CUgraph g = object_find(handle, OBJECT_GRAPH);

	if (err)
		return err;
	if (out && g)
		return graph_add(g, type, w, child, before, n, out);
	work_free(w);
	if (child)
		graph_drop(child);
	return CUDA_ERROR_INVALID_VALUE;
}

static CUgraphNode find(CUgraphNode handle, CUgraphNodeType type)
{
	CUgraphNode n = object_find(handle, OBJECT_NODE);

	return n && n->type == type ? n : NULL;
}

/* Gives the node `w`, unless making it failed. */
static CUresult replace(CUgraphNode n, struct work *w, CUresult err)
{
	if (!n && !err)
		work_free(w);
	if (n && !err)
		node_set_work(n, w);
	return n ? err : CUDA_ERROR_INVALID_VALUE;
}

/* ---- kernels ---- */

static CUresult CUDAAPI cpu_cuGraphAddKernelNode_v2(CUgraphNode *out, CUgraph g,
						    const CUgraphNode *before, size_t n,
						    const CUDA_KERNEL_NODE_PARAMS *p)
{
	struct work *w = NULL;

	ENTER_CONTEXT(ctx);
	enter_error = params_kernel(p, &w);
	return add(out, g, before, n, CU_GRAPH_NODE_TYPE_KERNEL, w, NULL, enter_error);
}

static CUresult CUDAAPI cpu_cuGraphKernelNodeGetParams_v2(CUgraphNode handle,
							  CUDA_KERNEL_NODE_PARAMS *p)
{
	const struct kernel_work *k;
	const GArray *param;
	CUgraphNode n;

	ENTER();
	n = find(handle, CU_GRAPH_NODE_TYPE_KERNEL);
	if (!n || !p)
		return CUDA_ERROR_INVALID_VALUE;
	k = &n->work->kernel;
	param = k->fn->entry->param;
	if (!n->param) {
		n->param = g_new0(void *, param->len + 1);
		for (unsigned int i = 0; i < param->len; i++)
			n->param[i] = k->param + g_array_index(param, struct ptx_param, i).offset;
	}
	*p = (CUDA_KERNEL_NODE_PARAMS){.func = k->fn,
				       .gridDimX = k->launch.grid[0],
				       .gridDimY = k->launch.grid[1],
				       .gridDimZ = k->launch.grid[2],
				       .blockDimX = k->launch.block[0],
				       .blockDimY = k->launch.block[1],
				       .blockDimZ = k->launch.block[2],
				       .sharedMemBytes = k->launch.shared,
				       .kernelParams = n->param};
	return CUDA_SUCCESS;
}

static CUresult CUDAAPI cpu_cuGraphKernelNodeSetParams_v2(CUgraphNode n,
							  const CUDA_KERNEL_NODE_PARAMS *p)
{
	struct work *w = NULL;

	ENTER();
	enter_error = params_kernel(p, &w);
	return replace(find(n, CU_GRAPH_NODE_TYPE_KERNEL), w, enter_error);
}

static CUresult CUDAAPI cpu_cuGraphKernelNodeGetAttribute(CUgraphNode handle,
							  CUkernelNodeAttrID which,
							  CUkernelNodeAttrValue *value)
{
	CUgraphNode n;

	ENTER();
	n = find(handle, CU_GRAPH_NODE_TYPE_KERNEL);
	if (!n || !value)
		return CUDA_ERROR_INVALID_VALUE;
	*value = (CUkernelNodeAttrValue){0};
	if (which == CU_LAUNCH_ATTRIBUTE_COOPERATIVE)
		value->cooperative = n->work->kernel.launch.cooperative;
	return CUDA_SUCCESS;
}

static CUresult CUDAAPI cpu_cuGraphKernelNodeSetAttribute(CUgraphNode handle,
							  CUkernelNodeAttrID which,
							  const CUkernelNodeAttrValue *value)
{
	CUlaunchAttribute a = {.id = which};
	CUgraphNode n;

	ENTER();
	n = find(handle, CU_GRAPH_NODE_TYPE_KERNEL);
	if (!n || !value)
		return CUDA_ERROR_INVALID_VALUE;
	a.value = *value;
	return launch_attribute(&a, &n->work->kernel.launch);
}

static CUresult CUDAAPI cpu_cuGraphKernelNodeCopyAttributes(CUgraphNode to, CUgraphNode from)
{
	CUgraphNode a, b;

	ENTER();
	a = find(to, CU_GRAPH_NODE_TYPE_KERNEL);
	b = find(from, CU_GRAPH_NODE_TYPE_KERNEL);
	if (!a || !b)
		return CUDA_ERROR_INVALID_VALUE;
	a->work->kernel.launch.cooperative = b->work->kernel.launch.cooperative;
	return CUDA_SUCCESS;
}

/* ---- copies and fills ---- */

static CUresult CUDAAPI cpu_cuGraphAddMemcpyNode(CUgraphNode *out, CUgraph g,
						 const CUgraphNode *before, size_t n,
						 const CUDA_MEMCPY3D *p, CUcontext ctx)
{
	struct work *w = NULL;

	ENTER();
	if (!object_find(ctx, OBJECT_CONTEXT))
		return CUDA_ERROR_INVALID_CONTEXT;
	enter_error = params_copy(p, &w);
	return add(out, g, before, n, CU_GRAPH_NODE_TYPE_MEMCPY, w, NULL, enter_error);
}

static CUresult CUDAAPI cpu_cuGraphMemcpyNodeGetParams(CUgraphNode handle, CUDA_MEMCPY3D *p)
{
	CUgraphNode n;

	ENTER();
	n = find(handle, CU_GRAPH_NODE_TYPE_MEMCPY);
	if (!n || !p)
		return CUDA_ERROR_INVALID_VALUE;
	*p = n->work->copy.d;
	return CUDA_SUCCESS;
}

static CUresult CUDAAPI cpu_cuGraphMemcpyNodeSetParams(CUgraphNode n, const CUDA_MEMCPY3D *p)
{
	struct work *w = NULL;

	ENTER();
	enter_error = params_copy(p, &w);
	return replace(find(n, CU_GRAPH_NODE_TYPE_MEMCPY), w, enter_error);
}

static CUresult CUDAAPI cpu_cuGraphAddMemsetNode(CUgraphNode *out, CUgraph g,
						 const CUgraphNode *before, size_t n,
						 const CUDA_MEMSET_NODE_PARAMS *p, CUcontext ctx)
{
	struct work *w = NULL;

	ENTER();
	if (!object_find(ctx, OBJECT_CONTEXT))
		return CUDA_ERROR_INVALID_CONTEXT;
	enter_error = params_set(p, &w);
	return add(out, g, before, n, CU_GRAPH_NODE_TYPE_MEMSET, w, NULL, enter_error);
}

static CUresult CUDAAPI cpu_cuGraphMemsetNodeGetParams(CUgraphNode handle,
						       CUDA_MEMSET_NODE_PARAMS *p)
{
	CUgraphNode n;

	ENTER();
	n = find(handle, CU_GRAPH_NODE_TYPE_MEMSET);
	if (!n || !p)
		return CUDA_ERROR_INVALID_VALUE;
	*p = n->work->set;
	return CUDA_SUCCESS;
}

static CUresult CUDAAPI cpu_cuGraphMemsetNodeSetParams(CUgraphNode n,
						       const CUDA_MEMSET_NODE_PARAMS *p)
{
	struct work *w = NULL;

	ENTER();
	enter_error = params_set(p, &w);
	return replace(find(n, CU_GRAPH_NODE_TYPE_MEMSET), w, enter_error);
}

/* ---- functions of the host, events, other graphs, nothing ---- */

static CUresult CUDAAPI cpu_cuGraphAddHostNode(CUgraphNode *out, CUgraph g,
					       const CUgraphNode *before, size_t n,
					       const CUDA_HOST_NODE_PARAMS *p)
{
	struct work *w = NULL;

	ENTER();
	enter_error = params_host(p, &w);
	return add(out, g, before, n, CU_GRAPH_NODE_TYPE_HOST, w, NULL, enter_error);
}

static CUresult CUDAAPI cpu_cuGraphHostNodeGetParams(CUgraphNode handle, CUDA_HOST_NODE_PARAMS *p)
{
	CUgraphNode n;

	ENTER();
	n = find(handle, CU_GRAPH_NODE_TYPE_HOST);
	if (!n || !p)
		return CUDA_ERROR_INVALID_VALUE;
	p->fn = n->work->host.fn;
	p->userData = n->work->host.data;
	return CUDA_SUCCESS;
}

static CUresult CUDAAPI cpu_cuGraphHostNodeSetParams(CUgraphNode n, const CUDA_HOST_NODE_PARAMS *p)
{
	struct work *w = NULL;

	ENTER();
	enter_error = params_host(p, &w);
	return replace(find(n, CU_GRAPH_NODE_TYPE_HOST), w, enter_error);
}

static CUresult add_event(CUgraphNode *out, CUgraph g, const CUgraphNode *before, size_t n,
			  CUevent e, bool record)
{
	struct work *w = NULL;

	ENTER();
	enter_error = params_event(e, record, &w);
	return add(out, g, before, n,
		   record ? CU_GRAPH_NODE_TYPE_EVENT_RECORD : CU_GRAPH_NODE_TYPE_WAIT_EVENT, w,
		   NULL, enter_error);
}

static CUresult get_event(CUgraphNode handle, CUevent *out, CUgraphNodeType type)
{
	CUgraphNode n;

	ENTER();
	n = find(handle, type);
	if (!n || !out)
		return CUDA_ERROR_INVALID_VALUE;
	*out = n->work->event.event;
	return CUDA_SUCCESS;
}

static CUresult set_event(CUgraphNode n, CUevent e, CUgraphNodeType type)
{
	struct work *w = NULL;

	ENTER();
	enter_error = params_event(e, type == CU_GRAPH_NODE_TYPE_EVENT_RECORD, &w);
	return replace(find(n, type), w, enter_error);
}

static CUresult CUDAAPI cpu_cuGraphAddEventRecordNode(CUgraphNode *out, CUgraph g,
						      const CUgraphNode *before, size_t n,
						      CUevent e)
{
	return add_event(out, g, before, n, e, true);
}

static CUresult CUDAAPI cpu_cuGraphAddEventWaitNode(CUgraphNode *out, CUgraph g,
						    const CUgraphNode *before, size_t n, CUevent e)
{
	return add_event(out, g, before, n, e, false);
}

static CUresult CUDAAPI cpu_cuGraphEventRecordNodeGetEvent(CUgraphNode n, CUevent *out)
{
	return get_event(n, out, CU_GRAPH_NODE_TYPE_EVENT_RECORD);
}

static CUresult CUDAAPI cpu_cuGraphEventWaitNodeGetEvent(CUgraphNode n, CUevent *out)
{
	return get_event(n, out, CU_GRAPH_NODE_TYPE_WAIT_EVENT);
}

static CUresult CUDAAPI cpu_cuGraphEventRecordNodeSetEvent(CUgraphNode n, CUevent e)
{
	return set_event(n, e, CU_GRAPH_NODE_TYPE_EVENT_RECORD);
}

static CUresult CUDAAPI cpu_cuGraphEventWaitNodeSetEvent(CUgraphNode n, CUevent e)
{
	return set_event(n, e, CU_GRAPH_NODE_TYPE_WAIT_EVENT);
}

static CUresult CUDAAPI cpu_cuGraphAddEmptyNode(CUgraphNode *out, CUgraph g,
						const CUgraphNode *before, size_t n)
{
	ENTER();
	return add(out, g, before, n, CU_GRAPH_NODE_TYPE_EMPTY, NULL, NULL, CUDA_SUCCESS);
}

static CUresult CUDAAPI cpu_cuGraphAddChildGraphNode(CUgraphNode *out, CUgraph g,
						     const CUgraphNode *before, size_t n,
						     CUgraph child)
{
	CUgraph copy = NULL, from;

	ENTER();
	from = object_find(child, OBJECT_GRAPH);
	enter_error = from ? graph_clone(from, &copy) : CUDA_ERROR_INVALID_VALUE;
	return add(out, g, before, n, CU_GRAPH_NODE_TYPE_GRAPH, NULL, copy, enter_error);
}

static CUresult CUDAAPI cpu_cuGraphChildGraphNodeGetGraph(CUgraphNode handle, CUgraph *out)
{
	CUgraphNode n;

	ENTER();
	n = find(handle, CU_GRAPH_NODE_TYPE_GRAPH);
	if (!n || !out || !n->child)
		return CUDA_ERROR_INVALID_VALUE;
	*out = n->child;
	return CUDA_SUCCESS;
}

static CUresult CUDAAPI cpu_cuGraphNodeGetType(CUgraphNode handle, CUgraphNodeType *type)
{
	CUgraphNode n;

	ENTER();
	n = object_find(handle, OBJECT_NODE);
	if (!n || !type)
		return CUDA_ERROR_INVALID_VALUE;
	*type = n->type;
	return CUDA_SUCCESS;
}

CPU_SYMBOLS(cpu_node_symbols, CPU_FN(cuGraphAddKernelNode_v2),
	    CPU_FN(cuGraphKernelNodeGetParams_v2), CPU_FN(cuGraphKernelNodeSetParams_v2),
	    CPU_FN(cuGraphKernelNodeGetAttribute), CPU_FN(cuGraphKernelNodeSetAttribute),
	    CPU_FN(cuGraphKernelNodeCopyAttributes), CPU_FN(cuGraphAddMemcpyNode),
	    CPU_FN(cuGraphMemcpyNodeGetParams), CPU_FN(cuGraphMemcpyNodeSetParams),
	    CPU_FN(cuGraphAddMemsetNode), CPU_FN(cuGraphMemsetNodeGetParams),
	    CPU_FN(cuGraphMemsetNodeSetParams), CPU_FN(cuGraphAddHostNode),
	    CPU_FN(cuGraphHostNodeGetParams), CPU_FN(cuGraphHostNodeSetParams),
	    CPU_FN(cuGraphAddEventRecordNode), CPU_FN(cuGraphAddEventWaitNode),
	    CPU_FN(cuGraphEventRecordNodeGetEvent), CPU_FN(cuGraphEventWaitNodeGetEvent),
	    CPU_FN(cuGraphEventRecordNodeSetEvent), CPU_FN(cuGraphEventWaitNodeSetEvent),
	    CPU_FN(cuGraphAddEmptyNode), CPU_FN(cuGraphAddChildGraphNode),
	    CPU_FN(cuGraphChildGraphNodeGetGraph), CPU_FN(cuGraphNodeGetType));
