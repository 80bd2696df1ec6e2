/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * gpu_mediator-exporter: metrics of gpu_mediator for Prometheus.
 *
 * A program of its own, so that the daemon parses no HTTP: it reads the control
 * socket as a user who may see and change nothing, and serves one page.
 */
#include <locale.h>
#include <microhttpd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client.h"
#include "confine.h"
#include "listen.h"
#include "metrics.h"

#define LISTEN "127.0.0.1:9890"
#define MODE 0660u

/* The daemon answers at once or is not there. */
#define ASK_MS 3000
#define CONNECTIONS_MAX 16u
#define CONNECTION_SECONDS 10u
#define CONNECTION_BYTES 16384u

struct options {
	char *control, *listen, *user;
	gboolean list, version;
};

static char *scrape(const char *control)
{
	struct client *c = client_connect(control, ASK_MS, NULL);
	JsonNode *status = c ? client_ask(c, NULL, "status", NULL) : NULL;
	JsonNode *tenants = status ? client_ask(c, NULL, "tenants", NULL) : NULL;
	char *text = metrics_text(status, tenants, (double)g_get_real_time() / 1e6);

	if (status)
		json_node_unref(status);
	if (tenants)
		json_node_unref(tenants);
	client_close(c);
	return text;
}

static enum MHD_Result answer(struct MHD_Connection *connection, unsigned int code,
			      const char *type, char *text)
{
	struct MHD_Response *response =
		MHD_create_response_from_buffer(strlen(text), text, MHD_RESPMEM_MUST_COPY);
	enum MHD_Result ret;

	free(text);
	if (!response)
		return MHD_NO;
	MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
	if (code == MHD_HTTP_METHOD_NOT_ALLOWED)
		MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
	ret = MHD_queue_response(connection, code, response);
	MHD_destroy_response(response);
	return ret;
}

static enum MHD_Result on_request(void *opaque, struct MHD_Connection *connection, const char *url,
				  const char *method, const char *version, const char *data,
				  size_t *size, void **state)
{
	static int seen; /* its address: the headers were looked at */
	const struct options *o = opaque;

	(void)version;
	(void)data;
	if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0)
		return *state ? MHD_NO
			      : answer(connection, MHD_HTTP_METHOD_NOT_ALLOWED, "text/plain",
				       strdup("only GET is answered\n"));
	if (!*state) {
		*state = &seen;
		return MHD_YES;
	}
	if (*size)
		return MHD_NO; /* what is asked here has no body */
	if (strcmp(url, "/metrics") != 0)
		return answer(connection, MHD_HTTP_NOT_FOUND, "text/plain",
			      strdup("there is only /metrics\n"));
	return answer(connection, MHD_HTTP_OK, "text/plain; version=0.0.4; charset=utf-8",
		      scrape(o->control));
}

/* Until SIGTERM or SIGINT, which no thread but this one gets. */
static bool serve(const struct options *o, int fd, GError **err)
{
	struct MHD_Daemon *http;
	sigset_t signals;
	int signum;

	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	http = MHD_start_daemon(MHD_USE_POLL_INTERNAL_THREAD, 0, NULL, NULL, on_request, (void *)o,
				MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT,
				CONNECTIONS_MAX, MHD_OPTION_CONNECTION_TIMEOUT, CONNECTION_SECONDS,
				MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_BYTES,
				MHD_OPTION_END);
	if (!http) {
		g_set_error(err, G_FILE_ERROR, G_FILE_ERROR_FAILED, "cannot serve HTTP");
		return false;
	}
	if (!confine(err)) {
		MHD_stop_daemon(http);
		return false;
	}
	fprintf(stderr, "gpu_mediator-exporter: ready\n");
	sigwait(&signals, &signum);
	MHD_stop_daemon(http);
	return true;
}

static bool parse(struct options *o, int argc, char **argv, GError **err)
{
	const GOptionEntry entries[] = {
		{"control", 'c', 0, G_OPTION_ARG_FILENAME, &o->control,
		 "The daemon's control socket: " CLIENT_SOCKET, "PATH"},
		{"listen", 'l', 0, G_OPTION_ARG_STRING, &o->listen,
		 "unix:PATH, 127.0.0.1:PORT or [::1]:PORT; else " LISTEN
		 ", or the socket that systemd gave",
		 "WHERE"},
		{"user", 'u', 0, G_OPTION_ARG_STRING, &o->user, "Become this user", "NAME"},
		{"list", 0, 0, G_OPTION_ARG_NONE, &o->list, "Print names and types of all metrics",
		 NULL},
		{"version", 'V', 0, G_OPTION_ARG_NONE, &o->version, "Print the version", NULL},
		{NULL},
	};
	GOptionContext *context = g_option_context_new("- metrics of gpu_mediator for Prometheus");
	bool ok;

	g_option_context_add_main_entries(context, entries, NULL);
	ok = g_option_context_parse(context, &argc, &argv, err);
	g_option_context_free(context);
	if (ok && argc > 1) {
		g_set_error(err, G_OPTION_ERROR, G_OPTION_ERROR_UNKNOWN_OPTION,
			    "\"%s\" is not an option; --help lists them", argv[1]);
		ok = false;
	}
	return ok;
}

static bool run(const struct options *o, GError **err)
{
	const char *where = o->listen ? o->listen : LISTEN;
	int fd = listen_open(where, MODE, err);
	bool ok = fd >= 0 && confine_user(o->user, err) && serve(o, fd, err);

	if (ok && g_str_has_prefix(where, "unix:"))
		unlink(where + strlen("unix:"));
	return ok;
}

int main(int argc, char **argv)
{
	struct options o = {0};
	GError *err = NULL;
	int status = EXIT_SUCCESS;

	setlocale(LC_ALL, "");
	signal(SIGPIPE, SIG_IGN);
	if (!parse(&o, argc, argv, &err)) {
		status = 2;
	} else if (o.version) {
		printf("gpu_mediator-exporter %s\n", VGPU_VERSION);
	} else if (o.list) {
		char *text = metrics_list();

		fputs(text, stdout);
		g_free(text);
	} else {
		if (!o.control)
			o.control = g_strdup(CLIENT_SOCKET);
		status = run(&o, &err) ? EXIT_SUCCESS : EXIT_FAILURE;
	}
	if (err)
		fprintf(stderr, "gpu_mediator-exporter: %s\n", err->message);
	g_clear_error(&err);
	g_free(o.control);
	g_free(o.listen);
	g_free(o.user);
	return status;
}
