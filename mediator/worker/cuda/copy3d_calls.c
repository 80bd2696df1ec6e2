/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copies of boxes: linear memory and arrays, in one to three dimensions. */
#include <string.h>

#include "copy3d.h"
#include "cuda_dispatch.h"
#include "session.h"

/* One side as the driver wants it. */
struct side {
	CUmemorytype type;
	CUarray array;
	size_t pitch;
	size_t height;
};

/* Bytes from the base of a side to the end of the box. */
static bool extent(const struct vgpu_copy3d *c, const struct vgpu_copy3d_side *side,
		   const struct side *out, uint64_t *bytes)
{
	uint64_t rows, last;

	if (__builtin_add_overflow(side->z, c->depth - 1, &rows) ||
	    __builtin_mul_overflow(rows, (uint64_t)out->height, &rows) ||
	    __builtin_add_overflow(rows, side->y, &rows) ||
	    __builtin_add_overflow(rows, c->height - 1, &rows) ||
	    __builtin_mul_overflow(rows, (uint64_t)out->pitch, &last) ||
	    __builtin_add_overflow(last, side->x, &last))
		return false;
	return !__builtin_add_overflow(last, c->width, bytes);
}

static CUresult take_linear(struct cuda_session *s, const struct vgpu_copy3d *c,
			    const struct vgpu_copy3d_side *side, struct side *out)
{
	const struct cuda_range *range = ranges_find(&s->ranges, side->address);
	uint64_t bytes, row;

	if (__builtin_add_overflow(side->x, c->width, &row))
		return CUDA_ERROR_INVALID_VALUE;
	out->pitch = side->pitch ? side->pitch : row;
	out->height = side->height ? side->height : side->y + c->height;
	if (out->pitch < row || out->height < c->height || !extent(c, side, out, &bytes) ||
	    !ranges_check(s, side->address, bytes))
		return CUDA_ERROR_INVALID_VALUE;
	/* What the guest calls host memory is a window of ours; the driver sees which it is. */
	out->type = range && range->kind == RANGE_HOST ? CU_MEMORYTYPE_HOST : CU_MEMORYTYPE_DEVICE;
	return CUDA_SUCCESS;
}

static CUresult take_side(struct cuda_session *s, const struct vgpu_copy3d *c,
			  const struct vgpu_copy3d_side *side, struct side *out)
{
	void *array = NULL;
	CUresult r;

	memset(out, 0, sizeof(*out));
	if (side->reserved)
		return CUDA_ERROR_INVALID_VALUE;
	switch (side->type) {
	case CU_MEMORYTYPE_HOST:
	case CU_MEMORYTYPE_DEVICE:
	case CU_MEMORYTYPE_UNIFIED:
		return take_linear(s, c, side, out);
	case CU_MEMORYTYPE_ARRAY:
		r = handles_get(s, side->array, VGPU_CUDA_ARRAY, &array);
		out->type = CU_MEMORYTYPE_ARRAY;
		out->array = array;
		return r;
	default:
		return CUDA_ERROR_INVALID_VALUE;
	}
}

CUresult copy3d_make(struct cuda_session *s, const struct vgpu_copy3d *c, CUDA_MEMCPY3D *out)
{
	struct side src, dst;
	CUresult r;

	memset(out, 0, sizeof(*out));
	if (!c->width || !c->height || !c->depth)
		return CUDA_SUCCESS;
	r = take_side(s, c, &c->src, &src);
	if (r == CUDA_SUCCESS)
		r = take_side(s, c, &c->dst, &dst);
	if (r != CUDA_SUCCESS)
		return r;
	*out = (CUDA_MEMCPY3D){.srcXInBytes = c->src.x,
			       .srcY = c->src.y,
			       .srcZ = c->src.z,
			       .srcLOD = c->src.lod,
			       .srcMemoryType = src.type,
			       .srcHost = (void *)(uintptr_t)c->src.address,
			       .srcDevice = c->src.address,
			       .srcArray = src.array,
			       .srcPitch = src.pitch,
			       .srcHeight = src.height,
			       .dstXInBytes = c->dst.x,
			       .dstY = c->dst.y,
			       .dstZ = c->dst.z,
			       .dstLOD = c->dst.lod,
			       .dstMemoryType = dst.type,
			       .dstHost = (void *)(uintptr_t)c->dst.address,
			       .dstDevice = c->dst.address,
			       .dstArray = dst.array,
			       .dstPitch = dst.pitch,
			       .dstHeight = dst.height,
			       .WidthInBytes = c->width,
			       .Height = c->height,
			       .Depth = c->depth};
	return CUDA_SUCCESS;
}

CUresult host_vgpuCopy3D(struct cuda_session *s, const struct vgpu_copy3d *copy, CUstream stream)
{
	CUDA_MEMCPY3D c;
	CUresult r;

	if (!s->drv->cuMemcpy3DAsync_v2)
		return CUDA_ERROR_NOT_SUPPORTED;
	r = copy3d_make(s, copy, &c);
	if (r != CUDA_SUCCESS || !c.WidthInBytes)
		return r;
	/* The driver cuts one of host memory, 512 slices of 4 rows, into 15 pieces or so. */
	r = flow_room_for(s, stream, c.Depth / 16 + c.Height / 64);
	if (r != CUDA_SUCCESS)
		return r;
	return s->drv->cuMemcpy3DAsync_v2(&c, stream);
}
