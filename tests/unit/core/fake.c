/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * See fake.h.
 */
#include "fake.h"

#include <sys/mman.h>
#include <unistd.h>

#define TRACE(f, ...)                                                    \
	do {                                                             \
		if ((f)->trace)                                          \
			g_string_append_printf((f)->trace, __VA_ARGS__); \
	} while (0)

struct fake_queue *fake_q(struct fake *f, uint32_t id)
{
	g_assert(id == REGQ || id < FAKE_QUEUES);
	return &f->q[id == REGQ ? FAKE_QUEUES : id];
}

/* ------------------------------------------------------------------ callbacks */

static int op_connect(void *opaque)
{
	struct fake *f = opaque;

	f->connects++;
	TRACE(f, "connect\n");
	return f->connect_result;
}

static void op_disconnect(void *opaque)
{
	struct fake *f = opaque;

	f->disconnects++;
	if (f->trace) /* random play: nobody answers what the old connection asked */
		f->taken = f->sent->len;
	TRACE(f, "disconnect\n");
}

static int op_send(void *opaque, const void *data, size_t length, const int *fds, size_t nfds)
{
	struct fake *f = opaque;
	struct sent s = {.nfds = nfds};

	TRACE(f, "send %zu:", length);
	for (size_t i = 0; i < length; i++)
		TRACE(f, "%02x", ((const uint8_t *)data)[i]);
	TRACE(f, " fds %zu\n", nfds);
	if (f->send_result)
		return f->send_result;
	g_assert_cmpuint(length, >=, sizeof(s.h));
	memcpy(&s.h, data, sizeof(s.h));
	g_assert_cmpuint(s.h.size, ==, length - sizeof(s.h));
	g_assert_cmpuint(nfds, <=, VGPU_MSG_FDS_MAX);
	memcpy(s.payload, (const uint8_t *)data + sizeof(s.h), s.h.size);
	for (size_t i = 0; i < nfds; i++)
		s.fds[i] = fds[i];
	g_array_append_val(f->sent, s);
	return 0;
}

static int op_make(void *opaque, uint32_t id, int *kick, int *call)
{
	struct fake *f = opaque;

	TRACE(f, "make %u\n", id);
	if (f->make_result)
		return f->make_result;
	fake_q(f, id)->made++;
	*kick = 500;
	*call = 501;
	return 0;
}

static void op_up(void *opaque, uint32_t id, uint32_t vector)
{
	struct fake *f = opaque;

	TRACE(f, "up %u %u\n", id, vector);
	fake_q(f, id)->up++;
	fake_q(f, id)->vector = vector;
}

static void op_down(void *opaque, uint32_t id)
{
	struct fake *f = opaque;

	TRACE(f, "down %u\n", id);
	fake_q(f, id)->down++;
}

static void op_kick(void *opaque, uint32_t id)
{
	struct fake *f = opaque;

	TRACE(f, "kick %u\n", id);
	fake_q(f, id)->kicks++;
}

static void op_raise(void *opaque, uint32_t vector)
{
	struct fake *f = opaque;

	TRACE(f, "raise %u\n", vector);
	g_assert_cmpuint(vector, <, VGPU_CORE_VECTORS_MAX);
	f->raised[vector]++;
}

static void op_watch(void *opaque, uint32_t id, int fd)
{
	struct fake *f = opaque;

	TRACE(f, "watch %u %d\n", id, fd);
	g_assert_cmpint(fake_q(f, id)->lifeline, ==, -1);
	fake_q(f, id)->lifeline = fd;
	fake_q(f, id)->shut = false;
}

static void op_unwatch(void *opaque, uint32_t id, int fd)
{
	struct fake *f = opaque;

	TRACE(f, "unwatch %u %d\n", id, fd);
	g_assert_cmpint(fake_q(f, id)->lifeline, ==, fd);
	fake_q(f, id)->lifeline = -1;
}

static void op_shutdown(void *opaque, int fd)
{
	struct fake *f = opaque;

	TRACE(f, "shutdown %d\n", fd);
	for (size_t i = 0; i <= FAKE_QUEUES; i++)
		if (f->q[i].lifeline == fd)
			f->q[i].shut = true;
}

static void *op_map(void *opaque, int fd, size_t length)
{
	struct fake *f = opaque;

	TRACE(f, "map %d %zu\n", fd, length);
	g_assert_true(g_hash_table_contains(f->open, GINT_TO_POINTER(fd)));
	g_assert_cmpuint(length, ==, f->ring_bytes);
	return f->map_fails ? NULL
			    : mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, f->ring_fd, 0);
}

static void op_unmap(void *opaque, void *mem, size_t length)
{
	TRACE((struct fake *)opaque, "unmap %zu\n", length);
	munmap(mem, length);
}

