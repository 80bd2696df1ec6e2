/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Device memory of the session, however it was allocated. */
#ifndef VGPU_WORKER_CUDA_MEMORY_H
#define VGPU_WORKER_CUDA_MEMORY_H

#include <stdbool.h>
#include <stdint.h>

#include "ranges.h"

struct cuda_session;

/*
 * The driver has just allocated this: it is the session's, and whatever was
 * known of these addresses is void.  False: no memory for the note.
 */
bool memory_note(struct cuda_session *s, uint64_t at, uint64_t bytes, enum range_kind kind);

/* The driver has taken it back, at once or in a stream's order. */
void memory_freed(struct cuda_session *s, uint64_t at);

/* Rows as a pitched fill has them: do they lie in the session's memory? */
bool memory_has_rows(struct cuda_session *s, uint64_t at, uint64_t pitch, uint64_t width,
		     uint64_t height);

#endif /* VGPU_WORKER_CUDA_MEMORY_H */
