/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Handles for the nodes of graphs that the driver made. */
#ifndef VGPU_WORKER_CUDA_GRAPHS_H
#define VGPU_WORKER_CUDA_GRAPHS_H

#include <stdbool.h>
#include <stdint.h>

#include "cuda_driver.h"

struct cuda_object;
struct cuda_session;

/* New handles that the guest offers, taken in order. */
struct fresh_handles {
	const uint64_t *handle;
	uint32_t n;
	uint32_t used;
};

/* The node's handle, if need be a fresh one; its parent is the graph's.  0: none. */
uint64_t graphs_node(struct cuda_session *s, CUgraphNode node, uint64_t graph,
		     struct fresh_handles *f);

/*
 * A graph may belong to a node or to a capture, which end it: nobody else may
 * meanwhile.  CUDA_SUCCESS, or what the driver says then.
 */
CUresult graphs_free_to_end(struct cuda_session *s, uint64_t graph);

/* Does the capture that began in `stream` still go on, in `graph`? */
bool captures_have(struct cuda_session *s, const struct cuda_object *stream, CUgraph graph);

/* The stream goes, and a capture that began in it. */
void captures_gone(struct cuda_session *s, struct cuda_object *stream);

#endif /* VGPU_WORKER_CUDA_GRAPHS_H */
