/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Memory that nodes of graphs allocate. */
#include "graph_memory.h"

#include <stdlib.h>

#include "session.h"

#define NODES_MAX (1u << 20)

/* Flags of a range. */
#define OF_GRAPH 1u  /* its addresses are kept for a graph */
#define ALLOCATED 2u /* a launch has allocated it, and nobody has freed it since */

struct node {
	uint64_t at;
	bool frees; /* else it allocates */
};

struct graph_memory {
	uint32_t refs; /* the graph, and those made from it */
	uint32_t n;
	uint32_t room;
	struct node *node; /* in the order of their making, so that freeing comes last */
};

static struct cuda_range *range_at(struct cuda_session *s, uint64_t at)
{
	struct cuda_range *r = ranges_find(&s->ranges, at);

	return r && r->start == at && r->kind == RANGE_GRAPH ? r : NULL;
}

static struct graph_memory *memory_of(struct cuda_session *s, uint64_t graph)
{
	struct cuda_object *o = handles_object(&s->handles, graph, VGPU_CUDA_GRAPH);
	struct graph_memory *m = o ? o->data : NULL;

	if (!o || m)
		return m;
	m = calloc(1, sizeof(*m));
	if (m)
		m->refs = 1;
	o->data = m;
	return m;
}

bool graph_memory_add(struct cuda_session *s, uint64_t graph, uint64_t at, bool frees)
{
	struct graph_memory *m = memory_of(s, graph);
	struct cuda_range *r = range_at(s, at);

	if (!m)
		return false;
	if (m->n == m->room) {
		uint32_t room = m->room ? m->room * 2 : 8;
		void *p = realloc(m->node, room * sizeof(m->node[0]));

		if (!p)
			return false;
		m->node = p;
		m->room = room;
	}
	m->node[m->n++] = (struct node){.at = at, .frees = frees};
	if (r && !frees)
		r->flags |= OF_GRAPH;
	return true;
}

/* Does the driver tell what a graph allocates? */
static bool tells_of_nodes(const struct cuda_driver *drv)
{
	return drv->cuGraphGetNodes && drv->cuGraphNodeGetType && drv->cuGraphMemAllocNodeGetParams;
}

static void take_node(struct cuda_session *s, uint64_t handle, CUgraphNode node)
{
	CUDA_MEM_ALLOC_NODE_PARAMS p = {0};
	CUgraphNodeType type;
	CUdeviceptr at = 0;

	if (s->drv->cuGraphNodeGetType(node, &type) != CUDA_SUCCESS)
		return;
	if (type == CU_GRAPH_NODE_TYPE_MEM_ALLOC &&
	    s->drv->cuGraphMemAllocNodeGetParams(node, &p) == CUDA_SUCCESS)
		graph_memory_add(s, handle, p.dptr, false);
	if (type == CU_GRAPH_NODE_TYPE_MEM_FREE && s->drv->cuGraphMemFreeNodeGetParams &&
	    s->drv->cuGraphMemFreeNodeGetParams(node, &at) == CUDA_SUCCESS)
		graph_memory_add(s, handle, at, true);
}

void graph_memory_captured(struct cuda_session *s, uint64_t handle, CUgraph graph)
{
	CUgraphNode *node;
	size_t n = 0;

	/* Most captures allocate nothing: spare them the questions. */
	if (!s->captured_memory || !tells_of_nodes(s->drv) ||
	    s->drv->cuGraphGetNodes(graph, NULL, &n) != CUDA_SUCCESS || !n || n > NODES_MAX)
		return;
	node = calloc(n, sizeof(node[0]));
	if (node && s->drv->cuGraphGetNodes(graph, node, &n) == CUDA_SUCCESS) {
		for (size_t i = 0; i < n; i++)
			take_node(s, handle, node[i]);
	}
	free(node);
}

static bool is_nobodys(const struct cuda_range *r, const void *opaque)
{
	(void)opaque;
	return r->kind == RANGE_GRAPH && !r->flags;
}

/* Which capture a range is from nobody knows, so the last one to end clears up. */
void graph_memory_sweep(struct cuda_session *s)
{
	if (s->captures || !s->captured_memory)
		return;
	s->captured_memory = false;
	if (!tells_of_nodes(s->drv)) /* then they stay as long as the session */
		return;
	ranges_remove_if(&s->ranges, is_nobodys, NULL);
}

struct graph_memory *graph_memory_share(struct cuda_session *s, uint64_t graph)
{
	const struct cuda_object *o = handles_object(&s->handles, graph, VGPU_CUDA_GRAPH);
	struct graph_memory *m = o ? o->data : NULL;

	if (m)
		m->refs++;
	return m;
}

void graph_memory_launched(struct cuda_session *s, const struct graph_memory *m)
{
	for (uint32_t i = 0; m && i < m->n; i++) {
		struct cuda_range *r = range_at(s, m->node[i].at);

		if (r && m->node[i].frees)
			r->flags &= ~ALLOCATED;
		else if (r)
			r->flags |= ALLOCATED;
	}
}

void graph_memory_drop(struct cuda_session *s, struct graph_memory *m)
{
	if (!m || --m->refs)
		return;
	for (uint32_t i = 0; i < m->n; i++) {
		struct cuda_range *r = m->node[i].frees ? NULL : range_at(s, m->node[i].at);

		if (r && r->flags & ALLOCATED)
			r->flags &= ~OF_GRAPH; /* it goes when it is freed */
		else if (r && r->flags & OF_GRAPH)
			ranges_remove(&s->ranges, r->start, RANGE_GRAPH);
	}
	free(m->node);
	free(m);
}

void graph_memory_freed(struct cuda_session *s, uint64_t at)
{
	struct cuda_range *r = range_at(s, at);

	if (r && r->flags & OF_GRAPH)
		r->flags &= ~ALLOCATED; /* the next launch allocates it again */
	else
		ranges_remove(&s->ranges, at, RANGE_GRAPH);
}
