/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Tenants and sessions that exist in the test alone. */
#include "leases-world.h"

#include "leases_record.h"

#define LINGER_NS (300 * US)
#define LINGER_OPEN_NS (20 * MS)

struct world *world_new(uint32_t seed, bool record)
{
	struct world *w = g_new0(struct world, 1);

	w->rand = g_rand_new_with_seed(seed);
	w->l = leases_new(NULL);
	w->now = SECOND;
	w->latency_ns = 50 * US;
	w->check = true;
	if (record) {
		w->record = g_string_new(NULL);
		leases_record_begin(w->record, leases_get_config(w->l));
	}
	return w;
}

void world_free(struct world *w)
{
	g_rand_free(w->rand);
	leases_free(w->l);
	if (w->record)
		g_string_free(w->record, TRUE);
	g_free(w);
}

static uint64_t random_ns(struct world *w, uint64_t most)
{
	return most ? (uint64_t)(g_rand_double(w->rand) * (double)most) : 0;
}

static struct world_session *session_of(struct world *w, uint64_t id)
{
	return &w->session[id - 1];
}

/* ---------------------------------------------------------------- invariants */

/* Two tenants never have the lease at once, but for those that are past their time. */
static void check_alone(const struct world *w)
{
	uint32_t holder = WORLD_TENANTS;

	for (uint32_t i = 0; i < w->sessions; i++) {
		const struct world_session *s = &w->session[i];
		uint64_t end = s->until + leases_get_config(w->l)->drain_ns;

		if (!s->alive || !s->holds || (s->until != LEASE_OPEN && w->now >= end))
			continue;
		g_assert_true(holder == WORLD_TENANTS || holder == s->tenant);
		holder = s->tenant;
	}
}

static void check_modes(const struct world *w)
{
	uint32_t populated = 0, first = WORLD_TENANTS;

	for (uint32_t i = 0; i < w->sessions; i++) {
		if (w->session[i].alive && w->session[i].tenant != first) {
			populated++;
			first = w->session[i].tenant;
		}
	}
	/* `first` changes with the order, so that this counts too many at most. */
	for (uint32_t i = 0; i < w->sessions && populated > 1; i++) {
		const struct world_session *s = &w->session[i];
		bool others = false;

		for (uint32_t k = 0; k < w->sessions; k++)
			others = others ||
				 (w->session[k].alive && w->session[k].tenant != s->tenant);
		g_assert_true(!s->alive || !others || !s->free);
	}
}

static void check_accounts(struct world *w)
{
	const struct leases_config *c = leases_get_config(w->l);
	bool wants = false, holds = false;

	for (uint32_t i = 0; i < w->tenants; i++) {
		struct world_tenant *t = &w->tenant[i];
		struct lease_account a;

		if (!t->present)
			continue;
		g_assert_true(leases_account(w->l, t->id, &a));
		wants = wants || (a.wants && t->cap == 100);
		holds = holds || a.holds;
		if (!a.wants && !a.holds) /* nobody hoards credit */
			g_assert_cmpint(a.credit_ns, <=, 0);
		/* ... and no debt is beyond what one turn can make. */
		g_assert_cmpint(a.credit_ns, >=, -(gint64)(c->drain_ns + 2 * c->round_ns));
		if (!a.wants || a.holds) {
			if (t->waits_ns && t->solvent && t->cap == 100)
				t->waited_ns = MAX(t->waited_ns, w->now - t->waits_ns);
			t->waits_ns = 0;
		} else if (!t->waits_ns) {
			t->waits_ns = w->now;
			t->solvent = a.credit_ns >= 0;
		}
	}
	/* Work-conserving: where somebody waits somebody has it. */
	g_assert_true(!wants || holds);
}

/* -------------------------------------------------------------------- events */

static void hear(struct world *w, const struct lease_action *a)
{
	struct world_session *s = session_of(w, a->session);

	g_assert_true(s->alive);
	w->words++;
	s->free = a->word == LEASE_FREE;
	w->told_free += s->free;
	if (a->word == LEASE_REVOKE) {
		g_assert_true(s->holds);
		g_assert_cmpuint(s->serial, ==, a->serial);
	}
	s->holds = a->word == LEASE_GRANT || a->word == LEASE_REVOKE;
	s->asked = false;
	if (a->word == LEASE_GRANT && s->serial != a->serial)
		s->idle_ns = w->now;
	s->until = a->until;
	s->serial = a->serial;
	s->next = MIN(s->next, w->now + random_ns(w, w->latency_ns));
}

void world_event(struct world *w, const struct lease_event *e)
{
	const struct lease_action *a;
	size_t n;

	a = leases_step(w->l, w->now, e, &n);
	g_assert_cmpuint(n, <=, 2 * w->sessions + 2);
	if (w->record)
		leases_record_step(w->record, w->now, e, a, n);
	for (size_t i = 0; i < n; i++)
		hear(w, &a[i]);
	/* No timer comes again at once. */
	g_assert_true(!leases_timer(w->l) || leases_timer(w->l) > w->now);
	if (w->check) {
		check_alone(w);
		check_modes(w);
		check_accounts(w);
	}
}

