// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Large copies of memory that is not pinned.
 *
 * In a VM the module pins the pages for the time of the copy and the host's
 * GPU reads or writes them in place; in smaller pieces where it may not pin as
 * much, and in records where it may pin nothing.  Where the host cannot see
 * pages of the process, by the daemon's socket, the data goes through a pinned
 * area (staging.c).
 */
#include <errno.h>
#include <stdbool.h>

#include "client.h"
#include "copy.h"
#include "cuda_rpc.h"
#include "staging.h"

#define PIECE_MAX ((size_t)64 << 20)
#define PIECE_MIN ((size_t)64 << 10)

static CUresult of_errno(int error)
{
	switch (error) {
	case EOPNOTSUPP:
		return CUDA_ERROR_NOT_SUPPORTED;
	case EFAULT:
		return CUDA_ERROR_INVALID_VALUE;
	default:
		return CUDA_ERROR_OPERATING_SYSTEM;
	}
}

/* Is it for the number of pages that these were refused? */
static bool is_too_much(int error)
{
	return error == EDQUOT || error == ENOMEM || error == ENOSPC || error == E2BIG;
}

/*
 * Registers the pages that hold [host, host+n), copies, and lets them go.
 * *too_much: nothing was done, as not so many may be pinned now.
 */
static CUresult copy_pages(unsigned int direction, CUdeviceptr device, uint8_t *host, size_t n,
			   CUstream stream, bool *too_much)
{
	uint32_t flags = direction == VGPU_COPY_TO_DEVICE ? VGPU_BUFFER_READ : VGPU_BUFFER_WRITE;
	struct vgpu_desc desc = {.length = n};
	CUresult r;

	*too_much = false;
	if (client_buffer_register(host, n, flags, &desc.buffer) < 0) {
		*too_much = is_too_much(errno);
		return of_errno(errno);
	}
	r = rpc_vgpuCopy(direction, device, n, stream, &desc, 1);
	client_buffer_unregister(desc.buffer);
	return r;
}

CUresult bulk_copy(unsigned int direction, CUdeviceptr device, void *host, size_t n,
		   CUstream stream)
{
	static bool no_pages; /* was found out once: the transport cannot */
	size_t most = PIECE_MAX;
	uint8_t *at = host;

	while (n && !__atomic_load_n(&no_pages, __ATOMIC_RELAXED)) {
		size_t now = n < most ? n : most;
		bool too_much;
		CUresult r = copy_pages(direction, device, at, now, stream, &too_much);

		if (too_much && now > PIECE_MIN) {
			most = now / 2;
			continue;
		}
		if (too_much)
			r = copy_by_records(direction, device, at, now, stream);
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
