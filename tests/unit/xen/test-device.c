/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The emulator's device by requests as Xen makes them: over the real core,
 * with a hypervisor that is a test.
 */
#include <errno.h>
#include <glib.h>
#include <string.h>

#include "device.h"

#define SLOT 30u
#define SBDF IOREQ_SBDF(0, SLOT, 0)
#define QUEUES 4u
#define RAM 8192u
#define RAM_AT 0x10000u
#define REGS 0xf0000000u
#define DOORBELLS 0xf0010000u
#define MSIX 0xf0001000u
#define COMMAND 0x04u
#define BAR(n) (0x10u + 4 * (n))

struct fixture {
	struct device d;
	uint64_t mapped[8]; /* address of each range, 0: free */
	uint32_t size[8];
	unsigned int depth, changed, rung, messages;
	uint8_t ram[RAM];
};

static int host_map(void *opaque, uint64_t address, uint32_t size)
{
	struct fixture *x = opaque;
	unsigned int free = 8;

	for (unsigned int i = 0; i < 8; i++) {
		if (!x->mapped[i])
			free = i;
		else if (address < x->mapped[i] + x->size[i] && x->mapped[i] < address + size)
			return -EEXIST; /* as Xen does */
	}
	g_assert_cmpuint(free, <, 8);
	x->mapped[free] = address;
	x->size[free] = size;
	return 0;
}

static int host_unmap(void *opaque, uint64_t address, uint32_t size)
{
	struct fixture *x = opaque;

	for (unsigned int i = 0; i < 8; i++) {
		if (x->mapped[i] == address && x->size[i] == size) {
			x->mapped[i] = 0;
			return 0;
		}
	}
	g_assert_not_reached();
}

static bool is_mapped(const struct fixture *x, uint64_t address)
{
	for (unsigned int i = 0; i < 8; i++) {
		if (x->mapped[i] == address)
			return true;
	}
	return false;
}

static unsigned int count_mapped(const struct fixture *x)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < 8; i++)
		n += x->mapped[i] != 0;
	return n;
}

static void host_send(void *opaque, uint64_t address, uint32_t data)
{
	struct fixture *x = opaque;

	(void)address;
	(void)data;
	x->messages++;
}

static void host_enter(void *opaque)
{
	struct fixture *x = opaque;

	g_assert_cmpuint(x->depth++, ==, 0);
}

static void host_leave(void *opaque)
{
	struct fixture *x = opaque;

	g_assert_cmpuint(--x->depth, ==, 0);
}

static void host_rung(void *opaque)
{
	((struct fixture *)opaque)->rung++;
}

static bool ram_has(uint64_t address, uint32_t size)
{
	return address >= RAM_AT && address - RAM_AT <= RAM - size;
}

static bool host_guest_read(void *opaque, uint64_t address, void *data, uint32_t size)
{
	struct fixture *x = opaque;

	if (ram_has(address, size))
		memcpy(data, x->ram + (address - RAM_AT), size);
	return ram_has(address, size);
}

static bool host_guest_write(void *opaque, uint64_t address, const void *data, uint32_t size)
{
	struct fixture *x = opaque;

	if (ram_has(address, size))
		memcpy(x->ram + (address - RAM_AT), data, size);
	return ram_has(address, size);
}

static void host_changed(void *opaque)
{
	((struct fixture *)opaque)->changed++;
}

static void host_guest_error(void *opaque, const char *text)
{
	(void)opaque;
	g_test_message("%s", text);
}

static const struct device_host host = {
	.map = host_map,
	.unmap = host_unmap,
	.send_msi = host_send,
	.enter = host_enter,
	.leave = host_leave,
	.rung = host_rung,
	.guest_read = host_guest_read,
	.guest_write = host_guest_write,
	.changed = host_changed,
	.guest_error = host_guest_error,
};

/* ---------------------------------------------------- the core's own shell */

static int core_connect(void *opaque)
{
	(void)opaque;
	return -ECONNREFUSED;
}

static void core_raise(void *opaque, uint32_t vector)
{
	device_raise(&((struct fixture *)opaque)->d, vector);
}

