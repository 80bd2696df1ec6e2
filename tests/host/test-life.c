/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Beginnings and ends: sessions, workers, the daemon, its restart, leaks. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "control.h"
#include "fdio.h"
#include "frontend.h"

#define MIB (1024u * 1024)

static int nop(struct fqueue *q)
{
	return fqueue_call(q, VGPU_CMD_NOP, NULL, 0, NULL, 0, NULL, 0);
}

static pid_t only_worker(const struct daemon_proc *p)
{
	GArray *pids = daemon_workers(p);
	pid_t pid;

	g_assert_cmpuint(pids->len, ==, 1);
	pid = g_array_index(pids, pid_t, 0);
	g_array_free(pids, TRUE);
	return pid;
}

static void test_hello(void)
{
	struct daemon_proc *p = daemon_start(NULL);
	struct frontend *f = frontend_new(p, "vm\nwith spaces=\"", 0);

	g_assert_cmpuint(f->hello.backend, ==, VGPU_BACKEND_CPU);
	g_assert_cmpuint(f->hello.features, ==, VGPU_F_ALL);
	g_assert_cmpuint(f->hello.protocol_features, ==, VGPU_PF_ALL);
	g_assert_cmpuint(f->hello.max_queues, ==, 16);
	/* A name is for the log and cannot look like something else there. */
	daemon_expect_log(p, "vm=vm_with_spaces__ device connected");
	frontend_free(f);
	daemon_expect_log(p, "device disconnected");
	daemon_stop(p);
}

/* Refusals come with words, the daemon's versions, and the end of the connection. */
static void refuse(struct daemon_proc *p, void (*spoil)(struct vgpu_msg_hello *), int status,
		   const char *words)
{
	struct frontend *f = frontend_connect(p, "odd");
	struct vgpu_msg_hello h;

	frontend_fill_hello(f, &h);
	spoil(&h);
	g_assert_cmpint(frontend_hello(f, &h), ==, status);
	g_assert_nonnull(strstr(f->hello.status.reason, words));
	g_assert_cmpuint(f->hello.protocol_version, ==, VGPU_PROTOCOL_VERSION);
	g_assert_cmpuint(f->hello.abi_version, ==, VGPU_ABI_VERSION);
	frontend_expect_closed(f);
	frontend_free(f);
}

static void spoil_magic(struct vgpu_msg_hello *h)
{
	h->magic++;
}

static void spoil_protocol(struct vgpu_msg_hello *h)
{
	h->protocol_version = 7;
}

static void spoil_abi(struct vgpu_msg_hello *h)
{
	h->abi_version = (VGPU_ABI_MAJOR + 1) << 16;
}

static void test_refusals(void)
{
	struct daemon_proc *p = daemon_start(NULL);

	refuse(p, spoil_magic, -EPROTO, "not a vgpu device");
	refuse(p, spoil_protocol, -EPROTONOSUPPORT, "socket protocol 7");
	refuse(p, spoil_abi, -EPROTONOSUPPORT, "ABI 2.0");
	daemon_expect_log(p, "device refused: the device has ABI 2.0");
	daemon_stop(p);
}

static void test_two_clients(void)
{
	struct daemon_proc *p = daemon_start(NULL);
	struct frontend *f[2];
	struct fqueue *q[2][2];

	for (int i = 0; i < 2; i++) {
		f[i] = frontend_new(p, i ? "second" : "first", 4 * MIB);
		for (uint32_t k = 0; k < 2; k++)
			q[i][k] = fqueue_new(f[i], k, 256, 0);
	}
	daemon_expect_workers(p, 4);
	for (int n = 0; n < 200; n++) {
		for (int i = 0; i < 4; i++)
			fqueue_submit(q[i / 2][i % 2], VGPU_CMD_VECTOR_ADD, NULL, 0, NULL, 0);
		for (int i = 0; i < 4; i++) {
			uint8_t record[VGPU_RECORD_MAX];
			const struct vgpu_response *r = (const void *)record;

			fqueue_receive(q[i / 2][i % 2], record);
			g_assert_cmpuint(r->status, ==, 0);
		}
	}
	for (int i = 0; i < 2; i++) {
		for (int k = 0; k < 2; k++)
			fqueue_end(q[i][k]);
		frontend_free(f[i]);
	}
	daemon_stop(p);
}

