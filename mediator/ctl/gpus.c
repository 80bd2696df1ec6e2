/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The GPUs of this host, by PCI. */
#include "gpus.h"

#include <pci/pci.h>
#include <stdlib.h>
#include <string.h>

#define CLASS_ACCELERATOR 0x1200

#define SYSFS "/sys/bus/pci"

static void neighbour_free(gpointer data)
{
	struct neighbour *n = data;

	g_free(n->address);
	g_free(n->driver);
	g_free(n);
}

static void gpu_free(gpointer data)
{
	struct gpu *g = data;

	g_free(g->address);
	g_free(g->vendor);
	g_free(g->device);
	g_free(g->driver);
	g_free(g->nvml_version);
	g_ptr_array_free(g->neighbours, TRUE);
	g_free(g);
}

static bool is_gpu(const struct pci_dev *d)
{
	return d->device_class >> 8 == PCI_BASE_CLASS_DISPLAY ||
	       d->device_class == CLASS_ACCELERATOR;
}

static char *address_of(const struct pci_dev *d)
{
	return g_strdup_printf("%04x:%02x:%02x.%d", (unsigned int)d->domain, d->bus, d->dev,
			       d->func);
}

/* A number in a file of the device's folder. */
static bool read_number(const char *sysfs, const char *address, const char *name, guint64 *number)
{
	char *path = g_build_filename(sysfs, "devices", address, name, NULL);
	char *text = NULL;
	bool ok = g_file_get_contents(path, &text, NULL, NULL) &&
		  g_ascii_string_to_unsigned(g_strstrip(text), 10, 0, G_MAXUINT64, number, NULL);

	g_free(text);
	g_free(path);
	return ok;
}

/* Where a link of the device's folder leads to, the last part of it; NULL: nowhere. */
static char *read_link(const char *sysfs, const char *address, const char *name)
{
	char *path = g_build_filename(sysfs, "devices", address, name, NULL);
	char *to = g_file_read_link(path, NULL);
	char *base = to ? g_path_get_basename(to) : NULL;

	g_free(to);
	g_free(path);
	return base;
}

static int group_of(const char *sysfs, const char *address)
{
	char *text = read_link(sysfs, address, "iommu_group");
	guint64 group;
	int ret = -1;

	if (text && g_ascii_string_to_unsigned(text, 10, 0, G_MAXINT, &group, NULL))
		ret = (int)group;
	g_free(text);
	return ret;
}

static struct gpu *gpu_new(struct pci_access *a, const struct pci_dev *d, const char *sysfs)
{
	struct gpu *g = g_new0(struct gpu, 1);
	char name[256];
	guint64 number;

	g->address = address_of(d);
	g->vendor_id = d->vendor_id;
	g->device_id = d->device_id;
	g->vendor = g_strdup(pci_lookup_name(a, name, sizeof(name), PCI_LOOKUP_VENDOR, d->vendor_id,
					     d->device_id));
	g->device = g_strdup(pci_lookup_name(a, name, sizeof(name), PCI_LOOKUP_DEVICE, d->vendor_id,
					     d->device_id));
	g->driver = read_link(sysfs, g->address, "driver");
	g->iommu_group = group_of(sysfs, g->address);
	g->boot_vga = read_number(sysfs, g->address, "boot_vga", &number) && number;
	/* AMD's driver says it there; NVIDIA's library tells it of NVIDIA's. */
	if (read_number(sysfs, g->address, "mem_info_vram_total", &number))
		g->memory = number;
	g->memory_used =
		read_number(sysfs, g->address, "mem_info_vram_used", &number) ? number : UINT64_MAX;
	g->nvml_index = -1;
	g->neighbours = g_ptr_array_new_with_free_func(neighbour_free);
	return g;
}

static void find_neighbours(struct gpu *g, struct pci_access *a, const char *sysfs)
{
	size_t slot = strlen(g->address) - 2; /* without the function */

	for (struct pci_dev *d = a->devices; g->iommu_group >= 0 && d; d = d->next) {
		char *address = address_of(d);
		struct neighbour *n;

		if (strcmp(address, g->address) == 0 ||
		    group_of(sysfs, address) != g->iommu_group) {
			g_free(address);
			continue;
		}
		n = g_new0(struct neighbour, 1);
		n->address = address;
		n->driver = read_link(sysfs, address, "driver");
		n->same_device = strncmp(address, g->address, slot) == 0;
		n->is_bridge = d->device_class >> 8 == PCI_BASE_CLASS_BRIDGE;
		g_ptr_array_add(g->neighbours, n);
	}
}

static gint by_address(gconstpointer a, gconstpointer b)
{
	const struct gpu *const *x = a, *const *y = b;

	return strcmp((*x)->address, (*y)->address);
}

static void quiet(char *message, ...)
{
	(void)message;
}

/* libpci ends the program on an error; a host without PCI has no GPUs and no error. */
GPtrArray *gpus_find(const char *sysfs)
{
	GPtrArray *gpus = g_ptr_array_new_with_free_func(gpu_free);
	char *devices = g_build_filename(sysfs ? sysfs : SYSFS, "devices", NULL);
	struct pci_access *a;

	if (g_file_test(devices, G_FILE_TEST_IS_DIR)) {
		a = pci_alloc();
		a->method = PCI_ACCESS_SYS_BUS_PCI;
		a->warning = quiet;
		if (sysfs)
			pci_set_param(a, (char *)"sysfs.path", (char *)sysfs);
		pci_init(a);
		pci_scan_bus(a);
		for (struct pci_dev *d = a->devices; d; d = d->next)
			pci_fill_info(d, PCI_FILL_IDENT | PCI_FILL_CLASS);
		for (struct pci_dev *d = a->devices; d; d = d->next) {
			if (!is_gpu(d))
				continue;
			g_ptr_array_add(gpus, gpu_new(a, d, sysfs ? sysfs : SYSFS));
			find_neighbours(g_ptr_array_index(gpus, gpus->len - 1), a,
					sysfs ? sysfs : SYSFS);
		}
		pci_cleanup(a);
		g_ptr_array_sort(gpus, by_address);
	}
	g_free(devices);
	return gpus;
}
