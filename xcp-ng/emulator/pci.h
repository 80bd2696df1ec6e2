/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One PCI function: configuration space, and where its BARs are.
 *
 * Pure: it knows neither Xen nor what is behind the BARs.  The guest may write
 * anything at any time; the owner looks at pci_bar() afterwards and brings what
 * is registered with the hypervisor in line.
 */
#ifndef VGPU_XEN_PCI_H
#define VGPU_XEN_PCI_H

#include <stdbool.h>
#include <stdint.h>

#define PCI_CONFIG_BYTES 256u
#define PCI_BARS 6u

/* The place of the MSI-X capability; the only one there is. */
#define PCI_MSIX_CAP 0x40u

struct pci {
	uint8_t config[PCI_CONFIG_BYTES];
	uint8_t writable[PCI_CONFIG_BYTES]; /* bits that the guest may change */
	uint32_t bar_size[PCI_BARS];        /* 0: there is none */
};

/* `bar_size`: powers of two from 4096 on, or 0; `vectors` as MSI-X has them, its BAR too. */
void pci_init(struct pci *p, const uint32_t bar_size[PCI_BARS], uint32_t vectors,
	      unsigned int msix_bar, uint32_t pba_offset);

/* All ones where there is nothing.  `size` is 1, 2 or 4. */
uint32_t pci_read(const struct pci *p, uint32_t offset, uint32_t size);
void pci_write(struct pci *p, uint32_t offset, uint32_t value, uint32_t size);

/* Where a BAR is decoded now; false: nowhere. */
bool pci_bar(const struct pci *p, unsigned int bar, uint64_t *address);

bool pci_bus_master(const struct pci *p);
bool pci_msix_enabled(const struct pci *p);
bool pci_msix_masked(const struct pci *p);

#endif /* VGPU_XEN_PCI_H */
