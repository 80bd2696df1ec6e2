/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The cuda backend's table: what the worker finds in the module.
 */
#include "session.h"

static int cuda_open(struct vgpu_backend **out, unsigned int device, GError **err G_GNUC_UNUSED)
{
	struct vgpu_backend *be = g_new0(struct vgpu_backend, 1);

	be->device = device;
	regions_init(&be->regions);
	for (unsigned int i = 0; i < VGPU_CUDA_OPERANDS; i++)
		plan_init(&be->plan[i]);
	*out = be;
	return 0;
}

static void cuda_close(struct vgpu_backend *be)
{
	if (!be)
		return;
	cuda_release(be);
	for (unsigned int i = 0; i < VGPU_CUDA_OPERANDS; i++)
		plan_clear(&be->plan[i]);
	regions_clear(&be->regions);
	g_free(be);
}

static void cuda_account(struct vgpu_backend *be, const struct vgpu_account *account)
{
	be->account = *account;
}

static int cuda_map(struct vgpu_backend *be, void *base, size_t length)
{
	return regions_add(&be->regions, base, length);
}

static void cuda_unmap(struct vgpu_backend *be, void *base, size_t length)
{
	regions_remove(&be->regions, base, length);
}

static const struct vgpu_backend_ops ops = {
	.api = VGPU_BACKEND_API,
	.id = VGPU_BACKEND_CUDA,
	.name = "cuda",
	.probe = cuda_probe,
	.open = cuda_open,
	.close = cuda_close,
	.map = cuda_map,
	.unmap = cuda_unmap,
	.info = cuda_info,
	.vector_add = cuda_vector_add,
	.matmul = cuda_matmul,
	.bandwidth = cuda_bandwidth,
	.account = cuda_account,
	.identity = cuda_identity,
	.symbol = cuda_symbol,
	.copy = cuda_copy,
	.release = cuda_release,
};

__attribute__((visibility("default"))) const struct vgpu_backend_ops *vgpu_backend_get(void);

const struct vgpu_backend_ops *vgpu_backend_get(void)
{
	return &ops;
}
