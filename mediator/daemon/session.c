/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Sessions: from the start of a worker to the news that it is gone. */
#include "session_priv.h"

#include <errno.h>
#include <glib-unix.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client.h"
#include "discard.h"
#include "fdio.h"
#include "launch.h"
#include "news.h"
#include "state.h"
#include "tenant.h"
#include "turns.h"
#include "usage.h"
#include "vgpu_abi.h"
#include "worker_memory.h"

/* How long to wait before a worker that does not listen is told of memory again. */
#define RETRY_MS 100

/* How long a worker may live on without its control socket. */
#define CLOSED_MS 1000

struct log_about session_about(const struct session *s)
{
	return (struct log_about){.vm = s->vm, .session = s->id};
}

struct audit_about session_audit(const struct session *s)
{
	return (struct audit_about){.tenant = s->tenant ? s->tenant->name : NULL, .session = s->id};
}

static void drop_source(guint *source)
{
	if (*source)
		g_source_remove(*source);
	*source = 0;
}

static void set_reason(struct session *s, int status, const char *reason)
{
	s->status = status;
	g_strlcpy(s->reason, reason, sizeof(s->reason));
}

static void drop_handover(struct session *s)
{
	fdio_clear(&s->lifeline);
	fdio_clear(&s->ring);
}

void session_free(struct session *s)
{
	drop_source(&s->pid_source);
	drop_source(&s->control_source);
	drop_source(&s->timer);
	drop_source(&s->retry);
	drop_handover(s);
	fdio_clear(&s->pidfd);
	discard(s->control); /* may hold what a worker sent that was taken over */
	fdio_clear(&s->page_fd);
	if (s->page)
		munmap((void *)s->page, VGPU_PAGE);
	turns_leave(s);
	tenant_leave(s);
	g_free(s->vm);
	g_free(s);
}

static void audit_end(const struct session *s)
{
	const struct audit_about about = session_audit(s);
	JsonObject *details = json_object_new();

	json_object_set_string_member(details, "vm", s->vm ? s->vm : "");
	json_object_set_int_member(details, "status", s->status);
	json_object_set_int_member(details, "seconds",
				   (g_get_monotonic_time() - s->since) / G_USEC_PER_SEC);
	/* One that never was there for its guest has been refused to it. */
	audit_write(s->d->audit, s->announced ? AUDIT_SESSION_ENDED : AUDIT_SESSION_REFUSED,
		    s->announced ? AUDIT_NONE : AUDIT_RESOURCES, &about, details, "%s", s->reason);
}

/* By the worker's word. */
static unsigned long long gpu_us(const struct session *s)
{
	return s->tenant ? s->tenant->usage->session[s->slot].gpu_ns / 1000 : 0;
}

static void log_end(const struct session *s, const char *how)
{
	const struct vgpu_session_page *p = s->page;
	struct log_about about = session_about(s);

	if (!p) {
		log_info(&about, "session ended: %s", how);
		return;
	}
	log_info(&about,
		 "session ended: %s; requests=%llu errors=%llu bytes_in=%llu bytes_out=%llu "
		 "host_copied=%llu kicks=%llu calls=%llu gpu_us=%llu%s",
		 how, (unsigned long long)p->requests, (unsigned long long)p->errors,
		 (unsigned long long)p->bytes_in, (unsigned long long)p->bytes_out,
		 (unsigned long long)p->host_copied, (unsigned long long)p->kicks,
		 (unsigned long long)p->calls, gpu_us(s),
		 p->in_flight ? "; a request was in flight" : "");
}

/*
 * Of a worker that is nobody's child: what it has left in its tenant's page.  By which
 * signal it crashed is not known, so it may have been ours.
 */
static char *last_trace(const struct session *s, int *signum)
{
	struct session_usage used;

	usage_of_session(s, &used);
	*signum = used.life == USAGE_SERVES ? SIGKILL : 0;
	return g_strdup(*signum ? "the worker crashed, or was killed" : "the worker ended");
}

