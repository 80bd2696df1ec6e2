/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * BAR 0: what each register reads after reset, and what a write does to it.
 */
#include "fake.h"

struct row {
	uint32_t offset;
	uint32_t reset;
	uint32_t writable; /* bits that a write changes when nothing runs */
};

/* Of a device with four queues, RAM and no link. */
static const struct row rows[] = {
	{VGPU_REG_STATUS, VGPU_STATUS_QUEUES, 0},
	{VGPU_REG_DATA_OFFSET, VGPU_REG_DATA, 0xffffffff},
	{VGPU_REG_MAGIC, VGPU_MAGIC, 0},
	{VGPU_REG_ABI_VERSION, VGPU_ABI_VERSION, 0},
	{VGPU_REG_FEATURES_LO, (uint32_t)VGPU_F_ALL, 0},
	{VGPU_REG_FEATURES_HI, 0, 0},
	{VGPU_REG_DRIVER_FEATURES_LO, 0, 0xffffffff},
	{VGPU_REG_DRIVER_FEATURES_HI, 0, 0xffffffff},
	{VGPU_REG_DATA_LENGTH, 0, 0xffffffff},
	{VGPU_REG_RESULT, 0, 0},
	{VGPU_REG_RESULT_LENGTH, 0, 0},
	{VGPU_REG_INT_STATUS, 0, 0},
	{VGPU_REG_INT_MASK, 0, VGPU_INT_ALL},
	{0x03c, 0, 0},
	{VGPU_REG_MAX_QUEUES, FAKE_QUEUES, 0},
	{VGPU_REG_NUM_VECTORS, FAKE_QUEUES + 1, 0},
	{VGPU_REG_MAX_SLOTS, VGPU_SLOTS_MAX, 0},
	{VGPU_REG_MAX_BUFFERS, VGPU_BUFFERS_MAX, 0},
	{VGPU_REG_QUEUE_STATE, VGPU_QUEUE_STATE_STOPPED, 0},
	{VGPU_REG_QUEUE_ERROR, 0, 0},
	{VGPU_REG_QUEUE_ADDR_LO, 0, 0xffffffff},
	{VGPU_REG_QUEUE_ADDR_HI, 0, 0xffffffff},
	{VGPU_REG_QUEUE_REQ_SLOTS, 0, 0xffffffff},
	{VGPU_REG_QUEUE_RSP_SLOTS, 0, 0xffffffff},
	{VGPU_REG_QUEUE_TABLE_LO, 0, 0xffffffff},
	{VGPU_REG_QUEUE_TABLE_HI, 0, 0xffffffff},
	{VGPU_REG_QUEUE_BUFFERS, 0, 0xffffffff},
	{VGPU_REG_QUEUE_VECTOR, 0, 0xffffffff},
	{VGPU_REG_QUEUE_TAG, 0, 0xffffffff},
	{0x084, 0, 0},
	{VGPU_REG_COUNT_DOORBELLS, 0, 0},
	{VGPU_REG_COUNT_INTERRUPTS, 0, 0},
	{0x0fc, 0, 0},
	{VGPU_REG_DATA, 0, 0xffffffff},
	{0xffc, 0, 0xffffffff},
};

static void check_reset_values(struct fake *f)
{
	for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
		g_test_message("register 0x%03x", rows[i].offset);
		g_assert_cmphex(reg(f, rows[i].offset), ==, rows[i].reset);
	}
	g_assert_cmphex(reg(f, VGPU_REG_COMMAND), ==, 0);
	g_assert_cmphex(reg(f, VGPU_REG_CONTROL), ==, 0);
	g_assert_cmphex(reg(f, VGPU_REG_QUEUE_SELECT), ==, 0);
}

static void test_reset_values(void)
{
	struct fake *f = fake_new();

	set_ram(f, 1);
	set_reg(f, VGPU_REG_INT_STATUS, VGPU_INT_ALL); /* RAM appeared */
	check_reset_values(f);
	fake_free(f);
}

