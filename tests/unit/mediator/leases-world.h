/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A GPU, tenants and sessions that exist in the test alone, with a clock of
 * their own: random histories for the state machine of leases.
 */
#ifndef TESTS_LEASES_WORLD_H
#define TESTS_LEASES_WORLD_H

#include <glib.h>

#include "leases.h"

#define NEVER UINT64_MAX
#define US 1000ull
#define MS 1000000ull
#define SECOND 1000000000ull

#define WORLD_TENANTS 8u
#define WORLD_SESSIONS 32u

/* What a session does with the GPU. */
struct habit {
	uint64_t kernel_ns; /* least */
	uint64_t spread_ns; /* ... and so much more at random */
	uint32_t burst;     /* kernels before it rests; 0: it never rests */
	uint64_t rest_ns;   /* at most */
	uint64_t lives_ns;  /* it dies then, whatever it does; 0: it does not */
	bool hangs;         /* its first kernel never ends */
};

struct world_session {
	uint64_t id;
	uint32_t tenant; /* place */
	struct habit habit;
	bool alive, free, holds, asked;
	uint64_t until, serial;
	uint64_t kernel_end; /* 0: none runs */
	uint64_t work;       /* kernels until it rests */
	uint64_t rest_end;
	uint64_t idle_ns; /* when it began to hold the lease for nothing */
	uint64_t dies;
	uint64_t next; /* when it does something */
};

struct world_tenant {
	uint64_t id;
	uint32_t weight, cap;
	bool present;
	uint64_t waits_ns;  /* since when; 0: it does not */
	bool solvent;       /* it did not owe anything then */
	uint64_t waited_ns; /* longest wait of those */
	uint64_t kernel_ns; /* longest that its sessions run */
	uint64_t busy_ns;   /* GPU time of its kernels while somebody else waited or ran */
	uint64_t all_ns;    /* ... in all */
};

struct world {
	GRand *rand;
	struct leases *l;
	GString *record; /* NULL: none */
	uint64_t now;
	uint64_t latency_ns; /* a word needs at most so long */
	uint64_t words;
	uint64_t told_free;
	struct world_tenant tenant[WORLD_TENANTS];
	struct world_session session[WORLD_SESSIONS];
	uint32_t tenants, sessions;
	bool check; /* invariants after each event */
};

struct world *world_new(uint32_t seed, bool record);
void world_free(struct world *w);

/* Place of the new one. */
uint32_t world_tenant(struct world *w, uint32_t weight, uint32_t cap);
uint32_t world_session(struct world *w, uint32_t tenant, const struct habit *habit);

void world_event(struct world *w, const struct lease_event *e);

/* Lets time pass until then. */
void world_run(struct world *w, uint64_t until);

/* The part of contended time that a tenant had, per cent. */
double world_share(const struct world *w, uint32_t tenant);

#endif /* TESTS_LEASES_WORLD_H */
