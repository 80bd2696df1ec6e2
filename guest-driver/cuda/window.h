/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Host memory that the device reaches at the program's own addresses.
 *
 * A window is a range of addresses that both the program and the host's worker
 * have reserved; pinned memory is made inside it.
 */
#ifndef CUDA_WINDOW_H
#define CUDA_WINDOW_H

#include <stddef.h>

#include "api.h"

struct context;

/*
 * Memory of at least `bytes` in a window, registered with the device.  A
 * context is current.  Aligned to a page, from 2 MiB on to 2 MiB.
 */
CUresult window_alloc(size_t bytes, unsigned int flags, void **out);

/* Gives back what window_alloc() made; nothing if its context has ended since. */
CUresult window_free(void *addr);

/*
 * A context is about to end: what was made in it goes with it.  It still lives
 * for the host, and is current to the caller.
 */
void window_context_ends(const struct context *c);

#endif /* CUDA_WINDOW_H */
