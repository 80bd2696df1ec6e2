/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * gpu_mediator: shares a GPU among virtual machines.  Devices connect to it,
 * it starts a worker for each session and looks after them; data never passes
 * through it.
 */
#include <errno.h>
#include <glib-unix.h>
#include <locale.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "adopt.h"
#include "audit.h"
#include "capabilities.h"
#include "check.h"
#include "client.h"
#include "control_socket.h"
#include "daemon.h"
#include "daemonize.h"
#include "discard.h"
#include "drain.h"
#include "fdio.h"
#include "gate.h"
#include "launch.h"
#include "log.h"
#include "memory_watch.h"
#include "options.h"
#include "server.h"
#include "session.h"
#include "state.h"
#include "tenants.h"
#include "turns.h"
#include "worker_groups.h"
#include "worker_users.h"

/* Killed workers are given so long to be gone. */
#define QUIT_SECONDS 5

struct app {
	struct daemon d;
	struct options o;
	const char *config_path; /* NULL: defaults only */
};

static struct config *load_config(const struct app *app, GError **err)
{
	struct config *c = config_load(app->config_path, app->o.overrides, err);

	/* A daemon's standard error is /dev/null. */
	if (c && !c->log_file && !app->o.foreground)
		c->log_file = g_strdup(VGPU_LOG_FILE);
	return c;
}

/* Nobody may be left: neither workers nor, when one was given, the client. */
void daemon_check_idle(struct daemon *d)
{
	if (d->one_client && !d->clients->len && !d->quitting)
		daemon_quit(d);
	if (d->quitting && !g_hash_table_size(d->sessions))
		g_main_loop_quit(d->loop);
}

static gboolean on_quit_timeout(gpointer data)
{
	struct daemon *d = data;

	log_warning(NULL, "%u workers do not go; leaving them", g_hash_table_size(d->sessions));
	g_main_loop_quit(d->loop);
	return G_SOURCE_CONTINUE;
}

void daemon_quit(struct daemon *d)
{
	GHashTableIter iter;
	gpointer s;

	if (d->quitting)
		return;
	d->quitting = true;
	notify("STOPPING=1");
	log_info(NULL, "gpu_mediator ends");
	server_close(d);
	g_ptr_array_set_size(d->own_sockets, 0);
	while (d->clients->len)
		client_free(g_ptr_array_index(d->clients, 0));
	g_hash_table_iter_init(&iter, d->sessions);
	while (g_hash_table_iter_next(&iter, NULL, &s))
		session_kill(s, -ESHUTDOWN, "the daemon ends");
	g_timeout_add_seconds(QUIT_SECONDS, on_quit_timeout, d);
	daemon_check_idle(d);
}

static gboolean on_terminate(gpointer data)
{
	struct app *app = data;

	daemon_quit(&app->d);
	return G_SOURCE_CONTINUE;
}

/* An open door is nothing that anybody should have to find out. */
static void say_who_may(const struct daemon *d)
{
	guint n = policy_set_count(d->policies);

	if (d->config->tenants_open)
		log_warning(NULL,
			    "OPEN: everybody who reaches %s may use the GPU without limits "
			    "([tenants] open or --open); only for trying things out",
			    d->config->socket_path);
	else if (!n)
		log_warning(NULL,
			    "nobody may use the GPU: there is no tenant in %s; see "
			    "gpu_mediator.tenant(5)",
			    d->config->tenants_dir);
	log_info(NULL, "%u tenants in %s", n, d->config->tenants_dir);
}

static bool open_audit(struct daemon *d, const struct config *c, GError **err)
{
	char *file = config_audit_file(c);
	const struct audit_options o = {.file = file,
					.most = (uint64_t)c->audit_max_mib << 20,
					.keep = c->audit_keep,
					.lines = c->audit_lines};
	bool ok;

	if (d->audit) {
		ok = audit_reopen(d->audit, &o, err);
	} else {
		d->audit = audit_new(&o, err);
		ok = d->audit != NULL;
	}
	g_free(file);
	return ok;
}

