/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A device and a guest that do everything wrong, while another one works on
 * unharmed: each test ends with a proof of that.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fdio.h"
#include "frontend.h"
#include "sanitized.h"

#define MIB (1024u * 1024)
#define RW (VGPU_BUFFER_READ | VGPU_BUFFER_WRITE)
#define N 1024u

struct fixture {
	struct daemon_proc *p;
	struct frontend *good;
	struct fqueue *work;
};

static int nop(struct fqueue *q)
{
	return fqueue_call(q, VGPU_CMD_NOP, NULL, 0, NULL, 0, NULL, 0);
}

static void set_up(struct fixture *x, gconstpointer data)
{
	(void)data;
	x->p = daemon_start("[backend]\nbackend=cpu\n[limits]\nhandshake-timeout=5\n");
	x->good = frontend_new(x->p, "good", 4 * MIB);
	x->work = fqueue_new(x->good, 0, 256, 0);
}

/* The session that was there from the beginning works, and a new one does. */
static void tear_down(struct fixture *x, gconstpointer data)
{
	struct fqueue *q = fqueue_new(x->good, 1, 256, 0);

	(void)data;
	for (int i = 0; i < 100; i++)
		g_assert_cmpint(nop(x->work), ==, 0);
	g_assert_cmpint(nop(q), ==, 0);
	fqueue_end(q);
	fqueue_end(x->work);
	daemon_expect_workers(x->p, 0);
	frontend_free(x->good);
	daemon_stop(x->p);
}

/* ------------------------------------------------------------- the socket */

struct wrong {
	const char *log;
	bool after_hello;
	uint32_t request;
	uint32_t flags; /* instead of the version, if not 0 */
	uint32_t size;
	size_t nfds;
	size_t reserved_at; /* a byte of the payload that is set, if not 0 */
};

static const struct wrong wrongs[] = {
	{"another version", true, VGPU_MSG_RESET_DEVICE, 0x2, 0, 0, 0},
	{"another version", true, VGPU_MSG_RESET_DEVICE, VGPU_MSG_NEED_REPLY, 0, 0, 0},
	{"unknown flags", true, VGPU_MSG_RESET_DEVICE, 0x11, 0, 0, 0},
	{"a reply that nobody asked for", true, VGPU_MSG_RESET_DEVICE, 0x5, 0, 0, 0},
	{"an unknown message", true, 0, 0, 0, 0, 0},
	{"an unknown message", true, VGPU_MSG_QUEUE_LOST, 0, 184, 0, 0},
	{"too short", true, VGPU_MSG_QUEUE_STOP, 0, 15, 0, 0},
	{"too long", true, VGPU_MSG_QUEUE_STOP, 0, 17, 0, 0},
	{"too long", true, VGPU_MSG_RESET_DEVICE, 0, 4, 0, 0},
	{"too short", true, VGPU_MSG_SET_MEM_TABLE, 0, 8 + 40, 1, 0},
	{"too few descriptors", true, VGPU_MSG_QUEUE_START, 0, 40, 1, 0},
	{"too many descriptors", true, VGPU_MSG_QUEUE_START, 0, 40, 3, 0},
	{"too few descriptors", true, VGPU_MSG_ADD_MEM_REG, 0, 48, 0, 0},
	{"too many descriptors", true, VGPU_MSG_RESET_DEVICE, 0, 0, 1, 0},
	{"too few descriptors", true, VGPU_MSG_QUEUE_RESUME, 0, 16, 0, 0},
	{"more descriptors than any message", true, VGPU_MSG_SET_MEM_TABLE, 0, 328, 40, 0},
	{"another number of descriptors", true, VGPU_MSG_SET_MEM_TABLE, 0, 328, 3, 0},
	{"more regions than it says", true, VGPU_MSG_SET_MEM_TABLE, 0, 328, 0, 20},
	{"reserved field", true, VGPU_MSG_SET_MEM_TABLE, 0, 328, 0, 4},
	{"reserved field", true, VGPU_MSG_QUEUE_STOP, 0, 16, 0, 4},
	{"reserved field", true, VGPU_MSG_ADD_MEM_REG, 0, 48, 1, 7},
	{"reserved field", true, VGPU_MSG_REM_MEM_REG, 0, 48, 0, 24},
	{"a second HELLO", true, VGPU_MSG_HELLO, 0, 120, 0, 0},
	{"before HELLO", false, VGPU_MSG_QUEUE_STOP, 0, 16, 0, 0},
	{"before HELLO", false, VGPU_MSG_SET_MEM_TABLE, 0, 328, 0, 0},
	{"reserved field", false, VGPU_MSG_HELLO, 0, 120, 0, 116},
	{"too long", false, VGPU_MSG_HELLO, 0, 1024, 0, 0},
	{"too long", false, VGPU_MSG_HELLO, 0, UINT32_MAX, 0, 0},
};

