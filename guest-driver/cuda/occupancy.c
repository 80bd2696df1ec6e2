// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Occupancy: the host's driver computes it, answers are kept by their
 * arguments, since frameworks ask the same before each launch.
 */
#include <pthread.h>
#include <string.h>

#include "cuda_rpc.h"
#include "device.h"
#include "launch.h"

#define CACHE 1024u /* a power of two */

enum question { MAX_BLOCKS = 1, FREE_SHARED };

/* An answer is for a function with the limits that it had, as these can be set. */
struct entry {
	uint64_t function;
	uint64_t shared;
	int block, blocks;
	unsigned int flags;
	int carveout, dynamic;
	enum question question;
	uint64_t answer;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct entry cache[CACHE];

static struct entry *place_of(const struct entry *key)
{
	uint64_t h = key->function ^ key->shared * 31 ^ (uint64_t)(unsigned int)key->block << 20 ^
		     (uint64_t)(unsigned int)key->blocks << 34 ^ key->flags ^ key->question;

	h *= 0x9e3779b97f4a7c15u;
	return &cache[h >> 40 & (CACHE - 1)];
}

static bool same(const struct entry *a, const struct entry *b)
{
	return a->function == b->function && a->shared == b->shared && a->block == b->block &&
	       a->blocks == b->blocks && a->flags == b->flags && a->question == b->question &&
	       a->carveout == b->carveout && a->dynamic == b->dynamic;
}

static bool look(const struct entry *key, uint64_t *answer)
{
	struct entry *e = place_of(key);
	bool hit;

	pthread_mutex_lock(&lock);
	hit = same(e, key);
	if (hit)
		*answer = e->answer;
	pthread_mutex_unlock(&lock);
	return hit;
}

static void keep(const struct entry *key, uint64_t answer)
{
	struct entry *e = place_of(key);

	pthread_mutex_lock(&lock);
	*e = *key;
	e->answer = answer;
	pthread_mutex_unlock(&lock);
}

static CUresult enter(CUfunction func, struct function **f, struct entry *key)
{
	CUresult r = shim_enter_context();

	if (r != CUDA_SUCCESS)
		return r;
	*f = function_find(func);
	if (!*f)
		return CUDA_ERROR_INVALID_HANDLE;
	memset(key, 0, sizeof(*key));
	key->function = (*f)->handle;
	key->carveout = function_attribute(*f, CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT);
	key->dynamic = function_attribute(*f, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES);
	return CUDA_SUCCESS;
}

CUresult cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(int *numBlocks, CUfunction func,
							      int blockSize, size_t dynamicSMemSize,
							      unsigned int flags)
{
	struct function *f;
	struct entry key;
	uint64_t known;
	CUresult r = enter(func, &f, &key);

	if (r != CUDA_SUCCESS)
		return r;
	if (!numBlocks || blockSize <= 0)
		return CUDA_ERROR_INVALID_VALUE;
	key.question = MAX_BLOCKS;
	key.block = blockSize;
	key.shared = dynamicSMemSize;
	key.flags = flags;
	if (look(&key, &known)) {
		*numBlocks = (int)known;
		return CUDA_SUCCESS;
	}
	r = rpc_cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(numBlocks, func, blockSize,
								     dynamicSMemSize, flags);
	if (r == CUDA_SUCCESS)
		keep(&key, (uint64_t)*numBlocks);
	return r;
}

CUresult cuOccupancyMaxActiveBlocksPerMultiprocessor(int *numBlocks, CUfunction func, int blockSize,
						     size_t dynamicSMemSize)
{
	return cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(
		numBlocks, func, blockSize, dynamicSMemSize, CU_OCCUPANCY_DEFAULT);
}

CUresult cuOccupancyAvailableDynamicSMemPerBlock(size_t *dynamicSmemSize, CUfunction func,
						 int numBlocks, int blockSize)
{
	struct function *f;
	struct entry key;
	uint64_t known;
	CUresult r = enter(func, &f, &key);

	if (r != CUDA_SUCCESS)
		return r;
	if (!dynamicSmemSize)
		return CUDA_ERROR_INVALID_VALUE;
	key.question = FREE_SHARED;
	key.block = blockSize;
	key.blocks = numBlocks;
	if (look(&key, &known)) {
		*dynamicSmemSize = known;
		return CUDA_SUCCESS;
	}
	r = rpc_cuOccupancyAvailableDynamicSMemPerBlock(dynamicSmemSize, func, numBlocks,
							blockSize);
	if (r == CUDA_SUCCESS)
		keep(&key, *dynamicSmemSize);
	return r;
}

/* ---------------------------------------------------------- best block size */

struct search {
	CUfunction func;
	CUoccupancyB2DSize shared_of;
	size_t shared;
	unsigned int flags;
	int limit; /* threads of a block */
	int granularity;
	int per_multiprocessor; /* threads */
};

/* The block size with most threads on a multiprocessor; of equals the largest block. */
static CUresult best_block(const struct search *s, int *best, int *best_blocks)
{
	int most = 0;

	*best = *best_blocks = 0;
	for (int block = s->limit; block > 0;
	     block = (block - 1) / s->granularity * s->granularity) {
		size_t shared = s->shared_of ? s->shared_of(block) : s->shared;
		int blocks = 0;
		CUresult r = cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(
			&blocks, s->func, block, shared, s->flags);

		if (r != CUDA_SUCCESS)
			return r;
		if (blocks * block > most) {
			most = blocks * block;
			*best = block;
			*best_blocks = blocks;
		}
		if (most >= s->per_multiprocessor)
			break; /* there is no better */
	}
	return CUDA_SUCCESS;
}

CUresult cuOccupancyMaxPotentialBlockSizeWithFlags(int *minGridSize, int *blockSize,
						   CUfunction func,
						   CUoccupancyB2DSize blockSizeToDynamicSMemSize,
						   size_t dynamicSMemSize, int blockSizeLimit,
						   unsigned int flags)
{
	struct search s = {.func = func,
			   .shared_of = blockSizeToDynamicSMemSize,
			   .shared = dynamicSMemSize,
			   .flags = flags};
	int blocks, own = 0;
	CUdevice dev;
	CUresult r = shim_enter_context();

	if (r != CUDA_SUCCESS)
		return r;
	if (!minGridSize || !blockSize || blockSizeLimit < 0)
		return CUDA_ERROR_INVALID_VALUE;
	r = cuFuncGetAttribute(&own, CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK, func);
	if (r != CUDA_SUCCESS)
		return r;
	dev = context_top()->device;
	s.limit = device_attribute(dev, CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK);
	if (own < s.limit)
		s.limit = own;
	if (blockSizeLimit && blockSizeLimit < s.limit)
		s.limit = blockSizeLimit;
	s.granularity = device_attribute(dev, CU_DEVICE_ATTRIBUTE_WARP_SIZE);
	if (s.granularity <= 0)
		s.granularity = 32;
	s.per_multiprocessor =
		device_attribute(dev, CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_MULTIPROCESSOR);
	r = best_block(&s, blockSize, &blocks);
	if (r == CUDA_SUCCESS)
		*minGridSize =
			blocks * device_attribute(dev, CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT);
	return r;
}

CUresult cuOccupancyMaxPotentialBlockSize(int *minGridSize, int *blockSize, CUfunction func,
					  CUoccupancyB2DSize blockSizeToDynamicSMemSize,
					  size_t dynamicSMemSize, int blockSizeLimit)
{
	return cuOccupancyMaxPotentialBlockSizeWithFlags(
		minGridSize, blockSize, func, blockSizeToDynamicSMemSize, dynamicSMemSize,
		blockSizeLimit, CU_OCCUPANCY_DEFAULT);
}
