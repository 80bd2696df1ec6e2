/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The core's surroundings but for the guest. */
#include "shell.h"

#include <errno.h>
#include <fcntl.h>
#include <glib-unix.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "fdio.h"

/* Messages read before others have their turn. */
#define READS_AT_ONCE 64

/* How long a doorbell waits for its answer, and how much of it without sleeping. */
#define LINGER_NS 100000u
#define LINGER_SPIN_NS 10000u
#define LINGER_SKIP_MAX 1023u

struct queue {
	struct shell *s;
	uint32_t id;
	int kick, call; /* -1: none */
	guint call_source;
	guint lifeline_source;
	uint32_t missed; /* how often in a row the answer came too late */
	uint32_t skip;   /* doorbells not to wait for */
};

struct shell {
	const struct shell_host *host;
	void *opaque;
	struct vgpu_core *core;
	char *path;
	int fd; /* -1: not connected */
	guint source;
	guint timer;
	int64_t planned;      /* what the timer is set to; INT64_MAX: not at all */
	enum shell_link link; /* as last told */
	uint32_t nqueues;
	struct queue *queue; /* nqueues, then the register session's */
	struct queue *rung;  /* by the access under way; its worker does not know yet */
};

static void drop_source(guint *source)
{
	if (*source)
		g_source_remove(*source);
	*source = 0;
}

/* ------------------------------------------------------------- core's time */

static int64_t now_ms(void)
{
	return g_get_monotonic_time() / 1000;
}

void shell_enter(struct shell *s)
{
	vgpu_core_time(s->core, now_ms());
}

static gboolean on_deadline(gpointer data)
{
	struct shell *s = data;

	s->timer = 0;
	s->planned = INT64_MAX;
	shell_enter(s);
	vgpu_core_tick(s->core);
	shell_leave(s);
	return G_SOURCE_REMOVE;
}

/* Tells of the link, if it is another than the last time. */
static void tell_link(struct shell *s)
{
	uint32_t status = vgpu_core_read(s->core, VGPU_REG_STATUS, 4);
	enum shell_link link = status & VGPU_STATUS_REFUSED ? SHELL_REFUSED : SHELL_DOWN;

	if (status & VGPU_STATUS_LINK)
		link = status & VGPU_STATUS_UNSHARED ? SHELL_LIMITED : SHELL_UP;
	if (link == s->link)
		return;
	s->link = link;
	s->host->link(s->opaque, link);
}

static void plan(struct shell *s, int64_t deadline)
{
	int64_t now;

	if (deadline == s->planned)
		return;
	drop_source(&s->timer);
	s->planned = deadline;
	if (deadline == INT64_MAX)
		return;
	now = now_ms();
	s->timer = g_timeout_add(deadline > now ? (guint)MIN(deadline - now, 60000) : 0,
				 on_deadline, s);
}

void shell_leave(struct shell *s)
{
	shell_kick(s);
	plan(s, vgpu_core_deadline(s->core));
	tell_link(s);
}

/* ------------------------------------------------------------- the socket */

static void op_disconnect(void *opaque)
{
	struct shell *s = opaque;

	drop_source(&s->source);
	fdio_clear(&s->fd);
}

/* One read of what the core wants next; false: nothing more for now. */
static bool read_once(struct shell *s)
{
	uint8_t buf[sizeof(struct vgpu_msg_header) + VGPU_MSG_PAYLOAD_MAX];
	int fds[VGPU_MSG_FDS_MAX + 1]; /* more than a message may have: the core refuses them */
	size_t nfds = G_N_ELEMENTS(fds);
	ssize_t n = fdio_recv(s->fd, buf, MIN(vgpu_core_want(s->core), sizeof(buf)), fds, &nfds);

	if (n == -EAGAIN || n == -EINTR)
		return false;
	if (n <= 0) {
		vgpu_core_disconnected(s->core);
		return false;
	}
	vgpu_core_receive(s->core, buf, (size_t)n, fds, nfds);
	return true;
}

static gboolean on_readable(gint fd, GIOCondition condition, gpointer data)
{
	struct shell *s = data;
	guint source = s->source;

	(void)fd;
	(void)condition;
	shell_enter(s);
	for (int i = 0; i < READS_AT_ONCE && s->fd >= 0 && read_once(s); i++) {
		/* the core may close the socket at any message */
	}
	shell_leave(s);
	return s->source == source ? G_SOURCE_CONTINUE : G_SOURCE_REMOVE;
}

