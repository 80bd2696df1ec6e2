/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Queues: start, stop, loss, reset, resumption; and that a queue's memory is
 * given back to the guest only when its worker is known to be gone.
 */
#include "fake.h"

#define STOPPED VGPU_QUEUE_STATE_STOPPED
#define STARTING VGPU_QUEUE_STATE_STARTING
#define RUNNING VGPU_QUEUE_STATE_RUNNING
#define STOPPING VGPU_QUEUE_STATE_STOPPING
#define FAILED VGPU_QUEUE_STATE_FAILED

static void assert_failed(struct fake *f, uint32_t q, int error)
{
	g_assert_cmpuint(state(f, q), ==, FAILED);
	g_assert_cmpint(queue_error(f, q), ==, error);
	g_assert_true(reg(f, VGPU_REG_INT_STATUS) & VGPU_INT_QUEUE);
}

static void hang_up(struct fake *f, uint32_t q)
{
	g_assert_cmpint(fake_q(f, q)->lifeline, >=, 0);
	vgpu_core_lifeline_hup(f->c, q);
}

static void test_start_stop(void)
{
	struct fake *f = fake_up();
	struct vgpu_msg_queue_start m;
	struct vgpu_msg_queue stop;
	const struct sent *s;

	accept_features(f);
	set_up_queue(f, 1);
	control(f, 1, VGPU_QUEUE_START);
	g_assert_cmpuint(state(f, 1), ==, STARTING);
	s = expect(f, VGPU_MSG_QUEUE_START);
	memcpy(&m, s->payload, sizeof(m));
	g_assert_cmpuint(s->nfds, ==, 2);
	g_assert_cmpuint(m.queue, ==, 1);
	g_assert_cmphex(m.flags, ==, 0);
	g_assert_cmphex(m.ring_addr, ==, 0x10000);
	g_assert_cmphex(m.table_addr, ==, 0x40000);
	g_assert_cmpuint(m.req_slots, ==, 512);
	g_assert_cmpuint(m.rsp_slots, ==, 256);
	g_assert_cmpuint(m.nbuffers, ==, 16);
	g_assert_cmpuint(m.tag, ==, 77);

	answer_start(f, 1, 42, 0);
	g_assert_cmpuint(state(f, 1), ==, RUNNING);
	g_assert_cmpuint(fake_q(f, 1)->up, ==, 1);
	g_assert_cmpuint(fake_q(f, 1)->vector, ==, 2);
	g_assert_cmpuint(vgpu_core_workers(f->c), ==, 1);

	control(f, 1, VGPU_QUEUE_STOP);
	g_assert_cmpuint(state(f, 1), ==, STOPPING);
	g_assert_cmpuint(fake_q(f, 1)->down, ==, 1);
	memcpy(&stop, expect(f, VGPU_MSG_QUEUE_STOP)->payload, sizeof(stop));
	g_assert_cmpuint(stop.queue, ==, 1);
	g_assert_cmpuint(stop.session, ==, 42);
	/* Its worker's end alone is not the daemon's word. */
	hang_up(f, 1);
	g_assert_cmpuint(state(f, 1), ==, STOPPING);
	answer_queue(f, VGPU_MSG_QUEUE_STOP, 1, 42, 0);
	g_assert_cmpuint(state(f, 1), ==, STOPPED);
	g_assert_cmpuint(vgpu_core_workers(f->c), ==, 0);
	g_assert_cmpuint(g_hash_table_size(f->open), ==, 0);
	expect_nothing(f);
	fake_free(f);
}

struct setup {
	const char *what;
	uint32_t offset, value;
};

static const struct setup setups[] = {
	{"unaligned ring", VGPU_REG_QUEUE_ADDR_LO, 0x10800},
	{"no slots", VGPU_REG_QUEUE_REQ_SLOTS, 0},
	{"few slots", VGPU_REG_QUEUE_REQ_SLOTS, VGPU_SLOTS_MIN / 2},
	{"odd slots", VGPU_REG_QUEUE_RSP_SLOTS, VGPU_SLOTS_MIN + 1},
	{"many slots", VGPU_REG_QUEUE_RSP_SLOTS, VGPU_SLOTS_MAX * 2},
	{"very many slots", VGPU_REG_QUEUE_REQ_SLOTS, 0x80000000},
	{"unaligned table", VGPU_REG_QUEUE_TABLE_LO, 0x40020},
	{"many buffers", VGPU_REG_QUEUE_BUFFERS, VGPU_BUFFERS_MAX + 1},
	{"no such vector", VGPU_REG_QUEUE_VECTOR, FAKE_QUEUES + 1},
	{"wild vector", VGPU_REG_QUEUE_VECTOR, 0xffffffff},
};

