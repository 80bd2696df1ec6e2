/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Commands by registers, with a real ring and this test as the worker.
 */
#include "fake.h"

#define BUSY VGPU_STATUS_BUSY
#define DONE VGPU_STATUS_DONE
#define ERROR VGPU_STATUS_ERROR
#define COMMAND_BITS (BUSY | DONE | ERROR)

static uint32_t command_status(struct fake *f)
{
	return reg(f, VGPU_REG_STATUS) & COMMAND_BITS;
}

static void assert_failed(struct fake *f, int error)
{
	g_assert_cmphex(command_status(f), ==, DONE | ERROR);
	g_assert_cmpint((int)reg(f, VGPU_REG_RESULT), ==, error);
	g_assert_cmpuint(reg(f, VGPU_REG_RESULT_LENGTH), ==, 0);
	g_assert_true(reg(f, VGPU_REG_INT_STATUS) & VGPU_INT_COMMAND);
	set_reg(f, VGPU_REG_INT_STATUS, VGPU_INT_ALL);
}

/* A command that a session serves; the session is there afterwards. */
static struct fake *fake_running(uint64_t session)
{
	struct fake *f = fake_up();

	set_reg(f, VGPU_REG_COMMAND, VGPU_CMD_NOP);
	expect(f, VGPU_MSG_QUEUE_START);
	answer_start(f, REGQ, session, 0);
	g_assert_cmphex(command_status(f), ==, BUSY);
	return f;
}

static void serve(struct fake *f, int status)
{
	struct vgpu_request rq;
	uint8_t body[VGPU_RECORD_MAX];
	size_t length;

	g_assert_true(worker_take(f, &rq, body, &length));
	worker_answer(f, &rq, status, NULL, 0);
}

static void test_whole_path(void)
{
	struct fake *f = fake_up();
	struct vgpu_msg_queue_start m;
	struct vgpu_request rq;
	uint8_t body[VGPU_RECORD_MAX];
	size_t length;

	set_reg(f, VGPU_REG_INT_MASK, VGPU_INT_COMMAND);
	set_reg(f, VGPU_REG_DATA_OFFSET, 0x200);
	set_reg(f, VGPU_REG_DATA_LENGTH, 6);
	set_reg(f, 0x200, 0x64636261);
	set_reg(f, 0x204, 0x6665);
	set_reg(f, VGPU_REG_COMMAND, VGPU_CMD_TEXT);
	g_assert_cmphex(command_status(f), ==, BUSY);
	memcpy(&m, expect(f, VGPU_MSG_QUEUE_START)->payload, sizeof(m));
	g_assert_cmphex(m.queue, ==, REGQ);
	g_assert_cmphex(m.flags, ==, VGPU_QUEUE_HOST_RING);
	g_assert_cmpuint(m.req_slots, ==, VGPU_SLOTS_MIN);
	g_assert_cmpuint(m.rsp_slots, ==, VGPU_SLOTS_MIN);
	g_assert_cmphex(m.ring_addr | m.table_addr | m.nbuffers, ==, 0);

	answer_start(f, REGQ, 3, 0);
	g_assert_cmpuint(fake_q(f, REGQ)->kicks, ==, 1);
	g_assert_true(worker_take(f, &rq, body, &length));
	g_assert_cmpuint(rq.command, ==, VGPU_CMD_TEXT);
	g_assert_cmpuint(rq.ndesc | rq.flags | rq.reserved0 | rq.reserved1, ==, 0);
	g_assert_cmpmem(body, length, "abcdef", 6);

	/* While it runs: data is locked, a second command is ignored. */
	set_reg(f, 0x200, 0);
	g_assert_cmphex(reg(f, 0x200), ==, 0x64636261);
	set_reg(f, VGPU_REG_COMMAND, VGPU_CMD_NOP);
	g_assert_cmpuint(reg(f, VGPU_REG_COMMAND), ==, VGPU_CMD_TEXT);
	set_reg(f, VGPU_REG_DATA_OFFSET, 0x800); /* too late to matter */

	worker_answer(f, &rq, 0, "answer!!", 8);
	g_assert_cmphex(command_status(f), ==, DONE);
	g_assert_cmpint((int)reg(f, VGPU_REG_RESULT), ==, 0);
	g_assert_cmpuint(reg(f, VGPU_REG_RESULT_LENGTH), ==, 8);
	g_assert_cmphex(reg(f, 0x200), ==, 0x77736e61);
	g_assert_cmphex(reg(f, 0x800), ==, 0);
	g_assert_cmpuint(f->raised[0], ==, 1);

	/* The session stays for the next one. */
	set_reg(f, VGPU_REG_DATA_LENGTH, 0);
	set_reg(f, VGPU_REG_COMMAND, VGPU_CMD_NOP);
	g_assert_cmphex(command_status(f), ==, BUSY);
	expect_nothing(f);
	serve(f, -EINVAL);
	assert_failed(f, -EINVAL);
	fake_free(f);
}