static void test_writes(void)
{
	static const uint32_t values[] = {0xffffffff, 0x5a5aa5a5, 0, 1};
	struct fake *f = fake_new();

	set_ram(f, 1);
	set_reg(f, VGPU_REG_INT_STATUS, VGPU_INT_ALL);
	for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
		const struct row *r = &rows[i];

		for (size_t v = 0; v < G_N_ELEMENTS(values); v++) {
			g_test_message("register 0x%03x, value 0x%x", r->offset, values[v]);
			set_reg(f, r->offset, values[v]);
			g_assert_cmphex(reg(f, r->offset), ==,
					(r->reset & ~r->writable) | (values[v] & r->writable));
		}
		set_reg(f, r->offset, r->reset);
	}
	check_reset_values(f);
	fake_free(f);
}

static void test_access_size(void)
{
	static const unsigned int sizes[] = {1, 2, 8};
	struct fake *f = fake_new();
	unsigned int errors = 0;

	for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
		vgpu_core_write(f->c, VGPU_REG_DATA, 0xff, sizes[i]);
		g_assert_cmphex(vgpu_core_read(f->c, VGPU_REG_MAGIC, sizes[i]), ==, 0);
		errors += 2;
	}
	for (uint32_t o = 1; o < 4; o++) {
		vgpu_core_write(f->c, VGPU_REG_DATA + o, 0xff, 4);
		g_assert_cmphex(vgpu_core_read(f->c, VGPU_REG_MAGIC + o, 4), ==, 0);
		errors += 2;
	}
	g_assert_cmphex(vgpu_core_read(f->c, VGPU_BAR_REGS_SIZE, 4), ==, 0);
	g_assert_cmphex(vgpu_core_read(f->c, UINT64_MAX - 3, 4), ==, 0);
	vgpu_core_write(f->c, VGPU_BAR_REGS_SIZE, 1, 4);
	errors += 3;
	g_assert_cmphex(reg(f, VGPU_REG_DATA), ==, 0);
	g_assert_cmphex(reg(f, VGPU_REG_DATA + 4), ==, 0);
	g_assert_cmpuint(f->logs[VGPU_LOG_GUEST], ==, errors);
	fake_free(f);
}

static void test_features(void)
{
	struct fake *f = fake_new();

	/* Without shareable RAM nothing is offered. */
	g_assert_cmphex(reg(f, VGPU_REG_STATUS), ==, VGPU_STATUS_UNSHARED);
	g_assert_cmphex(reg(f, VGPU_REG_FEATURES_LO), ==, 0);
	set_reg(f, VGPU_REG_DRIVER_FEATURES_LO, VGPU_F_QUEUES);
	set_reg(f, VGPU_REG_CONTROL, VGPU_CONTROL_FEATURES_OK);
	g_assert_cmphex(reg(f, VGPU_REG_CONTROL), ==, 0);

	set_ram(f, 1);
	set_reg(f, VGPU_REG_DRIVER_FEATURES_HI, 1);
	set_reg(f, VGPU_REG_CONTROL, VGPU_CONTROL_FEATURES_OK);
	g_assert_cmphex(reg(f, VGPU_REG_CONTROL), ==, 0);
	set_reg(f, VGPU_REG_DRIVER_FEATURES_HI, 0);
	set_reg(f, VGPU_REG_CONTROL, VGPU_CONTROL_FEATURES_OK);
	g_assert_cmphex(reg(f, VGPU_REG_CONTROL), ==, VGPU_CONTROL_FEATURES_OK);

	/* Frozen until it is taken back. */
	set_reg(f, VGPU_REG_DRIVER_FEATURES_LO, 0);
	g_assert_cmphex(reg(f, VGPU_REG_DRIVER_FEATURES_LO), ==, VGPU_F_QUEUES);
	set_reg(f, VGPU_REG_CONTROL, 0);
	set_reg(f, VGPU_REG_DRIVER_FEATURES_LO, 0);
	g_assert_cmphex(reg(f, VGPU_REG_DRIVER_FEATURES_LO), ==, 0);
	fake_free(f);
}

