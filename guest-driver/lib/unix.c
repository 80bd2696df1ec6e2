// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * libvgpu without a VM: a session by the daemon's socket.
 *
 * The daemon is needed to start a worker and to hear that it has ended; the
 * work goes past it.  Should it be started anew, it wants to see the session
 * page within ten seconds, or takes the worker for an orphan.
 */
#include "unix.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define START_MS 120000 /* a GPU's driver may take its time */
#define RESUME_MS 5000
#define STOP_MS 5000
#define RETRY_FIRST_MS 20u
#define RETRY_MAX_MS 1000u

static int lost(struct unix_link *l)
{
	return __atomic_load_n(&l->lost, __ATOMIC_ACQUIRE);
}

static int socket_of(const struct vgpu_session *s)
{
	return __atomic_load_n(&s->fd, __ATOMIC_ACQUIRE);
}

static void unix_kick(struct vgpu_session *s)
{
	const uint64_t one = 1;

	/*
	 * Fails only if the counter is full: then there is a kick under way.  The
	 * bare system call is no cancellation point, whatever the caller holds.
	 */
	syscall(SYS_write, unix_of(s)->kick, &one, sizeof(one));
}

/* ---------------------------------------------------------------- the daemon */

static void drop_socket(struct vgpu_session *s)
{
	struct unix_link *l = unix_of(s);
	int fd = s->fd;

	__atomic_store_n(&s->fd, -1, __ATOMIC_RELEASE);
	close(fd);
	l->retry_ms = RETRY_FIRST_MS;
	l->retry_at = now_ns();
}

static void plan_retry(struct unix_link *l)
{
	l->retry_at = now_ns() + (int64_t)l->retry_ms * 1000000;
	l->retry_ms = l->retry_ms * 2 < RETRY_MAX_MS ? l->retry_ms * 2 : RETRY_MAX_MS;
}

static bool daemon_is_away(int error)
{
	return error == ENOTCONN || error == ENOENT || error == ETIMEDOUT || error == EAGAIN;
}

static void reconnect(struct vgpu_session *s)
{
	struct unix_link *l = unix_of(s);
	int64_t deadline = deadline_of(RESUME_MS);
	int fd = unix_connect(l, deadline);

	if (fd >= 0 && unix_resume_queue(l, fd, deadline) < 0) {
		if (!daemon_is_away(errno)) /* it does not know the session */
			__atomic_store_n(&l->lost, EIO, __ATOMIC_RELEASE);
		close(fd);
		fd = -1;
	}
	if (fd < 0)
		plan_retry(l);
	else
		__atomic_store_n(&s->fd, fd, __ATOMIC_RELEASE);
}

static void tend(struct vgpu_session *s)
{
	struct unix_link *l = unix_of(s);

	if (s->fd >= 0 && unix_news(l, s->fd) < 0)
		drop_socket(s);
	if (s->fd < 0 && !lost(l) && now_ns() >= l->retry_at)
		reconnect(s);
}

static int unix_tend(struct vgpu_session *s)
{
	struct unix_link *l = unix_of(s);
	struct pollfd p = {l->lifeline, POLLRDHUP, 0};

	if (poll(&p, 1, 0) > 0)
		__atomic_store_n(&l->lost, EIO, __ATOMIC_RELEASE);
	if (!__atomic_exchange_n(&l->tending, true, __ATOMIC_ACQUIRE)) {
		tend(s);
		__atomic_store_n(&l->tending, false, __ATOMIC_RELEASE);
	}
	return lost(l) ? fail(lost(l)) : 0;
}

/* ------------------------------------------------------------------ sleeping */

enum { ON_CALL, ON_LIFELINE, ON_SOCKET, ON_ALL };

static void clear_call(struct unix_link *l)
{
	uint64_t count;

	if (read(l->call, &count, sizeof(count)) < 0)
		return; /* another thread was faster */
}

/* One look at everything, at most `timeout_ms` long. */
static int watch(struct vgpu_session *s, int timeout_ms)
{
	struct unix_link *l = unix_of(s);
	struct pollfd p[ON_ALL] = {[ON_CALL] = {l->call, POLLIN, 0},
				   [ON_LIFELINE] = {l->lifeline, POLLRDHUP, 0},
				   [ON_SOCKET] = {socket_of(s), POLLIN | POLLRDHUP, 0}};
	int ret;

	if (p[ON_SOCKET].fd < 0 && (timeout_ms < 0 || timeout_ms > (int)RETRY_FIRST_MS))
		timeout_ms = RETRY_FIRST_MS;
	ret = poll(p, ON_ALL, timeout_ms);
	if (ret < 0)
		return -1;
	if (p[ON_CALL].revents)
		clear_call(l);
	if (p[ON_LIFELINE].revents)
		__atomic_store_n(&l->lost, EIO, __ATOMIC_RELEASE);
	if (p[ON_SOCKET].revents || p[ON_SOCKET].fd < 0)
		unix_tend(s);
	return 0;
}

