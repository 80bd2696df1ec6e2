/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The audit log: lines, the recent ones, rates, counts. */
#include "audit.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "audit_file.h"
#include "log.h"

/* Tenants that have a rate and counts of their own; further ones share one. */
#define TENANTS_MAX 1024
#define OTHERS "(others)"

/* Of a reason, in bytes before they are escaped. */
#define REASON_MAX 1024

/* When it is looked again whether a flood is over, so that its count is written. */
#define SETTLE_SECONDS 2

struct tenant_lines {
	struct log_bucket bucket;
	uint64_t counts[AUDIT_KINDS][AUDIT_CAUSES];
};

struct audit {
	struct audit_file file;
	guint lines_most;
	GQueue recent;       /* struct audit_entry, oldest first */
	GHashTable *tenants; /* name or "" -> struct tenant_lines */
	guint settle;
	uint64_t last;
	uint64_t lines, lost, left_out;
	uint64_t lost_now; /* since the file worked last */
	int error;
};

static void entry_free(gpointer data)
{
	struct audit_entry *e = data;

	g_free(e->tenant);
	g_free(e->line);
	g_free(e);
}

/* What a guest decides to do causes these; everything else is as rare as its cause. */
static bool is_of_guest(enum audit_kind kind, enum audit_cause cause)
{
	return kind == AUDIT_SESSION_ALLOWED || kind == AUDIT_SESSION_ENDED ||
	       kind == AUDIT_SESSION_REFUSED || kind == AUDIT_CONNECTION_REFUSED ||
	       kind == AUDIT_OPERATION_REFUSED || kind == AUDIT_LIMIT_REACHED ||
	       (kind == AUDIT_COMMAND && cause == AUDIT_NOT_PERMITTED);
}

static void set_text(JsonObject *o, const char *member, const char *text)
{
	char *clean = log_printable(text, strnlen(text, REASON_MAX));

	json_object_set_string_member(o, member, clean);
	g_free(clean);
}

static void clean_member(JsonObject *o, const char *name, JsonNode *node, gpointer opaque)
{
	char *clean_name = log_printable(name, strnlen(name, REASON_MAX));

	(void)o;
	if (JSON_NODE_HOLDS_VALUE(node) && json_node_get_value_type(node) == G_TYPE_STRING)
		set_text(opaque, clean_name, json_node_get_string(node));
	else
		json_object_set_member(opaque, clean_name, json_node_copy(node));
	g_free(clean_name);
}

static char *time_text(gint64 time)
{
	GDateTime *t = g_date_time_new_from_unix_utc(time / G_USEC_PER_SEC);
	char *seconds = g_date_time_format(t, "%Y-%m-%dT%H:%M:%S");
	char *text = g_strdup_printf("%s.%03dZ", seconds, (int)(time / 1000 % 1000));

	g_free(seconds);
	g_date_time_unref(t);
	return text;
}

/* Takes `details`. */
static char *make_line(gint64 time, enum audit_kind kind, enum audit_cause cause,
		       const struct audit_about *about, JsonObject *details, const char *reason)
{
	JsonObject *o = json_object_new();
	JsonNode *node = json_node_alloc();
	char *when = time_text(time);
	char *line;

	json_object_set_string_member(o, "time", when);
	json_object_set_string_member(o, "kind", audit_kind_name(kind));
	json_object_set_string_member(o, "cause", audit_cause_name(cause));
	if (about && about->tenant)
		set_text(o, "tenant", about->tenant);
	if (about && about->session)
		json_object_set_int_member(o, "session", (gint64)about->session);
	set_text(o, "reason", reason);
	if (details) {
		JsonObject *clean = json_object_new();

		json_object_foreach_member(details, clean_member, clean);
		json_object_set_object_member(o, "details", clean);
		json_object_unref(details);
	}
	json_node_init_object(node, o);
	json_object_unref(o);
	line = json_to_string(node, FALSE);
	json_node_unref(node);
	g_free(when);
	return line;
}

static void add(struct audit *a, enum audit_kind kind, enum audit_cause cause,
		const struct audit_about *about, JsonObject *details, const char *reason);

