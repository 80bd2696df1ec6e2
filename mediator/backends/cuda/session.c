/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The life of a session: its context, its memory, its errors, its waits.
 */
#include "session.h"

#include <errno.h>
#include <time.h>

/* Short commands end while we look; for longer ones a core is not kept busy. */
#define SPIN_NS 100000u
/* Device memory grows in these steps ... */
#define BUFFER_STEP ((uint64_t)2 << 20)
/* ... and a buffer larger than this is given back after the command. */
#define BUFFER_KEEP ((uint64_t)256 << 20)

uint64_t session_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

int session_check(struct vgpu_backend *be, cudaError_t err, const char *what)
{
	int rc;

	switch (err) {
	case cudaSuccess:
		return 0;
	case cudaErrorMemoryAllocation:
		rc = -ENOMEM;
		break;
	case cudaErrorNoDevice:
	case cudaErrorInvalidDevice:
	case cudaErrorInsufficientDriver:
	case cudaErrorDevicesUnavailable:
		rc = -ENODEV;
		break;
	default:
		rc = -EIO;
	}
	g_warning("GPU %u: %s: %s (%s)%s", be->device, what, cudaGetErrorString(err),
		  cudaGetErrorName(err), rc == -EIO ? "; the session is lost" : "");
	cudaGetLastError(); /* or the next call would report it again */
	if (rc == -EIO)
		be->lost = rc;
	return rc;
}

/* Everything that each command needs, in the order in which it can fail. */
static cudaError_t set_up(struct vgpu_backend *be)
{
	cudaError_t err = cudaStreamCreateWithFlags(&be->stream, cudaStreamNonBlocking);

	if (err == cudaSuccess)
		err = cudaEventCreateWithFlags(&be->done,
					       cudaEventDisableTiming | cudaEventBlockingSync);
	if (err == cudaSuccess)
		err = cudaMalloc((void **)&be->sum, sizeof(*be->sum));
	if (err == cudaSuccess)
		err = cudaHostAlloc((void **)&be->sum_host, sizeof(*be->sum_host),
				    cudaHostAllocDefault);
	return err;
}

int session_begin(struct vgpu_backend *be)
{
	int rc;

	be->began = session_now();
	if (be->lost)
		return be->lost;
	if (be->started)
		return 0;
	rc = session_check(be, cudaSetDevice((int)be->device), "making a context");
	if (rc)
		return rc;
	rc = session_check(be, set_up(be), "setting up the session");
	if (rc)
		session_release(be);
	else
		be->started = true;
	return rc;
}

static cudaError_t wait_for_stream(struct vgpu_backend *be)
{
	uint64_t until = session_now() + SPIN_NS;
	cudaError_t err;

	do {
		err = cudaStreamQuery(be->stream);
	} while (err == cudaErrorNotReady && session_now() < until);
	cudaGetLastError(); /* "not ready" is kept as an error, too */
	if (err == cudaErrorNotReady) {
		err = cudaEventRecord(be->done, be->stream);
		if (err == cudaSuccess)
			err = cudaEventSynchronize(be->done);
	}
	if (err != cudaSuccess)
		cudaStreamSynchronize(be->stream); /* whatever failed, nothing may run on */
	return err;
}

int session_wait(struct vgpu_backend *be)
{
	return session_check(be, wait_for_stream(be), "running a command");
}

static void release_buffer(struct vgpu_backend *be, struct device_buffer *buffer)
{
	if (buffer->at)
		cudaFree(buffer->at);
	if (buffer->at && be->account.give)
		be->account.give(be->account.opaque, buffer->size);
	*buffer = (struct device_buffer){0};
}

/* What an earlier command left in buffers that this one has not reserved yet makes room. */
static bool take(struct vgpu_backend *be, unsigned int index, uint64_t size)
{
	if (!be->account.take || be->account.take(be->account.opaque, size))
		return true;
	for (unsigned int i = index + 1; i < VGPU_CUDA_OPERANDS; i++)
		release_buffer(be, &be->buffer[i]);
	return be->account.take(be->account.opaque, size);
}

int session_end(struct vgpu_backend *be, int rc, struct vgpu_work *work)
{
	/* The caller's memory is in use until the stream is idle, failed or not. */
	if (be->started && be->lost) {
		cudaStreamSynchronize(be->stream);
	} else if (be->started) {
		int waited = session_wait(be);

		rc = rc ? rc : waited;
	}
	for (unsigned int i = 0; i < VGPU_CUDA_OPERANDS && !be->lost; i++) {
		if (be->buffer[i].size > BUFFER_KEEP)
			release_buffer(be, &be->buffer[i]);
	}
	work->nanoseconds += session_now() - be->began;
	return rc;
}

int session_reserve(struct vgpu_backend *be, unsigned int index, uint64_t size)
{
	struct device_buffer *buffer = &be->buffer[index];
	int rc;

	if (size <= buffer->size)
		return 0;
	if (size > UINT64_MAX - BUFFER_STEP)
		return -ENOMEM;
	size = (size + BUFFER_STEP - 1) / BUFFER_STEP * BUFFER_STEP;
	release_buffer(be, buffer);
	if (!take(be, index, size))
		return -ENOMEM;
	rc = session_check(be, cudaMalloc((void **)&buffer->at, size), "allocating device memory");
	if (rc) {
		buffer->at = NULL;
		if (be->account.give)
			be->account.give(be->account.opaque, size);
		return rc;
	}
	buffer->size = size;
	return 0;
}

void session_release(struct vgpu_backend *be)
{
	if (be->stream)
		cudaStreamSynchronize(be->stream);
	regions_release(&be->regions);
	staging_release(&be->staging);
	for (unsigned int i = 0; i < VGPU_CUDA_OPERANDS; i++) {
		release_buffer(be, &be->buffer[i]);
		plan_release(&be->plan[i]);
	}
	if (be->sum_host)
		cudaFreeHost(be->sum_host);
	if (be->sum)
		cudaFree(be->sum);
	if (be->done)
		cudaEventDestroy(be->done);
	if (be->stream)
		cudaStreamDestroy(be->stream);
	be->sum_host = NULL;
	be->sum = NULL;
	be->done = NULL;
	be->stream = NULL;
	be->started = false;
	cudaGetLastError();
}
