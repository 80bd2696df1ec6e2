/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A management library for a host without a GPU: two of them, one of which has
 * two processes and the other one a process of both, and one that it cannot tell of.
 */
#include <stdint.h>
#include <string.h>

#define GIB (1ull << 30)

struct memory {
	unsigned long long total, free, used;
};

struct process {
	unsigned int pid;
	unsigned long long used;
	unsigned int gpu_instance, compute_instance;
};

#pragma GCC visibility push(default)

int nvmlInit_v2(void);
const char *nvmlErrorString(int error);
int nvmlDeviceGetCount_v2(unsigned int *n);
int nvmlDeviceGetHandleByIndex_v2(unsigned int index, uintptr_t *device);
int nvmlDeviceGetMemoryInfo(uintptr_t device, struct memory *m);
int nvmlDeviceGetComputeRunningProcesses_v3(uintptr_t device, unsigned int *n, struct process *p);

int nvmlInit_v2(void)
{
	return 0;
}

const char *nvmlErrorString(int error)
{
	return error ? "no" : "yes";
}

int nvmlDeviceGetCount_v2(unsigned int *n)
{
	*n = 3;
	return 0;
}

/* The last one has fallen off the bus. */
int nvmlDeviceGetHandleByIndex_v2(unsigned int index, uintptr_t *device)
{
	*device = index + 1;
	return index == 2 ? 15 : 0;
}

int nvmlDeviceGetMemoryInfo(uintptr_t device, struct memory *m)
{
	*m = (struct memory){.total = device * 80 * GIB};
	return 0;
}

int nvmlDeviceGetComputeRunningProcesses_v3(uintptr_t device, unsigned int *n, struct process *p)
{
	static const struct process all[] = {{.pid = 100, .used = GIB},
					     {.pid = 200, .used = 2 * GIB},
					     {.pid = 300, .used = ~0ull}};
	const unsigned int first = device == 1 ? 0 : 1, count = 3 - first - (device == 1);

	if (*n < count)
		return 7;
	memcpy(p, all + first, count * sizeof(*p));
	*n = count;
	return 0;
}
