/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Memory, and who uses it.
 *
 * The figures are cuMemGetInfo()'s, so that whoever asks both hears the same.
 * A process that already has a context on the device is asked through its own
 * CUDA library; else the host makes one for the question.
 */
#include <dlfcn.h>
#include <string.h>

#include "exports.h"
#include "library.h"

struct cuda {
	CUresult (*state)(CUdevice, unsigned int *, int *);
	CUresult (*retain)(CUcontext *, CUdevice);
	CUresult (*release)(CUdevice);
	CUresult (*push)(CUcontext);
	CUresult (*pop)(CUcontext *);
	CUresult (*memory)(size_t *, size_t *);
};

/* The process's CUDA library, if it has loaded one. */
static int cuda_of_process(struct cuda *c)
{
	void *lib = dlopen("libcuda.so.1", RTLD_NOW | RTLD_NOLOAD);

	if (!lib)
		return 0;
	*(void **)&c->state = dlsym(lib, "cuDevicePrimaryCtxGetState");
	*(void **)&c->retain = dlsym(lib, "cuDevicePrimaryCtxRetain");
	*(void **)&c->release = dlsym(lib, "cuDevicePrimaryCtxRelease_v2");
	*(void **)&c->push = dlsym(lib, "cuCtxPushCurrent_v2");
	*(void **)&c->pop = dlsym(lib, "cuCtxPopCurrent_v2");
	*(void **)&c->memory = dlsym(lib, "cuMemGetInfo_v2");
	dlclose(lib);
	return c->state && c->retain && c->release && c->push && c->pop && c->memory;
}

/* By the device's primary context if that is active; this does not make it so. */
static int ask_own_context(CUdevice device, size_t *free, size_t *total)
{
	unsigned int flags;
	int active = 0, done = 0;
	CUcontext ctx;
	struct cuda c;

	if (!cuda_of_process(&c) || c.state(device, &flags, &active) || !active ||
	    c.retain(&ctx, device))
		return 0;
	if (!c.push(ctx)) {
		done = !c.memory(free, total);
		c.pop(&ctx);
	}
	c.release(device);
	return done;
}

static nvmlReturn_t memory(nvmlDevice_t d, size_t *free, size_t *total)
{
	nvmlReturn_t r = nvml_enter_device(d);

	if (r != NVML_SUCCESS)
		return r;
	if (ask_own_context((CUdevice)d->index, free, total))
		return NVML_SUCCESS;
	return ask_memory(d->index, free, total);
}

NVML_EXPORT nvmlReturn_t nvmlDeviceGetMemoryInfo(nvmlDevice_t d, nvmlMemory_t *m)
{
	size_t free, total;
	nvmlReturn_t r;

	if (!m)
		return NVML_ERROR_INVALID_ARGUMENT;
	r = memory(d, &free, &total);
	if (r == NVML_SUCCESS)
		*m = (nvmlMemory_t){.total = total, .free = free, .used = total - free};
	return r;
}

NVML_EXPORT nvmlReturn_t nvmlDeviceGetMemoryInfo_v2(nvmlDevice_t d, nvmlMemory_v2_t *m)
{
	size_t free, total;
	nvmlReturn_t r;

	if (!m)
		return NVML_ERROR_INVALID_ARGUMENT;
	if (m->version != NVML_MEMORY_V2)
		return NVML_ERROR_ARGUMENT_VERSION_MISMATCH;
	r = memory(d, &free, &total);
	if (r != NVML_SUCCESS)
		return r;
	m->total = total;
	m->reserved = 0; /* is in neither figure */
	m->free = free;
	m->used = total - free;
	return NVML_SUCCESS;
}

/* Of the processes on the GPU none is visible, as in a container. */
static nvmlReturn_t no_processes(nvmlDevice_t d, unsigned int *n)
{
	nvmlReturn_t r = nvml_enter_device(d);

	if (r == NVML_SUCCESS && !n)
		r = NVML_ERROR_INVALID_ARGUMENT;
	if (r == NVML_SUCCESS)
		*n = 0;
	return r;
}

#define NO_PROCESSES(name)                                                         \
	NVML_EXPORT nvmlReturn_t name(nvmlDevice_t d, unsigned int *n, void *list) \
	{                                                                          \
		(void)list;                                                        \
		return no_processes(d, n);                                         \
	}

NO_PROCESSES(nvmlDeviceGetComputeRunningProcesses)
NO_PROCESSES(nvmlDeviceGetComputeRunningProcesses_v2)
NO_PROCESSES(nvmlDeviceGetComputeRunningProcesses_v3)
NO_PROCESSES(nvmlDeviceGetGraphicsRunningProcesses)
NO_PROCESSES(nvmlDeviceGetGraphicsRunningProcesses_v2)
NO_PROCESSES(nvmlDeviceGetGraphicsRunningProcesses_v3)
