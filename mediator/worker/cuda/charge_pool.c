/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What pools hold.  The driver gives memory back to the device when it likes
 * (at the next wait, above a threshold that the program sets, or never), and
 * tells when asked.
 */
#include <glib.h>

#include "charge.h"
#include "cuda_dispatch.h"
#include "session.h"

struct pool {
	uint64_t live;    /* ranges that came from it and are there */
	uint64_t charged; /* never less than that */
	bool gone;        /* destroyed: it cannot be asked any more, and keeps nothing */
};

static void *key_of(uint64_t pool)
{
	return (void *)(uintptr_t)pool;
}

static struct pool *find(struct cuda_session *s, uint64_t pool)
{
	return g_hash_table_lookup(s->pools, key_of(pool));
}

static struct pool *find_or_make(struct cuda_session *s, uint64_t pool)
{
	struct pool *p = find(s, pool);

	if (!p) {
		p = g_new0(struct pool, 1);
		g_hash_table_insert(s->pools, key_of(pool), p);
	}
	p->gone = false; /* the driver has the address anew */
	return p;
}

uint64_t charge_current_pool(struct cuda_session *s)
{
	CUmemoryPool pool = NULL;

	if (!s->drv->cuDeviceGetMemPool ||
	    s->drv->cuDeviceGetMemPool(&pool, s->device) != CUDA_SUCCESS)
		return 0;
	return (uintptr_t)pool;
}

/* Bytes that it has of the device's; 0 if that is not told. */
static uint64_t held(struct cuda_session *s, uint64_t pool)
{
	cuuint64_t v[8] = {0};
	CUresult r = CUDA_ERROR_NOT_SUPPORTED;

	if (pool == CHARGE_GRAPHS && s->drv->cuDeviceGetGraphMemAttribute)
		r = s->drv->cuDeviceGetGraphMemAttribute(s->device,
							 CU_GRAPH_MEM_ATTR_RESERVED_MEM_CURRENT, v);
	else if (pool != CHARGE_GRAPHS && s->drv->cuMemPoolGetAttribute)
		r = s->drv->cuMemPoolGetAttribute((CUmemoryPool)(uintptr_t)pool,
						  CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT, v);
	return r == CUDA_SUCCESS ? v[0] : 0;
}

/* The driver rounds up; that is not the program's doing, and is not charged. */
static void settle(struct cuda_session *s, uint64_t number, struct pool *p)
{
	const uint64_t now = p->gone ? p->charged : MAX(p->live, MIN(p->charged, held(s, number)));

	charge_give(s, p->charged - now);
	p->charged = now;
}

void charge_settle(struct cuda_session *s)
{
	GHashTableIter it;
	gpointer key, p;

	g_hash_table_iter_init(&it, s->pools);
	while (g_hash_table_iter_next(&it, &key, &p))
		settle(s, (uintptr_t)key, p);
}

void charge_pool_trim(struct cuda_session *s)
{
	GHashTableIter it;
	gpointer key, value;

	g_hash_table_iter_init(&it, s->pools);
	while (g_hash_table_iter_next(&it, &key, &value)) {
		struct pool *p = value;

		if (p->gone || p->charged == p->live)
			continue;
		if (key == key_of(CHARGE_GRAPHS) && s->drv->cuDeviceGraphMemTrim)
			s->drv->cuDeviceGraphMemTrim(s->device);
		else if (key != key_of(CHARGE_GRAPHS) && s->drv->cuMemPoolTrimTo)
			s->drv->cuMemPoolTrimTo(key, 0);
		settle(s, (uintptr_t)key, p);
	}
}

CUresult charge_pool_take(struct cuda_session *s, uint64_t pool, uint64_t bytes)
{
	struct pool *p;
	uint64_t spare;
	CUresult r;

	if (!pool)
		return charge_take(s, bytes);
	p = find_or_make(s, pool);
	spare = p->charged - p->live;
	/* Counted as live at once: making room must not give the pool's share away. */
	if (bytes <= spare) {
		p->live += bytes;
		return CUDA_SUCCESS;
	}
	p->live += spare;
	r = charge_take(s, bytes - spare);
	p->live -= spare;
	if (r != CUDA_SUCCESS)
		return r;
	p->charged += bytes - spare;
	p->live += bytes;
	return CUDA_SUCCESS;
}

void charge_pool_undo(struct cuda_session *s, uint64_t pool, uint64_t bytes)
{
	struct pool *p = find(s, pool);

	if (!pool)
		charge_give(s, bytes);
	if (!p)
		return;
	p->live -= MIN(bytes, p->live);
	settle(s, pool, p);
}

/* What is left of a pool that is gone is only what its allocations are. */
static void forget_if_empty(struct cuda_session *s, uint64_t pool, const struct pool *p)
{
	if (p->gone && !p->charged)
		g_hash_table_remove(s->pools, key_of(pool));
}

void charge_pool_freed(struct cuda_session *s, struct cuda_range *range)
{
	struct pool *p = range->source ? find(s, range->source) : NULL;
	const uint64_t pool = range->source, bytes = range->charged;

	if (!p)
		return;
	range->source = 0;
	range->charged = 0;
	p->live -= MIN(bytes, p->live);
	if (!p->gone)
		return;
	charge_give(s, MIN(bytes, p->charged));
	p->charged -= MIN(bytes, p->charged);
	forget_if_empty(s, pool, p);
}

/* Its context went: the pool may still have it, or not, and says so when it is asked. */
void charge_pool_left(struct cuda_session *s, uint64_t pool, uint64_t bytes)
{
	struct pool *p = find(s, pool);

	if (p)
		p->live -= MIN(bytes, p->live);
}

void charge_pool_gone(struct cuda_session *s, uint64_t pool)
{
	struct pool *p = find(s, pool);

	if (!p)
		return;
	charge_give(s, p->charged - p->live);
	p->charged = p->live;
	p->gone = true;
	forget_if_empty(s, pool, p);
}
