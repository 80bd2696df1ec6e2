// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Copies of boxes.
 *
 * The host copies whatever it can reach in one go.  Ordinary memory of the
 * program goes through a pinned buffer, as many whole rows at a time as fit; and
 * where pinned memory is not permitted, through one on the device, to and from
 * which it goes in records.
 */
#include "box.h"

#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "capture.h"
#include "context.h"
#include "copy.h"
#include "cuda_rpc.h"
#include "ranges.h"
#include "stream.h"
#include "window.h"

#define BOUNCE_MAX ((uint64_t)16 << 20)
#define BOUNCE_MIN ((uint64_t)64 << 10)

/* ------------------------------------------------------------- translating */

/* Bytes from a linear side's base to the end of the box. */
static uint64_t extent(const struct vgpu_copy3d *b, const struct vgpu_copy3d_side *s)
{
	uint64_t rows = (s->z + b->depth - 1) * s->height + s->y + b->height - 1;

	return rows * s->pitch + s->x + b->width;
}

static CUresult finish_side(const struct vgpu_copy3d *b, struct vgpu_copy3d_side *s, bool *far)
{
	struct range r;

	*far = false;
	if (s->type == CU_MEMORYTYPE_ARRAY) {
		s->address = 0;
		return s->array ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
	}
	s->array = 0;
	s->lod = 0;
	if (!s->pitch)
		s->pitch = s->x + b->width;
	if (!s->height)
		s->height = s->y + b->height;
	if (s->pitch < s->x + b->width || (b->depth > 1 && s->height < b->height) || !s->address)
		return CUDA_ERROR_INVALID_VALUE;
	if (s->type == CU_MEMORYTYPE_UNIFIED)
		s->type = range_find(s->address, &r) && r.kind != RANGE_HOST &&
					  r.kind != RANGE_REGISTERED
				  ? CU_MEMORYTYPE_DEVICE
				  : CU_MEMORYTYPE_HOST;
	if (s->type == CU_MEMORYTYPE_HOST)
		*far = !range_is_pinned((void *)(uintptr_t)s->address, extent(b, s));
	else if (s->type != CU_MEMORYTYPE_DEVICE)
		return CUDA_ERROR_INVALID_VALUE;
	return CUDA_SUCCESS;
}

CUresult box_of(const CUDA_MEMCPY3D *c, struct vgpu_copy3d *b, bool *src_far, bool *dst_far)
{
	CUresult r;

	*b = (struct vgpu_copy3d){
		.src = {.type = c->srcMemoryType,
			.address = c->srcMemoryType == CU_MEMORYTYPE_HOST ? (uintptr_t)c->srcHost
									  : c->srcDevice,
			.array = (uintptr_t)c->srcArray,
			.x = c->srcXInBytes,
			.y = c->srcY,
			.z = c->srcZ,
			.lod = c->srcLOD,
			.pitch = c->srcPitch,
			.height = c->srcHeight},
		.dst = {.type = c->dstMemoryType,
			.address = c->dstMemoryType == CU_MEMORYTYPE_HOST ? (uintptr_t)c->dstHost
									  : c->dstDevice,
			.array = (uintptr_t)c->dstArray,
			.x = c->dstXInBytes,
			.y = c->dstY,
			.z = c->dstZ,
			.lod = c->dstLOD,
			.pitch = c->dstPitch,
			.height = c->dstHeight},
		.width = c->WidthInBytes,
		.height = c->Height,
		.depth = c->Depth,
	};
	r = finish_side(b, &b->src, src_far);
	return r == CUDA_SUCCESS ? finish_side(b, &b->dst, dst_far) : r;
}

void box_back(const struct vgpu_copy3d *b, CUDA_MEMCPY3D *c)
{
	memset(c, 0, sizeof(*c));
	c->srcMemoryType = (CUmemorytype)b->src.type;
	c->srcHost = b->src.type == CU_MEMORYTYPE_HOST ? (void *)(uintptr_t)b->src.address : NULL;
	c->srcDevice = b->src.type == CU_MEMORYTYPE_DEVICE ? b->src.address : 0;
	c->srcArray = (CUarray)(uintptr_t)b->src.array;
	c->srcXInBytes = b->src.x;
	c->srcY = b->src.y;
	c->srcZ = b->src.z;
	c->srcLOD = b->src.lod;
	c->srcPitch = b->src.pitch;
	c->srcHeight = b->src.height;
	c->dstMemoryType = (CUmemorytype)b->dst.type;
	c->dstHost = b->dst.type == CU_MEMORYTYPE_HOST ? (void *)(uintptr_t)b->dst.address : NULL;
	c->dstDevice = b->dst.type == CU_MEMORYTYPE_DEVICE ? b->dst.address : 0;
	c->dstArray = (CUarray)(uintptr_t)b->dst.array;
	c->dstXInBytes = b->dst.x;
	c->dstY = b->dst.y;
	c->dstZ = b->dst.z;
	c->dstLOD = b->dst.lod;
	c->dstPitch = b->dst.pitch;
	c->dstHeight = b->dst.height;
	c->WidthInBytes = b->width;
	c->Height = b->height;
	c->Depth = b->depth;
}

