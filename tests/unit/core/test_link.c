/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The connection: agreement and refusals, back-off, framing.
 */
#include "fake.h"

static void test_hello(void)
{
	struct fake *f = fake_new();
	struct vgpu_msg_hello_reply r = good_hello();
	struct vgpu_msg_hello m;
	const struct sent *s;

	set_ram(f, 1);
	vgpu_core_start(f->c);
	s = expect(f, VGPU_MSG_HELLO);
	g_assert_cmphex(s->h.flags, ==, VGPU_SOCKET_VERSION | VGPU_MSG_NEED_REPLY);
	g_assert_cmpuint(s->h.size, ==, sizeof(m));
	memcpy(&m, s->payload, sizeof(m));
	g_assert_cmphex(m.magic, ==, VGPU_HELLO_MAGIC);
	g_assert_cmpuint(m.protocol_version, ==, VGPU_PROTOCOL_VERSION);
	g_assert_cmphex(m.abi_version, ==, VGPU_ABI_VERSION);
	g_assert_cmpuint(m.max_queues, ==, FAKE_QUEUES);
	g_assert_cmphex(m.features, ==, VGPU_F_ALL);
	g_assert_cmphex(m.protocol_features, ==, VGPU_PF_ALL);
	g_assert_cmpstr(m.name, ==, "vm1");
	g_assert_cmphex(m.uuid[15], ==, 0xab);
	g_assert_cmphex(m.flags | m.reserved, ==, 0);
	expect_nothing(f);

	r.max_queues = 2;
	answer_hello(f, &r);
	expect(f, VGPU_MSG_SET_MEM_TABLE);
	g_assert_false(vgpu_core_link_up(f->c)); /* not before the memory is known */
	set_reg(f, VGPU_REG_INT_STATUS, VGPU_INT_ALL);
	answer(f, VGPU_MSG_SET_MEM_TABLE, 0);
	g_assert_cmphex(reg(f, VGPU_REG_STATUS), ==, VGPU_STATUS_LINK | VGPU_STATUS_QUEUES);
	g_assert_cmphex(reg(f, VGPU_REG_INT_STATUS), ==, VGPU_INT_LINK);
	g_assert_cmpuint(reg(f, VGPU_REG_MAX_QUEUES), ==, 2);
	fake_free(f);
}

/* No RAM to tell of: the link is up with the HELLO. */
static void test_hello_unshared(void)
{
	struct fake *f = fake_new();
	struct vgpu_msg_hello_reply r = good_hello();

	vgpu_core_start(f->c);
	expect(f, VGPU_MSG_HELLO);
	answer_hello(f, &r);
	expect_nothing(f);
	g_assert_cmphex(reg(f, VGPU_REG_STATUS), ==, VGPU_STATUS_LINK | VGPU_STATUS_UNSHARED);
	fake_free(f);
}

static void refuse_with(const struct vgpu_msg_hello_reply *r, const char *words)
{
	struct fake *f = fake_new();

	set_ram(f, 1);
	vgpu_core_start(f->c);
	expect(f, VGPU_MSG_HELLO);
	expect_reason(f, NULL);
	answer_hello(f, r);
	expect_nothing(f);
	g_assert_cmpuint(f->disconnects, ==, 1);
	g_assert_cmphex(reg(f, VGPU_REG_STATUS), ==, VGPU_STATUS_REFUSED | VGPU_STATUS_QUEUES);
	expect_reason(f, words);
	set_reg(f, VGPU_REG_COMMAND, VGPU_CMD_NOP);
	g_assert_cmpint((int32_t)reg(f, VGPU_REG_RESULT), ==, -ECONNREFUSED);
	g_assert_cmpuint(f->logs[VGPU_LOG_ERROR], ==, 1);
	g_assert_nonnull(strstr(f->last_log, words));

	/* Again after five seconds, not sooner; the same words are not logged again. */
	pass(f, 4999);
	expect_nothing(f);
	pass(f, 1);
	expect(f, VGPU_MSG_HELLO);
	answer_hello(f, r);
	g_assert_cmpuint(f->logs[VGPU_LOG_ERROR], ==, 1);

	/* A daemon that fits ends it. */
	pass(f, 5000);
	expect(f, VGPU_MSG_HELLO);
	struct vgpu_msg_hello_reply good = good_hello();
	answer_hello(f, &good);
	answer(f, VGPU_MSG_SET_MEM_TABLE, 0);
	g_assert_cmphex(reg(f, VGPU_REG_STATUS) & ~(VGPU_STATUS_DONE | VGPU_STATUS_ERROR), ==,
			VGPU_STATUS_LINK | VGPU_STATUS_QUEUES);
	expect_reason(f, NULL);
	fake_free(f);
}

