// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Sending large data: little of it in records, much of it through an area that
 * both sides see, one piece after the other.
 */
#include "blob.h"

#include <pthread.h>
#include <string.h>

#include "client.h"
#include "cuda_rpc.h"

#define INLINE_MAX VGPU_CUDA_INLINE_MAX
#define MANY ((size_t)8 * INLINE_MAX) /* from here on an area is quicker */
#define AREA ((size_t)4 << 20)

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct vgpu_area area; /* made when first needed, kept */

static CUresult in_records(unsigned long long blob, const char *data, size_t size)
{
	CUresult r = CUDA_SUCCESS;

	for (size_t at = 0; at < size && r == CUDA_SUCCESS; at += INLINE_MAX) {
		size_t now = size - at < INLINE_MAX ? size - at : INLINE_MAX;

		r = rpc_vgpuBlobData(blob, at, (unsigned int)now, data + at);
	}
	return r;
}

static CUresult through_area(unsigned long long blob, const char *data, size_t size)
{
	struct vgpu_desc desc = {.buffer = area.buffer};
	CUresult r = CUDA_SUCCESS;

	for (size_t at = 0; at < size && r == CUDA_SUCCESS; at += AREA) {
		size_t now = size - at < AREA ? size - at : AREA;

		memcpy(area.addr, data + at, now);
		desc.length = now;
		r = rpc_vgpuBlobCopy(blob, at, now, &desc, 1);
	}
	return r;
}

CUresult blob_send(const void *data, size_t size, unsigned long long *blob)
{
	static unsigned long long numbers;
	CUresult r;

	*blob = __atomic_add_fetch(&numbers, 1, __ATOMIC_RELAXED);
	r = rpc_vgpuBlobBegin(*blob, size);
	if (r != CUDA_SUCCESS)
		return r;
	if (size < MANY) {
		r = in_records(*blob, data, size);
	} else {
		pthread_mutex_lock(&lock);
		if (area.addr || client_area_create(NULL, AREA, &area) == 0)
			r = through_area(*blob, data, size);
		else
			r = in_records(*blob, data, size);
		pthread_mutex_unlock(&lock);
	}
	if (r != CUDA_SUCCESS)
		rpc_vgpuBlobEnd(*blob);
	return r;
}
