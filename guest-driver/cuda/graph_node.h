/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the files about nodes of graphs share. */
#ifndef CUDA_GRAPH_NODE_H
#define CUDA_GRAPH_NODE_H

#include <stddef.h>
#include <stdint.h>

#include "context.h"

/* What is kept about a node, as its handle's data, so that a program can be told again. */
struct node {
	unsigned long long callback; /* of a host node */
	CUDA_MEM_ALLOC_NODE_PARAMS_v1 alloc;
	uint32_t nparams;
	uint32_t param_bytes;
	void *pointer[]; /* of a kernel node: to its parameters, which follow */
};

/* Where a new node goes. */
struct node_place {
	CUgraph graph;
	const CUgraphNode *dependencies;
	size_t n;
};

/* A handle for a node to be added, in *made; to be given to node_finish(). */
CUresult node_begin(const struct node_place *at, CUgraphNode *out, CUgraphNode *made);

/* How many of the dependencies go with the node; node_finish() adds those behind them. */
unsigned int node_first(const struct node_place *at);

/* The node that was made goes to the program, or its handle back; `r`: how making it went. */
CUresult node_finish(CUresult r, const struct node_place *at, CUgraphNode made, CUgraphNode *out);

/* Makes `node` depend on those of `at` from the number `from` on; `edges` may be NULL. */
CUresult node_depends(const struct node_place *at, size_t from, CUgraphNode node,
		      const CUgraphEdgeData *edges);

/* A node to be read or changed. */
CUresult node_enter(CUgraphNode node, const void *params);

/* The same within an executable graph. */
CUresult node_enter_exec(CUgraphExec exec, CUgraphNode node, const void *params);

#endif /* CUDA_GRAPH_NODE_H */
