// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Runs the cases and says of each how it went.
 *
 * The parent never touches CUDA: a process that has may not fork.
 */
#include "harness.h"

#include <fnmatch.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SKIPPED 77
#define SECONDS_FOR_A_CASE 120

CUdevice device;
CUcontext context;
CUmodule module;
bool on_gpu;

static const struct {
	const char *name;
	const struct test_case *cases;
} groups[] = {
	{"query", query_cases},
	{"memory", memory_cases},
	{"copy", copy_cases},
	{"launch", launch_cases},
	{"stream", stream_cases},
	{"default_stream", default_stream_cases},
	{"per_thread", per_thread_cases},
	{"callback", callback_cases},
	{"graph", graph_cases},
	{"graph_nodes", graph_node_cases},
	{"capture", capture_cases},
	{"graph_memory", graph_memory_cases},
	{"thread", thread_cases},
	{"module", module_cases},
	{"array", array_cases},
	{"pinned", pinned_cases},
	{"registered", registered_cases},
	{"error", error_cases},
	{"exhaustion", exhaustion_cases},
	{"classes", classes_cases},
};

static const struct test_case *running;

static void say(const char *verdict, const char *format, va_list args)
{
	char text[512];

	vsnprintf(text, sizeof(text), format, args);
	printf("  %s: %s\n", verdict, text);
	fflush(stdout);
}

void fail(const char *file, int line, const char *format, ...)
{
	const char *slash = strrchr(file, '/');
	char text[400];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	printf("  %s:%d: %s\n", slash ? slash + 1 : file, line, text);
	fflush(stdout);
	_exit(1);
}

void skip(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say("skipped", format, args);
	va_end(args);
	_exit(SKIPPED);
}

static const char *name_of(CUresult code)
{
	const char *name = NULL;

	return cuGetErrorName(code, &name) == CUDA_SUCCESS && name ? name : "an unknown code";
}

void check_result(const char *file, int line, const char *what, CUresult got)
{
	if (got == CUDA_SUCCESS)
		return;
	if (got == CUDA_ERROR_NOT_SUPPORTED && running->needs == COMPLETE && !on_gpu)
		skip("this backend has no %.*s", (int)strcspn(what, "("), what);
	fail(file, line, "%s: %d, %s", what, got, name_of(got));
}

void expect_result(const char *file, int line, const char *what, CUresult got, CUresult want)
{
	if (got != want)
		fail(file, line, "%s: %d, %s, instead of %d, %s", what, got, name_of(got), want,
		     name_of(want));
}

double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + 1e-9 * t.tv_nsec;
}

bool mediated(void)
{
	return getenv("VGPU_TRANSPORT") || !access("/dev/vgpu_stub", F_OK);
}

void start_driver(void)
{
	char name[256] = "";

	CK(cuInit(0));
	CK(cuDeviceGet(&device, 0));
	CK(cuDeviceGetName(name, sizeof(name), device));
	on_gpu = strstr(name, "NVIDIA") != NULL;
	if (running->needs == GPU && !on_gpu)
		skip("%s is no GPU", name);
}

void start(void)
{
	start_driver();
	CK(cuDevicePrimaryCtxRetain(&context, device));
	CK(cuCtxSetCurrent(context));
	CK(cuModuleLoadData(&module, kernels_ptx));
}

CUfunction kernel(const char *name)
{
	CUfunction f = NULL;

	CK(cuModuleGetFunction(&f, module, name));
	CHECK(f != NULL);
	return f;
}

void launch(CUfunction f, unsigned int n, CUstream stream, void **args)
{
	CK(cuLaunchKernel(f, (n + 255) / 256, 1, 1, 256, 1, 1, 0, stream, args, NULL));
}

CUdeviceptr device_alloc(size_t bytes)
{
	CUdeviceptr p = 0;

	CK(cuMemAlloc(&p, bytes));
	CHECK(p != 0);
	return p;
}

void fill_words(CUdeviceptr at, unsigned int value, unsigned int n, CUstream stream)
{
	void *args[] = {&at, &value, &n};

	launch(kernel("fill"), n, stream, args);
}