/* The file works again: how much it lacks stands in it. */
static void tell_lost(struct audit *a)
{
	uint64_t lost = a->lost_now;
	JsonObject *details = json_object_new();

	a->lost_now = 0;
	a->error = 0;
	log_warning(NULL,
		    "the audit log %s can be written again; it lacks %" G_GUINT64_FORMAT " lines",
		    a->file.path, lost);
	json_object_set_int_member(details, "lines", (gint64)lost);
	add(a, AUDIT_LOST, AUDIT_RESOURCES, NULL, details, "the file lacks lines before this one");
}

static void keep_in_file(struct audit *a, const char *line)
{
	char *whole = g_strconcat(line, "\n", NULL);
	int rotation;
	int err = audit_file_append(&a->file, whole, strlen(whole), &rotation);

	g_free(whole);
	if (rotation)
		log_error(NULL, "the audit log %s cannot be rotated, so it grows: %s", a->file.path,
			  g_strerror(-rotation));
	if (err) {
		a->lost++;
		a->lost_now++;
		if (!a->error)
			log_error(NULL,
				  "the audit log %s cannot be written: %s; work goes on, "
				  "what it lacks is counted",
				  a->file.path, g_strerror(-err));
		a->error = err == -EAGAIN && a->error ? a->error : err;
	} else if (a->lost_now) {
		tell_lost(a);
	}
}

static void add(struct audit *a, enum audit_kind kind, enum audit_cause cause,
		const struct audit_about *about, JsonObject *details, const char *reason)
{
	struct audit_entry *e = g_new0(struct audit_entry, 1);

	e->number = ++a->last;
	e->time = g_get_real_time();
	e->kind = kind;
	e->tenant = about ? g_strdup(about->tenant) : NULL;
	e->line = make_line(e->time, kind, cause, about, details, reason);
	g_queue_push_tail(&a->recent, e);
	if (a->recent.length > AUDIT_RECENT)
		entry_free(g_queue_pop_head(&a->recent));
	a->lines++;
	if (a->file.path)
		keep_in_file(a, e->line);
}

static void tell_left_out(struct audit *a, const char *tenant, guint dropped)
{
	struct audit_about about = {.tenant = *tenant ? tenant : NULL};
	JsonObject *details = json_object_new();

	json_object_set_int_member(details, "lines", dropped);
	add(a, AUDIT_LEFT_OUT, AUDIT_RATE, &about, details,
	    "more lines in a second than [audit] lines allows");
}

/* Floods that are over: their counts are written though nothing follows. */
static void settle(struct audit *a, bool all)
{
	gint64 now = g_get_monotonic_time();
	GHashTableIter iter;
	gpointer name, value;

	g_hash_table_iter_init(&iter, a->tenants);
	while (g_hash_table_iter_next(&iter, &name, &value)) {
		struct log_bucket *b = &((struct tenant_lines *)value)->bucket;
		guint dropped = b->dropped;

		if (!dropped || (!all && now - b->since < G_USEC_PER_SEC))
			continue;
		b->dropped = 0;
		tell_left_out(a, name, dropped);
	}
}

static gboolean on_settle(gpointer data)
{
	struct audit *a = data;
	GHashTableIter iter;
	gpointer value;

	settle(a, false);
	g_hash_table_iter_init(&iter, a->tenants);
	while (g_hash_table_iter_next(&iter, NULL, &value)) {
		if (((struct tenant_lines *)value)->bucket.dropped)
			return G_SOURCE_CONTINUE;
	}
	a->settle = 0;
	return G_SOURCE_REMOVE;
}

/* A hash table of all who ever came would be theirs to let grow. */
static struct tenant_lines *lines_of(struct audit *a, const char **tenant)
{
	struct tenant_lines *t = g_hash_table_lookup(a->tenants, *tenant);

	if (!t && g_hash_table_size(a->tenants) >= TENANTS_MAX) {
		*tenant = OTHERS;
		t = g_hash_table_lookup(a->tenants, OTHERS);
	}
	if (!t) {
		t = g_new0(struct tenant_lines, 1);
		g_hash_table_insert(a->tenants, g_strdup(*tenant), t);
	}
	return t;
}

