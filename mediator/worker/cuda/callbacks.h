/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Host functions of the guest's program in a stream or a graph.
 *
 * What the driver calls is ours: it tells the loop, which sends a note; the
 * guest runs the function and says so; until then the driver's thread waits
 * here, and with it the stream.
 */
#ifndef VGPU_WORKER_CUDA_CALLBACKS_H
#define VGPU_WORKER_CUDA_CALLBACKS_H

#include "cuda_driver.h"
#include <stdbool.h>
#include <stdint.h>

struct cuda_session;

CUresult callbacks_init(struct cuda_session *s);

/*
 * What to give the driver as user data with callbacks_run() for the guest's
 * function number `value`; NULL: no memory, or too many.  Those for graphs
 * (`once` false), whose functions may run any number of times, stay with the
 * session, one for each number.
 */
void *callbacks_new(struct cuda_session *s, uint64_t value, bool once);

/* A call that the driver refused. */
void callbacks_drop(void *data);

/* For the driver. */
void CUDA_CB callbacks_run(void *data);

/* Sends notes that are due.  False: no room in the response ring. */
bool callbacks_send(struct cuda_session *s);

/* The guest ran the function that note `ticket` named. */
CUresult callbacks_done(struct cuda_session *s, uint64_t ticket);

/*
 * 0: no function of the guest's program is outstanding; else how often that has
 * begun.
 */
uint32_t callbacks_turn(const struct cuda_session *s);

/* May a function of the guest's program still have to run in some stream? */
bool callbacks_outstanding(const struct cuda_session *s);

#endif /* VGPU_WORKER_CUDA_CALLBACKS_H */
