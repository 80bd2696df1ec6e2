/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the host says unasked: text of kernels, and host functions that are due. */
#ifndef CUDA_CALLBACK_H
#define CUDA_CALLBACK_H

#include <stdbool.h>

#include "api.h"

/* Takes the host's notes from now on; before client_connect(). */
void notes_start(void);

/*
 * Makes sure that host functions can run: a thread for them, and one that
 * listens while no call is made.
 */
CUresult callbacks_start(void);

/* A function and its argument under a new number; `often`: may be due many times. */
unsigned long long callback_add(CUhostFn fn, void *data, bool often);

/* Gives a number back that was never told to the host, or is not any more. */
void callback_drop(unsigned long long id);

/* What a number stands for; false: nothing. */
bool callback_find(unsigned long long id, CUhostFn *fn, void **data);

#endif /* CUDA_CALLBACK_H */
