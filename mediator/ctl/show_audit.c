/* SPDX-License-Identifier: GPL-2.0-or-later */
/* audit: the last lines, and those that come. */
#include <stdio.h>
#include <string.h>

#include "ctl.h"
#include "json.h"

#define FOLLOW_LOOK_MS 500

/* "5m" is five minutes ago; anything else is for the daemon to judge. */
static char *since_text(const char *since)
{
	static const char units[] = "smhd";
	static const int seconds[] = {1, 60, 3600, 86400};
	size_t digits = since ? strspn(since, "0123456789") : 0;
	const char *unit = digits && since[digits] ? strchr(units, since[digits]) : NULL;
	GDateTime *now, *then;
	char *text;

	if (!unit || since[digits + 1] || digits > 9)
		return g_strdup(since);
	now = g_date_time_new_now_utc();
	then = g_date_time_add_seconds(now, -(double)g_ascii_strtoull(since, NULL, 10) *
						    seconds[unit - units]);
	text = g_date_time_format_iso8601(then);
	g_date_time_unref(now);
	g_date_time_unref(then);
	return text;
}

static void print_line(const struct ctl *c, JsonNode *line)
{
	JsonObject *o = json_object_of(line);
	char *text;

	if (c->json) {
		text = json_to_string(line, FALSE);
		puts(text);
		g_free(text);
		return;
	}
	printf("%s  %-18s  %-13s  ", json_text(o, "time"), json_text(o, "kind"),
	       json_text(o, "cause"));
	if (json_object_has_member(o, "tenant"))
		printf("%s  ", json_text(o, "tenant"));
	if (json_object_has_member(o, "session"))
		printf("session %.0f  ", json_number(o, "session"));
	puts(json_text(o, "reason"));
}

/* The members of a request that were asked for; NULL ends them. */
static JsonNode *ask(struct ctl *c, struct client *client, const char *since, uint64_t after,
		     GError **err)
{
	const char *m[11] = {NULL};
	guint n = 0;
	char *from = g_strdup_printf(":%" G_GUINT64_FORMAT, after);
	char *most = g_strdup_printf(":%d", CLAMP(c->lines, 1, 1000));
	JsonNode *node;

#define ADD(name, value)          \
	do {                      \
		m[n++] = (name);  \
		m[n++] = (value); \
	} while (0)
	if (after)
		ADD("after", from);
	else if (c->lines > 0)
		ADD("most", most);
	if (c->tenant)
		ADD("tenant", c->tenant);
	if (c->kind)
		ADD("kind", c->kind);
	if (since)
		ADD("since", since);
#undef ADD
	node = client_ask(client, err, "audit", m[0], m[1], m[2], m[3], m[4], m[5], m[6], m[7],
			  NULL);
	g_free(from);
	g_free(most);
	return node;
}

/* Prints what comes after *after, and moves it on.  An exit status. */
static int show(struct ctl *c, struct client *client, const char *since, uint64_t *after)
{
	GError *err = NULL;
	JsonNode *node = ask(c, client, since, *after, &err);
	JsonNode *lines;

	if (!node)
		return ctl_fail(err);
	lines = json_object_get_member(json_object_of(node), "lines");
	for (guint i = 0; lines && i < json_count(lines); i++)
		print_line(c, json_array_get_element(json_node_get_array(lines), i));
	fflush(stdout);
	*after = MAX((uint64_t)json_number(json_object_of(node), "next"), 1);
	json_node_unref(node);
	return CTL_DONE;
}

int ctl_audit(struct ctl *c)
{
	GError *err = NULL;
	struct client *client = client_connect(c->socket, CTL_TIMEOUT_MS, &err);
	char *since = since_text(c->since);
	uint64_t after = 0;
	int status;

	if (!client) {
		g_free(since);
		return ctl_fail(err);
	}
	status = show(c, client, since, &after);
	while (!status && c->follow && !ferror(stdout)) {
		g_usleep(FOLLOW_LOOK_MS * 1000);
		status = show(c, client, since, &after);
	}
	client_close(client);
	g_free(since);
	return status;
}
