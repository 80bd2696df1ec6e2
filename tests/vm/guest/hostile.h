/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * hostile: a guest that attacks its device.  What the attacks share.
 *
 * Each attack prints "ok WHAT" when the device answered as it must, else
 * "not ok WHAT: why".
 */
#ifndef HOSTILE_H
#define HOSTILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pci.h"
#include "vgpu_ring.h"

struct attack {
	const char *name;
	void (*run)(void);
	const char *description;
};

/* As root, with the driver unbound. */
void attack_registers(void);
void attack_queues(void);
void attack_rings(void);
void attack_requests(void);
void attack_buffers(void);
void attack_flips(void);
void attack_bars(void);
/* As an ordinary process, through /dev/vgpu_stub. */
void attack_user_rings(void);
void attack_user_ioctls(void);
void attack_user_maps(void);
void attack_user_buffers(void);
void attack_user_files(void);

/* hostile.c */
void check(bool good, const char *format, ...) __attribute__((format(printf, 2, 3)));
uint64_t rnd(void);
/* How many random accesses to make where `n` are usual (--divide). */
int times(int n);
/* Ends the program: the attack could not be made. */
void give_up(const char *what) __attribute__((noreturn));

/*
 * raw.c: the device without a driver.  Physical memory is one huge page, cut up
 * as follows.
 */
#define ARENA_BYTES 0x200000u
#define ARENA_QUEUE 0x000000u
#define ARENA_TABLE 0x0a0000u
#define ARENA_LISTS 0x0f0000u /* 16 segment pages */
#define ARENA_DATA 0x100000u
#define ARENA_DATA_BYTES 0x100000u

#define RAW_SLOTS 256u
#define RAW_BUFFERS 16u

struct raw {
	struct pci_device pci;
	uint8_t *mem;
	uint64_t phys;
	struct vgpu_ring ring;
	struct vgpu_buffer_entry *table;
	struct vgpu_segment_page *list;
	float *data;
	uint8_t answer[VGPU_RECORD_MAX] __attribute__((aligned(8)));
};

struct raw_setup {
	uint32_t queue;
	uint64_t addr;
	uint32_t req_slots, rsp_slots;
	uint64_t table;
	uint32_t buffers;
	uint32_t vector;
};

void raw_open(struct raw *r);
/* Resets, proves that a queue works again, gives the device back to its driver. */
void raw_close(struct raw *r, const char *what);
bool raw_negotiate(struct raw *r);
struct raw_setup raw_good(struct raw *r);
void raw_start(struct raw *r, const struct raw_setup *s);
/* The state once it is neither STARTING nor STOPPING. */
uint32_t raw_settle(struct raw *r, uint32_t queue);
uint32_t raw_error(struct raw *r, uint32_t queue);
bool raw_stop(struct raw *r, uint32_t queue);
/* Queue 0, fresh and running; gives up if that fails. */
void raw_fresh(struct raw *r);
/* Publishes `slots` slots that begin with these bytes, well formed or not. */
void raw_publish(struct raw *r, const void *record, size_t bytes, uint32_t slots);
/* A well-formed record. */
void raw_send(struct raw *r, const struct vgpu_request *req, const struct vgpu_desc *desc,
	      const void *body, size_t length);
/* The response's status (0 or below) in *status; -EPIPE: the queue failed; -ETIMEDOUT. */
int raw_receive(struct raw *r, int *status);
bool raw_nop(struct raw *r);
/* Waits until the host has taken all requests that were sent. */
bool raw_consumed(struct raw *r);
/* A request must be refused with `want` (0: any error), and the queue live on. */
void raw_refused(struct raw *r, const char *what, const struct vgpu_request *req,
		 const struct vgpu_desc *desc, const void *body, size_t length, int want);
/* Buffer `i`: the arena's data from `offset` on, in one segment. */
void raw_buffer(struct raw *r, uint32_t i, uint32_t offset, uint32_t length, uint32_t flags);

#endif /* HOSTILE_H */
