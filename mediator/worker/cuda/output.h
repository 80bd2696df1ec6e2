/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the driver writes to standard output and standard error (printf and
 * assert in kernels) goes to the guest as notes.
 *
 * Both descriptors lead to files in memory, so a driver that writes much never
 * has to wait for us.  Their length is fixed: a guest cannot fill the host's memory with
 * text that it does not take.
 */
#ifndef VGPU_WORKER_CUDA_OUTPUT_H
#define VGPU_WORKER_CUDA_OUTPUT_H

#include <stdbool.h>

struct cuda_session;

/* Redirects the process's descriptors 1 and 2; false: they stay as they are. */
bool output_init(struct cuda_session *s);

/* Sends the text there is.  False: not all of it, the response ring has no room. */
bool output_drain(struct cuda_session *s);

#endif /* VGPU_WORKER_CUDA_OUTPUT_H */