/* It was killed, and not by us: whose fault is that?  Words to be freed, or NULL. */
static char *judge_death(struct session *s)
{
	enum worker_death death = s->tenant ? worker_memory_death(s->tenant) : WORKER_DEATH_OTHER;

	if (death == WORKER_DEATH_HOST_SHORT)
		return g_strdup("the kernel killed the worker: the host has no memory left");
	if (death == WORKER_DEATH_LIMIT) {
		faults_count(s, FAULT_HOST_MEMORY);
		return g_strdup("the kernel killed the worker: those of its tenant together are "
				"over host-memory");
	}
	faults_count(s, FAULT_CRASH);
	return NULL;
}

/*
 * How it ended; the caller frees it.  We end it by SIGKILL only.  Its guest may have
 * known of a crash before us, and have had the session stopped.
 */
static char *how_it_ended(struct session *s)
{
	int signum = 0;
	char *how = s->is_child ? launch_reap(s->pid, &signum) : last_trace(s, &signum);
	const bool ours = signum == SIGKILL && s->state == SESSION_ENDING;
	char *why = signum && !ours ? judge_death(s) : NULL;

	if (!why)
		return how;
	g_free(how);
	return why;
}

/* The process is gone: nobody touches the guest's memory any more. */
static gboolean on_process_end(gint fd, GIOCondition condition, gpointer data)
{
	struct session *s = data;
	struct daemon *d = s->d;
	char *how;

	(void)fd;
	(void)condition;
	s->pid_source = 0;
	if (s->control >= 0)
		news_drain(s); /* its last words */
	how = how_it_ended(s);
	if (!*s->reason)
		set_reason(s, -EIO, how);
	log_end(s, s->reason);
	audit_end(s);
	g_free(how);
	state_forget(d, s->id);
	g_hash_table_remove(d->sessions, &s->id);
	if (s->client)
		client_session_gone(s->client, s);
	session_free(s);
	daemon_check_idle(d);
	return G_SOURCE_REMOVE;
}

void session_kill(struct session *s, int status, const char *reason)
{
	if (s->state == SESSION_ENDING)
		return;
	if (!*s->reason)
		set_reason(s, status, reason);
	s->state = SESSION_ENDING;
	drop_source(&s->timer);
	drop_source(&s->retry);
	drop_handover(s);
	fdio_pidfd_kill(s->pidfd, SIGKILL);
}

void session_evict(struct session *s, enum audit_cause cause, int status, const char *reason)
{
	const struct audit_about about = session_audit(s);

	if (s->state == SESSION_ENDING)
		return;
	audit_write(s->d->audit, AUDIT_EVICTION, cause, &about, NULL, "%s", reason);
	session_kill(s, status, reason);
}

static gboolean on_closed(gpointer data)
{
	struct session *s = data;

	s->timer = 0;
	session_kill(s, -EIO, "the worker closed its control socket and did not end");
	return G_SOURCE_REMOVE;
}

static gboolean on_control(gint fd, GIOCondition condition, gpointer data)
{
	struct session *s = data;

	(void)fd;
	(void)condition;
	if (news_drain(s))
		return G_SOURCE_CONTINUE;
	/* Most likely it has ended, and how it ended is about to be known. */
	s->control_source = 0;
	discard(s->control);
	s->control = -1;
	drop_source(&s->timer);
	s->timer = g_timeout_add(CLOSED_MS, on_closed, s);
	return G_SOURCE_REMOVE;
}

struct session *session_new(struct daemon *d, uint64_t id)
{
	struct session *s = g_new0(struct session, 1);

	s->d = d;
	s->id = id;
	s->since = g_get_monotonic_time();
	s->pidfd = s->control = s->page_fd = s->lifeline = s->ring = -1;
	return s;
}

void session_watch(struct session *s)
{
	s->pid_source = g_unix_fd_add(s->pidfd, G_IO_IN, on_process_end, s);
	g_hash_table_insert(s->d->sessions, &s->id, s);
}