static void audit_daemon(struct daemon *d, const char *what)
{
	JsonObject *details = json_object_new();

	json_object_set_string_member(details, "version", VGPU_VERSION);
	json_object_set_string_member(details, "backend", d->backend_name ? d->backend_name : "");
	json_object_set_boolean_member(details, "open", d->config->tenants_open);
	json_object_set_boolean_member(details, "draining", d->draining != NULL);
	audit_write(d->audit, AUDIT_DAEMON, AUDIT_NONE, NULL, details, "%s", what);
}

/* All that can fail comes before anything is in force. */
static bool reload(struct app *app, GError **err)
{
	struct daemon *d = &app->d;
	struct config *next = load_config(app, err);
	struct tenants_change *tenants = next ? tenants_prepare(d, next, err) : NULL;
	const char *key;

	if (!tenants || !open_audit(d, next, err) ||
	    !log_reopen(next->log_file, next->log_level, err)) {
		if (tenants)
			tenants_abandon(tenants);
		config_free(next);
		/* The files may have been moved away all the same. */
		log_reopen(d->config->log_file, d->config->log_level, NULL);
		open_audit(d, d->config, NULL);
		return false;
	}
	key = config_needs_restart(d->config, next);
	if (key)
		log_warning(NULL, "a change of %s takes effect at the next start", key);
	config_merge(next, d->config);
	config_free(d->config);
	d->config = next;
	tenants_commit(tenants);
	log_info(NULL, "configuration reloaded");
	say_who_may(d);
	return true;
}

bool daemon_reload(struct daemon *d, GError **err)
{
	struct app *app = (struct app *)((char *)d - offsetof(struct app, d));
	GError *why = NULL;
	bool ok;

	notify("RELOADING=1");
	ok = reload(app, &why);
	notify("READY=1");
	if (ok) {
		audit_write(d->audit, AUDIT_POLICY_CHANGED, AUDIT_ADMINISTRATOR, NULL, NULL,
			    "configuration and %u tenants reloaded", policy_set_count(d->policies));
		return true;
	}
	log_error(NULL, "not reloaded, nothing has changed: %s", why->message);
	audit_write(d->audit, AUDIT_POLICY_CHANGED, AUDIT_ADMINISTRATOR, NULL, NULL,
		    "not reloaded, nothing has changed: %s", why->message);
	g_propagate_error(err, why);
	return false;
}

static gboolean on_hangup(gpointer data)
{
	struct app *app = data;

	daemon_reload(&app->d, NULL);
	return G_SOURCE_CONTINUE;
}

/* A device has up to 32 descriptors of RAM, and there are many devices. */
static void raise_files(void)
{
	struct rlimit r;

	if (getrlimit(RLIMIT_NOFILE, &r) == 0 && r.rlim_cur < r.rlim_max) {
		r.rlim_cur = r.rlim_max;
		setrlimit(RLIMIT_NOFILE, &r);
	}
}

static bool set_up(struct app *app, GError **err)
{
	struct daemon *d = &app->d;
	struct tenants_change *tenants;

	d->worker_path = launch_worker_path(d->config->worker_path);
	if (!g_file_test(d->worker_path, G_FILE_TEST_IS_EXECUTABLE)) {
		g_set_error(err, G_FILE_ERROR, G_FILE_ERROR_NOENT,
			    "there is no worker program at %s; install it or set [worker] path",
			    d->worker_path);
		return false;
	}
	if (!state_open(d, err))
		return false;
	drain_open(d);
	if (!open_audit(d, d->config, err) || !gate_choose(d, err) || !turns_open(d, err))
		return false;
	audit_daemon(d, "it begins");
	worker_users_claim(d);
	worker_groups_open(d);
	tenants = tenants_prepare(d, d->config, err);
	if (!tenants)
		return false;
	tenants_commit(tenants);
	say_who_may(d);
	memory_watch_start(d);
	if (!adopt_begin(d, err))
		return false;
	if (app->o.fd >= 0 ? !server_open_fd(d, app->o.fd, err) : !server_open(d, err))
		return false;
	return control_open(d, err) && pidfile_write(d->config->pid_file, err);
}

