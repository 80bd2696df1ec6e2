/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Watching over the process that serves. */
#include "supervise.h"

#include <errno.h>
#include <glib-unix.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "report.h"
#include "unsaved.h"
#include "xen.h"

/* Between two reports: one that was taken over must not keep XenStore busy. */
#define PAUSE_MS 20

/* Before xapi's key is written again: others who insist must not keep XenStore busy. */
#define REASON_PAUSE_MS 1000

#define CANNOT_BE_SAVED                                                                       \
	"vgpu-stub: sessions on the host's GPU cannot be saved or migrated yet; shut the VM " \
	"down instead"

#define NO_SERVER UINT32_MAX

struct watcher {
	const struct supervision *s;
	struct store *store;
	GMainLoop *loop;
	guint report_source;
	guint reason_source; /* a timer, until xapi's key is looked after */
	uint32_t server;
	bool serves;     /* it has said so */
	bool domain_end; /* the reason for the end */
	bool asked;      /* likewise */
	int status;      /* of the child, as waitpid() has it */
	char words[REPORT_TEXT];
};

static void watch_reports(struct watcher *w);

static void say(const struct watcher *w, const char *what, const char *more)
{
	fprintf(stderr, "vgpu-stub-xen: domain %u: %s%s%s\n", w->s->domid, what, *more ? ": " : "",
		more);
}

/* Words of a process that may be the guest's by now. */
static void clean(char *text, size_t size)
{
	text[size - 1] = '\0';
	for (char *p = text; *p; p++) {
		if (!g_ascii_isprint(*p))
			*p = '?';
	}
}

static void serving(struct watcher *w, uint32_t server)
{
	if (w->serves)
		return;
	w->serves = true;
	w->server = server;
	store_set_state(w->store, "waiting");
	say(w, "the device is there", "");
	if (w->s->ready >= 0 && write(w->s->ready, "R", 1) != 1)
		say(w, "nobody hears that", "");
}

static void handle(struct watcher *w, struct report *r)
{
	clean(r->text, sizeof(r->text));
	switch (r->kind) {
	case REPORT_SERVING:
		serving(w, r->value);
		break;
	case REPORT_CONNECTED:
		store_set_state(w->store, "connected");
		store_set(w->store, "error", NULL);
		break;
	case REPORT_LIMITED: /* why stays in "error" */
		store_set_state(w->store, "limited");
		break;
	case REPORT_WAITING:
		store_set_state(w->store, "waiting");
		break;
	case REPORT_REFUSED:
		store_set_state(w->store, "refused");
		break;
	case REPORT_WORDS:
		store_set(w->store, "error", r->text);
		break;
	case REPORT_FAILED:
		w->server = r->value;
		memcpy(w->words, r->text, sizeof(w->words));
		break;
	}
}

static gboolean on_pause_over(gpointer data)
{
	watch_reports(data);
	return G_SOURCE_REMOVE;
}

static bool take_report(struct watcher *w)
{
	struct report r;
	ssize_t n = recv(w->s->report, &r, sizeof(r), MSG_DONTWAIT);

	if (n == sizeof(r))
		handle(w, &r);
	return n > 0 || (n < 0 && errno == EAGAIN);
}

static gboolean on_report(gint fd, GIOCondition condition, gpointer data)
{
	struct watcher *w = data;

	(void)fd;
	(void)condition;
	w->report_source = 0;
	if (take_report(w)) /* else its end is about to be known */
		g_timeout_add(PAUSE_MS, on_pause_over, w);
	return G_SOURCE_REMOVE;
}

static void watch_reports(struct watcher *w)
{
	w->report_source = g_unix_fd_add(w->s->report, G_IO_IN | G_IO_HUP, on_report, w);
}

/* -------------------------------------------------------- no saving */

static gboolean on_reason(gpointer data)
{
	struct watcher *w = data;

	w->reason_source = 0;
	if (!w->domain_end)
		store_forbid_saving(w->store, CANNOT_BE_SAVED);
	return G_SOURCE_REMOVE;
}

static void forbid_saving(struct watcher *w)
{
	GError *err = NULL;

	store_forbid_saving(w->store, CANNOT_BE_SAVED);
	if (unsaved_begin(w->s->domid, &err)) {
		store_set(w->store, "save", "refused");
		return;
	}
	say(w, "toolstacks are not kept from saving the domain without the device", err->message);
	store_set(w->store, "save", err->message);
	g_error_free(err);
}

