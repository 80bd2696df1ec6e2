/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the files about contexts share. */
#ifndef CUDA_CONTEXT_PRIV_H
#define CUDA_CONTEXT_PRIV_H

#include "context.h"

/* A context that the host does not know yet, under a handle of its own; NULL: no memory. */
struct context *context_new(CUdevice dev, unsigned int flags);

/* Makes it current in a helper thread, or for a moment in one that has none; NULL ends that. */
void context_lend(struct context *c);

/* Marks it dead and forgets what was in it. */
void context_ended(struct context *c);

#endif /* CUDA_CONTEXT_PRIV_H */