/* Counts the line; may it be written, too? */
static bool admit(struct audit *a, enum audit_kind kind, enum audit_cause cause, const char *tenant)
{
	struct tenant_lines *t = lines_of(a, &tenant);
	guint dropped = 0;

	t->counts[kind][cause]++;
	if (!is_of_guest(kind, cause))
		return true;
	if (!log_may(&t->bucket, a->lines_most, &dropped)) {
		a->left_out++;
		if (!a->settle)
			a->settle = g_timeout_add_seconds(SETTLE_SECONDS, on_settle, a);
		return false;
	}
	if (dropped)
		tell_left_out(a, tenant, dropped);
	return true;
}

void audit_write(struct audit *a, enum audit_kind kind, enum audit_cause cause,
		 const struct audit_about *about, JsonObject *details, const char *format, ...)
{
	char *reason;
	va_list args;

	if (!a || !admit(a, kind, cause, about && about->tenant ? about->tenant : "")) {
		if (details)
			json_object_unref(details);
		return;
	}
	va_start(args, format);
	reason = g_strdup_vprintf(format, args);
	va_end(args);
	add(a, kind, cause, about, details, reason);
	g_free(reason);
}

static bool open_file(struct audit_file *f, const struct audit_options *o, GError **err)
{
	int ret;

	audit_file_init(f, o->file, o->most, o->keep);
	ret = o->file ? audit_file_open(f) : 0;
	if (!ret || audit_file_error_passes(ret)) {
		if (ret)
			log_error(NULL, "the audit log %s cannot be opened now: %s", o->file,
				  g_strerror(-ret));
		return true;
	}
	g_set_error(err, G_FILE_ERROR, g_file_error_from_errno(-ret),
		    "cannot write the audit log %s: %s; set [audit] file to a place that can be "
		    "written",
		    o->file, ret == -EINVAL ? "what is there is not a file" : g_strerror(-ret));
	audit_file_clear(f);
	return false;
}

struct audit *audit_new(const struct audit_options *o, GError **err)
{
	struct audit *a = g_new0(struct audit, 1);

	a->lines_most = o->lines;
	g_queue_init(&a->recent);
	a->tenants = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
	if (open_file(&a->file, o, err))
		return a;
	audit_free(a);
	return NULL;
}

bool audit_reopen(struct audit *a, const struct audit_options *o, GError **err)
{
	struct audit_file next;

	if (!open_file(&next, o, err))
		return false;
	audit_file_clear(&a->file);
	a->file = next;
	a->lines_most = o->lines;
	return true;
}

void audit_free(struct audit *a)
{
	if (!a)
		return;
	settle(a, true);
	if (a->settle)
		g_source_remove(a->settle);
	g_queue_clear_full(&a->recent, entry_free);
	g_hash_table_destroy(a->tenants);
	audit_file_clear(&a->file);
	g_free(a);
}

static bool fits(const struct audit_entry *e, const struct audit_filter *f)
{
	return e->number > f->after && e->time >= f->since &&
	       (f->kind < 0 || e->kind == (enum audit_kind)f->kind) &&
	       (!f->tenant || g_strcmp0(e->tenant, f->tenant) == 0);
}

GPtrArray *audit_find(const struct audit *a, const struct audit_filter *f)
{
	GPtrArray *found = g_ptr_array_new();

	for (GList *l = a->recent.head; l; l = l->next) {
		if (!fits(l->data, f))
			continue;
		if (f->most && f->after && found->len == f->most)
			break;
		g_ptr_array_add(found, l->data);
	}
	if (f->most && found->len > f->most)
		g_ptr_array_remove_range(found, 0, found->len - f->most);
	return found;
}

uint64_t audit_last(const struct audit *a)
{
	return a->last;
}

void audit_health(const struct audit *a, struct audit_health *h)
{
	*h = (struct audit_health){.file = a->file.path,
				   .error = a->error,
				   .lines = a->lines,
				   .lost = a->lost,
				   .left_out = a->left_out};
}

void audit_counts(const struct audit *a, audit_count_func each, gpointer opaque)
{
	GHashTableIter iter;
	gpointer name, value;

	g_hash_table_iter_init(&iter, a->tenants);
	while (g_hash_table_iter_next(&iter, &name, &value)) {
		const struct tenant_lines *t = value;

		for (int kind = 0; kind < AUDIT_KINDS; kind++) {
			for (int cause = 0; cause < AUDIT_CAUSES; cause++) {
				if (t->counts[kind][cause])
					each(name, (enum audit_kind)kind, (enum audit_cause)cause,
					     t->counts[kind][cause], opaque);
			}
		}
	}
}
