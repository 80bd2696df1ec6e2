/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How long to watch the ring of a guest that polls. */
#include "patience.h"

#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))

void patience_rung(struct patience *p)
{
	p->rung = true;
}

static void begin_try(struct patience *p)
{
	if (p->skip) {
		p->skip--;
		return;
	}
	p->trying = true;
	p->quick = 0;
	p->slow = 0;
}

uint64_t patience_begin(struct patience *p, uint64_t usual)
{
	if (p->rung && !p->trying)
		begin_try(p);
	p->rung = false;
	p->usual = usual;
	if (!p->trying)
		return usual;
	return MAX(usual, MIN(usual * PATIENCE_TIMES, PATIENCE_MAX_NS));
}

static void fail(struct patience *p)
{
	p->trying = false;
	p->missed = MIN(2 * p->missed + 1, PATIENCE_SKIP_MAX);
	p->skip = p->missed;
}

void patience_end(struct patience *p, bool came, uint64_t after)
{
	if (!p->trying)
		return;
	if (!came) {
		fail(p);
	} else if (after > p->usual) {
		if (++p->slow == PATIENCE_SLOW)
			fail(p);
	} else if (++p->quick == PATIENCE_QUICK) {
		p->trying = false;
		p->missed = 0;
	}
}