/* ----------------------------------------------------- through the buffer */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static void *bounce;
static uint64_t bounce_bytes;
static struct context *bounce_in; /* the context that it was made in */
static uint64_t bounce_in_host;
static CUdeviceptr
	bounce_device; /* of the copy in progress, where `bounce` is not pinned; 0: it is */

static uint8_t *row_at(const struct vgpu_copy3d_side *s, uint64_t x, uint64_t y, uint64_t z)
{
	return (uint8_t *)(uintptr_t)s->address + ((s->z + z) * s->height + s->y + y) * s->pitch +
	       s->x + x;
}

/* A part of the box: `rows` rows of `width` bytes. */
struct part {
	uint64_t x, y, z, width, rows;
};

/* Between the program's memory and the buffer, in which rows lie one behind the other. */
static void copy_rows(const struct vgpu_copy3d_side *s, const struct part *p, bool to_bounce)
{
	for (uint64_t i = 0; i < p->rows; i++) {
		uint8_t *own = row_at(s, p->x, p->y + i, p->z);
		uint8_t *there = (uint8_t *)bounce + i * p->width;

		if (to_bounce)
			memcpy(there, own, p->width);
		else
			memcpy(own, there, p->width);
	}
}

static struct vgpu_copy3d_side bounce_side(const struct part *p)
{
	return (struct vgpu_copy3d_side){
		.type = bounce_device ? CU_MEMORYTYPE_DEVICE : CU_MEMORYTYPE_HOST,
		.address = bounce_device ? bounce_device : (uintptr_t)bounce,
		.pitch = p->width,
		.height = p->rows};
}

static CUresult copy_part(const struct vgpu_copy3d *b, bool src_far, const struct part *p,
			  CUstream stream)
{
	struct vgpu_copy3d now = {
		.src = b->src, .dst = b->dst, .width = p->width, .height = p->rows, .depth = 1};
	struct vgpu_copy3d_side *near = src_far ? &now.dst : &now.src;
	CUresult r = CUDA_SUCCESS;

	if (src_far) {
		copy_rows(&b->src, p, true);
		if (bounce_device)
			r = copy_by_records(VGPU_COPY_TO_DEVICE, bounce_device, bounce,
					    p->width * p->rows, stream);
		now.src = bounce_side(p);
	} else {
		now.dst = bounce_side(p);
	}
	near->x += p->x;
	near->y += p->y;
	near->z += p->z;
	if (r == CUDA_SUCCESS)
		r = rpc_vgpuCopy3D(&now, stream);
	if (r == CUDA_SUCCESS)
		r = rpc_cuStreamSynchronize(stream);
	if (r == CUDA_SUCCESS && !src_far && bounce_device)
		r = copy_by_records(VGPU_COPY_FROM_DEVICE, bounce_device, bounce,
				    p->width * p->rows, stream);
	if (r == CUDA_SUCCESS && !src_far)
		copy_rows(&b->dst, p, false);
	return r;
}

/* Called with the lock held.  As large as may be pinned. */
static CUresult make_bounce(void)
{
	CUresult r = CUDA_ERROR_OUT_OF_MEMORY;

	for (bounce_bytes = BOUNCE_MAX; bounce_bytes >= BOUNCE_MIN; bounce_bytes /= 2) {
		r = window_alloc(bounce_bytes, CU_MEMHOSTREGISTER_PORTABLE, &bounce);
		if (r != CUDA_ERROR_OUT_OF_MEMORY)
			break;
	}
	bounce_in = r == CUDA_SUCCESS ? context_top() : NULL;
	bounce_in_host = context_current();
	return r;
}

/* Called with the lock held. */
static CUresult copy_parts(const struct vgpu_copy3d *b, bool src_far, CUstream stream)
{
	struct part p = {0};
	uint64_t most;
	CUresult r = CUDA_SUCCESS;

	for (p.z = 0; p.z < b->depth && r == CUDA_SUCCESS; p.z++) {
		for (p.x = 0; p.x < b->width && r == CUDA_SUCCESS; p.x += p.width) {
			p.width = b->width - p.x < bounce_bytes ? b->width - p.x : bounce_bytes;
			most = bounce_bytes / p.width;
			for (p.y = 0; p.y < b->height && r == CUDA_SUCCESS; p.y += p.rows) {
				p.rows = b->height - p.y < most ? b->height - p.y : most;
				r = copy_part(b, src_far, &p, stream);
			}
		}
	}
	return r;
}

