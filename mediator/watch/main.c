/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * gpu_mediator-watch: says again and again how much device memory each process
 * has, by the GPU's own word.  The daemon starts it, since it never loads a
 * GPU's library itself, and reads its standard output:
 *
 *   gpu INDEX BYTES      memory of a GPU
 *   process PID BYTES    of it, what a process has; once for each GPU
 *   end                  of a round
 *
 * It ends when nobody reads any more.
 */
#include <dlfcn.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "nvml.h"

#define PROCESSES_MAX 8192u

static bool find(void *library, const char *name, void *function)
{
	void *found = dlsym(library, name);

	/* ISO C has no cast from an object's to a function's pointer. */
	memcpy(function, &found, sizeof(found));
	return found;
}

static bool load(struct nvml *n)
{
	void *library = dlopen("libnvidia-ml.so.1", RTLD_NOW);

	if (!library) {
		fprintf(stderr, "gpu_mediator-watch: %s\n", dlerror());
		return false;
	}
	if (find(library, "nvmlInit_v2", &n->init) && find(library, "nvmlErrorString", &n->error) &&
	    find(library, "nvmlDeviceGetCount_v2", &n->count) &&
	    find(library, "nvmlDeviceGetHandleByIndex_v2", &n->device) &&
	    find(library, "nvmlDeviceGetMemoryInfo", &n->memory) &&
	    find(library, "nvmlDeviceGetComputeRunningProcesses_v3", &n->processes))
		return true;
	fprintf(stderr, "gpu_mediator-watch: libnvidia-ml.so.1 lacks functions: is the driver "
			"older than 510?\n");
	return false;
}

static bool fail(const struct nvml *n, const char *what, int error)
{
	fprintf(stderr, "gpu_mediator-watch: %s: %s\n", what, n->error(error));
	return false;
}

/* A GPU that went (reset, off the bus) is left out; the others are still told of. */
static void look(const struct nvml *n, unsigned int index)
{
	static struct nvml_process process[PROCESSES_MAX];
	unsigned int count = PROCESSES_MAX;
	struct nvml_memory memory = {0};
	nvml_device device;

	if (n->device(index, &device) != NVML_SUCCESS || n->memory(device, &memory) != NVML_SUCCESS)
		return;
	printf("gpu %u %llu\n", index, memory.total);
	if (n->processes(device, &count, process) != NVML_SUCCESS)
		return;
	for (unsigned int i = 0; i < count && i < PROCESSES_MAX; i++) {
		if (process[i].used != NVML_VALUE_NOT_AVAILABLE)
			printf("process %u %llu\n", process[i].pid, process[i].used);
	}
}

static int watch(const struct nvml *n, unsigned int interval_ms)
{
	const struct timespec pause = {interval_ms / 1000, interval_ms % 1000 * 1000000L};
	unsigned int count = 0;

	for (;;) {
		int error = n->count(&count);

		if (error != NVML_SUCCESS) {
			fail(n, "counting GPUs", error);
			return EXIT_FAILURE;
		}
		for (unsigned int i = 0; i < count; i++)
			look(n, i);
		puts("end");
		/* Without a reader SIGPIPE has ended us already, or this says so. */
		if (fflush(stdout) != 0)
			return EXIT_SUCCESS;
		nanosleep(&pause, NULL);
	}
}

static void usage(FILE *to)
{
	fprintf(to, "usage: gpu_mediator-watch [--interval MS]\n\n"
		    "Says what device memory processes have; gpu_mediator starts it.\n");
}

int main(int argc, char **argv)
{
	static const struct option options[] = {{"interval", required_argument, NULL, 'i'},
						{"help", no_argument, NULL, 'h'},
						{"version", no_argument, NULL, 'v'},
						{0}};
	unsigned long interval = 1000;
	struct nvml n = {0};
	int letter, error;

	while ((letter = getopt_long(argc, argv, "i:h", options, NULL)) != -1) {
		char *end = NULL;

		if (letter == 'h' || letter == 'v') {
			if (letter == 'h')
				usage(stdout);
			else
				puts("gpu_mediator-watch " VGPU_VERSION);
			return EXIT_SUCCESS;
		}
		if (letter == 'i')
			interval = strtoul(optarg, &end, 10);
		if (!end || *end || interval < 10 || interval > 3600000) {
			usage(stderr);
			return 2;
		}
	}
	if (!load(&n))
		return EXIT_FAILURE;
	error = n.init();
	if (error != NVML_SUCCESS)
		return fail(&n, "starting NVML", error) ? EXIT_SUCCESS : EXIT_FAILURE;
	return watch(&n, (unsigned int)interval);
}