static void test_refused_setups(void)
{
	struct fake *f = fake_up();

	accept_features(f);
	for (size_t i = 0; i < G_N_ELEMENTS(setups); i++) {
		g_test_message("%s", setups[i].what);
		set_up_queue(f, 0);
		set_reg(f, setups[i].offset, setups[i].value);
		control(f, 0, VGPU_QUEUE_START);
		assert_failed(f, 0, -EINVAL);
		control(f, 0, VGPU_QUEUE_STOP);
		g_assert_cmpuint(state(f, 0), ==, STOPPED);
	}
	expect_nothing(f);
	fake_free(f);
}

static void test_wrapping_addresses(void)
{
	struct fake *f = fake_up();

	accept_features(f);
	set_up_queue(f, 0);
	set_reg(f, VGPU_REG_QUEUE_ADDR_LO, 0xfffff000);
	set_reg(f, VGPU_REG_QUEUE_ADDR_HI, 0xffffffff);
	control(f, 0, VGPU_QUEUE_START);
	assert_failed(f, 0, -EINVAL);

	set_up_queue(f, 1);
	set_reg(f, VGPU_REG_QUEUE_TABLE_LO, 0xffffffc0);
	set_reg(f, VGPU_REG_QUEUE_TABLE_HI, 0xffffffff);
	control(f, 1, VGPU_QUEUE_START);
	assert_failed(f, 1, -EINVAL);

	/* Without buffers the table does not matter. */
	set_up_queue(f, 2);
	set_reg(f, VGPU_REG_QUEUE_TABLE_LO, 0xffffffff);
	set_reg(f, VGPU_REG_QUEUE_BUFFERS, 0);
	control(f, 2, VGPU_QUEUE_START);
	g_assert_cmpuint(state(f, 2), ==, STARTING);
	fake_free(f);
}

static void test_features_needed(void)
{
	struct fake *f = fake_up();

	set_up_queue(f, 0);
	control(f, 0, VGPU_QUEUE_START);
	assert_failed(f, 0, -EINVAL);
	control(f, 0, VGPU_QUEUE_STOP);

	/* BUFFERS was not accepted, and the queue has some. */
	set_reg(f, VGPU_REG_DRIVER_FEATURES_LO, VGPU_F_QUEUES);
	set_reg(f, VGPU_REG_CONTROL, VGPU_CONTROL_FEATURES_OK);
	control(f, 0, VGPU_QUEUE_START);
	assert_failed(f, 0, -EINVAL);
	control(f, 0, VGPU_QUEUE_STOP);
	set_reg(f, VGPU_REG_QUEUE_BUFFERS, 0);
	control(f, 0, VGPU_QUEUE_START);
	g_assert_cmpuint(state(f, 0), ==, STARTING);
	fake_free(f);
}

static void test_no_link(void)
{
	struct fake *f = fake_new();

	set_ram(f, 1);
	accept_features(f);
	set_up_queue(f, 0);
	control(f, 0, VGPU_QUEUE_START);
	assert_failed(f, 0, -ENOTCONN);
	control(f, 0, VGPU_QUEUE_STOP);
	g_assert_cmpuint(state(f, 0), ==, STOPPED);
	fake_free(f);
}

static void test_start_refused(void)
{
	struct fake *f = fake_up();

	accept_features(f);
	set_up_queue(f, 0);
	control(f, 0, VGPU_QUEUE_START);
	answer_start(f, 0, 0, -EFAULT);
	assert_failed(f, 0, -EFAULT);
	expect_reason(f, "because");
	set_reg(f, VGPU_REG_QUEUE_SELECT, 1); /* it is the queue's own */
	expect_reason(f, NULL);
	g_assert_cmpuint(vgpu_core_workers(f->c), ==, 0);
	expect(f, VGPU_MSG_QUEUE_START);
	control(f, 0, VGPU_QUEUE_STOP);
	g_assert_cmpuint(state(f, 0), ==, STOPPED);
	g_assert_cmpint(queue_error(f, 0), ==, 0);
	expect_reason(f, NULL);
	/* Who fails again for another cause does not say the old one. */
	f->make_result = -EMFILE;
	control(f, 0, VGPU_QUEUE_START);
	assert_failed(f, 0, -EMFILE);
	expect_reason(f, NULL);
	expect_nothing(f);
	fake_free(f);
}

