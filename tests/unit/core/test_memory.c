/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The memory table: what is sent when, and that nothing is sent twice.
 */
#include "fake.h"

static struct vgpu_core_region region(uint64_t addr, uint64_t size, int fd)
{
	return (struct vgpu_core_region){.guest_addr = addr, .size = size, .fd = fd};
}

static void expect_region(struct fake *f, uint32_t request, uint64_t addr, uint64_t size, int fd)
{
	const struct sent *s = expect(f, request);
	struct vgpu_msg_mem_region m;

	g_assert_cmpuint(s->h.size, ==, sizeof(m));
	memcpy(&m, s->payload, sizeof(m));
	g_assert_cmphex(m.region.guest_addr, ==, addr);
	g_assert_cmphex(m.region.size, ==, size);
	g_assert_cmpuint(s->nfds, ==, fd >= 0);
	if (fd >= 0)
		g_assert_cmpint(s->fds[0], ==, fd);
}

static void test_table(void)
{
	struct fake *f = fake_new();
	struct vgpu_msg_hello_reply r = good_hello();
	struct vgpu_msg_mem_table m;
	const struct sent *s;

	set_ram(f, VGPU_MSG_REGIONS_MAX + 2);
	vgpu_core_start(f->c);
	expect(f, VGPU_MSG_HELLO);
	answer_hello(f, &r);
	s = expect(f, VGPU_MSG_SET_MEM_TABLE);
	memcpy(&m, s->payload, sizeof(m));
	g_assert_cmpuint(m.nregions, ==, VGPU_MSG_REGIONS_MAX);
	g_assert_cmpuint(s->nfds, ==, VGPU_MSG_REGIONS_MAX);
	g_assert_cmpint(s->fds[7], ==, 107);
	g_assert_cmphex(m.regions[7].guest_addr, ==, 7 << 24);
	g_assert_cmphex(m.regions[7].mmap_offset, ==, 7 << 20);
	g_assert_cmphex(m.regions[7].user_addr | m.regions[7].xen_flags | m.regions[7].domid, ==,
			0);
	expect_region(f, VGPU_MSG_ADD_MEM_REG, 8 << 24, 1 << 20, 108);
	expect_region(f, VGPU_MSG_ADD_MEM_REG, 9 << 24, 1 << 20, 109);
	expect_nothing(f);
	answer(f, VGPU_MSG_SET_MEM_TABLE, 0);
	answer(f, VGPU_MSG_ADD_MEM_REG, 0);
	g_assert_false(vgpu_core_link_up(f->c));
	answer(f, VGPU_MSG_ADD_MEM_REG, 0);
	g_assert_true(vgpu_core_link_up(f->c));
	fake_free(f);
}

static void test_changes(void)
{
	struct fake *f = fake_up(); /* has 0, 1 MiB, fd 100 */
	struct vgpu_core_region r[3] = {region(0, 1 << 20, 100), region(2 << 20, 1 << 20, 7)};

	vgpu_core_set_memory(f->c, r, 1);
	expect_nothing(f); /* the same */
	vgpu_core_set_memory(f->c, r, 2);
	expect_region(f, VGPU_MSG_ADD_MEM_REG, 2 << 20, 1 << 20, 7);

	/* A region in two pieces: the old one goes first, as they overlap. */
	r[0] = region(0, 1 << 19, 100);
	r[2] = region(1 << 19, 1 << 19, 100);
	vgpu_core_set_memory(f->c, r, 3);
	expect_region(f, VGPU_MSG_REM_MEM_REG, 0, 1 << 20, -1);
	expect_region(f, VGPU_MSG_ADD_MEM_REG, 0, 1 << 19, 100);
	expect_region(f, VGPU_MSG_ADD_MEM_REG, 1 << 19, 1 << 19, 100);

	/* Another order is the same table. */
	r[0] = region(1 << 19, 1 << 19, 100);
	r[2] = region(0, 1 << 19, 100);
	vgpu_core_set_memory(f->c, r, 3);
	expect_nothing(f);
	fake_free(f);
}

static void test_all_gone(void)
{
	struct fake *f = fake_up();

	accept_features(f);
	vgpu_core_set_memory(f->c, NULL, 0);
	expect_region(f, VGPU_MSG_REM_MEM_REG, 0, 1 << 20, -1);
	g_assert_cmphex(reg(f, VGPU_REG_STATUS), ==, VGPU_STATUS_LINK | VGPU_STATUS_UNSHARED);
	g_assert_cmphex(reg(f, VGPU_REG_INT_STATUS), ==, VGPU_INT_LINK);
	g_assert_cmphex(reg(f, VGPU_REG_FEATURES_LO), ==, 0);
	fake_free(f);
}

