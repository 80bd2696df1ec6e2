/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Options of loading and linking, as the driver wants them. */
#ifndef VGPU_WORKER_CUDA_JIT_H
#define VGPU_WORKER_CUDA_JIT_H

#include <stdbool.h>
#include <stdint.h>

#include "cuda_driver.h"
#include "vgpu_calls.h"

#define JIT_OPTIONS_MAX 64u

/* Options whose values are numbers, and our own log buffers. */
struct jit_options {
	unsigned int n;
	CUjit_option option[JIT_OPTIONS_MAX];
	void *value[JIT_OPTIONS_MAX];
};

/* False: too many, or one whose value would be an address. */
bool jit_take(struct jit_options *o, const struct vgpu_jit_option *in, unsigned int n);

/*
 * Makes a log buffer of `bytes` (cut to a bound; 0: none) in *log, for
 * information (0) or errors (1); a former one is freed.  False: no memory.
 */
bool jit_log(struct jit_options *o, unsigned int which, uint32_t bytes, char **log,
	     uint32_t *log_bytes);

#endif /* VGPU_WORKER_CUDA_JIT_H */
