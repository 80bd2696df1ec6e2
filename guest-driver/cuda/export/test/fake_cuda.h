/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The library around the export tables, for their test. */
#ifndef EXPORT_TEST_FAKE_CUDA_H
#define EXPORT_TEST_FAKE_CUDA_H

#include "../../context.h"

#define FAKE_PRIMARY ((CUcontext)0x1000)
#define FAKE_VERSION 12080

extern struct context *fake_current; /* what is current to every thread */

#endif /* EXPORT_TEST_FAKE_CUDA_H */
