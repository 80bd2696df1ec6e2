/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the control socket's verbs do. */
#include "control_verbs.h"

#include <errno.h>

#include "audit.h"
#include "drain.h"
#include "policy.h"
#include "session.h"
#include "tenant.h"

static char *line_of(JsonObject *o, const char *id)
{
	JsonNode *node = json_node_alloc();
	JsonNode *id_node = id ? json_from_string(id, NULL) : NULL;
	char *text, *line;

	if (id_node)
		json_object_set_member(o, "id", id_node);
	json_node_init_object(node, o);
	json_object_unref(o);
	text = json_to_string(node, FALSE);
	json_node_unref(node);
	line = g_strconcat(text, "\n", NULL);
	g_free(text);
	return line;
}

char *control_answer_error(const char *id, enum control_error error, const char *message)
{
	static const char *const names[] = {[CONTROL_OK] = "none",
					    [CONTROL_BAD_REQUEST] = "bad-request",
					    [CONTROL_NOT_PERMITTED] = "not-permitted",
					    [CONTROL_NOT_FOUND] = "not-found",
					    [CONTROL_BAD_VALUE] = "bad-value",
					    [CONTROL_FAILED] = "failed"};
	JsonObject *o = json_object_new();

	json_object_set_boolean_member(o, "ok", FALSE);
	json_object_set_string_member(o, "error", names[error]);
	json_object_set_string_member(o, "message", message);
	return line_of(o, id);
}

char *control_answer(const char *id, JsonNode *result)
{
	JsonObject *o = json_object_new();

	json_object_set_boolean_member(o, "ok", TRUE);
	json_object_set_member(o, "result", result);
	return line_of(o, id);
}

static JsonNode *result_number(const char *name, gint64 number)
{
	JsonObject *o = json_object_new();
	JsonNode *node = json_node_alloc();

	json_object_set_int_member(o, name, number);
	json_node_init_object(node, o);
	json_object_unref(o);
	return node;
}

/* Who commanded, and what. */
static JsonObject *details_of(const struct control_peer *p, const struct control_request *r)
{
	JsonObject *o = json_object_new();

	json_object_set_string_member(o, "verb", control_verb_name(r->verb));
	json_object_set_int_member(o, "uid", p->uid);
	json_object_set_int_member(o, "pid", p->pid);
	if (r->key)
		json_object_set_string_member(o, "key", r->key);
	if (r->value)
		json_object_set_string_member(o, "value", r->value);
	if (r->time)
		json_object_set_string_member(o, "for", r->time);
	if (r->off)
		json_object_set_boolean_member(o, "off", TRUE);
	return o;
}

static void write_down(struct daemon *d, const struct control_peer *p,
		       const struct control_request *r, enum audit_cause cause, const char *outcome)
{
	const struct audit_about about = {.tenant = r->tenant, .session = r->session};

	audit_write(d->audit, AUDIT_COMMAND, cause, &about, details_of(p, r), "%s: %s",
		    control_verb_name(r->verb), outcome);
}

/* What a verb that changes something has come to. */
struct outcome {
	enum control_error error;
	char *message;    /* if it is one */
	JsonNode *result; /* else */
};

static void fail(struct outcome *out, enum control_error error, char *message)
{
	out->error = error;
	out->message = message;
}

/* A tenant that is there; NULL: there is none of this name, which is said. */
static struct tenant *find(struct daemon *d, const char *name, struct outcome *out)
{
	struct tenant *t = g_hash_table_lookup(d->tenants, name);

	if (t && !t->removed)
		return t;
	fail(out, CONTROL_NOT_FOUND, g_strdup_printf("there is no tenant \"%s\"", name));
	return NULL;
}

static void set(struct daemon *d, const struct control_request *r, struct outcome *out)
{
	struct tenant *t = find(d, r->tenant, out);
	const struct audit_about about = {.tenant = r->tenant};
	struct policy *next;
	GError *err = NULL;

	if (!t)
		return;
	next = policy_change(t->policy, r->key, r->value, &err);
	if (!next) {
		fail(out, CONTROL_BAD_VALUE, g_strdup(err->message));
		g_clear_error(&err);
		return;
	}
	tenant_set_policy(t, next, true);
	tenant_shed(t);
	audit_write(d->audit, AUDIT_POLICY_CHANGED, AUDIT_ADMINISTRATOR, &about, NULL,
		    "%s is now %s, until the next reload", r->key, r->value);
	out->result = result_number("changed", 1);
}

