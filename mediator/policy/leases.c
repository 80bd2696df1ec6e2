/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Leases of one GPU: tenants and sessions, turns that begin and end. */
#include "leases_priv.h"

#define MS 1000000u

const struct leases_config leases_defaults = {
	/* Changing hands costs 0.1 to 0.2 ms of an idle GPU: three processes have to wake. */
	.quantum_ns = 8 * MS,
	.round_ns = 160 * MS,
	.drain_ns = 1000 * MS,
	.period_ns = 100 * MS,
};

struct leases *leases_new(const struct leases_config *config)
{
	struct leases *l = g_new0(struct leases, 1);

	l->config = config ? *config : leases_defaults;
	l->tenants = g_ptr_array_new_with_free_func(g_free);
	l->sessions = g_ptr_array_new_with_free_func(g_free);
	l->actions = g_array_new(FALSE, FALSE, sizeof(struct lease_action));
	l->last = -1;
	return l;
}

void leases_free(struct leases *l)
{
	if (!l)
		return;
	g_ptr_array_free(l->tenants, TRUE);
	g_ptr_array_free(l->sessions, TRUE);
	g_array_free(l->actions, TRUE);
	g_free(l);
}

const struct leases_config *leases_get_config(const struct leases *l)
{
	return &l->config;
}

static struct lease_tenant *find_tenant(const struct leases *l, uint64_t id)
{
	for (guint i = 0; i < l->tenants->len; i++) {
		if (leases_tenant_at(l, i)->id == id)
			return leases_tenant_at(l, i);
	}
	return NULL;
}

static struct lease_session *find_session(const struct leases *l, uint64_t id)
{
	for (guint i = 0; i < l->sessions->len; i++) {
		if (leases_session_at(l, i)->id == id)
			return leases_session_at(l, i);
	}
	return NULL;
}

static void tell(struct leases *l, struct lease_session *s, enum lease_word word)
{
	const struct lease_action a = {.session = s->id,
				       .word = word,
				       .until = s->holds ? l->until : 0,
				       .serial = s->holds ? s->serial : 0};

	g_array_append_val(l->actions, a);
}

/* To all that have the turn. */
static void tell_holders(struct leases *l, enum lease_word word)
{
	for (guint i = 0; i < l->sessions->len; i++) {
		struct lease_session *s = leases_session_at(l, i);

		if (s->tenant == l->holder && s->holds && !s->overdue)
			tell(l, s, word);
	}
}

/* ------------------------------------------------------------ what is wanted */

/* Nobody hoards credit; debts stay. */
static void leave(struct lease_tenant *t, uint64_t now)
{
	if (!t->contends)
		return;
	t->contends = false;
	t->left_ns = now;
	t->deficit = MIN(t->deficit, 0);
}

static void set_wants(struct lease_session *s, bool wants)
{
	if (s->wants == wants)
		return;
	s->wants = wants;
	if (wants)
		s->tenant->wanting++;
	else
		s->tenant->wanting--;
}

static bool somebody_waits(const struct leases *l, uint64_t now)
{
	for (guint i = 0; i < l->tenants->len; i++) {
		if (leases_is_candidate(l, leases_tenant_at(l, i), now))
			return true;
	}
	return false;
}

/* -------------------------------------------------------------------- turns */

/* Charges the holder up to `now`. */
static void charge(struct leases *l, uint64_t now)
{
	struct lease_tenant *t = l->holder;
	const uint64_t used = now > l->charged_ns ? now - l->charged_ns : 0;

	l->charged_ns = MAX(now, l->charged_ns);
	t->account.held_ns += used;
	if (t->cap < 100) {
		leases_refill(l, t, now);
		t->budget -= (int64_t)used;
	}
	if (l->contended) {
		t->account.contended_ns += used;
		t->deficit -= (int64_t)used;
	}
}

static void end_turn(struct leases *l, uint64_t now)
{
	struct lease_tenant *t = l->holder;

	charge(l, now);
	if (l->extra)
		leases_settle_extra(l, t);
	l->holder = NULL;
	l->holding = 0;
	if (!t->wanting)
		leave(t, now);
}

