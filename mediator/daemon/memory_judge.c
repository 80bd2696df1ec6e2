/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Device memory as the GPU tells it, against what a tenant may have. */
#include "memory_judge.h"

static uint64_t add(uint64_t a, uint64_t b)
{
	uint64_t sum;

	return __builtin_add_overflow(a, b, &sum) ? UINT64_MAX : sum;
}

guint memory_contexts(uint64_t told)
{
	return told > 1 ? 2 : 1;
}

/* What it holds beyond its contexts and what it admits to. */
static uint64_t hidden(const struct memory_session *s)
{
	const uint64_t known = add(s->beside, s->claimed);

	return s->held > known ? s->held - known : 0;
}

/* Who hides most; where nobody hides anything, who has most. */
static int worst(const struct memory_session *session, guint n)
{
	uint64_t best = 0;
	int found = -1;

	for (guint i = 0; i < n; i++) {
		const struct memory_session *s = &session[i];
		const uint64_t mine = hidden(s);

		if (!s->held)
			continue;
		if (found < 0 || mine > best || (mine == best && s->held > session[found].held)) {
			found = (int)i;
			best = mine;
		}
	}
	return found;
}

static void note_limit(struct memory_record *r, uint64_t limit, bool evicts)
{
	if (limit < r->limit && !evicts)
		r->grace = MAX(r->grace, r->limit);
	if (evicts || r->grace <= limit)
		r->grace = 0;
	r->limit = limit;
}

int memory_judge(struct memory_record *r, const struct memory_session *session, guint n,
		 uint64_t limit, bool evicts)
{
	uint64_t held = 0, beside = 0;

	note_limit(r, limit, evicts);
	for (guint i = 0; i < n; i++) {
		held = add(held, session[i].held);
		beside = add(beside, session[i].held ? session[i].beside : 0);
	}
	if (held <= add(limit, beside))
		r->grace = 0; /* it fits the new limit, and has to from now on */
	if (held <= add(MAX(limit, r->grace), beside)) {
		r->strikes = 0;
		return -1;
	}
	if (++r->strikes < MEMORY_STRIKES)
		return -1;
	r->strikes = 0;
	return worst(session, n);
}