static void test_no_eventfds(void)
{
	struct fake *f = fake_up();

	accept_features(f);
	set_up_queue(f, 0);
	f->make_result = -EMFILE;
	control(f, 0, VGPU_QUEUE_START);
	assert_failed(f, 0, -EMFILE);
	expect_nothing(f);
	fake_free(f);
}

/* What the guest may not do in each state. */
static void test_ignored(void)
{
	struct fake *f = fake_up();
	unsigned int errors;

	run_queue(f, 0, 9);
	errors = f->logs[VGPU_LOG_GUEST];
	control(f, 0, VGPU_QUEUE_START);
	control(f, 0, 2);
	set_reg(f, VGPU_REG_QUEUE_ADDR_LO, 0x99000);
	g_assert_cmphex(reg(f, VGPU_REG_QUEUE_ADDR_LO), ==, 0x10000);
	g_assert_cmpuint(f->logs[VGPU_LOG_GUEST], ==, errors + 3);
	g_assert_cmpuint(state(f, 0), ==, RUNNING);
	control(f, 1, VGPU_QUEUE_STOP); /* of a stopped one: nothing at all */
	g_assert_cmpuint(state(f, 1), ==, STOPPED);
	g_assert_false(reg(f, VGPU_REG_INT_STATUS) & VGPU_INT_QUEUE);
	expect_nothing(f);
	fake_free(f);
}

static void test_stop_while_starting(void)
{
	struct fake *f = fake_up();

	accept_features(f);
	set_up_queue(f, 0);
	control(f, 0, VGPU_QUEUE_START);
	expect(f, VGPU_MSG_QUEUE_START);
	control(f, 0, VGPU_QUEUE_STOP);
	g_assert_cmpuint(state(f, 0), ==, STOPPING);
	expect_nothing(f); /* we do not know yet what to stop */
	answer_start(f, 0, 5, 0);
	g_assert_cmpuint(fake_q(f, 0)->up, ==, 0);
	expect(f, VGPU_MSG_QUEUE_STOP);
	answer_queue(f, VGPU_MSG_QUEUE_STOP, 0, 5, 0);
	g_assert_cmpuint(state(f, 0), ==, STOPPED);

	set_up_queue(f, 0);
	control(f, 0, VGPU_QUEUE_START);
	control(f, 0, VGPU_QUEUE_STOP);
	answer_start(f, 0, 0, -ENOMEM);
	g_assert_cmpuint(state(f, 0), ==, STOPPED);
	fake_free(f);
}

static void test_stop_answers(void)
{
	struct fake *f = fake_up();

	run_queue(f, 0, 5);
	control(f, 0, VGPU_QUEUE_STOP);
	answer_queue(f, VGPU_MSG_QUEUE_STOP, 0, 5, -ENOENT); /* that is as good */
	g_assert_cmpuint(state(f, 0), ==, STOPPED);
	expect(f, VGPU_MSG_QUEUE_STOP);

	/* The daemon cannot: we end the lifeline and believe only its hang-up. */
	run_queue(f, 0, 6);
	control(f, 0, VGPU_QUEUE_STOP);
	answer_queue(f, VGPU_MSG_QUEUE_STOP, 0, 6, -EBUSY);
	g_assert_true(fake_q(f, 0)->shut);
	pass(f, 60000);
	g_assert_cmpuint(state(f, 0), ==, STOPPING);
	hang_up(f, 0);
	g_assert_cmpuint(state(f, 0), ==, STOPPED);
	fake_free(f);
}

