/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which addresses of this process a guest has taken for host memory.
 *
 * Once graphs may hold an address, nothing of the worker's own may ever appear
 * there: a graph is launched at any time, and nobody looks at its addresses
 * again.  Such windows are kept when the guest gives them back, with nothing
 * behind them; only windows of the guest's own go there again.
 */
#ifndef VGPU_WORKER_CUDA_WINDOWS_H
#define VGPU_WORKER_CUDA_WINDOWS_H

#include <stdbool.h>
#include <stdint.h>

#include "buffers.h"
#include "cuda_driver.h"

struct cuda_session;

struct window {
	struct window *next;
	uint64_t start;
	uint64_t length;
	bool mapped;    /* else only reserved */
	bool inside;    /* mapped within a reserved or kept one */
	bool in_graphs; /* graphs may hold addresses of it */
	bool kept;      /* reserved, and the guest's no more */
	uint32_t runs;
	struct buffers_hold hold;
};

struct windows {
	struct window *head;
	unsigned int n; /* with those that are kept */
	uint32_t runs;
};

/* The guest's window of just these addresses, or NULL. */
struct window *windows_find(struct cuda_session *s, uint64_t start, uint64_t length, bool mapped);

/* Any that overlaps, or NULL. */
struct window *windows_overlapping(struct cuda_session *s, uint64_t start, uint64_t length,
				   bool mapped);

/* Addresses for the guest, with nothing behind them yet. */
CUresult windows_reserve(struct cuda_session *s, uint64_t start, uint64_t length);

/* A window to map pages in: within a reserved one wholly, or where nothing is. */
CUresult windows_make(struct cuda_session *s, uint64_t start, uint64_t length, struct window **out);

/* Takes the pages away; false: there was no memory for that, and they are still there. */
bool windows_clear(struct window *w);

/* The guest has given a window back, whose pages (if any) were taken away; `w` is gone. */
void windows_end(struct cuda_session *s, struct window *w);

#endif /* VGPU_WORKER_CUDA_WINDOWS_H */