static void op_close(void *opaque, int fd)
{
	struct fake *f = opaque;

	TRACE(f, "close %d\n", fd);
	g_assert_true(g_hash_table_remove(f->open, GINT_TO_POINTER(fd)));
}

static void op_log(void *opaque, enum vgpu_log_level level, const char *text)
{
	struct fake *f = opaque;

	TRACE(f, "log %d %s\n", level, text);
	f->logs[level]++;
	g_strlcpy(f->last_log, text, sizeof(f->last_log));
}

static const struct vgpu_core_ops ops = {
	.connect = op_connect,
	.disconnect = op_disconnect,
	.send = op_send,
	.make_queue_fds = op_make,
	.queue_up = op_up,
	.queue_down = op_down,
	.kick = op_kick,
	.raise = op_raise,
	.watch_lifeline = op_watch,
	.unwatch_lifeline = op_unwatch,
	.shutdown_lifeline = op_shutdown,
	.map = op_map,
	.unmap = op_unmap,
	.close_fd = op_close,
	.log = op_log,
};

/* ----------------------------------------------------------------- the device */

static struct fake *make(bool by_domain)
{
	struct vgpu_core_config config = {
		.queues = FAKE_QUEUES, .name = "vm1", .by_domain = by_domain};
	struct fake *f = g_new0(struct fake, 1);

	memset(config.uuid, 0xab, sizeof(config.uuid));
	f->sent = g_array_new(FALSE, TRUE, sizeof(struct sent));
	f->open = g_hash_table_new(NULL, NULL);
	f->next_fd = 1000;
	for (size_t i = 0; i <= FAKE_QUEUES; i++)
		f->q[i].lifeline = -1;
	f->ring_bytes = vgpu_ring_bytes(VGPU_SLOTS_MIN, VGPU_SLOTS_MIN);
	f->ring_fd = memfd_create("ring", MFD_CLOEXEC);
	g_assert_cmpint(ftruncate(f->ring_fd, (off_t)f->ring_bytes), ==, 0);
	f->ring = mmap(NULL, f->ring_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, f->ring_fd, 0);
	g_assert(f->ring != MAP_FAILED);
	f->c = vgpu_core_new(&config, &ops, f);
	g_assert_nonnull(f->c);
	return f;
}

struct fake *fake_new(void)
{
	return make(false);
}

struct fake *fake_new_xen(void)
{
	return make(true);
}

void fake_free(struct fake *f)
{
	vgpu_core_free(f->c);
	g_assert_cmpuint(g_hash_table_size(f->open), ==, 0);
	for (size_t i = 0; i <= FAKE_QUEUES; i++)
		g_assert_cmpint(f->q[i].lifeline, ==, -1);
	g_hash_table_destroy(f->open);
	g_array_free(f->sent, TRUE);
	munmap(f->ring, f->ring_bytes);
	close(f->ring_fd);
	g_free(f);
}

uint32_t reg(struct fake *f, uint32_t offset)
{
	return vgpu_core_read(f->c, offset, 4);
}

void set_reg(struct fake *f, uint32_t offset, uint32_t value)
{
	vgpu_core_write(f->c, offset, value, 4);
}

void pass(struct fake *f, int64_t ms)
{
	int64_t end = f->now + ms;

	while (vgpu_core_deadline(f->c) <= end) {
		f->now = MAX(f->now, vgpu_core_deadline(f->c));
		vgpu_core_time(f->c, f->now);
		vgpu_core_tick(f->c);
	}
	f->now = end;
	vgpu_core_time(f->c, end);
}

/* ------------------------------------------------------------------ the daemon */

const struct sent *expect(struct fake *f, uint32_t request)
{
	const struct sent *s;

	g_assert_cmpuint(f->taken, <, f->sent->len);
	s = &g_array_index(f->sent, struct sent, f->taken++);
	g_assert_cmphex(s->h.request, ==, request);
	return s;
}

void expect_nothing(struct fake *f)
{
	g_assert_cmpuint(f->taken, ==, f->sent->len);
}

int new_fd(struct fake *f)
{
	g_hash_table_add(f->open, GINT_TO_POINTER(f->next_fd));
	return f->next_fd++;
}

void receive(struct fake *f, uint32_t request, uint32_t flags, const void *payload, size_t size,
	     const int *fds, size_t nfds)
{
	struct vgpu_msg_header h = {request, flags, (uint32_t)size};
	uint8_t buf[sizeof(h) + VGPU_MSG_PAYLOAD_MAX];

	memcpy(buf, &h, sizeof(h));
	if (size)
		memcpy(buf + sizeof(h), payload, size);
	vgpu_core_receive(f->c, buf, sizeof(h) + size, fds, nfds);
}