static void tear_down(struct app *app)
{
	struct daemon *d = &app->d;
	GHashTableIter iter;
	gpointer s;

	turns_close(d); /* workers that live on do so without it */
	server_close(d);
	control_close(d);
	memory_watch_stop(d);
	if (d->runtime_lock >= 0)
		pidfile_remove(d->config->pid_file);
	adopt_close(d);
	g_hash_table_iter_init(&iter, d->sessions);
	while (g_hash_table_iter_next(&iter, NULL, &s)) {
		g_hash_table_iter_remove(&iter);
		session_free(s);
	}
	g_hash_table_destroy(d->sessions);
	g_ptr_array_free(d->clients, TRUE);
	tenants_close(d);
	worker_groups_close(d);
	fdio_clear(&d->users_claim);
	if (d->audit)
		audit_daemon(d, "it ends");
	audit_free(d->audit);
	g_main_loop_unref(d->loop);
	g_free(d->worker_path);
	drain_close(d);
	config_free(d->config);
}

static void init(struct daemon *d)
{
	d->started = g_get_monotonic_time();
	d->loop = g_main_loop_new(NULL, FALSE);
	d->sessions = g_hash_table_new(g_int64_hash, g_int64_equal);
	d->clients = g_ptr_array_new();
	d->socket_lock = d->runtime_lock = d->adoption = d->users_claim = -1;
	tenants_init(d);
}

static int run(struct app *app)
{
	struct daemon *d = &app->d;
	GError *err = NULL;
	bool ok;

	init(d);
	fdio_drop = discard;
	raise_files();
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN); /* a limit of files is as a full disk: it stops no work */
	g_unix_signal_add(SIGTERM, on_terminate, app);
	g_unix_signal_add(SIGINT, on_terminate, app);
	g_unix_signal_add(SIGHUP, on_hangup, app);
	ok = log_open(d->config->log_file, d->config->log_level, &err);
	if (ok)
		log_info(NULL, "gpu_mediator %s begins", VGPU_VERSION);
	ok = ok && set_up(app, &err);
	if (ok) {
		log_info(NULL, "listening at %s",
			 app->o.fd >= 0 ? "the given descriptor" : d->config->socket_path);
		notify("READY=1");
		daemonize_ready(true);
		if (!d->quitting)
			g_main_loop_run(d->loop);
	} else {
		fprintf(stderr, "gpu_mediator: %s\n", err->message);
		if (d->config->log_file)
			log_error(NULL, "%s", err->message);
		g_clear_error(&err);
		daemonize_ready(false);
	}
	tear_down(app);
	log_close();
	return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}

static const char *config_path(const struct options *o)
{
	if (!o->config && g_file_test(VGPU_CONFIG_FILE, G_FILE_TEST_EXISTS))
		return VGPU_CONFIG_FILE;
	return o->config;
}

static int start(struct app *app)
{
	GError *err = NULL;

	app->config_path = config_path(&app->o);
	app->d.config = load_config(app, &err);
	if (!app->d.config) {
		fprintf(stderr, "gpu_mediator: %s\n", err->message);
		g_clear_error(&err);
		return EXIT_FAILURE;
	}
	if (!app->o.foreground)
		daemonize_begin();
	return run(app);
}

int main(int argc, char **argv)
{
	struct app app = {0};
	GError *err = NULL;
	int ret = EXIT_FAILURE;

	setlocale(LC_ALL, "");
	if (!options_parse(&app.o, argc, argv, &err)) {
		fprintf(stderr, "gpu_mediator: %s\n", err->message);
		ret = 2;
	} else if (app.o.version) {
		printf("gpu_mediator %s\n", VGPU_VERSION);
		ret = EXIT_SUCCESS;
	} else if (app.o.print_capabilities) {
		capabilities_print();
		ret = EXIT_SUCCESS;
	} else if (app.o.check_config) {
		ret = check_config(config_path(&app.o), app.o.overrides);
	} else {
		ret = start(&app);
	}
	g_clear_error(&err);
	options_free(&app.o);
	return ret;
}
