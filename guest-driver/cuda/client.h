/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The calls' way to the host: one session for the process, for all its threads.
 *
 * A quiet call is posted: written into the ring, and that is all.  Any other is
 * made by client_call(), which waits for its own response; whichever thread
 * waits takes the responses of all.  No function here calls another part of the
 * library but the hook of client_on_note().
 */
#ifndef VGPU_CLIENT_H
#define VGPU_CLIENT_H

#include <cuda.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vgpu.h"
#include "vgpu_cuda.h"
#include "vgpu_ring.h"

/*
 * Opens the session if that has not been done (VGPU_TRANSPORT says where, see
 * vgpu_session_open()).  CUDA_ERROR_NO_DEVICE: there is nothing to connect to;
 * CUDA_ERROR_NOT_INITIALIZED in the child of a process that had connected.
 * Another try may be made after a failure.
 */
CUresult client_connect(void);

/*
 * Posts a call that has no answer.  The pieces are the function's fixed
 * structure and its variable parts with their padding.  If the call fails, a
 * later client_call() of any thread returns why.
 */
CUresult client_post(uint32_t fn, uint64_t ctx, const struct vgpu_desc *desc, unsigned int ndesc,
		     const struct vgpu_piece *piece, size_t n);

/*
 * Makes a call and waits for its answer.  `out` receives at most `size` bytes
 * of what follows struct vgpu_cuda_result, and *got (may be NULL) their number:
 * 0 if the result is not CUDA_SUCCESS.
 */
CUresult client_call(uint32_t fn, uint64_t ctx, const struct vgpu_desc *desc, unsigned int ndesc,
		     const struct vgpu_piece *piece, size_t n, void *out, size_t size, size_t *got);

/* How many calls were posted or made so far, by all threads. */
uint64_t client_sequence(void);

/* Calls that were made, of them those that were waited for. */
void client_counts(uint64_t *calls, uint64_t *waited);

/*
 * What to do with a note of the host; before client_connect().  It is called
 * by whichever thread receives, in the order in which the host wrote notes and
 * answers: what a kernel printed before a call was answered is with the hook
 * before that call returns.  The hook must neither call a function of this file
 * nor wait for a thread that may be in one.  `data` is the note's `length` bytes.
 */
void client_on_note(void (*hook)(const struct vgpu_cuda_note *note, const void *data));

/*
 * From here on notes are received although no thread is in a call: callbacks.
 * Starts a thread the first time.
 */
CUresult client_notes_start(void);

/*
 * The code that every call returns by now: of an error that ends what a process
 * can do, or CUDA_ERROR_DEVICE_UNAVAILABLE once the session is lost, or
 * CUDA_ERROR_NOT_INITIALIZED after a fork.  CUDA_SUCCESS: none.
 */
CUresult client_sticky(void);

/* The session, for what is not here; NULL before client_connect(). */
struct vgpu_session *client_session(void);

/* As those of vgpu.h with the client's session, for any thread: -1 with errno. */
int client_buffer_register(void *addr, size_t length, uint32_t flags, uint32_t *handle);
int client_buffer_unregister(uint32_t handle);
int client_area_create(void *addr, size_t length, struct vgpu_area *area);
int client_area_destroy(const struct vgpu_area *area);

#endif /* VGPU_CLIENT_H */
