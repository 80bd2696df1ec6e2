/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Memory that nodes of graphs allocate.  Its addresses are the session's as long
 * as the graph or anything instantiated from it is there, and beyond that while
 * what a launch allocated has not been freed.
 */
#ifndef VGPU_WORKER_CUDA_GRAPH_MEMORY_H
#define VGPU_WORKER_CUDA_GRAPH_MEMORY_H

#include "cuda_driver.h"
#include <stdbool.h>
#include <stdint.h>

struct cuda_session;
struct graph_memory;

/* The graph with that handle has a node that allocates (or frees) `at`.  False: no memory. */
bool graph_memory_add(struct cuda_session *s, uint64_t graph, uint64_t at, bool frees);

/* The same for all nodes of a graph that was captured. */
void graph_memory_captured(struct cuda_session *s, uint64_t handle, CUgraph graph);

/* A capture is over, however it ended: what it allocated may be no graph's. */
void graph_memory_sweep(struct cuda_session *s);

/* For an executable graph made from that one: its data; NULL if it needs none. */
struct graph_memory *graph_memory_share(struct cuda_session *s, uint64_t graph);

/* An executable graph with this data was launched. */
void graph_memory_launched(struct cuda_session *s, const struct graph_memory *m);

/* A graph or an executable one goes; `m` may be NULL. */
void graph_memory_drop(struct cuda_session *s, struct graph_memory *m);

/* The program has freed the device memory that begins at `at`. */
void graph_memory_freed(struct cuda_session *s, uint64_t at);

#endif /* VGPU_WORKER_CUDA_GRAPH_MEMORY_H */
