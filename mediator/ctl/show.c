/* SPDX-License-Identifier: GPL-2.0-or-later */
/* status, tenants, sessions. */
#include <stdio.h>
#include <string.h>

#include "ctl.h"
#include "json.h"
#include "table.h"

/* Numbers of GPUs are below it. */
#define DEVICES_MAX 256

/* The answer to a question about one tenant or all; printed if it is for a program. */
static JsonNode *ask(struct ctl *c, const char *verb, int *status)
{
	JsonNode *node = ctl_ask(c, status, verb, "tenant", c->n_args ? c->args[0] : NULL, NULL);

	if (node && c->json) {
		ctl_print_json(node);
		json_node_unref(node);
		node = NULL;
	}
	return node;
}

static void show_audit_state(JsonObject *o)
{
	if (!json_object_has_member(o, "audit"))
		return;
	printf("audit log    %s: %.0f lines", json_text(o, "audit.file"),
	       json_number(o, "audit.lines"));
	if (json_number(o, "audit.left_out") > 0)
		printf(", %.0f left out by their rate", json_number(o, "audit.left_out"));
	if (json_number(o, "audit.lost") > 0)
		printf(", %.0f LOST", json_number(o, "audit.lost"));
	if (json_flag(o, "audit.failing"))
		printf("; CANNOT BE WRITTEN NOW: %s", json_text(o, "audit.error"));
	putchar('\n');
}

static void show_unconfined(JsonObject *o)
{
	JsonArray *a = json_object_has_member(o, "unconfined")
			       ? json_object_get_array_member(o, "unconfined")
			       : NULL;
	guint n = a ? json_array_get_length(a) : 0;

	if (!n)
		return;
	printf("UNCONFINED: workers lack");
	for (guint i = 0; i < n; i++)
		printf("%s %s", i ? "," : "", json_array_get_string_element(a, i));
	puts("; the log says why");
}

int ctl_status(struct ctl *c)
{
	int status;
	JsonNode *node = ctl_ask(c, &status, "status", NULL);
	JsonObject *o;
	char *age;

	if (!node)
		return status;
	if (c->json) {
		ctl_print_json(node);
		json_node_unref(node);
		return CTL_DONE;
	}
	o = json_object_of(node);
	age = text_age(json_number(o, "uptime_seconds"));
	printf("gpu_mediator %s, up for %s\n", json_text(o, "version"), age);
	printf("backend      %s, devices", json_text(o, "backend"));
	for (int i = 0; i < DEVICES_MAX; i++) {
		if (json_has_number(o, "devices", i))
			printf(" %d", i);
	}
	putchar('\n');
	if (json_object_has_member(o, "sessions")) {
		printf("socket       %s\n", json_text(o, "socket"));
		printf("sessions     %.0f of %.0f\n", json_number(o, "sessions"),
		       json_number(o, "sessions_max"));
		printf("connections  %.0f of %.0f\n", json_number(o, "connections"),
		       json_number(o, "connections_max"));
		printf("tenants      %.0f, %.0f of them quarantined\n", json_number(o, "tenants"),
		       json_number(o, "tenants_quarantined"));
	}
	show_audit_state(o);
	show_unconfined(o);
	if (json_flag(o, "open"))
		puts("OPEN: everybody who reaches the socket may use the GPU, without limits");
	if (json_flag(o, "draining"))
		printf("DRAINING since %s: no session may begin; \"drain --off\" ends this\n",
		       json_text(o, "draining_since"));
	g_free(age);
	json_node_unref(node);
	return CTL_DONE;
}

static void add_bytes(struct table *t, uint64_t n)
{
	char *text = text_bytes(n);

	table_add(t, "%s", text);
	g_free(text);
}

static void add_memory_limit(struct table *t, JsonObject *o)
{
	uint64_t percent = json_limit(o, "limits.memory_percent");

	if (percent != UINT64_MAX)
		table_add(t, "%u %%", (unsigned int)percent);
	else
		add_bytes(t, json_limit(o, "limits.memory_bytes"));
}

static void add_cap(struct table *t, JsonObject *o)
{
	uint64_t cap = json_limit(o, "limits.cap_percent");

	if (cap == UINT64_MAX)
		table_add(t, "none");
	else
		table_add(t, "%u %%", (unsigned int)cap);
}

static void add_note(struct table *t, JsonObject *o)
{
	const double left = json_number(o, "quarantine.left_seconds"); /* 0: without an end */
	char *age = text_age(left + 0.999);

	if (json_flag(o, "quarantine.active") && left <= 0)
		table_add(t, "quarantined until it is lifted");
	else if (json_flag(o, "quarantine.active"))
		table_add(t, "quarantined for another %s", age);
	else
		table_add(t, "%s",
			  json_flag(o, "removed")   ? "removed"
			  : json_flag(o, "changed") ? "changed until the next reload"
						    : "");
	g_free(age);
}

int ctl_tenants(struct ctl *c)
{
	int status;
	JsonNode *node = ask(c, "tenants", &status);
	struct table *t;

	if (!node)
		return status;
	t = table_new("TENANT|LEVEL|SESSIONS>|OF>|MEMORY>|OF>|WEIGHT>|CAP>|GPU TIME>|CALLS>|"
		      "REFUSED>|NOTE");
	for (guint i = 0; i < json_count(node); i++) {
		JsonObject *o = json_at(node, i);

		table_add(t, "%s", json_text(o, "name"));
		table_add(t, "%s", json_text(o, "level"));
		table_add(t, "%.0f", json_number(o, "sessions"));
		table_add(t, "%.0f", json_number(o, "limits.sessions"));
		add_bytes(t, (uint64_t)json_number(o, "usage.memory_bytes"));
		add_memory_limit(t, o);
		table_add(t, "%.0f", json_number(o, "limits.weight"));
		add_cap(t, o);
		table_add(t, "%.1f s", json_number(o, "usage.gpu_seconds"));
		table_add(t, "%.0f", json_number(o, "usage.calls"));
		table_add(t, "%.0f", json_number(o, "usage.refused"));
		add_note(t, o);
	}
	table_print(t, ctl_is_terminal());
	json_node_unref(node);
	return CTL_DONE;
}

int ctl_sessions(struct ctl *c)
{
	int status;
	JsonNode *node = ask(c, "sessions", &status);
	struct table *t;

	if (!node)
		return status;
	t = table_new(
		"SESSION>|TENANT|VM|STATE|GPU>|WORKER>|AGE>|MEMORY>|GPU TIME>|CALLS>|ERRORS>");
	for (guint i = 0; i < json_count(node); i++) {
		JsonObject *o = json_at(node, i);
		char *age = text_age(json_number(o, "age_seconds"));

		table_add(t, "%.0f", json_number(o, "session"));
		table_add(t, "%s", json_text(o, "tenant"));
		table_add(t, "%s", json_text(o, "vm"));
		table_add(t, "%s", json_text(o, "state"));
		table_add(t, "%.0f", json_number(o, "device"));
		table_add(t, "%.0f", json_number(o, "pid"));
		table_add(t, "%s", age);
		add_bytes(t, (uint64_t)json_number(o, "usage.memory_bytes"));
		table_add(t, "%.1f s", json_number(o, "usage.gpu_seconds"));
		table_add(t, "%.0f", json_number(o, "requests"));
		table_add(t, "%.0f", json_number(o, "errors"));
		g_free(age);
	}
	table_print(t, ctl_is_terminal());
	json_node_unref(node);
	return CTL_DONE;
}
