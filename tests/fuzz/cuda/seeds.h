/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Arguments for the generated calls that the fuzzer's mutator inserts. */
#ifndef FUZZ_SEEDS_H
#define FUZZ_SEEDS_H

#include <stddef.h>
#include <stdint.h>

#include "vgpu_abi.h"
#include "vgpu_cuda.h"

extern void (*const cuda_seeds[])(void);
extern const unsigned int cuda_nseeds;

uint64_t seed_value(void);
uint64_t seed_count(void);
uint64_t seed_address(void);
uint64_t seed_handle(unsigned int type); /* of an object that may exist */
uint64_t seed_new(unsigned int type);    /* free, most likely */
const char *seed_string(void);
const struct vgpu_desc *seed_descs(unsigned int *n);

/* Elements to send: handles of `type`, or, if it is 0, numbers of all kinds. */
const void *seed_data(unsigned int type);

/* Where a result would go. */
void *seed_room(void);

#endif /* FUZZ_SEEDS_H */