unsigned int *gate_new(void)
{
	unsigned int *gate = NULL, one = 1, n = 1;
	unsigned long long shortest = 1;
	void *args[] = {&gate, &one}, *some[] = {&gate, &one, &n}, *brief[] = {&shortest};

	CK(cuMemAllocHost((void **)&gate, 4096));
	*gate = 1;
	/* Kernels are loaded at their first launch, which may wait for everything. */
	CK(cuLaunchKernel(kernel("wait_flag"), 1, 1, 1, 1, 1, 1, 0, NULL, args, NULL));
	CK(cuLaunchKernel(kernel("fill"), 1, 1, 1, 1, 1, 1, 0, NULL, some, NULL));
	CK(cuLaunchKernel(kernel("delay"), 1, 1, 1, 1, 1, 1, 0, NULL, brief, NULL));
	CK(cuCtxSynchronize());
	return gate;
}

void gate_open(unsigned int *gate)
{
	__atomic_store_n(gate, 1, __ATOMIC_SEQ_CST);
}

void expect_words(CUdeviceptr at, unsigned int value, unsigned int n)
{
	unsigned int *host = malloc((size_t)n * 4);

	CHECK(host != NULL);
	memset(host, 0x5a, (size_t)n * 4);
	CK(cuMemcpyDtoH(host, at, (size_t)n * 4));
	for (unsigned int i = 0; i < n; i++)
		if (host[i] != value)
			fail(__FILE__, __LINE__, "word %u of %u is %#x and not %#x", i, n, host[i],
			     value);
	free(host);
}

/* A cheap sequence in which neighbours and far places differ. */
static unsigned char pattern_at(size_t i, unsigned int seed)
{
	return (unsigned char)((i * 167 + (i >> 8) * 13 + (i >> 16) * 7 + seed * 31) & 0xff);
}

void *host_pattern(size_t bytes, unsigned int seed)
{
	unsigned char *p = malloc(bytes ? bytes : 1);

	CHECK(p != NULL);
	for (size_t i = 0; i < bytes; i++)
		p[i] = pattern_at(i, seed);
	return p;
}

void expect_pattern(const void *p, size_t bytes, unsigned int seed)
{
	const unsigned char *at = p;

	for (size_t i = 0; i < bytes; i++)
		if (at[i] != pattern_at(i, seed))
			fail(__FILE__, __LINE__, "byte %zu of %zu is %#x and not %#x", i, bytes,
			     at[i], pattern_at(i, seed));
}

static int run_case(const char *group, const struct test_case *c)
{
	const char *limit = getenv("VGPU_TEST_SECONDS");
	double began = now();
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid < 0) {
		perror("fork");
		return 1;
	}
	if (pid == 0) {
		alarm(limit ? (unsigned int)atoi(limit) : SECONDS_FOR_A_CASE);
		running = c;
		c->run();
		fflush(stdout);
		exit(0); /* with what the library does at exit */
	}
	if (waitpid(pid, &status, 0) != pid) {
		perror("waitpid");
		return 1;
	}
	if (WIFSIGNALED(status)) {
		printf("%s.%s: FAILED (%s, %.2f s)\n", group, c->name, strsignal(WTERMSIG(status)),
		       now() - began);
		return 1;
	}
	status = WEXITSTATUS(status);
	printf("%s.%s: %s (%.2f s)\n", group, c->name,
	       !status             ? "ok"
	       : status == SKIPPED ? "skipped"
				   : "FAILED",
	       now() - began);
	return status == SKIPPED ? SKIPPED : status != 0;
}

static bool wanted(const char *group, const char *name, char **patterns, int n)
{
	char full[128];

	snprintf(full, sizeof(full), "%s.%s", group, name);
	for (int i = 0; i < n; i++)
		if (!fnmatch(patterns[i], full, 0) || !strcmp(patterns[i], group))
			return true;
	return n == 0;
}

int main(int argc, char **argv)
{
	unsigned int ok = 0, failed = 0, skipped = 0;
	bool list = argc > 1 && !strcmp(argv[1], "--list");

	if (argc > 1 && argv[1][0] == '-' && !list) {
		fprintf(stderr, "usage: %s [--list] [GROUP | GROUP.CASE, with * and ?]...\n",
			argv[0]);
		return 2;
	}
	for (size_t g = 0; g < sizeof(groups) / sizeof(*groups); g++)
		for (const struct test_case *c = groups[g].cases; c->name; c++) {
			int status;

			if (!wanted(groups[g].name, c->name, argv + 1 + list, argc - 1 - list))
				continue;
			if (list) {
				printf("%s.%s\n", groups[g].name, c->name);
				continue;
			}
			status = run_case(groups[g].name, c);
			ok += status == 0;
			failed += status == 1;
			skipped += status == SKIPPED;
		}
	if (list)
		return 0;
	printf("%u passed, %u failed, %u skipped\n", ok, failed, skipped);
	return failed ? 1 : ok ? 0 : SKIPPED;
}
