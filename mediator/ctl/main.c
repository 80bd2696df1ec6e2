/* SPDX-License-Identifier: GPL-2.0-or-later */
/* gpu_mediatorctl: looks at gpu_mediator, and tells it what to do. */
#include <locale.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "ctl.h"

const struct ctl_verb ctl_verbs[] = {
	{"status", "", 0, 0, "", "How the daemon is", ctl_status},
	{"tenants", "[TENANT]", 0, 1, "", "Tenants: limits, and what they use", ctl_tenants},
	{"sessions", "[TENANT]", 0, 1, "", "Sessions, each with its worker", ctl_sessions},
	{"top", "", 0, 0, "interval once", "Who uses the GPU now, again and again", ctl_top},
	{"gpus", "", 0, 0, "sysfs", "All GPUs of this host", ctl_gpus},
	{"set", "TENANT KEY=VALUE...", 2, 64, "", "Other limits, until the next reload", ctl_set},
	{"evict", "SESSION|TENANT", 1, 1, "", "End a session, or all of a tenant", ctl_evict},
	{"quarantine", "TENANT [for TIME|lift]", 1, 3, "",
	 "No new sessions of a tenant, for a time or until it is lifted", ctl_quarantine},
	{"drain", "", 0, 0, "off wait", "No new sessions; wait until all have ended", ctl_drain},
	{"reload", "", 0, 0, "", "Read configuration and tenants again", ctl_reload},
	{"audit", "", 0, 0, "tenant kind since follow lines", "What was decided", ctl_audit},
	{"check", "", 0, 0, "config", "Check configuration and tenants; needs no daemon",
	 ctl_check},
	{"args", "TENANT", 1, 1, "for mode gpu memory vm config sysfs",
	 "What to add to the virtual machine", ctl_args},
	{"completion", "", 0, 0, "", "Completion for bash, to be sourced", ctl_completion},
};

const guint ctl_n_verbs = G_N_ELEMENTS(ctl_verbs);

int ctl_fail(GError *err)
{
	int status = CTL_FAILED;

	if (g_error_matches(err, CLIENT_ERROR, CLIENT_NO_DAEMON))
		status = CTL_NO_DAEMON;
	else if (g_error_matches(err, CLIENT_ERROR, CLIENT_NOT_PERMITTED))
		status = CTL_NOT_PERMITTED;
	else if (g_error_matches(err, CLIENT_ERROR, CLIENT_NOT_FOUND))
		status = CTL_NOT_FOUND;
	fprintf(stderr, "gpu_mediatorctl: %s\n", err->message);
	g_error_free(err);
	return status;
}

JsonNode *ctl_ask(const struct ctl *c, int *status, const char *verb, ...)
{
	const char *m[4] = {NULL};
	GError *err = NULL;
	struct client *client = client_connect(c->socket, CTL_TIMEOUT_MS, &err);
	JsonNode *result = NULL;
	va_list args;

	va_start(args, verb);
	for (guint i = 0; i < G_N_ELEMENTS(m) && (m[i] = va_arg(args, const char *)); i++)
		;
	va_end(args);
	if (client)
		result = client_ask(client, &err, verb, m[0], m[1], m[2], m[3], NULL);
	client_close(client);
	*status = result ? CTL_DONE : ctl_fail(err);
	return result;
}

void ctl_print_json(JsonNode *node)
{
	char *text = json_to_string(node, TRUE);

	puts(text);
	g_free(text);
}

bool ctl_is_terminal(void)
{
	const char *term = g_getenv("TERM");

	return isatty(STDOUT_FILENO) && g_strcmp0(term, "dumb") != 0;
}

static char *summary(void)
{
	GString *s = g_string_new("Verbs:\n");

	for (guint i = 0; i < ctl_n_verbs; i++) {
		char *call = g_strdup_printf("%s %s", ctl_verbs[i].name, ctl_verbs[i].args);

		g_string_append_printf(s, "  %-33s %s\n", call, ctl_verbs[i].help);
		g_free(call);
	}
	return g_string_free(s, FALSE);
}