static void send_wrong(struct frontend *f, const struct wrong *w)
{
	const struct vgpu_msg_header h = {.request = w->request,
					  .flags = w->flags ? w->flags : VGPU_SOCKET_VERSION,
					  .size = w->size};
	uint8_t msg[sizeof(h) + VGPU_MSG_PAYLOAD_MAX] = {0};
	int fds[FDIO_FDS_MAX];

	for (size_t i = 0; i < w->nfds; i++)
		fds[i] = f->sock;
	memcpy(msg, &h, sizeof(h));
	if (w->reserved_at)
		msg[sizeof(h) + w->reserved_at] = 1;
	frontend_send_raw(f, msg, sizeof(h) + MIN(w->size, VGPU_MSG_PAYLOAD_MAX), fds, w->nfds);
}

/* Each mistake costs the connection and its sessions, and the log says which it was. */
static void test_wrong_messages(struct fixture *x, gconstpointer data)
{
	(void)data;
	for (size_t i = 0; i < G_N_ELEMENTS(wrongs); i++) {
		const struct wrong *w = &wrongs[i];
		char *name = g_strdup_printf("bad-%zu", i);
		char *line = g_strdup_printf("vm=%s device disconnected: it ",
					     w->after_hello ? name : "unknown");
		struct frontend *f =
			w->after_hello ? frontend_new(x->p, name, 0) : frontend_connect(x->p, name);

		g_test_message("%zu: %s", i, w->log);
		send_wrong(f, w);
		frontend_expect_closed(f);
		daemon_expect_log(x->p, line);
		daemon_expect_log(x->p, w->log);
		frontend_free(f);
		g_free(name);
		g_free(line);
	}
}

static void test_violation_ends_sessions(struct fixture *x, gconstpointer data)
{
	struct frontend *f = frontend_new(x->p, "bad", 4 * MIB);
	struct fqueue *q = fqueue_new(f, 0, 256, 0);

	(void)data;
	daemon_expect_workers(x->p, 2);
	send_wrong(f, &wrongs[0]);
	fqueue_expect_hup(q);
	daemon_expect_workers(x->p, 1);
	fqueue_free(q);
	frontend_free(f);
}

/* A name without an end. */
static void test_endless_name(struct fixture *x, gconstpointer data)
{
	struct frontend *f = frontend_connect(x->p, "bad");
	struct vgpu_msg_hello h;

	(void)data;
	frontend_fill_hello(f, &h);
	memset(h.name, 'x', sizeof(h.name));
	frontend_send(f, VGPU_MSG_HELLO, 0, &h, sizeof(h), NULL, 0);
	frontend_expect_closed(f);
	daemon_expect_log(x->p, "a HELLO whose name has no end");
	frontend_free(f);
}

/* Right, but a byte at a time, and two at once: the stream has no borders. */
static void test_slow_and_fast(struct fixture *x, gconstpointer data)
{
	struct frontend *f = frontend_connect(x->p, "slow");
	struct __attribute__((packed)) {
		struct vgpu_msg_header h;
		struct vgpu_msg_hello p;
	} hello = {{VGPU_MSG_HELLO, VGPU_SOCKET_VERSION, sizeof(hello.p)}, {0}};
	struct __attribute__((packed)) {
		struct vgpu_msg_header h;
		struct vgpu_msg_queue q;
	} stop[2];
	struct vgpu_msg_hello h0;
	struct vgpu_msg_hello_reply r;
	struct vgpu_msg_queue_reply rq;
	struct vgpu_msg_header h;
	size_t none = 0;

	(void)data;
	frontend_fill_hello(f, &h0);
	hello.p = h0;
	for (size_t i = 0; i < sizeof(hello); i++)
		frontend_send_raw(f, (const uint8_t *)&hello + i, 1, NULL, 0);
	g_assert_true(frontend_recv(f, &h, &r, sizeof(r), NULL, &none));
	g_assert_cmpint(r.status.status, ==, 0);
	for (uint32_t i = 0; i < 2; i++) {
		stop[i].h = (struct vgpu_msg_header){VGPU_MSG_QUEUE_STOP, VGPU_SOCKET_VERSION,
						     sizeof(stop[i].q)};
		stop[i].q = (struct vgpu_msg_queue){.queue = i, .session = 77};
	}
	frontend_send_raw(f, stop, sizeof(stop), NULL, 0);
	for (uint32_t i = 0; i < 2; i++) {
		g_assert_true(frontend_recv(f, &h, &rq, sizeof(rq), NULL, &none));
		g_assert_cmpuint(rq.queue.queue, ==, i);
		g_assert_cmpint(rq.status.status, ==, -ENOENT);
	}
	frontend_free(f);
}

/* Descriptors that come with the payload belong to nothing. */
static void test_late_fds(struct fixture *x, gconstpointer data)
{
	struct frontend *f = frontend_new(x->p, "bad", 0);
	const struct vgpu_msg_header h = {VGPU_MSG_SET_MEM_TABLE, VGPU_SOCKET_VERSION,
					  sizeof(struct vgpu_msg_mem_table)};
	const struct vgpu_msg_mem_table t = {.nregions = 2};
	const int fds[2] = {f->sock, f->sock};

	(void)data;
	frontend_send_raw(f, &h, sizeof(h), NULL, 0);
	frontend_send_raw(f, &t, sizeof(t), fds, 2);
	frontend_expect_closed(f);
	daemon_expect_log(x->p, "descriptors in the midst of a message");
	frontend_free(f);
}

