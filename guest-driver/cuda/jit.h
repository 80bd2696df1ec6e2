/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Options of compiling device code, as a program gives them: parallel arrays. */
#ifndef CUDA_JIT_H
#define CUDA_JIT_H

#include "api.h"
#include "vgpu_calls.h"

#define JIT_OPTIONS_MAX 64

struct jit {
	unsigned int n;
	struct vgpu_jit_option option[JIT_OPTIONS_MAX]; /* those that are numbers */
	char *log[2];                                   /* info, errors: the program's buffers */
	unsigned int room[2];
	void **filled[2]; /* where the program learns how much was written */
};

CUresult jit_parse(struct jit *j, unsigned int n, const CUjit_option *options, void **values);

/* Fetches the logs of a blob's load into the program's buffers. */
void jit_logs(const struct jit *j, unsigned long long blob);

#endif /* CUDA_JIT_H */