static void hold(struct leases *l, struct lease_session *s)
{
	set_wants(s, false);
	s->holds = true;
	s->serial = ++l->serial;
	l->holding++;
	tell(l, s, LEASE_GRANT);
}

/* `all`: also sessions that have not said that they want it. */
static void begin_turn(struct leases *l, struct lease_tenant *t, uint64_t now, bool all)
{
	l->holder = t;
	l->holding = 0;
	l->charged_ns = now;
	t->account.turns++;
	for (guint i = 0; i < l->sessions->len; i++) {
		struct lease_session *s = leases_session_at(l, i);

		if (s->tenant == t && !s->holds && (all || s->wants))
			hold(l, s);
	}
}

/* The end that a turn has by itself: that of its budget, where there is a cap. */
static uint64_t bounded(const struct leases *l, struct lease_tenant *t, uint64_t now,
			uint64_t until)
{
	if (t->cap >= 100)
		return until;
	leases_refill(l, t, now);
	return MIN(until, now + (uint64_t)MAX(t->budget, leases_least(l) / 8));
}

/* Nobody is left who could be owed anything. */
static void forgive(struct lease_tenant *t, uint64_t now)
{
	leave(t, now);
	t->deficit = 0;
}

/* Nobody else wants it. */
static void begin_alone(struct leases *l, struct lease_tenant *t, uint64_t now, bool all)
{
	forgive(t, now);
	l->contended = false;
	l->extra = 0;
	l->until = l->plain_ns = bounded(l, t, now, LEASE_OPEN);
	begin_turn(l, t, now, all);
}

static void next_turn(struct leases *l, uint64_t now)
{
	struct lease_tenant *only = NULL;
	guint n = 0;

	for (guint i = 0; i < l->tenants->len; i++) {
		struct lease_tenant *t = leases_tenant_at(l, i);

		if (t->cap < 100)
			leases_refill(l, t, now);
		if (leases_is_candidate(l, t, now)) {
			only = t;
			n++;
		}
	}
	if (n == 1) {
		begin_alone(l, only, now, false);
	} else if (n) {
		struct lease_tenant *t = leases_pick(l, now);

		l->contended = true;
		l->until = l->plain_ns + (uint64_t)(l->extra * t->quantum);
		l->until = bounded(l, t, now, l->until);
		begin_turn(l, t, now, false);
	}
}

/* It has not given the lease back in time: others go on, and it is charged no more. */
static void leave_behind(struct leases *l, uint64_t now)
{
	for (guint i = 0; i < l->sessions->len; i++) {
		struct lease_session *s = leases_session_at(l, i);

		if (s->tenant == l->holder && s->holds)
			s->overdue = true;
	}
	end_turn(l, MIN(now, l->until + l->config.drain_ns));
}

/* Somebody wants what was had without an end. */
static void begin_contention(struct leases *l, uint64_t now)
{
	struct lease_tenant *t = l->holder;

	charge(l, now);
	l->contended = true;
	l->until = l->plain_ns = now;
	leases_join(t, now);
	tell_holders(l, LEASE_REVOKE);
}

/* All others are content. */
static void end_contention(struct leases *l, uint64_t now)
{
	charge(l, now);
	if (l->extra)
		leases_settle_extra(l, l->holder);
	l->contended = false;
	l->until = LEASE_OPEN;
	forgive(l->holder, now);
	tell_holders(l, LEASE_GRANT);
}

static void shorten(struct leases *l, uint64_t now)
{
	l->until = MAX(now, l->plain_ns);
	tell_holders(l, LEASE_REVOKE);
}

/* Somebody waits who is not in debt: a turn of several quanta is not for him to bear. */
static bool is_too_long(const struct leases *l, uint64_t now)
{
	if (!l->extra || l->until <= MAX(now, l->plain_ns))
		return false;
	for (guint i = 0; i < l->tenants->len; i++) {
		const struct lease_tenant *t = leases_tenant_at(l, i);

		if (leases_is_candidate(l, t, now) && leases_is_solvent(l, t))
			return true;
	}
	return false;
}

