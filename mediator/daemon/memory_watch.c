/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The watching program's life, what it says, and what follows from it. */
#include "memory_watch.h"

#include <errno.h>
#include <fcntl.h>
#include <glib-unix.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fdio.h"
#include "launch.h"
#include "memory_judge.h"
#include "session.h"
#include "tenant.h"
#include "vgpu_abi.h"

#define NAME "gpu_mediator-watch"
#define AGAIN_SECONDS 10
#define LINE_MAX_BYTES 128u
#define PROCESSES_MAX 65536u

struct memory_watch {
	struct daemon *d;
	char *path;
	pid_t pid;
	int pidfd; /* -1: it does not run */
	int out;
	guint source, again;
	GString *line;
	GHashTable *held; /* pid -> bytes, of the round that is being told */
	uint64_t gpu;     /* the largest GPU of the round */
	bool told;        /* the log knows that it works */
};

/* ------------------------------------------------------------------- rounds */

static uint64_t held_by(const struct memory_watch *w, pid_t pid)
{
	const uint64_t *bytes = g_hash_table_lookup(w->held, GINT_TO_POINTER((gint)pid));

	return bytes ? *bytes : 0;
}

static uint64_t limit_of(const struct memory_watch *w, const struct tenant *t)
{
	if (!t->policy->memory_percent)
		return t->policy->memory; /* POLICY_NO_LIMIT is the largest number */
	return w->gpu ? policy_memory_on(t->policy, w->gpu) : UINT64_MAX;
}

static void evict(struct session *s, const struct memory_session *m)
{
	struct log_about about = session_about(s);

	log_warning(&about,
		    "its worker holds %" PRIu64 " MiB of device memory and is charged for %" PRIu64
		    " MiB: tenant %s exceeds its limit; the session ends",
		    m->held >> 20, m->claimed >> 20, s->tenant->name);
	/* Else it is as it was when its tenant could have so much. */
	if (m->held > m->claimed && m->held - m->claimed > m->beside)
		faults_count(s, FAULT_MEMORY);
	session_evict(s, AUDIT_MEMORY, -EDQUOT,
		      "its worker held more device memory than its tenant may have");
}

static void check_tenant(const struct memory_watch *w, struct tenant *t)
{
	const uint64_t context = (uint64_t)w->d->config->context_mib << 20;
	struct memory_session seen[TENANT_SESSIONS_MAX];
	struct session *session[TENANT_SESSIONS_MAX];
	guint n = 0;
	int gone;

	for (guint i = 0; i < TENANT_SESSIONS_MAX; i++) {
		const struct session_usage *u = &t->usage->session[i];
		struct session *s = t->slot[i];
		uint64_t told;

		if (!s || s->state == SESSION_ENDING)
			continue;
		session[n] = s;
		told = __atomic_load_n(&u->contexts, __ATOMIC_RELAXED);
		seen[n++] = (struct memory_session){
			.held = held_by(w, s->pid),
			.claimed = __atomic_load_n(&u->memory, __ATOMIC_RELAXED),
			.beside = context * memory_contexts(told)};
	}
	gone = memory_judge(&t->memory, seen, n, limit_of(w, t),
			    t->policy->over == POLICY_OVER_EVICT);
	if (gone >= 0)
		evict(session[gone], &seen[gone]);
}

static void end_of_round(struct memory_watch *w)
{
	GHashTableIter iter;
	gpointer t;

	if (!w->told)
		log_info(NULL, "device memory of workers is watched by %s", w->path);
	w->told = true;
	g_hash_table_iter_init(&iter, w->d->tenants);
	while (g_hash_table_iter_next(&iter, NULL, &t))
		check_tenant(w, t);
	g_hash_table_remove_all(w->held);
	w->gpu = 0;
}

/* A process on several GPUs is told of once for each. */
static void add_process(struct memory_watch *w, unsigned int pid, uint64_t bytes)
{
	uint64_t *have = g_hash_table_lookup(w->held, GINT_TO_POINTER((gint)pid));

	if (have) {
		*have = bytes > UINT64_MAX - *have ? UINT64_MAX : *have + bytes;
	} else if (g_hash_table_size(w->held) < PROCESSES_MAX) {
		have = g_new(uint64_t, 1);
		*have = bytes;
		g_hash_table_insert(w->held, GINT_TO_POINTER((gint)pid), have);
	}
}

