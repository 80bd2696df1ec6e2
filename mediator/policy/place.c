/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which GPU a session goes to, where there are several. */
#include "policy.h"

static bool may_use(const struct policy *p, guint gpu)
{
	for (guint i = 0; i < p->gpus->len; i++) {
		if (g_array_index(p->gpus, guint, i) == gpu)
			return true;
	}
	return !p->gpus->len;
}

/* Is `a` the better place?  Where nothing speaks for either, the earlier one. */
static bool is_better(const struct policy *p, const struct policy_gpu *a,
		      const struct policy_gpu *b)
{
	if (a->own != b->own)
		return p->placement == POLICY_PACK ? a->own > b->own : a->own < b->own;
	return a->all < b->all;
}

const struct policy_gpu *policy_place(const struct policy *p, const struct policy_gpu *gpus,
				      guint n)
{
	const struct policy_gpu *best = NULL;

	for (guint i = 0; i < n; i++) {
		if (may_use(p, gpus[i].number) && (!best || is_better(p, &gpus[i], best)))
			best = &gpus[i];
	}
	return best;
}
