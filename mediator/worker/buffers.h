/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Registered buffers: from (buffer, offset, length) to runs of memory.
 *
 * The table and the segment pages are written by the guest's kernel.  An entry
 * in use is marked by its `users` word, so that the guest does not free the
 * pages below a running command; see protocol/abi.md for the hand-shake.  What
 * was read once for a (index, generation) is kept and never read again.
 */
#ifndef VGPU_WORKER_BUFFERS_H
#define VGPU_WORKER_BUFFERS_H

#include "memory.h"
#include "vgpu_abi.h"

/* Runs that the cache keeps in all; 24 bytes each. */
#define BUFFERS_CACHED_RUNS (1u << 20)

struct buffer {
	uint32_t generation; /* 0: nothing cached */
	uint32_t flags;
	uint64_t length;
	struct runs runs;
};

struct buffers {
	const struct memory *mem;
	struct vgpu_buffer_entry *table; /* in guest RAM; NULL if n is 0 */
	uint32_t n;
	struct buffer *cache;
	uint64_t cached_runs;
	/* Entries whose `users` is set, and the runs of each operand of this request. */
	uint32_t held[VGPU_DESCS_MAX];
	unsigned int nheld;
	struct runs operand[VGPU_DESCS_MAX];
	unsigned int noperands;
	uint32_t *kept; /* of each entry: how many holds outlast their requests */
};

/* Entries that stay in use after their request. */
struct buffers_hold {
	uint32_t index[VGPU_DESCS_MAX];
	uint32_t n;
	struct frames_hold mapped;
};

/* 0 or -ENOMEM. */
int buffers_init(struct buffers *b, const struct memory *mem, struct vgpu_buffer_entry *table,
		 uint32_t n);
void buffers_free(struct buffers *b);

/* Forgets what was cached, because mappings moved; `table` is where the table is now. */
void buffers_forget(struct buffers *b, struct vgpu_buffer_entry *table);

/*
 * Resolves one descriptor; `access` are the VGPU_BUFFER_* flags needed.
 * `align`: each run must start and end at a multiple of it (1: any).
 * *op is valid until buffers_release(), which follows each request, failed
 * ones too.  0, -ENOENT, -ERANGE, -EACCES, -EFAULT, -EINVAL, -EMSGSIZE, -ENOMEM.
 */
int buffers_get(struct buffers *b, const struct vgpu_desc *desc, uint32_t access, uint32_t align,
		struct vgpu_operand *op);
void buffers_release(struct buffers *b);

/*
 * Before buffers_release(): what this request uses stays in use until
 * buffers_let_go(), so that the guest's kernel cannot free its pages.  The
 * runs of its operands do not stay, and what is mapped where they say only with
 * `mapped`.  The hold must not move meanwhile, and be zero before.
 */
void buffers_keep(struct buffers *b, struct buffers_hold *hold, bool mapped);
void buffers_let_go(struct buffers *b, struct buffers_hold *hold);

#endif /* VGPU_WORKER_BUFFERS_H */
