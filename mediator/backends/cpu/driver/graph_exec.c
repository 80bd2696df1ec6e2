/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Executable graphs: the work of a graph's nodes in an order that it allows.
 */
#include "graph.h"

struct exec_node {
	uint64_t id; /* of the node it was made from */
	CUgraphNodeType type;
	bool enabled;
	struct work *work; /* owned, or NULL */
	GPtrArray *child;  /* of struct exec_node, or NULL */
	GArray *before;    /* places of those that come first, in order */
};

struct CUgraphExec_st {
	struct object obj;
	GPtrArray *node;
	cuuint64_t flags;
	CUgraph memory; /* that it was made of, counted, if that has memory; or NULL */
};

static void free_node(void *data)
{
	struct exec_node *n = data;

	work_free(n->work);
	if (n->child)
		g_ptr_array_free(n->child, TRUE);
	g_array_free(n->before, TRUE);
	g_free(n);
}

static void finish(void *object)
{
	CUgraphExec e = object;

	g_ptr_array_free(e->node, TRUE);
	if (e->memory) {
		e->memory->exec = NULL;
		object_unref(e->memory);
	}
}

static int compare(const void *a, const void *b)
{
	unsigned int x = *(const unsigned int *)a, y = *(const unsigned int *)b;

	return (x > y) - (x < y);
}

static GPtrArray *flatten(CUgraph g);

static struct exec_node *make_node(const CUgraphNode from)
{
	struct exec_node *n = g_new0(struct exec_node, 1);

	n->id = from->id;
	n->type = from->type;
	n->enabled = true;
	n->before = g_array_new(FALSE, FALSE, sizeof(unsigned int));
	if (from->work)
		n->work = work_clone(from->work);
	for (unsigned int i = 0; i < from->before->len; i++)
		g_array_append_val(n->before, ((CUgraphNode)from->before->pdata[i])->index);
	g_array_sort(n->before, compare);
	return n;
}

/* NULL: the graph has a circle. */
static GPtrArray *flatten(CUgraph g)
{
	GPtrArray *order = graph_sort(g), *list;
	bool ok = true;

	if (!order)
		return NULL;
	list = g_ptr_array_new_with_free_func(free_node);
	for (unsigned int i = 0; i < order->len && ok; i++) {
		const CUgraphNode from = order->pdata[i];
		struct exec_node *n = make_node(from);

		g_ptr_array_add(list, n);
		if (from->child) {
			n->child = flatten(from->child);
			ok = n->child != NULL;
		}
	}
	g_ptr_array_free(order, TRUE);
	if (ok)
		return list;
	g_ptr_array_free(list, TRUE);
	return NULL;
}

#define FLAGS                                                                                   \
	(CUDA_GRAPH_INSTANTIATE_FLAG_AUTO_FREE_ON_LAUNCH | CUDA_GRAPH_INSTANTIATE_FLAG_UPLOAD | \
	 CUDA_GRAPH_INSTANTIATE_FLAG_USE_NODE_PRIORITY)

static CUresult instantiate(CUgraphExec *out, CUgraph handle, unsigned long long flags)
{
	GPtrArray *list;
	CUgraphExec e;
	CUgraph g;

	g = object_find(handle, OBJECT_GRAPH);
	if (!g || !out)
		return CUDA_ERROR_INVALID_VALUE;
	if (flags & ~(unsigned long long)FLAGS)
		return CUDA_ERROR_NOT_SUPPORTED;
	if (g->exec) /* memory has one place, and can be in one graph at a time */
		return CUDA_ERROR_NOT_SUPPORTED;
	list = flatten(g);
	if (!list)
		return CUDA_ERROR_INVALID_VALUE;
	e = object_new(OBJECT_EXEC, sizeof(*e), finish);
	if (!e) {
		g_ptr_array_free(list, TRUE);
		return CUDA_ERROR_OUT_OF_MEMORY;
	}
	e->node = list;
	e->flags = flags;
	if (graph_has_memory(g)) {
		e->memory = object_ref(g);
		g->exec = e;
	}
	*out = e;
	return CUDA_SUCCESS;
}