/* Works without any shareable RAM, and without FEATURES_OK. */
static void test_unshared(void)
{
	struct fake *f = fake_new();
	struct vgpu_msg_hello_reply r = good_hello();

	vgpu_core_start(f->c);
	answer_hello(f, &r);
	set_reg(f, VGPU_REG_COMMAND, VGPU_CMD_NOP);
	answer_start(f, REGQ, 3, 0);
	serve(f, 0);
	g_assert_cmphex(command_status(f), ==, DONE);
	fake_free(f);
}

static void test_bad_payload(void)
{
	static const uint32_t bad[][2] = {
		{0xfc, 0},  {0x102, 0},     {0x1000, 0},         {0xffffffff, 0},
		{0xffc, 5}, {0x100, 0xf01}, {0x100, 0xffffffff}, {0xfffffffc, 8},
	};
	struct fake *f = fake_up();

	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
		g_test_message("offset 0x%x, length 0x%x", bad[i][0], bad[i][1]);
		set_reg(f, VGPU_REG_DATA_OFFSET, bad[i][0]);
		set_reg(f, VGPU_REG_DATA_LENGTH, bad[i][1]);
		set_reg(f, VGPU_REG_COMMAND, VGPU_CMD_NOP);
		assert_failed(f, -EINVAL);
	}
	set_reg(f, VGPU_REG_DATA_OFFSET, 0x100);
	set_reg(f, VGPU_REG_DATA_LENGTH, 0);
	set_reg(f, VGPU_REG_COMMAND, 0x10000);
	assert_failed(f, -EOPNOTSUPP);
	expect_nothing(f);

	/* The whole region is fine. */
	set_reg(f, VGPU_REG_DATA_LENGTH, VGPU_DATA_SIZE);
	set_reg(f, VGPU_REG_COMMAND, VGPU_CMD_NOP);
	g_assert_cmphex(command_status(f), ==, BUSY);
	fake_free(f);
}

/* An answer longer than what is left of the BAR is cut. */
static void test_cut_answer(void)
{
	struct fake *f = fake_running(3);
	uint8_t big[1000];
	struct vgpu_request rq;
	uint8_t body[VGPU_RECORD_MAX];
	size_t length;

	serve(f, 0);
	memset(big, 0x11, sizeof(big));
	set_reg(f, VGPU_REG_DATA_OFFSET, 0xff8);
	set_reg(f, VGPU_REG_COMMAND, VGPU_CMD_NOP);
	g_assert_true(worker_take(f, &rq, body, &length));
	worker_answer(f, &rq, 0, big, sizeof(big));
	g_assert_cmpuint(reg(f, VGPU_REG_RESULT_LENGTH), ==, 8);
	g_assert_cmphex(reg(f, 0xffc), ==, 0x11111111);
	g_assert_cmphex(reg(f, 0xff4), ==, 0);
	fake_free(f);
}

static void test_no_link(void)
{
	struct fake *f = fake_new();

	set_reg(f, VGPU_REG_COMMAND, VGPU_CMD_NOP);
	assert_failed(f, -ENOTCONN);
	fake_free(f);
}

static void test_session_refused(void)
{
	struct fake *f = fake_up();

	for (int i = 0; i < 2; i++) { /* each command tries anew, once */
		set_reg(f, VGPU_REG_COMMAND, VGPU_CMD_NOP);
		expect(f, VGPU_MSG_QUEUE_START);
		answer_start(f, REGQ, 0, -EMFILE);
		assert_failed(f, -EMFILE);
		expect_nothing(f);
	}
	fake_free(f);
}

static void test_ring_unusable(void)
{
	struct fake *f = fake_up();

	f->map_fails = true;
	set_reg(f, VGPU_REG_COMMAND, VGPU_CMD_NOP);
	answer_start(f, REGQ, 3, 0);
	assert_failed(f, -EIO);
	g_assert_true(fake_q(f, REGQ)->shut);
	fake_free(f);
}

