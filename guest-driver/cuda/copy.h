/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Plain copies between the program's memory and the device's.
 *
 * `stream` is as shim_stream() gives it.  Calls have been entered, sizes are
 * not 0.
 */
#ifndef CUDA_COPY_H
#define CUDA_COPY_H

#include <stdbool.h>
#include <stddef.h>

#include "api.h"

/*
 * In the order of the stream.  `wait`: only returns when the copy is done; else
 * from pinned memory it returns at once, and from other memory when that may
 * be changed again.
 */
CUresult copy_to_device(CUdeviceptr dst, const void *src, size_t n, CUstream stream, bool wait);

/* Into pinned memory and without `wait` returns at once, else when the data is there. */
CUresult copy_from_device(void *dst, CUdeviceptr src, size_t n, CUstream stream, bool wait);

/* Through requests and answers, which pins nothing; returns when it is done. */
CUresult copy_by_records(unsigned int direction, CUdeviceptr device, void *host, size_t n,
			 CUstream stream);

/* Large copies of memory that is not pinned; returns when it may be changed again. */
CUresult bulk_copy(unsigned int direction, CUdeviceptr device, void *host, size_t n,
		   CUstream stream);

#endif /* CUDA_COPY_H */
