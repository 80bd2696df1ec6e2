// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Large copies of memory that is not pinned.
 *
 * In a VM the module pins the pages for the time of the copy and the host's
 * GPU reads or writes them in place.  Where that is not possible, by the
 * daemon's socket, the data goes through a pinned area (staging.c).
 */
#include <errno.h>
#include <unistd.h>

#include "client.h"
#include "copy.h"
#include "cuda_rpc.h"
#include "staging.h"

#define PIECE ((size_t)64 << 20)

/* Registers the pages that hold [host, host+n), copies, and lets them go. */
static CUresult copy_pages(unsigned int direction, CUdeviceptr device, uint8_t *host, size_t n,
			   CUstream stream)
{
	uint32_t flags = direction == VGPU_COPY_TO_DEVICE ? VGPU_BUFFER_READ : VGPU_BUFFER_WRITE;
	struct vgpu_desc desc = {.length = n};
	CUresult r;

	if (client_buffer_register(host, n, flags, &desc.buffer) < 0) {
		switch (errno) {
		case EOPNOTSUPP:
			return CUDA_ERROR_NOT_SUPPORTED;
		case EFAULT:
			return CUDA_ERROR_INVALID_VALUE;
		case ENOMEM:
		case ENOSPC:
			return CUDA_ERROR_OUT_OF_MEMORY;
		default:
			return CUDA_ERROR_OPERATING_SYSTEM;
		}
	}
	r = rpc_vgpuCopy(direction, device, n, stream, &desc, 1);
	client_buffer_unregister(desc.buffer);
	return r;
}

CUresult bulk_copy(unsigned int direction, CUdeviceptr device, void *host, size_t n,
		   CUstream stream)
{
	static bool no_pages; /* was found out once: the transport cannot */
	uint8_t *at = host;

	while (n && !__atomic_load_n(&no_pages, __ATOMIC_RELAXED)) {
		size_t now = n < PIECE ? n : PIECE;
		CUresult r = copy_pages(direction, device, at, now, stream);

		if (r == CUDA_ERROR_NOT_SUPPORTED) {
			__atomic_store_n(&no_pages, true, __ATOMIC_RELAXED);
			break;
		}
		if (r != CUDA_SUCCESS)
			return r;
		device += now;
		at += now;
		n -= now;
	}
	return n ? staging_copy(direction, device, at, n, stream) : CUDA_SUCCESS;
}
