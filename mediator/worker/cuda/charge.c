/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Charging, and giving back what goes by itself. */
#include "charge.h"

#include <glib.h>

#include "cuda_dispatch.h"
#include "session.h"
#include "worker.h"

/*
 * The driver hands out small pieces of larger blocks, so that a million tiny
 * allocations cost what a few large ones do, and not nothing.
 */
#define UNIT 512u

uint64_t charge_of(uint64_t bytes)
{
	return bytes > UINT64_MAX - (UNIT - 1) ? UINT64_MAX : (bytes + UNIT - 1) / UNIT * UNIT;
}

/* First by asking, which costs little; then by giving up what the program would have had at hand.
 */
static bool reclaim(void *opaque)
{
	struct cuda_session *s = opaque;
	const uint64_t before = s->worker->tenant.own.memory;

	charge_settle(s);
	charge_pool_trim(s);
	return s->worker->tenant.own.memory < before;
}

CUresult charge_init(struct cuda_session *s)
{
	s->pools = g_hash_table_new_full(NULL, NULL, NULL, g_free);
	s->physical = g_hash_table_new_full(NULL, NULL, NULL, g_free);
	s->ranges.session = s;
	s->worker->tenant.reclaim = reclaim;
	s->worker->tenant.opaque = s;
	return CUDA_SUCCESS;
}

CUresult charge_take(struct cuda_session *s, uint64_t bytes)
{
	struct worker *w = s->worker;

	if (tenant_charge(&w->tenant, bytes))
		return CUDA_SUCCESS;
	control_refused(w, CTL_REFUSED_MEMORY, s->req ? s->req->id : 0, bytes,
			cuda_function_name(s->function));
	return CUDA_ERROR_OUT_OF_MEMORY;
}

void charge_give(struct cuda_session *s, uint64_t bytes)
{
	if (bytes)
		tenant_discharge(&s->worker->tenant, bytes);
}

void charge_range(struct cuda_session *s, uint64_t at, uint64_t bytes, uint64_t source)
{
	struct cuda_range *r = ranges_find(&s->ranges, at);

	if (!r)
		return;
	r->charged = bytes;
	r->source = source;
}

void charge_range_gone(struct cuda_ranges *ranges, const struct cuda_range *range)
{
	struct cuda_session *s = ranges->session;

	if (!s)
		return;
	if (range->kind == RANGE_VMM)
		charge_physical_let_go(s, range->source);
	else if (range->source)
		charge_pool_left(s, range->source, range->charged);
	else
		charge_give(s, range->charged);
}

/* ---------------------------------------------------- physical allocations */

struct physical {
	uint64_t bytes;
	uint64_t users; /* handles and mappings */
};

static void *key_of(uint64_t real)
{
	return (void *)(uintptr_t)real;
}

void charge_physical(struct cuda_session *s, uint64_t real, uint64_t bytes)
{
	struct physical *p = g_new0(struct physical, 1);

	p->bytes = bytes;
	g_hash_table_replace(s->physical, key_of(real), p);
}

void charge_physical_hold(struct cuda_session *s, uint64_t real)
{
	struct physical *p = g_hash_table_lookup(s->physical, key_of(real));

	if (p)
		p->users++;
}

void charge_physical_let_go(struct cuda_session *s, uint64_t real)
{
	struct physical *p = g_hash_table_lookup(s->physical, key_of(real));

	if (!p || --p->users)
		return;
	charge_give(s, p->bytes);
	g_hash_table_remove(s->physical, key_of(real));
}

void charge_clear(struct cuda_session *s)
{
	g_hash_table_unref(s->pools);
	g_hash_table_unref(s->physical);
	s->pools = s->physical = NULL;
}