#define REPLY (VGPU_SOCKET_VERSION | VGPU_MSG_REPLY)

struct vgpu_msg_hello_reply good_hello(void)
{
	return (struct vgpu_msg_hello_reply){
		.protocol_version = VGPU_PROTOCOL_VERSION,
		.abi_version = VGPU_ABI_VERSION,
		.max_queues = 1000,
		.backend = VGPU_BACKEND_CPU,
		.features = VGPU_F_ALL,
		.protocol_features = VGPU_PF_ALL,
	};
}

void answer_hello(struct fake *f, const struct vgpu_msg_hello_reply *r)
{
	receive(f, VGPU_MSG_HELLO, REPLY, r, sizeof(*r), NULL, 0);
}

static struct vgpu_msg_status status_of(int status)
{
	struct vgpu_msg_status s = {.status = status};

	if (status)
		g_strlcpy(s.reason, "because", sizeof(s.reason));
	return s;
}

void answer(struct fake *f, uint32_t request, int status)
{
	struct vgpu_msg_status s = status_of(status);

	receive(f, request, REPLY, &s, sizeof(s), NULL, 0);
}

void answer_start(struct fake *f, uint32_t q, uint64_t session, int status)
{
	struct vgpu_msg_queue_start_reply r = {
		.status = status_of(status), .queue = q, .session = session};
	int fds[3];
	size_t nfds = status ? 0 : q == REGQ ? 3 : 2;

	for (size_t i = 0; i < nfds; i++)
		fds[i] = new_fd(f);
	if (q == REGQ) {
		memset(f->ring, 0, f->ring_bytes);
		f->req_cons = f->rsp_prod = 0;
	}
	receive(f, VGPU_MSG_QUEUE_START, REPLY, &r, sizeof(r), fds, nfds);
}

void answer_queue(struct fake *f, uint32_t request, uint32_t q, uint64_t session, int status)
{
	struct vgpu_msg_queue_reply r = {.status = status_of(status),
					 .queue = {.queue = q, .session = session}};

	receive(f, request, request == VGPU_MSG_QUEUE_LOST ? VGPU_SOCKET_VERSION : REPLY, &r,
		sizeof(r), NULL, 0);
}

/* ------------------------------------------------------------------- sequences */

void set_ram(struct fake *f, size_t n)
{
	struct vgpu_core_region r[VGPU_MEM_REGIONS_MAX + 8];

	memset(r, 0, sizeof(r));
	for (size_t i = 0; i < n; i++) {
		r[i].guest_addr = i << 24;
		r[i].size = 1 << 20;
		r[i].offset = i << 20;
		r[i].fd = 100 + (int)i;
	}
	vgpu_core_set_memory(f->c, r, n);
}

void link_up_again(struct fake *f)
{
	struct vgpu_msg_hello_reply r = good_hello();

	pass(f, 100);
	expect(f, VGPU_MSG_HELLO);
	answer_hello(f, &r);
	expect(f, VGPU_MSG_SET_MEM_TABLE);
	answer(f, VGPU_MSG_SET_MEM_TABLE, 0);
}

struct fake *fake_up(void)
{
	struct vgpu_msg_hello_reply r = good_hello();
	struct fake *f = fake_new();

	set_ram(f, 1);
	vgpu_core_start(f->c);
	expect(f, VGPU_MSG_HELLO);
	answer_hello(f, &r);
	expect(f, VGPU_MSG_SET_MEM_TABLE);
	answer(f, VGPU_MSG_SET_MEM_TABLE, 0);
	g_assert_true(vgpu_core_link_up(f->c));
	set_reg(f, VGPU_REG_INT_STATUS, VGPU_INT_ALL);
	return f;
}

void accept_features(struct fake *f)
{
	set_reg(f, VGPU_REG_DRIVER_FEATURES_LO, VGPU_F_ALL);
	set_reg(f, VGPU_REG_CONTROL, VGPU_CONTROL_FEATURES_OK);
	g_assert_cmphex(reg(f, VGPU_REG_CONTROL), ==, VGPU_CONTROL_FEATURES_OK);
}

void set_up_queue(struct fake *f, uint32_t q)
{
	set_reg(f, VGPU_REG_QUEUE_SELECT, q);
	set_reg(f, VGPU_REG_QUEUE_ADDR_LO, 0x10000);
	set_reg(f, VGPU_REG_QUEUE_ADDR_HI, 0);
	set_reg(f, VGPU_REG_QUEUE_REQ_SLOTS, 512);
	set_reg(f, VGPU_REG_QUEUE_RSP_SLOTS, 256);
	set_reg(f, VGPU_REG_QUEUE_TABLE_LO, 0x40000);
	set_reg(f, VGPU_REG_QUEUE_TABLE_HI, 0);
	set_reg(f, VGPU_REG_QUEUE_BUFFERS, 16);
	set_reg(f, VGPU_REG_QUEUE_VECTOR, q + 1);
	set_reg(f, VGPU_REG_QUEUE_TAG, 77);
}

