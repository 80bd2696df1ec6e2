/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The GPUs of this host: by PCI, and by NVIDIA's management library where it is. */
#ifndef VGPU_CTL_GPUS_H
#define VGPU_CTL_GPUS_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

/* A device that shares a GPU's IOMMU group. */
struct neighbour {
	char *address;
	char *driver;     /* NULL: none */
	bool same_device; /* another function of the same card, such as its sound */
	bool is_bridge;
};

struct gpu {
	char *address; /* 0000:01:00.0 */
	guint vendor_id, device_id;
	char *vendor, *device; /* names */
	char *driver;          /* of the kernel; NULL: none */
	int iommu_group;       /* -1: none */
	bool boot_vga;         /* the firmware's console is there */
	GPtrArray *neighbours; /* struct neighbour, without itself */
	uint64_t memory;       /* bytes; 0: unknown */
	uint64_t memory_used;  /* UINT64_MAX: unknown */
	int nvml_index;        /* as CUDA counts by PCI order; -1: none */
	char *nvml_version;    /* of NVIDIA's driver; NULL: none */
};

/*
 * All of them, by address; struct gpu.  `sysfs`: another place than
 * /sys/bus/pci, for tests; NULL.  The caller frees the array.
 */
GPtrArray *gpus_find(const char *sysfs);

/* nvml.c: fills in what NVIDIA's library knows of these; without it nothing. */
void nvml_look(GPtrArray *gpus);

/*
 * passthrough.c: could this GPU be given to a VM as it is?  What speaks
 * against it, and what would have to be done first, as texts in `why`
 * (an array of char *, that the caller frees).
 */
bool passthrough_possible(const struct gpu *g, GPtrArray **why);

#endif /* VGPU_CTL_GPUS_H */