static bool parse(struct ctl *c, int *argc, char ***argv, GError **err)
{
	const GOptionEntry entries[] = {
		{"json", 'j', 0, G_OPTION_ARG_NONE, &c->json, "JSON instead of a table", NULL},
		{"socket", 's', 0, G_OPTION_ARG_FILENAME, &c->socket,
		 "The control socket: " CLIENT_SOCKET, "PATH"},
		{"config", 'c', 0, G_OPTION_ARG_FILENAME, &c->config,
		 "check, args: another configuration file", "FILE"},
		{"tenant", 't', 0, G_OPTION_ARG_STRING, &c->tenant, "audit: of this tenant",
		 "NAME"},
		{"kind", 'k', 0, G_OPTION_ARG_STRING, &c->kind, "audit: of this kind", "KIND"},
		{"since", 0, 0, G_OPTION_ARG_STRING, &c->since,
		 "audit: not older: 2026-11-27T08:15:02Z, or 90s, 5m, 2h, 1d ago", "TIME"},
		{"follow", 'f', 0, G_OPTION_ARG_NONE, &c->follow, "audit: go on as lines come",
		 NULL},
		{"lines", 'n', 0, G_OPTION_ARG_INT, &c->lines, "audit: the last so many", "N"},
		{"for", 0, 0, G_OPTION_ARG_STRING, &c->target, "args: qemu, libvirt, xl or xe",
		 "WHAT"},
		{"mode", 0, 0, G_OPTION_ARG_STRING, &c->mode,
		 "args: mediated (if nothing is said), passthrough or none", "MODE"},
		{"gpu", 0, 0, G_OPTION_ARG_STRING, &c->gpu, "args: which one is passed through",
		 "ADDRESS"},
		{"memory", 0, 0, G_OPTION_ARG_STRING, &c->memory, "args: that of the VM", "SIZE"},
		{"vm", 0, 0, G_OPTION_ARG_STRING, &c->vm, "args: its name, if not the tenant's",
		 "NAME"},
		{"sysfs", 0, 0, G_OPTION_ARG_FILENAME, &c->sysfs,
		 "gpus, args: look there instead of /sys/bus/pci", "DIR"},
		{"off", 0, 0, G_OPTION_ARG_NONE, &c->off, "drain: sessions may begin again", NULL},
		{"wait", 0, 0, G_OPTION_ARG_INT, &c->wait, "drain: at most so long; 0: not at all",
		 "SECONDS"},
		{"interval", 'i', 0, G_OPTION_ARG_INT, &c->interval, "top: seconds between looks",
		 "SECONDS"},
		{"once", '1', 0, G_OPTION_ARG_NONE, &c->once, "top: a single look", NULL},
		{"version", 'V', 0, G_OPTION_ARG_NONE, &c->version, "Print the version", NULL},
		{NULL},
	};
	GOptionContext *context = g_option_context_new("VERB [ARGUMENT...]");
	char *text = summary();
	bool ok;

	g_option_context_set_summary(context, text);
	g_option_context_add_main_entries(context, entries, NULL);
	ok = g_option_context_parse(context, argc, argv, err);
	g_option_context_free(context);
	g_free(text);
	return ok;
}

/* An option that the verb does not know would be passed over without a word. */
static const char *stray_option(const struct ctl *c, const struct ctl_verb *v)
{
	const struct {
		const char *name;
		bool given;
	} options[] = {
		{"config", c->config != NULL},
		{"tenant", c->tenant != NULL},
		{"kind", c->kind != NULL},
		{"since", c->since != NULL},
		{"follow", c->follow},
		{"lines", c->lines != 0},
		{"for", c->target != NULL},
		{"mode", c->mode != NULL},
		{"gpu", c->gpu != NULL},
		{"memory", c->memory != NULL},
		{"vm", c->vm != NULL},
		{"sysfs", c->sysfs != NULL},
		{"off", c->off},
		{"wait", c->wait != -1},
		{"interval", c->interval != 0},
		{"once", c->once},
	};
	char **known = g_strsplit(v->options, " ", -1);
	const char *stray = NULL;

	for (guint i = 0; i < G_N_ELEMENTS(options) && !stray; i++) {
		if (options[i].given &&
		    !g_strv_contains((const char *const *)known, options[i].name))
			stray = options[i].name;
	}
	g_strfreev(known);
	return stray;
}

static const struct ctl_verb *find_verb(const char *name)
{
	for (guint i = 0; i < ctl_n_verbs; i++) {
		if (strcmp(ctl_verbs[i].name, name) == 0)
			return &ctl_verbs[i];
	}
	return NULL;
}

static int usage(const char *format, ...) G_GNUC_PRINTF(1, 2);

static int usage(const char *format, ...)
{
	va_list args;

	fputs("gpu_mediatorctl: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputs("; --help says how\n", stderr);
	return CTL_USAGE;
}

static int run(struct ctl *c, const char *name)
{
	const struct ctl_verb *v = find_verb(name);
	const char *stray;

	if (!v)
		return usage("there is no verb \"%s\"", name);
	stray = stray_option(c, v);
	if (stray)
		return usage("%s has no option --%s", v->name, stray);
	if (c->n_args < v->min || c->n_args > v->max)
		return usage("it is: %s %s", v->name, v->args);
	return v->run(c);
}

static void free_all(struct ctl *c)
{
	char *texts[] = {c->socket, c->config, c->tenant, c->kind, c->since, c->target,
			 c->mode,   c->gpu,    c->memory, c->vm,   c->sysfs};

	for (guint i = 0; i < G_N_ELEMENTS(texts); i++)
		g_free(texts[i]);
}

int main(int argc, char **argv)
{
	struct ctl c = {.wait = -1};
	GError *err = NULL;
	int status;

	setlocale(LC_ALL, "");
	if (!parse(&c, &argc, &argv, &err)) {
		status = usage("%s", err->message);
		g_error_free(err);
	} else if (c.version) {
		printf("gpu_mediatorctl %s\n", VGPU_VERSION);
		status = CTL_DONE;
	} else if (argc < 2) {
		status = usage("a verb is missing");
	} else {
		if (!c.socket)
			c.socket = g_strdup(CLIENT_SOCKET);
		c.args = argv + 2;
		c.n_args = (guint)argc - 2;
		status = run(&c, argv[1]);
	}
	free_all(&c);
	return fflush(stdout) == 0 || status ? status : CTL_FAILED;
}
