/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Device addresses are kept out of the program's own address space, so that
 * an address means one thing only, as unified addressing promises.
 */
#ifndef CUDA_RESERVE_H
#define CUDA_RESERVE_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Reserves the 2 MiB chunks that [addr, addr+size) touches, unless they are
 * already.  They stay reserved for good.  false: the program has something there.
 */
bool reserve_device_range(uint64_t addr, uint64_t size);

#define RESERVE_CHUNK (UINT64_C(2) << 20)

#endif /* CUDA_RESERVE_H */
