/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What can be seen at the control socket, as JSON. */
#include <string.h>
#include <unistd.h>

#include "audit.h"
#include "confinement.h"
#include "control_verbs.h"
#include "drain.h"
#include "session.h"
#include "tenant.h"
#include "usage.h"
#include "vgpu_abi.h"

static void set_uint(JsonObject *o, const char *name, uint64_t n)
{
	json_object_set_int_member(o, name, n > G_MAXINT64 ? G_MAXINT64 : (gint64)n);
}

/* A limit that is none is null. */
static void set_limit(JsonObject *o, const char *name, uint64_t n, bool none)
{
	if (none)
		json_object_set_null_member(o, name);
	else
		set_uint(o, name, n);
}

static void set_seconds(JsonObject *o, const char *name, uint64_t ns)
{
	json_object_set_double_member(o, name, (double)ns / 1e9);
}

static JsonNode *node_of(JsonObject *o)
{
	JsonNode *node = json_node_alloc();

	json_node_init_object(node, o);
	json_object_unref(o);
	return node;
}

static JsonNode *node_of_array(JsonArray *a)
{
	JsonNode *node = json_node_alloc();

	json_node_init_array(node, a);
	json_array_unref(a);
	return node;
}

/* ------------------------------------------------------------------ decisions */
struct counting {
	const char *tenant;
	JsonArray *counts;
};

static void add_count(const char *tenant, enum audit_kind kind, enum audit_cause cause,
		      uint64_t count, gpointer opaque)
{
	struct counting *c = opaque;
	JsonObject *o;

	if (strcmp(tenant, c->tenant) != 0)
		return;
	o = json_object_new();
	json_object_set_string_member(o, "kind", audit_kind_name(kind));
	json_object_set_string_member(o, "cause", audit_cause_name(cause));
	set_uint(o, "count", count);
	json_array_add_object_element(c->counts, o);
}

static void set_decisions(JsonObject *o, const struct daemon *d, const char *tenant)
{
	struct counting c = {tenant, json_array_new()};

	audit_counts(d->audit, add_count, &c);
	json_object_set_array_member(o, "decisions", c.counts);
}

/* --------------------------------------------------------------------- status */
static JsonObject *audit_object(const struct daemon *d)
{
	JsonObject *o = json_object_new();
	struct audit_health h;

	audit_health(d->audit, &h);
	if (h.file)
		json_object_set_string_member(o, "file", h.file);
	set_uint(o, "lines", h.lines);
	set_uint(o, "lost", h.lost);
	set_uint(o, "left_out", h.left_out);
	json_object_set_boolean_member(o, "failing", h.error != 0);
	if (h.error)
		json_object_set_string_member(o, "error", g_strerror(-h.error));
	return o;
}

static void set_tenants(JsonObject *o, const struct daemon *d)
{
	GHashTableIter iter;
	gpointer value;
	guint all = 0, quarantined = 0;

	g_hash_table_iter_init(&iter, d->tenants);
	while (g_hash_table_iter_next(&iter, NULL, &value)) {
		struct tenant *t = value;

		all += !t->removed;
		quarantined += faults_left(t) != 0;
	}
	json_object_set_int_member(o, "tenants", all);
	json_object_set_int_member(o, "tenants_quarantined", quarantined);
}

static const char *role_name(enum control_role role)
{
	static const char *const names[] = {"nobody", "owner", "monitor", "administrator"};

	return names[role];
}

/* Of those that this daemon has started: what their confinement lacks. */
static JsonArray *unconfined_array(const struct daemon *d)
{
	JsonArray *a = json_array_new();

	for (guint i = 0; confinement_part(i); i++) {
		if (d->unconfined & 1u << i)
			json_array_add_string_element(a, confinement_part(i));
	}
	return a;
}

static void set_host(JsonObject *o, struct daemon *d)
{
	json_object_set_int_member(o, "pid", getpid());
	json_object_set_string_member(o, "socket", d->config->socket_path);
	json_object_set_int_member(o, "sessions", g_hash_table_size(d->sessions));
	json_object_set_int_member(o, "sessions_max", d->config->max_sessions);
	json_object_set_int_member(o, "connections", d->clients->len);
	json_object_set_int_member(o, "connections_max", d->config->max_connections);
	set_tenants(o, d);
	json_object_set_object_member(o, "audit", audit_object(d));
	json_object_set_array_member(o, "unconfined", unconfined_array(d));
	set_decisions(o, d, "");
}

static void set_devices(JsonObject *o, const struct config *c)
{
	JsonArray *devices = json_array_new();

	for (guint i = 0; i < c->ngpus; i++)
		json_array_add_int_element(devices, c->gpus[i]);
	json_object_set_array_member(o, "devices", devices);
}

