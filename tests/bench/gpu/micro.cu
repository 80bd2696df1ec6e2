// SPDX-License-Identifier: GPL-2.0-or-later
// Small measurements of the CUDA runtime: an object in JSON of name and number.
//
// An ordinary program with the static runtime; run natively and with another
// libcuda.so.1, one after the other, the two say what the other one costs.
// Argument: how many times fewer repetitions, for slow machines.
#include <cuda_runtime.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static double now()
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + 1e-9 * t.tv_nsec;
}

#define CK(call)                                                                             \
	do {                                                                                 \
		cudaError_t e_ = (call);                                                     \
		if (e_ != cudaSuccess) {                                                     \
			fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, #call,        \
				cudaGetErrorName(e_));                                       \
			_exit(1);                                                            \
		}                                                                            \
	} while (0)

extern "C" __global__ void empty()
{
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* The median time of a call, in seconds. */
template <class F> static double median(int repeats, F function)
{
	double *t, m;

	repeats = repeats < 3 ? 3 : repeats;
	t = (double *)malloc(repeats * sizeof(double));
	function();
	for (int i = 0; i < repeats; i++) {
		double began = now();

		function();
		t[i] = now() - began;
	}
	qsort(t, repeats, sizeof(double), compare);
	m = t[repeats / 2];
	free(t);
	return m;
}

static bool first = true;

static void say(const char *name, double value)
{
	printf("%s\"%s\": %.4g", first ? "" : ", ", name, value);
	fflush(stdout);
	first = false;
}

static void launches(int less)
{
	int count = 50000 / less;
	double began, queued;

	for (int i = 0; i < 1000 / less + 1; i++)
		empty<<<1, 32>>>();
	CK(cudaDeviceSynchronize());
	began = now();
	for (int i = 0; i < count; i++)
		empty<<<1, 32>>>();
	queued = now() - began;
	CK(cudaDeviceSynchronize());
	say("launch_us", queued / count * 1e6);
	say("launch_drained_us", (now() - began) / count * 1e6);
	say("launch_sync_us", 1e6 * median(5000 / less, [] {
		empty<<<1, 32>>>();
		cudaDeviceSynchronize();
	}));
}

static void events(int less)
{
	cudaEvent_t a, b;

	CK(cudaEventCreate(&a));
	CK(cudaEventCreate(&b));
	say("event_pair_us", 1e6 * median(3000 / less, [&] {
		cudaEventRecord(a);
		cudaEventRecord(b);
		cudaEventSynchronize(b);
	}));
	CK(cudaGetLastError());
}

static void memory(int less)
{
	static char host[4096];
	char *p;

	CK(cudaMalloc(&p, 1 << 20));
	say("alloc_free_us", 1e6 * median(2000 / less, [] {
		void *q;

		cudaMalloc(&q, 1 << 20);
		cudaFree(q);
	}));
	say("to_4k_us", 1e6 * median(3000 / less, [&] {
		cudaMemcpy(p, host, sizeof(host), cudaMemcpyHostToDevice);
	}));
	say("from_4k_us", 1e6 * median(3000 / less, [&] {
		cudaMemcpy(host, p, sizeof(host), cudaMemcpyDeviceToHost);
	}));
	CK(cudaGetLastError());
	CK(cudaFree(p));
}

static void bulk(const char *kind, char *host, char *device, size_t bytes, int repeats)
{
	char name[64];

	snprintf(name, sizeof(name), "to_%s_gbs", kind);
	say(name, bytes / 1e9 / median(repeats, [&] {
		cudaMemcpy(device, host, bytes, cudaMemcpyHostToDevice);
	}));
	snprintf(name, sizeof(name), "from_%s_gbs", kind);
	say(name, bytes / 1e9 / median(repeats, [&] {
		cudaMemcpy(host, device, bytes, cudaMemcpyDeviceToHost);
	}));
	CK(cudaGetLastError());
}

int main(int argc, char **argv)
{
	int less = argc > 1 ? atoi(argv[1]) : 1;
	size_t bytes = (size_t)256 << 20;
	char *device, *pageable, *pinned = NULL;
	double began = now();

	printf("{");
	CK(cudaFree(0));
	say("context_s", now() - began);
	launches(less);
	events(less);
	memory(less);
	CK(cudaMalloc(&device, bytes));
	pageable = (char *)malloc(bytes);
	memset(pageable, 1, bytes);
	bulk("pageable", pageable, device, bytes, 7);
	began = now();
	CK(cudaMallocHost(&pinned, bytes));
	say("pin_256m_ms", (now() - began) * 1e3);
	memset(pinned, 1, bytes);
	bulk("pinned", pinned, device, bytes, 7);
	printf("}\n");
	fflush(stdout);
	return 0;
}
