/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The emulator's configuration space: what can be written, sizing, where BARs are. */
#include <glib.h>

#include "pci.h"
#include "vgpu_abi.h"

#define COMMAND 0x04u
#define BAR(n) (0x10u + 4 * (n))
#define MSIX_CONTROL (PCI_MSIX_CAP + 2)

static const uint32_t sizes[PCI_BARS] = {4096, 0, 128 * 1024, 0, 4096, 0};

static struct pci make(void)
{
	struct pci p;

	pci_init(&p, sizes, 33, 4, 2048);
	return p;
}

static void test_identity(void)
{
	struct pci p = make();

	g_assert_cmphex(pci_read(&p, 0, 4), ==, VGPU_PCI_DEVICE_ID << 16 | VGPU_PCI_VENDOR_ID);
	g_assert_cmphex(pci_read(&p, 8, 4), ==, (uint32_t)VGPU_PCI_CLASS << 16 | VGPU_PCI_REVISION);
	g_assert_cmphex(pci_read(&p, 0x0e, 1), ==, 0);        /* one function, no bridge */
	g_assert_cmphex(pci_read(&p, 0x3d, 1), ==, 0);        /* no pin */
	g_assert_cmphex(pci_read(&p, 6, 2) & 0x10, ==, 0x10); /* capabilities */
	g_assert_cmphex(pci_read(&p, 0x34, 1), ==, PCI_MSIX_CAP);
	g_assert_cmphex(pci_read(&p, PCI_MSIX_CAP, 2), ==, 0x0011);
	g_assert_cmphex(pci_read(&p, MSIX_CONTROL, 2), ==, 32);
	g_assert_cmphex(pci_read(&p, PCI_MSIX_CAP + 4, 4), ==, 4);
	g_assert_cmphex(pci_read(&p, PCI_MSIX_CAP + 8, 4), ==, 2048 | 4);
	g_assert_cmphex(pci_read(&p, 0x30, 4), ==, 0); /* no ROM */
}

/* Only what may be written changes, in every width and at every offset. */
static void test_writes(void)
{
	struct pci p = make(), before = p;

	for (uint32_t offset = 0; offset < PCI_CONFIG_BYTES; offset++)
		pci_write(&p, offset, UINT32_MAX, 1);
	for (uint32_t offset = 0; offset < PCI_CONFIG_BYTES; offset++) {
		g_assert_cmphex((p.config[offset] ^ before.config[offset]) & ~p.writable[offset],
				==, 0);
		g_assert_cmphex(p.config[offset] & p.writable[offset], ==, p.writable[offset]);
	}
	g_assert_cmphex(pci_read(&p, 0, 4), ==, pci_read(&before, 0, 4));
	g_assert_cmphex(pci_read(&p, COMMAND, 2), ==, 0x0406);
	g_assert_cmphex(pci_read(&p, MSIX_CONTROL, 2), ==, 0xc020);
	/* Not there, or of no size. */
	g_assert_cmphex(pci_read(&p, PCI_CONFIG_BYTES, 4), ==, UINT32_MAX);
	g_assert_cmphex(pci_read(&p, PCI_CONFIG_BYTES - 3, 4), ==, UINT32_MAX);
	g_assert_cmphex(pci_read(&p, UINT32_MAX, 1), ==, UINT32_MAX);
	g_assert_cmphex(pci_read(&p, 0, 3), ==, UINT32_MAX);
	g_assert_cmphex(pci_read(&p, 0, 0), ==, UINT32_MAX);
	before = p;
	pci_write(&p, UINT32_MAX - 1, 0, 4);
	pci_write(&p, PCI_CONFIG_BYTES - 1, 0, 2);
	pci_write(&p, COMMAND, 0, 8);
	g_assert_cmpmem(&p, sizeof(p), &before, sizeof(before));
}

static void test_sizing(void)
{
	struct pci p = make();
	uint64_t at;

	pci_write(&p, COMMAND, 2, 2);
	for (unsigned int i = 0; i < PCI_BARS; i++) {
		pci_write(&p, BAR(i), UINT32_MAX, 4);
		g_assert_cmphex(pci_read(&p, BAR(i), 4), ==, sizes[i] ? ~(sizes[i] - 1) : 0);
		g_assert_false(pci_bar(&p, i, &at));
	}
}

static void test_bars(void)
{
	struct pci p = make();
	uint64_t at = 0;

	g_assert_false(pci_bar(&p, 0, &at));
	pci_write(&p, BAR(0), 0xf0001fff, 4);
	pci_write(&p, BAR(2), 0xf0131234, 4);
	g_assert_false(pci_bar(&p, 0, &at)); /* memory is not decoded */
	pci_write(&p, COMMAND, 2, 1);
	g_assert_true(pci_bar(&p, 0, &at));
	g_assert_cmphex(at, ==, 0xf0001000);
	g_assert_true(pci_bar(&p, 2, &at));
	g_assert_cmphex(at, ==, 0xf0120000);
	g_assert_false(pci_bar(&p, 1, &at));
	g_assert_false(pci_bar(&p, 4, &at)); /* at 0 */
	/* Byte by byte it moves, too. */
	pci_write(&p, BAR(0) + 3, 0xe0, 1);
	g_assert_true(pci_bar(&p, 0, &at));
	g_assert_cmphex(at, ==, 0xe0001000);
	pci_write(&p, COMMAND, 0, 2);
	g_assert_false(pci_bar(&p, 0, &at));
}

static void test_bits(void)
{
	struct pci p = make();

	g_assert_false(pci_bus_master(&p) || pci_msix_enabled(&p) || pci_msix_masked(&p));
	pci_write(&p, COMMAND, 4, 2);
	pci_write(&p, MSIX_CONTROL, 0x8000, 2);
	g_assert_true(pci_bus_master(&p) && pci_msix_enabled(&p) && !pci_msix_masked(&p));
	pci_write(&p, MSIX_CONTROL, 0x4000, 2);
	g_assert_true(!pci_msix_enabled(&p) && pci_msix_masked(&p));
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/xen/pci/identity", test_identity);
	g_test_add_func("/xen/pci/writes", test_writes);
	g_test_add_func("/xen/pci/sizing", test_sizing);
	g_test_add_func("/xen/pci/bars", test_bars);
	g_test_add_func("/xen/pci/bits", test_bits);
	return g_test_run();
}
