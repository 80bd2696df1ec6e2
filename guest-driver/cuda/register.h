/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pages of the program's own that the device reaches at the same addresses. */
#ifndef CUDA_REGISTER_H
#define CUDA_REGISTER_H

#include <stddef.h>

#include "api.h"

/*
 * Makes the pages that [p, p+n) touches reachable; pages that an earlier call
 * took already are counted.  `flags` as cuMemHostRegister().
 */
CUresult register_pages(void *p, size_t n, unsigned int flags);

/* Lets go of what register_pages() took for the same range. */
CUresult unregister_pages(void *p, size_t n);

#endif /* CUDA_REGISTER_H */