static void test_lost(void)
{
	struct fake *f = fake_up();

	/* By message; then the lifeline means nothing any more. */
	run_queue(f, 0, 5);
	answer_queue(f, VGPU_MSG_QUEUE_LOST, 0, 4, -EIO); /* an earlier session */
	g_assert_cmpuint(state(f, 0), ==, RUNNING);
	answer_queue(f, VGPU_MSG_QUEUE_LOST, 0, 5, -EPROTO);
	assert_failed(f, 0, -EIO);
	g_assert_nonnull(strstr(f->last_log, "because"));
	expect_reason(f, "because");
	g_assert_cmpint(fake_q(f, 0)->lifeline, ==, -1);
	control(f, 0, VGPU_QUEUE_STOP);
	g_assert_cmpuint(state(f, 0), ==, STOPPED);
	expect_nothing(f);

	/* By lifeline: the daemon is told before the queue may start again. */
	run_queue(f, 0, 6);
	hang_up(f, 0);
	assert_failed(f, 0, -EIO);
	expect_reason(f, NULL);
	control(f, 0, VGPU_QUEUE_STOP);
	expect(f, VGPU_MSG_QUEUE_STOP);
	answer_queue(f, VGPU_MSG_QUEUE_LOST, 0, 6, -EIO); /* it crossed */
	g_assert_cmpuint(state(f, 0), ==, STOPPING);
	answer_queue(f, VGPU_MSG_QUEUE_STOP, 0, 6, -ENOENT);
	g_assert_cmpuint(state(f, 0), ==, STOPPED);

	/* The others live. */
	run_queue(f, 1, 7);
	run_queue(f, 2, 8);
	hang_up(f, 1);
	g_assert_cmpuint(state(f, 1), ==, FAILED);
	g_assert_cmpuint(state(f, 2), ==, RUNNING);
	fake_free(f);
}

static void test_slow_paths(void)
{
	struct fake *f = fake_up();

	run_queue(f, 0, 5);
	vgpu_core_doorbell(f->c, 0);
	vgpu_core_doorbell(f->c, 1); /* counted, but there is nobody to kick */
	vgpu_core_doorbell(f->c, 0xffff);
	g_assert_cmpuint(fake_q(f, 0)->kicks, ==, 1);
	g_assert_cmpuint(fake_q(f, 1)->kicks, ==, 0);
	g_assert_cmpuint(reg(f, VGPU_REG_COUNT_DOORBELLS), ==, 3);
	vgpu_core_call(f->c, 0);
	vgpu_core_call(f->c, 1);
	g_assert_cmpuint(f->raised[1], ==, 1);
	g_assert_cmpuint(reg(f, VGPU_REG_COUNT_INTERRUPTS), ==, 1);
	fake_free(f);
}

/* The daemon dies and comes back: running queues run on and are resumed. */
static void test_resume(void)
{
	struct fake *f = fake_up();
	const struct sent *s;
	struct vgpu_msg_queue m;

	run_queue(f, 0, 5);
	run_queue(f, 1, 6);
	drop_link(f);
	g_assert_cmphex(reg(f, VGPU_REG_STATUS), ==, VGPU_STATUS_QUEUES);
	g_assert_cmphex(reg(f, VGPU_REG_INT_STATUS), ==, VGPU_INT_LINK);
	g_assert_cmpuint(state(f, 0), ==, RUNNING);
	g_assert_cmpuint(fake_q(f, 0)->down, ==, 0);

	link_up_again(f);
	s = expect(f, VGPU_MSG_QUEUE_RESUME);
	memcpy(&m, s->payload, sizeof(m));
	g_assert_cmpuint(m.queue, ==, 0);
	g_assert_cmpuint(m.session, ==, 5);
	g_assert_cmpuint(s->nfds, ==, 1);
	expect(f, VGPU_MSG_QUEUE_RESUME);
	g_assert_false(vgpu_core_link_up(f->c));
	answer_queue(f, VGPU_MSG_QUEUE_RESUME, 0, 5, 0);
	answer_queue(f, VGPU_MSG_QUEUE_RESUME, 1, 6, -ENOENT);
	g_assert_true(vgpu_core_link_up(f->c));
	g_assert_cmpuint(state(f, 0), ==, RUNNING);
	assert_failed(f, 1, -EIO);
	g_assert_true(fake_q(f, 1)->shut);

	/* The refused one may still have a worker: only its end gives the memory back. */
	control(f, 1, VGPU_QUEUE_STOP);
	g_assert_cmpuint(state(f, 1), ==, STOPPING);
	hang_up(f, 1);
	g_assert_cmpuint(state(f, 1), ==, STOPPED);

	control(f, 0, VGPU_QUEUE_STOP);
	expect(f, VGPU_MSG_QUEUE_STOP);
	answer_queue(f, VGPU_MSG_QUEUE_STOP, 0, 5, 0);
	g_assert_cmpuint(state(f, 0), ==, STOPPED);
	fake_free(f);
}

static void test_stop_without_daemon(void)
{
	struct fake *f = fake_up();

	run_queue(f, 0, 5);
	drop_link(f);
	control(f, 0, VGPU_QUEUE_STOP);
	g_assert_cmpuint(state(f, 0), ==, STOPPING);
	g_assert_true(fake_q(f, 0)->shut);
	hang_up(f, 0);
	g_assert_cmpuint(state(f, 0), ==, STOPPED);
	fake_free(f);
}

