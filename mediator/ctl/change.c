/* SPDX-License-Identifier: GPL-2.0-or-later */
/* set, evict, quarantine, drain, reload. */
#include <stdio.h>
#include <string.h>

#include "ctl.h"
#include "json.h"

/* How often it is looked whether sessions are left. */
#define DRAIN_LOOK_MS 500

static int finish(JsonNode *node, int status, const struct ctl *c)
{
	if (node && c->json)
		ctl_print_json(node);
	if (node)
		json_node_unref(node);
	return status;
}

static int set_one(const struct ctl *c, const char *assignment)
{
	char **parts = g_strsplit(assignment, "=", 2);
	int status = CTL_USAGE;

	if (g_strv_length(parts) != 2) {
		fprintf(stderr, "gpu_mediatorctl: \"%s\" is not KEY=VALUE\n", assignment);
	} else {
		struct client *client;
		GError *err = NULL;
		JsonNode *node = NULL;

		client = client_connect(c->socket, CTL_TIMEOUT_MS, &err);
		if (client)
			node = client_ask(client, &err, "set", "tenant", c->args[0], "key",
					  g_strstrip(parts[0]), "value", g_strstrip(parts[1]),
					  NULL);
		client_close(client);
		status = finish(node, node ? CTL_DONE : ctl_fail(err), c);
	}
	g_strfreev(parts);
	return status;
}

int ctl_set(struct ctl *c)
{
	int status = CTL_DONE;

	for (guint i = 1; i < c->n_args && !status; i++)
		status = set_one(c, c->args[i]);
	return status;
}

int ctl_evict(struct ctl *c)
{
	bool session = c->args[0][0] && strspn(c->args[0], "0123456789") == strlen(c->args[0]);
	char *json = g_strdup_printf(":%s", c->args[0]);
	int status;
	JsonNode *node = ctl_ask(c, &status, "evict", session ? "session" : "tenant",
				 session ? json : c->args[0], NULL);

	if (node && !c->json)
		printf("%.0f sessions end\n", json_number(json_object_of(node), "sessions"));
	g_free(json);
	return finish(node, status, c);
}

int ctl_quarantine(struct ctl *c)
{
	const bool lift = c->n_args == 2 && strcmp(c->args[1], "lift") == 0;
	const bool timed = c->n_args == 3 && strcmp(c->args[1], "for") == 0;
	const char *member = lift ? "off" : timed ? "for" : NULL;
	JsonNode *node;
	int status;

	if (c->n_args > 1 && !member) {
		fprintf(stderr,
			"gpu_mediatorctl: after the tenant comes \"for\" and a time, \"lift\", or "
			"nothing\n");
		return CTL_USAGE;
	}
	node = ctl_ask(c, &status, "quarantine", "tenant", c->args[0], member,
		       timed ? c->args[2] : ":true", NULL);
	if (node && !c->json && lift)
		puts("lifted; its faults are forgiven");
	else if (node && !c->json)
		printf("no session may begin; %.0f go on, and \"evict\" ends them\n",
		       json_number(json_object_of(node), "sessions"));
	return finish(node, status, c);
}

/* How many there are; -1: the daemon does not say. */
static int count_sessions(struct ctl *c, int *status)
{
	JsonNode *node = ctl_ask(c, status, "status", NULL);
	int n = node ? (int)json_number(json_object_of(node), "sessions") : -1;

	if (node)
		json_node_unref(node);
	return n;
}

/* Sessions end when their guests want it: without a limit this can take as long as they do. */
static int wait_for_end(struct ctl *c)
{
	gint64 end = g_get_monotonic_time() + (gint64)c->wait * G_USEC_PER_SEC;
	int status = CTL_DONE, n, said = -1;

	while ((n = count_sessions(c, &status)) > 0) {
		if (!c->json && n != said)
			printf("%d sessions are left\n", n);
		fflush(stdout);
		said = n;
		if (c->wait >= 0 && g_get_monotonic_time() >= end) {
			fprintf(stderr,
				"gpu_mediatorctl: %d sessions have not ended; \"evict\" ends "
				"them\n",
				n);
			return CTL_FAILED;
		}
		g_usleep(DRAIN_LOOK_MS * 1000);
	}
	if (n == 0 && !c->json)
		puts("no session is left, and none may begin; \"drain --off\" ends this");
	return status;
}

int ctl_drain(struct ctl *c)
{
	int status;
	JsonNode *node = ctl_ask(c, &status, "drain", c->off ? "off" : NULL, ":true", NULL);

	status = finish(node, status, c);
	if (status || c->off || c->wait == 0)
		return status;
	return wait_for_end(c);
}

int ctl_reload(struct ctl *c)
{
	int status;
	JsonNode *node = ctl_ask(c, &status, "reload", NULL);

	return finish(node, status, c);
}
