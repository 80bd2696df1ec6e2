// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Launching kernels.
 *
 * Parameters are packed by the layout that came with the function.  What
 * certainly is an error is found here, since a launch has no answer; what only
 * the device knows surfaces at the next call that has one.
 */
#include <string.h>

#include "blob.h"
#include "cuda_rpc.h"
#include "device.h"
#include "launch.h"

struct launch {
	struct function *f;
	unsigned int grid[3];
	unsigned int block[3];
	unsigned int shared;
	CUstream stream;
	unsigned int flags;
	unsigned int nattributes;
	struct vgpu_launch_attribute attribute[LAUNCH_ATTRIBUTES_MAX];
};

/* ---------------------------------------------------------------- checking */

static CUresult check_shape(const struct launch *l)
{
	CUdevice dev = context_top()->device;
	uint64_t threads = 1;

	for (int i = 0; i < 3; i++) {
		unsigned int block = (unsigned int)device_attribute(
			dev, CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_X + i);
		unsigned int grid =
			(unsigned int)device_attribute(dev, CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_X + i);

		if (!l->grid[i] || !l->block[i])
			return CUDA_ERROR_INVALID_VALUE;
		if ((block && l->block[i] > block) || (grid && l->grid[i] > grid))
			return CUDA_ERROR_INVALID_VALUE;
		threads *= l->block[i];
	}
	if (threads >
	    (unsigned int)device_attribute(dev, CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK))
		return CUDA_ERROR_INVALID_VALUE;
	if (l->f->nattributes > CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK &&
	    l->f->attribute[CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK] > 0 &&
	    threads > (unsigned int)l->f->attribute[CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK])
		return CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES;
	return CUDA_SUCCESS;
}

static CUresult check_shared(const struct launch *l)
{
	int32_t limit = function_attribute(l->f, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES);

	return limit >= 0 && l->shared > (unsigned int)limit ? CUDA_ERROR_INVALID_VALUE
							     : CUDA_SUCCESS;
}

static bool is_cooperative(const struct launch *l)
{
	unsigned int value;

	if (l->flags & VGPU_LAUNCH_COOPERATIVE)
		return true;
	for (unsigned int i = 0; i < l->nattributes; i++) {
		memcpy(&value, l->attribute[i].value, sizeof(value));
		if (l->attribute[i].id == CU_LAUNCH_ATTRIBUTE_COOPERATIVE && value)
			return true;
	}
	return false;
}

/* All blocks of a cooperative grid must be on the device at the same time. */
static CUresult check_cooperative(const struct launch *l)
{
	uint64_t grid = (uint64_t)l->grid[0] * l->grid[1], fit;
	int blocks;
	CUresult r;

	if (!is_cooperative(l))
		return CUDA_SUCCESS;
	r = cuOccupancyMaxActiveBlocksPerMultiprocessor(
		&blocks, (CUfunction)(uintptr_t)l->f->handle,
		(int)(l->block[0] * l->block[1] * l->block[2]), l->shared);
	if (r != CUDA_SUCCESS)
		return r;
	fit = (uint64_t)blocks *
	      (unsigned int)device_attribute(context_top()->device,
					     CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT);
	return grid > fit || grid * l->grid[2] > fit ? CUDA_ERROR_COOPERATIVE_LAUNCH_TOO_LARGE
						     : CUDA_SUCCESS;
}

/* ----------------------------------------------------------------- packing */

/* The one buffer that `extra` names in place of single parameters. */
static CUresult from_extra(void **extra, const void **params, size_t *bytes)
{
	*params = NULL;
	*bytes = 0;
	for (; *extra != CU_LAUNCH_PARAM_END; extra += 2) {
		if (*extra == CU_LAUNCH_PARAM_BUFFER_POINTER)
			*params = extra[1];
		else if (*extra == CU_LAUNCH_PARAM_BUFFER_SIZE)
			*bytes = *(size_t *)extra[1];
		else
			return CUDA_ERROR_INVALID_VALUE;
	}
	return *bytes && !*params ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
}

static CUresult pack(const struct function *f, void **kernelParams, uint8_t *room)
{
	uint32_t end = 0;

	for (uint32_t i = 0; i < f->nparams; i++) {
		uint32_t at = f->param[i].offset, size = f->param[i].size;

		if (!kernelParams[i] || at + size > f->param_bytes)
			return CUDA_ERROR_INVALID_VALUE;
		if (at > end) /* what lies between two parameters is nobody's */
			memset(room + end, 0, at - end);
		memcpy(room + at, kernelParams[i], size);
		end = at + size;
	}
	return CUDA_SUCCESS;
}

CUresult launch_pack(const struct function *f, void **kernelParams, void **extra, uint8_t *room,
		     const void **params, size_t *bytes)
{
	*params = room;
	*bytes = f->nparams ? f->param_bytes : 0;
	if (kernelParams && extra)
		return CUDA_ERROR_INVALID_VALUE;
	if (extra)
		return from_extra(extra, params, bytes);
	if (!f->nparams)
		return CUDA_SUCCESS;
	if (!kernelParams || *bytes > LAUNCH_PARAMS_MAX)
		return CUDA_ERROR_INVALID_VALUE;
	return pack(f, kernelParams, room);
}

/* ----------------------------------------------------------------- sending */

