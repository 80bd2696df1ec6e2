/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the dispatch asks of a session: here, a small one whose every answer the test knows. */
#ifndef TEST_SESSION_H
#define TEST_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "cuda_driver.h"
#include "vgpu_cuda.h"

#define HOST_PENDING ((CUresult)-1)

struct cuda_request_view {
	const uint8_t *body;
	uint32_t length;
	const struct vgpu_desc *desc;
	uint32_t ndesc;
	uint64_t id;
	bool quiet;
};

struct cuda_reply {
	uint8_t *data;
	uint32_t room;
	uint32_t length;
	CUresult result;
};

struct cuda_session {
	const struct cuda_driver *drv;
	const struct cuda_request_view *req;
	uint64_t new_parent;
};

CUresult session_context(struct cuda_session *s, uint64_t handle);
CUresult session_device(struct cuda_session *s, CUdevice guest, CUdevice *real);
CUresult handles_get(struct cuda_session *s, uint64_t handle, enum vgpu_cuda_type type,
		     void **real);
uint64_t handles_context(struct cuda_session *s, uint64_t handle);
CUresult handles_free(struct cuda_session *s, uint64_t handle, enum vgpu_cuda_type type);
CUresult handles_set(struct cuda_session *s, uint64_t handle, enum vgpu_cuda_type type, void *real);
void handles_remove(struct cuda_session *s, uint64_t handle);
uint64_t handles_parent(struct cuda_session *s, uint64_t handle);
uint64_t handles_find(struct cuda_session *s, enum vgpu_cuda_type type, void *real);
bool ranges_check(struct cuda_session *s, uint64_t addr, uint64_t length);

#endif
