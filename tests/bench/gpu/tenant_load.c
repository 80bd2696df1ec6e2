/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A program that keeps a GPU busy with kernels of one length, and counts them.
 *
 * Knows nothing of this project.  --calibrate prints how many rounds of the
 * kernel "work" take a millisecond.  Else it makes itself ready, says "ready",
 * waits for a line and then works for --seconds; so several can begin together.
 * The last line is JSON: kernels done, and the seconds that it took.
 */
#include <cuda.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness.h"
#include "load.h"

#define BATCHES 64

static struct {
	unsigned int rounds; /* of a kernel */
	unsigned int nodes;  /* of a graph; 0: single kernels */
	unsigned int batch;  /* launches between two events */
	unsigned int ahead;  /* batches that are on their way */
	double seconds;
	bool calibrate;
} options = {.rounds = 1000, .batch = 1, .ahead = 8, .seconds = 1};

static CUfunction function;
static CUstream stream;
static CUdeviceptr out;
static CUgraphExec graph;

static void launch_kernel(unsigned int rounds)
{
	void *args[] = {&out, &rounds};

	TRY(cuLaunchKernel(function, 1, 1, 1, 1, 1, 1, 0, stream, args, NULL));
}

static void make_graph(void)
{
	CUgraph g;

	TRY(cuStreamBeginCapture(stream, CU_STREAM_CAPTURE_MODE_GLOBAL));
	for (unsigned int i = 0; i < options.nodes; i++)
		launch_kernel(options.rounds);
	TRY(cuStreamEndCapture(stream, &g));
	TRY(cuGraphInstantiateWithFlags(&graph, g, 0));
}

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
	TRY(cuModuleGetFunction(&function, code, "work"));
	TRY(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
	TRY(cuMemAlloc(&out, 4));
	launch_kernel(1);
	TRY(cuStreamSynchronize(stream));
	if (options.nodes)
		make_graph();
}

/* Clocks go up first. */
static void calibrate(void)
{
	const double end = seconds_now() + options.seconds;
	unsigned int rounds = 1000;
	double took = 0;

	while (took < 0.02 || seconds_now() < end) {
		double began = seconds_now();

		launch_kernel(rounds);
		TRY(cuStreamSynchronize(stream));
		took = seconds_now() - began;
		if (took < 0.02)
			rounds *= 2;
	}
	printf("{\"rounds_per_ms\": %.1f}\n", rounds / took / 1000);
}

static void launch_batch(CUevent behind)
{
	for (unsigned int i = 0; i < options.batch; i++) {
		if (graph)
			TRY(cuGraphLaunch(graph, stream));
		else
			launch_kernel(options.rounds);
	}
	TRY(cuEventRecord(behind, stream));
}

/* Batches that were done when the time was over. */
static unsigned long work_for(double seconds, double *took)
{
	const double began = seconds_now(), end = began + seconds;
	unsigned long begun = 0, done = 0;
	CUevent event[BATCHES];

	for (unsigned int i = 0; i < options.ahead; i++)
		TRY(cuEventCreate(&event[i], CU_EVENT_DISABLE_TIMING | CU_EVENT_BLOCKING_SYNC));
	*took = seconds;
	while (seconds_now() < end) {
		if (begun < done + options.ahead) {
			launch_batch(event[begun++ % options.ahead]);
			continue;
		}
		TRY(cuEventSynchronize(event[done % options.ahead]));
		if (seconds_now() > end)
			break;
		done++;
		*took = seconds_now() - began;
	}
	TRY(cuStreamSynchronize(stream));
	return done;
}

static void parse(int argc, char **argv)
{
	static const struct option known[] = {
		{"rounds", 1, NULL, 'r'}, {"nodes", 1, NULL, 'n'},   {"batch", 1, NULL, 'b'},
		{"ahead", 1, NULL, 'a'},  {"seconds", 1, NULL, 's'}, {"calibrate", 0, NULL, 'c'},
		{NULL, 0, NULL, 0},
	};
	int o;

	while ((o = getopt_long(argc, argv, "", known, NULL)) != -1) {
		switch (o) {
		case 'r':
			options.rounds = (unsigned int)strtoul(optarg, NULL, 10);
			break;
		case 'n':
			options.nodes = (unsigned int)strtoul(optarg, NULL, 10);
			break;
		case 'b':
			options.batch = (unsigned int)strtoul(optarg, NULL, 10);
			break;
		case 'a':
			options.ahead = (unsigned int)strtoul(optarg, NULL, 10);
			break;
		case 's':
			options.seconds = strtod(optarg, NULL);
			break;
		case 'c':
			options.calibrate = true;
			break;
		default:
			exit(2);
		}
	}
	if (!options.batch || !options.ahead || options.ahead > BATCHES) {
		fprintf(stderr, "tenant_load: --batch from 1, --ahead from 1 to %d\n", BATCHES);
		exit(2);
	}
}

int main(int argc, char **argv)
{
	unsigned long done;
	char line[64];
	double took;

	parse(argc, argv);
	make_ready();
	if (options.calibrate) {
		calibrate();
		return 0;
	}
	printf("ready\n");
	fflush(stdout);
	if (!fgets(line, sizeof(line), stdin))
		return 1;
	done = work_for(options.seconds, &took);
	printf("{\"kernels\": %lu, \"seconds\": %.6f}\n",
	       done * options.batch * (options.nodes ? options.nodes : 1), took);
	return 0;
}
