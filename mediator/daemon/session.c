/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Sessions: from the start of a worker to the news that it is gone. */
#include "session.h"

#include <errno.h>
#include <fcntl.h>
#include <glib-unix.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "adopt.h"
#include "client.h"
#include "fdio.h"
#include "launch.h"
#include "news.h"
#include "vgpu_abi.h"
#include "vgpu_ring.h"

/* How long to wait before a worker that does not listen is told of memory again. */
#define RETRY_MS 100

/* How long a worker may live on without its control socket. */
#define CLOSED_MS 1000

struct log_about session_about(const struct session *s)
{
	return (struct log_about){.vm = s->vm, .session = s->id};
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
	fdio_clear(&s->control);
	fdio_clear(&s->page_fd);
	if (s->page)
		munmap((void *)s->page, VGPU_PAGE);
	g_free(s->vm);
	g_free(s);
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
		 "host_copied=%llu kicks=%llu calls=%llu%s",
		 how, (unsigned long long)p->requests, (unsigned long long)p->errors,
		 (unsigned long long)p->bytes_in, (unsigned long long)p->bytes_out,
		 (unsigned long long)p->host_copied, (unsigned long long)p->kicks,
		 (unsigned long long)p->calls, p->in_flight ? "; a request was in flight" : "");
}

/* The process is gone: nobody touches the guest's memory any more. */
static gboolean on_process_end(gint fd, GIOCondition condition, gpointer data)
{
	struct session *s = data;
	struct daemon *d = s->d;
	char *how = s->is_child ? launch_reap(s->pid) : g_strdup("the worker ended");

	(void)fd;
	(void)condition;
	s->pid_source = 0;
	if (s->control >= 0)
		news_drain(s); /* its last words */
	if (!*s->reason)
		set_reason(s, -EIO, how);
	log_end(s, s->reason);
	g_free(how);
	adopt_forget(d, s->id);
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

static gboolean on_timeout(gpointer data)
{
	struct session *s = data;
	struct log_about about = session_about(s);

	s->timer = 0;
	log_error(&about, "the worker did not get ready in time; it is killed");
	session_kill(s, -ETIMEDOUT, "the worker did not get ready in time");
	return G_SOURCE_REMOVE;
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
	fdio_clear(&s->control);
	drop_source(&s->timer);
	s->timer = g_timeout_add(CLOSED_MS, on_closed, s);
	return G_SOURCE_REMOVE;
}

static struct session *session_new(struct daemon *d, uint64_t id)
{
	struct session *s = g_new0(struct session, 1);

	s->d = d;
	s->id = id;
	s->pidfd = s->control = s->page_fd = s->lifeline = s->ring = -1;
	return s;
}

static void watch_process(struct session *s)
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
	watch_process(s);
	return s;
}

void session_attach(struct session *s, int control)
{
	s->control = control;
	s->control_source = g_unix_fd_add(control, G_IO_IN | G_IO_HUP, on_control, s);
	/* It was away while memory may have changed. */
	if (s->state == SESSION_RUNNING && s->client && s->client->mem.n)
		session_memory(s);
}

/* Opens a memfd again so that the holder of the copy can only read. */
static int reopen_readonly(int fd)
{
	char path[64];
	int ret;

	g_snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	ret = open(path, O_RDONLY | O_CLOEXEC);
	return ret < 0 ? -errno : ret;
}

/* Maps the page by a read-only descriptor, which becomes the session's. */
static bool take_page(struct session *s, int fd)
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

/* What a session is made of, before it has a process. */
struct parts {
	int control[2];  /* ours, the worker's */
	int lifeline[2]; /* the device's, the worker's */
	int page;        /* writable */
};

static void drop_parts(struct parts *p)
{
	fdio_close_all(p->control, 2);
	fdio_close_all(p->lifeline, 2);
	fdio_clear(&p->page);
}

static int make_parts(struct session *s, const struct vgpu_msg_queue_start *start, struct parts *p)
{
	int readonly;

	*p = (struct parts){{-1, -1}, {-1, -1}, -1};
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, p->control) < 0 ||
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, p->lifeline) < 0)
		return -errno;
	p->page = fdio_memfd("vgpu-session", VGPU_PAGE);
	if (p->page < 0)
		return p->page;
	readonly = reopen_readonly(p->page);
	if (readonly < 0)
		return readonly;
	if (!take_page(s, readonly)) {
		close(readonly);
		return -ENOMEM;
	}
	if (!(start->flags & VGPU_QUEUE_HOST_RING))
		return 0;
	s->ring = fdio_memfd("vgpu-ring", vgpu_ring_bytes(start->req_slots, start->rsp_slots));
	return s->ring < 0 ? s->ring : 0;
}

