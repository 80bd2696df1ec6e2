/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Making, cloning and sorting graphs.
 */
#include "graph.h"

static uint64_t next_id(void)
{
	static uint64_t id;

	return ++id;
}

static void finish_node(void *object)
{
	CUgraphNode n = object;

	work_free(n->work);
	if (n->child)
		graph_drop(n->child);
	g_ptr_array_free(n->before, TRUE);
	g_ptr_array_free(n->after, TRUE);
	g_free(n->param);
}

static void finish_graph(void *object)
{
	g_ptr_array_free(((CUgraph)object)->node, TRUE);
}

CUresult graph_new(CUgraph *out)
{
	CUgraph g = object_new(OBJECT_GRAPH, sizeof(*g), finish_graph);

	if (!g)
		return CUDA_ERROR_OUT_OF_MEMORY;
	g->node = g_ptr_array_new();
	g->depth = 1;
	g->id = next_id();
	*out = g;
	return CUDA_SUCCESS;
}

void graph_drop(CUgraph g)
{
	for (unsigned int i = 0; i < g->node->len; i++) {
		CUgraphNode n = g->node->pdata[i];

		n->graph = NULL;
		g_ptr_array_set_size(n->before, 0);
		g_ptr_array_set_size(n->after, 0);
		object_retire(n);
	}
	g_ptr_array_set_size(g->node, 0);
	object_retire(g);
}

CUgraphNodeType work_node_type(const struct work *w)
{
	switch (w->kind) {
	case WORK_KERNEL:
		return CU_GRAPH_NODE_TYPE_KERNEL;
	case WORK_COPY:
		return CU_GRAPH_NODE_TYPE_MEMCPY;
	case WORK_MEMSET:
		return CU_GRAPH_NODE_TYPE_MEMSET;
	case WORK_HOST:
		return CU_GRAPH_NODE_TYPE_HOST;
	case WORK_RECORD:
		return CU_GRAPH_NODE_TYPE_EVENT_RECORD;
	case WORK_WAIT:
		return CU_GRAPH_NODE_TYPE_WAIT_EVENT;
	case WORK_VALUE:
		return CU_GRAPH_NODE_TYPE_BATCH_MEM_OP;
	case WORK_ALLOC:
		return CU_GRAPH_NODE_TYPE_MEM_ALLOC;
	case WORK_FREE:
		return CU_GRAPH_NODE_TYPE_MEM_FREE;
	case WORK_EXEC:
		return CU_GRAPH_NODE_TYPE_GRAPH;
	default:
		return CU_GRAPH_NODE_TYPE_EMPTY;
	}
}

void node_set_work(CUgraphNode n, struct work *w)
{
	work_free(n->work);
	g_clear_pointer(&n->param, g_free);
	n->work = w;
}

bool graph_has_edge(const CUgraphNode from, const CUgraphNode to)
{
	return g_ptr_array_find(to->before, from, NULL);
}

CUresult graph_add_edge(CUgraphNode from, CUgraphNode to)
{
	if (from == to || !from->graph || from->graph != to->graph || graph_has_edge(from, to))
		return CUDA_ERROR_INVALID_VALUE;
	g_ptr_array_add(to->before, from);
	g_ptr_array_add(from->after, to);
	return CUDA_SUCCESS;
}

static size_t weight(const struct work *w, const CUgraph child)
{
	return 1 + work_weight(w) + (child ? child->total : 0);
}

/* Graphs of graphs of graphs would grow without bounds if only nodes counted. */
static CUresult check_room(const CUgraph g, const struct work *w, const CUgraph child)
{
	size_t more = weight(w, child);

	if (more > GRAPH_NODES_MAX || g->total > GRAPH_NODES_MAX - more)
		return CUDA_ERROR_OUT_OF_MEMORY;
	if (child && child->depth >= GRAPH_DEPTH_MAX)
		return CUDA_ERROR_OUT_OF_MEMORY;
	return CUDA_SUCCESS;
}

static CUresult check_before(const CUgraph g, const CUgraphNode *before, size_t count)
{
	if (count && !before)
		return CUDA_ERROR_INVALID_VALUE;
	for (size_t i = 0; i < count; i++) {
		CUgraphNode n = object_find(before[i], OBJECT_NODE);

		if (!n || n->graph != g)
			return CUDA_ERROR_INVALID_VALUE;
	}
	return CUDA_SUCCESS;
}

CUresult graph_add(CUgraph g, CUgraphNodeType type, struct work *work, CUgraph child,
		   const CUgraphNode *before, size_t count, CUgraphNode *out)
{
	CUresult err = check_room(g, work, child);
	CUgraphNode n = NULL;

	if (!err)
		err = check_before(g, before, count);
	if (!err) {
		n = object_new(OBJECT_NODE, sizeof(*n), finish_node);
		if (!n)
			err = CUDA_ERROR_OUT_OF_MEMORY;
	}
	if (err) {
		work_free(work);
		if (child)
			graph_drop(child);
		return err;
	}
	n->graph = g;
	n->type = type;
	n->work = work;
	n->child = child;
	n->id = next_id();
	n->before = g_ptr_array_new();
	n->after = g_ptr_array_new();
	g_ptr_array_add(g->node, n);
	g->total += weight(work, child);
	if (child) {
		child->owned = true;
		g->depth = MAX(g->depth, child->depth + 1);
	}
	for (size_t i = 0; i < count; i++)
		graph_add_edge(before[i], n); /* one that is there twice counts once */
	*out = n;
	return CUDA_SUCCESS;
}