static CUresult CUDAAPI cpu_cuGraphInstantiateWithFlags(CUgraphExec *out, CUgraph g,
							unsigned long long flags)
{
	ENTER();
	return instantiate(out, g, flags);
}

static CUresult CUDAAPI cpu_cuGraphInstantiateWithParams(CUgraphExec *out, CUgraph g,
							 CUDA_GRAPH_INSTANTIATE_PARAMS *p)
{
	ENTER();
	if (!p)
		return CUDA_ERROR_INVALID_VALUE;
	p->hErrNode_out = NULL;
	enter_error = instantiate(out, g, p->flags);
	p->result_out = enter_error ? CUDA_GRAPH_INSTANTIATE_ERROR : CUDA_GRAPH_INSTANTIATE_SUCCESS;
	return enter_error;
}

static CUresult CUDAAPI cpu_cuGraphExecGetFlags(CUgraphExec handle, cuuint64_t *flags)
{
	CUgraphExec e;

	ENTER();
	e = object_find(handle, OBJECT_EXEC);
	if (!e || !flags)
		return CUDA_ERROR_INVALID_VALUE;
	*flags = e->flags;
	return CUDA_SUCCESS;
}

static CUresult CUDAAPI cpu_cuGraphExecDestroy(CUgraphExec handle)
{
	CUgraphExec e;

	ENTER();
	e = object_find(handle, OBJECT_EXEC);
	if (!e)
		return CUDA_ERROR_INVALID_VALUE;
	object_retire(e);
	return CUDA_SUCCESS;
}

static void collect(const GPtrArray *list, struct exec_work *to)
{
	for (unsigned int i = 0; i < list->len; i++) {
		const struct exec_node *n = list->pdata[i];

		if (!n->enabled)
			continue;
		to->total += work_weight(n->work);
		if (n->work)
			g_ptr_array_add(to->work, work_clone(n->work));
		if (n->child)
			collect(n->child, to);
	}
}

static CUresult CUDAAPI cpu_cuGraphLaunch(CUgraphExec handle, CUstream stream)
{
	struct work *w;
	CUgraphExec e;
	CUstream s;

	ENTER_CONTEXT(ctx);
	e = object_find(handle, OBJECT_EXEC);
	if (!e)
		return CUDA_ERROR_INVALID_VALUE;
	enter_error = stream_find(ctx, stream, &s);
	if (enter_error)
		return enter_error;
	w = work_new(WORK_EXEC);
	w->exec.work = g_ptr_array_new();
	collect(e->node, &w->exec);
	if (e->memory)
		enter_error =
			s->capture
				? CUDA_ERROR_NOT_SUPPORTED
				: graph_memory_launch(
					  w->exec.work,
					  e->flags &
						  CUDA_GRAPH_INSTANTIATE_FLAG_AUTO_FREE_ON_LAUNCH);
	if (!enter_error)
		return stream_submit_or_capture(s, w);
	work_free(w);
	return enter_error;
}

static CUresult CUDAAPI cpu_cuGraphUpload(CUgraphExec handle, CUstream stream)
{
	CUstream s;

	ENTER_CONTEXT(ctx);
	if (!object_find(handle, OBJECT_EXEC))
		return CUDA_ERROR_INVALID_VALUE;
	return stream_find(ctx, stream, &s);
}

static CUgraphExecUpdateResult update(GPtrArray *old, GPtrArray *new, bool apply)
{
	if (old->len != new->len)
		return CU_GRAPH_EXEC_UPDATE_ERROR_TOPOLOGY_CHANGED;
	for (unsigned int i = 0; i < old->len; i++) {
		struct exec_node *a = old->pdata[i], *b = new->pdata[i];
		CUgraphExecUpdateResult r = CU_GRAPH_EXEC_UPDATE_SUCCESS;

		if (a->type != b->type)
			return CU_GRAPH_EXEC_UPDATE_ERROR_NODE_TYPE_CHANGED;
		if ((a->type == CU_GRAPH_NODE_TYPE_MEM_ALLOC ||
		     a->type == CU_GRAPH_NODE_TYPE_MEM_FREE) &&
		    a->work->free.id != b->work->free.id)
			return CU_GRAPH_EXEC_UPDATE_ERROR_PARAMETERS_CHANGED;
		if (a->before->len != b->before->len || !a->child != !b->child)
			return CU_GRAPH_EXEC_UPDATE_ERROR_TOPOLOGY_CHANGED;
		for (unsigned int j = 0; j < a->before->len; j++)
			if (g_array_index(a->before, unsigned int, j) !=
			    g_array_index(b->before, unsigned int, j))
				return CU_GRAPH_EXEC_UPDATE_ERROR_TOPOLOGY_CHANGED;
		if (a->child)
			r = update(a->child, b->child, apply);
		if (r)
			return r;
		if (apply) {
			struct work *w = a->work;

			a->work = b->work;
			b->work = w;
		}
	}
	return CU_GRAPH_EXEC_UPDATE_SUCCESS;
}

