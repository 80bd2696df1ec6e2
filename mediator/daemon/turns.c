/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Shares of GPU time: between the state machine of leases and the workers. */
#include "turns.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "fdio.h"
#include "leases_record.h"
#include "session.h"
#include "tenant.h"

/* Until a worker that has not read its messages is told again. */
#define RETRY_MS 5

/* How often workers are looked at, and how much longer than allowed one may seem to be at work. */
#define WATCH_MS 200
#define GRACE_NS 1700000000ull

/* A record is for finding faults, not for ever. */
#define RECORD_MAX (64u << 20)

struct turns {
	struct leases *gpu;
	guint timer;
	guint retry;
	guint watch;
	guint sessions;   /* that have entered */
	uint64_t tenants; /* numbers that were given out */
	int record;       /* -1: none */
	uint64_t recorded;
	GString *text;
};

/* -------------------------------------------------------------------- record */

static void stop_record(struct turns *t, const char *why)
{
	log_warning(NULL, "the record of GPU turns ends here: %s", why);
	fdio_clear(&t->record);
}

static void write_record(struct turns *t)
{
	const ssize_t n = write(t->record, t->text->str, t->text->len);

	if (n != (ssize_t)t->text->len)
		stop_record(t, n < 0 ? g_strerror(errno) : "the disk is full");
	t->recorded += t->text->len;
	if (t->record >= 0 && t->recorded > RECORD_MAX)
		stop_record(t, "it has grown to 64 MiB");
	g_string_truncate(t->text, 0);
}

static bool open_record(struct turns *t, const char *path, GError **err)
{
	t->record = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (t->record < 0) {
		g_set_error(err, G_FILE_ERROR, g_file_error_from_errno(errno),
			    "[tenants] record: cannot write %s: %s", path, g_strerror(errno));
		return false;
	}
	leases_record_begin(t->text, leases_get_config(t->gpu));
	write_record(t);
	return true;
}

/* -------------------------------------------------------------------- telling */

static void plan_retry(struct daemon *d);

static void send_turn(struct session *s)
{
	ssize_t ret;

	s->turn_due = false;
	if (s->control < 0 || s->state == SESSION_ENDING)
		return;
	ret = fdio_send(s->control, &s->turn, sizeof(s->turn), NULL, 0);
	if (ret != -EAGAIN && ret != -ETOOMANYREFS) /* or its end is about to be known */
		return;
	/* A long command runs there: the last word is what counts. */
	s->turn_due = true;
	plan_retry(s->d);
}

static gboolean on_retry(gpointer data)
{
	struct daemon *d = data;
	GHashTableIter iter;
	gpointer s;

	d->turns->retry = 0;
	g_hash_table_iter_init(&iter, d->sessions);
	while (g_hash_table_iter_next(&iter, NULL, &s)) {
		if (((struct session *)s)->turn_due)
			send_turn(s);
	}
	return G_SOURCE_REMOVE;
}

static void plan_retry(struct daemon *d)
{
	if (!d->turns->retry)
		d->turns->retry = g_timeout_add(RETRY_MS, on_retry, d);
}

static void tell(struct daemon *d, const struct lease_action *a)
{
	struct session *s = g_hash_table_lookup(d->sessions, &a->session);
	const bool has = a->word == LEASE_GRANT || a->word == LEASE_REVOKE;

	_Static_assert(CTL_TURN_OPEN == LEASE_OPEN, "one word for it");
	if (!s)
		return;
	s->turn = (struct ctl_turn){.type = CTL_TURN,
				    .leased = a->word != LEASE_FREE,
				    .until = has ? a->until : 0,
				    .serial = has ? a->serial : 0};
	send_turn(s);
}

static void step(struct daemon *d, const struct lease_event *e);

static gboolean on_timer(gpointer data)
{
	const struct lease_event e = {.kind = LEASE_TIMER};
	struct daemon *d = data;

	d->turns->timer = 0;
	step(d, &e);
	return G_SOURCE_REMOVE;
}

static void plan_timer(struct daemon *d, uint64_t now)
{
	struct turns *t = d->turns;
	const uint64_t at = leases_timer(t->gpu);

	if (t->timer)
		g_source_remove(t->timer);
	t->timer = 0;
	if (at)
		t->timer = g_timeout_add(at > now ? (guint)MIN((at - now) / 1000000 + 1, 60000) : 0,
					 on_timer, d);
}

