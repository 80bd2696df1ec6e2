/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The kernels' PTX, made by ../embed.py. */
#ifndef TESTS_CUDA_HOSTILE_KERNELS_H
#define TESTS_CUDA_HOSTILE_KERNELS_H

extern const char kernels_ptx[];

#endif /* TESTS_CUDA_HOSTILE_KERNELS_H */