static CUresult CUDAAPI cpu_cuGraphExecUpdate_v2(CUgraphExec handle, CUgraph graph,
						 CUgraphExecUpdateResultInfo *info)
{
	CUgraphExecUpdateResult r;
	GPtrArray *list;
	CUgraphExec e;
	CUgraph g;

	ENTER();
	e = object_find(handle, OBJECT_EXEC);
	g = object_find(graph, OBJECT_GRAPH);
	if (!e || !g || !info)
		return CUDA_ERROR_INVALID_VALUE;
	*info = (CUgraphExecUpdateResultInfo){.result = CU_GRAPH_EXEC_UPDATE_ERROR};
	list = flatten(g);
	if (!list)
		return CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE;
	r = update(e->node, list, false);
	if (!r)
		update(e->node, list, true);
	g_ptr_array_free(list, TRUE);
	info->result = r;
	return r ? CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE : CUDA_SUCCESS;
}

static struct exec_node *search(const GPtrArray *list, uint64_t id)
{
	for (unsigned int i = 0; i < list->len; i++) {
		struct exec_node *n = list->pdata[i], *found;

		if (n->id == id)
			return n;
		found = n->child ? search(n->child, id) : NULL;
		if (found)
			return found;
	}
	return NULL;
}

/* The node of the executable graph that was made from `node`. */
static struct exec_node *find(CUgraphExec handle, CUgraphNode node)
{
	CUgraphExec e = object_find(handle, OBJECT_EXEC);
	CUgraphNode n = object_find(node, OBJECT_NODE);

	return e && n ? search(e->node, n->id) : NULL;
}

static CUresult replace(CUgraphExec e, CUgraphNode node, CUgraphNodeType type, struct work *w,
			CUresult err)
{
	struct exec_node *n = find(e, node);

	if (err)
		return err;
	if (!n || n->type != type) {
		work_free(w);
		return CUDA_ERROR_INVALID_VALUE;
	}
	work_free(n->work);
	n->work = w;
	return CUDA_SUCCESS;
}

static CUresult CUDAAPI cpu_cuGraphExecKernelNodeSetParams_v2(CUgraphExec e, CUgraphNode n,
							      const CUDA_KERNEL_NODE_PARAMS *p)
{
	struct work *w = NULL;

	ENTER();
	enter_error = params_kernel(p, &w);
	return replace(e, n, CU_GRAPH_NODE_TYPE_KERNEL, w, enter_error);
}

static CUresult CUDAAPI cpu_cuGraphExecMemcpyNodeSetParams(CUgraphExec e, CUgraphNode n,
							   const CUDA_MEMCPY3D *p, CUcontext ctx)
{
	struct work *w = NULL;

	ENTER();
	if (!object_find(ctx, OBJECT_CONTEXT))
		return CUDA_ERROR_INVALID_CONTEXT;
	enter_error = p ? copy_make(p, ACCESS_LATER, &w) : CUDA_ERROR_INVALID_VALUE;
	return replace(e, n, CU_GRAPH_NODE_TYPE_MEMCPY, w, enter_error);
}

static CUresult CUDAAPI cpu_cuGraphExecMemsetNodeSetParams(CUgraphExec e, CUgraphNode n,
							   const CUDA_MEMSET_NODE_PARAMS *p,
							   CUcontext ctx)
{
	struct work *w = NULL;

	ENTER();
	if (!object_find(ctx, OBJECT_CONTEXT))
		return CUDA_ERROR_INVALID_CONTEXT;
	enter_error = p ? memset_make(p, ACCESS_LATER, &w) : CUDA_ERROR_INVALID_VALUE;
	return replace(e, n, CU_GRAPH_NODE_TYPE_MEMSET, w, enter_error);
}

