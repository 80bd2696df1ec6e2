/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the parts of leases.h's implementation know of each other. */
#ifndef VGPU_LEASES_PRIV_H
#define VGPU_LEASES_PRIV_H

#include <glib.h>

#include "leases.h"

struct lease_tenant {
	uint64_t id;
	uint32_t weight;
	uint32_t cap; /* per cent */
	uint32_t sessions;
	uint32_t wanting; /* sessions that want and have no lease */
	bool leased;      /* its sessions were told to ask */
	bool contends;    /* wants, and was told apart from others that do */
	uint64_t left_ns; /* when it ceased to */
	int64_t deficit;  /* credit for this round, ns */
	int64_t quantum; /* ... and what each round adds; as it was when somebody was last picked */
	int64_t budget;  /* below a cap, ns */
	uint64_t budget_ns; /* when that was brought up to date */
	struct lease_account account;
};

struct lease_session {
	uint64_t id;
	struct lease_tenant *tenant;
	bool wants; /* and has no lease */
	bool holds;
	bool overdue; /* holds one that is past: others go on without it */
	uint64_t serial;
};

struct leases {
	struct leases_config config;
	GPtrArray *tenants; /* in the order of their coming */
	GPtrArray *sessions;
	GArray *actions;    /* of the step in progress */
	uint32_t populated; /* tenants that have sessions */
	gint last; /* place of the tenant that had the last turn; -1: the first one is next */
	uint64_t serial;
	uint64_t timer;
	const struct lease_session
		*fresh; /* the one that has just appeared, and done nothing yet */
	/* The turn, if there is one. */
	struct lease_tenant *holder;
	uint32_t holding;    /* sessions that have not given it back */
	bool contended;      /* it is charged */
	uint64_t charged_ns; /* ... as far as here */
	uint64_t until;
	uint64_t plain_ns; /* end of a turn of one quantum */
	int64_t extra;     /* quanta beyond that, since the others are in debt */
};

static inline struct lease_tenant *leases_tenant_at(const struct leases *l, guint i)
{
	return g_ptr_array_index(l->tenants, i);
}

static inline struct lease_session *leases_session_at(const struct leases *l, guint i)
{
	return g_ptr_array_index(l->sessions, i);
}

/* leases_pick.c */

/* A turn shorter than this is not worth the change. */
int64_t leases_least(const struct leases *l);

/* Brings the budget of a tenant with a cap up to date. */
void leases_refill(const struct leases *l, struct lease_tenant *t, uint64_t now);
/* When a tenant below its cap may have a turn; `now` or earlier: now. */
uint64_t leases_ready_ns(const struct leases *l, const struct lease_tenant *t, uint64_t now);
/* Wants a turn, has none, and its cap allows one. */
bool leases_is_candidate(const struct leases *l, const struct lease_tenant *t, uint64_t now);

/* It contends from now on: without credit, and with what is left of an old debt. */
void leases_join(struct lease_tenant *t, uint64_t now);

/* Of several candidates the next one, with its credit; sets the holder's `plain_ns` and `extra`. */
struct lease_tenant *leases_pick(struct leases *l, uint64_t now);

/* May it have a turn within a round, or is it in debt? */
bool leases_is_solvent(const struct leases *l, const struct lease_tenant *t);

/* The turn of `t` is over: gives back what it did not need of `extra`. */
void leases_settle_extra(struct leases *l, struct lease_tenant *t);

#endif /* VGPU_LEASES_PRIV_H */
