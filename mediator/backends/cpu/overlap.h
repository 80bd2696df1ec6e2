/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Do operands share memory in a way that forbids working in place? */
#ifndef VGPU_CPU_OVERLAP_H
#define VGPU_CPU_OVERLAP_H

#include "backend.h"

/*
 * 1 if some byte of `out` is also a byte of `a` or `b` at another position,
 * 0 if not (apart, or the very same place), -ENOMEM.
 */
int overlap_is_shifted(const struct vgpu_operand *out, const struct vgpu_operand *a,
		       const struct vgpu_operand *b);

#endif /* VGPU_CPU_OVERLAP_H */