uint32_t world_tenant(struct world *w, uint32_t weight, uint32_t cap)
{
	const struct lease_event e = {.kind = LEASE_TENANT,
				      .tenant = 100 + w->tenants,
				      .weight = weight,
				      .cap_percent = cap};

	w->tenant[w->tenants] = (struct world_tenant){
		.id = e.tenant, .weight = weight, .cap = cap, .present = true};
	world_event(w, &e);
	return w->tenants++;
}

uint32_t world_session(struct world *w, uint32_t tenant, const struct habit *habit)
{
	const struct lease_event e = {
		.kind = LEASE_SESSION, .tenant = w->tenant[tenant].id, .session = w->sessions + 1};
	struct world_session *s = &w->session[w->sessions];
	struct world_tenant *t = &w->tenant[tenant];

	*s = (struct world_session){.id = e.session,
				    .tenant = tenant,
				    .habit = *habit,
				    .alive = true,
				    .free = true,
				    .work = habit->burst ? 0 : NEVER,
				    .rest_end = w->now + random_ns(w, habit->rest_ns),
				    .dies = habit->lives_ns ? w->now + habit->lives_ns : NEVER,
				    .next = w->now + random_ns(w, w->latency_ns)};
	t->kernel_ns = MAX(t->kernel_ns, habit->kernel_ns + habit->spread_ns);
	w->sessions++;
	world_event(w, &e);
	return w->sessions - 1;
}

/* -------------------------------------------------------------------- workers */

static void give_back(struct world *w, struct world_session *s, bool wants)
{
	const struct lease_event e = {
		.kind = LEASE_RETURNS, .session = s->id, .serial = s->serial, .wants = wants};

	s->holds = false;
	s->asked = wants;
	s->next = wants ? NEVER : s->rest_end;
	world_event(w, &e);
}

static void ask(struct world *w, struct world_session *s)
{
	const struct lease_event e = {.kind = LEASE_WANTS, .session = s->id};

	s->asked = true;
	s->next = NEVER;
	world_event(w, &e);
}

static void die(struct world *w, struct world_session *s)
{
	const struct lease_event e = {.kind = LEASE_SESSION_GONE, .session = s->id};

	s->alive = false;
	s->next = NEVER;
	world_event(w, &e);
}

static bool others_are_there(const struct world *w, const struct world_session *s)
{
	for (uint32_t i = 0; i < w->sessions; i++) {
		const struct world_session *o = &w->session[i];

		if (o->alive && o->tenant != s->tenant && (o->asked || o->kernel_end > w->now))
			return true;
	}
	return false;
}

static void begin_kernel(struct world *w, struct world_session *s)
{
	struct world_tenant *t = &w->tenant[s->tenant];
	uint64_t ns = s->habit.kernel_ns + random_ns(w, s->habit.spread_ns);

	s->kernel_end = s->habit.hangs ? NEVER : w->now + MAX(ns, 1);
	s->work -= s->work != NEVER;
	s->next = s->kernel_end;
	if (s->habit.hangs)
		return;
	t->all_ns += ns;
	if (others_are_there(w, s))
		t->busy_ns += ns;
}

static void rest(struct world *w, struct world_session *s)
{
	const uint64_t linger = s->until == LEASE_OPEN ? LINGER_OPEN_NS : LINGER_NS;

	s->next = s->rest_end;
	if (!s->holds)
		return;
	if (w->now >= s->until || w->now >= s->idle_ns + linger)
		give_back(w, s, false);
	else
		s->next = MIN(s->rest_end, s->idle_ns + linger);
}

static void work(struct world *w, struct world_session *s)
{
	if (s->kernel_end > w->now) {
		s->next = s->kernel_end;
		return;
	}
	if (s->kernel_end) {
		s->kernel_end = 0;
		s->idle_ns = w->now;
		if (!s->work)
			s->rest_end = w->now + 1 + random_ns(w, s->habit.rest_ns);
	}
	if (!s->work && w->now >= s->rest_end)
		s->work = 1 + (uint64_t)g_rand_int_range(w->rand, 0, (gint32)s->habit.burst);
	if (!s->work)
		rest(w, s);
	else if (s->free || (s->holds && w->now < s->until))
		begin_kernel(w, s);
	else if (s->holds)
		give_back(w, s, true);
	else if (!s->asked)
		ask(w, s);
	else
		s->next = NEVER;
}

void world_run(struct world *w, uint64_t until)
{
	const struct lease_event timer = {.kind = LEASE_TIMER};

	for (;;) {
		uint64_t at = leases_timer(w->l) ? leases_timer(w->l) : NEVER;
		struct world_session *first = NULL;

		for (uint32_t i = 0; i < w->sessions; i++) {
			struct world_session *s = &w->session[i];

			if (s->alive && MIN(s->next, s->dies) < at) {
				at = MIN(s->next, s->dies);
				first = s;
			}
		}
		if (at >= until)
			break;
		w->now = MAX(w->now, at);
		if (!first)
			world_event(w, &timer);
		else if (w->now >= first->dies)
			die(w, first);
		else
			work(w, first);
	}
	w->now = until;
}

double world_share(const struct world *w, uint32_t tenant)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < w->tenants; i++)
		sum += w->tenant[i].busy_ns;
	return sum ? 100.0 * (double)w->tenant[tenant].busy_ns / (double)sum : 0;
}
