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

/* Of one GPU. */
struct gpu {
	struct daemon *d;
	guint number;
	struct leases *leases;
	guint timer;
	int record; /* -1: none */
	uint64_t recorded;
};

struct turns {
	GPtrArray *gpus; /* struct gpu: those configured, and others that sessions are on */
	guint retry;
	guint watch;
	guint sessions;   /* that have entered */
	uint64_t tenants; /* numbers that were given out */
	GString *text;    /* of a step, for the record */
};

/* -------------------------------------------------------------------- record */

static void stop_record(struct gpu *g, const char *why)
{
	log_warning(NULL, "the record of turns at GPU %u ends here: %s", g->number, why);
	fdio_clear(&g->record);
}

static void write_record(struct gpu *g)
{
	GString *text = g->d->turns->text;
	const ssize_t n = write(g->record, text->str, text->len);

	if (n != (ssize_t)text->len)
		stop_record(g, n < 0 ? g_strerror(errno) : "the disk is full");
	g->recorded += text->len;
	if (g->record >= 0 && g->recorded > RECORD_MAX)
		stop_record(g, "it has grown to 64 MiB");
	g_string_truncate(text, 0);
}

static bool open_record(struct gpu *g, const char *path, GError **err)
{
	g->record = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (g->record < 0) {
		g_set_error(err, G_FILE_ERROR, g_file_error_from_errno(errno),
			    "[tenants] record: cannot write %s: %s", path, g_strerror(errno));
		return false;
	}
	leases_record_begin(g->d->turns->text, leases_get_config(g->leases));
	write_record(g);
	return true;
}

/* One file for each GPU, if there are several. */
static bool open_records(struct daemon *d, GError **err)
{
	const char *path = d->config->tenants_record;
	bool ok = true;

	for (guint i = 0; ok && path && i < d->turns->gpus->len; i++) {
		struct gpu *g = g_ptr_array_index(d->turns->gpus, i);
		char *own = d->turns->gpus->len > 1 ? g_strdup_printf("%s.%u", path, g->number)
						    : g_strdup(path);

		ok = open_record(g, own, err);
		g_free(own);
	}
	return ok;
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

static void step(struct gpu *g, const struct lease_event *e);

static gboolean on_timer(gpointer data)
{
	const struct lease_event e = {.kind = LEASE_TIMER};
	struct gpu *g = data;

	g->timer = 0;
	step(g, &e);
	return G_SOURCE_REMOVE;
}

static void drop_source(guint *source)
{
	if (*source)
		g_source_remove(*source);
	*source = 0;
}

static void plan_timer(struct gpu *g, uint64_t now)
{
	const uint64_t at = leases_timer(g->leases);
	const uint64_t ms = at > now ? (at - now) / 1000000 + 1 : 0;

	drop_source(&g->timer);
	if (at)
		g->timer = g_timeout_add((guint)MIN(ms, 60000), on_timer, g);
}

static void step(struct gpu *g, const struct lease_event *e)
{
	const uint64_t now = fdio_now_ns();
	const struct lease_action *a;
	size_t n;

	a = leases_step(g->leases, now, e, &n);
	if (g->record >= 0) {
		leases_record_step(g->d->turns->text, now, e, a, n);
		write_record(g);
	}
	for (size_t i = 0; i < n; i++)
		tell(g->d, &a[i]);
	plan_timer(g, now);
}

/* ----------------------------------------------------------------------- GPUs */

static void gpu_free(gpointer data)
{
	struct gpu *g = data;

	drop_source(&g->timer);
	fdio_clear(&g->record);
	leases_free(g->leases);
	g_free(g);
}

static void introduce(struct gpu *g, const struct tenant *t)
{
	const struct lease_event e = {.kind = LEASE_TENANT,
				      .tenant = t->number,
				      .weight = t->policy->weight,
				      .cap_percent = t->policy->cap_percent};

	step(g, &e);
}

/* A session may be found on a GPU that is no longer in the configuration. */
static struct gpu *gpu_of(struct daemon *d, guint number)
{
	struct gpu *g;
	GHashTableIter iter;
	gpointer t;

	for (guint i = 0; i < d->turns->gpus->len; i++) {
		g = g_ptr_array_index(d->turns->gpus, i);
		if (g->number == number)
			return g;
	}
	g = g_new0(struct gpu, 1);
	g->d = d;
	g->number = number;
	g->leases = leases_new(NULL);
	g->record = -1;
	g_ptr_array_add(d->turns->gpus, g);
	g_hash_table_iter_init(&iter, d->tenants);
	while (g_hash_table_iter_next(&iter, NULL, &t)) {
		if (((struct tenant *)t)->number)
			introduce(g, t);
	}
	return g;
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
		faults_count(s, FAULT_KERNEL_TIME);
		session_evict(
			s, AUDIT_KERNEL_TIME, -ETIME,
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
	d->turns = g_new0(struct turns, 1);
	d->turns->text = g_string_new(NULL);
	d->turns->gpus = g_ptr_array_new_with_free_func(gpu_free);
	for (guint i = 0; i < d->config->ngpus; i++)
		gpu_of(d, d->config->gpus[i]);
	return open_records(d, err);
}

void turns_close(struct daemon *d)
{
	struct turns *t = d->turns;

	if (!t)
		return;
	drop_source(&t->retry);
	drop_source(&t->watch);
	g_ptr_array_free(t->gpus, TRUE);
	g_string_free(t->text, TRUE);
	g_free(t);
	d->turns = NULL;
}

void turns_tenant(struct tenant *t)
{
	struct turns *all = t->d->turns;

	if (!all)
		return;
	if (!t->number)
		t->number = ++all->tenants;
	for (guint i = 0; i < all->gpus->len; i++)
		introduce(g_ptr_array_index(all->gpus, i), t);
}

void turns_tenant_gone(struct tenant *t)
{
	const struct lease_event e = {.kind = LEASE_TENANT_GONE, .tenant = t->number};
	struct turns *all = t->d->turns;

	for (guint i = 0; all && t->number && i < all->gpus->len; i++)
		step(g_ptr_array_index(all->gpus, i), &e);
}

void turns_enter(struct session *s)
{
	const struct lease_event e = {
		.kind = LEASE_SESSION, .session = s->id, .tenant = s->tenant->number};
	struct turns *t = s->d->turns;

	s->entered = true;
	if (t->sessions++ == 0)
		t->watch = g_timeout_add(WATCH_MS, on_watch, s->d);
	step(gpu_of(s->d, s->gpu), &e);
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
	step(gpu_of(s->d, s->gpu), &e);
}

void turns_news(struct session *s, const struct ctl_turn_news *m)
{
	const struct lease_event e = {.kind = m->type == CTL_RETURN ? LEASE_RETURNS : LEASE_WANTS,
				      .session = s->id,
				      .serial = m->serial,
				      .wants = m->wants};

	if (s->entered && s->state != SESSION_ENDING)
		step(gpu_of(s->d, s->gpu), &e);
}

bool turns_account(const struct tenant *t, struct lease_account *out)
{
	const struct turns *all = t->d->turns;

	*out = (struct lease_account){0};
	for (guint i = 0; all && i < all->gpus->len; i++) {
		const struct gpu *g = g_ptr_array_index(all->gpus, i);
		struct lease_account a;

		if (!leases_account(g->leases, t->number, &a))
			continue;
		out->held_ns += a.held_ns;
		out->contended_ns += a.contended_ns;
		out->turns += a.turns;
		out->wants = out->wants || a.wants;
		out->holds = out->holds || a.holds;
	}
	return all;
}
