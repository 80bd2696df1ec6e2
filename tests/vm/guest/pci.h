/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The device from a program that is root: taken from its driver, its BARs mapped.
 */
#ifndef GUEST_PCI_H
#define GUEST_PCI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vgpu_abi.h"

struct pci_device {
	char slot[64]; /* as sysfs names it */
	bool bound;    /* the driver had it */
	volatile uint32_t *regs;
	volatile uint32_t *doorbells;
	size_t doorbell_bytes;
};

/*
 * Finds the first vgpu-stub, unbinds its driver and maps its BARs with memory
 * decoding on and bus mastering off.  0 or -1 with errno.
 */
int pci_take(struct pci_device *dev);
/* Resets the device, unmaps it and binds the driver again if it was bound. */
void pci_give_back(struct pci_device *dev);
/* Lets the device raise interrupts and write memory: 0 or -1 with errno. */
int pci_bus_master(struct pci_device *dev, bool on);
/* Resets by CONTROL: true once the device has let go of all memory. */
bool pci_reset(struct pci_device *dev);

static inline uint32_t pci_read(struct pci_device *dev, uint32_t reg)
{
	return dev->regs[reg / 4];
}

static inline void pci_write(struct pci_device *dev, uint32_t reg, uint32_t value)
{
	dev->regs[reg / 4] = value;
}

static inline void pci_kick(struct pci_device *dev, uint32_t queue)
{
	dev->doorbells[queue * (VGPU_DOORBELL_STRIDE / 4)] = 1;
}

#endif /* GUEST_PCI_H */
