/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Request records: from bytes to a checked structure. */
#include "request.h"

#include <errno.h>
#include <string.h>

int request_parse(const void *rec, size_t len, struct request *out)
{
	struct vgpu_request h;
	size_t descs;

	memset(out, 0, sizeof(*out));
	if (len < sizeof(h))
		return -EINVAL;
	memcpy(&h, rec, sizeof(h));
	out->id = h.id;
	out->command = h.command;
	if (h.length != len || h.flags || h.reserved0 || h.reserved1 || h.reserved2)
		return -EINVAL;
	descs = h.ndesc * sizeof(struct vgpu_desc);
	if (h.ndesc > VGPU_DESCS_MAX || descs > len - sizeof(h))
		return -EINVAL;
	memcpy(out->desc, (const uint8_t *)rec + sizeof(h), descs);
	for (unsigned int i = 0; i < h.ndesc; i++) {
		if (out->desc[i].reserved)
			return -EINVAL;
	}
	out->ndesc = h.ndesc;
	out->body = (const uint8_t *)rec + sizeof(h) + descs;
	out->body_length = (uint32_t)(len - sizeof(h) - descs);
	return 0;
}