static void on_line(struct memory_watch *w, const char *line)
{
	unsigned int number;
	uint64_t bytes;
	char rest;

	if (strcmp(line, "end") == 0)
		end_of_round(w);
	else if (sscanf(line, "process %u %" SCNu64 "%c", &number, &bytes, &rest) == 2)
		add_process(w, number, bytes);
	else if (sscanf(line, "gpu %u %" SCNu64 "%c", &number, &bytes, &rest) == 2)
		w->gpu = MAX(w->gpu, bytes);
}

static void take(struct memory_watch *w, const char *text, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (text[i] == '\n') {
			on_line(w, w->line->str);
			g_string_truncate(w->line, 0);
		} else if (w->line->len < LINE_MAX_BYTES) {
			g_string_append_c(w->line, text[i]);
		}
	}
}

/* --------------------------------------------------------------------- life */

static void start(struct memory_watch *w);

static gboolean on_again(gpointer data)
{
	struct memory_watch *w = data;

	w->again = 0;
	start(w);
	return G_SOURCE_REMOVE;
}

static void stop(struct memory_watch *w)
{
	if (w->source)
		g_source_remove(w->source);
	w->source = 0;
	if (w->pidfd >= 0) {
		fdio_pidfd_kill(w->pidfd, SIGKILL);
		waitpid(w->pid, NULL, 0);
	}
	fdio_clear(&w->pidfd);
	fdio_clear(&w->out);
}

static void try_again(struct memory_watch *w, const char *why)
{
	log_warning(NULL,
		    "device memory of workers is not watched: %s: %s; it is started again in %u s",
		    w->path, why, AGAIN_SECONDS);
	stop(w);
	w->told = false;
	w->again = g_timeout_add_seconds(AGAIN_SECONDS, on_again, w);
}

static gboolean on_output(gint fd, GIOCondition condition, gpointer data)
{
	struct memory_watch *w = data;
	char text[4096];
	ssize_t n = read(fd, text, sizeof(text));

	(void)condition;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return G_SOURCE_CONTINUE;
	if (n > 0) {
		take(w, text, (size_t)n);
		return G_SOURCE_CONTINUE;
	}
	w->source = 0;
	try_again(w, "it has ended");
	return G_SOURCE_REMOVE;
}

static void start(struct memory_watch *w)
{
	char *argv[] = {w->path, NULL};
	GError *err = NULL;
	int out[2];

	if (pipe2(out, O_CLOEXEC) < 0) {
		try_again(w, g_strerror(errno));
		return;
	}
	w->out = out[0];
	g_string_truncate(w->line, 0);
	g_hash_table_remove_all(w->held);
	w->pidfd = launch_worker(argv, -1, out[1], &w->pid, &err);
	close(out[1]);
	if (w->pidfd < 0) {
		try_again(w, err->message);
		g_clear_error(&err);
		return;
	}
	g_unix_set_fd_nonblocking(w->out, TRUE, NULL);
	w->source = g_unix_fd_add(w->out, G_IO_IN | G_IO_HUP, on_output, w);
}

void memory_watch_start(struct daemon *d)
{
	const char *configured = d->config->memory_watch;
	struct memory_watch *w;

	if (!configured && d->backend != VGPU_BACKEND_CUDA)
		return;
	w = g_new0(struct memory_watch, 1);
	w->d = d;
	w->path = launch_program_path(configured, NAME);
	w->pidfd = w->out = -1;
	w->line = g_string_new(NULL);
	w->held = g_hash_table_new_full(NULL, NULL, NULL, g_free);
	d->memory_watch = w;
	start(w);
}

void memory_watch_stop(struct daemon *d)
{
	struct memory_watch *w = g_steal_pointer(&d->memory_watch);

	if (!w)
		return;
	stop(w);
	if (w->again)
		g_source_remove(w->again);
	g_string_free(w->line, TRUE);
	g_hash_table_destroy(w->held);
	g_free(w->path);
	g_free(w);
}
