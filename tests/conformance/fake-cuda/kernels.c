/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The kernels, done by the CPU when the stream is waited for.
 */
#include "fake_cuda.h"

#include <glib.h>
#include <math.h>
#include <string.h>

#include "kernels/kernels.h"

struct move {
	uint8_t *device;
	const struct vgpu_piece *piece;
	uint64_t count;
	bool gather;
};

struct sum {
	float *a;
	const float *b;
	uint64_t n;
};

struct product {
	const float *a, *b;
	float *c;
	uint32_t m, n, k;
};

struct check {
	const uint32_t *words;
	uint64_t n;
	uint32_t *sum;
};

static void need(enum fake_space space, const void *at, uint64_t size, const char *what)
{
	if (!fake_block_holds(space, at, size))
		g_error("fake cuda: %s: %" G_GUINT64_FORMAT " bytes at %p cannot be reached", what,
			(guint64)size, at);
}

static void do_move(void *data)
{
	const struct move *m = data;

	need(FAKE_DEVICE, m->piece, m->count * sizeof(*m->piece), "list of pieces");
	for (uint64_t i = 0; i < m->count; i++) {
		uint8_t *host = (uint8_t *)(uintptr_t)(m->piece[i].host - FAKE_HOST_SHIFT);
		uint8_t *here = m->device + (m->piece[i].where >> 16);
		unsigned int length = m->piece[i].where & 0xffff;

		g_assert_cmpuint(length, >, 0);
		g_assert_cmpuint((uintptr_t)host % VGPU_PIECE_MAX + length, <=, VGPU_PIECE_MAX);
		need(FAKE_REGISTERED, host, length, "piece");
		need(FAKE_DEVICE, here, length, "piece's buffer");
		memcpy(m->gather ? here : host, m->gather ? host : here, length);
	}
}

/* Like a real launch, reports what is left of an earlier error, too. */
static cudaError_t launch(const char *name, cudaStream_t stream, void (*work)(void *), void *data,
			  size_t size)
{
	cudaError_t err = fake_enter(name);

	if (err == cudaSuccess)
		fake_enqueue(stream, work, g_memdup2(data, size));
	return cudaGetLastError();
}

static cudaError_t enqueue_move(const char *name, struct move m, cudaStream_t stream)
{
	return m.count > 0 ? launch(name, stream, do_move, &m, sizeof(m)) : cudaSuccess;
}

cudaError_t vgpu_kernel_gather(void *device, const struct vgpu_piece *pieces, uint64_t count,
			       cudaStream_t stream)
{
	return enqueue_move("gather", (struct move){device, pieces, count, true}, stream);
}

cudaError_t vgpu_kernel_scatter(const void *device, const struct vgpu_piece *pieces, uint64_t count,
				cudaStream_t stream)
{
	return enqueue_move("scatter", (struct move){(void *)device, pieces, count, false}, stream);
}

static void do_sum(void *data)
{
	const struct sum *s = data;

	need(FAKE_DEVICE, s->a, s->n * sizeof(float), "a");
	need(FAKE_DEVICE, s->b, s->n * sizeof(float), "b");
	for (uint64_t i = 0; i < s->n; i++)
		s->a[i] += s->b[i];
}

cudaError_t vgpu_kernel_vector_add(float *a, const float *b, uint64_t n, cudaStream_t stream)
{
	struct sum s = {a, b, n};

	return n > 0 ? launch("vector_add", stream, do_sum, &s, sizeof(s)) : cudaSuccess;
}

static void do_product(void *data)
{
	const struct product *p = data;

	need(FAKE_DEVICE, p->a, (uint64_t)p->m * p->k * sizeof(float), "a");
	need(FAKE_DEVICE, p->b, (uint64_t)p->k * p->n * sizeof(float), "b");
	need(FAKE_DEVICE, p->c, (uint64_t)p->m * p->n * sizeof(float), "c");
	memset(p->c, 0, (size_t)p->m * p->n * sizeof(float));
	for (size_t i = 0; i < p->m; i++)
		for (size_t l = 0; l < p->k; l++)
			for (size_t j = 0; j < p->n; j++)
				p->c[i * p->n + j] += p->a[i * p->k + l] * p->b[l * p->n + j];
}

cudaError_t vgpu_kernel_matmul(const float *a, const float *b, float *c, uint32_t m, uint32_t n,
			       uint32_t k, cudaStream_t stream)
{
	struct product p = {a, b, c, m, n, k};

	return launch("matmul", stream, do_product, &p, sizeof(p));
}

static void do_check(void *data)
{
	const struct check *c = data;

	need(FAKE_DEVICE, c->words, c->n * sizeof(*c->words), "words");
	need(FAKE_DEVICE, c->sum, sizeof(*c->sum), "sum");
	for (uint64_t i = 0; i < c->n; i++)
		*c->sum += c->words[i];
}

cudaError_t vgpu_kernel_checksum(const uint32_t *words, uint64_t n, uint32_t *sum,
				 cudaStream_t stream)
{
	struct check c = {words, n, sum};

	return n > 0 ? launch("checksum", stream, do_check, &c, sizeof(c)) : cudaSuccess;
}
