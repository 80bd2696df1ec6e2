/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the worker's loop asks of its CUDA part.  Where this was built without
 * a toolkit, absent.c answers.
 */
#ifndef VGPU_WORKER_CUDA_ENTRY_H
#define VGPU_WORKER_CUDA_ENTRY_H

#include <stdbool.h>
#include <stdint.h>

struct worker;

/* Does this worker's backend make threads for CUDA calls? */
bool cuda_is_built(void);

/* Runs one VGPU_CMD_CUDA request.  True: the response is made in w->rsp. */
bool cuda_request(struct worker *w, const void *record, uint32_t length);

enum cuda_progress {
	CUDA_NOTHING,
	CUDA_PROGRESS, /* something went on; no response */
	CUDA_RESPONSE, /* a response is made in w->rsp */
};

/* Looks after waits and callbacks.  Only while no response waits for room. */
enum cuda_progress cuda_poll(struct worker *w);

/* Is there anything that cuda_poll() should look after?  Cheap. */
bool cuda_is_busy(const struct worker *w);

/* How long to look for the GPU before sleeping, ns. */
uint64_t cuda_spin_ns(const struct worker *w);

/* After that: how long to sleep at most before looking again, ns; 0: until woken. */
int64_t cuda_nap_ns(const struct worker *w);

/*
 * Before sleeping: makes sure that the eventfd which the loop watches wakes it.
 * Returns how many milliseconds it may sleep, -1: any time.
 */
int cuda_sleep(struct worker *w);

/* The eventfd was written. */
void cuda_woken(struct worker *w);

/* Looks at what is under way on the GPU, by turn_account(). */
void cuda_gpu_poll(struct worker *w, uint64_t now);

/* How long that is likely to take, ns; without what was given up. */
uint64_t cuda_outstanding_ns(const struct worker *w);

/* May more be submitted, if no more than so much is to be under way? */
bool cuda_has_room(const struct worker *w, uint64_t ns);

/* Nothing of it is done for long: it may wait for what the guest has yet to submit. */
bool cuda_is_stalled(const struct worker *w, uint64_t now);

/* Nobody waits any more for what is under way. */
void cuda_give_up(struct worker *w, uint64_t now);

/* Are calls held back? */
bool cuda_has_held(const struct worker *w);

/* ... and must the ring keep those that follow? */
bool cuda_is_full(const struct worker *w);

/* Another part of the worker used the driver: nothing is known of its state. */
void cuda_disturbed(struct worker *w);

#endif /* VGPU_WORKER_CUDA_ENTRY_H */