void control(struct fake *f, uint32_t q, uint32_t what)
{
	set_reg(f, VGPU_REG_QUEUE_SELECT, q);
	set_reg(f, VGPU_REG_QUEUE_CONTROL, what);
}

uint32_t state(struct fake *f, uint32_t q)
{
	set_reg(f, VGPU_REG_QUEUE_SELECT, q);
	return reg(f, VGPU_REG_QUEUE_STATE);
}

int queue_error(struct fake *f, uint32_t q)
{
	set_reg(f, VGPU_REG_QUEUE_SELECT, q);
	return (int)reg(f, VGPU_REG_QUEUE_ERROR);
}

void run_queue(struct fake *f, uint32_t q, uint64_t session)
{
	if (!reg(f, VGPU_REG_CONTROL))
		accept_features(f);
	set_up_queue(f, q);
	control(f, q, VGPU_QUEUE_START);
	expect(f, VGPU_MSG_QUEUE_START);
	answer_start(f, q, session, 0);
	g_assert_cmpuint(state(f, q), ==, VGPU_QUEUE_STATE_RUNNING);
	set_reg(f, VGPU_REG_INT_STATUS, VGPU_INT_ALL);
}

void drop_link(struct fake *f)
{
	vgpu_core_disconnected(f->c);
	g_assert_false(vgpu_core_link_up(f->c));
}

/* ------------------------------------------------------------------ the worker */

bool worker_take(struct fake *f, struct vgpu_request *rq, void *body, size_t *length)
{
	struct vgpu_queue_header *h = (void *)f->ring;
	const uint8_t *ring = f->ring + VGPU_PAGE;
	uint64_t pos = (uint64_t)f->req_cons * VGPU_SLOT;

	if (h->req_prod == f->req_cons)
		return false;
	vgpu_ring_get(ring, VGPU_SLOTS_MIN, pos, rq, sizeof(*rq));
	*length = rq->length - sizeof(*rq);
	vgpu_ring_get(ring, VGPU_SLOTS_MIN, pos + sizeof(*rq), body, *length);
	f->req_cons += vgpu_slots_of(rq->length);
	h->req_cons = f->req_cons;
	return true;
}

void worker_answer(struct fake *f, const struct vgpu_request *rq, int status, const void *body,
		   size_t length)
{
	struct vgpu_queue_header *h = (void *)f->ring;
	uint8_t *ring = f->ring + VGPU_PAGE + VGPU_SLOTS_MIN * VGPU_SLOT;
	uint64_t pos = (uint64_t)f->rsp_prod * VGPU_SLOT;
	struct vgpu_response rsp = {
		.length = (uint32_t)(sizeof(rsp) + length),
		.status = (uint32_t)status,
		.id = rq->id,
		.command = rq->command,
	};

	vgpu_ring_put(ring, VGPU_SLOTS_MIN, pos, &rsp, sizeof(rsp));
	if (length)
		vgpu_ring_put(ring, VGPU_SLOTS_MIN, pos + sizeof(rsp), body, length);
	f->rsp_prod += vgpu_slots_of(rsp.length);
	h->rsp_prod = f->rsp_prod;
	vgpu_core_call(f->c, REGQ);
}

void expect_reason(struct fake *f, const char *words)
{
	char text[VGPU_REASON_TEXT_MAX];

	for (uint32_t i = 0; i < sizeof(text) / 4; i++) {
		uint32_t value;

		set_reg(f, VGPU_REG_REASON_SELECT, i);
		value = reg(f, VGPU_REG_REASON);
		memcpy(text + 4 * i, &value, 4);
	}
	g_assert_nonnull(memchr(text, 0, sizeof(text)));
	if (words)
		g_assert_nonnull(strstr(text, words));
	else
		g_assert_cmpstr(text, ==, "");
	for (size_t i = strlen(text); i < sizeof(text); i++)
		g_assert_cmpint(text[i], ==, 0);
	set_reg(f, VGPU_REG_REASON_SELECT, sizeof(text) / 4);
	g_assert_cmphex(reg(f, VGPU_REG_REASON), ==, 0);
	set_reg(f, VGPU_REG_REASON_SELECT, UINT32_MAX);
	g_assert_cmphex(reg(f, VGPU_REG_REASON), ==, 0);
}
