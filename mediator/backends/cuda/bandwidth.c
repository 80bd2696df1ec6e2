/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * BANDWIDTH: a buffer to the device and back.
 *
 * Contexts, registrations and plans are made before the clock starts: what is
 * timed is the way of the bytes alone.
 */
#include "session.h"

#include <errno.h>
#include <string.h>

static int to_device(struct vgpu_backend *be, uint32_t repetitions, uint64_t *ns,
		     struct vgpu_work *work)
{
	uint64_t began = session_now();
	int rc = 0;

	for (uint32_t i = 0; i < repetitions && !rc; i++)
		rc = session_check(be,
				   plan_to_device(&be->plan[0], be->buffer[0].at, &be->staging,
						  be->stream, &work->host_copied),
				   "copying to the device");
	if (!rc)
		rc = session_wait(be);
	*ns = session_now() - began;
	return rc;
}

static int from_device(struct vgpu_backend *be, uint32_t repetitions, uint64_t *ns,
		       struct vgpu_work *work)
{
	uint64_t began = session_now();
	int rc = 0;

	for (uint32_t i = 0; i < repetitions && !rc; i++)
		rc = session_check(be,
				   plan_from_device(&be->plan[0], be->buffer[0].at, &be->staging,
						    be->stream, &work->host_copied),
				   "copying from the device");
	if (!rc)
		rc = session_wait(be);
	*ns = session_now() - began;
	return rc;
}

static cudaError_t enqueue_checksum(struct vgpu_backend *be, uint64_t length)
{
	uint64_t words = length / sizeof(uint32_t);
	cudaError_t err = cudaMemsetAsync(be->sum, 0, sizeof(*be->sum), be->stream);

	if (err == cudaSuccess)
		err = vgpu_kernel_checksum((const uint32_t *)be->buffer[0].at, words, be->sum,
					   be->stream);
	if (err == cudaSuccess)
		err = cudaMemcpyAsync(be->sum_host, be->sum, sizeof(*be->sum),
				      cudaMemcpyDeviceToHost, be->stream);
	return err;
}

static int bandwidth(struct vgpu_backend *be, const struct vgpu_operand *op, uint32_t repetitions,
		     struct vgpu_bandwidth_result *out, struct vgpu_work *work)
{
	int rc = session_reserve(be, 0, op->length);

	if (!rc)
		rc = session_check(be, plan_make(&be->plan[0], op, &be->regions, be->stream),
				   "preparing the buffer");
	if (!rc)
		rc = session_wait(be);
	if (!rc)
		rc = to_device(be, repetitions, &out->to_device_ns, work);
	if (!rc)
		rc = session_check(be, enqueue_checksum(be, op->length), "checksum kernel");
	if (!rc)
		rc = session_wait(be);
	if (!rc)
		out->checksum = *be->sum_host;
	if (!rc)
		rc = from_device(be, repetitions, &out->from_device_ns, work);
	return rc;
}

int cuda_bandwidth(struct vgpu_backend *be, const struct vgpu_operand *buf, uint32_t repetitions,
		   struct vgpu_bandwidth_result *out, struct vgpu_work *work)
{
	struct vgpu_work mine = {0};
	uint32_t backend = out->backend;
	int rc;

	if (buf->length % sizeof(uint32_t) != 0)
		return -EINVAL;
	rc = session_begin(be);
	memset(out, 0, sizeof(*out));
	out->backend = backend;
	if (!rc)
		rc = bandwidth(be, buf, repetitions, out, &mine);
	rc = session_end(be, rc, &mine);
	out->bytes = buf->length * repetitions;
	out->host_copied = mine.host_copied;
	work->nanoseconds += mine.nanoseconds;
	work->host_copied += mine.host_copied;
	return rc;
}