static void test_refusals(void)
{
	struct vgpu_msg_hello_reply r = good_hello();

	r.status.status = -EACCES;
	strcpy(r.status.reason, "no policy\nfor you");
	refuse_with(&r, "no policy?for you");
	r = good_hello();
	r.protocol_version++;
	refuse_with(&r, "socket protocol");
	r = good_hello();
	r.abi_version += 1 << 16;
	refuse_with(&r, "ABI");
	r = good_hello();
	r.features = 1ull << 40;
	refuse_with(&r, "not offered");
	r = good_hello();
	r.protocol_features |= VGPU_PF_XEN_MMAP;
	refuse_with(&r, "not offered");
	r = good_hello();
	r.protocol_features &= ~VGPU_PF_INFLIGHT;
	refuse_with(&r, "lacks protocol features");
}

/* A refusal may end after the status: the rest may look otherwise in another version. */
static void test_short_refusal(void)
{
	struct vgpu_msg_status s = {.status = -EPROTONOSUPPORT, .reason = "too new"};
	struct fake *f = fake_new();

	vgpu_core_start(f->c);
	receive(f, VGPU_MSG_HELLO, 5, &s, sizeof(s), NULL, 0);
	g_assert_true(reg(f, VGPU_REG_STATUS) & VGPU_STATUS_REFUSED);
	fake_free(f);
}

/* A restarted daemon that knows less than the guest uses already. */
static void test_fewer_features(void)
{
	struct fake *f = fake_up();
	struct vgpu_msg_hello_reply r = good_hello();

	accept_features(f);
	drop_link(f);
	pass(f, 100);
	expect(f, VGPU_MSG_HELLO);
	r.features = VGPU_F_QUEUES;
	answer_hello(f, &r);
	g_assert_true(reg(f, VGPU_REG_STATUS) & VGPU_STATUS_REFUSED);
	g_assert_nonnull(strstr(f->last_log, "already uses"));
	fake_free(f);
}

static void test_memory_refused(void)
{
	struct fake *f = fake_new();
	struct vgpu_msg_hello_reply r = good_hello();

	set_ram(f, 1);
	vgpu_core_start(f->c);
	answer_hello(f, &r);
	answer(f, VGPU_MSG_SET_MEM_TABLE, -EINVAL);
	g_assert_true(reg(f, VGPU_REG_STATUS) & VGPU_STATUS_REFUSED);
	g_assert_cmpuint(f->disconnects, ==, 1);
	fake_free(f);
}

/* 100 ms, doubling to 5 s; one line of log for all of it. */
static void test_backoff(void)
{
	static const int64_t waits[] = {100, 200, 400, 800, 1600, 3200, 5000, 5000, 5000};
	struct fake *f = fake_new();
	int64_t at = 0;

	f->connect_result = -ECONNREFUSED;
	vgpu_core_start(f->c);
	g_assert_cmpuint(f->connects, ==, 1);
	for (size_t i = 0; i < G_N_ELEMENTS(waits); i++) {
		at += waits[i];
		g_assert_cmpint(vgpu_core_deadline(f->c), ==, at);
		pass(f, waits[i] - 1);
		g_assert_cmpuint(f->connects, ==, i + 1);
		pass(f, 1);
		g_assert_cmpuint(f->connects, ==, i + 2);
	}
	g_assert_cmpuint(f->logs[VGPU_LOG_WARNING], ==, 1);

	/* An agreed link starts the series again. */
	f->connect_result = 0;
	pass(f, 5000);
	struct vgpu_msg_hello_reply r = good_hello();
	answer_hello(f, &r);
	g_assert_true(vgpu_core_link_up(f->c));
	drop_link(f);
	g_assert_cmpint(vgpu_core_deadline(f->c), ==, f->now + 100);
	g_assert_cmpuint(f->logs[VGPU_LOG_WARNING], ==, 2);
	fake_free(f);
}

