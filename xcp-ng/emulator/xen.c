/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The hypervisor. */
#include "xen.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <xentoolcore.h>

#define PAGE 4096u

/* Where the messages of MSI go; the upper half may name more of the destination. */
#define MSI_WINDOW 0xfeeu

static bool fail(GError **err, const char *what)
{
	int code = errno ? errno : EIO;

	g_set_error(err, G_FILE_ERROR, g_file_error_from_errno(code), "%s: %s", what,
		    g_strerror(code));
	return false;
}

bool xen_open(struct xen *x, uint32_t domid, GError **err)
{
	memset(x, 0, sizeof(*x));
	x->domid = (domid_t)domid;
	x->dm = xendevicemodel_open(NULL, 0);
	x->memory = xenforeignmemory_open(NULL, 0);
	x->events = xenevtchn_open(NULL, 0);
	if (!x->dm || !x->memory || !x->events)
		return fail(err, "cannot reach Xen (/dev/xen/privcmd, /dev/xen/evtchn)");
	if (xentoolcore_restrict_all(x->domid) < 0)
		return fail(err, "the handles cannot be restricted to the domain");
	return true;
}

void xen_close(struct xen *x)
{
	if (x->resource)
		xenforeignmemory_unmap_resource(x->memory, x->resource);
	if (x->events)
		xenevtchn_close(x->events);
	if (x->memory)
		xenforeignmemory_close(x->memory);
	if (x->dm)
		xendevicemodel_close(x->dm);
	memset(x, 0, sizeof(*x));
}

static bool map_page(struct xen *x, GError **err)
{
	void *at = NULL;

	x->resource = xenforeignmemory_map_resource(
		x->memory, x->domid, XENMEM_resource_ioreq_server, x->server,
		XENMEM_resource_ioreq_server_frame_ioreq(0), 1, &at, PROT_READ | PROT_WRITE, 0);
	x->page = at;
	return x->resource || fail(err, "the page of requests cannot be mapped");
}

/* A vCPU that exists has a port in the page, by the hypervisor's hand. */
static bool bind_ports(struct xen *x, GError **err)
{
	while (x->nvcpus < XEN_VCPUS_MAX && x->page[x->nvcpus].vp_eport) {
		xenevtchn_port_or_error_t port = xenevtchn_bind_interdomain(
			x->events, x->domid, x->page[x->nvcpus].vp_eport);

		if (port < 0)
			return fail(err, "an event channel cannot be bound");
		x->port[x->nvcpus++] = (evtchn_port_t)port;
	}
	errno = ENODEV;
	return x->nvcpus || fail(err, "the domain has no vCPU");
}

bool xen_serve(struct xen *x, unsigned int slot, GError **err)
{
	if (xendevicemodel_create_ioreq_server(x->dm, x->domid, HVM_IOREQSRV_BUFIOREQ_OFF,
					       &x->server) < 0)
		return fail(err, "no ioreq server (is the domain an HVM one?)");
	if (!map_page(x, err))
		return false;
	if (xendevicemodel_set_ioreq_server_state(x->dm, x->domid, x->server, 1) < 0)
		return fail(err, "the ioreq server cannot be enabled");
	if (!bind_ports(x, err))
		return false;
	if (xendevicemodel_map_pcidev_to_ioreq_server(x->dm, x->domid, x->server, 0, 0,
						      (uint8_t)slot, 0) < 0)
		return fail(err, "the PCI function cannot be taken");
	return true;
}

int xen_fd(const struct xen *x)
{
	return xenevtchn_fd(x->events);
}

/* ---------------------------------------------------------------- requests */

/* Whose port is pending; XEN_VCPUS_MAX: nobody's. */
static uint32_t next_vcpu(struct xen *x)
{
	struct pollfd p = {.fd = xen_fd(x), .events = POLLIN};

	while (poll(&p, 1, 0) > 0) {
		xenevtchn_port_or_error_t port = xenevtchn_pending(x->events);

		if (port < 0)
			break;
		xenevtchn_unmask(x->events, (evtchn_port_t)port);
		for (uint32_t i = 0; i < x->nvcpus; i++) {
			if (x->port[i] == (evtchn_port_t)port)
				return i;
		}
	}
	return XEN_VCPUS_MAX;
}

