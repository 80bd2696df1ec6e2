/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Request records: from bytes to a checked structure.  No I/O, no state.
 */
#ifndef VGPU_WORKER_REQUEST_H
#define VGPU_WORKER_REQUEST_H

#include <stddef.h>
#include <stdint.h>

#include "vgpu_abi.h"

struct request {
	uint64_t id;
	uint16_t command;
	uint16_t ndesc;
	struct vgpu_desc desc[VGPU_DESCS_MAX];
	const uint8_t *body; /* in the caller's bytes */
	uint32_t body_length;
};

/*
 * `rec`: a private copy of `len` bytes, at least a header (the ring's framing
 * was checked).  Always fills in id and command, for the response.  0 or
 * -EINVAL: flags or reserved fields set, descriptors that do not fit.
 */
int request_parse(const void *rec, size_t len, struct request *out);

#endif /* VGPU_WORKER_REQUEST_H */