static void test_shell_connects_later(void)
{
	struct fake *f = fake_new();

	f->connect_result = -EINPROGRESS;
	vgpu_core_start(f->c);
	expect_nothing(f);
	g_assert_cmpint(vgpu_core_deadline(f->c), ==, INT64_MAX);
	vgpu_core_connected(f->c);
	expect(f, VGPU_MSG_HELLO);
	vgpu_core_disconnected(f->c);
	g_assert_cmpint(vgpu_core_deadline(f->c), ==, f->now + 100);
	vgpu_core_connected(f->c); /* of its own accord, as a chardev may */
	expect(f, VGPU_MSG_HELLO);
	fake_free(f);
}

static void test_silent_daemon(void)
{
	struct fake *f = fake_new();

	vgpu_core_start(f->c);
	expect(f, VGPU_MSG_HELLO);
	pass(f, 9999);
	g_assert_cmpuint(f->disconnects, ==, 0);
	pass(f, 1);
	g_assert_cmpuint(f->disconnects, ==, 1);
	g_assert_nonnull(strstr(f->last_log, "no answer"));
	fake_free(f);
}

static void test_send_fails(void)
{
	struct fake *f = fake_up();

	accept_features(f);
	set_up_queue(f, 0);
	f->send_result = -ENOBUFS;
	control(f, 0, VGPU_QUEUE_START);
	g_assert_false(vgpu_core_link_up(f->c));
	g_assert_cmpuint(state(f, 0), ==, VGPU_QUEUE_STATE_FAILED);
	g_assert_cmpint(queue_error(f, 0), ==, -ENOTCONN);
	fake_free(f);
}

/* One byte at a time, and never more wanted than the message has. */
static void test_fragments(void)
{
	struct fake *f = fake_new();
	struct vgpu_msg_hello_reply r = good_hello();
	struct vgpu_msg_header h = {VGPU_MSG_HELLO, 5, sizeof(r)};
	uint8_t buf[sizeof(h) + sizeof(r)];

	memcpy(buf, &h, sizeof(h));
	memcpy(buf + sizeof(h), &r, sizeof(r));
	vgpu_core_start(f->c);
	for (size_t i = 0; i < sizeof(buf); i++) {
		g_assert_false(vgpu_core_link_up(f->c));
		g_assert_cmpuint(vgpu_core_want(f->c), ==,
				 i < sizeof(h) ? sizeof(h) - i : sizeof(buf) - i);
		vgpu_core_receive(f->c, buf + i, 1, NULL, 0);
	}
	g_assert_true(vgpu_core_link_up(f->c));
	fake_free(f);
}

struct bad {
	const char *what;
	uint32_t request, flags;
	size_t size, nfds;
};

static const struct bad bads[] = {
	{"unknown message", 0x999, 5, 0, 0},
	{"wrong version", VGPU_MSG_RESET_DEVICE, 6, 168, 0},
	{"no version", VGPU_MSG_RESET_DEVICE, 4, 168, 0},
	{"not a reply", VGPU_MSG_RESET_DEVICE, 1, 168, 0},
	{"unknown flag", VGPU_MSG_RESET_DEVICE, 0x15, 168, 0},
	{"need-reply on a reply", VGPU_MSG_RESET_DEVICE, 0xd, 168, 0},
	{"too long", VGPU_MSG_RESET_DEVICE, 5, VGPU_MSG_PAYLOAD_MAX + 1, 0},
	{"short", VGPU_MSG_QUEUE_LOST, 1, 183, 0},
	{"long", VGPU_MSG_QUEUE_LOST, 1, 185, 0},
	{"descriptors of a loss", VGPU_MSG_QUEUE_LOST, 1, 184, 1},
	{"a loss as a reply", VGPU_MSG_QUEUE_LOST, 5, 184, 0},
	{"reset nobody asked for", VGPU_MSG_RESET_DEVICE, 5, 168, 0},
	{"memory nobody sent", VGPU_MSG_ADD_MEM_REG, 5, 168, 0},
	{"start nobody asked for", VGPU_MSG_QUEUE_START, 5, 184, 2},
	{"stop nobody asked for", VGPU_MSG_QUEUE_STOP, 5, 184, 0},
	{"resume nobody asked for", VGPU_MSG_QUEUE_RESUME, 5, 184, 0},
	{"second hello", VGPU_MSG_HELLO, 5, 200, 0},
	{"too many descriptors", VGPU_MSG_QUEUE_START, 5, 184, 9},
};