static void set_draining(JsonObject *o, const struct daemon *d)
{
	char *since = drain_since(d);

	json_object_set_boolean_member(o, "draining", since != NULL);
	if (since)
		json_object_set_string_member(o, "draining_since", since);
	g_free(since);
}

JsonNode *control_view_status(struct daemon *d, const struct control_peer *p)
{
	JsonObject *o = json_object_new();
	enum control_role role = control_peer_role(p, d);

	json_object_set_string_member(o, "version", VGPU_VERSION);
	json_object_set_string_member(o, "role", role_name(role));
	json_object_set_string_member(o, "backend", d->backend_name);
	set_devices(o, d->config);
	json_object_set_boolean_member(o, "open", d->config->tenants_open);
	set_draining(o, d);
	set_seconds(o, "uptime_seconds", (uint64_t)(g_get_monotonic_time() - d->started) * 1000);
	if (role >= CONTROL_MONITOR)
		set_host(o, d);
	return node_of(o);
}

/* ---------------------------------------------------------------- one's usage */
static JsonObject *usage_object(const struct session_usage *u)
{
	JsonObject *o = json_object_new();

	set_uint(o, "memory_bytes", u->memory);
	set_uint(o, "memory_most_bytes", u->memory_most);
	set_seconds(o, "gpu_seconds", u->gpu_ns);
	set_uint(o, "calls", u->calls);
	set_uint(o, "bytes", u->bytes);
	set_uint(o, "host_copied_bytes", u->host_copied);
	set_uint(o, "launches", u->launches);
	set_uint(o, "refused", u->refused);
	set_seconds(o, "throttled_seconds", u->throttled_ns);
	return o;
}

/* -------------------------------------------------------------------- tenants */
static void set_rate(JsonObject *o, const char *rate, const char *burst,
		     const struct policy_rate *r)
{
	set_limit(o, rate, r->rate, !r->rate);
	set_limit(o, burst, r->burst, !r->rate);
}

static JsonObject *limits_object(const struct policy *p)
{
	JsonObject *o = json_object_new();

	set_limit(o, "memory_bytes", p->memory, p->memory == POLICY_NO_LIMIT || p->memory_percent);
	set_limit(o, "memory_percent", p->memory_percent, !p->memory_percent);
	set_uint(o, "weight", p->weight);
	set_limit(o, "cap_percent", p->cap_percent, p->cap_percent == 100);
	set_uint(o, "sessions", p->sessions);
	set_uint(o, "queue_depth", p->queue_depth);
	set_rate(o, "calls_per_second", "calls_burst", &p->calls);
	set_rate(o, "bytes_per_second", "bytes_burst", &p->bytes);
	set_limit(o, "host_memory_bytes", policy_host_memory(p),
		  policy_host_memory(p) == POLICY_NO_LIMIT);
	set_uint(o, "host_processes", policy_host_processes(p));
	if (p->kernel_ns == POLICY_NO_LIMIT)
		json_object_set_null_member(o, "longest_kernel_seconds");
	else
		set_seconds(o, "longest_kernel_seconds", p->kernel_ns);
	return o;
}

static JsonObject *quarantine_object(struct tenant *t)
{
	const uint64_t left = faults_left(t);
	const struct faults *f = t->faults;
	JsonObject *o = json_object_new();

	json_object_set_boolean_member(o, "active", left != 0);
	set_uint(o, "count", f->quarantines);
	set_seconds(o, "next_seconds", quarantine_next(&f->q, t->policy));
	if (!left)
		return o;
	json_object_set_string_member(o, "by", f->q.by_hand ? "administrator" : "faults");
	if (left == QUARANTINE_OPEN)
		json_object_set_null_member(o, "left_seconds");
	else
		set_seconds(o, "left_seconds", left);
	return o;
}

static JsonObject *faults_object(const struct tenant *t)
{
	JsonObject *o = json_object_new();

	for (int i = 0; i < FAULT_CAUSES; i++)
		set_uint(o, fault_cause_name((enum fault_cause)i), t->faults->count[i]);
	return o;
}

static JsonObject *tenant_object(const struct daemon *d, struct tenant *t)
{
	JsonObject *o = json_object_new();
	char *classes = policy_classes_text(t->policy->classes);
	struct session_usage u;

	usage_of_tenant(t, &u);
	json_object_set_string_member(o, "name", t->name);
	json_object_set_string_member(o, "level", policy_level_name(t->policy->level));
	json_object_set_string_member(o, "classes", classes);
	json_object_set_boolean_member(o, "removed", t->removed);
	/* Not what a file says: everybody's, or an administrator's since the last reload. */
	json_object_set_boolean_member(o, "changed", t->own && t->own->path);
	if (t->policy->socket)
		json_object_set_string_member(o, "socket", t->policy->socket);
	if (t->policy->path)
		json_object_set_string_member(o, "file", t->policy->path);
	json_object_set_int_member(o, "sessions", t->sessions);
	json_object_set_object_member(o, "limits", limits_object(t->policy));
	json_object_set_object_member(o, "usage", usage_object(&u));
	json_object_set_object_member(o, "faults", faults_object(t));
	json_object_set_object_member(o, "quarantine", quarantine_object(t));
	set_decisions(o, d, t->name);
	g_free(classes);
	return o;
}

