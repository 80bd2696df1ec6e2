/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The daemon's command line. */
#include "options.h"

#include <string.h>

struct values {
	char *socket_path, *backend, *pid_file, *log_file, *runtime_dir, *tenants;
	gboolean open;
};

/* Relative paths mean the directory that the user is in, also once we are a daemon. */
static void override(GKeyFile *file, const char *group, const char *key, char *value, bool path)
{
	char *text = value && path ? g_canonicalize_filename(value, NULL) : g_strdup(value);

	if (text)
		g_key_file_set_string(file, group, key, text);
	g_free(text);
	g_free(value);
}

static void collect(struct options *o, struct values *v)
{
	char *config = o->config;

	o->overrides = g_key_file_new();
	override(o->overrides, "daemon", "socket-path", v->socket_path, true);
	override(o->overrides, "daemon", "runtime-dir", v->runtime_dir, true);
	override(o->overrides, "daemon", "pid-file", v->pid_file, true);
	override(o->overrides, "daemon", "log-file", v->log_file, true);
	override(o->overrides, "backend", "backend", v->backend, false);
	override(o->overrides, "tenants", "directory", v->tenants, true);
	if (v->open)
		g_key_file_set_string(o->overrides, "tenants", "open", "true");
	if (config) {
		o->config = g_canonicalize_filename(config, NULL);
		g_free(config);
	}
}

static bool check(const struct options *o, const struct values *v, int argc, char **argv,
		  GError **err)
{
	if (argc > 1) {
		g_set_error(err, G_OPTION_ERROR, G_OPTION_ERROR_UNKNOWN_OPTION,
			    "\"%s\" is not an option; --help lists them", argv[1]);
		return false;
	}
	if (o->fd >= 0 && v->socket_path) {
		g_set_error(err, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE,
			    "--fd and --socket-path exclude each other");
		return false;
	}
	if (o->fd >= 0 && o->fd < 3) {
		g_set_error(err, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE,
			    "--fd must be 3 or more");
		return false;
	}
	return true;
}

bool options_parse(struct options *o, int argc, char **argv, GError **err)
{
	struct values v = {0};
	const GOptionEntry entries[] = {
		{"config", 'c', 0, G_OPTION_ARG_FILENAME, &o->config, "Configuration file", "FILE"},
		{"socket-path", 's', 0, G_OPTION_ARG_FILENAME, &v.socket_path,
		 "Where devices connect", "PATH"},
		{"fd", 0, 0, G_OPTION_ARG_INT, &o->fd,
		 "Use this descriptor: a listening socket, or one connected device", "N"},
		{"foreground", 'f', 0, G_OPTION_ARG_NONE, &o->foreground,
		 "Do not become a daemon; log to standard error unless told otherwise", NULL},
		{"backend", 'b', 0, G_OPTION_ARG_STRING, &v.backend, "auto, cpu or cuda", "NAME"},
		{"print-capabilities", 0, 0, G_OPTION_ARG_NONE, &o->print_capabilities,
		 "Print what this program can do, as JSON", NULL},
		{"pid-file", 'p', 0, G_OPTION_ARG_FILENAME, &v.pid_file,
		 "Where the process id is written", "FILE"},
		{"log-file", 'l', 0, G_OPTION_ARG_FILENAME, &v.log_file, "Where the log goes",
		 "FILE"},
		{"runtime-dir", 'r', 0, G_OPTION_ARG_FILENAME, &v.runtime_dir,
		 "Where state is kept that outlives the daemon", "DIR"},
		{"tenants", 't', 0, G_OPTION_ARG_FILENAME, &v.tenants,
		 "Where the files of tenants are", "DIR"},
		{"open", 'o', 0, G_OPTION_ARG_NONE, &v.open,
		 "Let in everybody who reaches the socket, without limits; to try things out",
		 NULL},
		{"check-config", 0, 0, G_OPTION_ARG_NONE, &o->check_config,
		 "Check the configuration and all tenants, and end", NULL},
		{"version", 'V', 0, G_OPTION_ARG_NONE, &o->version, "Print the version", NULL},
		{NULL},
	};
	GOptionContext *context = g_option_context_new("- shares a GPU among virtual machines");
	bool ok;

	memset(o, 0, sizeof(*o));
	o->fd = -1;
	g_option_context_add_main_entries(context, entries, NULL);
	ok = g_option_context_parse(context, &argc, &argv, err) && check(o, &v, argc, argv, err);
	g_option_context_free(context);
	collect(o, &v);
	return ok;
}

void options_free(struct options *o)
{
	g_free(o->config);
	if (o->overrides)
		g_key_file_free(o->overrides);
}