static void test_cut_short(struct fixture *x, gconstpointer data)
{
	struct frontend *silent = frontend_connect(x->p, "silent");
	struct frontend *stuck = frontend_new(x->p, "stuck", 0);
	struct frontend *gone = frontend_new(x->p, "gone", 0);
	const struct vgpu_msg_header h = {VGPU_MSG_QUEUE_STOP, VGPU_SOCKET_VERSION, 16};

	(void)data;
	frontend_send_raw(stuck, &h, sizeof(h), NULL, 0);
	frontend_send_raw(gone, &h, 5, NULL, 0);
	frontend_free(gone);
	daemon_expect_log(x->p, "vm=gone device disconnected: it closed the connection in the "
				"midst of a message");
	frontend_expect_closed(silent);
	daemon_expect_log(x->p, "it did not say HELLO");
	frontend_expect_closed(stuck);
	daemon_expect_log(x->p, "vm=stuck device disconnected: it began a message and did not "
				"end it");
	frontend_free(silent);
	frontend_free(stuck);
}

/* A peer that asks and never listens to the answers. */
static void test_never_reads(struct fixture *x, gconstpointer data)
{
	struct frontend *f = frontend_new(x->p, "deaf", 4 * MIB);
	struct fqueue *q = fqueue_new(f, 0, 256, 0);
	const struct vgpu_msg_queue m = {.queue = 5, .session = 5};
	struct __attribute__((packed)) {
		struct vgpu_msg_header h;
		struct vgpu_msg_queue q;
	} msg = {{VGPU_MSG_QUEUE_STOP, VGPU_SOCKET_VERSION, sizeof(m)}, m};
	ssize_t ret = 0;

	(void)data;
	while (ret >= 0 || ret == -EAGAIN) {
		ret = fdio_send(f->sock, &msg, sizeof(msg), NULL, 0);
		if (ret == -EAGAIN) /* our own buffer is full: the daemon has its hands full */
			g_usleep(1000);
		else if (ret >= 0)
			g_assert_cmpint(ret, ==, sizeof(msg));
	}
	g_assert_true(ret == -EPIPE || ret == -ECONNRESET);
	daemon_expect_log(x->p, "vm=deaf device disconnected: it does not read what is sent to it");
	fqueue_expect_hup(q);
	fqueue_free(q);
	frontend_free(f);
}

static int add_region(struct frontend *f, uint64_t gpa, uint64_t size, uint64_t offset)
{
	const struct vgpu_mem_region r = {.guest_addr = gpa, .size = size, .mmap_offset = offset};

	return frontend_mem_add(f, &r, f->ram_fd);
}

static void test_memory_tables(struct fixture *x, gconstpointer data)
{
	struct frontend *f = frontend_new(x->p, "bad", 4 * MIB);
	struct vgpu_mem_region r = {.guest_addr = 0, .size = 4096, .xen_flags = 1, .domid = 3};
	struct vgpu_mem_region two[2] = {{.guest_addr = 0, .size = 8192},
					 {.guest_addr = 4096, .size = 4096}};
	const int fds[2] = {f->ram_fd, f->ram_fd};
	struct fqueue *q;

	(void)data;
	g_assert_cmpint(add_region(f, 0, 0, 0), ==, -EINVAL);
	g_assert_cmpint(add_region(f, 1, 4096, 0), ==, -EINVAL);
	g_assert_cmpint(add_region(f, 0, 4095, 0), ==, -EINVAL);
	g_assert_cmpint(add_region(f, 0, 4096, 17), ==, -EINVAL);
	g_assert_cmpint(add_region(f, UINT64_MAX - 4095, 4096, 0), ==, -EINVAL);
	g_assert_cmpint(add_region(f, UINT64_MAX - 4095, 8192, 0), ==, -EINVAL);
	g_assert_cmpint(add_region(f, 0, 4096, UINT64_MAX - 4095), ==, -EINVAL);
	g_assert_cmpint(add_region(f, FRONTEND_GPA, 4096, 0), ==, -EEXIST);
	g_assert_cmpint(add_region(f, FRONTEND_GPA - 4096, 4 * MIB + 8192, 0), ==, -EEXIST);
	g_assert_cmpint(frontend_mem_add(f, &r, -1), ==, -EINVAL);
	g_assert_cmpint(frontend_mem_table(f, two, fds, 2), ==, -EEXIST);
	r = (struct vgpu_mem_region){.guest_addr = FRONTEND_GPA, .size = 4096};
	g_assert_cmpint(frontend_mem_remove(f, &r), ==, -ENOENT);
	for (uint32_t i = 1; i < VGPU_MEM_REGIONS_MAX; i++)
		g_assert_cmpint(add_region(f, i * 4096, 4096, i * 4096), ==, 0);
	g_assert_cmpint(add_region(f, MIB, 4096, 0), ==, -E2BIG);
	/* After all that the table is what it was and more. */
	q = fqueue_new(f, 0, 256, 0);
	g_assert_cmpint(nop(q), ==, 0);
	fqueue_end(q);
	frontend_free(f);
}

/* No memory: refused at once.  Memory that cannot be mapped: the session is, the region is named.
 */
