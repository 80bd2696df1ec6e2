/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Cases of a program that uses the CUDA driver API, each in a process of its own.
 *
 * The program knows nothing of what is behind libcuda.so.1: it runs on the
 * driver itself and on anything that stands in for it.  A case ends the process
 * at the first thing wrong.  Exit status of the program: 0, 1 (a case failed) or
 * 77 (nothing could run here).
 */
#ifndef TESTS_CUDA_HARNESS_H
#define TESTS_CUDA_HARNESS_H

#include <cuda.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum needs {
	ANYWHERE,
	GPU,      /* a real one: machine code, textures, own kernels */
	COMPLETE, /* whatever has the calls; skipped where a backend without a GPU lacks one */
};

struct test_case {
	const char *name;
	void (*run)(void);
	enum needs needs;
};

/* The groups of cases, each ended by an entry without a name. */
extern const struct test_case memory_cases[], copy_cases[], stream_cases[], default_stream_cases[],
	per_thread_cases[], callback_cases[], graph_cases[], thread_cases[], module_cases[],
	array_cases[], error_cases[], pinned_cases[], exhaustion_cases[], launch_cases[],
	query_cases[], graph_node_cases[], registered_cases[], capture_cases[],
	graph_memory_cases[], classes_cases[];

/* What a case may use; valid after start(). */
extern CUdevice device;
extern CUcontext context;
extern CUmodule module;
extern bool on_gpu;

/* Initialises, makes the primary context current, loads the kernels' PTX. */
void start(void);
/* Only the first of these. */
void start_driver(void);
/* A kernel of the module that start() loaded. */
CUfunction kernel(const char *name);
/* Launches over `n` elements on `stream` with the arguments in an array, as cuLaunchKernel has it.
 */
void launch(CUfunction f, unsigned int n, CUstream stream, void **args);

/* The two spellings of the kernels. */
extern const char kernels_ptx[];
struct machine_code {
	unsigned int arch; /* 90 is sm_90 */
	const unsigned char *image;
	size_t size;
};
extern const struct machine_code kernels_cubin[];
extern const size_t kernels_cubin_count;

/* Helpers that end the case if they fail. */
CUdeviceptr device_alloc(size_t bytes);
void fill_words(CUdeviceptr at, unsigned int value, unsigned int n, CUstream stream);
void expect_words(CUdeviceptr at, unsigned int value, unsigned int n);
void *host_pattern(size_t bytes, unsigned int seed);
void expect_pattern(const void *p, size_t bytes, unsigned int seed);
double now(void);

/* Is this not the driver itself?  For what it may answer by a crash. */
bool mediated(void);

/*
 * A stream that is busy until the program says otherwise, whatever time that
 * takes.  gate_new() first, as it may wait for the device.
 */
unsigned int *gate_new(void);
void gate_open(unsigned int *gate);

_Noreturn void fail(const char *file, int line, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
_Noreturn void skip(const char *format, ...) __attribute__((format(printf, 1, 2)));
void check_result(const char *file, int line, const char *what, CUresult got);
void expect_result(const char *file, int line, const char *what, CUresult got, CUresult want);

#define CK(call) check_result(__FILE__, __LINE__, #call, (call))
#define EXPECT(call, want) expect_result(__FILE__, __LINE__, #call, (call), (want))
#define CHECK(what)                                                   \
	do {                                                          \
		if (!(what))                                          \
			fail(__FILE__, __LINE__, "%s", "not " #what); \
	} while (0)
#define CHECK_EQ(a, b)                                                                            \
	do {                                                                                      \
		unsigned long long a_ = (unsigned long long)(a);                                  \
		unsigned long long b_ = (unsigned long long)(b);                                  \
		if (a_ != b_)                                                                     \
			fail(__FILE__, __LINE__, "%s is %llu and not %llu (%s)", #a, a_, b_, #b); \
	} while (0)

/* Here, so that stream 0 is what it is to the file that includes this. */
static inline void gate_close(unsigned int *gate, CUstream stream)
{
	unsigned int one = 1;
	void *args[] = {&gate, &one};

	__atomic_store_n(gate, 0, __ATOMIC_SEQ_CST);
	CK(cuLaunchKernel(kernel("wait_flag"), 1, 1, 1, 1, 1, 1, 0, stream, args, NULL));
}

#endif /* TESTS_CUDA_HARNESS_H */
