/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What our export tables imitate, asked of NVIDIA's own driver where there is
 * one: sizes of the tables, the handshake, what the known slots answer; and how
 * many bytes the attributes of a pointer take, which cuda.h does not say.
 *
 * Prints what it sees.  Exit status: 0, 1 if something is not as our tables
 * have it, 77 if there is no such driver.
 */
#include <dlfcn.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cuda.h>

#include "../handshake.h"

#undef cuDeviceGetUuid

static struct {
	CUresult (*Init)(unsigned int);
	CUresult (*GetExportTable)(const void **, const CUuuid *);
	CUresult (*DriverGetVersion)(int *);
	CUresult (*DeviceGetCount)(int *);
	CUresult (*DeviceGetUuid)(CUuuid *, CUdevice);
	CUresult (*DeviceGetAttribute)(int *, CUdevice_attribute, CUdevice);
	CUresult (*PrimaryState)(CUdevice, unsigned int *, int *);
	CUresult (*PrimaryRetain)(CUcontext *, CUdevice);
	CUresult (*PrimaryReset)(CUdevice);
	CUresult (*CtxSetCurrent)(CUcontext);
	CUresult (*MemAlloc)(CUdeviceptr *, size_t);
	CUresult (*MemHostAlloc)(void **, size_t, unsigned int);
	CUresult (*PointerGetAttribute)(void *, CUpointer_attribute, CUdeviceptr);
} cu;

static unsigned int differences;

static void expect(bool as_ours, const char *what)
{
	if (as_ours)
		return;
	printf("DIFFERS: %s\n", what);
	differences++;
}

static void find(void *lib, const char *name, void *place)
{
	*(void **)place = dlsym(lib, name);
	if (*(void **)place)
		return;
	printf("the driver has no %s\n", name);
	exit(1);
}

static void load(void)
{
	void *lib = dlopen("libcuda.so.1", RTLD_NOW);

	if (!lib) {
		printf("no driver: %s\n", dlerror());
		exit(77);
	}
	find(lib, "cuInit", &cu.Init);
	find(lib, "cuGetExportTable", &cu.GetExportTable);
	find(lib, "cuDriverGetVersion", &cu.DriverGetVersion);
	find(lib, "cuDeviceGetCount", &cu.DeviceGetCount);
	find(lib, "cuDeviceGetUuid", &cu.DeviceGetUuid);
	find(lib, "cuDeviceGetAttribute", &cu.DeviceGetAttribute);
	find(lib, "cuDevicePrimaryCtxGetState", &cu.PrimaryState);
	find(lib, "cuDevicePrimaryCtxRetain", &cu.PrimaryRetain);
	find(lib, "cuDevicePrimaryCtxReset_v2", &cu.PrimaryReset);
	find(lib, "cuCtxSetCurrent", &cu.CtxSetCurrent);
	find(lib, "cuMemAlloc_v2", &cu.MemAlloc);
	find(lib, "cuMemHostAlloc", &cu.MemHostAlloc);
	find(lib, "cuPointerGetAttribute", &cu.PointerGetAttribute);
	if (cu.Init(0)) {
		printf("no device\n");
		exit(77);
	}
}

/* The table, or NULL; says what the driver says. */
static void *const *table(const char *uuid, const char *name)
{
	const void *t = (void *)-1;
	unsigned int byte;
	CUuuid id;
	CUresult r;
	int n = 0;

	for (const char *p = uuid; n < 16 && sscanf(p, "%2x", &byte) == 1; n++) {
		id.bytes[n] = (char)byte;
		p += p[2] == '-' ? 3 : 2;
	}
	r = cu.GetExportTable(&t, &id);
	printf("%s %-20s result %d", uuid, name, (int)r);
	if (r)
		printf(" pointer %p", t);
	else
		printf(" slot 0 %zu", *(const size_t *)t);
	printf("\n");
	return r ? NULL : t;
}