static int launch(struct session *s, int control, GError **err)
{
	const struct config *c = s->d->config;
	GPtrArray *argv = g_ptr_array_new_with_free_func(g_free);
	int pidfd;

	g_ptr_array_add(argv, g_strdup(s->d->worker_path));
	g_ptr_array_add(argv, g_strdup_printf("--backend=%s", s->d->backend_name));
	g_ptr_array_add(argv, g_strdup_printf("--device=%u", c->device));
	g_ptr_array_add(argv, g_strdup_printf("--runtime-dir=%s", c->runtime_dir));
	if (c->library_dir)
		g_ptr_array_add(argv, g_strdup_printf("--library-dir=%s", c->library_dir));
	if (c->worker_user) {
		g_ptr_array_add(argv, g_strdup_printf("--uid=%u", c->worker_uid));
		g_ptr_array_add(argv, g_strdup_printf("--gid=%u", c->worker_gid));
	}
	g_ptr_array_add(argv, NULL);
	pidfd = launch_worker((char *const *)argv->pdata, control, -1, &s->pid, err);
	g_ptr_array_free(argv, TRUE);
	return pidfd;
}

static int send_setup(const struct session *s, const struct vgpu_msg_queue_start *start,
		      const struct parts *p, int kick, int call)
{
	const struct config *c = s->d->config;
	const struct ctl_setup setup = {
		.type = CTL_SETUP,
		.version = CTL_VERSION,
		.session = s->id,
		.start = *start,
		.max_operand = (uint64_t)c->max_operand_mib << 20,
		.spin_us = c->spin_us,
		.verbose = c->log_commands || c->log_level == G_LOG_LEVEL_DEBUG,
	};
	const int fds[] = {kick, call, p->page, p->lifeline[1], s->ring};
	ssize_t ret = fdio_send(p->control[0], &setup, sizeof(setup), fds, s->ring >= 0 ? 5 : 4);

	return ret < 0 ? (int)ret : 0;
}

static int send_memory(const struct session *s)
{
	const struct memtable *t = &s->client->mem;
	struct ctl_mem mem = {.type = CTL_MEM};
	ssize_t ret;

	/* A HOST_RING session has no business with the guest's RAM. */
	if (s->queue != VGPU_QUEUE_REGISTERS) {
		mem.nregions = t->n;
		memcpy(mem.region, t->region, t->n * sizeof(t->region[0]));
	}
	ret = fdio_send(s->control, &mem, sizeof(mem), t->fd, mem.nregions);
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
	err = send_memory(s);
	/* A long command runs there, or many messages are under way: the last table counts. */
	if (err == -EAGAIN || err == -ETOOMANYREFS)
		s->retry = g_timeout_add(RETRY_MS, on_retry, s);
	else if (err && err != -EPIPE && err != -ECONNRESET) /* then its end is about to be known */
		session_kill(s, -EIO, "the worker could not be told of memory");
}

/* Starts the process and gives it all it needs. */
static int bring_up(struct session *s, const struct vgpu_msg_queue_start *start, struct parts *p,
		    int kick, int call, char reason[VGPU_REASON_MAX])
{
	GError *err = NULL;
	int ret = make_parts(s, start, p);

	if (ret) {
		g_snprintf(reason, VGPU_REASON_MAX, "no resources for a session: %s",
			   g_strerror(-ret));
		return ret;
	}
	s->pidfd = launch(s, p->control[1], &err);
	if (s->pidfd < 0) {
		g_strlcpy(reason, err->message, VGPU_REASON_MAX);
		g_clear_error(&err);
		return -EIO;
	}
	s->is_child = true;
	s->lifeline = p->lifeline[0];
	p->lifeline[0] = -1;
	watch_process(s);
	session_attach(s, p->control[0]);
	ret = send_setup(s, start, p, kick, call);
	p->control[0] = -1;
	if (!ret)
		ret = send_memory(s);
	if (ret) /* it has a process: its end is reported when that is gone */
		session_kill(s, ret, "the worker could not be told what to do");
	else
		s->timer = g_timeout_add_seconds(s->d->config->start_timeout, on_timeout, s);
	return 0;
}

struct session *session_start(struct daemon *d, struct client *c,
			      const struct vgpu_msg_queue_start *start, int kick, int call,
			      int *status, char reason[VGPU_REASON_MAX])
{
	struct session *s = session_new(d, adopt_next_id(d));
	struct parts p;

	s->client = c;
	s->queue = start->queue;
	s->tag = start->tag;
	memcpy(s->uuid, c->uuid, sizeof(s->uuid));
	s->vm = g_strdup(c->name);
	*status = bring_up(s, start, &p, kick, call, reason);
	drop_parts(&p);
	close(kick);
	close(call);
	if (*status) {
		session_free(s);
		return NULL;
	}
	return s;
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

	if (!is_page_of(s, page_fd) || !take_page(s, page_fd)) {
		close(page_fd);
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
