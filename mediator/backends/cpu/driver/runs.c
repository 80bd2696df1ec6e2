/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Copies between device memory and an operand: memory of a guest, in pieces,
 * which the worker keeps mapped until the stream is done with it.
 */
#include <string.h>

#include "backend.h"
#include "cpu_driver.h"
#include "driver.h"

CUresult runs_run(const struct runs_work *r)
{
	struct pins pins = PINS_INIT;
	uint8_t *at = (uint8_t *)r->device;
	bool ok = pins_add(&pins, r->device, r->length, r->to_device ? ACCESS_WRITE : ACCESS_READ);

	for (uint32_t i = 0; ok && i < r->n; i++) {
		if (r->to_device)
			memcpy(at, r->run[i].base, r->run[i].length);
		else
			memcpy(r->run[i].base, at, r->run[i].length);
		at += r->run[i].length;
	}
	pins_drop(&pins);
	return ok ? CUDA_SUCCESS : CUDA_ERROR_ILLEGAL_ADDRESS;
}

int cpu_driver_copy(void *stream, uint64_t device, const struct vgpu_operand *op, bool to_device)
{
	struct work *w;
	CUstream s;

	ENTER_CONTEXT(ctx);
	enter_error = stream_find(ctx, stream, &s);
	if (enter_error)
		return enter_error;
	if (s->capture)
		return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
	if (!span_is_valid(device, op->length, to_device ? ACCESS_WRITE : ACCESS_READ))
		return CUDA_ERROR_INVALID_VALUE;
	w = work_new(WORK_RUNS);
	w->runs = (struct runs_work){.device = device,
				     .to_device = to_device,
				     .n = op->nruns,
				     .length = op->length,
				     .run = g_memdup2(op->run, op->nruns * sizeof(*op->run))};
	return stream_submit(s, w, NULL);
}