/* The device is gone, and with it the reason. */
static void allow_saving(struct watcher *w)
{
	unsaved_end(w->s->domid);
	if (!w->store || w->domain_end)
		return;
	store_forbid_saving(w->store, NULL);
	store_set(w->store, "save", NULL);
}

/* ------------------------------------------------------------- ends */

static gboolean on_store(gint fd, GIOCondition condition, gpointer data)
{
	struct watcher *w = data;

	(void)fd;
	(void)condition;
	if (store_drain(w->store) && !w->reason_source)
		w->reason_source = g_timeout_add(REASON_PAUSE_MS, on_reason, w);
	if (store_domain_lives(w->store))
		return G_SOURCE_CONTINUE;
	w->domain_end = true;
	kill(w->s->child, SIGKILL);
	return G_SOURCE_REMOVE;
}

static gboolean on_terminate(gpointer data)
{
	struct watcher *w = data;

	w->asked = true;
	kill(w->s->child, SIGKILL);
	return G_SOURCE_CONTINUE;
}

static void on_child(GPid pid, gint status, gpointer data)
{
	struct watcher *w = data;

	(void)pid;
	w->status = status;
	g_main_loop_quit(w->loop);
}

/*
 * vCPUs may wait for the one that is gone.  Restricting the handles would take
 * XenStore's along, so that one is opened again.
 */
static void abandon(struct watcher *w)
{
	GError *err = NULL;
	struct xen x;

	store_close(w->store);
	if (w->server != NO_SERVER) {
		if (xen_open(&x, w->s->domid, &err) &&
		    xen_take_over(&x, (ioservid_t)w->server, &err))
			xen_end(&x);
		else
			say(w, "accesses of the guest may hang", err->message);
		xen_close(&x);
	}
	g_clear_error(&err);
	w->store = store_open(w->s->domid, &err);
	g_clear_error(&err);
}

static void note_failure(struct watcher *w)
{
	if (!*w->words) {
		if (WIFSIGNALED(w->status))
			snprintf(w->words, sizeof(w->words),
				 "the serving process was ended by signal %d (%s)",
				 WTERMSIG(w->status), strsignal(WTERMSIG(w->status)));
		else
			snprintf(w->words, sizeof(w->words), "the serving process ended with %d",
				 WEXITSTATUS(w->status));
	}
	say(w, "the device is lost", w->words);
	if (w->store) {
		store_set_state(w->store, "failed");
		store_set(w->store, "error", w->words);
	}
}

static int end(struct watcher *w)
{
	if (w->domain_end) {
		say(w, "the domain has ended", "");
		allow_saving(w);
		store_remove(w->store);
		return EXIT_SUCCESS;
	}
	while (take_report(w) && !*w->words && !w->asked) {
		/* its last words */
		struct report r;

		if (recv(w->s->report, &r, 1, MSG_PEEK | MSG_DONTWAIT) <= 0)
			break;
	}
	abandon(w);
	allow_saving(w);
	if (w->asked) {
		if (w->store)
			store_remove(w->store);
		return EXIT_SUCCESS;
	}
	note_failure(w);
	return EXIT_FAILURE;
}

static bool begin(struct watcher *w)
{
	char *pid = g_strdup_printf("%d", (int)getpid());
	bool ok = store_set_state(w->store, "starting") && store_set(w->store, "pid", pid);
	int fd;

	g_free(pid);
	if (!ok || !store_watch(w->store, &fd)) {
		say(w, "XenStore cannot be written", g_strerror(errno));
		return false;
	}
	g_unix_fd_add(fd, G_IO_IN, on_store, w);
	forbid_saving(w);
	g_unix_signal_add(SIGTERM, on_terminate, w);
	g_unix_signal_add(SIGINT, on_terminate, w);
	g_child_watch_add(w->s->child, on_child, w);
	watch_reports(w);
	return true;
}

int supervise(const struct supervision *s)
{
	struct watcher w = {.s = s, .store = s->store, .server = NO_SERVER};
	int ret;

	w.loop = g_main_loop_new(NULL, FALSE);
	if (!begin(&w)) {
		kill(s->child, SIGKILL);
		return EXIT_FAILURE;
	}
	g_main_loop_run(w.loop);
	ret = end(&w);
	if (w.store)
		store_close(w.store);
	g_main_loop_unref(w.loop);
	return ret;
}