static void look_at_handshake(void *const *t, void *const *interface)
{
	CUresult (*ask)(uint32_t, uint64_t, uint64_t *);
	struct handshake_device devices[64] = {0};
	struct handshake_process process = {
		.process = (uint32_t)getpid(),
		.thread = (uint32_t)(uintptr_t)pthread_self(),
		.cudart_table = (uintptr_t)interface,
		.handshake_table = (uintptr_t)t,
		.function = (uintptr_t)t[1],
		.seconds = (uint64_t)time(NULL),
	};
	uint64_t answer[2], ours[2];
	int version, n;

	*(void **)&ask = t[1];
	cu.DriverGetVersion(&version);
	process.driver_version = (uint32_t)version;
	cu.DeviceGetCount(&n);
	for (int i = 0; i < n && i < 64; i++) {
		cu.DeviceGetUuid((CUuuid *)devices[i].uuid, i);
		cu.DeviceGetAttribute(&devices[i].pci_domain, CU_DEVICE_ATTRIBUTE_PCI_DOMAIN_ID, i);
		cu.DeviceGetAttribute(&devices[i].pci_bus, CU_DEVICE_ATTRIBUTE_PCI_BUS_ID, i);
		cu.DeviceGetAttribute(&devices[i].pci_device, CU_DEVICE_ATTRIBUTE_PCI_DEVICE_ID, i);
	}
	for (uint32_t v = 13000; v < 13003; v++) {
		CUresult r = ask(v, process.seconds, answer);

		process.version = v;
		handshake_digest(&process, devices, n, (uint8_t *)ours);
		printf("handshake %u: result %d, %016" PRIx64 " %016" PRIx64, v, (int)r, answer[0],
		       answer[1]);
		printf(v % 10 < 2 ? "\n" : ", ours %016" PRIx64 " %016" PRIx64 "\n", ours[0],
		       ours[1]);
		if (v % 10 == 2)
			expect(!memcmp(answer, ours, sizeof(ours)), "handshake");
	}
}

static CUcontext look_at_primary(void *const *interface)
{
	CUresult (*primary)(CUcontext *, CUdevice);
	CUcontext ctx = NULL, retained = NULL;
	unsigned int flags;
	int active = -1;
	CUresult r;

	*(void **)&primary = interface[2];
	r = primary(&ctx, 0);
	cu.PrimaryState(0, &flags, &active);
	printf("primary context: result %d, %p, active %d\n", (int)r, (void *)ctx, active);
	expect(!r && ctx && !active, "primary context");
	cu.PrimaryRetain(&retained, 0);
	expect(retained == ctx, "the primary context's handle stays");
	cu.CtxSetCurrent(ctx);
	return ctx;
}

static void ended(CUcontext ctx, void *key, void *value)
{
	printf("end of context: called back with %p %p %p\n", (void *)ctx, key, value);
}

static void look_at_storage(void *const *t, CUcontext ctx)
{
	CUresult (*put)(CUcontext, void *, void *, void (*)(CUcontext, void *, void *));
	CUresult (*delete)(CUcontext, void *);
	CUresult (*get)(void **, CUcontext, void *);
	void *value = (void *)-2;
	int key, other;
	CUresult r;

	*(void **)&put = t[0];
	*(void **)&delete = t[1];
	*(void **)&get = t[2];
	r = get(&value, NULL, &key);
	printf("storage: missing: result %d, value %p\n", (int)r, value);
	expect(r == CUDA_ERROR_INVALID_HANDLE, "storage, missing key");
	r = put(NULL, &key, &other, ended);
	printf("storage: put: result %d", (int)r);
	expect(!r, "storage, put");
	r = get(&value, ctx, &key);
	printf(", get: result %d %s", (int)r, value == &other ? "same" : "other");
	expect(!r && value == &other, "storage, get");
	printf(", again: result %d", (int)put(NULL, &key, &key, ended));
	get(&value, NULL, &key);
	printf(" %s\n", value == &key ? "replaced" : "not replaced");
	r = delete (NULL, &key);
	printf("storage: delete: result %d, again %d\n", (int)r, (int)delete (NULL, &key));
	put(NULL, &key, &other, ended);
	printf("reset: result %d\n", (int)cu.PrimaryReset(0));
	value = (void *)-2;
	r = get(&value, ctx, &key);
	printf("storage: after the reset: result %d, value %p\n", (int)r, value);
}

