/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Fuzzes what a guest's accesses reach in the emulator: requests, configuration
 * space, BARs, MSI-X, and the device core behind them.
 *
 * Input: requests of a byte that says how to read the 24 that follow it: as
 * they are, or bent towards addresses where something is.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "device.h"

#define CHECK(what)              \
	do {                     \
		if (!(what))     \
			abort(); \
	} while (0)

#define SBDF IOREQ_SBDF(0, 30, 0)
#define RAM 8192u
#define RANGES 3u

static struct {
	uint64_t at;
	uint32_t size; /* 0: free */
} range[RANGES];
static uint8_t ram[RAM];
static unsigned int inside;

static int host_map(void *opaque, uint64_t address, uint32_t size)
{
	unsigned int free = RANGES;

	(void)opaque;
	CHECK(size >= 4096 && address % size == 0 && address + size <= 1ull << 32);
	for (unsigned int i = 0; i < RANGES; i++) {
		if (!range[i].size)
			free = i;
		else if (address < range[i].at + range[i].size && range[i].at < address + size)
			return -EEXIST;
	}
	CHECK(free < RANGES);
	range[free].at = address;
	range[free].size = size;
	return 0;
}

static int host_unmap(void *opaque, uint64_t address, uint32_t size)
{
	(void)opaque;
	for (unsigned int i = 0; i < RANGES; i++) {
		if (range[i].at == address && range[i].size == size) {
			range[i].size = 0;
			return 0;
		}
	}
	abort();
}

static void host_send(void *opaque, uint64_t address, uint32_t data)
{
	struct device *d = opaque;

	(void)address;
	(void)data;
	CHECK(pci_msix_enabled(&d->pci) && !pci_msix_masked(&d->pci) && pci_bus_master(&d->pci));
}

static void host_enter(void *opaque)
{
	struct device *d = opaque;
	static int64_t now;

	CHECK(!inside++);
	vgpu_core_time(d->core, now += 10);
}

static void host_leave(void *opaque)
{
	struct device *d = opaque;

	CHECK(!--inside);
	vgpu_core_tick(d->core);
}

static void host_nothing(void *opaque)
{
	(void)opaque;
}

static bool host_read(void *opaque, uint64_t address, void *data, uint32_t size)
{
	(void)opaque;
	if (address > RAM - size)
		return false;
	memcpy(data, ram + address, size);
	return true;
}

static bool host_write(void *opaque, uint64_t address, const void *data, uint32_t size)
{
	(void)opaque;
	if (address > RAM - size)
		return false;
	memcpy(ram + address, data, size);
	return true;
}

static void host_error(void *opaque, const char *text)
{
	(void)opaque;
	CHECK(strlen(text) < 96);
}

static const struct device_host host = {
	.map = host_map,
	.unmap = host_unmap,
	.send_msi = host_send,
	.enter = host_enter,
	.leave = host_leave,
	.rung = host_nothing,
	.guest_read = host_read,
	.guest_write = host_write,
	.changed = host_nothing,
	.guest_error = host_error,
};

static int core_connect(void *opaque)
{
	(void)opaque;
	return -ECONNREFUSED;
}

static void core_raise(void *opaque, uint32_t vector)
{
	device_raise(opaque, vector);
}

static void core_log(void *opaque, enum vgpu_log_level level, const char *text)
{
	(void)opaque;
	(void)level;
	(void)text;
}

static const struct vgpu_core_ops core_ops = {
	.connect = core_connect,
	.raise = core_raise,
	.log = core_log,
};

/* 24 bytes of input. */
struct input {
	uint64_t addr;
	uint64_t data;
	uint16_t count;
	uint8_t size;
	uint8_t type;
	uint8_t flags;
	uint8_t pad[3];
};

enum { AS_IT_IS, CONFIG, IN_BAR, FROM_RAM, KINDS };

static struct ioreq make(const struct device *d, uint8_t kind, const struct input *in)
{
	struct ioreq r = {
		.addr = in->addr,
		.data = in->data,
		.count = in->count,
		.size = in->size,
		.type = in->type,
		.dir = in->flags & 1,
		.df = in->flags >> 1 & 1,
		.data_is_ptr = in->flags >> 2 & 1,
	};
	unsigned int bar = in->flags >> 3 & 6;

	if (kind == AS_IT_IS)
		return r;
	r.size = 1u << (in->size & 3);
	r.count = kind == CONFIG ? 1 : 1 + in->count % 16;
	r.type = kind == CONFIG ? IOREQ_TYPE_PCI_CONFIG : IOREQ_TYPE_COPY;
	r.data_is_ptr = kind == FROM_RAM;
	if (kind == CONFIG)
		r.addr = (uint64_t)SBDF << 32 | (in->addr & 0xff);
	else if (bar < PCI_BARS)
		r.addr = d->bar[bar].at + (in->addr & 0x1fff);
	if (kind == FROM_RAM)
		r.data = in->data % RAM;
	return r;
}

/* What is registered is what the configuration space says, but for what overlaps. */
static void check(const struct device *d)
{
	for (unsigned int i = 0; i < PCI_BARS; i++) {
		uint64_t at;
		bool wanted = pci_bar(&d->pci, i, &at);

		CHECK(!d->bar[i].on || (wanted && at == d->bar[i].at));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct device d;
	struct vgpu_core_config config = {.queues = 1, .name = "vm", .by_domain = true};
	struct input in;

	config.queues += size % VGPU_QUEUES_MAX;
	memset(range, 0, sizeof(range));
	device_init(&d, config.queues, &host, &d);
	d.core = vgpu_core_new(&config, &core_ops, &d);
	CHECK(d.core);
	for (; size > sizeof(in); data += sizeof(in) + 1, size -= sizeof(in) + 1) {
		struct ioreq r;

		memcpy(&in, data + 1, sizeof(in));
		r = make(&d, data[0] % KINDS, &in);
		device_run(&d, SBDF, &r);
		check(&d);
	}
	vgpu_core_free(d.core);
	return 0;
}