static void test_unmappable(struct fixture *x, gconstpointer data)
{
	struct frontend *f = frontend_new(x->p, "bad", 4 * MIB);
	const struct vgpu_mem_region r = {.guest_addr = 0, .size = 4096};
	char *path = g_strdup_printf("/proc/self/fd/%d", f->ram_fd);
	int readonly = open(path, O_RDONLY | O_CLOEXEC);
	struct fqueue *q;

	(void)data;
	g_free(path);
	g_assert_cmpint(readonly, >=, 0);
	g_assert_cmpint(frontend_mem_add(f, &r, f->sock), ==, -EINVAL);
	daemon_expect_log(x->p, "guest RAM must be a memfd");
	g_assert_cmpint(frontend_mem_add(f, &r, readonly), ==, 0);
	close(readonly);
	q = fqueue_prepare(f, 0, 256, 0);
	g_assert_cmpint(fqueue_start(q), ==, -EFAULT);
	daemon_expect_log(x->p, "guest RAM at 0x0, 0x1000 bytes, cannot be mapped");
	fqueue_free(q);
	frontend_free(f);
}

/* Memory that shrinks below a worker's feet is that worker's end alone. */
static void test_shrinking_ram(struct fixture *x, gconstpointer data)
{
	struct frontend *f = frontend_new(x->p, "bad", 4 * MIB);
	struct fqueue *q = fqueue_new(f, 0, 256, 0);

	(void)data;
	g_assert_cmpint(nop(q), ==, 0);
	g_assert_cmpint(ftruncate(f->ram_fd, 0), ==, 0);
	fqueue_kick(q);
	fqueue_expect_lost(q);
	g_test_message("%s", q->reason);
	/* The worker touches it, or is told of memory just then and finds it gone. */
	g_assert_true(strstr(q->reason, SANITIZED ? "status" : "signal 7") ||
		      strstr(q->reason, "memory was taken away"));
	fqueue_free(q);
	frontend_free(f);
}

/* The queue's own memory is taken away by the device. */
static void test_memory_taken(struct fixture *x, gconstpointer data)
{
	struct frontend *f = frontend_new(x->p, "bad", 4 * MIB);
	struct fqueue *q = fqueue_new(f, 0, 256, 0);
	const struct vgpu_mem_region r = {.guest_addr = FRONTEND_GPA, .size = 4 * MIB};

	(void)data;
	g_assert_cmpint(nop(q), ==, 0);
	g_assert_cmpint(frontend_mem_remove(f, &r), ==, 0);
	g_assert_cmpint(fqueue_expect_lost(q), ==, -EFAULT);
	fqueue_free(q);
	frontend_free(f);
}

/* A change that takes the queue's region away and gives it back, in other borders. */
static void test_memory_changed(struct fixture *x, gconstpointer data)
{
	struct frontend *f = frontend_new(x->p, "other", 4 * MIB);
	struct fqueue *q = fqueue_new(f, 0, 256, 0);
	struct vgpu_mem_region r = {.guest_addr = FRONTEND_GPA, .size = 4 * MIB};

	(void)data;
	for (uint64_t size = 4 * MIB; size > 2 * MIB; size -= 64 * 1024) {
		g_assert_cmpint(nop(q), ==, 0);
		r.size = size;
		g_assert_cmpint(frontend_mem_remove(f, &r), ==, 0);
		r.size = size - 64 * 1024;
		g_assert_cmpint(frontend_mem_add(f, &r, f->ram_fd), ==, 0);
	}
	for (int i = 0; i < 100; i++) {
		g_assert_cmpint(nop(q), ==, 0);
		g_usleep(200);
	}
	fqueue_end(q);
	frontend_free(f);
}

/* -------------------------------------------------------------- the rings */

/* Breaks a queue by `spoil`: an error in its header, an interrupt, a loss with a reason. */
static void break_queue(struct frontend *f, void (*spoil)(struct fqueue *q))
{
	struct fqueue *q;
	uint64_t count;

	f->ram_used = 0;
	q = fqueue_new(f, 0, 256, 0);
	g_assert_cmpint(nop(q), ==, 0);
	spoil(q);
	fqueue_kick(q);
	g_assert_cmpint(fqueue_expect_lost(q), ==, -EPROTO);
	fqueue_expect_hup(q);
	g_assert_cmpint((int32_t)q->ring.hdr->error, ==, -EPROTO);
	g_assert_cmpint(read(q->call, &count, sizeof(count)), ==, sizeof(count));
	fqueue_free(q);
}

static void spoil_prod_far(struct fqueue *q)
{
	__atomic_store_n(&q->ring.hdr->req_prod, q->ring.req_prod + 129, __ATOMIC_RELEASE);
}

static void spoil_prod_back(struct fqueue *q)
{
	__atomic_store_n(&q->ring.hdr->req_prod, q->ring.req_prod - 1, __ATOMIC_RELEASE);
}

static void spoil_prod_max(struct fqueue *q)
{
	__atomic_store_n(&q->ring.hdr->req_prod, UINT32_MAX, __ATOMIC_RELEASE);
}

static void spoil_rsp_cons(struct fqueue *q)
{
	__atomic_store_n(&q->ring.hdr->rsp_cons, q->ring.rsp_cons + 1, __ATOMIC_RELEASE);
	fqueue_submit(q, VGPU_CMD_NOP, NULL, 0, NULL, 0);
}

