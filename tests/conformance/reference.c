/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Plain copies through libcuda.so.1, which is opened here and not linked, so
 * that this program runs where there is no driver.
 */
#include "reference.h"

#include <gmodule.h>
#include <string.h>

#define TRIES 5

typedef unsigned long long device_address;

static struct {
	int (*init)(unsigned int flags);
	int (*device_get)(int *device, int ordinal);
	int (*retain)(void **context, int device);
	int (*set_current)(void *context);
	int (*release)(int device);
	int (*alloc)(device_address *at, size_t size);
	int (*free)(device_address at);
	int (*host_alloc)(void **at, size_t size, unsigned int flags);
	int (*host_free)(void *at);
	int (*to_device)(device_address to, const void *from, size_t size);
	int (*from_device)(void *to, device_address from, size_t size);
} cu;

static const struct {
	const char *name;
	void *place;
} symbols[] = {
	{"cuInit", &cu.init},
	{"cuDeviceGet", &cu.device_get},
	{"cuDevicePrimaryCtxRetain", &cu.retain},
	{"cuCtxSetCurrent", &cu.set_current},
	{"cuDevicePrimaryCtxRelease_v2", &cu.release},
	{"cuMemAlloc_v2", &cu.alloc},
	{"cuMemFree_v2", &cu.free},
	{"cuMemHostAlloc", &cu.host_alloc},
	{"cuMemFreeHost", &cu.host_free},
	{"cuMemcpyHtoD_v2", &cu.to_device},
	{"cuMemcpyDtoH_v2", &cu.from_device},
};

static bool load(void)
{
	GModule *module = g_module_open("libcuda.so.1", G_MODULE_BIND_LOCAL);

	for (size_t i = 0; module && i < G_N_ELEMENTS(symbols); i++) {
		gpointer symbol;

		if (!g_module_symbol(module, symbols[i].name, &symbol))
			return false;
		memcpy(symbols[i].place, &symbol, sizeof(symbol));
	}
	return module != NULL;
}

static void copies(device_address device, void *host, size_t size, double *to, double *from)
{
	*to = *from = 0;
	memset(host, 1, size);
	for (int i = 0; i < TRIES; i++) {
		gint64 t = g_get_monotonic_time();

		if (cu.to_device(device, host, size) == 0)
			*to = MAX(*to, (double)size / 1e3 / (double)(g_get_monotonic_time() - t));
		t = g_get_monotonic_time();
		if (cu.from_device(host, device, size) == 0)
			*from = MAX(*from,
				    (double)size / 1e3 / (double)(g_get_monotonic_time() - t));
	}
}

bool reference_measure(unsigned int device, size_t size, struct reference *out)
{
	device_address at;
	void *context, *host;
	int id;

	if (!load() || cu.init(0) || cu.device_get(&id, (int)device) || cu.retain(&context, id) ||
	    cu.set_current(context) || cu.alloc(&at, size))
		return false;
	*out = (struct reference){0};
	if (cu.host_alloc(&host, size, 0) == 0) {
		copies(at, host, size, &out->pinned_to_device, &out->pinned_from_device);
		cu.host_free(host);
	}
	host = g_malloc(size);
	copies(at, host, size, &out->pageable_to_device, &out->pageable_from_device);
	g_free(host);
	cu.free(at);
	cu.release(id);
	return true;
}