/* Called with the lock held: for this one copy, as pinned memory is not to be had. */
static CUresult copy_by_device(const struct vgpu_copy3d *b, bool src_far, CUstream stream)
{
	CUresult r = CUDA_ERROR_OUT_OF_MEMORY;

	bounce_bytes = BOUNCE_MIN;
	bounce = malloc(bounce_bytes);
	if (bounce)
		r = rpc_cuMemAlloc_v2(&bounce_device, bounce_bytes);
	if (r == CUDA_SUCCESS) {
		r = copy_parts(b, src_far, stream);
		rpc_cuMemFree_v2(bounce_device);
	}
	bounce_device = 0;
	free(bounce);
	bounce = NULL;
	return r;
}

/* Called with the lock held. */
static CUresult copy_bounced(const struct vgpu_copy3d *b, bool src_far, CUstream stream)
{
	static bool not_permitted; /* was found out once */
	CUresult r = CUDA_SUCCESS;

	if (not_permitted)
		return copy_by_device(b, src_far, stream);
	if (!bounce_in || !bounce_in->alive || bounce_in->host != bounce_in_host)
		r = make_bounce();
	not_permitted = r == CUDA_ERROR_NOT_PERMITTED;
	if (not_permitted)
		return copy_by_device(b, src_far, stream);
	return r == CUDA_SUCCESS ? copy_parts(b, src_far, stream) : r;
}

/* Both sides are the program's own memory, pinned or not: no device is needed. */
static CUresult copy_here(const struct vgpu_copy3d *b, CUstream stream)
{
	CUresult r = stream_wait(stream);

	if (r != CUDA_SUCCESS)
		return r;
	for (uint64_t z = 0; z < b->depth; z++)
		for (uint64_t y = 0; y < b->height; y++)
			memmove(row_at(&b->dst, 0, y, z), row_at(&b->src, 0, y, z), b->width);
	return CUDA_SUCCESS;
}

/* One piece on both sides? */
static bool is_plain(const struct vgpu_copy3d *b)
{
	return b->src.type != CU_MEMORYTYPE_ARRAY && b->dst.type != CU_MEMORYTYPE_ARRAY &&
	       b->depth == 1 &&
	       (b->height == 1 || (b->src.pitch == b->width && b->dst.pitch == b->width));
}

static CUresult copy_plain(const struct vgpu_copy3d *b, bool src_far, CUstream stream, bool wait)
{
	uint8_t *src = row_at(&b->src, 0, 0, 0), *dst = row_at(&b->dst, 0, 0, 0);
	size_t n = b->width * b->height;

	if (src_far)
		return copy_to_device((uintptr_t)dst, src, n, stream, wait);
	return copy_from_device(dst, (uintptr_t)src, n, stream, wait);
}

CUresult box_copy(const CUDA_MEMCPY3D *copy, CUstream stream, bool wait)
{
	struct vgpu_copy3d b;
	bool src_far, dst_far;
	CUresult r;

	if (!copy->WidthInBytes || !copy->Height || !copy->Depth)
		return CUDA_SUCCESS;
	r = box_of(copy, &b, &src_far, &dst_far);
	if (r != CUDA_SUCCESS)
		return r;
	if (b.dst.type == CU_MEMORYTYPE_HOST && range_is_read_only(b.dst.address))
		return CUDA_ERROR_INVALID_VALUE;
	if (!src_far && !dst_far) {
		r = rpc_vgpuCopy3D(&b, stream);
		wait = wait &&
		       (b.src.type == CU_MEMORYTYPE_HOST || b.dst.type == CU_MEMORYTYPE_HOST);
		return r == CUDA_SUCCESS && wait ? stream_wait(stream) : r;
	}
	if (capture_has(stream))
		return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
	if (b.src.type == CU_MEMORYTYPE_HOST && b.dst.type == CU_MEMORYTYPE_HOST)
		return copy_here(&b, stream);
	if (is_plain(&b))
		return copy_plain(&b, src_far, stream, wait);
	pthread_mutex_lock(&lock);
	r = __atomic_load_n(&context_top()->alive, __ATOMIC_ACQUIRE)
		    ? copy_bounced(&b, src_far, stream)
		    : CUDA_ERROR_CONTEXT_IS_DESTROYED;
	pthread_mutex_unlock(&lock);
	return r;
}

void box_context_ends(const struct context *c)
{
	pthread_mutex_lock(&lock);
	if (bounce_in == c)
		bounce_in = NULL;
	pthread_mutex_unlock(&lock);
}
