/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Metrics: one table of them all.  A value comes from a member of "status" or
 * of each of "tenants", or is a count of decisions.
 */
#include "metrics.h"

#include <string.h>

#include "json.h"

enum source {
	UP,        /* whether the daemon can be asked */
	BUILD,     /* 1, with the version */
	START,     /* when the daemon began */
	HOST,      /* a member of status */
	TENANT,    /* a member of a tenant; left out where it is null */
	RATIO,     /* the same, a percentage */
	STRANGERS, /* decisions about nobody in particular, by cause; member: the kind */
	DECISIONS, /* a tenant's, by cause; member: the kind's end */
	FAULTS,    /* a tenant's, by cause */
	COUNT,     /* a tenant's, all causes together; member: the kind */
};

static const struct metric {
	const char *name;
	const char *type;
	const char *help;
	enum source source;
	const char *member;
} metrics[] = {
	{"vgpu_up", "gauge", "Whether gpu_mediator answers.", UP, NULL},
	{"vgpu_build_info", "gauge", "Version and backend of gpu_mediator.", BUILD, NULL},
	{"vgpu_start_time_seconds", "gauge", "When gpu_mediator began, since 1970.", START, NULL},
	{"vgpu_open_mode", "gauge", "Whether everybody is let in, without limits.", HOST, "open"},
	{"vgpu_draining", "gauge", "Whether no session may begin.", HOST, "draining"},
	{"vgpu_tenants", "gauge", "Tenants that there are.", HOST, "tenants"},
	{"vgpu_connections", "gauge", "Devices that are connected.", HOST, "connections"},
	{"vgpu_connections_limit", "gauge", "Devices that may be.", HOST, "connections_max"},
	{"vgpu_sessions", "gauge", "Sessions of all tenants.", HOST, "sessions"},
	{"vgpu_sessions_limit", "gauge", "Sessions that there may be.", HOST, "sessions_max"},
	{"vgpu_connections_refused_total", "counter",
	 "Connections of nobody's that were refused, by reason.", STRANGERS, "connection-refused"},
	{"vgpu_audit_lines_total", "counter", "Lines of the audit log.", HOST, "audit.lines"},
	{"vgpu_audit_lost_lines_total", "counter",
	 "Lines of the audit log that could not be written to its file.", HOST, "audit.lost"},
	{"vgpu_audit_left_out_lines_total", "counter",
	 "Lines of the audit log that were left out as a tenant caused too many.", HOST,
	 "audit.left_out"},
	{"vgpu_audit_failing", "gauge", "Whether the audit log's file cannot be written now.", HOST,
	 "audit.failing"},
	{"vgpu_tenant_sessions", "gauge", "Sessions of the tenant.", TENANT, "sessions"},
	{"vgpu_tenant_sessions_limit", "gauge", "Sessions that the tenant may have.", TENANT,
	 "limits.sessions"},
	{"vgpu_tenant_sessions_started_total", "counter", "Sessions that the tenant was given.",
	 COUNT, "session-allowed"},
	{"vgpu_tenant_memory_bytes", "gauge", "Device memory that the tenant has.", TENANT,
	 "usage.memory_bytes"},
	{"vgpu_tenant_memory_limit_bytes", "gauge", "Device memory that the tenant may have.",
	 TENANT, "limits.memory_bytes"},
	{"vgpu_tenant_weight", "gauge", "The tenant's weight among those that want the GPU.",
	 TENANT, "limits.weight"},
	{"vgpu_tenant_cap_ratio", "gauge", "Most of the GPU's time that the tenant may have.",
	 RATIO, "limits.cap_percent"},
	{"vgpu_tenant_gpu_seconds_total", "counter", "GPU time that the tenant used.", TENANT,
	 "usage.gpu_seconds"},
	{"vgpu_tenant_calls_total", "counter", "Requests of the tenant.", TENANT, "usage.calls"},
	{"vgpu_tenant_launches_total", "counter", "Kernels and graphs that the tenant launched.",
	 TENANT, "usage.launches"},
	{"vgpu_tenant_transferred_bytes_total", "counter",
	 "Payload between the tenant and the device.", TENANT, "usage.bytes"},
	{"vgpu_tenant_host_copied_bytes_total", "counter",
	 "Payload that a CPU of the host had to copy.", TENANT, "usage.host_copied_bytes"},
	{"vgpu_tenant_throttled_seconds_total", "counter",
	 "Time that the tenant's sessions waited because of a rate, a cap or another's turn.",
	 TENANT, "usage.throttled_seconds"},
	{"vgpu_tenant_operations_refused_total", "counter",
	 "Operations that the tenant's workers refused.", TENANT, "usage.refused"},
	{"vgpu_tenant_refused_total", "counter",
	 "Connections, sessions and operations that were refused, by reason.", DECISIONS,
	 "-refused"},
	{"vgpu_tenant_limit_reached_total", "counter",
	 "How often the tenant reached a limit, by reason.", DECISIONS, "limit-reached"},
	{"vgpu_tenant_evictions_total", "counter", "Sessions of the tenant that were evicted.",
	 COUNT, "eviction"},
	{"vgpu_tenant_faults_total", "counter", "Sessions of the tenant that failed, by reason.",
	 FAULTS, "faults"},
	{"vgpu_tenant_quarantined", "gauge", "Whether the tenant is shut out.", TENANT,
	 "quarantine.active"},
	{"vgpu_tenant_quarantines_total", "counter", "Quarantines of the tenant.", TENANT,
	 "quarantine.count"},
};

