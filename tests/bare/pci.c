/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Finds the device by PCI configuration space, and sets its MSI-X up.  The
 * firmware has placed the BARs.
 */
#include "bare.h"

#define CONFIG_ADDRESS 0xcf8
#define CONFIG_DATA 0xcfc
#define COMMAND_MEMORY_AND_MASTER 6
#define CAPABILITY_MSIX 0x11
#define MSIX_ENABLE (1u << 31)

static uint32_t config_read(uint32_t device, uint32_t offset)
{
	outl(CONFIG_ADDRESS, 0x80000000 | device | offset);
	return inl(CONFIG_DATA);
}

static void config_write(uint32_t device, uint32_t offset, uint32_t value)
{
	outl(CONFIG_ADDRESS, 0x80000000 | device | offset);
	outl(CONFIG_DATA, value);
}

static uint32_t bar(uint32_t device, uint32_t n)
{
	uint32_t value = config_read(device, 0x10 + 4 * n) & ~0xfu;

	if (!value)
		fail("BAR %u has no place", n);
	return value;
}

static uint32_t find_msix(uint32_t device)
{
	uint32_t at = config_read(device, 0x34) & 0xfc;

	while (at) {
		uint32_t word = config_read(device, at);

		if ((word & 0xff) == CAPABILITY_MSIX)
			return at;
		at = word >> 8 & 0xfc;
	}
	fail("no MSI-X");
}

void find_device(struct device *d)
{
	const uint32_t id = (uint32_t)VGPU_PCI_DEVICE_ID << 16 | VGPU_PCI_VENDOR_ID;

	for (uint32_t slot = 0; slot < 32; slot++) {
		uint32_t a = slot << 11;

		if (config_read(a, 0) != id)
			continue;
		if (config_read(a, 8) >> 16 != VGPU_PCI_CLASS)
			fail("class 0x%x", config_read(a, 8) >> 16);
		config_write(a, 4, config_read(a, 4) | COMMAND_MEMORY_AND_MASTER);
		d->address = a;
		d->regs = (volatile uint32_t *)bar(a, VGPU_BAR_REGS);
		d->doorbells = (uint8_t *)bar(a, VGPU_BAR_DOORBELLS);
		d->msix_at = find_msix(a);
		d->msix = (uint32_t *)(bar(a, VGPU_BAR_MSIX) +
				       (config_read(a, d->msix_at + 4) & ~7u));
		print("device 1af4:1111 in slot %u, registers at 0x%x, doorbells at 0x%x\n", slot,
		      (uint32_t)d->regs, (uint32_t)d->doorbells);
		return;
	}
	fail("no device 1af4:1111");
}

void enable_msix(struct device *d)
{
	config_write(d->address, d->msix_at, config_read(d->address, d->msix_at) | MSIX_ENABLE);
}

void aim_vector(struct device *d, uint32_t vector, uint32_t address, uint32_t data)
{
	volatile uint32_t *entry = d->msix + 4 * vector;

	entry[0] = address;
	entry[1] = 0;
	entry[2] = data;
	entry[3] = 0; /* not masked */
}
