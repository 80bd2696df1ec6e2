/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What it takes to queue a launch of an empty kernel.
 *
 * Knows nothing of this project.  Makes itself ready and says "ready"; each line
 * that comes is answered by one of JSON: microseconds a launch until all of
 * --count are queued, and until all are done.  So several such programs can be
 * asked in turns.  Ends with its input.
 */
#include <cuda.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness.h"
#include "load.h"

static CUfunction function;

static void make_ready(void)
{
	CUcontext primary;
	CUmodule code;
	CUdevice gpu;

	TRY(cuInit(0));
	TRY(cuDeviceGet(&gpu, 0));
	TRY(cuDevicePrimaryCtxRetain(&primary, gpu));
	TRY(cuCtxSetCurrent(primary));
	TRY(cuModuleLoadData(&code, kernels_ptx));
	TRY(cuModuleGetFunction(&function, code, "empty"));
	TRY(cuLaunchKernel(function, 1, 1, 1, 32, 1, 1, 0, NULL, NULL, NULL));
	TRY(cuCtxSynchronize());
}

static void measure(unsigned long count)
{
	const double began = seconds_now();
	double queued;

	for (unsigned long i = 0; i < count; i++)
		TRY(cuLaunchKernel(function, 1, 1, 1, 32, 1, 1, 0, NULL, NULL, NULL));
	queued = seconds_now() - began;
	TRY(cuCtxSynchronize());
	printf("{\"queued_us\": %.5f, \"drained_us\": %.5f}\n", 1e6 * queued / (double)count,
	       1e6 * (seconds_now() - began) / (double)count);
	fflush(stdout);
}

int main(int argc, char **argv)
{
	unsigned long count = 50000;
	char line[64];

	if (argc == 3 && strcmp(argv[1], "--count") == 0)
		count = strtoul(argv[2], NULL, 10);
	if (!count || (argc != 1 && argc != 3)) {
		fprintf(stderr, "usage: queued [--count LAUNCHES]\n");
		return 2;
	}
	make_ready();
	printf("ready\n");
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin))
		measure(count);
	return 0;
}
