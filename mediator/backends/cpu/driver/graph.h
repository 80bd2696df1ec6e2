/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Graphs: nodes that hold work, and what must come before what.
 *
 * All of it is touched with the driver's lock held.
 */
#ifndef VGPU_CPU_GRAPH_H
#define VGPU_CPU_GRAPH_H

#include "driver.h"

#define GRAPH_NODES_MAX 65536u /* as struct CUgraph_st's `total` counts */
#define GRAPH_DEPTH_MAX 16u

struct CUgraph_st {
	struct object obj;
	GPtrArray *node;    /* of CUgraphNode, oldest first; they die with the graph */
	bool owned;         /* by a node or a capture: the program cannot destroy it */
	unsigned int depth; /* of graphs within graphs */
	size_t total;       /* nodes and their work, with those of the graphs within */
	uint64_t id;
	uint64_t copy_of; /* id of the graph that it was cloned from */
	CUgraphExec exec; /* made of a graph with memory: there is one at most */
};

struct CUgraphNode_st {
	struct object obj;
	CUgraph graph; /* NULL: no longer part of one */
	CUgraphNodeType type;
	struct work *work; /* owned, or NULL */
	CUgraph child;     /* owned, or NULL */
	GPtrArray *before; /* nodes that come first */
	GPtrArray *after;
	void **param; /* of a kernel's parameters, as cuda.h wants them back */
	uint64_t id;
	uint64_t copy_of;   /* id of the node that it was cloned from */
	unsigned int index; /* scratch: place in the graph, in some order */
	unsigned int open;  /* scratch: how many that come first are not done */
};

CUresult graph_new(CUgraph *out);
void graph_drop(CUgraph g);
CUresult graph_clone(const CUgraph from, CUgraph *out);
/* Takes over `work` and `child`, also on failure. */
CUresult graph_add(CUgraph g, CUgraphNodeType type, struct work *work, CUgraph child,
		   const CUgraphNode *before, size_t n, CUgraphNode *out);
CUresult graph_add_edge(CUgraphNode from, CUgraphNode to);
bool graph_has_edge(const CUgraphNode from, const CUgraphNode to);
/* The nodes so that each stands behind those that come first; NULL: there is a circle. */
GPtrArray *graph_sort(CUgraph g);
CUgraphNodeType work_node_type(const struct work *w);
/* Sets another piece of work of the same type. */
void node_set_work(CUgraphNode n, struct work *w);

/* graph_memory.c: are there nodes that allocate or free? */
bool graph_has_memory(const CUgraph g);

/* graph_nodes.c: work from what the program gives for a node. */
CUresult params_kernel(const CUDA_KERNEL_NODE_PARAMS *p, struct work **out);
CUresult params_host(const CUDA_HOST_NODE_PARAMS *p, struct work **out);
CUresult params_event(CUevent event, bool record, struct work **out);

#endif /* VGPU_CPU_GRAPH_H */
