/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Faults and quarantine of tenants, put into effect. */
#include "faults.h"

#include <inttypes.h>
#include <time.h>

#include "faults_file.h"
#include "session.h"
#include "state.h"
#include "tenant.h"

#define SECOND ((uint64_t)1000000000)

/* A timer of GLib's stands still while the host sleeps: it is asked again. */
#define LOOK_MS 60000u

const char *fault_cause_name(enum fault_cause cause)
{
	static const char *const names[FAULT_CAUSES] = {
		[FAULT_CRASH] = "crash",   [FAULT_GPU_ERROR] = "gpu-error",
		[FAULT_MEMORY] = "memory", [FAULT_KERNEL_TIME] = "kernel-time",
		[FAULT_QUEUE] = "queue",   [FAULT_HOST_MEMORY] = "host-memory",
	};

	return names[cause];
}

/* Goes on while the host sleeps. */
static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_BOOTTIME, &t);
	return (uint64_t)t.tv_sec * SECOND + (uint64_t)t.tv_nsec;
}

/* "for another 10 s", with what was begun of a second. */
static char *left_words(const struct quarantine *q)
{
	const uint64_t left = quarantine_left(q, q->now);

	if (left == QUARANTINE_OPEN)
		return g_strdup("until it is lifted");
	return g_strdup_printf("for another %" PRIu64 " s", (left + SECOND - 1) / SECOND);
}

/* ------------------------------------------------------------------- decisions */
static JsonObject *details_of(const struct tenant *t, const char *event)
{
	const struct quarantine *q = &t->faults->q;
	JsonObject *o = json_object_new();

	json_object_set_string_member(o, "event", event);
	if (quarantine_is(q) && q->until != QUARANTINE_OPEN)
		json_object_set_double_member(o, "seconds",
					      (double)quarantine_left(q, q->now) / 1e9);
	return o;
}

static void write_down(struct tenant *t, enum audit_cause cause, const char *event,
		       const char *words)
{
	const struct audit_about about = {.tenant = t->name};

	log_warning(NULL, "tenant %s: %s", t->name, words);
	audit_write(t->d->audit, AUDIT_QUARANTINE, cause, &about, details_of(t, event), "%s",
		    words);
}

static void announce_end(struct tenant *t, enum quarantine_event_kind kind)
{
	if (kind == QUARANTINE_LIFT)
		write_down(t, AUDIT_ADMINISTRATOR, "lifted", "the quarantine was lifted");
	else
		write_down(t, AUDIT_NONE, "ended", "the quarantine has ended");
}

static void announce(struct tenant *t, uint32_t news, enum quarantine_event_kind kind)
{
	const enum audit_cause cause = t->faults->q.by_hand ? AUDIT_ADMINISTRATOR : AUDIT_FAULTS;
	const bool begun = news & QUARANTINE_BEGUN;
	char *left, *words;

	if (news & QUARANTINE_ENDED)
		announce_end(t, kind);
	if (!(news & (QUARANTINE_BEGUN | QUARANTINE_CHANGED)))
		return;
	t->faults->quarantines += begun;
	left = left_words(&t->faults->q);
	words = g_strdup_printf("%s %s; no session of it may begin",
				begun ? "quarantined" : "is quarantined", left);
	write_down(t, cause, begun ? "begun" : "changed", words);
	g_free(words);
	g_free(left);
}

/* -------------------------------------------------------------------- events */
static uint32_t step(struct tenant *t, enum quarantine_event_kind kind, uint64_t for_ns);

static gboolean on_timer(gpointer data)
{
	struct tenant *t = data;

	t->faults->timer = 0;
	step(t, QUARANTINE_LOOK, 0);
	return G_SOURCE_REMOVE;
}

static void plan(struct tenant *t)
{
	struct faults *f = t->faults;
	const uint64_t at = quarantine_timer(&f->q), now = now_ns();

	if (f->timer)
		g_source_remove(f->timer);
	f->timer = 0;
	if (at)
		f->timer = g_timeout_add(
			at > now ? (guint)MIN((at - now) / 1000000 + 1, LOOK_MS) : 0, on_timer, t);
}

