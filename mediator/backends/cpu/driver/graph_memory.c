/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Memory of graphs: its addresses are its node's for good, and whether there is
 * memory behind them is decided by launches and frees, in or outside of a graph.
 *
 * The range lives as long as pieces of work name it (nodes, executable graphs,
 * launches), and longer if the program has not freed what was launched.  What a
 * launch will have done counts from the launch on; that the memory cannot be
 * reached any more, only once a stream has come that far.
 */
#include "graph.h"

static struct range *range_of(const struct free_work *f)
{
	struct range *r = range_find(f->address);

	return r && r->base == f->address && r->id == f->id ? r : NULL;
}

static void set_reachable(struct range *r, bool reachable)
{
	r->readable = r->writable = reachable;
}

CUresult graph_memory_new(size_t size, struct work **out)
{
	struct range *r;
	CUresult err = range_new(RANGE_GRAPH, size, NULL, &r);

	if (err)
		return err;
	set_reachable(r, false);
	r->users = 1;
	*out = work_new(WORK_ALLOC);
	(*out)->free = (struct free_work){.address = r->base, .id = r->id};
	return CUDA_SUCCESS;
}

void graph_memory_ref(const struct free_work *f)
{
	struct range *r = range_of(f);

	if (r && r->kind == RANGE_GRAPH)
		r->users++;
}

static void remove_unused(struct range *r)
{
	if (!r->users && !r->allocated)
		range_remove(r);
}

void graph_memory_unref(const struct free_work *f)
{
	struct range *r = range_of(f);

	if (!r || r->kind != RANGE_GRAPH)
		return;
	r->users--;
	remove_unused(r);
}

CUresult graph_memory_free(struct range *r)
{
	if (!r->allocated)
		return CUDA_ERROR_INVALID_VALUE;
	r->allocated = false;
	return CUDA_SUCCESS;
}

void graph_memory_gone(struct range *r)
{
	if (r->allocated) /* launched again meanwhile */
		return;
	set_reachable(r, false);
	remove_unused(r);
}

void graph_memory_here(const struct free_work *f)
{
	set_reachable(range_of(f), true);
}

/* Is it allocated by one of the first `n`? */
static bool allocates(const GPtrArray *list, unsigned int n, const struct free_work *f)
{
	for (unsigned int i = 0; i < n; i++) {
		const struct work *w = list->pdata[i];

		if (w->kind == WORK_ALLOC && w->free.id == f->id)
			return true;
	}
	return false;
}

static CUresult check(const GPtrArray *list, bool auto_free)
{
	for (unsigned int i = 0; i < list->len; i++) {
		const struct work *w = list->pdata[i];
		const struct range *r;

		if (w->kind != WORK_ALLOC && w->kind != WORK_FREE)
			continue;
		r = range_of(&w->free);
		if (w->kind == WORK_ALLOC && r->allocated && !auto_free)
			return CUDA_ERROR_INVALID_VALUE;
		if (w->kind == WORK_FREE && (!r || (r->kind == RANGE_GRAPH && !r->allocated &&
						    !allocates(list, i, &w->free))))
			return CUDA_ERROR_INVALID_VALUE;
	}
	return CUDA_SUCCESS;
}

CUresult graph_memory_launch(const GPtrArray *list, bool auto_free)
{
	CUresult err = check(list, auto_free);

	for (unsigned int i = 0; i < list->len && !err; i++) {
		const struct work *w = list->pdata[i];
		struct range *r;

		if (w->kind != WORK_ALLOC && w->kind != WORK_FREE)
			continue;
		r = range_of(&w->free);
		r->allocated = w->kind == WORK_ALLOC;
		if (r->allocated)
			set_reachable(r, true);
	}
	return err;
}

bool graph_has_memory(const CUgraph g)
{
	for (unsigned int i = 0; i < g->node->len; i++) {
		const CUgraphNode n = g->node->pdata[i];

		if (n->type == CU_GRAPH_NODE_TYPE_MEM_ALLOC ||
		    n->type == CU_GRAPH_NODE_TYPE_MEM_FREE)
			return true;
	}
	return false;
}

