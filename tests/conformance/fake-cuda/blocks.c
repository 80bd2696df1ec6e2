/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which memory exists, how often what was called, and what is to fail.
 */
#include "fake_cuda.h"

#include <glib.h>
#include <string.h>

struct block {
	enum fake_space space;
	uint8_t *at;
	size_t size;
};

struct failure {
	const char *name;
	unsigned int nth;
	cudaError_t err;
};

static GArray *blocks;
static GHashTable *calls;
static struct failure failure;
static cudaError_t broken; /* stays */
static cudaError_t last;

void fake_cuda_fail(const char *name, unsigned int nth, cudaError_t err)
{
	failure = (struct failure){name, nth, err};
}

unsigned int fake_cuda_calls(const char *name)
{
	return calls ? GPOINTER_TO_UINT(g_hash_table_lookup(calls, name)) : 0;
}

cudaError_t fake_enter(const char *name)
{
	if (!calls)
		calls = g_hash_table_new(g_str_hash, g_str_equal);
	g_hash_table_insert(calls, (gpointer)name, GUINT_TO_POINTER(fake_cuda_calls(name) + 1));
	if (broken) {
		last = broken;
		return broken;
	}
	if (!failure.name || strcmp(failure.name, name) != 0 || --failure.nth > 0)
		return cudaSuccess;
	failure.name = NULL;
	last = failure.err;
	if (failure.err == cudaErrorIllegalAddress)
		broken = failure.err;
	return failure.err;
}

/* As the real one, it does not forget an error that has broken the context. */
cudaError_t cudaGetLastError(void)
{
	cudaError_t err = broken ? broken : last;

	last = cudaSuccess;
	return err;
}

/* A query that says "not ready" leaves that as the last error. */
cudaError_t cudaStreamQuery(cudaStream_t stream)
{
	static bool finished;
	cudaError_t err = fake_enter("cudaStreamQuery");

	(void)stream;
	if (err != cudaSuccess)
		return err;
	finished = !finished;
	if (finished) {
		last = cudaErrorNotReady;
		return cudaErrorNotReady;
	}
	fake_finish();
	return cudaSuccess;
}

void fake_cuda_reset(void)
{
	g_assert_cmpuint(fake_cuda_objects(), ==, 0);
	failure = (struct failure){0};
	broken = last = cudaSuccess;
	if (calls)
		g_hash_table_remove_all(calls);
}

cudaError_t fake_block_add(enum fake_space space, void *at, size_t size)
{
	struct block block = {space, at, size};

	if (!blocks)
		blocks = g_array_new(FALSE, FALSE, sizeof(struct block));
	for (guint i = 0; i < blocks->len; i++) {
		const struct block *b = &g_array_index(blocks, struct block, i);

		if (b->at < block.at + size && block.at < b->at + b->size)
			g_error("fake cuda: memory at %p overlaps what is known already", at);
	}
	g_array_append_val(blocks, block);
	return cudaSuccess;
}

bool fake_block_remove(enum fake_space space, void *at)
{
	for (guint i = 0; blocks && i < blocks->len; i++) {
		const struct block *b = &g_array_index(blocks, struct block, i);

		if (b->space == space && b->at == at) {
			g_array_remove_index_fast(blocks, i);
			return true;
		}
	}
	return false;
}

bool fake_block_holds(enum fake_space space, const void *at, size_t size)
{
	const uint8_t *first = at;

	for (guint i = 0; blocks && i < blocks->len; i++) {
		const struct block *b = &g_array_index(blocks, struct block, i);

		if (b->space == space && first >= b->at && size <= b->size &&
		    (size_t)(first - b->at) <= b->size - size)
			return true;
	}
	return false;
}

uint64_t fake_block_bytes(enum fake_space space)
{
	uint64_t sum = 0;

	for (guint i = 0; blocks && i < blocks->len; i++) {
		const struct block *b = &g_array_index(blocks, struct block, i);

		sum += b->space == space ? b->size : 0;
	}
	return sum;
}

/* Streams and events count as blocks of memory, which they are here. */
unsigned int fake_cuda_objects(void)
{
	return blocks ? blocks->len : 0;
}
