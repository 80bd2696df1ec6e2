/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What programs that load a GPU have in common: an error is the end. */
#ifndef TESTS_BENCH_GPU_LOAD_H
#define TESTS_BENCH_GPU_LOAD_H

#include <cuda.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define TRY(call)                                                                               \
	do {                                                                                    \
		CUresult r_ = (call);                                                           \
		if (r_ != CUDA_SUCCESS) {                                                       \
			fprintf(stderr, "%s:%d: %s: %d\n", __FILE__, __LINE__, #call, (int)r_); \
			exit(1);                                                                \
		}                                                                               \
	} while (0)

static inline double seconds_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

#endif /* TESTS_BENCH_GPU_LOAD_H */
