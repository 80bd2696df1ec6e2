/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Registration of guest RAM with the device.  regions.h tells why by chunks.
 */
#include "session.h"

#include <errno.h>
#include <inttypes.h>

enum chunk_state {
	CHUNK_UNTRIED,
	CHUNK_REGISTERED,
	CHUNK_REFUSED,
};

struct chunk {
	enum chunk_state state;
	uint64_t device; /* of its first byte */
};

struct region {
	uint8_t *base;
	uint64_t length;
	bool told; /* a refusal was logged */
	uint64_t nchunks;
	struct chunk chunk[];
};

static uint64_t chunk_length(const struct region *region, uint64_t index)
{
	return MIN(VGPU_CUDA_CHUNK, region->length - index * VGPU_CUDA_CHUNK);
}

static void region_release(struct region *region)
{
	for (uint64_t i = 0; i < region->nchunks; i++) {
		struct chunk *chunk = &region->chunk[i];

		if (chunk->state == CHUNK_REGISTERED)
			cudaHostUnregister(region->base + i * VGPU_CUDA_CHUNK);
		chunk->state = CHUNK_UNTRIED;
	}
}

static void region_free(void *data)
{
	region_release(data);
	g_free(data);
}

void regions_init(struct regions *r)
{
	r->list = g_ptr_array_new_with_free_func(region_free);
	r->last = NULL;
}

void regions_clear(struct regions *r)
{
	g_clear_pointer(&r->list, g_ptr_array_unref);
	r->last = NULL;
}

void regions_release(struct regions *r)
{
	for (guint i = 0; i < r->list->len; i++)
		region_release(g_ptr_array_index(r->list, i));
}

/* The index of the first region that ends after `at`. */
static guint first_after(const struct regions *r, const uint8_t *at)
{
	guint low = 0, high = r->list->len;

	while (low < high) {
		guint middle = low + (high - low) / 2;
		const struct region *region = g_ptr_array_index(r->list, middle);

		if (region->base + region->length > at)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

int regions_add(struct regions *r, void *base, size_t length)
{
	uint64_t nchunks = length / VGPU_CUDA_CHUNK + (length % VGPU_CUDA_CHUNK != 0);
	struct region *region;
	guint at;

	if (!base || length == 0 || (uintptr_t)base + length < (uintptr_t)base)
		return -EINVAL;
	at = first_after(r, base);
	if (at < r->list->len) {
		region = g_ptr_array_index(r->list, at);
		if ((uintptr_t)region->base < (uintptr_t)base + length)
			return -EEXIST;
	}

	region = g_malloc0(sizeof(*region) + nchunks * sizeof(region->chunk[0]));
	region->base = base;
	region->length = length;
	region->nchunks = nchunks;
	g_ptr_array_insert(r->list, at, region);
	return 0;
}

void regions_remove(struct regions *r, void *base, size_t length)
{
	guint at = first_after(r, base);
	struct region *region;

	if (at >= r->list->len)
		return;
	region = g_ptr_array_index(r->list, at);
	if (region->base != base || region->length != length)
		return;
	if (r->last == region)
		r->last = NULL;
	g_ptr_array_remove_index(r->list, at);
}

/*
 * Refusal is the driver's answer to this memory (foreign pages, say), not an
 * error of the session: the data then goes through staging buffers.
 */
static cudaError_t chunk_register(struct region *region, uint64_t index)
{
	struct chunk *chunk = &region->chunk[index];
	uint8_t *base = region->base + index * VGPU_CUDA_CHUNK;
	uint64_t length = chunk_length(region, index);
	void *device = NULL;
	cudaError_t err;

	err = cudaHostRegister(base, length, cudaHostRegisterMapped | cudaHostRegisterPortable);
	if (err == cudaSuccess) {
		err = cudaHostGetDevicePointer(&device, base, 0);
		if (err == cudaSuccess) {
			chunk->state = CHUNK_REGISTERED;
			chunk->device = (uintptr_t)device;
			return cudaSuccess;
		}
		cudaHostUnregister(base);
	}

	chunk->state = CHUNK_REFUSED;
	if (!region->told)
		g_warning("guest RAM at %p (%" PRIu64 " bytes) cannot be registered with the GPU: "
			  "%s; its data will be copied by the CPU",
			  (void *)base, length, cudaGetErrorString(err));
	region->told = true;
	/* Takes the error off the thread; one that comes back has broken the context. */
	cudaGetLastError();
	return cudaDeviceSynchronize();
}

static struct region *find(struct regions *r, const uint8_t *base, uint64_t *gap)
{
	struct region *region = r->last;
	guint at;

	if (region && base >= region->base && base - region->base < (ptrdiff_t)region->length)
		return region;
	at = first_after(r, base);
	if (at >= r->list->len)
		return NULL;
	region = g_ptr_array_index(r->list, at);
	if (base < region->base) {
		*gap = region->base - base;
		return NULL;
	}
	r->last = region;
	return region;
}

cudaError_t regions_reach(struct regions *r, const uint8_t *base, uint64_t length,
			  struct reach *out)
{
	uint64_t gap = length;
	struct region *region = find(r, base, &gap);
	uint64_t offset, index, within;
	cudaError_t err;

	if (!region) {
		*out = (struct reach){.length = MIN(length, gap)};
		return cudaSuccess;
	}

	offset = base - region->base;
	index = offset / VGPU_CUDA_CHUNK;
	within = offset % VGPU_CUDA_CHUNK;
	if (region->chunk[index].state == CHUNK_UNTRIED) {
		err = chunk_register(region, index);
		if (err != cudaSuccess)
			return err;
	}
	*out = (struct reach){.length = MIN(length, chunk_length(region, index) - within)};
	if (region->chunk[index].state == CHUNK_REGISTERED) {
		out->device = region->chunk[index].device + within;
		out->registration = &region->chunk[index];
	}
	return cudaSuccess;
}
