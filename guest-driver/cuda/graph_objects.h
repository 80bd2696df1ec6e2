/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What lives as long as graphs do.
 *
 * A graph's nodes lose their handles with it.  What a program or the library
 * attached to a graph also belongs to the copies and the executable graphs
 * made of it, and is let go of with the last of them.
 */
#ifndef CUDA_GRAPH_OBJECTS_H
#define CUDA_GRAPH_OBJECTS_H

#include <stdint.h>

#include "api.h"

/* The node's handle is dropped with the graph's. */
void graph_owns(CUgraph graph, uint64_t node);

/* The graph that owns a node; 0: not known. */
uint64_t node_graph(CUgraphNode node);

/* Handles of graphs or executable ones: what `from` keeps, `to` keeps as well. */
CUresult graph_shares(uint64_t from, uint64_t to);

/* Launches of this executable graph wait for their answer. */
CUresult graph_answers(uint64_t exec);

/*
 * Calls fn(data) when the graph, or executable graph, and what will be made of
 * it are gone.  After a failure it is never called.
 */
CUresult graph_keeps(uint64_t graph, CUhostFn fn, void *data);

#endif /* CUDA_GRAPH_OBJECTS_H */
