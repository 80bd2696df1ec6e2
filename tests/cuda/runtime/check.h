/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the runtime-API programs share.  Each is an ordinary nvcc program with
 * the static runtime: it prints what is wrong and exits with 1, "NAME: ok" and
 * 0, or why not and 77.
 */
#ifndef TESTS_CUDA_CHECK_H
#define TESTS_CUDA_CHECK_H

#include <cuda_runtime.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CK(call)                                                                                   \
	do {                                                                                       \
		cudaError_t e_ = (call);                                                           \
		if (e_ != cudaSuccess) {                                                           \
			fprintf(stderr, "%s:%d: %s: %d, %s\n", __FILE__, __LINE__, #call, (int)e_, \
				cudaGetErrorName(e_));                                             \
			_exit(1);                                                                  \
		}                                                                                  \
	} while (0)

#define EXPECT(call, want)                                                                   \
	do {                                                                                 \
		cudaError_t e_ = (call);                                                     \
		if (e_ != (want)) {                                                          \
			fprintf(stderr, "%s:%d: %s: %s instead of %s\n", __FILE__, __LINE__, \
				#call, cudaGetErrorName(e_), cudaGetErrorName(want));        \
			_exit(1);                                                            \
		}                                                                            \
	} while (0)

#define CHECK(what)                                                                    \
	do {                                                                           \
		if (!(what)) {                                                         \
			fprintf(stderr, "%s:%d: not %s\n", __FILE__, __LINE__, #what); \
			_exit(1);                                                      \
		}                                                                      \
	} while (0)

#define SKIP(...)                                \
	do {                                     \
		printf("skipped: " __VA_ARGS__); \
		putchar('\n');                   \
		fflush(stdout);                  \
		_exit(77);                       \
	} while (0)

/* Runtime programs are machine code: without a GPU there is nothing to run them. */
static inline void need_gpu(void)
{
	cudaDeviceProp p;

	CK(cudaGetDeviceProperties(&p, 0));
	if (!strstr(p.name, "NVIDIA"))
		SKIP("%s is no GPU", p.name);
}

static inline int done(const char *name)
{
	printf("%s: ok\n", name);
	fflush(stdout);
	return 0;
}

#endif /* TESTS_CUDA_CHECK_H */
