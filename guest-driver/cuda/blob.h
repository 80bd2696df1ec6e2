/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Sending data that is too large for a record, for a later call to use. */
#ifndef CUDA_BLOB_H
#define CUDA_BLOB_H

#include <stddef.h>

#include "api.h"

/* Sends `size` bytes; *blob is their number, to be given to rpc_vgpuBlobEnd() when done. */
CUresult blob_send(const void *data, size_t size, unsigned long long *blob);

#endif /* CUDA_BLOB_H */