static void test_interrupts(void)
{
	struct fake *f = fake_new();

	/* Latched while masked. */
	set_ram(f, 1);
	g_assert_cmphex(reg(f, VGPU_REG_INT_STATUS), ==, VGPU_INT_LINK);
	g_assert_cmpuint(f->raised[0], ==, 0);
	set_reg(f, VGPU_REG_INT_MASK, VGPU_INT_COMMAND);
	g_assert_cmpuint(f->raised[0], ==, 0);
	set_reg(f, VGPU_REG_INT_MASK, VGPU_INT_ALL);
	g_assert_cmpuint(f->raised[0], ==, 1);
	/* A bit that is set already raises nothing. */
	set_ram(f, 0);
	g_assert_cmpuint(f->raised[0], ==, 1);
	/* A second one does. */
	set_reg(f, VGPU_REG_COMMAND, VGPU_CMD_NOP);
	g_assert_cmphex(reg(f, VGPU_REG_INT_STATUS), ==, VGPU_INT_LINK | VGPU_INT_COMMAND);
	g_assert_cmpuint(f->raised[0], ==, 2);
	/* Only ones clear. */
	set_reg(f, VGPU_REG_INT_STATUS, VGPU_INT_LINK);
	g_assert_cmphex(reg(f, VGPU_REG_INT_STATUS), ==, VGPU_INT_COMMAND);
	set_ram(f, 1);
	g_assert_cmpuint(f->raised[0], ==, 3);
	fake_free(f);
}

static void test_no_such_queue(void)
{
	struct fake *f = fake_new();
	static const uint32_t selects[] = {FAKE_QUEUES, VGPU_QUEUES_MAX, 0xffffffff};

	for (size_t i = 0; i < G_N_ELEMENTS(selects); i++) {
		set_reg(f, VGPU_REG_QUEUE_SELECT, selects[i]);
		for (uint32_t o = VGPU_REG_QUEUE_CONTROL; o <= VGPU_REG_QUEUE_TAG; o += 4) {
			set_reg(f, o, 1);
			g_assert_cmphex(reg(f, o), ==, 0);
		}
	}
	expect_nothing(f);
	fake_free(f);
}

static void test_reset_register(void)
{
	struct fake *f = fake_new();

	set_ram(f, 1);
	for (uint32_t o = 0; o < VGPU_BAR_REGS_SIZE; o += 4)
		if (o != VGPU_REG_CONTROL && o != VGPU_REG_QUEUE_SELECT)
			set_reg(f, o, 0x01020304);
	set_reg(f, VGPU_REG_QUEUE_SELECT, 2);
	set_up_queue(f, 2);
	vgpu_core_doorbell(f->c, 0);
	set_reg(f, VGPU_REG_CONTROL, VGPU_CONTROL_RESET);
	check_reset_values(f);
	set_reg(f, VGPU_REG_QUEUE_SELECT, 2);
	g_assert_cmphex(reg(f, VGPU_REG_QUEUE_TAG), ==, 0);
	fake_free(f);
}

static void test_limits(void)
{
	struct vgpu_core_config config = {.queues = 0};
	static const struct vgpu_core_ops none;

	g_assert_null(vgpu_core_new(&config, &none, NULL));
	config.queues = VGPU_QUEUES_MAX + 1;
	g_assert_null(vgpu_core_new(&config, &none, NULL));
	g_assert_cmpuint(vgpu_core_vectors(1), ==, 2);
	g_assert_cmpuint(vgpu_core_vectors(64), ==, 65);
	g_assert_cmpuint(vgpu_core_vectors(256), ==, 65);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/regs/reset-values", test_reset_values);
	g_test_add_func("/regs/writes", test_writes);
	g_test_add_func("/regs/access-size", test_access_size);
	g_test_add_func("/regs/features", test_features);
	g_test_add_func("/regs/interrupts", test_interrupts);
	g_test_add_func("/regs/no-such-queue", test_no_such_queue);
	g_test_add_func("/regs/reset", test_reset_register);
	g_test_add_func("/regs/limits", test_limits);
	return g_test_run();
}