/* A killed worker is the end of its own session alone. */
static void test_worker_killed(void)
{
	struct daemon_proc *p = daemon_start(NULL);
	struct frontend *f = frontend_new(p, "vm", 4 * MIB);
	struct fqueue *victim = fqueue_new(f, 0, 256, 0);
	pid_t pid = only_worker(p);
	struct fqueue *other = fqueue_new(f, 1, 256, 0);

	g_assert_cmpint(nop(victim), ==, 0);
	g_assert_cmpint(kill(pid, SIGKILL), ==, 0);
	g_assert_cmpint(fqueue_expect_lost(victim), ==, -EIO);
	g_assert_nonnull(strstr(victim->reason, "signal 9"));
	fqueue_expect_hup(victim);
	g_assert_cmpint(nop(other), ==, 0);
	/* It need not be stopped, but may be. */
	g_assert_cmpint(fqueue_stop(victim), ==, -ENOENT);
	fqueue_free(victim);
	victim = fqueue_new(f, 0, 256, 0);
	g_assert_cmpint(nop(victim), ==, 0);
	fqueue_end(victim);
	fqueue_end(other);
	frontend_free(f);
	daemon_stop(p);
}

/* A worker in the midst of a long command dies with its device, and by a stop. */
static void start_long_command(struct frontend *f, struct fqueue *q)
{
	enum { SIDE = 2048 };
	const struct vgpu_matmul dims = {.m = SIDE, .n = SIDE, .k = SIDE};
	const struct vgpu_desc d[3] = {
		{0, 0, 0, SIDE * SIDE * 4}, {0, 0, 0, SIDE * SIDE * 4}, {1, 0, 0, SIDE * SIDE * 4}};
	void *in = frontend_alloc(f, SIDE * SIDE * 4, 4096, NULL);
	void *out = frontend_alloc(f, SIDE * SIDE * 4, 4096, NULL);

	buffer_set_flat(q, 0, VGPU_BUFFER_READ, in, SIDE * SIDE * 4);
	buffer_set_flat(q, 1, VGPU_BUFFER_WRITE, out, SIDE * SIDE * 4);
	/* Far more than could ever be done in the time of the test. */
	for (int i = 0; i < 40; i++)
		fqueue_submit(q, VGPU_CMD_MATMUL, d, 3, &dims, sizeof(dims));
	WAIT_UNTIL(__atomic_load_n(&q->page->in_flight, __ATOMIC_ACQUIRE));
	g_assert_cmpuint(q->page->current_command, ==, VGPU_CMD_MATMUL);
	/* A moment later, or again: one may end just now and the next one begin. */
	WAIT_UNTIL(__atomic_load_n(&q->table[0].users, __ATOMIC_ACQUIRE) == 1);
}

static void test_stop_long(void)
{
	struct daemon_proc *p = daemon_start(NULL);
	struct frontend *f = frontend_new(p, "vm", 64 * MIB);
	struct fqueue *q = fqueue_new(f, 0, 256, 2);

	start_long_command(f, q);
	g_assert_cmpint(fqueue_stop(q), ==, 0);
	g_assert_cmpuint(daemon_worker_count(p), ==, 0);
	fqueue_expect_hup(q);
	fqueue_free(q);
	daemon_expect_log(p, "a request was in flight");
	frontend_free(f);
	daemon_stop(p);
}

static void test_lifeline(void)
{
	struct daemon_proc *p = daemon_start(NULL);
	struct frontend *f = frontend_new(p, "vm", 64 * MIB);
	struct fqueue *idle = fqueue_new(f, 0, 256, 0);
	struct fqueue *busy = fqueue_new(f, 1, 256, 2);

	start_long_command(f, busy);
	fdio_clear(&idle->lifeline);
	fqueue_expect_lost(idle);
	shutdown(busy->lifeline, SHUT_RDWR);
	fqueue_expect_lost(busy);
	daemon_expect_workers(p, 0);
	fqueue_free(idle);
	fqueue_free(busy);
	frontend_free(f);
	daemon_stop(p);
}

static void test_client_vanishes(void)
{
	struct daemon_proc *p = daemon_start(NULL);
	struct frontend *f = frontend_new(p, "vm", 64 * MIB);
	struct fqueue *idle = fqueue_new(f, 0, 256, 0);
	struct fqueue *busy = fqueue_new(f, 1, 256, 2);

	start_long_command(f, busy);
	daemon_expect_workers(p, 2);
	fdio_clear(&f->sock); /* the lifelines stay open: this is the daemon's doing */
	daemon_expect_workers(p, 0);
	daemon_expect_log(p, "its device is gone");
	fqueue_free(idle);
	fqueue_free(busy);
	frontend_free(f);
	daemon_stop(p);
}

