/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Who may submit to one GPU, and until when.
 *
 * A pure state machine: no I/O, no clock, no GPU.  Each event comes with the
 * time, what the sessions are to be told comes out, and the same events give
 * the same words.  So a history that a daemon has recorded (leases_record.h)
 * can be played again.
 *
 * Where at most one tenant has sessions they are free: nothing is said.  Else
 * a session submits only while its tenant holds the lease, and says when it
 * begins to want it.  While nobody else wants it a lease has no end.  When
 * several do, tenants have turns by deficit round robin: in each round a
 * tenant is credited a time by its weight, and is charged the time from the
 * grant to the moment when the last of its sessions has given the lease back,
 * with all work done.  Who overstays, since a kernel cannot be interrupted,
 * has less of the next turns or none; who has nothing to do loses its credit,
 * but no debt.  Time that nobody else wanted is charged to nobody, and once
 * nobody else wants any there is no debt.  All sessions of a tenant have its
 * turn together.
 */
#ifndef VGPU_LEASES_H
#define VGPU_LEASES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A lease without an end. */
#define LEASE_OPEN UINT64_MAX

#define LEASE_WEIGHT_MAX 10000u

struct leases_config {
	uint64_t quantum_ns; /* turn of the smallest weight among those that want */
	uint64_t round_ns;   /* ... but all turns of a round together are at most so long */
	uint64_t drain_ns;   /* work may last so long beyond its turn; then others go on */
	uint64_t period_ns;  /* a cap holds over so long, and over anything longer */
};

/* What the daemon uses. */
extern const struct leases_config leases_defaults;

enum lease_event_kind {
	LEASE_TENANT = 1,   /* `tenant` appears, or its `weight` or `cap_percent` changes */
	LEASE_TENANT_GONE,  /* ... and with it its sessions */
	LEASE_SESSION,      /* `session` of `tenant` appears; it wants nothing yet */
	LEASE_SESSION_GONE, /* its process is gone, and with that its work on the GPU */
	LEASE_WANTS,        /* it has something to submit, or has submitted it */
	LEASE_RETURNS,      /* it gives back the lease `serial`; `wants`: it has more to submit */
	LEASE_TIMER,        /* leases_timer() has come */
};

struct lease_event {
	enum lease_event_kind kind;
	uint64_t tenant;
	uint64_t session;
	uint32_t weight;      /* 1 to LEASE_WEIGHT_MAX */
	uint32_t cap_percent; /* of GPU time, 1 to 100; 100: none */
	uint64_t serial;
	bool wants;
};

enum lease_word {
	LEASE_FREE = 1, /* submit as you like, say nothing */
	LEASE_WAIT,     /* you have no lease: ask for one before you submit */
	LEASE_GRANT,    /* submit until `until`; then give it back when all is done */
	LEASE_REVOKE,   /* the same lease ends earlier, at `until` */
};

/* Told to a session.  What it was told before is void; `serial` names the lease. */
struct lease_action {
	uint64_t session;
	enum lease_word word;
	uint64_t until; /* LEASE_OPEN: no end in sight */
	uint64_t serial;
};

/* What became of a tenant. */
struct lease_account {
	uint64_t held_ns;      /* had the GPU for itself, by leases */
	uint64_t contended_ns; /* of it, while others wanted it too: this is what is shared */
	uint64_t turns;
	int64_t credit_ns; /* of this round; negative: overstayed */
	bool wants;
	bool holds;
};

struct leases;

/* NULL: as leases_defaults. */
struct leases *leases_new(const struct leases_config *config);
void leases_free(struct leases *l);
const struct leases_config *leases_get_config(const struct leases *l);

/*
 * An event at `now` (ns; never earlier than the one before).  Events about
 * what is not known, or out of range, change nothing.  Returns what is to be
 * told, in this order; *n of them, valid until the next call.
 */
const struct lease_action *leases_step(struct leases *l, uint64_t now, const struct lease_event *e,
				       size_t *n);

/* When LEASE_TIMER is due; 0: never.  One that comes too early does no harm. */
uint64_t leases_timer(const struct leases *l);

/* False: no such tenant. */
bool leases_account(const struct leases *l, uint64_t tenant, struct lease_account *out);

#endif /* VGPU_LEASES_H */