static int op_connect(void *opaque)
{
	struct shell *s = opaque;
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int err, fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	g_strlcpy(addr.sun_path, s->path, sizeof(addr.sun_path));
	/* A Unix socket connects at once or not at all. */
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0) {
		err = errno == EINPROGRESS ? -EAGAIN : -errno;
		close(fd);
		return err;
	}
	s->fd = fd;
	s->source = g_unix_fd_add(fd, G_IO_IN | G_IO_HUP, on_readable, s);
	return 0;
}

/*
 * What the socket has no room for breaks the link: it is far larger than what
 * is ever under way to a daemon that reads.
 */
static int op_send(void *opaque, const void *data, size_t length, const int *fds, size_t nfds)
{
	struct shell *s = opaque;
	ssize_t n = s->fd < 0 ? -ENOTCONN : fdio_send(s->fd, data, length, fds, nfds);

	if (n == (ssize_t)length)
		return 0;
	return n < 0 && n != -EAGAIN ? (int)n : -ENOBUFS;
}

/* ----------------------------------------------------------------- queues */

static struct queue *queue_of(struct shell *s, uint32_t id)
{
	return &s->queue[id == VGPU_QUEUE_REGISTERS ? s->nqueues : id];
}

static bool take_call(struct queue *q)
{
	uint64_t count;

	if (read(q->call, &count, sizeof(count)) != sizeof(count))
		return false;
	shell_enter(q->s);
	vgpu_core_call(q->s->core, q->id);
	shell_leave(q->s);
	return true;
}

static gboolean on_call(gint fd, GIOCondition condition, gpointer data)
{
	struct queue *q = data;
	guint source = q->call_source;

	(void)fd;
	(void)condition;
	take_call(q);
	return q->call_source == source ? G_SOURCE_CONTINUE : G_SOURCE_REMOVE;
}

static int op_make_queue_fds(void *opaque, uint32_t id, int *kick, int *call)
{
	struct queue *q = queue_of(opaque, id);

	if (q->kick < 0)
		q->kick = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (q->kick >= 0 && q->call < 0)
		q->call = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (q->kick < 0 || q->call < 0) {
		int err = -errno;

		fdio_clear(&q->kick);
		return err;
	}
	*kick = q->kick;
	*call = q->call;
	return 0;
}

static void op_queue_up(void *opaque, uint32_t id, uint32_t vector)
{
	struct queue *q = queue_of(opaque, id);

	(void)vector; /* the core knows it when the call comes */
	drop_source(&q->call_source);
	q->call_source = g_unix_fd_add(q->call, G_IO_IN, on_call, q);
}

static void op_queue_down(void *opaque, uint32_t id)
{
	struct shell *s = opaque;
	struct queue *q = queue_of(s, id);

	if (s->rung == q)
		s->rung = NULL;
	drop_source(&q->call_source);
	fdio_clear(&q->kick);
	fdio_clear(&q->call);
}

/* The worker's turn.  NULL: there is nobody to wait for. */
static struct queue *kick(struct shell *s)
{
	const uint64_t one = 1;
	struct queue *q = s->rung;

	s->rung = NULL;
	if (q && write(q->kick, &one, sizeof(one)) < 0)
		return NULL; /* full: it has been rung more than enough */
	return q;
}

/*
 * Not before shell_linger() or shell_kick(): a worker that is woken may take the
 * very processor on which we are about to let the guest go on.
 */
static void op_kick(void *opaque, uint32_t id)
{
	struct shell *s = opaque;
	struct queue *q = queue_of(s, id);

	if (s->rung != q)
		kick(s);
	s->rung = q;
}

void shell_kick(struct shell *s)
{
	kick(s);
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static bool wait_for_call(struct queue *q)
{
	const struct timespec limit = {.tv_nsec = LINGER_NS - LINGER_SPIN_NS};
	struct pollfd p = {.fd = q->call, .events = POLLIN};
	uint64_t end = now_ns() + LINGER_SPIN_NS;

	do {
		if (take_call(q))
			return true;
	} while (now_ns() < end);
	return ppoll(&p, 1, &limit, NULL) > 0 && take_call(q);
}

/* A queue whose commands take longer is soon left alone, and tried again now and then. */
void shell_linger(struct shell *s)
{
	struct queue *q = kick(s);

	if (!q || q->call < 0)
		return;
	if (q->skip) {
		q->skip--;
		return;
	}
	q->missed = wait_for_call(q) ? 0 : MIN(2 * q->missed + 1, LINGER_SKIP_MAX);
	q->skip = q->missed;
}

/* -------------------------------------------------------------- lifelines */

/* Nothing is ever said on a lifeline; only its end matters. */
static bool lifeline_ended(int fd)
{
	char dummy[64];
	ssize_t n = recv(fd, dummy, sizeof(dummy), MSG_DONTWAIT);

	return n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR);
}

