/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pages of the program's own that the device reaches at the same addresses. */
#ifndef CUDA_REGISTER_H
#define CUDA_REGISTER_H

#include <stddef.h>

#include "api.h"

struct context;

/*
 * Makes the pages that [p, p+n) touches reachable in the current context; pages
 * that an earlier call took already are counted.  `flags` as
 * cuMemHostRegister().  CUDA_ERROR_NOT_SUPPORTED: by the daemon's socket, memory
 * that is mapped as shared, or the caller's own stack.
 */
CUresult register_pages(void *p, size_t n, unsigned int flags);

/* Lets go of what register_pages() took for the same range. */
CUresult unregister_pages(void *p, size_t n);

/*
 * A context is about to end: what was registered in it is registered no more.
 * It still lives for the host, and is current to the caller.
 */
void register_context_ends(const struct context *c);

#endif /* CUDA_REGISTER_H */
