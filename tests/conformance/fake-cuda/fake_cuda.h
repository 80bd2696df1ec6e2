/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A device that is not there, stricter than one that is.
 *
 * Work on a stream is kept and done only when someone waits, as late as the
 * rules allow, so a wait that is missing shows.  Host memory has another
 * address on the device, so the two cannot be mixed up.  Each transfer is
 * checked: the device's side must lie in one allocation, the host's side in one
 * registration or pinned allocation.  A breach ends the program with a message.
 */
#ifndef FAKE_CUDA_H
#define FAKE_CUDA_H

#include <cuda_runtime_api.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Makes the `nth` next call (1 = the very next) of the function or kernel
 * called `name` fail with `err`.  cudaErrorIllegalAddress stays, as on a real
 * device: every later call fails with it until fake_cuda_reset().
 */
void fake_cuda_fail(const char *name, unsigned int nth, cudaError_t err);
/* How often `name` was called since fake_cuda_reset(). */
unsigned int fake_cuda_calls(const char *name);
/* Device and pinned allocations, registrations, streams and events that exist. */
unsigned int fake_cuda_objects(void);
/* Pieces of work that nobody has waited for. */
unsigned int fake_cuda_pending(void);
/* Forgets failures and counts; everything must have been freed. */
void fake_cuda_reset(void);

/* For the files of the stand-in only. */

/* Counts the call; what it must fail with, or cudaSuccess. */
cudaError_t fake_enter(const char *name);

enum fake_space {
	FAKE_DEVICE,     /* cudaMalloc */
	FAKE_PINNED,     /* cudaHostAlloc */
	FAKE_REGISTERED, /* cudaHostRegister */
};

#define FAKE_HOST_SHIFT ((uint64_t)1 << 46) /* device address - host address */

cudaError_t fake_block_add(enum fake_space space, void *at, size_t size);
bool fake_block_remove(enum fake_space space, void *at);
/* True if all `size` bytes lie in one block of that kind. */
bool fake_block_holds(enum fake_space space, const void *at, size_t size);
uint64_t fake_block_bytes(enum fake_space space);

/* Work that is done when it is waited for; `data` is freed then. */
void fake_enqueue(cudaStream_t stream, void (*work)(void *data), void *data);
/* Does all of it, on every stream. */
void fake_finish(void);

#endif /* FAKE_CUDA_H */