static CUresult CUDAAPI cpu_cuGraphExecHostNodeSetParams(CUgraphExec e, CUgraphNode n,
							 const CUDA_HOST_NODE_PARAMS *p)
{
	struct work *w = NULL;

	ENTER();
	enter_error = params_host(p, &w);
	return replace(e, n, CU_GRAPH_NODE_TYPE_HOST, w, enter_error);
}

static CUresult CUDAAPI cpu_cuGraphExecEventRecordNodeSetEvent(CUgraphExec e, CUgraphNode n,
							       CUevent event)
{
	struct work *w = NULL;

	ENTER();
	enter_error = params_event(event, true, &w);
	return replace(e, n, CU_GRAPH_NODE_TYPE_EVENT_RECORD, w, enter_error);
}

static CUresult CUDAAPI cpu_cuGraphExecEventWaitNodeSetEvent(CUgraphExec e, CUgraphNode n,
							     CUevent event)
{
	struct work *w = NULL;

	ENTER();
	enter_error = params_event(event, false, &w);
	return replace(e, n, CU_GRAPH_NODE_TYPE_WAIT_EVENT, w, enter_error);
}

static CUresult CUDAAPI cpu_cuGraphExecChildGraphNodeSetParams(CUgraphExec e, CUgraphNode node,
							       CUgraph graph)
{
	struct exec_node *n;
	GPtrArray *list;
	CUgraph g;

	ENTER();
	n = find(e, node);
	g = object_find(graph, OBJECT_GRAPH);
	list = n && n->child && g ? flatten(g) : NULL;
	if (!list)
		return CUDA_ERROR_INVALID_VALUE;
	if (update(n->child, list, false))
		enter_error = CUDA_ERROR_INVALID_VALUE;
	else
		update(n->child, list, true);
	g_ptr_array_free(list, TRUE);
	return enter_error;
}

static bool can_be_disabled(const struct exec_node *n)
{
	return n && (n->type == CU_GRAPH_NODE_TYPE_KERNEL || n->type == CU_GRAPH_NODE_TYPE_MEMCPY ||
		     n->type == CU_GRAPH_NODE_TYPE_MEMSET);
}

static CUresult CUDAAPI cpu_cuGraphNodeSetEnabled(CUgraphExec e, CUgraphNode node, unsigned int on)
{
	struct exec_node *n;

	ENTER();
	n = find(e, node);
	if (!can_be_disabled(n))
		return CUDA_ERROR_INVALID_VALUE;
	n->enabled = on != 0;
	return CUDA_SUCCESS;
}

static CUresult CUDAAPI cpu_cuGraphNodeGetEnabled(CUgraphExec e, CUgraphNode node, unsigned int *on)
{
	const struct exec_node *n;

	ENTER();
	n = find(e, node);
	if (!on || !can_be_disabled(n))
		return CUDA_ERROR_INVALID_VALUE;
	*on = n->enabled;
	return CUDA_SUCCESS;
}

CPU_SYMBOLS(cpu_exec_symbols, CPU_FN(cuGraphInstantiateWithFlags),
	    CPU_FN(cuGraphInstantiateWithParams), CPU_FN(cuGraphExecGetFlags),
	    CPU_FN(cuGraphExecDestroy), CPU_FN(cuGraphLaunch), CPU_FN(cuGraphUpload),
	    CPU_FN(cuGraphExecUpdate_v2), CPU_FN(cuGraphExecKernelNodeSetParams_v2),
	    CPU_FN(cuGraphExecMemcpyNodeSetParams), CPU_FN(cuGraphExecMemsetNodeSetParams),
	    CPU_FN(cuGraphExecHostNodeSetParams), CPU_FN(cuGraphExecEventRecordNodeSetEvent),
	    CPU_FN(cuGraphExecEventWaitNodeSetEvent), CPU_FN(cuGraphExecChildGraphNodeSetParams),
	    CPU_FN(cuGraphNodeSetEnabled), CPU_FN(cuGraphNodeGetEnabled));
