/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Memory of graphs.  Its address stays the same as long as the graph lives;
 * launches make the memory, and the program or a graph frees it.  Whether it is
 * there the host's driver knows, and is asked.
 */
#ifndef CUDA_GRAPH_MEMORY_H
#define CUDA_GRAPH_MEMORY_H

#include <stdbool.h>
#include <stddef.h>

#include "ranges.h"

#include "api.h"

/* A graph of the current context has memory at this place from now on. */
CUresult graph_memory_add(CUdeviceptr address, size_t bytes);

/* Has any graph of the process had memory? */
bool graph_memory_any(void);

/* May the range be used now?  True for all that is no graph's. */
bool graph_memory_there(const struct range *r);

/* Is all of [address, address + bytes) memory that is there, as far as can be told without waiting?
 */
bool graph_memory_holds(CUdeviceptr address, size_t bytes);

#endif /* CUDA_GRAPH_MEMORY_H */
