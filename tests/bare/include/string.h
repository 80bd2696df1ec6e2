/* SPDX-License-Identifier: GPL-2.0-or-later */
/* For a program without a C library: what the compiler and vgpu_ring.h call. */
#ifndef BARE_STRING_H
#define BARE_STRING_H

#include <stddef.h>

void *memcpy(void *dst, const void *src, size_t n);
void *memset(void *dst, int byte, size_t n);

#endif