/* ---- nodes ---- */

static CUresult CUDAAPI cpu_cuGraphAddMemAllocNode(CUgraphNode *out, CUgraph handle,
						   const CUgraphNode *before, size_t n,
						   CUDA_MEM_ALLOC_NODE_PARAMS *p)
{
	struct work *w;
	CUgraph g;

	ENTER_CONTEXT(ctx);
	g = object_find(handle, OBJECT_GRAPH);
	if (!g || !out || !p || p->poolProps.allocType != CU_MEM_ALLOCATION_TYPE_PINNED)
		return CUDA_ERROR_INVALID_VALUE;
	if (p->poolProps.handleTypes != CU_MEM_HANDLE_TYPE_NONE ||
	    p->poolProps.location.type != CU_MEM_LOCATION_TYPE_DEVICE)
		return CUDA_ERROR_NOT_SUPPORTED;
	if (!device_is_valid(p->poolProps.location.id))
		return CUDA_ERROR_INVALID_DEVICE;
	enter_error = graph_memory_new(p->bytesize, &w);
	if (enter_error)
		return enter_error;
	p->dptr = w->free.address;
	return graph_add(g, CU_GRAPH_NODE_TYPE_MEM_ALLOC, w, NULL, before, n, out);
}

static CUresult CUDAAPI cpu_cuGraphAddMemFreeNode(CUgraphNode *out, CUgraph handle,
						  const CUgraphNode *before, size_t n,
						  CUdeviceptr address)
{
	const struct range *r;
	struct work *w;
	CUgraph g;

	ENTER();
	g = object_find(handle, OBJECT_GRAPH);
	r = range_find(address);
	if (!g || !out || !r || r->base != address || r->kind != RANGE_GRAPH)
		return CUDA_ERROR_INVALID_VALUE;
	w = work_new(WORK_FREE);
	w->free = (struct free_work){.address = r->base, .id = r->id};
	graph_memory_ref(&w->free);
	return graph_add(g, CU_GRAPH_NODE_TYPE_MEM_FREE, w, NULL, before, n, out);
}

static CUresult CUDAAPI cpu_cuGraphMemAllocNodeGetParams(CUgraphNode handle,
							 CUDA_MEM_ALLOC_NODE_PARAMS *p)
{
	const struct range *r;
	CUgraphNode n;

	ENTER();
	n = object_find(handle, OBJECT_NODE);
	if (!n || n->type != CU_GRAPH_NODE_TYPE_MEM_ALLOC || !p)
		return CUDA_ERROR_INVALID_VALUE;
	r = range_of(&n->work->free);
	*p = (CUDA_MEM_ALLOC_NODE_PARAMS){
		.poolProps = {.allocType = CU_MEM_ALLOCATION_TYPE_PINNED,
			      .location = {.type = CU_MEM_LOCATION_TYPE_DEVICE}},
		.bytesize = r ? r->size : 0,
		.dptr = n->work->free.address};
	return CUDA_SUCCESS;
}

static CUresult CUDAAPI cpu_cuGraphMemFreeNodeGetParams(CUgraphNode handle, CUdeviceptr *out)
{
	CUgraphNode n;

	ENTER();
	n = object_find(handle, OBJECT_NODE);
	if (!n || n->type != CU_GRAPH_NODE_TYPE_MEM_FREE || !out)
		return CUDA_ERROR_INVALID_VALUE;
	*out = n->work->free.address;
	return CUDA_SUCCESS;
}

CPU_SYMBOLS(cpu_graph_memory_symbols, CPU_FN(cuGraphAddMemAllocNode), CPU_FN(cuGraphAddMemFreeNode),
	    CPU_FN(cuGraphMemAllocNodeGetParams), CPU_FN(cuGraphMemFreeNodeGetParams));