struct session *session_found(struct daemon *d, uint64_t id, pid_t pid, int pidfd)
{
	struct session *s = session_new(d, id);

	s->state = SESSION_ORPHAN;
	s->announced = true;
	s->pid = pid;
	s->pidfd = pidfd;
	session_watch(s);
	return s;
}

void session_attach(struct session *s, int control)
{
	if (s->state == SESSION_ORPHAN || s->state == SESSION_RUNNING)
		drop_source(&s->timer); /* it came back before it was given up */
	s->control = control;
	s->control_source = g_unix_fd_add(control, G_IO_IN | G_IO_HUP, on_control, s);
	/* It was away while memory may have changed. */
	if (s->state == SESSION_RUNNING && s->client && s->client->mem.n)
		session_memory(s);
}

bool session_take_page(struct session *s, int fd)
{
	void *page = mmap(NULL, VGPU_PAGE, PROT_READ, MAP_SHARED, fd, 0);
	struct stat st;

	if (page == MAP_FAILED || fstat(fd, &st) < 0)
		return false;
	s->page = page;
	s->page_fd = fd;
	s->page_dev = st.st_dev;
	s->page_ino = st.st_ino;
	return true;
}

int session_send_memory(const struct session *s)
{
	const struct memtable *t = &s->client->mem;
	struct ctl_mem mem = {.type = CTL_MEM};
	int fds[VGPU_MEM_REGIONS_MAX];
	uint32_t nfds = 0;
	ssize_t ret;

	/* A HOST_RING session has no business with the guest's RAM. */
	if (s->queue != VGPU_QUEUE_REGISTERS) {
		mem.nregions = t->n;
		memcpy(mem.region, t->region, t->n * sizeof(t->region[0]));
	}
	for (uint32_t i = 0; i < mem.nregions; i++) {
		if (t->fd[i] >= 0)
			fds[nfds++] = t->fd[i];
	}
	ret = fdio_send(s->control, &mem, sizeof(mem), fds, nfds);
	return ret < 0 ? (int)ret : 0;
}

static gboolean on_retry(gpointer data)
{
	struct session *s = data;

	s->retry = 0;
	session_memory(s);
	return G_SOURCE_REMOVE;
}

void session_memory(struct session *s)
{
	int err;

	if (!s->client || s->control < 0 || s->state == SESSION_ENDING || s->retry ||
	    s->queue == VGPU_QUEUE_REGISTERS)
		return;
	err = session_send_memory(s);
	/* A long command runs there, or many messages are under way: the last table counts. */
	if (err == -EAGAIN || err == -ETOOMANYREFS)
		s->retry = g_timeout_add(RETRY_MS, on_retry, s);
	else if (err && err != -EPIPE && err != -ECONNRESET) /* then its end is about to be known */
		session_kill(s, -EIO, "the worker could not be told of memory");
}

/* May this be the page the session has?  Asks nothing that a stranger's file could hang on. */
static bool is_page_of(const struct session *s, int fd)
{
	struct stat st;

	return fdio_is_sealed_memfd(fd) && fstat(fd, &st) == 0 && st.st_size == VGPU_PAGE &&
	       (uint64_t)st.st_dev == s->page_dev && (uint64_t)st.st_ino == s->page_ino;
}

int session_resume(struct session *s, struct client *c, int page_fd, const char **why)
{
	struct log_about about;

	if (!is_page_of(s, page_fd) || !session_take_page(s, page_fd)) {
		discard(page_fd);
		*why = "the page is not that session's";
		return -EACCES;
	}
	s->client = c;
	s->state = SESSION_RUNNING;
	g_free(s->vm);
	s->vm = g_strdup(c->name);
	about = session_about(s);
	log_info(&about, "session resumed, worker %d", (int)s->pid);
	if (c->mem.n) /* else it is about to come, and must not be taken away before */
		session_memory(s);
	return 0;
}