static void step(struct daemon *d, const struct lease_event *e)
{
	struct turns *t = d->turns;
	const uint64_t now = fdio_now_ns();
	const struct lease_action *a;
	size_t n;

	a = leases_step(t->gpu, now, e, &n);
	if (t->record >= 0) {
		leases_record_step(t->text, now, e, a, n);
		write_record(t);
	}
	for (size_t i = 0; i < n; i++)
		tell(d, &a[i]);
	plan_timer(d, now);
}

/* ---------------------------------------------------------- workers that hang */

/* It says itself when its work takes too long, unless it hangs in the driver. */
static void look_at(struct session *s, uint64_t now)
{
	const uint64_t limit = s->tenant->policy->kernel_ns;
	uint64_t since;

	if (limit == POLICY_NO_LIMIT || s->state == SESSION_ENDING)
		return;
	since = __atomic_load_n(&s->tenant->usage->session[s->slot].busy_since, __ATOMIC_RELAXED);
	if (since && now > since && now - since > limit && now - since - limit > GRACE_NS) {
		struct log_about about = session_about(s);

		log_warning(&about, "the worker hangs with work on the GPU; it is killed");
		session_kill(
			s, -ETIME,
			"work on the GPU took longer than the tenant may have it busy at once");
	}
}

static gboolean on_watch(gpointer data)
{
	struct daemon *d = data;
	const uint64_t now = fdio_now_ns();
	GHashTableIter iter;
	gpointer value;

	g_hash_table_iter_init(&iter, d->sessions);
	while (g_hash_table_iter_next(&iter, NULL, &value)) {
		struct session *s = value;

		if (s->entered)
			look_at(s, now);
	}
	return G_SOURCE_CONTINUE;
}

/* --------------------------------------------------------------------- events */

bool turns_open(struct daemon *d, GError **err)
{
	struct turns *t = g_new0(struct turns, 1);

	t->gpu = leases_new(NULL);
	t->text = g_string_new(NULL);
	t->record = -1;
	d->turns = t;
	return !d->config->tenants_record || open_record(t, d->config->tenants_record, err);
}

static void drop_source(guint *source)
{
	if (*source)
		g_source_remove(*source);
	*source = 0;
}

void turns_close(struct daemon *d)
{
	struct turns *t = d->turns;

	if (!t)
		return;
	drop_source(&t->timer);
	drop_source(&t->retry);
	drop_source(&t->watch);
	fdio_clear(&t->record);
	leases_free(t->gpu);
	g_string_free(t->text, TRUE);
	g_free(t);
	d->turns = NULL;
}

void turns_tenant(struct tenant *t)
{
	struct lease_event e = {.kind = LEASE_TENANT,
				.weight = t->policy->weight,
				.cap_percent = t->policy->cap_percent};

	if (!t->d->turns)
		return;
	if (!t->number)
		t->number = ++t->d->turns->tenants;
	e.tenant = t->number;
	step(t->d, &e);
}

void turns_tenant_gone(struct tenant *t)
{
	const struct lease_event e = {.kind = LEASE_TENANT_GONE, .tenant = t->number};

	if (t->d->turns && t->number)
		step(t->d, &e);
}

void turns_enter(struct session *s)
{
	const struct lease_event e = {
		.kind = LEASE_SESSION, .session = s->id, .tenant = s->tenant->number};
	struct turns *t = s->d->turns;

	s->entered = true;
	if (t->sessions++ == 0)
		t->watch = g_timeout_add(WATCH_MS, on_watch, s->d);
	step(s->d, &e);
}

void turns_leave(struct session *s)
{
	const struct lease_event e = {.kind = LEASE_SESSION_GONE, .session = s->id};
	struct turns *t = s->d->turns;

	if (!s->entered || !t)
		return;
	s->entered = false;
	if (--t->sessions == 0)
		drop_source(&t->watch);
	step(s->d, &e);
}

void turns_news(struct session *s, const struct ctl_turn_news *m)
{
	const struct lease_event e = {.kind = m->type == CTL_RETURN ? LEASE_RETURNS : LEASE_WANTS,
				      .session = s->id,
				      .serial = m->serial,
				      .wants = m->wants};

	if (s->entered && s->state != SESSION_ENDING)
		step(s->d, &e);
}

bool turns_account(const struct tenant *t, struct lease_account *out)
{
	return t->d->turns && leases_account(t->d->turns->gpu, t->number, out);
}
