/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A libnvidia-ml.so.1 that knows one GPU, at 0000:01:00.0. */
#include <stdio.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))
#define NOT_FOUND 6

struct memory {
	unsigned long long total, free, used;
};

static int gpu;

EXPORT int nvmlInit_v2(void);
EXPORT int nvmlShutdown(void);
EXPORT int nvmlDeviceGetHandleByPciBusId_v2(const char *address, void **device);
EXPORT int nvmlDeviceGetMemoryInfo(void *device, struct memory *memory);
EXPORT int nvmlDeviceGetIndex(void *device, unsigned int *index);
EXPORT int nvmlDeviceGetName(void *device, char *name, unsigned int length);
EXPORT int nvmlSystemGetDriverVersion(char *version, unsigned int length);

int nvmlInit_v2(void)
{
	return 0;
}

int nvmlShutdown(void)
{
	return 0;
}

int nvmlDeviceGetHandleByPciBusId_v2(const char *address, void **device)
{
	*device = &gpu;
	return strcmp(address, "0000:01:00.0") == 0 ? 0 : NOT_FOUND;
}

int nvmlDeviceGetMemoryInfo(void *device, struct memory *memory)
{
	*memory = (struct memory){80ull << 30, 79ull << 30, 1ull << 30};
	return device == &gpu ? 0 : NOT_FOUND;
}

int nvmlDeviceGetIndex(void *device, unsigned int *index)
{
	*index = 3;
	return device == &gpu ? 0 : NOT_FOUND;
}

int nvmlDeviceGetName(void *device, char *name, unsigned int length)
{
	snprintf(name, length, "Fake GPU 80GB");
	return device == &gpu ? 0 : NOT_FOUND;
}

int nvmlSystemGetDriverVersion(char *version, unsigned int length)
{
	snprintf(version, length, "580.00");
	return 0;
}
