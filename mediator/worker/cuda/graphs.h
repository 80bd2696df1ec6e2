/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Handles for the nodes of graphs that the driver made. */
#ifndef VGPU_WORKER_CUDA_GRAPHS_H
#define VGPU_WORKER_CUDA_GRAPHS_H

#include <stdint.h>

#include "cuda_driver.h"

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

#endif /* VGPU_WORKER_CUDA_GRAPHS_H */