static void core_log(void *opaque, enum vgpu_log_level level, const char *text)
{
	(void)opaque;
	(void)level;
	g_test_message("%s", text);
}

static const struct vgpu_core_ops core_ops = {
	.connect = core_connect,
	.raise = core_raise,
	.log = core_log,
};

/* --------------------------------------------------------------- requests */

static struct ioreq request(uint8_t type, uint64_t addr, uint32_t size, bool write, uint64_t data)
{
	return (struct ioreq){.type = type,
			      .addr = addr,
			      .size = size,
			      .count = 1,
			      .dir = write ? IOREQ_WRITE : IOREQ_READ,
			      .data = data};
}

static uint64_t mmio_read(struct fixture *x, uint64_t at, uint32_t size)
{
	struct ioreq r = request(IOREQ_TYPE_COPY, at, size, false, 0x5555);

	g_assert_true(device_run(&x->d, SBDF, &r));
	return r.data;
}

static void mmio_write(struct fixture *x, uint64_t at, uint32_t size, uint64_t value)
{
	struct ioreq r = request(IOREQ_TYPE_COPY, at, size, true, value);

	g_assert_true(device_run(&x->d, SBDF, &r));
}

static uint64_t config_at(uint32_t offset)
{
	return (uint64_t)SBDF << 32 | offset;
}

static void config_write(struct fixture *x, uint32_t offset, uint32_t size, uint32_t value)
{
	struct ioreq r = request(IOREQ_TYPE_PCI_CONFIG, config_at(offset), size, true, value);

	g_assert_true(device_run(&x->d, SBDF, &r));
}

static uint32_t config_read(struct fixture *x, uint32_t offset, uint32_t size)
{
	struct ioreq r = request(IOREQ_TYPE_PCI_CONFIG, config_at(offset), size, false, 0);

	g_assert_true(device_run(&x->d, SBDF, &r));
	return (uint32_t)r.data;
}

/* As firmware leaves it. */
static void set_up(struct fixture *x, gconstpointer data)
{
	struct vgpu_core_config config = {.queues = QUEUES, .name = "vm", .by_domain = true};

	(void)data;
	memset(x, 0, sizeof(*x));
	device_init(&x->d, QUEUES, &host, x);
	x->d.core = vgpu_core_new(&config, &core_ops, x);
	g_assert_nonnull(x->d.core);
	config_write(x, BAR(0), 4, REGS);
	config_write(x, BAR(2), 4, DOORBELLS);
	config_write(x, BAR(4), 4, MSIX);
	g_assert_cmpuint(count_mapped(x), ==, 0);
	config_write(x, COMMAND, 2, 6);
	g_assert_cmpuint(count_mapped(x), ==, 3);
}

static void tear_down(struct fixture *x, gconstpointer data)
{
	(void)data;
	vgpu_core_free(x->d.core);
}

static void test_registers(struct fixture *x, gconstpointer data)
{
	(void)data;
	g_assert_cmphex(mmio_read(x, REGS + VGPU_REG_MAGIC, 4), ==, VGPU_MAGIC);
	g_assert_cmpuint(mmio_read(x, REGS + VGPU_REG_MAX_QUEUES, 4), ==, QUEUES);
	mmio_write(x, REGS + VGPU_REG_DATA, 4, 0x12345678);
	g_assert_cmphex(mmio_read(x, REGS + VGPU_REG_DATA, 4), ==, 0x12345678);
	/* Other widths are the core's to refuse. */
	g_assert_cmphex(mmio_read(x, REGS + VGPU_REG_DATA, 2), ==, 0);
	g_assert_cmphex(mmio_read(x, REGS + VGPU_REG_DATA, 8), ==, 0);
	/* Across an edge, or nobody's. */
	g_assert_cmphex(mmio_read(x, REGS - 2, 4), ==, UINT32_MAX);
	g_assert_cmphex(mmio_read(x, MSIX + 4096 - 4, 8), ==, UINT64_MAX);
	g_assert_cmphex(mmio_read(x, 0x1000, 1), ==, 0xff);
	g_assert_cmphex(mmio_read(x, DOORBELLS, 4), ==, 0);
}

