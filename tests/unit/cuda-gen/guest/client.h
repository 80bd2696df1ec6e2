/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The guest's side of sending, whose other end here is the dispatch itself. */
#ifndef TEST_CLIENT_H
#define TEST_CLIENT_H

#include <cuda.h>

#include "vgpu_ring.h"

CUresult client_post(uint32_t fn, uint64_t ctx, const struct vgpu_desc *desc, unsigned int ndesc,
		     const struct vgpu_piece *p, size_t n);
CUresult client_call(uint32_t fn, uint64_t ctx, const struct vgpu_desc *desc, unsigned int ndesc,
		     const struct vgpu_piece *p, size_t n, void *out, size_t size, size_t *got);

#endif
