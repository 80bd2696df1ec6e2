/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Responses that nobody asked for. */
#include "notes.h"

#include <string.h>

#include "session.h"
#include "worker.h"

bool notes_send(struct cuda_session *s, uint32_t kind, uint64_t value, const void *data,
		uint32_t length)
{
	struct {
		struct vgpu_response header;
		struct vgpu_cuda_note note;
		uint8_t data[NOTE_DATA_MAX];
	} rec;

	rec.header = (struct vgpu_response){
		.length = (uint32_t)(sizeof(rec.header) + sizeof(rec.note) + length),
		.id = VGPU_CUDA_NOTE_ID,
		.command = VGPU_CMD_CUDA};
	rec.note = (struct vgpu_cuda_note){.kind = kind, .length = length, .value = value};
	if (length)
		memcpy(rec.data, data, length);
	return worker_push(s->worker, &rec, rec.header.length);
}
