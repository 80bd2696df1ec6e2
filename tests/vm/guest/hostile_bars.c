// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * hostile: configuration space.  BARs that move, vanish and lie over each
 * other while somebody uses them.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "hostile.h"

#define MOVES 3000
#define COMMAND 0x04
#define MEMORY 0x2
#define BAR(n) (0x10 + 4 * (n))

static const unsigned int bars[] = {VGPU_BAR_REGS, VGPU_BAR_DOORBELLS, VGPU_BAR_MSIX};

struct config {
	int fd;
	uint32_t bar[3]; /* as the firmware left them */
	uint16_t command;
};

static uint32_t config_read(const struct config *c, unsigned int offset, size_t size)
{
	uint32_t value = 0;

	if (pread(c->fd, &value, size, offset) != (ssize_t)size)
		give_up("configuration space cannot be read");
	return value;
}

static void config_write(const struct config *c, unsigned int offset, uint32_t value, size_t size)
{
	if (pwrite(c->fd, &value, size, offset) != (ssize_t)size)
		give_up("configuration space cannot be written");
}

static void config_open(struct config *c, const struct pci_device *dev)
{
	char path[256];

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/config", dev->slot);
	c->fd = open(path, O_RDWR | O_CLOEXEC);
	if (c->fd < 0)
		give_up("configuration space cannot be opened");
	c->command = (uint16_t)config_read(c, COMMAND, 2);
	for (int i = 0; i < 3; i++)
		c->bar[i] = config_read(c, BAR(bars[i]), 4);
}

static void restore(const struct config *c)
{
	config_write(c, COMMAND, c->command & ~MEMORY, 2);
	for (int i = 0; i < 3; i++)
		config_write(c, BAR(bars[i]), c->bar[i], 4);
	config_write(c, COMMAND, c->command, 2);
}

static void sizes(const struct config *c)
{
	for (int i = 0; i < 3; i++) {
		uint32_t mask, size;

		config_write(c, BAR(bars[i]), 0xffffffff, 4);
		mask = config_read(c, BAR(bars[i]), 4) & ~0xfu;
		config_write(c, BAR(bars[i]), c->bar[i], 4);
		size = ~mask + 1;
		check(size >= VGPU_PAGE && !(size & (size - 1)) && !(c->bar[i] & (size - 1)),
		      "bars: BAR %u has 0x%x bytes", bars[i], size);
	}
}

/* Only where BARs of ours were: what else lies in this machine is not ours to cover. */
static void move(const struct config *c)
{
	uint32_t odd = (uint32_t)rnd() & 0xfff;
	uint32_t at[] = {0, 0xffffffff, c->bar[0], c->bar[1], c->bar[2], c->bar[rnd() % 3] | odd};

	config_write(c, BAR(bars[rnd() % 3]), at[rnd() % 6], 4);
	if (rnd() % 4 == 0)
		config_write(c, COMMAND, c->command ^ (rnd() % 2 ? MEMORY : 0), 2);
	if (rnd() % 8 == 0)
		config_write(c, (unsigned int)(rnd() % 16), (uint32_t)rnd() & ~7u, 1);
	if (rnd() % 8 == 0)
		config_read(c, (unsigned int)(rnd() % 252), 1u << rnd() % 3);
}

struct user {
	struct raw *r;
	bool stop;
};

/* What it reads means nothing while BARs move; it must only come back. */
static void *use(void *opaque)
{
	struct user *u = opaque;

	while (!__atomic_load_n(&u->stop, __ATOMIC_RELAXED)) {
		(void)pci_read(&u->r->pci, VGPU_REG_MAGIC);
		pci_write(&u->r->pci, VGPU_REG_DATA, 1);
		pci_kick(&u->r->pci, 0);
	}
	return NULL;
}

void attack_bars(void)
{
	struct raw r;
	struct config c;
	struct user u = {.r = &r};
	pthread_t thread;
	bool same = true;

	raw_open(&r);
	config_open(&c, &r.pci);
	sizes(&c);
	if (pthread_create(&thread, NULL, use, &u))
		give_up("no thread");
	for (int i = 0; i < times(MOVES); i++)
		move(&c);
	__atomic_store_n(&u.stop, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	restore(&c);
	for (int i = 0; i < 3; i++)
		same &= config_read(&c, BAR(bars[i]), 4) == c.bar[i];
	check(same, "bars: %d moves, then where they were", times(MOVES));
	check(pci_read(&r.pci, VGPU_REG_MAGIC) == VGPU_MAGIC, "bars: and the registers are there");
	check(pci_reset(&r.pci), "bars: a reset after that");
	close(c.fd);
	raw_close(&r, "bars");
}