static void test_drop_while_stopping(void)
{
	struct fake *f = fake_up();

	run_queue(f, 0, 5);
	control(f, 0, VGPU_QUEUE_STOP);
	g_assert_false(fake_q(f, 0)->shut);
	drop_link(f);
	g_assert_true(fake_q(f, 0)->shut);
	hang_up(f, 0);
	g_assert_cmpuint(state(f, 0), ==, STOPPED);
	fake_free(f);
}

/* The start was under way: the lifeline never came, a bounded wait stands for it. */
static void test_drop_while_starting(void)
{
	struct fake *f = fake_up();

	accept_features(f);
	set_up_queue(f, 0);
	control(f, 0, VGPU_QUEUE_START);
	f->connect_result = -ENOENT;
	drop_link(f);
	assert_failed(f, 0, -ENOTCONN);
	control(f, 0, VGPU_QUEUE_STOP);
	pass(f, 1999);
	g_assert_cmpuint(state(f, 0), ==, STOPPING);
	pass(f, 1);
	g_assert_cmpuint(state(f, 0), ==, STOPPED);
	fake_free(f);
}

static void test_stop_while_resuming(void)
{
	struct fake *f = fake_up();

	run_queue(f, 0, 5);
	drop_link(f);
	link_up_again(f);
	expect(f, VGPU_MSG_QUEUE_RESUME);
	control(f, 0, VGPU_QUEUE_STOP);
	expect_nothing(f);
	answer_queue(f, VGPU_MSG_QUEUE_RESUME, 0, 5, 0);
	expect(f, VGPU_MSG_QUEUE_STOP);
	answer_queue(f, VGPU_MSG_QUEUE_STOP, 0, 5, 0);
	g_assert_cmpuint(state(f, 0), ==, STOPPED);
	fake_free(f);
}

static void test_reset(void)
{
	struct fake *f = fake_up();

	run_queue(f, 0, 5);
	run_queue(f, 1, 6);
	set_reg(f, VGPU_REG_CONTROL, VGPU_CONTROL_RESET);
	g_assert_cmphex(reg(f, VGPU_REG_CONTROL), ==, VGPU_CONTROL_RESET);
	g_assert_cmphex(reg(f, VGPU_REG_DRIVER_FEATURES_LO), ==, 0);
	expect(f, VGPU_MSG_RESET_DEVICE);
	expect_nothing(f);
	g_assert_true(fake_q(f, 0)->shut);

	/* While it lasts nothing begins. */
	set_reg(f, VGPU_REG_CONTROL, VGPU_CONTROL_FEATURES_OK);
	set_reg(f, VGPU_REG_COMMAND, VGPU_CMD_NOP);
	set_up_queue(f, 2);
	control(f, 2, VGPU_QUEUE_START);
	g_assert_cmphex(reg(f, VGPU_REG_CONTROL), ==, VGPU_CONTROL_RESET);
	g_assert_cmpuint(state(f, 2), ==, STOPPED);
	expect_nothing(f);

	answer(f, VGPU_MSG_RESET_DEVICE, 0);
	g_assert_cmphex(reg(f, VGPU_REG_CONTROL), ==, 0);
	g_assert_cmpuint(state(f, 0), ==, STOPPED);
	g_assert_cmphex(reg(f, VGPU_REG_QUEUE_ADDR_LO), ==, 0);
	g_assert_cmpuint(vgpu_core_workers(f->c), ==, 0);
	g_assert_true(vgpu_core_link_up(f->c));
	run_queue(f, 0, 7);
	fake_free(f);
}

static void test_reset_without_daemon(void)
{
	struct fake *f = fake_up();

	run_queue(f, 0, 5);
	drop_link(f);
	vgpu_core_reset(f->c);
	g_assert_cmphex(reg(f, VGPU_REG_CONTROL), ==, VGPU_CONTROL_RESET);
	g_assert_cmpuint(vgpu_core_workers(f->c), ==, 1);
	hang_up(f, 0);
	g_assert_cmphex(reg(f, VGPU_REG_CONTROL), ==, 0);
	g_assert_cmpuint(vgpu_core_workers(f->c), ==, 0);
	expect_nothing(f);
	fake_free(f);
}