/* With no daemon the lifelines alone must do. */
static void test_client_vanishes_without_daemon(void)
{
	struct daemon_proc *p = daemon_start(NULL);
	struct frontend *f = frontend_new(p, "vm", 64 * MIB);
	struct fqueue *idle = fqueue_new(f, 0, 256, 0);
	struct fqueue *busy = fqueue_new(f, 1, 256, 2);

	start_long_command(f, busy);
	daemon_crash(p);
	g_assert_cmpint(nop(idle), ==, 0);
	g_assert_cmpuint(daemon_worker_count(p), ==, 2);
	fqueue_free(idle);
	fqueue_free(busy);
	frontend_free(f);
	daemon_expect_workers(p, 0);
	daemon_stop(p);
}

static void test_sigterm(void)
{
	struct daemon_proc *p = daemon_start(NULL);
	struct frontend *f = frontend_new(p, "vm", 4 * MIB);
	struct fqueue *q = fqueue_new(f, 0, 256, 0);
	struct fqueue *r = fqueue_new_registers(f);

	g_assert_cmpint(nop(q), ==, 0);
	daemon_stop(p); /* checks that nothing is left */
	fqueue_expect_hup(q);
	fqueue_expect_hup(r);
	frontend_expect_closed(f);
	fqueue_free(q);
	fqueue_free(r);
	frontend_free(f);
}

static void test_reset(void)
{
	struct daemon_proc *p = daemon_start(NULL);
	struct frontend *f = frontend_new(p, "vm", 64 * MIB);
	struct fqueue *q[3] = {fqueue_new(f, 0, 256, 2), fqueue_new(f, 5, 256, 0),
			       fqueue_new_registers(f)};

	start_long_command(f, q[0]);
	g_assert_cmpint(frontend_reset(f), ==, 0);
	/* The answer means that they are gone, not that they will be. */
	g_assert_cmpuint(daemon_worker_count(p), ==, 0);
	for (int i = 0; i < 3; i++) {
		fqueue_expect_hup(q[i]);
		g_assert_cmpint(fqueue_stop(q[i]), ==, -ENOENT);
		fqueue_free(q[i]);
	}
	g_assert_cmpint(frontend_reset(f), ==, 0);
	f->ram_used = 0;
	q[0] = fqueue_new(f, 0, 256, 0);
	g_assert_cmpint(nop(q[0]), ==, 0);
	fqueue_end(q[0]);
	frontend_free(f);
	daemon_stop(p);
}

/* A second reset before the first is answered: each gets its own answer. */
static void test_reset_twice(void)
{
	struct daemon_proc *p = daemon_start(NULL);
	struct frontend *f = frontend_new(p, "vm", 64 * MIB);
	struct fqueue *q = fqueue_new(f, 0, 256, 2);

	start_long_command(f, q);
	for (int i = 0; i < 2; i++)
		frontend_send(f, VGPU_MSG_RESET_DEVICE, VGPU_MSG_NEED_REPLY, NULL, 0, NULL, 0);
	for (int i = 0; i < 2; i++) {
		struct vgpu_msg_header h;
		struct vgpu_msg_status s;
		size_t nfds = 0;

		g_assert_true(frontend_recv(f, &h, &s, sizeof(s), NULL, &nfds));
		g_assert_cmpuint(h.request, ==, VGPU_MSG_RESET_DEVICE);
		g_assert_cmpint(s.status, ==, 0);
	}
	g_assert_cmpuint(daemon_worker_count(p), ==, 0);
	fqueue_free(q);
	frontend_free(f);
	daemon_stop(p);
}

static void refused_start(struct frontend *f, struct vgpu_msg_queue_start start, int status,
			  const char *words)
{
	struct fqueue *q = fqueue_prepare(f, 0, 256, 4);
	const struct vgpu_msg_queue_start good = q->start;

	q->start = start;
	if (!start.ring_addr)
		q->start.ring_addr = good.ring_addr;
	q->queue = start.queue;
	g_assert_cmpint(fqueue_start(q), ==, status);
	if (!strstr(q->reason, words))
		g_error("\"%s\" is not in \"%s\"", words, q->reason);
	fqueue_free(q);
}

