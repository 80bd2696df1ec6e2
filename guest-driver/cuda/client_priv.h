/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the client's files share: the session and who waits for what. */
#ifndef VGPU_CLIENT_PRIV_H
#define VGPU_CLIENT_PRIV_H

#include "client.h"
#include "client_lock.h"

/* Calls that may wait at the same time; more take turns. */
#define CLIENT_SLOTS 1024u
#define CLIENT_SLOT_BITS 10

enum slot_state {
	SLOT_WAITS, /* its thread is awake */
	SLOT_SLEEPS,
	SLOT_WOKEN, /* it shall receive: nobody does */
	SLOT_DONE,
};

/* A call that waits.  Never freed, so that waking one is always allowed. */
struct slot {
	uint32_t state; /* enum slot_state; a futex */
	bool used;      /* atomic, but it is taken with the submit lock held only */
	uint64_t id;    /* 0 while no response is due; who makes it 0 may fill the rest */
	void *out;
	size_t size;
	size_t got;
	CUresult result;
} __attribute__((aligned(64)));

struct client {
	struct vgpu_session *session;
	struct vgpu_ring *ring;
	bool connected; /* the fields above are there for good */
	int sticky;     /* CUresult */
	bool lost;
	bool notes; /* a thread waits for notes: nobody may leave GUEST_POLLS set */
	void (*hook)(const struct vgpu_cuda_note *note, const void *data);

	struct client_lock submit __attribute__((aligned(64)));
	uint32_t next_slot;
	uint64_t sequence; /* of the last call; read by any thread */
	uint64_t waited;

	struct client_lock receive __attribute__((aligned(64)));
	uint32_t sleepers; /* threads that wait for others to receive for them */

	struct slot slot[CLIENT_SLOTS];
};

extern struct client client;

/*
 * client_send.c: writes a request; with `slot` not NULL a response is due and
 * *slot is its place.  What the caller must return if it is not CUDA_SUCCESS.
 */
CUresult client_send(uint32_t fn, uint64_t ctx, const struct vgpu_desc *desc, unsigned int ndesc,
		     const struct vgpu_piece *piece, size_t n, void *out, size_t size,
		     struct slot **slot);

/*
 * client_receive.c: waits until the response is there or the session is lost.
 * Like client_drain() it must not be cancelled.
 */
void client_wait(struct slot *slot);
/* client_receive.c: takes what responses there are, if no other thread does.  Any? */
bool client_drain(void);
/* client_notes.c: the thread that keeps the daemon's connection. */
void client_keeper_start(void);

/* client.c: notes the session's end and wakes whoever waits. */
void client_lose(void);
/* client.c: keeps the code if it is one that stays. */
void client_note_error(CUresult result);

static inline bool client_is_lost(void)
{
	return __atomic_load_n(&client.lost, __ATOMIC_ACQUIRE);
}

#endif /* VGPU_CLIENT_PRIV_H */