static void evict(struct daemon *d, const struct control_request *r, struct outcome *out)
{
	GHashTableIter iter;
	gpointer value;
	guint n = 0;

	g_hash_table_iter_init(&iter, d->sessions);
	while (g_hash_table_iter_next(&iter, NULL, &value)) {
		struct session *s = value;

		if (r->tenant ? s->tenant && g_strcmp0(s->tenant->name, r->tenant) == 0
			      : s->id == r->session) {
			session_evict(s, AUDIT_ADMINISTRATOR, -ECANCELED,
				      "evicted by an administrator");
			n++;
		}
	}
	if (n || (r->tenant && g_hash_table_contains(d->tenants, r->tenant)))
		out->result = result_number("sessions", n);
	else if (r->tenant)
		fail(out, CONTROL_NOT_FOUND,
		     g_strdup_printf("there is no tenant \"%s\"", r->tenant));
	else
		fail(out, CONTROL_NOT_FOUND,
		     g_strdup_printf("there is no session %" G_GUINT64_FORMAT, r->session));
}

static void quarantine(struct daemon *d, const struct control_request *r, struct outcome *out)
{
	struct tenant *t = find(d, r->tenant, out);
	uint64_t ns = QUARANTINE_OPEN;

	if (!t)
		return;
	if (r->time && (!policy_time_parse(r->time, &ns) || !ns)) {
		fail(out, CONTROL_BAD_VALUE,
		     g_strdup_printf("\"%s\" is not a time such as 90s, 10m or 24h, at most a year",
				     r->time));
	} else if (!r->off) {
		faults_put(t, ns);
		out->result = result_number("sessions", t->sessions);
	} else if (faults_lift(t)) {
		out->result = result_number("lifted", 1);
	} else {
		fail(out, CONTROL_FAILED,
		     g_strdup_printf("tenant \"%s\" is not quarantined; its faults are forgotten",
				     r->tenant));
	}
}

static void drain(struct daemon *d, const struct control_request *r, struct outcome *out)
{
	GError *err = NULL;

	if (drain_set(d, !r->off, &err)) {
		out->result = result_number("sessions", g_hash_table_size(d->sessions));
		return;
	}
	fail(out, CONTROL_FAILED,
	     g_strdup_printf("%s for now, but the next daemon will not know: %s",
			     r->off ? "sessions may begin" : "no session may begin", err->message));
	g_clear_error(&err);
}

static void reload(struct daemon *d, struct outcome *out)
{
	GError *err = NULL;

	if (daemon_reload(d, &err)) {
		out->result = result_number("tenants", g_hash_table_size(d->tenants));
		return;
	}
	fail(out, CONTROL_FAILED, g_strdup_printf("nothing has changed: %s", err->message));
	g_clear_error(&err);
}

static char *change(struct daemon *d, const struct control_peer *p, const struct control_request *r)
{
	struct outcome out = {0};
	char *answer;

	if (control_peer_role(p, d) < CONTROL_ADMIN) {
		write_down(d, p, r, AUDIT_NOT_PERMITTED, "not permitted");
		return control_answer_error(r->id, CONTROL_NOT_PERMITTED,
					    "only an administrator may do this");
	}
	if (r->verb == CONTROL_SET)
		set(d, r, &out);
	else if (r->verb == CONTROL_EVICT)
		evict(d, r, &out);
	else if (r->verb == CONTROL_QUARANTINE)
		quarantine(d, r, &out);
	else if (r->verb == CONTROL_DRAIN)
		drain(d, r, &out);
	else
		reload(d, &out);
	write_down(d, p, r, AUDIT_ADMINISTRATOR, out.error ? out.message : "done");
	answer = out.error ? control_answer_error(r->id, out.error, out.message)
			   : control_answer(r->id, out.result);
	g_free(out.message);
	return answer;
}

/* One tenant was named: it must be there for this peer. */
static bool is_hidden(const struct daemon *d, const struct control_peer *p, const char *tenant)
{
	return tenant &&
	       (!control_peer_sees(p, d, tenant) || !g_hash_table_contains(d->tenants, tenant));
}

char *control_serve(struct daemon *d, const struct control_peer *p, const struct control_request *r)
{
	/* What it may can have changed since it connected. */
	if (control_peer_role(p, d) == CONTROL_NOBODY)
		return control_answer_error(r->id, CONTROL_NOT_PERMITTED,
					    "this user is neither an administrator nor the owner "
					    "of a tenant");
	if (control_verb_changes(r->verb))
		return change(d, p, r);
	/* The audit log remembers tenants that are gone. */
	if (r->verb != CONTROL_AUDIT && is_hidden(d, p, r->tenant))
		return control_answer_error(r->id, CONTROL_NOT_FOUND,
					    "there is no such tenant, or it is not yours");
	if (r->verb == CONTROL_STATUS)
		return control_answer(r->id, control_view_status(d, p));
	if (r->verb == CONTROL_TENANTS)
		return control_answer(r->id, control_view_tenants(d, p, r->tenant));
	if (r->verb == CONTROL_SESSIONS)
		return control_answer(r->id, control_view_sessions(d, p, r->tenant));
	return control_answer(r->id, control_view_audit(d, p, r));
}