static void spoil_rsp_cons_far(struct fqueue *q)
{
	__atomic_store_n(&q->ring.hdr->rsp_cons, 0x80000000u, __ATOMIC_RELEASE);
	fqueue_submit(q, VGPU_CMD_NOP, NULL, 0, NULL, 0);
}

static void push_length(struct fqueue *q, uint32_t length)
{
	const struct vgpu_request h = {.length = length};

	vgpu_ring_put(q->ring.req, q->ring.req_slots, (uint64_t)q->ring.req_prod * VGPU_SLOT, &h,
		      sizeof(h));
	q->ring.req_prod++;
	__atomic_store_n(&q->ring.hdr->req_prod, q->ring.req_prod, __ATOMIC_RELEASE);
}

static void spoil_length_0(struct fqueue *q)
{
	push_length(q, 0);
}

static void spoil_length_31(struct fqueue *q)
{
	push_length(q, 31);
}

static void spoil_length_4097(struct fqueue *q)
{
	push_length(q, 4097);
}

static void spoil_length_max(struct fqueue *q)
{
	push_length(q, UINT32_MAX);
}

/* More slots than were published. */
static void spoil_length_unpublished(struct fqueue *q)
{
	push_length(q, 65);
}

static void test_broken_rings(struct fixture *x, gconstpointer data)
{
	static void (*const spoils[])(struct fqueue *) = {
		spoil_prod_far,     spoil_prod_back,          spoil_prod_max,  spoil_rsp_cons,
		spoil_rsp_cons_far, spoil_length_0,           spoil_length_31, spoil_length_4097,
		spoil_length_max,   spoil_length_unpublished,
	};
	struct frontend *f = frontend_new(x->p, "bad", 4 * MIB);

	(void)data;
	for (size_t i = 0; i < G_N_ELEMENTS(spoils); i++) {
		g_test_message("spoil %zu", i);
		break_queue(f, spoils[i]);
	}
	frontend_free(f);
}

/* ----------------------------------------------------------- the requests */

static int raw(struct fqueue *q, struct vgpu_request h, const void *rest, size_t length)
{
	union {
		uint8_t bytes[VGPU_RECORD_MAX];
		struct vgpu_response header;
	} r;

	h.id = 0xabcdef0123456789ull;
	fqueue_submit_raw(q, &h, rest, length);
	fqueue_receive(q, &r);
	g_assert_cmpuint(r.header.id, ==, h.id);
	return (int32_t)r.header.status;
}

static void test_odd_requests(struct fixture *x, gconstpointer data)
{
	struct frontend *f = frontend_new(x->p, "bad", 4 * MIB);
	struct fqueue *q = fqueue_new(f, 0, 256, 4);
	static const uint8_t zeros[VGPU_RECORD_MAX];
	const struct vgpu_desc reserved = {.reserved = 1};

	(void)data;
#define RAW(...) raw(q, (struct vgpu_request){__VA_ARGS__}, zeros, 0)
	g_assert_cmpint(RAW(.flags = 1), ==, -EINVAL);
	g_assert_cmpint(RAW(.flags = 0x8000), ==, -EINVAL);
	g_assert_cmpint(RAW(.reserved0 = 1), ==, -EINVAL);
	g_assert_cmpint(RAW(.reserved1 = 1), ==, -EINVAL);
	g_assert_cmpint(RAW(.reserved2 = 1), ==, -EINVAL);
	g_assert_cmpint(RAW(.ndesc = 1), ==, -EINVAL);
	g_assert_cmpint(RAW(.ndesc = 0xffff), ==, -EINVAL);
	g_assert_cmpint(RAW(.command = 0x1234), ==, -EOPNOTSUPP);
	/* Seventeen descriptors that are all there are one too many. */
	g_assert_cmpint(raw(q, (struct vgpu_request){.ndesc = 17}, zeros, 17 * 24), ==, -EINVAL);
	g_assert_cmpint(raw(q, (struct vgpu_request){.ndesc = 16}, zeros, 16 * 24), ==, 0);
	g_assert_cmpint(raw(q, (struct vgpu_request){.ndesc = 1}, &reserved, 24), ==, -EINVAL);
	g_assert_cmpint(raw(q, (struct vgpu_request){.command = VGPU_CMD_NOP}, zeros,
			    VGPU_RECORD_MAX - sizeof(struct vgpu_request)),
			==, 0);
	fqueue_end(q);
	frontend_free(f);
}

static int add(struct fqueue *q, const struct vgpu_desc *d, uint16_t ndesc, uint64_t elements)
{
	const struct vgpu_vector_add body = {elements};

	return fqueue_call(q, VGPU_CMD_VECTOR_ADD, d, ndesc, &body, sizeof(body), NULL, 0);
}

/* VECTOR_ADD with this as its first descriptor, the others being right. */
static int add_with(struct fqueue *q, struct vgpu_desc d)
{
	const struct vgpu_desc all[3] = {d, {1, 0, 0, N * 4}, {2, 0, 0, N * 4}};

	return add(q, all, 3, N);
}

static struct fqueue *with_buffers(struct frontend *f)
{
	struct fqueue *q = fqueue_new(f, 0, 256, 32);

