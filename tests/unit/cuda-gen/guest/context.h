/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef TEST_CONTEXT_H
#define TEST_CONTEXT_H

#include <stdint.h>

uint64_t context_current(void);

#endif
