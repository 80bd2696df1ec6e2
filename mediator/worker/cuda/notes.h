/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Responses that nobody asked for. */
#ifndef VGPU_WORKER_CUDA_NOTES_H
#define VGPU_WORKER_CUDA_NOTES_H

#include <stdbool.h>
#include <stdint.h>

#include "vgpu_abi.h"
#include "vgpu_cuda.h"

struct cuda_session;

#define NOTE_DATA_MAX \
	(VGPU_RECORD_MAX - sizeof(struct vgpu_response) - sizeof(struct vgpu_cuda_note))

/* False: no room in the response ring now; the guest will ring when there is. */
bool notes_send(struct cuda_session *s, uint32_t kind, uint64_t value, const void *data,
		uint32_t length);

#endif /* VGPU_WORKER_CUDA_NOTES_H */
