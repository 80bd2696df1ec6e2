/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The device as a guest sees it: one PCI function over the device core.
 *
 * Configuration space, BARs and MSI-X come together here.  Still pure: what it
 * needs of the hypervisor and of its shell it asks for.
 */
#ifndef VGPU_XEN_DEVICE_H
#define VGPU_XEN_DEVICE_H

#include "ioreq.h"
#include "msix.h"
#include "pci.h"
#include "vgpu_core.h"

struct device_host {
	/* From now on accesses to these bytes come to us, or not any more.  0 or a negative errno.
	 */
	int (*map)(void *opaque, uint64_t address, uint32_t size);
	int (*unmap)(void *opaque, uint64_t address, uint32_t size);
	void (*send_msi)(void *opaque, uint64_t address, uint32_t data);
	/* Around each call of the core that may change what it waits for. */
	void (*enter)(void *opaque);
	void (*leave)(void *opaque);
	/* The guest rang and means to sleep until it is answered. */
	void (*rung)(void *opaque);
	bool (*guest_read)(void *opaque, uint64_t address, void *data, uint32_t size);
	bool (*guest_write)(void *opaque, uint64_t address, const void *data, uint32_t size);
	void (*changed)(void *opaque);
	void (*guest_error)(void *opaque, const char *text);
};

struct device {
	const struct device_host *host;
	void *opaque;
	struct vgpu_core *core;
	struct pci pci;
	struct msix msix;
	struct {
		bool on; /* registered with the hypervisor */
		uint64_t at;
	} bar[PCI_BARS];
};

/* The core comes later, as it needs device_raise() in its shell. */
void device_init(struct device *d, uint32_t queues, const struct device_host *host, void *opaque);

/* One access of the guest, as ioreq_run(). */
bool device_run(struct device *d, uint32_t sbdf, struct ioreq *r);

/* For the core's shell. */
void device_raise(struct device *d, uint32_t vector);

#endif /* VGPU_XEN_DEVICE_H */