	for (uint32_t i = 0; i < 3; i++)
		buffer_set_flat(q, i, RW, frontend_alloc(f, N * 4, 4096, NULL), N * 4);
	return q;
}

static void test_odd_descriptors(struct fixture *x, gconstpointer data)
{
	struct frontend *f = frontend_new(x->p, "bad", 4 * MIB);
	struct fqueue *q = with_buffers(f);
	struct vgpu_desc d[4] = {{0, 0, 0, N * 4}, {1, 0, 0, N * 4}, {2, 0, 0, N * 4}};

	(void)data;
#define WITH(...) add_with(q, (struct vgpu_desc){__VA_ARGS__})
	g_assert_cmpint(WITH(0, 0, 0, N * 4), ==, 0);
	g_assert_cmpint(WITH(5, 0, 0, N * 4), ==, -ENOENT);
	g_assert_cmpint(WITH(32, 0, 0, N * 4), ==, -ENOENT);
	g_assert_cmpint(WITH(UINT32_MAX, 0, 0, N * 4), ==, -ENOENT);
	g_assert_cmpint(WITH(0, 0, 4, N * 4), ==, -ERANGE);
	g_assert_cmpint(WITH(0, 0, N * 4, N * 4), ==, -ERANGE);
	g_assert_cmpint(WITH(0, 0, UINT64_MAX, N * 4), ==, -ERANGE);
	g_assert_cmpint(WITH(0, 0, UINT64_MAX - N * 4 + 1, N * 4), ==, -ERANGE);
	g_assert_cmpint(WITH(0, 0, 0, N * 4 - 4), ==, -EINVAL);
	g_assert_cmpint(WITH(0, 0, 0, 0), ==, -EINVAL);
	g_assert_cmpint(WITH(0, 0, 0, UINT64_MAX), ==, -EINVAL);
	/* Counts that wrap when they become bytes. */
	g_assert_cmpint(add(q, d, 3, 0), ==, -EINVAL);
	g_assert_cmpint(add(q, d, 3, UINT64_MAX), ==, -EMSGSIZE);
	g_assert_cmpint(add(q, d, 3, (1ull << 62) + N), ==, -EMSGSIZE);
	g_assert_cmpint(add(q, d, 3, (VGPU_BUFFER_BYTES_MAX / 4) + 1), ==, -EMSGSIZE);
	g_assert_cmpint(add(q, d, 3, VGPU_BUFFER_BYTES_MAX / 4), ==, -EINVAL);
	g_assert_cmpint(add(q, d, 2, N), ==, -EINVAL);
	g_assert_cmpint(add(q, d, 4, N), ==, -EINVAL);
	/* Overlap is allowed. */
	d[1].buffer = d[2].buffer = 0;
	g_assert_cmpint(add(q, d, 3, N), ==, 0);
	fqueue_end(q);
	frontend_free(f);
}

/* Buffer 9 with one segment. */
static int add_segment(struct fqueue *q, uint32_t flags, uint64_t gpa, uint64_t length)
{
	const struct fseg seg = {gpa, length};

	buffer_set(q, 9, flags, &seg, 1);
	return add_with(q, (struct vgpu_desc){9, 0, 0, N * 4});
}

static void test_odd_segments(struct fixture *x, gconstpointer data)
{
	struct frontend *f = frontend_new(x->p, "bad", 4 * MIB);
	struct fqueue *q = with_buffers(f);
	uint64_t ram = frontend_gpa(f, frontend_alloc(f, N * 4 + 4096, 4096, NULL));
	const struct fseg misaligned[2] = {{ram, 6}, {ram + 6, N * 4 - 6}};
	struct fseg two[2] = {{ram, N * 2}, {ram, N * 2}};

	(void)data;
	g_assert_cmpint(add_segment(q, RW, ram, N * 4), ==, 0);
	g_assert_cmpint(add_segment(q, VGPU_BUFFER_WRITE, ram, N * 4), ==, -EACCES);
	g_assert_cmpint(add_segment(q, 0, ram, N * 4), ==, -EACCES);
	g_assert_cmpint(add_segment(q, RW | 4, ram, N * 4), ==, -EINVAL);
	g_assert_cmpint(add_segment(q, RW, 0, N * 4), ==, -EFAULT);
	g_assert_cmpint(add_segment(q, RW, FRONTEND_GPA - 4, N * 4), ==, -EFAULT);
	g_assert_cmpint(add_segment(q, RW, FRONTEND_GPA + 4 * MIB - 4, N * 4), ==, -EFAULT);
	g_assert_cmpint(add_segment(q, RW, FRONTEND_GPA + 4 * MIB, N * 4), ==, -EFAULT);
	g_assert_cmpint(add_segment(q, RW, UINT64_MAX - 4, N * 4), ==, -EFAULT);
	g_assert_cmpint(add_segment(q, RW, ram + 2, N * 4), ==, -EINVAL);
	g_assert_cmpint(add_segment(q, RW, ram, UINT64_MAX), ==, -EINVAL);
	g_assert_cmpint(add_segment(q, RW, ram, VGPU_BUFFER_BYTES_MAX + 1ull), ==, -EINVAL);
	g_assert_cmpint(add_segment(q, RW, ram, VGPU_BUFFER_BYTES_MAX), ==, -EFAULT);
	g_assert_cmpint(add_segment(q, RW, ram, 0), ==, -EINVAL);
	buffer_set(q, 9, RW, misaligned, 2);
	g_assert_cmpint(add_with(q, (struct vgpu_desc){9, 0, 0, N * 4}), ==, 0); /* they touch */
	/* The same page twice is allowed: it is the guest's own. */
	buffer_set(q, 9, RW, two, 2);
	g_assert_cmpint(add_with(q, (struct vgpu_desc){9, 0, 0, N * 4}), ==, 0);
	two[0].length = 6;
	two[1].length = N * 4 - 6;
	buffer_set(q, 9, RW, two, 2);
	g_assert_cmpint(add_with(q, (struct vgpu_desc){9, 0, 0, N * 4}), ==, -EINVAL);
	fqueue_end(q);
	frontend_free(f);
}