static gboolean on_lifeline(gint fd, GIOCondition condition, gpointer data)
{
	struct queue *q = data;
	guint source = q->lifeline_source;

	(void)condition;
	if (!lifeline_ended(fd))
		return G_SOURCE_CONTINUE;
	shell_enter(q->s);
	vgpu_core_lifeline_hup(q->s->core, q->id);
	shell_leave(q->s);
	return q->lifeline_source == source ? G_SOURCE_CONTINUE : G_SOURCE_REMOVE;
}

static void op_watch_lifeline(void *opaque, uint32_t id, int fd)
{
	struct queue *q = queue_of(opaque, id);

	q->lifeline_source = g_unix_fd_add(fd, G_IO_IN | G_IO_HUP, on_lifeline, q);
}

static void op_unwatch_lifeline(void *opaque, uint32_t id, int fd)
{
	(void)fd;
	drop_source(&queue_of(opaque, id)->lifeline_source);
}

/* Reading goes on: the worker sees the end of the stream, and we still see when it is gone. */
static void op_shutdown_lifeline(void *opaque, int fd)
{
	(void)opaque;
	shutdown(fd, SHUT_WR);
}

/* ------------------------------------------------------------- all others */

static void *op_map(void *opaque, int fd, size_t length)
{
	struct stat st;
	void *mem;

	(void)opaque;
	if (!fdio_is_sealed_memfd(fd) || fstat(fd, &st) < 0 || st.st_size < 0 ||
	    (uint64_t)st.st_size < length)
		return NULL;
	mem = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	return mem == MAP_FAILED ? NULL : mem;
}

static void op_unmap(void *opaque, void *mem, size_t length)
{
	(void)opaque;
	munmap(mem, length);
}

static void op_close_fd(void *opaque, int fd)
{
	(void)opaque;
	close(fd);
}

static void op_raise(void *opaque, uint32_t vector)
{
	struct shell *s = opaque;

	s->host->raise(s->opaque, vector);
}

static void op_log(void *opaque, enum vgpu_log_level level, const char *text)
{
	struct shell *s = opaque;

	s->host->log(s->opaque, level, text);
}

static const struct vgpu_core_ops ops = {
	.connect = op_connect,
	.disconnect = op_disconnect,
	.send = op_send,
	.make_queue_fds = op_make_queue_fds,
	.queue_up = op_queue_up,
	.queue_down = op_queue_down,
	.kick = op_kick,
	.raise = op_raise,
	.watch_lifeline = op_watch_lifeline,
	.unwatch_lifeline = op_unwatch_lifeline,
	.shutdown_lifeline = op_shutdown_lifeline,
	.map = op_map,
	.unmap = op_unmap,
	.close_fd = op_close_fd,
	.log = op_log,
};

struct vgpu_core *shell_core(struct shell *s)
{
	return s->core;
}

struct shell *shell_new(const struct shell_config *config, const struct shell_host *host,
			void *opaque)
{
	struct vgpu_core_config c = {
		.queues = config->queues, .name = config->name, .by_domain = true};
	struct shell *s = g_new0(struct shell, 1);

	s->host = host;
	s->opaque = opaque;
	s->path = g_strdup(config->socket);
	s->fd = -1;
	s->planned = INT64_MAX;
	s->nqueues = config->queues;
	s->queue = g_new0(struct queue, config->queues + 1);
	for (uint32_t i = 0; i <= config->queues; i++)
		s->queue[i] = (struct queue){
			.s = s,
			.id = i < config->queues ? i : VGPU_QUEUE_REGISTERS,
			.kick = -1,
			.call = -1,
		};
	if (getrandom(c.uuid, sizeof(c.uuid), 0) == sizeof(c.uuid))
		s->core = vgpu_core_new(&c, &ops, s);
	if (s->core)
		return s;
	shell_free(s);
	return NULL;
}

void shell_free(struct shell *s)
{
	vgpu_core_free(s->core);
	drop_source(&s->timer);
	g_free(s->queue);
	g_free(s->path);
	g_free(s);
}