/* The worker dies: EIO; the next command gets a new session. */
static void test_worker_dies(void)
{
	struct fake *f = fake_running(3);

	vgpu_core_lifeline_hup(f->c, REGQ);
	assert_failed(f, -EIO);
	g_assert_cmpuint(fake_q(f, REGQ)->down, ==, 1);

	set_reg(f, VGPU_REG_COMMAND, VGPU_CMD_NOP);
	g_assert_cmphex(command_status(f), ==, BUSY);
	expect(f, VGPU_MSG_QUEUE_STOP);
	answer_queue(f, VGPU_MSG_QUEUE_STOP, REGQ, 3, 0);
	expect(f, VGPU_MSG_QUEUE_START);
	answer_start(f, REGQ, 4, 0);
	serve(f, 0);
	g_assert_cmphex(command_status(f), ==, DONE);
	fake_free(f);
}

static void test_link_drops(void)
{
	struct fake *f = fake_running(3);

	/* The worker lives on and answers. */
	drop_link(f);
	g_assert_cmphex(command_status(f), ==, BUSY);
	serve(f, 0);
	g_assert_cmphex(command_status(f), ==, DONE);
	set_reg(f, VGPU_REG_INT_STATUS, VGPU_INT_ALL);

	/* A new command needs the link. */
	set_reg(f, VGPU_REG_COMMAND, VGPU_CMD_NOP);
	assert_failed(f, -ENOTCONN);

	/* The session is resumed with the link. */
	link_up_again(f);
	expect(f, VGPU_MSG_QUEUE_RESUME);
	answer_queue(f, VGPU_MSG_QUEUE_RESUME, REGQ, 3, 0);
	set_reg(f, VGPU_REG_COMMAND, VGPU_CMD_NOP);
	serve(f, 0);
	g_assert_cmphex(command_status(f), ==, DONE);
	fake_free(f);
}

static void test_link_drops_while_starting(void)
{
	struct fake *f = fake_up();

	set_reg(f, VGPU_REG_COMMAND, VGPU_CMD_NOP);
	drop_link(f);
	assert_failed(f, -ENOTCONN);
	fake_free(f);
}

/* A worker that writes nonsense loses its session; the command fails. */
static void bad_worker(void (*spoil)(struct fake *f))
{
	struct fake *f = fake_running(3);

	expect_nothing(f);
	spoil(f);
	vgpu_core_call(f->c, REGQ);
	assert_failed(f, -EIO);
	expect(f, VGPU_MSG_QUEUE_STOP);
	fake_free(f);
}

static void wild_index(struct fake *f)
{
	((struct vgpu_queue_header *)f->ring)->rsp_prod = VGPU_SLOTS_MIN + 1;
}

static void wild_length(struct fake *f)
{
	struct vgpu_response *r = (void *)(f->ring + VGPU_PAGE + VGPU_SLOTS_MIN * VGPU_SLOT);

	r->length = VGPU_RECORD_MAX + 1;
	((struct vgpu_queue_header *)f->ring)->rsp_prod = VGPU_SLOTS_MIN;
}

static void wrong_id(struct fake *f)
{
	struct vgpu_request rq = {.id = 999};

	worker_answer(f, &rq, 0, NULL, 0);
}

static void test_bad_worker(void)
{
	bad_worker(wild_index);
	bad_worker(wild_length);
	bad_worker(wrong_id);
}

static void test_unasked_answer(void)
{
	struct fake *f = fake_running(3);

	serve(f, 0);
	expect_nothing(f);
	wrong_id(f);
	expect(f, VGPU_MSG_QUEUE_STOP);
	g_assert_cmphex(command_status(f), ==, DONE);
	fake_free(f);
}

/* The worker's index is nonsense when the next command comes. */
static void test_wild_consumer(void)
{
	struct fake *f = fake_running(3);

	serve(f, 0);
	((struct vgpu_queue_header *)f->ring)->req_cons = 1000;
	set_reg(f, VGPU_REG_COMMAND, VGPU_CMD_NOP);
	assert_failed(f, -EIO);
	expect(f, VGPU_MSG_QUEUE_STOP);
	fake_free(f);
}

