/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a program does first, and most of the time, as calls. */
#ifndef TEST_CUDA_PROGRAM_H
#define TEST_CUDA_PROGRAM_H

#include "cuda-calls.h"

#define HANDLE(type, index) vgpu_cuda_handle(VGPU_CUDA_##type, 1, index)
#define CTX HANDLE(CONTEXT, 1)

void assert_ok(const struct outcome *o);
/* A session with the primary context as CTX. */
void program_start(void);
CUdeviceptr allocate(size_t bytes);
void write_bytes(CUdeviceptr at, const void *data, uint32_t bytes);
const void *read_bytes(CUdeviceptr at, uint32_t bytes);
void synchronize(void);
/* vector_add(), print_value(), wait_flag(address, value). */
void load(uint64_t module);
void load_library(uint64_t library);
struct vgpu_function_info *find(uint64_t module, uint64_t function, const char *name);
void launch(uint64_t function, unsigned int threads, const void *params, uint32_t bytes);
/* wait_flag() as function `function`, in a stream: until the number at `flag` is 1. */
void launch_wait(uint64_t function, uint64_t stream, CUdeviceptr flag);
/* One that does not wait for the default stream. */
void make_stream(uint64_t stream);
/* The function is the driver's, which is replaced for a test. */
struct cuda_driver *driver(void);

#endif /* TEST_CUDA_PROGRAM_H */