/* What its guests are told. */
static void show(struct tenant *t)
{
	const uint32_t before = t->flags;

	t->flags &= ~TENANT_QUARANTINED;
	if (quarantine_is(&t->faults->q))
		t->flags |= TENANT_QUARANTINED;
	if (t->flags != before)
		tenant_publish(t);
}

static uint32_t step(struct tenant *t, enum quarantine_event_kind kind, uint64_t for_ns)
{
	const struct quarantine_event e = {.kind = kind, .for_ns = for_ns};
	const uint32_t news = quarantine_step(&t->faults->q, t->policy, now_ns(), &e);

	if (news)
		announce(t, news, kind);
	if (news || kind != QUARANTINE_LOOK)
		faults_file_write(t);
	show(t);
	plan(t);
	return news;
}

struct faults *faults_open(struct tenant *t)
{
	struct faults *f = g_new0(struct faults, 1);

	faults_file_read(t, &f->q, now_ns());
	return f;
}

void faults_close(struct faults *f)
{
	if (f && f->timer)
		g_source_remove(f->timer);
	g_free(f);
}

void faults_policy(struct tenant *t)
{
	/* What stands in for a policy that is gone changes nothing of what was. */
	if (!t->removed)
		step(t, QUARANTINE_LOOK, 0);
}

static void audit_fault(const struct session *s, enum fault_cause cause)
{
	static const char *const words[FAULT_CAUSES] = {
		[FAULT_CRASH] = "its worker crashed",
		[FAULT_GPU_ERROR] = "its work on the GPU failed, and its context with it",
		[FAULT_KERNEL_TIME] = "its work on the GPU took too long",
		[FAULT_MEMORY] = "it held more device memory than it is charged for",
		[FAULT_QUEUE] = "its guest made nonsense of the queue",
		[FAULT_HOST_MEMORY] = "its tenant's workers were over host-memory",
	};
	const struct audit_about about = session_audit(s);
	JsonObject *o = json_object_new();

	json_object_set_string_member(o, "fault", fault_cause_name(cause));
	audit_write(s->d->audit, AUDIT_FAULT, AUDIT_FAULTS, &about, o, "%s", words[cause]);
}

void faults_count(struct session *s, enum fault_cause cause)
{
	/* One that never was there for its guest failed by the host's doing. */
	if (!s->tenant || !s->announced || s->failed)
		return;
	s->failed = true;
	/* Such a session goes on, perhaps longer than we: the next daemon counts no other of it. */
	if (cause == FAULT_GPU_ERROR && s->state != SESSION_ENDING)
		state_remember(s);
	s->tenant->faults->count[cause]++;
	audit_fault(s, cause);
	step(s->tenant, QUARANTINE_FAULT, 0);
}

bool faults_shut_out(struct tenant *t, char *why, gsize size)
{
	char *left;

	step(t, QUARANTINE_LOOK, 0);
	if (!quarantine_is(&t->faults->q))
		return false;
	left = left_words(&t->faults->q);
	if (t->faults->q.by_hand)
		g_snprintf(why, size, "the host's administrator has quarantined the tenant, %s",
			   left);
	else
		g_snprintf(why, size,
			   "the tenant is quarantined as its sessions failed too often, %s", left);
	g_free(left);
	return true;
}

void faults_put(struct tenant *t, uint64_t for_ns)
{
	step(t, QUARANTINE_PUT, for_ns);
}

bool faults_lift(struct tenant *t)
{
	return step(t, QUARANTINE_LIFT, 0) & QUARANTINE_ENDED;
}

uint64_t faults_left(struct tenant *t)
{
	step(t, QUARANTINE_LOOK, 0);
	return quarantine_left(&t->faults->q, t->faults->q.now);
}
