/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cuda.h as the library itself needs it: every entry point under the name it
 * is exported by, with no renaming to the newest form, and visible outside.
 * Include it before anything that includes cuda.h.
 */
#ifndef CUDA_API_H
#define CUDA_API_H

#include "cuda_exports.h"

#endif /* CUDA_API_H */
