/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * gpu_test: what the subcommands share.
 *
 * A subcommand fills `report` (the JSON output), prints lines with say() and
 * returns an exit status.
 */
#ifndef GPU_TEST_H
#define GPU_TEST_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vgpu.h"

#define EXIT_PASSED 0
#define EXIT_FAILED 1
#define EXIT_USAGE 2
#define EXIT_NO_DEVICE 77

struct options {
	const char *device;
	const char *input[2];
	unsigned int inputs;
	const char *output;
	uint64_t size;       /* 0: not given */
	uint32_t m, n, k;    /* 0: not given */
	unsigned int repeat; /* 0: not given */
	unsigned int seconds;
	uint64_t seed;
	int timeout_ms;
	enum vgpu_wait_mode wait;
	bool json;
	bool reopen;
};

struct context {
	struct options opt;
	struct vgpu_session *session;
	json_t *report;
};

struct subcommand {
	const char *name;
	int (*run)(struct context *c);
	const char *description;
};

/* The subcommands, one file each. */
int run_nop(struct context *c);
int run_vector_add(struct context *c);
int run_matmul(struct context *c);
int run_bandwidth(struct context *c);
int run_info(struct context *c);
int run_status(struct context *c);
int run_stress(struct context *c);
int run_text(struct context *c, const char *text);

/* common.c */

/* Opens c->session: EXIT_PASSED, or the exit status with the reason printed. */
int open_session(struct context *c);
/* Prints a line unless the output is JSON. */
void say(const struct context *c, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Prints "gpu_test: what: strerror(errno)"; returns EXIT_FAILED. */
int complain(const char *what);
const char *backend_name(uint32_t backend);
/* Prints the backend and puts it into the report. */
void say_backend(struct context *c, uint32_t backend);
void report_int(struct context *c, const char *key, uint64_t value);
void report_real(struct context *c, const char *key, double value);
void report_string(struct context *c, const char *key, const char *value);
uint64_t monotonic_ns(void);

/* A small generator: the same seed gives the same numbers everywhere. */
uint64_t random_next(uint64_t *state);
/* Uniform in -1 to 1. */
void random_floats(uint64_t *state, float *out, size_t count);

/* arrays.c */

/* Memory that is registered with a session. */
struct array {
	float *data;
	size_t bytes;
	uint32_t handle;
	bool registered;
	bool in_area; /* not memory of our own, but this */
	struct vgpu_area area;
};

/* Page-aligned memory, not registered: -1 with errno.  array_free() frees it. */
int array_make(struct array *a, size_t bytes);
/* 0; 1 if this device has no buffers; -1 with errno.  May move the data. */
int array_register(struct context *c, struct array *a, uint32_t flags);
/* 0 or -1 with errno.  The data is lost. */
int array_unregister(struct context *c, struct array *a);
void array_free(struct context *c, struct array *a);
/* Size of a file of float32, 0 with a message if it is none. */
size_t file_floats(const char *path);
int file_load(const char *path, struct array *a);
int file_save(const char *path, const void *data, size_t bytes);

/*
 * Runs VECTOR_ADD or MATMUL on a, b and out, by buffers or, where there are
 * none, inside the request.  0 or -1 with errno.
 */
int compute(struct context *c, uint16_t command, const void *body, size_t body_length,
	    const struct array *a, const struct array *b, struct array *out,
	    struct vgpu_compute_result *result);

#endif /* GPU_TEST_H */
