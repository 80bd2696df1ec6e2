/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One PCI function over the device core. */
#include "device.h"

#include <stdio.h>
#include <string.h>

static void send_msi(void *opaque, uint64_t address, uint32_t data)
{
	struct device *d = opaque;

	d->host->send_msi(d->opaque, address, data);
}

static uint32_t power_of_two(uint32_t n)
{
	uint32_t p = 1;

	while (p < n)
		p *= 2;
	return p;
}

void device_init(struct device *d, uint32_t queues, const struct device_host *host, void *opaque)
{
	const uint32_t vectors = vgpu_core_vectors(queues);
	const uint32_t size[PCI_BARS] = {
		[VGPU_BAR_REGS] = VGPU_BAR_REGS_SIZE,
		[VGPU_BAR_DOORBELLS] = power_of_two(queues) * VGPU_DOORBELL_STRIDE,
		[VGPU_BAR_MSIX] = MSIX_BAR_BYTES,
	};

	memset(d, 0, sizeof(*d));
	d->host = host;
	d->opaque = opaque;
	pci_init(&d->pci, size, vectors, VGPU_BAR_MSIX, MSIX_PBA_OFFSET);
	msix_init(&d->msix, vectors, send_msi, d);
}

void device_raise(struct device *d, uint32_t vector)
{
	msix_raise(&d->msix, vector);
}

/* ---------------------------------------------------------- configuration */

static void map_bar(struct device *d, unsigned int i, uint64_t at)
{
	char text[96];
	int err = d->host->map(d->opaque, at, d->pci.bar_size[i]);

	if (!err) {
		d->bar[i].on = true;
		d->bar[i].at = at;
		return;
	}
	snprintf(text, sizeof(text), "BAR %u cannot be at 0x%llx: %s", i, (unsigned long long)at,
		 strerror(-err));
	d->host->guest_error(d->opaque, text);
}

/*
 * All that has moved goes first, as BARs may change places.  One that lies over
 * another stays unregistered and is tried again with the next change.
 */
static void sync_bars(struct device *d)
{
	uint64_t at[PCI_BARS];
	bool wanted[PCI_BARS];

	for (unsigned int i = 0; i < PCI_BARS; i++) {
		wanted[i] = pci_bar(&d->pci, i, &at[i]);
		if (!d->bar[i].on || (wanted[i] && at[i] == d->bar[i].at))
			continue;
		d->host->unmap(d->opaque, d->bar[i].at, d->pci.bar_size[i]);
		d->bar[i].on = false;
	}
	for (unsigned int i = 0; i < PCI_BARS; i++) {
		if (wanted[i] && !d->bar[i].on)
			map_bar(d, i, at[i]);
	}
}

static uint32_t config_read(void *opaque, uint32_t offset, uint32_t size)
{
	struct device *d = opaque;

	return pci_read(&d->pci, offset, size);
}

static void config_write(void *opaque, uint32_t offset, uint32_t value, uint32_t size)
{
	struct device *d = opaque;

	pci_write(&d->pci, offset, value, size);
	sync_bars(d);
	msix_set(&d->msix, pci_msix_enabled(&d->pci),
		 pci_msix_masked(&d->pci) || !pci_bus_master(&d->pci));
}

/* ------------------------------------------------------------------- BARs */

/* The BAR that all these bytes lie in, or PCI_BARS. */
static unsigned int find_bar(const struct device *d, uint64_t address, uint32_t size,
			     uint64_t *offset)
{
	for (unsigned int i = 0; i < PCI_BARS; i++) {
		if (!d->bar[i].on || address < d->bar[i].at)
			continue;
		*offset = address - d->bar[i].at;
		if (*offset <= d->pci.bar_size[i] - size)
			return i;
	}
	return PCI_BARS;
}

static uint64_t read_bar(void *opaque, uint64_t address, uint32_t size)
{
	struct device *d = opaque;
	uint64_t offset, value = 0;

	switch (find_bar(d, address, size, &offset)) {
	case VGPU_BAR_REGS:
		d->host->enter(d->opaque);
		value = vgpu_core_read(d->core, offset, size);
		d->host->leave(d->opaque);
		break;
	case VGPU_BAR_DOORBELLS:
		break;
	case VGPU_BAR_MSIX:
		value = msix_read(&d->msix, offset, size);
		break;
	default:
		value = UINT64_MAX;
	}
	return value;
}

static void write_bar(void *opaque, uint64_t address, uint64_t value, uint32_t size)
{
	struct device *d = opaque;
	uint64_t offset;

	switch (find_bar(d, address, size, &offset)) {
	case VGPU_BAR_REGS:
		d->host->enter(d->opaque);
		vgpu_core_write(d->core, offset, (uint32_t)value, size);
		d->host->leave(d->opaque);
		break;
	case VGPU_BAR_DOORBELLS:
		vgpu_core_doorbell(d->core, (uint32_t)(offset / VGPU_DOORBELL_STRIDE));
		if (value == VGPU_DOORBELL_SLEEPS)
			d->host->rung(d->opaque);
		break;
	case VGPU_BAR_MSIX:
		msix_write(&d->msix, offset, value, size);
		break;
	}
}

/* -------------------------------------------------------------- all of it */

static bool guest_read(void *opaque, uint64_t address, void *data, uint32_t size)
{
	struct device *d = opaque;

	return d->host->guest_read(d->opaque, address, data, size);
}

static bool guest_write(void *opaque, uint64_t address, const void *data, uint32_t size)
{
	struct device *d = opaque;

	return d->host->guest_write(d->opaque, address, data, size);
}

static void changed(void *opaque)
{
	struct device *d = opaque;

	d->host->changed(d->opaque);
}

static const struct ioreq_ops ops = {
	.read = read_bar,
	.write = write_bar,
	.config_read = config_read,
	.config_write = config_write,
	.guest_read = guest_read,
	.guest_write = guest_write,
	.changed = changed,
};

bool device_run(struct device *d, uint32_t sbdf, struct ioreq *r)
{
	return ioreq_run(&ops, d, sbdf, r);
}
