/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Data too large for a record, put together piece by piece: images, parameters. */
#ifndef VGPU_WORKER_CUDA_BLOBS_H
#define VGPU_WORKER_CUDA_BLOBS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cuda_session;

#define BLOBS_MAX 256u
#define BLOBS_BYTES_MAX ((uint64_t)1 << 30) /* all of a session's together */
#define BLOB_LOG_MAX (1u << 20)

struct blob {
	struct blob *next;
	uint64_t number;
	uint64_t bytes;
	uint8_t *data; /* zeros follow it; NULL once it was loaded */
	size_t mapped;
	char *log[2]; /* of the load: information, errors; NULL: none */
	uint32_t log_bytes[2];
};

/* NULL: there is none. */
struct blob *blobs_find(struct cuda_session *s, uint64_t number);

/* The data is needed no more. */
void blobs_spend(struct cuda_session *s, struct blob *b);

/* Is this an image that lies within its bytes, whatever its headers say? */
bool image_is_sane(const struct blob *b);

/*
 * Device memory that a sane image takes: its code and data, and variables of
 * zeros where it tells their size without having to be unpacked or compiled.  Of
 * a fatbin's cubins the one with most of these counts.
 */
uint64_t image_memory(const struct blob *b);

#endif /* VGPU_WORKER_CUDA_BLOBS_H */
