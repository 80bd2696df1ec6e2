/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The session's turns at the GPU, as the worker keeps them. */
#include "turn.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cuda/entry.h"
#include "fdio.h"
#include "worker.h"

#define US 1000u
#define MS 1000000u

/* Work that may be on its way to the GPU at the same time: enough for it never to be idle. */
#define OUTSTANDING_NS (4 * MS)

/* Beyond the turn's end: what is not done then may wait for what the guest has yet to submit. */
#define DRAIN_NS (800 * MS)

/*
 * A lease that is of no use is kept for a moment, since the next call may be on
 * its way from the guest; one without an end longer, since that is in nobody's way.
 */
#define LINGER_NS (300 * US)
#define LINGER_OPEN_NS (20 * MS)

/* Between two looks at the GPU. */
#define LOOK_NS (15 * US)
/* ... with a lease that nobody else wants, as long as there is room for more. */
#define LOOK_OPEN_NS (100 * US)
#define LOOK_FREE_NS (250 * US)
/* ... while the loop sleeps: a part of the time that it has taken. */
#define NAP_NS (20 * US)
#define NAP_PART 8u
#define NAP_LEAST_NS (100 * US)
#define NAP_MOST_NS (5 * MS)

/* While others wait for the end of a turn, or the GPU for more: naps take longer than they should.
 */
#define SPIN_NS (500 * US)

/* Until a word that the daemon had no room for is sent again. */
#define AGAIN_NS (2 * MS)

/* A piece of several kernels may take longer than one, but not for ever. */
#define GRACE_NS (1500ull * MS)
/* Functions of the guest's program may take their time, but not for ever either. */
#define EXCUSE_NS (60000ull * MS)

static struct session_usage *usage_of(struct worker *w)
{
	return w->tenant.mine;
}

static void store(uint64_t *where, uint64_t value)
{
	__atomic_store_n(where, value, __ATOMIC_RELAXED);
}

/* Time that calls had to wait is counted. */
static void set_shut(struct worker *w, bool shut, uint64_t now)
{
	struct turn *t = &w->turn;

	t->shut = shut;
	if (shut && !t->shut_ns) {
		t->shut_ns = now;
		t->poll_ns = 0; /* what it waits for may have happened since the last look */
	}
	if (shut || !t->shut_ns)
		return;
	/* Rates count there, too. */
	TENANT_COUNT(&w->tenant, throttled_ns, now - t->shut_ns);
	t->shut_ns = 0;
}

/* ------------------------------------------------------------- what is said */

static void say(struct worker *w, const struct ctl_turn_news *m)
{
	struct turn *t = &w->turn;

	if (control_turn(w, m)) {
		t->unsent.type = 0;
	} else {
		t->unsent = *m;
		t->poll_ns = 0;
	}
}

static bool has_more(const struct worker *w)
{
	return w->held_length || cuda_has_held(w);
}

static void ask(struct worker *w)
{
	const struct ctl_turn_news m = {.type = CTL_WANT};

	if (w->turn.asked)
		return;
	w->turn.asked = true;
	if (w->turn.unsent.type == CTL_RETURN)
		w->turn.unsent.wants = true; /* then that says it */
	else
		say(w, &m);
}

static void give_back(struct worker *w, bool wants)
{
	struct turn *t = &w->turn;
	const struct ctl_turn_news m = {.type = CTL_RETURN, .wants = wants, .serial = t->serial};

	t->until = 0;
	t->returned = t->serial;
	t->draining = false;
	t->idle_ns = 0;
	t->asked = wants;
	set_shut(w, wants, worker_read_clock(w));
	say(w, &m);
}
/* ---------------------------------------------------------------- the gate */

/* Is there room for more, so that not too much is left when the lease ends? */
static bool has_room(const struct worker *w, uint64_t now)
{
	const struct turn *t = &w->turn;
	uint64_t room = OUTSTANDING_NS;

	if (t->until != CTL_TURN_OPEN && t->until - now < room)
		room = t->until - now;
	return cuda_has_room(w, room);
}

static bool is_over(const struct turn *t, uint64_t now)
{
	return t->until != CTL_TURN_OPEN && now >= t->until;
}

bool turn_ask(struct worker *w)
{
	struct turn *t = &w->turn;
	bool may;

	if (!t->until)
		ask(w);
	if (!t->leased) /* there is no daemon any more */
		return true;
	/* The loop reads the clock behind each request, if the lease has an end. */
	may = t->until && !is_over(t, w->now_ns) && has_room(w, w->now_ns);
	set_shut(w, !may, may ? w->now_ns : worker_read_clock(w));
	if (may)
		t->idle_ns = 0;
	return may;
}

bool turn_is_waiting(const struct worker *w)
{
	const struct turn *t = &w->turn;

	return t->leased && t->shut && !t->until && !t->busy;
}

/* -------------------------------------------------------------- being polled */

/* The lease is past: what was submitted comes to its end, or is left to itself. */
static void drain(struct worker *w, uint64_t now)
{
	struct turn *t = &w->turn;

	if (!t->draining) {
		t->draining = true;
		t->drain_ns = now;
	}
	if (now - t->drain_ns > DRAIN_NS)
		cuda_give_up(w, now);
	if (!cuda_outstanding_ns(w))
		give_back(w, has_more(w));
}