static void review_turn(struct leases *l, uint64_t now)
{
	const bool waits = somebody_waits(l, now);

	if (!l->holding)
		end_turn(l, now);
	else if (l->until == LEASE_OPEN && waits)
		begin_contention(l, now);
	else if (l->until != LEASE_OPEN && now >= l->until + l->config.drain_ns)
		leave_behind(l, now);
	else if (!waits && l->until != LEASE_OPEN && now < l->until && l->holder->cap >= 100)
		end_contention(l, now);
	else if (is_too_long(l, now))
		shorten(l, now);
}

/* ------------------------------------------------------- who must ask at all */

static void set_free(struct leases *l, struct lease_tenant *t, uint64_t now)
{
	if (l->holder == t)
		end_turn(l, now);
	leave(t, now);
	for (guint i = 0; i < l->sessions->len; i++) {
		struct lease_session *s = leases_session_at(l, i);

		if (s->tenant != t)
			continue;
		set_wants(s, false);
		s->holds = s->overdue = false;
		tell(l, s, LEASE_FREE);
	}
}

/* It may be in the midst of work: it has the lease, if that is free. */
static void set_leased(struct leases *l, struct lease_tenant *t, uint64_t now)
{
	const bool has_fresh = l->fresh && l->fresh->tenant == t;

	if (!l->holder && t->sessions > has_fresh) {
		begin_alone(l, t, now, true);
		return;
	}
	for (guint i = 0; i < l->sessions->len; i++) {
		struct lease_session *s = leases_session_at(l, i);

		if (s->tenant == t)
			tell(l, s, LEASE_WAIT);
	}
}

static bool must_ask(const struct leases *l, const struct lease_tenant *t)
{
	return l->populated > 1 || t->cap < 100;
}

static void review_tenants(struct leases *l, uint64_t now)
{
	for (guint i = 0; i < l->tenants->len; i++) {
		struct lease_tenant *t = leases_tenant_at(l, i);

		if (t->leased == must_ask(l, t))
			continue;
		t->leased = !t->leased;
		if (t->leased)
			set_leased(l, t, now);
		else
			set_free(l, t, now);
	}
}

/* ------------------------------------------------------------------- events */

static void on_tenant(struct leases *l, uint64_t now, const struct lease_event *e)
{
	struct lease_tenant *t = find_tenant(l, e->tenant);

	if (!e->weight || e->weight > LEASE_WEIGHT_MAX || !e->cap_percent || e->cap_percent > 100)
		return;
	if (!t) {
		t = g_new0(struct lease_tenant, 1);
		t->id = e->tenant;
		t->budget_ns = t->left_ns = now;
		t->cap = 100;
		t->quantum = (int64_t)l->config.quantum_ns;
		g_ptr_array_add(l->tenants, t);
	}
	if (l->holder == t)
		charge(l, now);
	t->weight = e->weight;
	if (t->cap == e->cap_percent)
		return;
	/* One that had none begins with what a period gives. */
	if (t->cap >= 100)
		t->budget = (int64_t)(l->config.period_ns / 100 * e->cap_percent);
	t->cap = e->cap_percent;
	t->budget_ns = now;
	leases_refill(l, t, now);
	if (l->holder == t && t->cap < 100 && l->until == LEASE_OPEN) {
		l->until = l->plain_ns = bounded(l, t, now, LEASE_OPEN);
		tell_holders(l, LEASE_REVOKE);
	}
}

static void drop_session(struct leases *l, struct lease_session *s, uint64_t now)
{
	struct lease_tenant *t = s->tenant;

	set_wants(s, false);
	if (s->holds && !s->overdue && l->holder == t)
		l->holding--;
	if (--t->sessions == 0)
		l->populated--;
	g_ptr_array_remove(l->sessions, s);
	if (!t->wanting && l->holder != t)
		leave(t, now);
}