static void add_label(GString *s, const char *name, const char *value)
{
	g_string_append_printf(s, "%s=\"", name);
	for (const char *p = value; *p; p++) {
		if (*p == '\n')
			g_string_append(s, "\\n");
		else if (*p == '"' || *p == '\\')
			g_string_append_printf(s, "\\%c", *p);
		else
			g_string_append_c(s, *p);
	}
	g_string_append_c(s, '"');
}

/* In C's way of writing numbers, whatever the language is. */
static void add_value(GString *s, double value)
{
	char text[G_ASCII_DTOSTR_BUF_SIZE];

	g_string_append_printf(s, " %s\n", g_ascii_formatd(text, sizeof(text), "%.15g", value));
}

static void add_plain(GString *s, const struct metric *m, double value)
{
	g_string_append(s, m->name);
	add_value(s, value);
}

/* `tenant` or `reason` NULL: without that label. */
static void add_labelled(GString *s, const struct metric *m, const char *tenant, const char *reason,
			 double value)
{
	g_string_append_printf(s, "%s{", m->name);
	if (tenant)
		add_label(s, "tenant", tenant);
	if (reason) {
		g_string_append(s, tenant ? "," : "");
		add_label(s, "reason", reason);
	}
	g_string_append_c(s, '}');
	add_value(s, value);
}

/* Booleans count as numbers here. */
static double number_of(JsonObject *o, const char *path)
{
	return json_flag(o, path) ? 1 : json_number(o, path);
}

/* Decisions whose kind ends so; with `reason` each cause by itself, else all together. */
static void add_decisions(GString *s, const struct metric *m, JsonObject *o, const char *tenant,
			  bool reason)
{
	JsonNode *all = json_object_get_member(o, "decisions");
	GHashTable *sums = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, g_free);
	GHashTableIter iter;
	gpointer cause, sum;
	double total = 0;

	for (guint i = 0; all && i < json_count(all); i++) {
		JsonObject *d = json_at(all, i);
		const char *name = json_text(d, "cause");
		double *known = g_hash_table_lookup(sums, name);

		if (!g_str_has_suffix(json_text(d, "kind"), m->member))
			continue;
		if (!known) {
			known = g_new0(double, 1);
			g_hash_table_insert(sums, (gpointer)name, known);
		}
		*known += json_number(d, "count");
		total += json_number(d, "count");
	}
	g_hash_table_iter_init(&iter, sums);
	while (reason && g_hash_table_iter_next(&iter, &cause, &sum))
		add_labelled(s, m, tenant, cause, *(double *)sum);
	if (!reason)
		add_labelled(s, m, tenant, NULL, total);
	g_hash_table_destroy(sums);
}