static void test_bad_messages(void)
{
	static uint8_t payload[VGPU_MSG_PAYLOAD_MAX + 1];

	for (size_t i = 0; i < G_N_ELEMENTS(bads); i++) {
		struct fake *f = fake_up();
		struct vgpu_msg_header h = {bads[i].request, bads[i].flags, (uint32_t)bads[i].size};
		int fds[9];

		g_test_message("%s", bads[i].what);
		for (size_t k = 0; k < bads[i].nfds; k++)
			fds[k] = new_fd(f);
		vgpu_core_receive(f->c, &h, sizeof(h), fds, bads[i].nfds);
		if (vgpu_core_link_up(f->c))
			vgpu_core_receive(f->c, payload, bads[i].size, NULL, 0);
		g_assert_false(vgpu_core_link_up(f->c));
		g_assert_cmpuint(f->disconnects, ==, 1);
		g_assert_cmpuint(g_hash_table_size(f->open), ==, 0);
		fake_free(f);
	}
}

static void test_fds_out_of_place(void)
{
	struct fake *f = fake_up();
	struct vgpu_msg_header h = {VGPU_MSG_QUEUE_LOST, 1, 184};
	int fd = new_fd(f);

	vgpu_core_receive(f->c, &h, 4, NULL, 0);
	vgpu_core_receive(f->c, (uint8_t *)&h + 4, 8, &fd, 1);
	g_assert_false(vgpu_core_link_up(f->c));
	g_assert_cmpuint(g_hash_table_size(f->open), ==, 0);

	/* Twice for the same first byte. */
	link_up_again(f);
	fd = new_fd(f);
	vgpu_core_receive(f->c, &h, 0, &fd, 1);
	fd = new_fd(f);
	vgpu_core_receive(f->c, &h, sizeof(h), &fd, 1);
	g_assert_false(vgpu_core_link_up(f->c));
	/* What still arrives for a closed connection is dropped. */
	fd = new_fd(f);
	vgpu_core_receive(f->c, &h, sizeof(h), &fd, 1);
	g_assert_cmpuint(g_hash_table_size(f->open), ==, 0);
	fake_free(f);
}

/* Bytes behind the message that ended a connection are not the next one's. */
static void test_rest_is_void(void)
{
	struct fake *f = fake_up();
	struct vgpu_msg_header h[2] = {{0x999, 5, 0}, {VGPU_MSG_RESET_DEVICE, 5, 168}};

	vgpu_core_receive(f->c, h, sizeof(h), NULL, 0);
	pass(f, 100);
	expect(f, VGPU_MSG_HELLO);
	g_assert_cmpuint(vgpu_core_want(f->c), ==, sizeof(*h));
	fake_free(f);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/link/hello", test_hello);
	g_test_add_func("/link/hello-unshared", test_hello_unshared);
	g_test_add_func("/link/refusals", test_refusals);
	g_test_add_func("/link/short-refusal", test_short_refusal);
	g_test_add_func("/link/fewer-features", test_fewer_features);
	g_test_add_func("/link/memory-refused", test_memory_refused);
	g_test_add_func("/link/backoff", test_backoff);
	g_test_add_func("/link/shell-connects-later", test_shell_connects_later);
	g_test_add_func("/link/silent-daemon", test_silent_daemon);
	g_test_add_func("/link/send-fails", test_send_fails);
	g_test_add_func("/link/fragments", test_fragments);
	g_test_add_func("/link/bad-messages", test_bad_messages);
	g_test_add_func("/link/fds-out-of-place", test_fds_out_of_place);
	g_test_add_func("/link/rest-is-void", test_rest_is_void);
	return g_test_run();
}