static void test_reset_while_starting(void)
{
	struct fake *f = fake_up();

	accept_features(f);
	set_up_queue(f, 0);
	control(f, 0, VGPU_QUEUE_START);
	expect(f, VGPU_MSG_QUEUE_START);
	set_reg(f, VGPU_REG_CONTROL, VGPU_CONTROL_RESET);
	expect(f, VGPU_MSG_RESET_DEVICE);
	answer(f, VGPU_MSG_RESET_DEVICE, 0);
	g_assert_cmphex(reg(f, VGPU_REG_CONTROL), ==, VGPU_CONTROL_RESET);
	answer_start(f, 0, 5, 0); /* it came too late to be reset */
	expect(f, VGPU_MSG_QUEUE_STOP);
	answer_queue(f, VGPU_MSG_QUEUE_STOP, 0, 5, 0);
	g_assert_cmphex(reg(f, VGPU_REG_CONTROL), ==, 0);
	fake_free(f);
}

static void start_in_vain(struct fake *f)
{
	control(f, 0, VGPU_QUEUE_START);
	expect(f, VGPU_MSG_QUEUE_START);
	answer_start(f, 0, 5, -EFAULT);
	control(f, 0, VGPU_QUEUE_STOP);
	g_assert_cmpuint(state(f, 0), ==, VGPU_QUEUE_STATE_STOPPED);
}

/* A guest that tries for ever does not fill the host's log. */
static void test_log_limit(void)
{
	struct fake *f = fake_up();
	unsigned int before = f->logs[VGPU_LOG_WARNING];

	accept_features(f);
	set_up_queue(f, 0);
	for (int i = 0; i < 50; i++)
		start_in_vain(f);
	g_assert_cmpuint(f->logs[VGPU_LOG_WARNING] - before, ==, 20);
	pass(f, 999);
	start_in_vain(f);
	g_assert_cmpuint(f->logs[VGPU_LOG_WARNING] - before, ==, 20);
	pass(f, 1); /* one more line, and how many are missing */
	f->trace = g_string_new(NULL);
	start_in_vain(f);
	start_in_vain(f);
	g_assert_cmpuint(f->logs[VGPU_LOG_WARNING] - before, ==, 22);
	g_assert_nonnull(strstr(f->trace->str, "31 lines were left out"));
	g_string_free(f->trace, TRUE);
	f->trace = NULL;
	pass(f, 1000000); /* no more than the first time */
	for (int i = 0; i < 50; i++)
		start_in_vain(f);
	g_assert_cmpuint(f->logs[VGPU_LOG_WARNING] - before, ==, 22 + 20 + 1);
	fake_free(f);
}

/* Unplug: the daemon hears it, and every fd is closed (fake_free looks). */
static void test_free(void)
{
	struct fake *f = fake_up();

	run_queue(f, 0, 5);
	control(f, 0, VGPU_QUEUE_STOP);
	expect(f, VGPU_MSG_QUEUE_STOP);
	run_queue(f, 1, 6);
	fake_free(f);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/queue/start-stop", test_start_stop);
	g_test_add_func("/queue/refused-setups", test_refused_setups);
	g_test_add_func("/queue/wrapping-addresses", test_wrapping_addresses);
	g_test_add_func("/queue/features-needed", test_features_needed);
	g_test_add_func("/queue/no-link", test_no_link);
	g_test_add_func("/queue/start-refused", test_start_refused);
	g_test_add_func("/queue/no-eventfds", test_no_eventfds);
	g_test_add_func("/queue/ignored", test_ignored);
	g_test_add_func("/queue/stop-while-starting", test_stop_while_starting);
	g_test_add_func("/queue/stop-answers", test_stop_answers);
	g_test_add_func("/queue/lost", test_lost);
	g_test_add_func("/queue/slow-paths", test_slow_paths);
	g_test_add_func("/queue/resume", test_resume);
	g_test_add_func("/queue/stop-without-daemon", test_stop_without_daemon);
	g_test_add_func("/queue/drop-while-stopping", test_drop_while_stopping);
	g_test_add_func("/queue/drop-while-starting", test_drop_while_starting);
	g_test_add_func("/queue/stop-while-resuming", test_stop_while_resuming);
	g_test_add_func("/queue/reset", test_reset);
	g_test_add_func("/queue/reset-without-daemon", test_reset_without_daemon);
	g_test_add_func("/queue/reset-while-starting", test_reset_while_starting);
	g_test_add_func("/queue/log-limit", test_log_limit);
	g_test_add_func("/queue/free", test_free);
	return g_test_run();
}
