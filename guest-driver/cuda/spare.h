/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Freed device memory that is kept for the next allocation of its size.
 *
 * Programs that allocate and free in each step then cross to the host in none
 * of them.  Only memory that no work of the GPU can use any more is kept, and
 * little of it.  May be called from any thread.
 */
#ifndef CUDA_SPARE_H
#define CUDA_SPARE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct context;

/* Keeps memory that the GPU is done with; false: too large, or no room. */
bool spare_keep(uint64_t base, size_t size, struct context *c);

/* Memory of exactly this size, made in this context; 0: none. */
uint64_t spare_take(size_t size, struct context *c);

/* Gives all of it back to the host; false: there was none. */
bool spare_release(void);

/* Forgets what was made in a context that has ended. */
void spare_forget(const struct context *c);

#endif /* CUDA_SPARE_H */