static uint32_t generation = 1000;

/* Publishes entry 9 again after it was changed by hand, and uses it. */
static int use_entry(struct fqueue *q)
{
	__atomic_store_n(&q->table[9].generation, ++generation, __ATOMIC_RELEASE);
	return add_with(q, (struct vgpu_desc){9, 0, 0, N * 4});
}

static void test_odd_lists(struct fixture *x, gconstpointer data)
{
	struct frontend *f = frontend_new(x->p, "bad", 16 * MIB);
	struct fqueue *q = with_buffers(f);
	struct vgpu_buffer_entry *e = &q->table[9];
	uint64_t ram = frontend_gpa(f, frontend_alloc(f, N * 4, 4096, NULL));
	struct fseg *many = g_new(struct fseg, 1024);
	struct vgpu_segment_page *page;
	uint64_t list;

	(void)data;
	for (uint32_t i = 0; i < 1024; i++)
		many[i] = (struct fseg){ram + 4 * (1023 - i), 4};
	buffer_set(q, 9, RW, many, 1024);
	g_assert_cmpint(use_entry(q), ==, 0);
	page = (void *)(f->ram + (e->list - FRONTEND_GPA));
	list = e->list;
#define SPOILED(lvalue, value, error)                     \
	do {                                              \
		__typeof__(lvalue) saved_ = lvalue;       \
		lvalue = value;                           \
		g_assert_cmpint(use_entry(q), ==, error); \
		lvalue = saved_;                          \
	} while (0)
	SPOILED(e->list, 0, -EFAULT);
	SPOILED(e->list, list + 8, -EFAULT);
	SPOILED(e->list, FRONTEND_GPA + 16 * MIB, -EFAULT);
	SPOILED(e->list, UINT64_MAX - 4095, -EFAULT);
	SPOILED(e->nsegments, 0, -EINVAL);
	SPOILED(e->nsegments, 1023, -EINVAL);
	SPOILED(e->nsegments, UINT32_MAX, -EINVAL);
	SPOILED(e->length, 0, -EINVAL);
	SPOILED(e->length, N * 4 - 4, -EINVAL);
	SPOILED(e->reserved0, 1, -EINVAL);
	SPOILED(page->count, 0, -EINVAL);
	SPOILED(page->count, 254, -EINVAL);
	SPOILED(page->count, 256, -EINVAL);
	SPOILED(page->count, UINT32_MAX, -EINVAL);
	SPOILED(page->reserved, 1, -EINVAL);
	SPOILED(page->next, 0, -EFAULT);
	SPOILED(page->next, list + 1, -EFAULT);
	/* A chain that bites its tail ends when the segments are used up. */
	SPOILED(page->next, list, -EINVAL);
	g_assert_cmpint(use_entry(q), ==, 0);
	/* As many segments as there can be, and one more. */
	e->nsegments = VGPU_SEGMENTS_MAX;
	page->next = list;
	e->length = VGPU_SEGMENTS_MAX * 4ull;
	SPOILED(page->next, list, -EINVAL);
	e->nsegments++;
	g_assert_cmpint(use_entry(q), ==, -EINVAL);
	g_free(many);
	fqueue_end(q);
	frontend_free(f);
}

/* The hand-shake: an entry that is free, or was, is not touched. */
static void test_unregistered(struct fixture *x, gconstpointer data)
{
	struct frontend *f = frontend_new(x->p, "bad", 4 * MIB);
	struct fqueue *q = with_buffers(f);

	(void)data;
	g_assert_cmpint(add_with(q, (struct vgpu_desc){0, 0, 0, N * 4}), ==, 0);
	buffer_unset(q, 0);
	g_assert_cmpint(add_with(q, (struct vgpu_desc){0, 0, 0, N * 4}), ==, -ENOENT);
	for (uint32_t i = 0; i < 3; i++)
		g_assert_cmpuint(q->table[i].users, ==, 0);
	/* Another buffer in the same entry is another one. */
	buffer_set_flat(q, 0, RW, frontend_alloc(f, N * 4, 4096, NULL), N * 2);
	g_assert_cmpint(add_with(q, (struct vgpu_desc){0, 0, 0, N * 4}), ==, -ERANGE);
	fqueue_end(q);
	frontend_free(f);
}

/* ------------------------------------------------------------- the racing */

struct racer {
	struct fqueue *q;
	GThread *thread;
	bool stop;
};