bool xen_next(struct xen *x, uint32_t *vcpu, struct ioreq *r)
{
	uint32_t i;

	while ((i = next_vcpu(x)) < XEN_VCPUS_MAX) {
		if (x->page[i].state != STATE_IOREQ_READY)
			continue;
		__atomic_thread_fence(__ATOMIC_ACQUIRE); /* the state before what it stands for */
		*r = x->page[i];
		x->page[i].state = STATE_IOREQ_INPROCESS;
		*vcpu = i;
		return true;
	}
	return false;
}

static void drop_guest_page(struct xen *x)
{
	if (x->guest)
		xenforeignmemory_unmap(x->memory, x->guest, 1);
	x->guest = NULL;
}

void xen_answer(struct xen *x, uint32_t vcpu, const struct ioreq *r)
{
	drop_guest_page(x);
	x->page[vcpu].data = r->data;
	__atomic_thread_fence(__ATOMIC_RELEASE);
	x->page[vcpu].state = STATE_IORESP_READY;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	xenevtchn_notify(x->events, x->port[vcpu]);
}

/* Disabled first: a vCPU that is answered may ask again at once. */
void xen_end(struct xen *x)
{
	xendevicemodel_set_ioreq_server_state(x->dm, x->domid, x->server, 0);
	for (uint32_t i = 0; i < x->nvcpus; i++) {
		struct ioreq r = x->page[i];

		r.data = UINT64_MAX;
		if (r.state == STATE_IOREQ_READY || r.state == STATE_IOREQ_INPROCESS)
			xen_answer(x, i, &r);
	}
	xendevicemodel_destroy_ioreq_server(x->dm, x->domid, x->server);
}

bool xen_take_over(struct xen *x, ioservid_t server, GError **err)
{
	x->server = server;
	return map_page(x, err) && bind_ports(x, err);
}

/* ----------------------------------------------------------- ranges and MSI */

int xen_map_range(struct xen *x, uint64_t address, uint32_t size)
{
	return xendevicemodel_map_io_range_to_ioreq_server(x->dm, x->domid, x->server, 1, address,
							   address + size - 1) < 0
		       ? -errno
		       : 0;
}

int xen_unmap_range(struct xen *x, uint64_t address, uint32_t size)
{
	return xendevicemodel_unmap_io_range_from_ioreq_server(x->dm, x->domid, x->server, 1,
							       address, address + size - 1) < 0
		       ? -errno
		       : 0;
}

int xen_send_msi(struct xen *x, uint64_t address, uint32_t data)
{
	if ((uint32_t)address >> 20 != MSI_WINDOW)
		return -EINVAL;
	return xendevicemodel_inject_msi(x->dm, x->domid, address, data) < 0 ? -errno : 0;
}

/* ----------------------------------------------------------- guest memory */

static uint8_t *guest_page(struct xen *x, uint64_t gfn)
{
	const xen_pfn_t frame = gfn;

	if (x->guest && x->guest_gfn == gfn)
		return x->guest;
	drop_guest_page(x);
	x->guest =
		xenforeignmemory_map(x->memory, x->domid, PROT_READ | PROT_WRITE, 1, &frame, NULL);
	x->guest_gfn = gfn;
	return x->guest;
}

/* Piece by piece, as it may lie across pages. */
static bool access_guest(struct xen *x, uint64_t address, uint8_t *data, uint32_t size, bool write)
{
	while (size) {
		uint32_t offset = (uint32_t)(address % PAGE);
		uint32_t part = MIN(size, PAGE - offset);
		uint8_t *page = guest_page(x, address / PAGE);

		if (!page)
			return false;
		if (write)
			memcpy(page + offset, data, part);
		else
			memcpy(data, page + offset, part);
		address += part;
		data += part;
		size -= part;
	}
	return true;
}

bool xen_guest_read(struct xen *x, uint64_t address, void *data, uint32_t size)
{
	return access_guest(x, address, data, size, false);
}

bool xen_guest_write(struct xen *x, uint64_t address, const void *data, uint32_t size)
{
	return access_guest(x, address, (uint8_t *)data, size, true);
}