static void test_moves(struct fixture *x, gconstpointer data)
{
	(void)data;
	config_write(x, BAR(0), 4, UINT32_MAX); /* asks for the size */
	g_assert_cmphex(config_read(x, BAR(0), 4), ==, 0xfffff000);
	g_assert_cmpuint(count_mapped(x), ==, 2);
	config_write(x, BAR(0), 4, 0xe0000000);
	g_assert_true(is_mapped(x, 0xe0000000));
	g_assert_cmphex(mmio_read(x, 0xe0000000 + VGPU_REG_MAGIC, 4), ==, VGPU_MAGIC);
	g_assert_cmphex(mmio_read(x, REGS + VGPU_REG_MAGIC, 4), ==, UINT32_MAX);
	config_write(x, COMMAND, 2, 4);
	g_assert_cmpuint(count_mapped(x), ==, 0);
	g_assert_cmphex(mmio_read(x, 0xe0000000 + VGPU_REG_MAGIC, 4), ==, UINT32_MAX);
	config_write(x, COMMAND, 2, 6);
	g_assert_cmpuint(count_mapped(x), ==, 3);
	config_write(x, COMMAND, 2, 6);
	g_assert_cmpuint(count_mapped(x), ==, 3);
}

/* One over another is not registered, and is as soon as it can be. */
static void test_overlap(struct fixture *x, gconstpointer data)
{
	(void)data;
	config_write(x, BAR(0), 4, DOORBELLS + 0x1000);
	g_assert_cmpuint(count_mapped(x), ==, 2);
	g_assert_cmphex(mmio_read(x, DOORBELLS + 0x1000 + VGPU_REG_MAGIC, 4), ==, 0);
	config_write(x, BAR(2), 4, 0xe0000000);
	g_assert_cmpuint(count_mapped(x), ==, 3);
	g_assert_cmphex(mmio_read(x, DOORBELLS + 0x1000 + VGPU_REG_MAGIC, 4), ==, VGPU_MAGIC);
	/* Two change places by way of a third state. */
	config_write(x, BAR(4), 4, 0xd0000000);
	config_write(x, BAR(0), 4, MSIX);
	g_assert_cmphex(mmio_read(x, MSIX + VGPU_REG_MAGIC, 4), ==, VGPU_MAGIC);
	g_assert_cmpuint(count_mapped(x), ==, 3);
}

/* String instructions: the data is in the guest's memory, forward and backward. */
static void test_strings(struct fixture *x, gconstpointer data)
{
	struct ioreq r = request(IOREQ_TYPE_COPY, REGS + VGPU_REG_DATA, 4, true, RAM_AT);

	(void)data;
	for (unsigned int i = 0; i < RAM; i++)
		x->ram[i] = (uint8_t)(i * 7);
	r.data_is_ptr = 1;
	r.count = 900;
	g_assert_true(device_run(&x->d, SBDF, &r));
	g_assert_cmphex(mmio_read(x, REGS + VGPU_REG_DATA + 396, 4), ==,
			((uint32_t *)(void *)x->ram)[99]);
	r.dir = IOREQ_READ;
	r.addr = REGS + VGPU_REG_DATA + 396;
	r.data = RAM_AT + 4096 + 396;
	r.df = 1;
	r.count = 100;
	g_assert_true(device_run(&x->d, SBDF, &r));
	g_assert_cmpmem(x->ram, 400, x->ram + 4096, 400);
	/* One value many times. */
	r = request(IOREQ_TYPE_COPY, REGS + VGPU_REG_DATA, 4, true, 0xabcdef01);
	r.count = 10;
	g_assert_true(device_run(&x->d, SBDF, &r));
	g_assert_cmphex(mmio_read(x, REGS + VGPU_REG_DATA + 36, 4), ==, 0xabcdef01);
	/* Memory that is not there, numbers that wrap, too many. */
	r.data_is_ptr = 1;
	r.data = RAM_AT + RAM - 8;
	g_assert_false(device_run(&x->d, SBDF, &r));
	r.data = UINT64_MAX - 8;
	g_assert_false(device_run(&x->d, SBDF, &r));
	r.data = 4;
	r.df = 1;
	g_assert_false(device_run(&x->d, SBDF, &r));
	r = request(IOREQ_TYPE_COPY, REGS, 4, false, 0);
	r.count = 0;
	g_assert_false(device_run(&x->d, SBDF, &r));
	r.count = IOREQ_REPEAT_MAX + 1;
	g_assert_false(device_run(&x->d, SBDF, &r));
	r.count = 2;
	r.addr = UINT64_MAX - 3;
	g_assert_false(device_run(&x->d, SBDF, &r));
}

