/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The nodes and edges of a graph: asked for, added, taken away.
 */
#include <string.h>

#include "graph.h"

/* Fills what there is room for; without a list only the number is given. */
static CUresult give(const GPtrArray *list, CUgraphNode *out, size_t *n)
{
	if (!n || (out && !*n)) /* as the real one has it */
		return CUDA_ERROR_INVALID_VALUE;
	for (size_t i = 0; out && i < *n; i++)
		out[i] = i < list->len ? list->pdata[i] : NULL;
	*n = out ? MIN(*n, list->len) : list->len;
	return CUDA_SUCCESS;
}

static CUresult CUDAAPI cpu_cuGraphGetNodes(CUgraph handle, CUgraphNode *out, size_t *n)
{
	CUgraph g;

	ENTER();
	g = object_find(handle, OBJECT_GRAPH);
	return g ? give(g->node, out, n) : CUDA_ERROR_INVALID_VALUE;
}

static CUresult CUDAAPI cpu_cuGraphGetRootNodes(CUgraph handle, CUgraphNode *out, size_t *n)
{
	GPtrArray *list;
	CUgraph g;

	ENTER();
	g = object_find(handle, OBJECT_GRAPH);
	if (!g)
		return CUDA_ERROR_INVALID_VALUE;
	list = g_ptr_array_new();
	for (unsigned int i = 0; i < g->node->len; i++)
		if (!((CUgraphNode)g->node->pdata[i])->before->len)
			g_ptr_array_add(list, g->node->pdata[i]);
	enter_error = give(list, out, n);
	g_ptr_array_free(list, TRUE);
	return enter_error;
}

static CUresult CUDAAPI cpu_cuGraphGetEdges_v2(CUgraph handle, CUgraphNode *from, CUgraphNode *to,
					       CUgraphEdgeData *data, size_t *n)
{
	size_t total = 0;
	CUgraph g;

	ENTER();
	g = object_find(handle, OBJECT_GRAPH);
	if (!g || !n || !from != !to || (from && !*n))
		return CUDA_ERROR_INVALID_VALUE;
	for (unsigned int i = 0; i < g->node->len; i++) {
		const CUgraphNode node = g->node->pdata[i];

		for (unsigned int j = 0; j < node->before->len; j++, total++) {
			if (!from || total >= *n)
				continue;
			from[total] = node->before->pdata[j];
			to[total] = node;
		}
	}
	for (size_t i = total; from && i < *n; i++)
		from[i] = to[i] = NULL;
	if (data && from)
		memset(data, 0, MIN(*n, total) * sizeof(*data));
	*n = from ? MIN(*n, total) : total;
	return CUDA_SUCCESS;
}

static CUresult neighbours(CUgraphNode handle, CUgraphNode *out, CUgraphEdgeData *data, size_t *n,
			   bool before)
{
	CUgraphNode node;

	ENTER();
	node = object_find(handle, OBJECT_NODE);
	if (!node)
		return CUDA_ERROR_INVALID_VALUE;
	enter_error = give(before ? node->before : node->after, out, n);
	if (!enter_error && out && data)
		memset(data, 0, *n * sizeof(*data));
	return enter_error;
}

static CUresult CUDAAPI cpu_cuGraphNodeGetDependencies_v2(CUgraphNode n, CUgraphNode *out,
							  CUgraphEdgeData *data, size_t *count)
{
	return neighbours(n, out, data, count, true);
}

static CUresult CUDAAPI cpu_cuGraphNodeGetDependentNodes_v2(CUgraphNode n, CUgraphNode *out,
							    CUgraphEdgeData *data, size_t *count)
{
	return neighbours(n, out, data, count, false);
}

/* Nodes of the graph `g`, or NULL. */
static CUgraphNode node_of(CUgraph g, CUgraphNode handle)
{
	CUgraphNode n = object_find(handle, OBJECT_NODE);

	return n && n->graph == g ? n : NULL;
}

static bool is_plain(const CUgraphEdgeData *data, size_t i)
{
	static const CUgraphEdgeData plain;

	return !data || !memcmp(&data[i], &plain, sizeof(plain));
}

static CUresult CUDAAPI cpu_cuGraphAddDependencies_v2(CUgraph handle, const CUgraphNode *from,
						      const CUgraphNode *to,
						      const CUgraphEdgeData *data, size_t n)
{
	CUgraph g;

	ENTER();
	g = object_find(handle, OBJECT_GRAPH);
	if (!g || (n && (!from || !to)))
		return CUDA_ERROR_INVALID_VALUE;
	for (size_t i = 0; i < n; i++) {
		if (!node_of(g, from[i]) || !node_of(g, to[i]))
			return CUDA_ERROR_INVALID_VALUE;
		if (!is_plain(data, i))
			return CUDA_ERROR_NOT_SUPPORTED;
	}
	for (size_t i = 0; i < n && !enter_error; i++)
		enter_error = graph_add_edge(from[i], to[i]);
	return enter_error;
}

static CUresult CUDAAPI cpu_cuGraphRemoveDependencies_v2(CUgraph handle, const CUgraphNode *from,
							 const CUgraphNode *to,
							 const CUgraphEdgeData *data, size_t n)
{
	CUgraph g;

	(void)data;
	ENTER();
	g = object_find(handle, OBJECT_GRAPH);
	if (!g || (n && (!from || !to)))
		return CUDA_ERROR_INVALID_VALUE;
	for (size_t i = 0; i < n; i++)
		if (!node_of(g, from[i]) || !node_of(g, to[i]) || !graph_has_edge(from[i], to[i]))
			return CUDA_ERROR_INVALID_VALUE;
	for (size_t i = 0; i < n; i++) {
		g_ptr_array_remove(to[i]->before, from[i]);
		g_ptr_array_remove(from[i]->after, to[i]);
	}
	return CUDA_SUCCESS;
}

/* The form before edges had data. */
static CUresult CUDAAPI cpu_cuGraphGetEdges(CUgraph g, CUgraphNode *from, CUgraphNode *to,
					    size_t *n)
{
	return cpu_cuGraphGetEdges_v2(g, from, to, NULL, n);
}

CPU_SYMBOLS(cpu_edge_symbols, CPU_FN(cuGraphGetNodes), CPU_FN(cuGraphGetRootNodes),
	    CPU_FN(cuGraphGetEdges_v2), {"cuGraphGetEdges", (cpu_fn)cpu_cuGraphGetEdges, 1},
	    CPU_FN(cuGraphNodeGetDependencies_v2), CPU_FN(cuGraphNodeGetDependentNodes_v2),
	    CPU_FN(cuGraphAddDependencies_v2), CPU_FN(cuGraphRemoveDependencies_v2));
