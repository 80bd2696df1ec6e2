/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The hypervisor, as far as one ioreq server of one domain needs it.  All
 * handles are restricted to that domain before anything is asked of them.
 */
#ifndef VGPU_XEN_XEN_H
#define VGPU_XEN_XEN_H

/* Xen's headers show device models what they need only so. */
#define __XEN_TOOLS__ 1

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <xen/hvm/ioreq.h>
#include <xen/memory.h>
#include <xendevicemodel.h>
#include <xenevtchn.h>
#include <xenforeignmemory.h>

/* As many as the page of requests holds. */
#define XEN_VCPUS_MAX (4096u / sizeof(struct ioreq))

struct xen {
	domid_t domid;
	xendevicemodel_handle *dm;
	xenforeignmemory_handle *memory;
	xenevtchn_handle *events;
	ioservid_t server;
	xenforeignmemory_resource_handle *resource;
	struct ioreq *page; /* shared with the hypervisor: one for each vCPU */
	uint32_t nvcpus;
	evtchn_port_t port[XEN_VCPUS_MAX]; /* our ends */
	/* The page of the guest that the request under way reads or writes. */
	uint8_t *guest;
	uint64_t guest_gfn;
};

/* Opens and restricts.  False with `err` set; xen_close() in any case. */
bool xen_open(struct xen *x, uint32_t domid, GError **err);
void xen_close(struct xen *x);

/* A server of our own that gets the function at `slot` of bus 0.  The domain may be paused. */
bool xen_serve(struct xen *x, unsigned int slot, GError **err);

/* The server of a process that is gone, or is about to be. */
bool xen_take_over(struct xen *x, ioservid_t server, GError **err);

/*
 * The end of the server: vCPUs that wait for it read all ones and go on, as
 * they do everywhere where no device is.
 */
void xen_end(struct xen *x);

/* Readable: xen_next() has something. */
int xen_fd(const struct xen *x);

/* The next vCPU that has a request; copies it.  False: none for now. */
bool xen_next(struct xen *x, uint32_t *vcpu, struct ioreq *r);
/* ... and this is the answer. */
void xen_answer(struct xen *x, uint32_t vcpu, const struct ioreq *r);

/* 0 or a negative errno. */
int xen_map_range(struct xen *x, uint64_t address, uint32_t size);
int xen_unmap_range(struct xen *x, uint64_t address, uint32_t size);
int xen_send_msi(struct xen *x, uint64_t address, uint32_t data);

/* The guest's memory, until the answer.  False: there is none. */
bool xen_guest_read(struct xen *x, uint64_t address, void *data, uint32_t size);
bool xen_guest_write(struct xen *x, uint64_t address, const void *data, uint32_t size);

#endif /* VGPU_XEN_XEN_H */