static void test_refused_starts(void)
{
	struct daemon_proc *p = daemon_start(NULL);
	struct frontend *f = frontend_new(p, "vm", 4 * MIB);
	const struct vgpu_msg_queue_start ok = {.req_slots = 256, .rsp_slots = 256};
	struct vgpu_msg_queue_start s;
	struct fqueue *q;

#define REFUSED(field, value, status, words)        \
	do {                                        \
		s = ok;                             \
		s.field = value;                    \
		refused_start(f, s, status, words); \
	} while (0)
	REFUSED(queue, 16, -EINVAL, "no such queue");
	REFUSED(flags, 2, -EINVAL, "unknown flags");
	REFUSED(flags, VGPU_QUEUE_HOST_RING, -EINVAL, "host ring");
	REFUSED(queue, VGPU_QUEUE_REGISTERS, -EINVAL, "host ring");
	REFUSED(req_slots, 64, -EINVAL, "slots");
	REFUSED(req_slots, 129, -EINVAL, "slots");
	REFUSED(rsp_slots, 8192, -EINVAL, "slots");
	REFUSED(rsp_slots, 0, -EINVAL, "slots");
	REFUSED(nbuffers, VGPU_BUFFERS_MAX + 1, -EINVAL, "buffers");
	REFUSED(ring_addr, FRONTEND_GPA + 64, -EINVAL, "aligned");
	/* Only the worker can judge these. */
	REFUSED(ring_addr, 0x1000, -EFAULT, "ring");
	REFUSED(ring_addr, FRONTEND_GPA + 4 * MIB - 4096, -EFAULT, "ring");
	REFUSED(ring_addr, UINT64_MAX - 4095, -EFAULT, "ring");
	s = ok;
	s.nbuffers = 4;
	s.table_addr = FRONTEND_GPA + 4 * MIB - 128;
	refused_start(f, s, -EFAULT, "table");
	s.table_addr = UINT64_MAX - 63;
	refused_start(f, s, -EFAULT, "table");
	/* A queue can be started once. */
	q = fqueue_new(f, 3, 256, 0);
	REFUSED(queue, 3, -EBUSY, "has a session");
	fqueue_end(q);
	daemon_expect_workers(p, 0);
	frontend_free(f);
	daemon_stop(p);
}

/* kick and call must be what they are said to be. */
static void test_wrong_fds(void)
{
	struct daemon_proc *p = daemon_start(NULL);
	struct frontend *f = frontend_new(p, "vm", 4 * MIB);
	struct fqueue *q = fqueue_prepare(f, 0, 256, 0);
	int pipes[2];

	g_assert_cmpint(pipe2(pipes, O_CLOEXEC), ==, 0);
	close(q->kick);
	q->kick = pipes[0];
	g_assert_cmpint(fqueue_start(q), ==, -EINVAL);
	g_assert_nonnull(strstr(q->reason, "eventfds"));
	close(pipes[1]);
	fqueue_free(q);
	frontend_free(f);
	daemon_stop(p);
}

static void test_limits(void)
{
	struct daemon_proc *p = daemon_start("[backend]\nbackend=cpu\n[limits]\nmax-sessions=2\n"
					     "max-queues=3\nmax-connections=2\n");
	struct frontend *f = frontend_new(p, "vm", 4 * MIB), *g, *h;
	struct fqueue *q[3];

	g_assert_cmpuint(f->hello.max_queues, ==, 3);
	q[0] = fqueue_new(f, 0, 256, 0);
	q[1] = fqueue_new(f, 1, 256, 0);
	q[2] = fqueue_prepare(f, 2, 256, 0);
	g_assert_cmpint(fqueue_start(q[2]), ==, -EUSERS);
	g = frontend_new(p, "two", 0);
	h = frontend_connect(p, "three");
	frontend_expect_closed(h);
	daemon_expect_log(p, "connection refused");
	fqueue_end(q[0]);
	g_assert_cmpint(fqueue_start(q[2]), ==, 0);
	g_assert_cmpint(nop(q[2]), ==, 0);
	fqueue_end(q[1]);
	fqueue_end(q[2]);
	frontend_free(f);
	frontend_free(g);
	frontend_free(h);
	daemon_stop(p);
}

#define TEST(path, fn) g_test_add_func("/host/life/" path, fn)

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	TEST("hello", test_hello);
	TEST("refusals", test_refusals);
	TEST("two-clients", test_two_clients);
	TEST("worker-killed", test_worker_killed);
	TEST("stop-long", test_stop_long);
	TEST("lifeline", test_lifeline);
	TEST("client-vanishes", test_client_vanishes);
	TEST("client-vanishes-without-daemon", test_client_vanishes_without_daemon);
	TEST("sigterm", test_sigterm);
	TEST("reset", test_reset);
	TEST("reset-twice", test_reset_twice);
	TEST("refused-starts", test_refused_starts);
	TEST("wrong-fds", test_wrong_fds);
	TEST("limits", test_limits);
	return g_test_run();
}
