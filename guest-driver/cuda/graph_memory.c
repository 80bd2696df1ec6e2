// SPDX-License-Identifier: GPL-2.0-or-later
/* Memory of graphs: where it is, and whether it is there. */
#include "graph_memory.h"

#include "context_priv.h"
#include "cuda_rpc.h"
#include "reserve.h"

static bool any; /* never false again */

bool graph_memory_any(void)
{
	return __atomic_load_n(&any, __ATOMIC_RELAXED);
}

CUresult graph_memory_add(CUdeviceptr address, size_t bytes)
{
	struct range r = {
		.base = address, .size = bytes, .kind = RANGE_GRAPH, .context = context_top()};

	__atomic_store_n(&any, true, __ATOMIC_RELAXED);
	reserve_device_range(address, bytes);
	range_evict(address, bytes);
	return range_add(&r) < 0 ? CUDA_ERROR_OUT_OF_MEMORY : CUDA_SUCCESS;
}

bool graph_memory_there(const struct range *r)
{
	struct context *before = context_top();
	CUresult result;

	if (r->kind != RANGE_GRAPH)
		return true;
	context_lend(r->context); /* the question needs one, the program's call does not */
	result = rpc_vgpuGraphMemory(r->base);
	context_lend(before);
	return result == CUDA_SUCCESS;
}

bool graph_memory_holds(CUdeviceptr address, size_t bytes)
{
	struct range r;

	if (range_holds(address, bytes))
		return true;
	return range_find(address, &r) && r.kind == RANGE_GRAPH &&
	       bytes <= r.size - (address - r.base) && graph_memory_there(&r);
}