static CUresult clone_node(const CUgraphNode from, CUgraph to)
{
	CUgraph child = NULL;
	CUgraphNode n;
	CUresult err;

	if (from->child) {
		err = graph_clone(from->child, &child);
		if (err)
			return err;
	}
	err = graph_add(to, from->type, from->work ? work_clone(from->work) : NULL, child, NULL, 0,
			&n);
	if (!err)
		n->copy_of = from->id;
	return err;
}

CUresult graph_clone(const CUgraph from, CUgraph *out)
{
	CUgraph to;
	CUresult err = graph_has_memory(from) ? CUDA_ERROR_NOT_SUPPORTED : graph_new(&to);

	if (err)
		return err;
	to->copy_of = from->id;
	for (unsigned int i = 0; i < from->node->len && !err; i++) {
		((CUgraphNode)from->node->pdata[i])->index = i;
		err = clone_node(from->node->pdata[i], to);
	}
	if (err) {
		graph_drop(to);
		return err;
	}
	for (unsigned int i = 0; i < from->node->len; i++) {
		const CUgraphNode n = from->node->pdata[i];

		for (unsigned int j = 0; j < n->before->len; j++)
			graph_add_edge(to->node->pdata[((CUgraphNode)n->before->pdata[j])->index],
				       to->node->pdata[i]);
	}
	*out = to;
	return CUDA_SUCCESS;
}

GPtrArray *graph_sort(CUgraph g)
{
	GPtrArray *order = g_ptr_array_sized_new(g->node->len);

	for (unsigned int i = 0; i < g->node->len; i++) {
		CUgraphNode n = g->node->pdata[i];

		n->open = n->before->len;
		if (!n->open)
			g_ptr_array_add(order, n);
	}
	for (unsigned int i = 0; i < order->len; i++) {
		CUgraphNode n = order->pdata[i];

		n->index = i;
		for (unsigned int j = 0; j < n->after->len; j++)
			if (--((CUgraphNode)n->after->pdata[j])->open == 0)
				g_ptr_array_add(order, n->after->pdata[j]);
	}
	if (order->len == g->node->len)
		return order;
	g_ptr_array_free(order, TRUE);
	return NULL;
}

static CUresult CUDAAPI cpu_cuGraphCreate(CUgraph *out, unsigned int flags)
{
	ENTER();
	return out && !flags ? graph_new(out) : CUDA_ERROR_INVALID_VALUE;
}

static CUresult CUDAAPI cpu_cuGraphDestroy(CUgraph handle)
{
	CUgraph g;

	ENTER();
	g = object_find(handle, OBJECT_GRAPH);
	if (!g || g->owned)
		return CUDA_ERROR_INVALID_VALUE;
	graph_drop(g);
	return CUDA_SUCCESS;
}

static CUresult CUDAAPI cpu_cuGraphClone(CUgraph *out, CUgraph handle)
{
	CUgraph g;

	ENTER();
	g = object_find(handle, OBJECT_GRAPH);
	return out && g ? graph_clone(g, out) : CUDA_ERROR_INVALID_VALUE;
}

static CUresult CUDAAPI cpu_cuGraphNodeFindInClone(CUgraphNode *out, CUgraphNode original,
						   CUgraph clone)
{
	CUgraphNode n;
	CUgraph g;

	ENTER();
	n = object_find(original, OBJECT_NODE);
	g = object_find(clone, OBJECT_GRAPH);
	if (!out || !n || !g || !n->graph || g->copy_of != n->graph->id)
		return CUDA_ERROR_INVALID_VALUE;
	for (unsigned int i = 0; i < g->node->len; i++) {
		if (((CUgraphNode)g->node->pdata[i])->copy_of == n->id) {
			*out = g->node->pdata[i];
			return CUDA_SUCCESS;
		}
	}
	return CUDA_ERROR_INVALID_VALUE;
}

static CUresult CUDAAPI cpu_cuGraphDestroyNode(CUgraphNode handle)
{
	CUgraphNode n;

	ENTER();
	n = object_find(handle, OBJECT_NODE);
	if (!n || !n->graph)
		return CUDA_ERROR_INVALID_VALUE;
	if (n->type == CU_GRAPH_NODE_TYPE_MEM_ALLOC || n->type == CU_GRAPH_NODE_TYPE_MEM_FREE)
		return CUDA_ERROR_NOT_SUPPORTED;
	for (unsigned int i = 0; i < n->before->len; i++)
		g_ptr_array_remove(((CUgraphNode)n->before->pdata[i])->after, n);
	for (unsigned int i = 0; i < n->after->len; i++)
		g_ptr_array_remove(((CUgraphNode)n->after->pdata[i])->before, n);
	g_ptr_array_set_size(n->before, 0);
	g_ptr_array_set_size(n->after, 0);
	g_ptr_array_remove(n->graph->node, n);
	n->graph->total -= weight(n->work, n->child);
	n->graph = NULL;
	object_retire(n);
	return CUDA_SUCCESS;
}

CPU_SYMBOLS(cpu_graph_symbols, CPU_FN(cuGraphCreate), CPU_FN(cuGraphDestroy), CPU_FN(cuGraphClone),
	    CPU_FN(cuGraphNodeFindInClone), CPU_FN(cuGraphDestroyNode));
