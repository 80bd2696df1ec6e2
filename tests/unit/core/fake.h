/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A shell for the core that is a test: it records what the core asks for, and
 * plays gpu_mediator's part by script.  File descriptors are mere numbers, but
 * for the ring's, and each one given to the core must be closed by it.
 */
#ifndef FAKE_H
#define FAKE_H

#include <glib.h>
#include <string.h>

#include "vgpu_core.h"
#include "vgpu_ring.h"

#define FAKE_QUEUES 4u
#define REGQ VGPU_QUEUE_REGISTERS

struct sent {
	struct vgpu_msg_header h;
	uint8_t payload[VGPU_MSG_PAYLOAD_MAX];
	int fds[VGPU_MSG_FDS_MAX];
	size_t nfds;
};

struct fake_queue {
	unsigned int made, up, down, kicks;
	uint32_t vector;
	int lifeline; /* watched; -1: none */
	bool shut;
};

struct fake {
	struct vgpu_core *c;
	int64_t now;

	/* What the callbacks answer. */
	int connect_result;
	int send_result;
	int make_result;
	bool map_fails;

	/* What they saw. */
	unsigned int connects, disconnects, raised[VGPU_CORE_VECTORS_MAX], logs[4];
	char last_log[512];
	GArray *sent; /* struct sent */
	guint taken;
	struct fake_queue q[FAKE_QUEUES + 1];
	GHashTable *open; /* fds that the core must close */
	int next_fd;
	GString *trace; /* every callback, if not NULL */

	/* The register session's ring, the worker's view. */
	int ring_fd; /* a real one */
	uint8_t *ring;
	size_t ring_bytes;
	uint32_t req_cons, rsp_prod;
};

struct fake *fake_new(void);
struct fake *fake_new_xen(void); /* its RAM will be that of a domain */
void fake_free(struct fake *f);
struct fake_queue *fake_q(struct fake *f, uint32_t id);

uint32_t reg(struct fake *f, uint32_t offset);
void set_reg(struct fake *f, uint32_t offset, uint32_t value);

/* Lets time pass, with every tick that falls due. */
void pass(struct fake *f, int64_t ms);

/* The next message that was sent; fails if it is another, or none. */
const struct sent *expect(struct fake *f, uint32_t request);
void expect_nothing(struct fake *f);

int new_fd(struct fake *f);
void receive(struct fake *f, uint32_t request, uint32_t flags, const void *payload, size_t size,
	     const int *fds, size_t nfds);
struct vgpu_msg_hello_reply good_hello(void);
void answer_hello(struct fake *f, const struct vgpu_msg_hello_reply *r);
void answer(struct fake *f, uint32_t request, int status);
void answer_start(struct fake *f, uint32_t q, uint64_t session, int status);
void answer_queue(struct fake *f, uint32_t request, uint32_t q, uint64_t session, int status);

/* A device with RAM and an agreed link. */
struct fake *fake_up(void);
void link_up_again(struct fake *f); /* after a drop; resumes are left to the caller */
void set_ram(struct fake *f, size_t n);
void accept_features(struct fake *f);
void set_up_queue(struct fake *f, uint32_t q);
void control(struct fake *f, uint32_t q, uint32_t what);
uint32_t state(struct fake *f, uint32_t q);
int queue_error(struct fake *f, uint32_t q);
void run_queue(struct fake *f, uint32_t q, uint64_t session);
void drop_link(struct fake *f);
/* The words that a guest reads (NULL: none); all else of the registers reads 0. */
void expect_reason(struct fake *f, const char *words);

/* The worker's side of the register session. */
bool worker_take(struct fake *f, struct vgpu_request *rq, void *body, size_t *length);
void worker_answer(struct fake *f, const struct vgpu_request *rq, int status, const void *body,
		   size_t length);

#endif /* FAKE_H */
