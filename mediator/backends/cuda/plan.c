/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Planning and carrying out the copies of an operand.
 */
#include "plan.h"

#include <stdbool.h>

#define PIECES_MIN 1024u

/* A stretch of the operand that is adjacent in memory and reached in one way. */
struct stretch {
	uint8_t *host;
	uint64_t offset; /* in the operand */
	uint64_t length;
	uint64_t device; /* 0: to be staged */
	const void *registration;
};

void plan_init(struct plan *p)
{
	*p = (struct plan){
		.stretch = g_array_new(FALSE, FALSE, sizeof(struct stretch)),
		.direct = g_array_new(FALSE, FALSE, sizeof(struct staged_run)),
		.staged = g_array_new(FALSE, FALSE, sizeof(struct staged_run)),
	};
}

void plan_clear(struct plan *p)
{
	plan_release(p);
	g_clear_pointer(&p->stretch, g_array_unref);
	g_clear_pointer(&p->direct, g_array_unref);
	g_clear_pointer(&p->staged, g_array_unref);
}

void plan_release(struct plan *p)
{
	if (p->piece)
		cudaFreeHost(p->piece);
	if (p->piece_device)
		cudaFree(p->piece_device);
	p->piece = NULL;
	p->piece_device = NULL;
	p->npieces = p->capacity = 0;
}

/* Lengthens the last stretch if `s` goes on where it ends. */
static bool extend(GArray *stretches, const struct stretch *s)
{
	struct stretch *last;

	if (stretches->len == 0)
		return false;
	last = &g_array_index(stretches, struct stretch, stretches->len - 1);
	if (last->host + last->length != s->host || last->registration != s->registration)
		return false;
	last->length += s->length;
	return true;
}

static cudaError_t find_stretches(struct plan *p, const struct vgpu_operand *op,
				  struct regions *regions)
{
	uint64_t offset = 0;

	g_array_set_size(p->stretch, 0);
	for (uint32_t i = 0; i < op->nruns; i++) {
		const struct vgpu_run *run = &op->run[i];
		struct reach reach;

		for (uint64_t done = 0; done < run->length; done += reach.length) {
			cudaError_t err = regions_reach(regions, run->base + done,
							run->length - done, &reach);
			struct stretch s = {
				.host = run->base + done,
				.offset = offset,
				.length = reach.length,
				.device = reach.device,
				.registration = reach.registration,
			};

			if (err != cudaSuccess)
				return err;
			if (!extend(p->stretch, &s))
				g_array_append_val(p->stretch, s);
			offset += reach.length;
		}
	}
	return cudaSuccess;
}

/* Pieces end where a page of host memory does. */
static uint64_t count_pieces(const struct stretch *s)
{
	return (s->device + s->length - 1) / VGPU_PIECE_MAX - s->device / VGPU_PIECE_MAX + 1;
}

static void add_pieces(struct plan *p, const struct stretch *s)
{
	uint64_t length;

	for (uint64_t done = 0; done < s->length; done += length) {
		uint64_t host = s->device + done;

		length = MIN(VGPU_PIECE_MAX - host % VGPU_PIECE_MAX, s->length - done);
		p->piece[p->npieces++] = (struct vgpu_piece){
			.host = host,
			.where = (s->offset + done) << 16 | length,
		};
	}
}

static cudaError_t reserve_pieces(struct plan *p, uint64_t count)
{
	uint64_t capacity = PIECES_MIN;
	cudaError_t err;

	if (count <= p->capacity)
		return cudaSuccess;
	while (capacity < count)
		capacity *= 2;
	plan_release(p);
	err = cudaHostAlloc((void **)&p->piece, capacity * sizeof(*p->piece), cudaHostAllocDefault);
	if (err != cudaSuccess) {
		p->piece = NULL;
		return err;
	}
	err = cudaMalloc((void **)&p->piece_device, capacity * sizeof(*p->piece));
	if (err != cudaSuccess) {
		p->piece_device = NULL;
		plan_release(p);
		return err;
	}
	p->capacity = capacity;
	return cudaSuccess;
}

static bool by_kernel(const struct plan *p, const struct stretch *s)
{
	return s->device != 0 && s->length < VGPU_CUDA_DIRECT_MIN &&
	       p->stretch->len > VGPU_CUDA_DIRECT_RUNS;
}

static cudaError_t sort_out(struct plan *p)
{
	uint64_t pieces = 0;
	cudaError_t err;

	for (guint i = 0; i < p->stretch->len; i++) {
		const struct stretch *s = &g_array_index(p->stretch, struct stretch, i);

		if (by_kernel(p, s))
			pieces += count_pieces(s);
	}
	err = reserve_pieces(p, pieces);
	if (err != cudaSuccess)
		return err;

	for (guint i = 0; i < p->stretch->len; i++) {
		const struct stretch *s = &g_array_index(p->stretch, struct stretch, i);
		struct staged_run run = {s->host, s->offset, s->length};

		if (by_kernel(p, s)) {
			add_pieces(p, s);
		} else if (s->device != 0) {
			g_array_append_val(p->direct, run);
		} else {
			g_array_append_val(p->staged, run);
			p->staged_bytes += s->length;
		}
	}
	return cudaSuccess;
}

cudaError_t plan_make(struct plan *p, const struct vgpu_operand *op, struct regions *regions,
		      cudaStream_t stream)
{
	cudaError_t err;

	g_array_set_size(p->direct, 0);
	g_array_set_size(p->staged, 0);
	p->npieces = 0;
	p->staged_bytes = 0;
	err = find_stretches(p, op, regions);
	if (err == cudaSuccess)
		err = sort_out(p);
	if (err == cudaSuccess && p->npieces > 0)
		err = cudaMemcpyAsync(p->piece_device, p->piece, p->npieces * sizeof(*p->piece),
				      cudaMemcpyHostToDevice, stream);
	return err;
}

cudaError_t plan_to_device(const struct plan *p, uint8_t *device, struct staging *staging,
			   cudaStream_t stream, uint64_t *host_copied)
{
	cudaError_t err = vgpu_kernel_gather(device, p->piece_device, p->npieces, stream);

	for (guint i = 0; i < p->direct->len && err == cudaSuccess; i++) {
		const struct staged_run *run = &g_array_index(p->direct, struct staged_run, i);

		err = cudaMemcpyAsync(device + run->offset, run->host, run->length,
				      cudaMemcpyHostToDevice, stream);
	}
	if (err != cudaSuccess)
		return err;
	*host_copied += p->staged_bytes;
	return staging_to_device(staging, device, (const struct staged_run *)p->staged->data,
				 p->staged->len, stream);
}

cudaError_t plan_from_device(const struct plan *p, const uint8_t *device, struct staging *staging,
			     cudaStream_t stream, uint64_t *host_copied)
{
	cudaError_t err = vgpu_kernel_scatter(device, p->piece_device, p->npieces, stream);

	for (guint i = 0; i < p->direct->len && err == cudaSuccess; i++) {
		const struct staged_run *run = &g_array_index(p->direct, struct staged_run, i);

		err = cudaMemcpyAsync(run->host, device + run->offset, run->length,
				      cudaMemcpyDeviceToHost, stream);
	}
	if (err != cudaSuccess)
		return err;
	*host_copied += p->staged_bytes;
	return staging_from_device(staging, device, (const struct staged_run *)p->staged->data,
				   p->staged->len, stream);
}
