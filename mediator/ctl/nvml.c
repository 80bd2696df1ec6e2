/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What NVIDIA's management library knows of the GPUs.  Loaded if it is there:
 * neither is it needed to build, nor is a host without it worse off.
 */
#include <dlfcn.h>
#include <string.h>

#include "gpus.h"

#define LIBRARY "libnvidia-ml.so.1"
#define NVIDIA 0x10de

/* The few of nvml.h that are used here. */
struct nvml_memory {
	unsigned long long total, free, used;
};

struct nvml {
	int (*init)(void);
	int (*shutdown)(void);
	int (*handle)(const char *address, void **device);
	int (*memory)(void *device, struct nvml_memory *memory);
	int (*index)(void *device, unsigned int *index);
	int (*name)(void *device, char *name, unsigned int length);
	int (*version)(char *version, unsigned int length);
};

static bool load(void *library, struct nvml *n)
{
	const struct {
		const char *name;
		void *to;
	} symbols[] = {{"nvmlInit_v2", &n->init},
		       {"nvmlShutdown", &n->shutdown},
		       {"nvmlDeviceGetHandleByPciBusId_v2", &n->handle},
		       {"nvmlDeviceGetMemoryInfo", &n->memory},
		       {"nvmlDeviceGetIndex", &n->index},
		       {"nvmlDeviceGetName", &n->name},
		       {"nvmlSystemGetDriverVersion", &n->version}};

	for (size_t i = 0; i < G_N_ELEMENTS(symbols); i++) {
		void *address = dlsym(library, symbols[i].name);

		if (!address)
			return false;
		memcpy(symbols[i].to, &address, sizeof(address));
	}
	return true;
}

static void look_at(const struct nvml *n, struct gpu *g)
{
	struct nvml_memory m;
	char text[128];
	unsigned int index;
	void *device;

	if (g->vendor_id != NVIDIA || n->handle(g->address, &device))
		return;
	if (n->memory(device, &m) == 0) {
		g->memory = m.total;
		g->memory_used = m.used;
	}
	if (n->index(device, &index) == 0)
		g->nvml_index = (int)index;
	if (n->name(device, text, sizeof(text)) == 0) {
		g_free(g->device);
		g->device = g_strndup(text, sizeof(text));
	}
	if (n->version(text, sizeof(text)) == 0)
		g->nvml_version = g_strndup(text, sizeof(text));
}

void nvml_look(GPtrArray *gpus)
{
	void *library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
	struct nvml n;

	if (!library)
		return;
	if (load(library, &n) && n.init() == 0) {
		for (guint i = 0; i < gpus->len; i++)
			look_at(&n, g_ptr_array_index(gpus, i));
		n.shutdown();
	}
	dlclose(library);
}
