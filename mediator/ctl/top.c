/* SPDX-License-Identifier: GPL-2.0-or-later */
/* top: who uses the GPU now. */
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "ctl.h"
#include "json.h"
#include "table.h"

#define HOME_AND_CLEAR "\033[H\033[J"

struct look {
	JsonNode *status, *tenants;
	gint64 time;
};

static volatile sig_atomic_t ended;

static void on_signal(int signum)
{
	(void)signum;
	ended = 1;
}

static void look_clear(struct look *l)
{
	if (l->status)
		json_node_unref(l->status);
	if (l->tenants)
		json_node_unref(l->tenants);
	memset(l, 0, sizeof(*l));
}

static int look(struct client *client, struct look *l)
{
	GError *err = NULL;

	l->status = client_ask(client, &err, "status", NULL);
	l->tenants = l->status ? client_ask(client, &err, "tenants", NULL) : NULL;
	l->time = g_get_monotonic_time();
	return l->tenants ? CTL_DONE : ctl_fail(err);
}

static JsonObject *same_tenant(const struct look *l, const char *name)
{
	for (guint i = 0; l->tenants && i < json_count(l->tenants); i++) {
		JsonObject *o = json_at(l->tenants, i);

		if (strcmp(json_text(o, "name"), name) == 0)
			return o;
	}
	return NULL;
}

/* How fast a number grew; one that was not there before, or began anew, did not. */
static double rate(JsonObject *before, JsonObject *now, const char *path, double seconds)
{
	double grew = before ? json_number(now, path) - json_number(before, path) : 0;

	return seconds > 0 && grew > 0 ? grew / seconds : 0;
}

static void add_tenant(struct table *t, JsonObject *before, JsonObject *now, double seconds)
{
	char *memory = text_bytes((uint64_t)json_number(now, "usage.memory_bytes"));
	char *bytes = text_bytes((uint64_t)rate(before, now, "usage.bytes", seconds));

	table_add(t, "%s", json_text(now, "name"));
	table_add(t, "%.0f", json_number(now, "sessions"));
	table_add(t, "%.1f", 100 * rate(before, now, "usage.gpu_seconds", seconds));
	table_add(t, "%.0f", json_number(now, "limits.weight"));
	table_add(t, "%s", memory);
	table_add(t, "%.0f", rate(before, now, "usage.calls", seconds));
	table_add(t, "%.0f", rate(before, now, "usage.launches", seconds));
	table_add(t, "%s/s", bytes);
	table_add(t, "%.1f", 100 * rate(before, now, "usage.throttled_seconds", seconds));
	table_add(t, "%.1f", rate(before, now, "usage.refused", seconds));
	g_free(memory);
	g_free(bytes);
}

static void print_table(const struct look *before, const struct look *now)
{
	JsonObject *s = json_object_of(now->status);
	double seconds = before->time ? (double)(now->time - before->time) / 1e6 : 0;
	char *age = text_age(json_number(s, "uptime_seconds"));
	struct table *t = table_new("TENANT|SESSIONS>|GPU %>|WEIGHT>|MEMORY>|CALLS/S>|LAUNCHES/S>|"
				    "DATA>|WAITED %>|REFUSED/S>");

	printf("gpu_mediator %s, backend %s, up for %s%s%s%s\n", json_text(s, "version"),
	       json_text(s, "backend"), age, json_flag(s, "open") ? ", OPEN" : "",
	       json_flag(s, "draining") ? ", DRAINING" : "",
	       json_flag(s, "audit.failing") ? ", AUDIT LOG CANNOT BE WRITTEN" : "");
	for (guint i = 0; i < json_count(now->tenants); i++) {
		JsonObject *o = json_at(now->tenants, i);

		add_tenant(t, same_tenant(before, json_text(o, "name")), o, seconds);
	}
	table_print(t, ctl_is_terminal());
	fflush(stdout);
	g_free(age);
}

/* Keys come as they are pressed; false if standard input is no terminal. */
static bool take_keys(struct termios *before)
{
	struct termios now;

	if (!isatty(STDIN_FILENO) || tcgetattr(STDIN_FILENO, before) < 0)
		return false;
	now = *before;
	now.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
	return tcsetattr(STDIN_FILENO, TCSANOW, &now) == 0;
}

/* Waits; true: it is to end. */
static bool pause_or_key(int seconds, bool keys)
{
	struct pollfd p = {.fd = keys ? STDIN_FILENO : -1, .events = POLLIN};
	char key = 0;

	if (poll(&p, 1, seconds * 1000) > 0 && read(STDIN_FILENO, &key, 1) == 1 && key != 'q')
		return ended;
	return key == 'q' || ended;
}

static int watch(struct client *client, int interval, bool once)
{
	struct termios terminal;
	struct look before = {0}, now = {0};
	bool keys = !once && take_keys(&terminal);
	int status;

	/* A single look at what grows needs two. */
	status = once ? look(client, &before) : CTL_DONE;
	if (once && !status)
		g_usleep((gulong)interval * G_USEC_PER_SEC);
	while (!status && (status = look(client, &now)) == CTL_DONE) {
		fputs(once ? "" : HOME_AND_CLEAR, stdout);
		print_table(&before, &now);
		look_clear(&before);
		before = now;
		now = (struct look){0};
		if (once || pause_or_key(interval, keys))
			break;
	}
	if (keys)
		tcsetattr(STDIN_FILENO, TCSANOW, &terminal);
	look_clear(&before);
	look_clear(&now);
	return status;
}

/* For a program: what tenants have used so far; it takes the differences itself. */
static int print_json(struct client *client)
{
	struct look l = {0};
	int status = look(client, &l);

	if (!status) {
		JsonObject *o = json_object_new();
		JsonNode *node = json_node_alloc();

		json_object_set_member(o, "status", json_node_copy(l.status));
		json_object_set_member(o, "tenants", json_node_copy(l.tenants));
		json_node_init_object(node, o);
		json_object_unref(o);
		ctl_print_json(node);
		json_node_unref(node);
	}
	look_clear(&l);
	return status;
}

int ctl_top(struct ctl *c)
{
	const struct sigaction action = {.sa_handler = on_signal};
	GError *err = NULL;
	struct client *client = client_connect(c->socket, CTL_TIMEOUT_MS, &err);
	int status;

	if (!client)
		return ctl_fail(err);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	status = c->json ? print_json(client)
			 : watch(client, CLAMP(c->interval ? c->interval : 1, 1, 3600),
				 c->once || !ctl_is_terminal());
	client_close(client);
	return status;
}
