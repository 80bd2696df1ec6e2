/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Built without a CUDA toolkit: calls are refused as an unknown command. */
#include <errno.h>
#include <string.h>

#include "cuda/entry.h"
#include "worker.h"

bool cuda_is_built(void)
{
	return false;
}

bool cuda_request(struct worker *w, const void *record, uint32_t length)
{
	struct vgpu_request h;

	(void)length;
	memcpy(&h, record, sizeof(h));
	queue_count(&w->page->errors, 1);
	if (h.flags & VGPU_REQUEST_QUIET)
		return false;
	w->rsp.header = (struct vgpu_response){.length = sizeof(struct vgpu_response),
					       .status = (uint32_t)-EOPNOTSUPP,
					       .id = h.id,
					       .command = h.command};
	return true;
}

enum cuda_progress cuda_poll(struct worker *w)
{
	(void)w;
	return CUDA_NOTHING;
}

bool cuda_is_busy(const struct worker *w)
{
	(void)w;
	return false;
}

uint64_t cuda_spin_ns(const struct worker *w)
{
	(void)w;
	return 0;
}

int64_t cuda_nap_ns(const struct worker *w)
{
	(void)w;
	return 0;
}

int cuda_sleep(struct worker *w)
{
	(void)w;
	return -1;
}

void cuda_woken(struct worker *w)
{
	(void)w;
}

void cuda_disturbed(struct worker *w)
{
	(void)w;
}

void cuda_gpu_poll(struct worker *w, uint64_t now)
{
	(void)w;
	(void)now;
}

uint64_t cuda_outstanding_ns(const struct worker *w)
{
	(void)w;
	return 0;
}

bool cuda_has_held(const struct worker *w)
{
	(void)w;
	return false;
}

bool cuda_is_full(const struct worker *w)
{
	(void)w;
	return false;
}

bool cuda_has_room(const struct worker *w, uint64_t ns)
{
	(void)w;
	(void)ns;
	return true;
}

bool cuda_is_stalled(const struct worker *w, uint64_t now)
{
	(void)w;
	(void)now;
	return false;
}

void cuda_give_up(struct worker *w, uint64_t now)
{
	(void)w;
	(void)now;
}