/* Holding it: opens the gate again, or finds that there is nothing to do. */
static void review(struct worker *w, uint64_t now)
{
	struct turn *t = &w->turn;
	const uint64_t linger = t->until == CTL_TURN_OPEN ? LINGER_OPEN_NS : LINGER_NS;

	t->draining = false;
	if (t->shut && cuda_is_stalled(w, now))
		cuda_give_up(w, now);
	if (t->shut && has_room(w, now))
		set_shut(w, false, now);
	if (cuda_outstanding_ns(w) || has_more(w) || queue_has_request(&w->queue))
		t->idle_ns = 0;
	else if (!t->idle_ns)
		t->idle_ns = now;
	else if (now - t->idle_ns >= linger)
		give_back(w, false);
}

static uint64_t look_ns(const struct turn *t)
{
	if (!t->leased)
		return LOOK_FREE_NS;
	return t->until == CTL_TURN_OPEN && !t->shut ? LOOK_OPEN_NS : LOOK_NS;
}

void turn_poll(struct worker *w)
{
	struct turn *t = &w->turn;
	const uint64_t now = worker_read_clock(w);

	if (now < t->poll_ns)
		return;
	t->poll_ns = now + look_ns(t);
	cuda_gpu_poll(w, now);
	if (t->unsent.type) {
		say(w, &t->unsent);
		t->poll_ns = now + (t->unsent.type ? AGAIN_NS : LOOK_NS);
	}
	if (!t->leased || !t->until)
		return;
	if (is_over(t, now))
		drain(w, now);
	else
		review(w, now);
}

uint64_t turn_spin_ns(const struct worker *w)
{
	const struct turn *t = &w->turn;

	if (w->gives_way || !t->leased || !t->until || !t->busy)
		return 0;
	return t->shut || t->draining ? SPIN_NS : 0;
}

static int64_t nap_for(const struct turn *t, uint64_t now)
{
	const uint64_t part = now > t->oldest_ns ? (now - t->oldest_ns) / NAP_PART : 0;

	return part < NAP_LEAST_NS  ? NAP_LEAST_NS
	       : part > NAP_MOST_NS ? NAP_MOST_NS
				    : (int64_t)part;
}

/* ... with a lease. */
static int64_t nap_with_lease(const struct worker *w, uint64_t now)
{
	const struct turn *t = &w->turn;
	int64_t ns;

	if (is_over(t, now) || (t->busy && t->shut))
		return NAP_NS;
	ns = t->busy ? nap_for(t, now) : t->until == CTL_TURN_OPEN ? LINGER_OPEN_NS : LINGER_NS;
	if (t->until != CTL_TURN_OPEN && (int64_t)(t->until - now) < ns)
		ns = (int64_t)(t->until - now) + 1;
	return ns;
}

int64_t turn_nap_ns(const struct worker *w)
{
	const struct turn *t = &w->turn;

	if (t->unsent.type)
		return AGAIN_NS;
	if (t->leased && t->until)
		return nap_with_lease(w, fdio_now_ns());
	return t->busy ? nap_for(t, fdio_now_ns()) : -1;
}

/* ---------------------------------------------------------- the daemon's word */

void turn_word(struct worker *w, const struct ctl_turn *m)
{
	struct turn *t = &w->turn;

	/* About a lease that the daemon did not know yet to be given back. */
	if (m->leased && m->until && m->serial == t->returned)
		return;
	t->leased = m->leased;
	t->until = m->leased ? m->until : 0;
	t->serial = m->serial;
	t->asked = false;
	t->draining = false;
	t->idle_ns = 0;
	t->poll_ns = 0;
	t->unsent.type = 0;
	/* Who was refused tries again, and asks again if need be. */
	set_shut(w, false, worker_read_clock(w));
}

void turn_alone(struct worker *w)
{
	const struct ctl_turn free = {.type = CTL_TURN};

	turn_word(w, &free);
	w->turn.returned = 0; /* the next daemon counts anew */
}

/* ----------------------------------------------------------------- accounts */

void turn_account(struct worker *w, uint64_t now, uint64_t oldest_ns, bool progress)
{
	struct turn *t = &w->turn;
	struct session_usage *u = usage_of(w);

	if (t->busy && now > t->busy_ns)
		store(&u->gpu_ns, u->gpu_ns + now - t->busy_ns);
	if (progress)
		store(&u->progress, u->progress + 1);
	t->busy = oldest_ns;
	t->busy_ns = now;
	t->oldest_ns = oldest_ns;
	store(&u->busy_since, oldest_ns);
}

void turn_begin(struct worker *w)
{
	const uint64_t now = worker_read_clock(w);

	turn_account(w, now, now, false);
}

void turn_end(struct worker *w)
{
	turn_account(w, worker_read_clock(w), 0, true);
	w->turn.poll_ns = 0; /* something of CUDA's may be under way all the same */
}

void turn_check_length(struct worker *w, uint64_t now, uint64_t began, uint64_t kernels,
		       bool excused)
{
	uint64_t limit, grace;
	char words[VGPU_REASON_MAX];

	if (!w->tenant.page)
		return;
	tenant_look(&w->tenant);
	limit = w->tenant.limits.kernel_ns;
	if (limit == TENANT_NO_LIMIT || now <= began || now - began <= limit)
		return;
	grace = kernels > 1 && limit < GRACE_NS ? (kernels - 1) * limit
		: kernels > 1                   ? GRACE_NS
						: 0;
	grace = grace < GRACE_NS ? grace : GRACE_NS;
	if (excused)
		grace += EXCUSE_NS;
	if (now - began - limit <= grace)
		return;
	snprintf(words, sizeof(words),
		 "work on the GPU was not done after %llu ms; the tenant may have it busy for %llu "
		 "ms at once",
		 (unsigned long long)((now - began) / MS), (unsigned long long)(limit / MS));
	worker_broken(w, -ETIME, words);
}