static void on_tenant_gone(struct leases *l, uint64_t now, const struct lease_event *e)
{
	struct lease_tenant *t = find_tenant(l, e->tenant);
	guint at;

	if (!t || !g_ptr_array_find(l->tenants, t, &at))
		return;
	for (guint i = l->sessions->len; i-- > 0;) {
		if (leases_session_at(l, i)->tenant == t)
			drop_session(l, leases_session_at(l, i), now);
	}
	if (l->holder == t)
		end_turn(l, now);
	if (l->last >= (gint)at)
		l->last--;
	g_ptr_array_remove_index(l->tenants, at);
}

static void on_session(struct leases *l, const struct lease_event *e)
{
	struct lease_tenant *t = find_tenant(l, e->tenant);
	struct lease_session *s;

	if (!t || find_session(l, e->session))
		return;
	s = g_new0(struct lease_session, 1);
	s->id = e->session;
	s->tenant = t;
	g_ptr_array_add(l->sessions, s);
	l->fresh = s;
	if (t->sessions++ == 0)
		l->populated++;
	if (t->leased)
		tell(l, s, LEASE_WAIT);
}

static void on_wants(struct leases *l, uint64_t now, struct lease_session *s)
{
	if (!s->tenant->leased || s->holds)
		return;
	if (l->holder == s->tenant && now < l->until)
		hold(l, s);
	else
		set_wants(s, true);
}

static void on_returns(struct leases *l, uint64_t now, struct lease_session *s,
		       const struct lease_event *e)
{
	/* It may have had no word yet that it has none, or another. */
	if (!s->holds && e->wants)
		on_wants(l, now, s);
	if (!s->tenant->leased || !s->holds || s->serial != e->serial)
		return;
	if (!s->overdue)
		l->holding--;
	s->holds = s->overdue = false;
	set_wants(s, e->wants);
	if (!s->tenant->wanting && l->holder != s->tenant)
		leave(s->tenant, now);
}

static void take(struct leases *l, uint64_t now, const struct lease_event *e)
{
	struct lease_session *s = find_session(l, e->session);

	switch (e->kind) {
	case LEASE_TENANT:
		on_tenant(l, now, e);
		break;
	case LEASE_TENANT_GONE:
		on_tenant_gone(l, now, e);
		break;
	case LEASE_SESSION:
		on_session(l, e);
		break;
	case LEASE_SESSION_GONE:
		if (s)
			drop_session(l, s, now);
		break;
	case LEASE_WANTS:
		if (s)
			on_wants(l, now, s);
		break;
	case LEASE_RETURNS:
		if (s)
			on_returns(l, now, s, e);
		break;
	case LEASE_TIMER:
	default:
		break;
	}
}

static void set_timer(struct leases *l, uint64_t now)
{
	uint64_t at = UINT64_MAX;

	if (l->holder && l->until != LEASE_OPEN)
		at = l->until + l->config.drain_ns;
	for (guint i = 0; i < l->tenants->len; i++) {
		struct lease_tenant *t = leases_tenant_at(l, i);
		uint64_t ready;

		if (t->cap >= 100 || !t->wanting || t == l->holder)
			continue;
		ready = leases_ready_ns(l, t, now);
		if (ready > now)
			at = MIN(at, ready);
	}
	l->timer = at == UINT64_MAX ? 0 : at;
}

const struct lease_action *leases_step(struct leases *l, uint64_t now, const struct lease_event *e,
				       size_t *n)
{
	g_array_set_size(l->actions, 0);
	take(l, now, e);
	review_tenants(l, now);
	if (l->holder)
		review_turn(l, now);
	if (!l->holder)
		next_turn(l, now);
	l->fresh = NULL;
	set_timer(l, now);
	*n = l->actions->len;
	return (const void *)l->actions->data;
}

uint64_t leases_timer(const struct leases *l)
{
	return l->timer;
}

bool leases_account(const struct leases *l, uint64_t tenant, struct lease_account *out)
{
	const struct lease_tenant *t = find_tenant(l, tenant);

	if (!t)
		return false;
	*out = t->account;
	out->credit_ns = t->deficit;
	out->wants = t->wanting;
	out->holds = l->holder == t;
	return true;
}
