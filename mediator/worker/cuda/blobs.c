/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Data too large for a record. */
#include "blobs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "cuda_dispatch.h"
#include "session.h"
#include "worker.h"

struct blobs {
	struct blob *head;
	unsigned int n;
	uint64_t bytes;
};

static struct blobs *all(struct cuda_session *s)
{
	if (!s->blobs)
		s->blobs = calloc(1, sizeof(*s->blobs));
	return s->blobs;
}

struct blob *blobs_find(struct cuda_session *s, uint64_t number)
{
	struct blob *b = s->blobs ? s->blobs->head : NULL;

	while (b && b->number != number)
		b = b->next;
	return b;
}

void blobs_spend(struct cuda_session *s, struct blob *b)
{
	if (!b->data)
		return;
	munmap(b->data, b->mapped);
	b->data = NULL;
	s->blobs->bytes -= b->bytes;
}

static void drop(struct cuda_session *s, struct blob *b)
{
	struct blob **at = &s->blobs->head;

	while (*at != b)
		at = &(*at)->next;
	*at = b->next;
	s->blobs->n--;
	blobs_spend(s, b);
	free(b->log[0]);
	free(b->log[1]);
	free(b);
}

/* Whole pages, and at least one page of zeros after the data. */
static bool map_data(struct blob *b)
{
	void *p;

	b->mapped = ((size_t)b->bytes + 2 * VGPU_PAGE - 1) & ~(size_t)(VGPU_PAGE - 1);
	p = mmap(NULL, b->mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	b->data = p == MAP_FAILED ? NULL : p;
	return b->data;
}

CUresult host_vgpuBlobBegin(struct cuda_session *s, unsigned long long number,
			    unsigned long long bytes)
{
	struct blobs *bs = all(s);
	struct blob *b;

	if (!bs)
		return CUDA_ERROR_OUT_OF_MEMORY;
	if (!bytes || blobs_find(s, number))
		return CUDA_ERROR_INVALID_VALUE;
	if (bs->n >= BLOBS_MAX || bytes > BLOBS_BYTES_MAX - bs->bytes)
		return CUDA_ERROR_OUT_OF_MEMORY;
	b = calloc(1, sizeof(*b));
	if (!b)
		return CUDA_ERROR_OUT_OF_MEMORY;
	b->number = number;
	b->bytes = bytes;
	if (!map_data(b)) {
		free(b);
		return CUDA_ERROR_OUT_OF_MEMORY;
	}
	b->next = bs->head;
	bs->head = b;
	bs->n++;
	bs->bytes += bytes;
	return CUDA_SUCCESS;
}

static bool fits(const struct blob *b, uint64_t offset, uint64_t bytes)
{
	return b && b->data && offset <= b->bytes && bytes <= b->bytes - offset;
}

CUresult host_vgpuBlobData(struct cuda_session *s, unsigned long long number,
			   unsigned long long offset, unsigned int bytes, const void *data)
{
	struct blob *b = blobs_find(s, number);

	if (!fits(b, offset, bytes))
		return CUDA_ERROR_INVALID_VALUE;
	if (bytes)
		memcpy(b->data + offset, data, bytes);
	worker_count_bytes(s->worker, 0, 0, bytes);
	return CUDA_SUCCESS;
}

/* One descriptor's bytes; they are copied once, whatever the guest does to them meanwhile. */
static CUresult copy_desc(struct cuda_session *s, uint32_t i, uint8_t *to)
{
	struct vgpu_operand op;
	int err = session_operand(s, i, VGPU_BUFFER_READ, &op);

	if (err)
		return err == -ENOMEM ? CUDA_ERROR_OUT_OF_MEMORY : CUDA_ERROR_INVALID_VALUE;
	for (uint32_t j = 0; j < op.nruns; j++) {
		memcpy(to, op.run[j].base, op.run[j].length);
		to += op.run[j].length;
	}
	return CUDA_SUCCESS;
}

CUresult host_vgpuBlobCopy(struct cuda_session *s, unsigned long long number,
			   unsigned long long offset, unsigned long long bytes)
{
	struct blob *b = blobs_find(s, number);
	uint64_t done = 0;

	if (!fits(b, offset, bytes))
		return CUDA_ERROR_INVALID_VALUE;
	for (uint32_t i = 0; i < s->req->ndesc; i++) {
		const struct vgpu_desc *d = &s->req->desc[i];
		CUresult r = CUDA_ERROR_INVALID_VALUE;

		if (d->length <= bytes - done)
			r = copy_desc(s, i, b->data + offset + done);
		if (r != CUDA_SUCCESS)
			return r;
		done += d->length;
	}
	worker_count_bytes(s->worker, 0, 0, done);
	return done == bytes ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

CUresult host_vgpuBlobEnd(struct cuda_session *s, unsigned long long number)
{
	struct blob *b = blobs_find(s, number);

	if (!b)
		return CUDA_ERROR_INVALID_VALUE;
	drop(s, b);
	return CUDA_SUCCESS;
}

CUresult host_vgpuBlobLog(struct cuda_session *s, unsigned long long number, unsigned int which,
			  unsigned int offset, unsigned int bytes, char *text, unsigned int *total)
{
	const struct blob *b = blobs_find(s, number);
	unsigned int i = which - VGPU_LOG_INFO;
	size_t length;

	if (!b || i > 1)
		return CUDA_ERROR_INVALID_VALUE;
	length = b->log[i] ? strnlen(b->log[i], b->log_bytes[i]) : 0;
	*total = (unsigned int)length;
	if (offset < length && bytes)
		memcpy(text, b->log[i] + offset, MIN(bytes, length - offset));
	return CUDA_SUCCESS;
}
