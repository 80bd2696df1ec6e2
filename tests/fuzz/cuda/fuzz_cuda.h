/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A worker for the fuzzer of CUDA calls: made once, its session anew for each input. */
#ifndef FUZZ_CUDA_H
#define FUZZ_CUDA_H

#include "cuda_dispatch.h"
#include "vgpu_calls.h"

#define ADDRESS_TAG 0xadd7

/* Objects of the session that bench_begin() makes: index 1 of each type, generation 1. */
#define BENCH(type, index) vgpu_cuda_handle(VGPU_CUDA_##type, 1, VGPU_CUDA_##type * 8 + (index))

#define BENCH_DEVICE_BYTES 65536u
#define BENCH_WINDOW 0x500000000000ull /* pinned memory, of as many bytes */
#define BENCH_WINDOW_BYTES 65536u

/* One call of an input; its descriptors and its body follow. */
struct fuzz_item {
	uint16_t function;
	uint8_t flags; /* 1: quiet; 2: no context; 4: another context */
	uint8_t ndesc;
	uint16_t length; /* of the body, without struct vgpu_cuda_call */
	uint16_t reserved;
};

/* Makes the session, its contexts and objects. */
void bench_begin(void);

/* Gives a record to the worker as its loop would; answers host functions. */
void bench_record(const void *record, uint32_t length);

/* Waits until all that was sent is done, and takes everything down. */
void bench_end(void);

/* Clears the error that the driver keeps for ever: a worker would end with its session. */
void bench_forgive(void);

/* The address of the session's device memory. */
uint64_t bench_device(void);

#endif /* FUZZ_CUDA_H */