static int unix_sleep(struct vgpu_session *s, uint32_t seen, int timeout_ms)
{
	struct unix_link *l = unix_of(s);
	int64_t deadline = deadline_of(timeout_ms);

	for (;;) {
		int left = remaining_ms(deadline);

		if (rsp_prod(s) != seen)
			return 0;
		if (lost(l))
			return fail(lost(l));
		if (watch(s, left) < 0)
			return -1;
		if (left == 0)
			break;
	}
	if (rsp_prod(s) != seen)
		return 0;
	return fail(lost(l) ? lost(l) : ETIMEDOUT);
}

/*
 * The edges of the doorbell only: who sleeps in unix_sleep() takes it back, and
 * would miss it if it were taken back here.
 */
static int unix_watch(struct vgpu_session *s, uint32_t seen, int timeout_ms)
{
	struct unix_link *l = unix_of(s);
	struct epoll_event e;

	if (rsp_prod(s) != seen)
		return 0;
	if (lost(l))
		return fail(lost(l));
	if (epoll_wait(l->watch, &e, 1, timeout_ms) < 0)
		return -1;
	if (rsp_prod(s) != seen)
		return 0;
	return unix_tend(s) < 0 ? -1 : fail(ETIMEDOUT);
}

static int make_watch(struct unix_link *l)
{
	struct epoll_event call = {.events = EPOLLIN | EPOLLET};
	struct epoll_event end = {.events = EPOLLRDHUP};

	l->watch = epoll_create1(EPOLL_CLOEXEC);
	if (l->watch < 0 || epoll_ctl(l->watch, EPOLL_CTL_ADD, l->call, &call) < 0 ||
	    epoll_ctl(l->watch, EPOLL_CTL_ADD, l->lifeline, &end) < 0)
		return -1;
	return 0;
}

/* ------------------------------------------------------------ open and close */

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static void close_all(struct vgpu_session *s)
{
	struct unix_link *l = unix_of(s);

	close_fd(&s->fd);
	close_fd(&l->kick);
	close_fd(&l->call);
	close_fd(&l->page);
	close_fd(&l->lifeline);
	close_fd(&l->watch);
}

static void unix_close(struct vgpu_session *s)
{
	struct unix_link *l = unix_of(s);

	if (!l)
		return;
	if (s->mapped && s->fd >= 0 && !lost(l))
		unix_stop_queue(l, s->fd, deadline_of(STOP_MS));
	close_all(s);
	unix_memory_free(&l->memory);
	free(l);
}

static void unix_forget(struct vgpu_session *s)
{
	close_all(s);
	close_fd(&unix_of(s)->memory.fd);
}

const struct transport unix_transport = {
	.kick = unix_kick,
	.sleep = unix_sleep,
	.watch = unix_watch,
	.tend = unix_tend,
	.area_create = unix_area_create,
	.area_destroy = unix_area_destroy,
	.close = unix_close,
	.forget = unix_forget,
};

static int prepare(struct vgpu_session *s, const char *path)
{
	struct unix_link *l = calloc(1, sizeof(*l));

	if (!l)
		return -1;
	s->own = l;
	l->kick = l->call = l->page = l->lifeline = l->watch = l->memory.fd = -1;
	l->addr.sun_family = AF_UNIX;
	if (strlen(path) >= sizeof(l->addr.sun_path))
		return fail(ENAMETOOLONG);
	memcpy(l->addr.sun_path, path, strlen(path));
	strncpy(l->name, program_invocation_short_name, sizeof(l->name) - 1);
	if (getrandom(l->uuid, sizeof(l->uuid), 0) != sizeof(l->uuid))
		return -1;
	l->kick = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	l->call = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return l->kick < 0 || l->call < 0 ? -1 : 0;
}

int unix_open(struct vgpu_session *s, const char *path)
{
	int64_t deadline = deadline_of(START_MS);
	struct unix_link *l;

	s->transport = &unix_transport;
	if (prepare(s, path) < 0)
		return -1;
	l = unix_of(s);
	if (unix_memory_make(&l->memory) < 0)
		return -1;
	vgpu_ring_init(&s->ring, l->memory.control, UNIX_REQ_SLOTS, UNIX_RSP_SLOTS);
	s->fd = unix_connect(l, deadline);
	if (s->fd < 0 || unix_start_queue(l, s->fd, deadline) < 0 || make_watch(l) < 0)
		return -1;
	s->mapped = true;
	s->polling = true;
	return 0;
}
