/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A session of CUDA calls without the library that keeps to the rules: each
 * record is made here, right or wrong.
 */
#ifndef TESTS_CUDA_HOSTILE_SESSION_H
#define TESTS_CUDA_HOSTILE_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vgpu.h"
#include "vgpu_cuda_wire.h"

#define EACH_MS 60000

/* A call answered with an errno, or a session that is gone, as a result. */
#define NO_RESULT ((CUresult)(-1))

struct raw {
	struct vgpu_session *s;
	uint64_t context;
	uint64_t module;
	uint64_t next; /* index of the next handle */
	int error;     /* errno of the last NO_RESULT */
	size_t got;    /* bytes of the last answer */
};

/* Opens a session, with a context and the kernels' module; ends the test on failure. */
struct raw *raw_new(void);
/* Without context and module. */
struct raw *raw_bare(void);
void raw_free(struct raw *r);

/* One call: its fixed structure, its variable part; the answer to `out`. */
CUresult raw_call(struct raw *r, uint32_t fn, const void *fixed, size_t fixed_size, const void *var,
		  size_t var_size, void *out, size_t out_size);

/* A body of the caller's making. */
CUresult raw_body(struct raw *r, const void *body, size_t size, void *out, size_t out_size);

/* The same with no answer asked for. */
void raw_post(struct raw *r, uint32_t fn, const void *fixed, size_t fixed_size);

uint64_t raw_handle(struct raw *r, enum vgpu_cuda_type type);

/* What a decent program does. */
CUresult raw_alloc(struct raw *r, uint64_t bytes, uint64_t *address);
CUresult raw_release(struct raw *r, uint64_t address);
CUresult raw_write(struct raw *r, uint64_t to, const void *data, uint32_t bytes);
CUresult raw_read(struct raw *r, uint64_t from, void *data, uint32_t bytes);
CUresult raw_load(struct raw *r, const void *image, size_t bytes, uint64_t *module);
CUresult raw_function(struct raw *r, const char *name, uint64_t *function);
CUresult raw_launch(struct raw *r, uint64_t function, uint64_t stream, unsigned int threads,
		    const void *params, uint32_t bytes);
CUresult raw_synchronize(struct raw *r);

/* Does this session compute?  Ends the test if not. */
void raw_works(struct raw *r);

void wrong(const char *file, int line, const char *what, long long got);

#define CHECK(what)                                          \
	do {                                                 \
		if (!(what))                                 \
			wrong(__FILE__, __LINE__, #what, 0); \
	} while (0)
#define OK(call)                                                   \
	do {                                                       \
		CUresult r_ = (call);                              \
		if (r_ != CUDA_SUCCESS)                            \
			wrong(__FILE__, __LINE__, #call, (int)r_); \
	} while (0)
#define REFUSED(call)                                                  \
	do {                                                           \
		if ((call) == CUDA_SUCCESS)                            \
			wrong(__FILE__, __LINE__, #call " worked", 0); \
	} while (0)
#define IS(call, want)                                             \
	do {                                                       \
		CUresult r_ = (call);                              \
		if (r_ != (want))                                  \
			wrong(__FILE__, __LINE__, #call, (int)r_); \
	} while (0)

#endif /* TESTS_CUDA_HOSTILE_SESSION_H */
