/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The configuration space of one PCI function. */
#include "pci.h"

#include <string.h>

#include "vgpu_abi.h"

/* Offsets and bits of PCI's own, as far as they are used here. */
#define VENDOR 0x00u
#define DEVICE 0x02u
#define COMMAND 0x04u
#define STATUS 0x06u
#define REVISION 0x08u
#define CLASS 0x0au
#define CACHE_LINE 0x0cu
#define LATENCY 0x0du
#define BAR(n) (0x10u + 4 * (n))
#define SUBSYSTEM_VENDOR 0x2cu
#define SUBSYSTEM 0x2eu
#define CAPABILITIES 0x34u
#define INTERRUPT_LINE 0x3cu

#define COMMAND_MEMORY 0x0002u
#define COMMAND_MASTER 0x0004u
#define COMMAND_NO_INTX 0x0400u
#define STATUS_CAPABILITIES 0x0010u

#define CAP_MSIX 0x11u
#define MSIX_CONTROL (PCI_MSIX_CAP + 2)
#define MSIX_TABLE (PCI_MSIX_CAP + 4)
#define MSIX_PBA (PCI_MSIX_CAP + 8)
#define MSIX_ENABLE 0x8000u
#define MSIX_MASK_ALL 0x4000u

/* As QEMU's devices have it that name nothing else. */
#define SUBSYSTEM_ID 0x1100u

static uint32_t get(const uint8_t *at, uint32_t size)
{
	uint32_t value = 0;

	for (uint32_t i = 0; i < size; i++)
		value |= (uint32_t)at[i] << 8 * i;
	return value;
}

static void put(uint8_t *at, uint32_t value, uint32_t size)
{
	for (uint32_t i = 0; i < size; i++)
		at[i] = (uint8_t)(value >> 8 * i);
}

static void init_msix(struct pci *p, uint32_t vectors, unsigned int bar, uint32_t pba_offset)
{
	p->config[CAPABILITIES] = PCI_MSIX_CAP;
	p->config[PCI_MSIX_CAP] = CAP_MSIX;
	put(&p->config[MSIX_CONTROL], vectors - 1, 2);
	put(&p->writable[MSIX_CONTROL], MSIX_ENABLE | MSIX_MASK_ALL, 2);
	put(&p->config[MSIX_TABLE], bar, 4);
	put(&p->config[MSIX_PBA], pba_offset | bar, 4);
}

void pci_init(struct pci *p, const uint32_t bar_size[PCI_BARS], uint32_t vectors,
	      unsigned int msix_bar, uint32_t pba_offset)
{
	memset(p, 0, sizeof(*p));
	put(&p->config[VENDOR], VGPU_PCI_VENDOR_ID, 2);
	put(&p->config[DEVICE], VGPU_PCI_DEVICE_ID, 2);
	put(&p->config[STATUS], STATUS_CAPABILITIES, 2);
	p->config[REVISION] = VGPU_PCI_REVISION;
	put(&p->config[CLASS], VGPU_PCI_CLASS, 2);
	put(&p->config[SUBSYSTEM_VENDOR], VGPU_PCI_VENDOR_ID, 2);
	put(&p->config[SUBSYSTEM], SUBSYSTEM_ID, 2);
	put(&p->writable[COMMAND], COMMAND_MEMORY | COMMAND_MASTER | COMMAND_NO_INTX, 2);
	p->writable[CACHE_LINE] = 0xff;
	p->writable[LATENCY] = 0xff;
	p->writable[INTERRUPT_LINE] = 0xff; /* for the firmware's notes; there is no pin */
	for (unsigned int i = 0; i < PCI_BARS; i++) {
		p->bar_size[i] = bar_size[i];
		if (bar_size[i])
			put(&p->writable[BAR(i)], ~(bar_size[i] - 1), 4);
	}
	init_msix(p, vectors, msix_bar, pba_offset);
}

static bool in_range(uint32_t offset, uint32_t size)
{
	return (size == 1 || size == 2 || size == 4) && offset <= PCI_CONFIG_BYTES - size;
}

uint32_t pci_read(const struct pci *p, uint32_t offset, uint32_t size)
{
	return in_range(offset, size) ? get(&p->config[offset], size) : UINT32_MAX;
}

void pci_write(struct pci *p, uint32_t offset, uint32_t value, uint32_t size)
{
	if (!in_range(offset, size))
		return;
	for (uint32_t i = 0; i < size; i++) {
		uint8_t may = p->writable[offset + i];
		uint8_t *byte = &p->config[offset + i];

		*byte = (uint8_t)((*byte & ~may) | (value >> 8 * i & may));
	}
}

static uint32_t command(const struct pci *p)
{
	return get(&p->config[COMMAND], 2);
}

/* All ones are what a guest that asks for the size has written, not a place. */
bool pci_bar(const struct pci *p, unsigned int bar, uint64_t *address)
{
	uint32_t size = p->bar_size[bar];
	uint32_t at = get(&p->config[BAR(bar)], 4);

	if (!size || !(command(p) & COMMAND_MEMORY) || !at || at == ~(size - 1))
		return false;
	*address = at;
	return true;
}

bool pci_bus_master(const struct pci *p)
{
	return command(p) & COMMAND_MASTER;
}

bool pci_msix_enabled(const struct pci *p)
{
	return get(&p->config[MSIX_CONTROL], 2) & MSIX_ENABLE;
}

bool pci_msix_masked(const struct pci *p)
{
	return get(&p->config[MSIX_CONTROL], 2) & MSIX_MASK_ALL;
}
