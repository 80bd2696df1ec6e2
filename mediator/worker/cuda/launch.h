/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What launches and graphs share: functions, packed parameters, attributes. */
#ifndef VGPU_WORKER_CUDA_LAUNCH_H
#define VGPU_WORKER_CUDA_LAUNCH_H

#include <stdbool.h>
#include <stdint.h>

#include "cuda_driver.h"
#include "vgpu_calls.h"

struct cuda_object;
struct cuda_session;
struct layout;

/* The object of a function's or a kernel's handle, or NULL. */
const struct cuda_object *launches_function(struct cuda_session *s, uint64_t handle);

/* Fills s->params with where each parameter lies; false: there are too few bytes. */
bool launches_params(struct cuda_session *s, const struct layout *l, const uint8_t *packed,
		     uint64_t bytes);

/* Before it is launched or put into a graph: its tenant pays for local memory; CUDA_SUCCESS. */
CUresult launches_pay(struct cuda_session *s, const struct layout *l);

/* Attributes with an event or an address, translated and checked. */
CUresult launches_attribute(struct cuda_session *s, const struct vgpu_launch_attribute *in,
			    CUlaunchAttribute *out);

#endif /* VGPU_WORKER_CUDA_LAUNCH_H */
