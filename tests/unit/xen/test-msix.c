/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The emulator's MSI-X: masks, pending bits, what is sent when. */
#include <glib.h>

#include "msix.h"

#define VECTORS 65u

static unsigned int sent;
static uint64_t last_address;
static uint32_t last_data;

static void on_send(void *opaque, uint64_t address, uint32_t data)
{
	g_assert_true(opaque == &sent);
	sent++;
	last_address = address;
	last_data = data;
}

static struct msix make(void)
{
	struct msix m;

	sent = 0;
	msix_init(&m, VECTORS, on_send, &sent);
	return m;
}

static void program(struct msix *m, uint32_t v, uint32_t control)
{
	msix_write(m, v * 16, 0xfee00000 + v, 4);
	msix_write(m, v * 16 + 4, v << 8, 4);
	msix_write(m, v * 16 + 8, 0x4000 + v, 4);
	msix_write(m, v * 16 + 12, control, 4);
}

static bool is_pending(const struct msix *m, uint32_t v)
{
	return msix_read(m, MSIX_PBA_OFFSET + v / 32 * 4, 4) & 1u << v % 32;
}

static void test_plain(void)
{
	struct msix m = make();

	program(&m, 64, 0);
	msix_raise(&m, 64); /* not enabled: forgotten */
	msix_set(&m, true, false);
	g_assert_cmpuint(sent, ==, 0);
	msix_raise(&m, 64);
	g_assert_cmpuint(sent, ==, 1);
	g_assert_cmphex(last_address, ==, (64ull << 8) << 32 | (0xfee00000 + 64));
	g_assert_cmphex(last_data, ==, 0x4000 + 64);
	g_assert_false(is_pending(&m, 64));
	msix_raise(&m, VECTORS); /* there is none */
	msix_raise(&m, UINT32_MAX);
	g_assert_cmpuint(sent, ==, 1);
}

/* A mask of the vector's own, which is there from the beginning, or of all. */
static void test_masks(void)
{
	struct msix m = make();

	msix_set(&m, true, false);
	program(&m, 40, 1);
	msix_raise(&m, 40);
	g_assert_cmpuint(sent, ==, 0);
	g_assert_true(is_pending(&m, 40));
	program(&m, 40, 0);
	g_assert_cmpuint(sent, ==, 1); /* and with what is programmed now */
	g_assert_cmphex(last_data, ==, 0x4000 + 40);
	g_assert_false(is_pending(&m, 40));

	msix_set(&m, true, true);
	msix_raise(&m, 40);
	msix_raise(&m, 40);
	g_assert_cmpuint(sent, ==, 1);
	g_assert_true(is_pending(&m, 40));
	msix_set(&m, true, false);
	g_assert_cmpuint(sent, ==, 2);

	program(&m, 40, 1);
	msix_raise(&m, 40);
	msix_set(&m, false, false);
	msix_set(&m, true, false);
	msix_write(&m, 40 * 16 + 12, 0, 4);
	g_assert_cmpuint(sent, ==, 2); /* disabling forgets */
}

/* Bound to an event channel of Xen: vector 0, and the mask is not the guest's any more. */
static void test_channel(void)
{
	struct msix m = make();

	msix_set(&m, true, false);
	msix_write(&m, 0, 0xfee36000, 8);
	msix_write(&m, 8, 0x4300, 4);
	g_assert_cmphex(msix_read(&m, 12, 4), ==, 1);
	msix_raise(&m, 0);
	g_assert_cmpuint(sent, ==, 1);
	msix_set(&m, true, true);
	msix_raise(&m, 0);
	g_assert_cmpuint(sent, ==, 1); /* that of the function counts */
}

static void test_access(void)
{
	struct msix m = make();

	for (uint32_t v = 0; v < VECTORS; v++)
		g_assert_cmphex(msix_read(&m, v * 16 + 12, 4), ==, 1);
	msix_write(&m, 16, 0x1122334455667788, 8);
	g_assert_cmphex(msix_read(&m, 16, 8), ==, 0x1122334455667788);
	g_assert_cmphex(msix_read(&m, 20, 4), ==, 0x11223344);
	msix_write(&m, 24, UINT64_MAX, 8);
	g_assert_cmphex(msix_read(&m, 28, 4), ==, 1); /* the mask, and no more */
	/* Pending bits cannot be written; beyond the table there is nothing. */
	msix_write(&m, MSIX_PBA_OFFSET, UINT64_MAX, 8);
	g_assert_cmphex(msix_read(&m, MSIX_PBA_OFFSET, 8), ==, 0);
	msix_write(&m, VECTORS * 16, UINT32_MAX, 4);
	g_assert_cmphex(msix_read(&m, VECTORS * 16, 4), ==, 0);
	/* Odd ones. */
	msix_write(&m, 17, 0, 4);
	msix_write(&m, 16, 0, 2);
	msix_write(&m, 20, 0, 8);
	msix_write(&m, MSIX_BAR_BYTES, 0, 4);
	msix_write(&m, UINT64_MAX - 3, 0, 4);
	g_assert_cmphex(msix_read(&m, 16, 8), ==, 0x1122334455667788);
	g_assert_cmphex(msix_read(&m, 18, 4), ==, 0);
	g_assert_cmphex(msix_read(&m, MSIX_BAR_BYTES - 4, 8), ==, 0);
	g_assert_cmphex(msix_read(&m, UINT64_MAX - 7, 8), ==, 0);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/xen/msix/plain", test_plain);
	g_test_add_func("/xen/msix/masks", test_masks);
	g_test_add_func("/xen/msix/channel", test_channel);
	g_test_add_func("/xen/msix/access", test_access);
	return g_test_run();
}
