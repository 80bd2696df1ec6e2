/* SPDX-License-Identifier: GPL-2.0-or-later */
/* For the guest's stubs: the bench gives each call its context. */
#ifndef FUZZ_CONTEXT_H
#define FUZZ_CONTEXT_H

#include <stdint.h>

static inline uint64_t context_current(void)
{
	return 1;
}

#endif /* FUZZ_CONTEXT_H */