static gint by_name(gconstpointer a, gconstpointer b)
{
	return strcmp(a, b);
}

JsonNode *control_view_tenants(struct daemon *d, const struct control_peer *p, const char *tenant)
{
	JsonArray *a = json_array_new();
	GList *names = g_list_sort(g_hash_table_get_keys(d->tenants), by_name);

	for (GList *l = names; l; l = l->next) {
		struct tenant *t = g_hash_table_lookup(d->tenants, l->data);

		if ((!tenant || strcmp(tenant, t->name) == 0) && control_peer_sees(p, d, t->name))
			json_array_add_object_element(a, tenant_object(d, t));
	}
	g_list_free(names);
	return node_of_array(a);
}

/* ------------------------------------------------------------------- sessions */
static void set_page(JsonObject *o, const struct vgpu_session_page *page)
{
	if (!page)
		return;
	set_uint(o, "requests", page->requests);
	set_uint(o, "errors", page->errors);
	set_uint(o, "bytes_in", page->bytes_in);
	set_uint(o, "bytes_out", page->bytes_out);
	set_uint(o, "in_flight", page->in_flight);
}

static JsonObject *session_object(const struct session *s)
{
	static const char *const states[] = {[SESSION_STARTING] = "starting",
					     [SESSION_RUNNING] = "running",
					     [SESSION_ORPHAN] = "orphan",
					     [SESSION_ENDING] = "ending"};
	JsonObject *o = json_object_new();
	struct session_usage u;

	usage_of_session(s, &u);
	set_uint(o, "session", s->id);
	if (s->tenant)
		json_object_set_string_member(o, "tenant", s->tenant->name);
	json_object_set_string_member(o, "vm", s->vm ? s->vm : "");
	json_object_set_string_member(o, "state", states[s->state]);
	if (s->queue != VGPU_QUEUE_REGISTERS)
		set_uint(o, "queue", s->queue);
	set_uint(o, "device", s->gpu);
	set_uint(o, "tag", s->tag);
	json_object_set_int_member(o, "pid", s->pid);
	set_seconds(o, "age_seconds", (uint64_t)(g_get_monotonic_time() - s->since) * 1000);
	set_page(o, s->page);
	json_object_set_object_member(o, "usage", usage_object(&u));
	return o;
}

static gint by_id(gconstpointer a, gconstpointer b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

JsonNode *control_view_sessions(struct daemon *d, const struct control_peer *p, const char *tenant)
{
	JsonArray *a = json_array_new();
	GList *ids = g_list_sort(g_hash_table_get_keys(d->sessions), by_id);

	for (GList *l = ids; l; l = l->next) {
		const struct session *s = g_hash_table_lookup(d->sessions, l->data);
		const char *name = s->tenant ? s->tenant->name : NULL;

		if ((!tenant || g_strcmp0(tenant, name) == 0) && control_peer_sees(p, d, name))
			json_array_add_object_element(a, session_object(s));
	}
	g_list_free(ids);
	return node_of_array(a);
}

/* ---------------------------------------------------------------------- audit */
JsonNode *control_view_audit(struct daemon *d, const struct control_peer *p,
			     const struct control_request *r)
{
	const struct audit_filter f = {
		.tenant = r->tenant, .kind = r->kind, .since = r->since, .after = r->after};
	GPtrArray *found = audit_find(d->audit, &f);
	guint most = r->most ? r->most : AUDIT_RECENT;
	JsonObject *o = json_object_new();
	JsonArray *lines = json_array_new();
	uint64_t next = audit_last(d->audit);

	for (guint i = found->len; i > 0; i--) {
		const struct audit_entry *e = g_ptr_array_index(found, i - 1);

		if (!control_peer_sees(p, d, e->tenant))
			g_ptr_array_remove_index(found, i - 1);
	}
	/* Who goes on from somewhere gets what comes next, others what was last. */
	for (guint i = !r->after && found->len > most ? found->len - most : 0; i < found->len;
	     i++) {
		const struct audit_entry *e = g_ptr_array_index(found, i);

		if (json_array_get_length(lines) == most) {
			next = e->number - 1;
			break;
		}
		json_array_add_element(lines, json_from_string(e->line, NULL));
	}
	json_object_set_array_member(o, "lines", lines);
	set_uint(o, "next", next);
	g_ptr_array_unref(found);
	return node_of(o);
}