/* Changes what the host reads while it reads it. */
static gpointer race(gpointer data)
{
	struct racer *r = data;
	struct vgpu_buffer_entry *e = r->q->table;
	volatile struct vgpu_segment_page *page =
		(void *)(r->q->f->ram + (e[0].list - FRONTEND_GPA));
	uint32_t n = 0;

	while (!__atomic_load_n(&r->stop, __ATOMIC_RELAXED)) {
		n = n * 1103515245u + 12345u;
		page->seg[0].addr = n & 64 ? FRONTEND_GPA + (n & 0xfff000) : (uint64_t)n << 20;
		page->seg[0].length = n & 128 ? N * 4 : n;
		page->count = n & 256 ? 1 : n;
		__atomic_store_n(&e[0].length, n & 512 ? N * 4 : n, __ATOMIC_RELAXED);
		__atomic_store_n(&e[0].nsegments, n & 1024 ? 1 : n, __ATOMIC_RELAXED);
		__atomic_store_n(&e[0].generation, n & 2048 ? n : 0, __ATOMIC_RELAXED);
	}
	return NULL;
}

static void test_racing_buffers(struct fixture *x, gconstpointer data)
{
	struct frontend *f = frontend_new(x->p, "bad", 32 * MIB);
	struct racer r = {.q = with_buffers(f)};
	unsigned int good = 0;

	(void)data;
	r.thread = g_thread_new("race", race, &r);
	for (int i = 0; i < 3000; i++)
		good += add_with(r.q, (struct vgpu_desc){0, 0, 0, N * 4}) == 0;
	__atomic_store_n(&r.stop, true, __ATOMIC_RELAXED);
	g_thread_join(r.thread);
	g_test_message("%u of 3000 went well", good);
	g_assert_cmpint(nop(r.q), ==, 0);
	fqueue_end(r.q);
	frontend_free(f);
}

/* Random bytes for requests, in right and in wrong frames. */
static void test_random_records(struct fixture *x, gconstpointer data)
{
	struct frontend *f = frontend_new(x->p, "bad", 4 * MIB);
	struct fqueue *q = with_buffers(f);

	(void)data;
	for (int i = 0; i < 5000; i++) {
		uint32_t rest = (uint32_t)g_random_int_range(0, 300);
		struct vgpu_request h = {.command = (uint16_t)g_random_int_range(0, 9),
					 .ndesc = (uint16_t)g_random_int_range(0, 6)};
		uint32_t body[75];

		for (size_t k = 0; k < G_N_ELEMENTS(body); k++)
			body[k] = g_random_boolean() ? (uint32_t)g_random_int_range(0, 40)
						     : g_random_int();
		/* The log is not what is tried here, nor BANDWIDTH's patience. */
		if (h.command != VGPU_CMD_TEXT && h.command != VGPU_CMD_BANDWIDTH)
			raw(q, h, body, rest);
	}
	g_assert_cmpint(nop(q), ==, 0);
	fqueue_end(q);
	frontend_free(f);
}

/* A guest that writes nothing but noise into its log has so much of it and no more. */
static void test_log_flood(struct fixture *x, gconstpointer data)
{
	struct frontend *f = frontend_new(x->p, "noisy", 4 * MIB);
	struct fqueue *q = fqueue_new(f, 0, 4096, 0);
	unsigned int lines = 0;
	char *log, *at;

	(void)data;
	for (int i = 0; i < 5000; i++)
		g_assert_cmpint(fqueue_call(q, VGPU_CMD_TEXT, NULL, 0, "noise", 5, NULL, 0), ==, 0);
	fqueue_end(q);
	g_assert_true(g_file_get_contents(x->p->log, &log, NULL, NULL));
	for (at = log; (at = strstr(at, "\"noise\"")); at++)
		lines++;
	g_assert_cmpuint(lines, >=, 1);
	g_assert_cmpuint(lines, <, 5000);
	g_free(log);
	frontend_free(f);
}

#define TEST(path, fn) \
	g_test_add("/host/hostile/" path, struct fixture, NULL, set_up, fn, tear_down)

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	TEST("socket/wrong-messages", test_wrong_messages);
	TEST("socket/violation-ends-sessions", test_violation_ends_sessions);
	TEST("socket/endless-name", test_endless_name);
	TEST("socket/slow-and-fast", test_slow_and_fast);
	TEST("socket/late-fds", test_late_fds);
	TEST("socket/cut-short", test_cut_short);
	TEST("socket/never-reads", test_never_reads);
	TEST("memory/tables", test_memory_tables);
	TEST("memory/unmappable", test_unmappable);
	TEST("memory/shrinking", test_shrinking_ram);
	TEST("memory/taken", test_memory_taken);
	TEST("memory/changed", test_memory_changed);
	TEST("ring/broken", test_broken_rings);
	TEST("request/odd", test_odd_requests);
	TEST("request/descriptors", test_odd_descriptors);
	TEST("request/segments", test_odd_segments);
	TEST("request/lists", test_odd_lists);
	TEST("request/unregistered", test_unregistered);
	TEST("request/racing", test_racing_buffers);
	TEST("request/random", test_random_records);
	TEST("log-flood", test_log_flood);
	return g_test_run();
}
