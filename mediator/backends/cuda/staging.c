/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Staged copies.  Runs that follow each other in the device buffer share one
 * transfer, so many small ones cost no more than one large one.
 */
#include "staging.h"

#include <glib.h>
#include <stdbool.h>
#include <string.h>

/* Where a walk along the runs stands. */
struct cursor {
	const struct staged_run *run;
	uint64_t left; /* runs, this one included */
	uint64_t done; /* bytes of this run */
};

/* What fits a slot and is one stretch of the device buffer. */
struct batch {
	struct cursor from;
	uint64_t offset;
	uint64_t length;
};

static cudaError_t prepare(struct staging *s)
{
	cudaError_t err;

	for (unsigned int i = 0; i < VGPU_CUDA_STAGING_SLOTS; i++) {
		if (s->slot[i])
			continue;
		if (!s->ready[i]) {
			err = cudaEventCreateWithFlags(&s->ready[i], cudaEventDisableTiming |
									     cudaEventBlockingSync);
			if (err != cudaSuccess)
				return err;
		}
		err = cudaHostAlloc((void **)&s->slot[i], VGPU_CUDA_STAGING_SIZE,
				    cudaHostAllocDefault);
		if (err != cudaSuccess) {
			s->slot[i] = NULL;
			return err;
		}
	}
	return cudaSuccess;
}

void staging_release(struct staging *s)
{
	for (unsigned int i = 0; i < VGPU_CUDA_STAGING_SLOTS; i++) {
		if (s->slot[i])
			cudaFreeHost(s->slot[i]);
		if (s->ready[i])
			cudaEventDestroy(s->ready[i]);
	}
	memset(s, 0, sizeof(*s));
}

/* Moves `c` by at most `limit` bytes of its run; returns how many. */
static uint64_t step(struct cursor *c, uint64_t limit)
{
	uint64_t n = MIN(c->run->length - c->done, limit);

	c->done += n;
	if (c->done == c->run->length) {
		c->run++;
		c->left--;
		c->done = 0;
	}
	return n;
}

/* Takes the next batch off the walk; false at its end. */
static bool next_batch(struct cursor *c, struct batch *b)
{
	if (c->left == 0)
		return false;
	*b = (struct batch){.from = *c, .offset = c->run->offset + c->done};
	do {
		b->length += step(c, VGPU_CUDA_STAGING_SIZE - b->length);
	} while (c->left > 0 && b->length < VGPU_CUDA_STAGING_SIZE &&
		 c->run->offset + c->done == b->offset + b->length);
	return true;
}

static void fill(uint8_t *slot, const struct batch *b)
{
	struct cursor c = b->from;
	uint64_t n;

	for (uint64_t at = 0; at < b->length; at += n) {
		const uint8_t *host = c.run->host + c.done;

		n = step(&c, b->length - at);
		memcpy(slot + at, host, n);
	}
}

static void drain(const uint8_t *slot, const struct batch *b)
{
	struct cursor c = b->from;
	uint64_t n;

	for (uint64_t at = 0; at < b->length; at += n) {
		uint8_t *host = c.run->host + c.done;

		n = step(&c, b->length - at);
		memcpy(host, slot + at, n);
	}
}

cudaError_t staging_to_device(struct staging *s, uint8_t *device, const struct staged_run *run,
			      uint64_t nruns, cudaStream_t stream)
{
	struct cursor c = {.run = run, .left = nruns};
	cudaError_t err = nruns > 0 ? prepare(s) : cudaSuccess;
	struct batch b;

	for (unsigned int i = 0; err == cudaSuccess && next_batch(&c, &b);
	     i = (i + 1) % VGPU_CUDA_STAGING_SLOTS) {
		err = cudaEventSynchronize(s->ready[i]); /* its last transfer is over */
		if (err != cudaSuccess)
			break;
		fill(s->slot[i], &b);
		err = cudaMemcpyAsync(device + b.offset, s->slot[i], b.length,
				      cudaMemcpyHostToDevice, stream);
		if (err == cudaSuccess)
			err = cudaEventRecord(s->ready[i], stream);
	}
	return err;
}

cudaError_t staging_from_device(struct staging *s, const uint8_t *device,
				const struct staged_run *run, uint64_t nruns, cudaStream_t stream)
{
	struct cursor c = {.run = run, .left = nruns};
	struct batch batch[VGPU_CUDA_STAGING_SLOTS];
	uint64_t asked = 0, taken = 0;
	cudaError_t err = nruns > 0 ? prepare(s) : cudaSuccess;

	while (err == cudaSuccess) {
		unsigned int i = asked % VGPU_CUDA_STAGING_SLOTS;

		if (asked - taken < VGPU_CUDA_STAGING_SLOTS && next_batch(&c, &batch[i])) {
			err = cudaMemcpyAsync(s->slot[i], device + batch[i].offset, batch[i].length,
					      cudaMemcpyDeviceToHost, stream);
			if (err == cudaSuccess)
				err = cudaEventRecord(s->ready[i], stream);
			asked++;
			continue;
		}
		if (taken == asked)
			break;
		i = taken++ % VGPU_CUDA_STAGING_SLOTS;
		err = cudaEventSynchronize(s->ready[i]);
		if (err == cudaSuccess)
			drain(s->slot[i], &batch[i]);
	}
	return err;
}