static void add_faults(GString *s, const struct metric *m, JsonObject *o, const char *tenant)
{
	JsonNode *all = json_object_get_member(o, m->member);
	JsonObjectIter iter;
	const char *cause;
	JsonNode *count;

	if (!all)
		return;
	json_object_iter_init(&iter, json_node_get_object(all));
	while (json_object_iter_next(&iter, &cause, &count))
		add_labelled(s, m, tenant, cause, json_node_get_double(count));
}

static bool is_null(JsonObject *o, const char *path)
{
	/* Only limits can be none, and these are numbers from 1 on. */
	return g_str_has_prefix(path, "limits.") && json_limit(o, path) == UINT64_MAX;
}

static void add_of_tenant(GString *s, const struct metric *m, JsonObject *o)
{
	const char *name = json_text(o, "name");

	switch (m->source) {
	case TENANT:
		if (!is_null(o, m->member))
			add_labelled(s, m, name, NULL, number_of(o, m->member));
		break;
	case RATIO:
		add_labelled(s, m, name, NULL,
			     is_null(o, m->member) ? 1 : json_number(o, m->member) / 100);
		break;
	case FAULTS:
		add_faults(s, m, o, name);
		break;
	case DECISIONS:
	case COUNT:
		add_decisions(s, m, o, name, m->source == DECISIONS);
		break;
	default:
		break;
	}
}

static void add_build(GString *s, const struct metric *m, JsonObject *status)
{
	g_string_append_printf(s, "%s{", m->name);
	add_label(s, "version", json_text(status, "version"));
	g_string_append_c(s, ',');
	add_label(s, "backend", json_text(status, "backend"));
	g_string_append_c(s, '}');
	add_value(s, 1);
}

static void add_metric(GString *s, const struct metric *m, JsonObject *status, JsonNode *tenants,
		       double now)
{
	g_string_append_printf(s, "# HELP %s %s\n# TYPE %s %s\n", m->name, m->help, m->name,
			       m->type);
	switch (m->source) {
	case UP:
		add_plain(s, m, 1);
		break;
	case BUILD:
		add_build(s, m, status);
		break;
	case START:
		add_plain(s, m, now - json_number(status, "uptime_seconds"));
		break;
	case HOST:
		add_plain(s, m, number_of(status, m->member));
		break;
	case STRANGERS:
		add_decisions(s, m, status, NULL, true);
		break;
	default:
		for (guint i = 0; i < json_count(tenants); i++)
			add_of_tenant(s, m, json_at(tenants, i));
	}
}

char *metrics_text(JsonNode *status, JsonNode *tenants, double now)
{
	GString *s = g_string_new(NULL);

	if (!status || !tenants) {
		g_string_append_printf(s, "# HELP %s %s\n# TYPE %s %s\n", metrics[0].name,
				       metrics[0].help, metrics[0].name, metrics[0].type);
		add_plain(s, &metrics[0], 0);
		return g_string_free(s, FALSE);
	}
	for (guint i = 0; i < G_N_ELEMENTS(metrics); i++)
		add_metric(s, &metrics[i], json_object_of(status), tenants, now);
	return g_string_free(s, FALSE);
}

char *metrics_list(void)
{
	GString *s = g_string_new(NULL);

	for (guint i = 0; i < G_N_ELEMENTS(metrics); i++)
		g_string_append_printf(s, "%s %s\n", metrics[i].name, metrics[i].type);
	return g_string_free(s, FALSE);
}
