// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The device through sysfs, for the bench and the hostile guest.
 */
#include "pci.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define DEVICES "/sys/bus/pci/devices"
#define DRIVER "/sys/bus/pci/drivers/vgpu_stub"
#define RESET_SECONDS 60

static int write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	ssize_t done;
	int error;

	if (fd < 0)
		return -1;
	done = write(fd, text, strlen(text));
	error = errno;
	close(fd);
	errno = error;
	return done == (ssize_t)strlen(text) ? 0 : -1;
}

static unsigned int read_hex(const char *slot, const char *name)
{
	char path[256];
	unsigned int value = 0;
	FILE *f;

	snprintf(path, sizeof(path), DEVICES "/%s/%s", slot, name);
	f = fopen(path, "re");
	if (!f)
		return 0;
	if (fscanf(f, "%x", &value) != 1)
		value = 0;
	fclose(f);
	return value;
}

static int find(char *slot, size_t size)
{
	DIR *dir = opendir(DEVICES);
	struct dirent *e;
	bool found = false;

	if (!dir)
		return -1;
	while (!found && (e = readdir(dir))) {
		found = read_hex(e->d_name, "vendor") == VGPU_PCI_VENDOR_ID &&
			read_hex(e->d_name, "device") == VGPU_PCI_DEVICE_ID;
		if (found && strlen(e->d_name) < size)
			memcpy(slot, e->d_name, strlen(e->d_name) + 1);
	}
	closedir(dir);
	if (!found)
		errno = ENODEV;
	return found ? 0 : -1;
}

/* Sets or clears a bit of the command register in configuration space. */
static int config_command(struct pci_device *dev, uint16_t bit, bool on)
{
	char path[256];
	uint16_t command;
	int fd, ret = -1;

	snprintf(path, sizeof(path), DEVICES "/%s/config", dev->slot);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return -1;
	if (pread(fd, &command, sizeof(command), 4) == sizeof(command)) {
		command = on ? command | bit : command & ~bit;
		if (pwrite(fd, &command, sizeof(command), 4) == sizeof(command))
			ret = 0;
	}
	close(fd);
	return ret;
}

static volatile uint32_t *map_bar(struct pci_device *dev, int bar, size_t *bytes)
{
	char path[256];
	struct stat st;
	void *mem;
	int fd;

	snprintf(path, sizeof(path), DEVICES "/%s/resource%d", dev->slot, bar);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return NULL;
	mem = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	*bytes = (size_t)st.st_size;
	return mem == MAP_FAILED ? NULL : mem;
}

int pci_bus_master(struct pci_device *dev, bool on)
{
	return config_command(dev, 4, on);
}

bool pci_reset(struct pci_device *dev)
{
	struct timespec pause = {.tv_nsec = 1000000};

	pci_write(dev, VGPU_REG_CONTROL, VGPU_CONTROL_RESET);
	for (int i = 0; i < RESET_SECONDS * 1000; i++) {
		if (!(pci_read(dev, VGPU_REG_CONTROL) & VGPU_CONTROL_RESET))
			return true;
		nanosleep(&pause, NULL);
	}
	return false;
}

int pci_take(struct pci_device *dev)
{
	size_t bytes;

	*dev = (struct pci_device){0};
	if (find(dev->slot, sizeof(dev->slot)) < 0)
		return -1;
	dev->bound = write_file(DRIVER "/unbind", dev->slot) == 0;
	if (config_command(dev, 2, true) < 0)
		return -1;
	dev->regs = map_bar(dev, VGPU_BAR_REGS, &bytes);
	dev->doorbells = map_bar(dev, VGPU_BAR_DOORBELLS, &dev->doorbell_bytes);
	if (!dev->regs || !dev->doorbells)
		return -1;
	if (pci_reset(dev))
		return 0;
	errno = ETIMEDOUT;
	return -1;
}

void pci_give_back(struct pci_device *dev)
{
	pci_reset(dev);
	munmap((void *)(uintptr_t)dev->regs, VGPU_BAR_REGS_SIZE);
	munmap((void *)(uintptr_t)dev->doorbells, dev->doorbell_bytes);
	if (dev->bound && write_file(DRIVER "/bind", dev->slot) < 0)
		perror(DRIVER "/bind");
}