/* A full response ring: taking the answer makes room, and the worker is told. */
static void test_host_full(void)
{
	struct fake *f = fake_running(3);
	unsigned int kicks = fake_q(f, REGQ)->kicks;

	((struct vgpu_queue_header *)f->ring)->host_flags = VGPU_HOST_FULL;
	serve(f, 0);
	g_assert_cmpuint(fake_q(f, REGQ)->kicks, ==, kicks + 1);
	fake_free(f);
}

/* The old session is still being stopped when the link goes. */
static void test_link_drops_while_stopping(void)
{
	struct fake *f = fake_running(3);

	serve(f, 0);
	wrong_id(f);
	set_reg(f, VGPU_REG_INT_STATUS, VGPU_INT_ALL);
	set_reg(f, VGPU_REG_COMMAND, VGPU_CMD_NOP);
	g_assert_cmphex(command_status(f), ==, BUSY);
	drop_link(f);
	assert_failed(f, -ENOTCONN);
	g_assert_true(fake_q(f, REGQ)->shut);
	fake_free(f);
}

static void test_spurious_call(void)
{
	struct fake *f = fake_running(3);

	vgpu_core_call(f->c, REGQ);
	g_assert_cmphex(command_status(f), ==, BUSY);
	serve(f, 0);
	vgpu_core_call(f->c, REGQ);
	g_assert_cmphex(command_status(f), ==, DONE);
	expect_nothing(f);
	fake_free(f);
}

static void test_reset_aborts(void)
{
	struct fake *f = fake_running(3);

	set_reg(f, VGPU_REG_CONTROL, VGPU_CONTROL_RESET);
	g_assert_cmphex(command_status(f), ==, 0);
	expect(f, VGPU_MSG_RESET_DEVICE);
	answer(f, VGPU_MSG_RESET_DEVICE, 0);
	g_assert_cmphex(reg(f, VGPU_REG_CONTROL), ==, 0);
	set_reg(f, VGPU_REG_COMMAND, VGPU_CMD_NOP);
	expect(f, VGPU_MSG_QUEUE_START);
	answer_start(f, REGQ, 4, 0);
	serve(f, 0);
	g_assert_cmphex(command_status(f), ==, DONE);
	fake_free(f);
}

/* More commands than the rings have slots. */
static void test_wrap(void)
{
	struct fake *f = fake_running(3);
	struct vgpu_request rq;
	uint8_t body[VGPU_RECORD_MAX];
	size_t length;

	serve(f, 0);
	set_reg(f, VGPU_REG_DATA_LENGTH, 900);
	for (uint32_t i = 0; i < 3 * VGPU_SLOTS_MIN; i++) {
		set_reg(f, 0x100 + 896, i);
		set_reg(f, VGPU_REG_COMMAND, VGPU_CMD_TEXT);
		g_assert_true(worker_take(f, &rq, body, &length));
		g_assert_cmpuint(length, ==, 900);
		worker_answer(f, &rq, 0, body, length);
		g_assert_cmphex(command_status(f), ==, DONE);
		g_assert_cmpuint(reg(f, 0x100 + 896), ==, i);
	}
	fake_free(f);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/regcmd/whole-path", test_whole_path);
	g_test_add_func("/regcmd/unshared", test_unshared);
	g_test_add_func("/regcmd/bad-payload", test_bad_payload);
	g_test_add_func("/regcmd/cut-answer", test_cut_answer);
	g_test_add_func("/regcmd/no-link", test_no_link);
	g_test_add_func("/regcmd/session-refused", test_session_refused);
	g_test_add_func("/regcmd/ring-unusable", test_ring_unusable);
	g_test_add_func("/regcmd/worker-dies", test_worker_dies);
	g_test_add_func("/regcmd/link-drops", test_link_drops);
	g_test_add_func("/regcmd/link-drops-while-starting", test_link_drops_while_starting);
	g_test_add_func("/regcmd/bad-worker", test_bad_worker);
	g_test_add_func("/regcmd/unasked-answer", test_unasked_answer);
	g_test_add_func("/regcmd/wild-consumer", test_wild_consumer);
	g_test_add_func("/regcmd/host-full", test_host_full);
	g_test_add_func("/regcmd/link-drops-while-stopping", test_link_drops_while_stopping);
	g_test_add_func("/regcmd/spurious-call", test_spurious_call);
	g_test_add_func("/regcmd/reset-aborts", test_reset_aborts);
	g_test_add_func("/regcmd/wrap", test_wrap);
	return g_test_run();
}