static void look_at_rest(void *const *hooks, void *const *checks, void *const *tools, CUcontext ctx)
{
	void (*give)(void **, size_t *);
	CUresult (*check)(CUcontext, unsigned int *, const void **);
	CUresult (*slot_4)(CUcontext, uint64_t *);
	const void *detail = (void *)-2;
	unsigned int special = 0xaaaaaaaa;
	uint64_t out[2];
	void *array;
	size_t n;
	CUresult r;

	for (int slot = 2; slot <= 6; slot += 4) {
		*(void **)&give = hooks[slot];
		give(&array, &n);
		printf("hooks slot %d: %p, %zu\n", slot, array, n);
		expect(n == (slot == 2 ? 1024 : 14), "hooks, size");
	}
	*(void **)&check = checks[2];
	r = check(ctx, &special, &detail);
	printf("checks slot 2: result %d, %#x, %p\n", (int)r, special, (const void *)detail);
	expect(!r && !special, "checks slot 2");
	*(void **)&slot_4 = tools[4];
	for (int i = 0; i < 2; i++) {
		memset(out, 0xaa, sizeof(out));
		r = slot_4(i ? ctx : NULL, out);
		printf("tools slot 4 of %s: result %d, %016" PRIx64 " %016" PRIx64 "\n",
		       i ? "the context" : "NULL", (int)r, out[0], out[1]);
	}
}

/* How many bytes each attribute of a pointer takes: those that are not 0xaa any more. */
static void look_at_pointer(const char *what, CUdeviceptr ptr)
{
	unsigned char out[16];
	CUresult r;

	printf("attributes of %s:\n", what);
	for (int a = 1; a <= 21; a++) {
		memset(out, 0xaa, sizeof(out));
		r = cu.PointerGetAttribute(out, (CUpointer_attribute)a, ptr);
		printf("  %2d: result %d,", a, (int)r);
		for (int i = 0; i < 12; i++)
			printf(" %02x", out[i]);
		printf("\n");
	}
}

static void look_at_pointers(void)
{
	CUdeviceptr device = 0;
	void *host = NULL;
	int local;

	if (cu.MemAlloc(&device, 4096) || cu.MemHostAlloc(&host, 4096, 0)) {
		expect(false, "memory to look at");
		return;
	}
	look_at_pointer("device memory", device);
	look_at_pointer("pinned memory", (CUdeviceptr)(uintptr_t)host);
	look_at_pointer("memory of the program", (CUdeviceptr)(uintptr_t)&local);
}

int main(void)
{
	void *const *interface, *const *storage, *const *checks, *const *hooks, *const *tools,
											*const *t;
	CUcontext ctx;

	load();
	interface = table("6bd5fb6c-5bf4-e74a-8987-d93912fd9df9", "CUDART_INTERFACE");
	table("42d85a81-23f6-cb47-8298-f6e78a3aecdc", "TOOLS_TLS");
	hooks = table("a094798c-2e74-2e74-93f2-0800200c0a66", "RUNTIME_HOOKS");
	storage = table("c693336e-1121-df11-a8c3-68f355d89593", "CONTEXT_STORAGE");
	checks = table("263e8860-7cd2-6143-92f6-bbd5006dfa7e", "CONTEXT_CHECKS");
	t = table("d4082055-bde6-704b-8d34-ba123c66e1f2", "INTEGRITY_CHECK");
	tools = table("21318c60-9714-3248-8ca6-41ff7324c8f2", "ToolsContext");
	table("6e163fbe-b958-444d-835c-e182aff1991e", "ToolsModule");
	table("f8cff951-2146-8b4e-b9e2-fb469e7c0dd9", "skip-init probe");
	table("00000000-0000-0000-0000-000000000000", "(nobody's)");
	if (!interface || !storage || !checks || !hooks || !tools || !t) {
		printf("a table is missing\n");
		return 1;
	}
	look_at_handshake(t, interface);
	ctx = look_at_primary(interface);
	look_at_rest(hooks, checks, tools, ctx);
	look_at_pointers();
	look_at_storage(storage, ctx);
	printf("%u differences\n", differences);
	return differences ? 1 : 0;
}
