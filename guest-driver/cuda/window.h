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

/*
 * Memory of at least `bytes` in a window, registered with the device.  A
 * context is current.  Aligned to a page, from 2 MiB on to 2 MiB.
 */
CUresult window_alloc(size_t bytes, unsigned int flags, void **out);

/* Gives back what window_alloc() made. */
CUresult window_free(void *addr);

#endif /* CUDA_WINDOW_H */