static CUresult send(const struct launch *l, const void *params, size_t bytes)
{
	unsigned long long blob = 0;
	unsigned int flags = l->flags;
	CUresult r;

	if (bytes + l->nattributes * sizeof(l->attribute[0]) > VGPU_CUDA_INLINE_MAX) {
		r = blob_send(params, bytes, &blob);
		if (r != CUDA_SUCCESS)
			return r;
		flags |= VGPU_LAUNCH_BLOB;
		bytes = 0;
	}
	r = rpc_vgpuLaunch(l->f->handle, l->grid[0], l->grid[1], l->grid[2], l->block[0],
			   l->block[1], l->block[2], l->shared, l->stream, flags, blob,
			   l->nattributes, l->attribute, (unsigned int)bytes, params);
	if (flags & VGPU_LAUNCH_BLOB)
		rpc_vgpuBlobEnd(blob);
	return r;
}

static CUresult launch(struct launch *l, void **kernelParams, void **extra)
{
	uint8_t room[LAUNCH_PARAMS_MAX];
	const void *params;
	size_t bytes;
	CUresult r = check_shape(l);

	if (r == CUDA_SUCCESS)
		r = check_shared(l);
	if (r == CUDA_SUCCESS)
		r = check_cooperative(l);
	if (r == CUDA_SUCCESS)
		r = shim_stream(l->stream, &l->stream);
	if (r == CUDA_SUCCESS)
		r = launch_pack(l->f, kernelParams, extra, room, &params, &bytes);
	return r == CUDA_SUCCESS ? send(l, params, bytes) : r;
}

/* ----------------------------------------------------------- entry points */

static CUresult enter(struct launch *l, CUfunction f)
{
	CUresult r = shim_enter_context();

	if (r != CUDA_SUCCESS)
		return r;
	l->f = function_find(f);
	return l->f ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
}

CUresult cuLaunchKernel(CUfunction f, unsigned int gridDimX, unsigned int gridDimY,
			unsigned int gridDimZ, unsigned int blockDimX, unsigned int blockDimY,
			unsigned int blockDimZ, unsigned int sharedMemBytes, CUstream hStream,
			void **kernelParams, void **extra)
{
	struct launch l;
	CUresult r = enter(&l, f);

	if (r != CUDA_SUCCESS)
		return r;
	l.grid[0] = gridDimX;
	l.grid[1] = gridDimY;
	l.grid[2] = gridDimZ;
	l.block[0] = blockDimX;
	l.block[1] = blockDimY;
	l.block[2] = blockDimZ;
	l.shared = sharedMemBytes;
	l.stream = hStream;
	l.flags = 0;
	l.nattributes = 0;
	return launch(&l, kernelParams, extra);
}

CUresult cuLaunchCooperativeKernel(CUfunction f, unsigned int gridDimX, unsigned int gridDimY,
				   unsigned int gridDimZ, unsigned int blockDimX,
				   unsigned int blockDimY, unsigned int blockDimZ,
				   unsigned int sharedMemBytes, CUstream hStream,
				   void **kernelParams)
{
	struct launch l;
	CUresult r = enter(&l, f);

	if (r != CUDA_SUCCESS)
		return r;
	l.grid[0] = gridDimX;
	l.grid[1] = gridDimY;
	l.grid[2] = gridDimZ;
	l.block[0] = blockDimX;
	l.block[1] = blockDimY;
	l.block[2] = blockDimZ;
	l.shared = sharedMemBytes;
	l.stream = hStream;
	l.flags = VGPU_LAUNCH_COOPERATIVE;
	l.nattributes = 0;
	return launch(&l, kernelParams, NULL);
}

CUresult launch_attributes(const CUlaunchAttribute *attrs, unsigned int count,
			   struct vgpu_launch_attribute *out, unsigned int *n)
{
	*n = 0;
	if (count > LAUNCH_ATTRIBUTES_MAX || (count && !attrs))
		return CUDA_ERROR_INVALID_VALUE;
	for (unsigned int i = 0; i < count; i++) {
		if (attrs[i].id == CU_LAUNCH_ATTRIBUTE_IGNORE)
			continue;
		if (attrs[i].id == CU_LAUNCH_ATTRIBUTE_DEVICE_UPDATABLE_KERNEL_NODE)
			return CUDA_ERROR_NOT_SUPPORTED;
		out[*n] = (struct vgpu_launch_attribute){.id = (vgpu_le32)attrs[i].id};
		memcpy(out[*n].value, &attrs[i].value, sizeof(out[*n].value));
		++*n;
	}
	return CUDA_SUCCESS;
}

static CUresult launch_ex(const CUlaunchConfig *config, CUfunction f, void **kernelParams,
			  void **extra, CUstream stream)
{
	struct launch l;
	CUresult r = enter(&l, f);

	if (r == CUDA_SUCCESS)
		r = launch_attributes(config->attrs, config->numAttrs, l.attribute, &l.nattributes);
	if (r != CUDA_SUCCESS)
		return r;
	l.grid[0] = config->gridDimX;
	l.grid[1] = config->gridDimY;
	l.grid[2] = config->gridDimZ;
	l.block[0] = config->blockDimX;
	l.block[1] = config->blockDimY;
	l.block[2] = config->blockDimZ;
	l.shared = config->sharedMemBytes;
	l.stream = stream;
	l.flags = 0;
	return launch(&l, kernelParams, extra);
}

CUresult cuLaunchKernelEx(const CUlaunchConfig *config, CUfunction f, void **kernelParams,
			  void **extra)
{
	if (!config)
		return CUDA_ERROR_INVALID_VALUE;
	return launch_ex(config, f, kernelParams, extra, config->hStream);
}

CUresult cuLaunchKernelEx_ptsz(const CUlaunchConfig *config, CUfunction f, void **kernelParams,
			       void **extra)
{
	if (!config)
		return CUDA_ERROR_INVALID_VALUE;
	return launch_ex(config, f, kernelParams, extra,
			 config->hStream ? config->hStream : CU_STREAM_PER_THREAD);
}
