/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Device memory that the session's tenant is charged for: all that the program
 * allocates, by whichever way, from before the driver is asked until it is
 * certain that the driver has it back.
 *
 * What is charged for stands with what was made: a range, an object, a context,
 * a pool, a physical allocation; it is given back when that goes, and so never
 * twice.  doc/tenants.md says what is not counted.
 */
#ifndef VGPU_WORKER_CUDA_CHARGE_H
#define VGPU_WORKER_CUDA_CHARGE_H

#include "cuda_driver.h"
#include <stdbool.h>
#include <stdint.h>

struct cuda_range;
struct cuda_ranges;
struct cuda_session;

CUresult charge_init(struct cuda_session *s);

/* CUDA_SUCCESS, or CUDA_ERROR_OUT_OF_MEMORY: more than the tenant may have. */
CUresult charge_take(struct cuda_session *s, uint64_t bytes);
void charge_give(struct cuda_session *s, uint64_t bytes);

/* What an allocation of `bytes` is charged for: no memory is had for nothing. */
uint64_t charge_of(uint64_t bytes);

/* ------------------------------------------------------------------ ranges */
/* The range that begins at `at` carries this charge; `source`: see struct cuda_range. */
void charge_range(struct cuda_session *s, uint64_t at, uint64_t bytes, uint64_t source);

/* A range goes, for whatever reason; `ranges` is the session's. */
void charge_range_gone(struct cuda_ranges *ranges, const struct cuda_range *range);

/* ------------------------------------------------------------------- pools */
/*
 * A pool keeps what is freed, as long as it likes, so that a session is charged
 * for the most that a pool has held since the driver was last asked.
 */
#define CHARGE_GRAPHS 1u /* the device's memory for graphs, as if it were a pool */

/* The device's current pool, for allocations that do not name one. */
uint64_t charge_current_pool(struct cuda_session *s);

/* Before so much is allocated from it (0: from a pool that is not known), and if that failed. */
CUresult charge_pool_take(struct cuda_session *s, uint64_t pool, uint64_t bytes);
void charge_pool_undo(struct cuda_session *s, uint64_t pool, uint64_t bytes);

/* The program frees a range that came from a pool: its charge is the pool's now. */
void charge_pool_freed(struct cuda_session *s, struct cuda_range *range);

/* A pool was destroyed; what came from it stays until it is freed. */
void charge_pool_gone(struct cuda_session *s, uint64_t pool);

/* Asks the driver what pools really hold. */
void charge_settle(struct cuda_session *s);

/* charge_pool.c: the last holder of such a range went without freeing it. */
void charge_pool_left(struct cuda_session *s, uint64_t pool, uint64_t bytes);
/* charge_pool.c: makes all pools give back what nobody uses. */
void charge_pool_trim(struct cuda_session *s);

/* ---------------------------------------------------- physical allocations */
/*
 * Memory of cuMemCreate() is there while a handle names it or it is mapped
 * anywhere.  `real` is the driver's handle.
 */
void charge_physical(struct cuda_session *s, uint64_t real, uint64_t bytes);
void charge_physical_hold(struct cuda_session *s, uint64_t real);
void charge_physical_let_go(struct cuda_session *s, uint64_t real);

/* Frees the notes, not the memory. */
void charge_clear(struct cuda_session *s);

#endif /* VGPU_WORKER_CUDA_CHARGE_H */