static void test_offline_changes(void)
{
	struct fake *f = fake_up();
	struct vgpu_msg_hello_reply r = good_hello();
	struct vgpu_msg_mem_table m;

	drop_link(f);
	set_ram(f, 3);
	expect_nothing(f);
	pass(f, 100);
	expect(f, VGPU_MSG_HELLO);
	set_ram(f, 2); /* agreed on nothing yet */
	expect_nothing(f);
	answer_hello(f, &r);
	memcpy(&m, expect(f, VGPU_MSG_SET_MEM_TABLE)->payload, sizeof(m));
	g_assert_cmpuint(m.nregions, ==, 2);
	set_ram(f, 3); /* from here on: differences */
	expect_region(f, VGPU_MSG_ADD_MEM_REG, 2 << 24, 1 << 20, 102);
	fake_free(f);
}

static void test_too_many(void)
{
	struct fake *f = fake_new();
	struct vgpu_msg_hello_reply r = good_hello();

	set_ram(f, VGPU_MEM_REGIONS_MAX + 3);
	g_assert_cmpuint(f->logs[VGPU_LOG_ERROR], ==, 1);
	vgpu_core_start(f->c);
	answer_hello(f, &r);
	g_assert_cmpuint(f->sent->len, ==, 2 + VGPU_MEM_REGIONS_MAX - VGPU_MSG_REGIONS_MAX);
	fake_free(f);
}

/* A Xen domain's memory: named, not passed; and changed behind its addresses. */
static void test_by_domain(void)
{
	const struct vgpu_core_region r[2] = {
		{.size = 1 << 20, .by_domain = true, .domid = 5, .fd = -1},
		{.guest_addr = 1ull << 32,
		 .size = 2 << 20,
		 .by_domain = true,
		 .domid = 5,
		 .fd = -1}};
	struct vgpu_msg_hello_reply hello = good_hello();
	struct fake *f = fake_new_xen();
	struct vgpu_msg_mem_table m;
	struct vgpu_msg_hello h;
	const struct sent *s;

	vgpu_core_set_memory(f->c, r, 2);
	vgpu_core_start(f->c);
	memcpy(&h, expect(f, VGPU_MSG_HELLO)->payload, sizeof(h));
	g_assert_cmphex(h.protocol_features, ==, VGPU_PF_ALL | VGPU_PF_XEN_MMAP);
	hello.protocol_features |= VGPU_PF_XEN_MMAP;
	answer_hello(f, &hello);
	s = expect(f, VGPU_MSG_SET_MEM_TABLE);
	memcpy(&m, s->payload, sizeof(m));
	g_assert_cmpuint(s->nfds, ==, 0);
	g_assert_cmpuint(m.nregions, ==, 2);
	g_assert_cmphex(m.regions[1].guest_addr, ==, 1ull << 32);
	g_assert_cmphex(m.regions[1].xen_flags, ==, VGPU_XEN_FOREIGN);
	g_assert_cmpuint(m.regions[1].domid, ==, 5);
	answer(f, VGPU_MSG_SET_MEM_TABLE, 0);
	g_assert_cmphex(reg(f, VGPU_REG_STATUS), ==, VGPU_STATUS_LINK | VGPU_STATUS_QUEUES);
	vgpu_core_memory_changed(f->c);
	expect_region(f, VGPU_MSG_ADD_MEM_REG, 0, 1 << 20, -1);
	expect_region(f, VGPU_MSG_ADD_MEM_REG, 1ull << 32, 2 << 20, -1);
	drop_link(f);
	vgpu_core_memory_changed(f->c); /* it will be told anyway */
	expect_nothing(f);

	/* A daemon that does not: registers only, said once to the log and to the guest. */
	set_reg(f, VGPU_REG_INT_STATUS, VGPU_INT_ALL);
	pass(f, 100);
	expect(f, VGPU_MSG_HELLO);
	hello.protocol_features &= ~VGPU_PF_XEN_MMAP;
	answer_hello(f, &hello);
	expect_nothing(f);
	vgpu_core_memory_changed(f->c);
	vgpu_core_set_memory(f->c, r, 1);
	expect_nothing(f);
	g_assert_true(reg(f, VGPU_REG_STATUS) & VGPU_STATUS_UNSHARED);
	g_assert_cmphex(reg(f, VGPU_REG_FEATURES_LO), ==, 0);
	g_assert_true(reg(f, VGPU_REG_INT_STATUS) & VGPU_INT_LINK);
	fake_free(f);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/memory/table", test_table);
	g_test_add_func("/memory/changes", test_changes);
	g_test_add_func("/memory/all-gone", test_all_gone);
	g_test_add_func("/memory/offline-changes", test_offline_changes);
	g_test_add_func("/memory/too-many", test_too_many);
	g_test_add_func("/memory/by-domain", test_by_domain);
	return g_test_run();
}