static void test_odd(struct fixture *x, gconstpointer data)
{
	static const uint32_t sizes[] = {0, 3, 5, 16, UINT32_MAX};
	struct ioreq r;

	(void)data;
	for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
		r = request(IOREQ_TYPE_COPY, REGS, sizes[i], false, 0);
		g_assert_false(device_run(&x->d, SBDF, &r));
		r = request(IOREQ_TYPE_PCI_CONFIG, config_at(0), sizes[i], false, 0);
		g_assert_false(device_run(&x->d, SBDF, &r));
	}
	/* Not ours, not a type that comes to us. */
	r = request(IOREQ_TYPE_PCI_CONFIG, (uint64_t)IOREQ_SBDF(0, SLOT, 1) << 32, 4, false, 0);
	g_assert_false(device_run(&x->d, SBDF, &r));
	g_assert_cmphex(r.data, ==, UINT32_MAX);
	r = request(IOREQ_TYPE_PIO, REGS, 4, false, 0);
	g_assert_false(device_run(&x->d, SBDF, &r));
	g_assert_cmphex(r.data, ==, UINT32_MAX);
	r = request(IOREQ_TYPE_INVALIDATE, 0, 0, true, UINT64_MAX);
	g_assert_true(device_run(&x->d, SBDF, &r));
	g_assert_cmpuint(x->changed, ==, 1);
}

/* The reset interrupt of the core reaches the guest through the table. */
static void test_interrupt(struct fixture *x, gconstpointer data)
{
	(void)data;
	mmio_write(x, MSIX, 4, 0xfee00000);
	mmio_write(x, MSIX + 12, 4, 0);
	config_write(x, PCI_MSIX_CAP + 2, 2, 0x8000);
	mmio_write(x, REGS + VGPU_REG_INT_MASK, 4, VGPU_INT_ALL);
	mmio_write(x, REGS + VGPU_REG_COMMAND, 4, VGPU_CMD_NOP); /* no link: done at once */
	g_assert_cmphex(mmio_read(x, REGS + VGPU_REG_INT_STATUS, 4), ==, VGPU_INT_COMMAND);
	g_assert_cmpuint(x->messages, ==, 1);
	/* Held while it is not a bus master. */
	config_write(x, COMMAND, 2, 2);
	mmio_write(x, REGS + VGPU_REG_INT_STATUS, 4, VGPU_INT_ALL);
	mmio_write(x, REGS + VGPU_REG_COMMAND, 4, VGPU_CMD_NOP);
	g_assert_cmpuint(x->messages, ==, 1);
	config_write(x, COMMAND, 2, 6);
	g_assert_cmpuint(x->messages, ==, 2);
}

static void test_doorbell(struct fixture *x, gconstpointer data)
{
	(void)data;
	mmio_write(x, DOORBELLS + 3 * VGPU_DOORBELL_STRIDE, 4, VGPU_DOORBELL_SLEEPS);
	mmio_write(x, DOORBELLS + 3 * VGPU_DOORBELL_STRIDE, 4, VGPU_DOORBELL_POLLS);
	g_assert_cmpuint(mmio_read(x, REGS + VGPU_REG_COUNT_DOORBELLS, 4), ==, 2);
	g_assert_cmpuint(x->rung, ==, 1);
}

#define TEST(name, fn) g_test_add("/xen/device/" name, struct fixture, NULL, set_up, fn, tear_down)

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	TEST("registers", test_registers);
	TEST("moves", test_moves);
	TEST("overlap", test_overlap);
	TEST("strings", test_strings);
	TEST("odd", test_odd);
	TEST("interrupt", test_interrupt);
	TEST("doorbell", test_doorbell);
	return g_test_run();
}
