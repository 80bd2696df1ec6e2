// SPDX-License-Identifier: GPL-2.0-or-later
/* The client's calls: writing them into the ring. */
#include <errno.h>

#include "cancel.h"
#include "client_priv.h"

#define ROOM_SPINS 2000     /* looks for room before sleeping a little */
#define ROOM_SLEEP_NS 50000 /* how long that is */
#define ALIVE_NS 20000000   /* how often who waits for room asks whether there is a host */

/* A request's beginning where there are no descriptors: one copy. */
struct head {
	struct vgpu_request request;
	struct vgpu_cuda_call call;
};

/* ---------------------------------------------------------------------- room */

static void nap(unsigned int spins)
{
	const struct timespec t = {.tv_nsec = ROOM_SLEEP_NS};

	if (spins < ROOM_SPINS)
		client_relax();
	else
		syscall(SYS_nanosleep, &t, NULL); /* not a cancellation point, this way */
}

/* Waits until `total` bytes fit.  False: the session is lost. */
static bool wait_for_room(size_t total)
{
	int64_t look = client_now_ns() + ALIVE_NS;
	unsigned int spins = 0;
	int ret;

	while ((ret = vgpu_ring_room(client.ring, total)) == -EAGAIN) {
		/* the host takes no requests while there is no room for its responses */
		if (spins % 64 == 0 && vgpu_ring_must_kick_full(client.ring))
			client_drain();
		nap(spins++);
		if (client_is_lost())
			return false;
		if (spins % 64 || client_now_ns() < look)
			continue;
		if (vgpu_session_tend(client.session) < 0)
			client_lose();
		look = client_now_ns() + ALIVE_NS;
	}
	if (ret < 0)
		client_lose();
	return ret == 0;
}

/* The same with the submit lock held.  Only here can a post be a cancellation point. */
static bool make_room(size_t total)
{
	int cancel = cancel_disable();
	bool there = wait_for_room(total);

	cancel_restore(cancel);
	return there;
}

/* --------------------------------------------------------------------- slots */

static struct slot *free_slot(void)
{
	for (unsigned int i = 0; i < CLIENT_SLOTS; i++) {
		struct slot *s = &client.slot[client.next_slot++ % CLIENT_SLOTS];

		if (!__atomic_load_n(&s->used, __ATOMIC_ACQUIRE))
			return s;
	}
	return NULL;
}

/* With the submit lock held: a place for the response, and the request's id. */
static struct slot *take_slot(void *out, size_t size)
{
	struct slot *s;

	while (!(s = free_slot()))
		nap(ROOM_SPINS);
	__atomic_store_n(&s->used, true, __ATOMIC_RELAXED);
	s->out = out;
	s->size = size;
	s->got = 0;
	s->result = CUDA_ERROR_DEVICE_UNAVAILABLE;
	__atomic_store_n(&s->state, SLOT_WAITS, __ATOMIC_RELAXED);
	/* from here on the receiver may look at it */
	__atomic_store_n(&s->id,
			 (client.sequence + 1) << CLIENT_SLOT_BITS | (uint64_t)(s - client.slot),
			 __ATOMIC_RELEASE);
	return s;
}

/* ------------------------------------------------------------------- sending */

static void write_record(struct head *h, const struct vgpu_desc *desc,
			 const struct vgpu_piece *piece, size_t n)
{
	struct vgpu_ring *r = client.ring;
	size_t at = sizeof(*h);

	if (h->request.ndesc) {
		size_t bytes = h->request.ndesc * sizeof(*desc);

		vgpu_ring_write(r, 0, &h->request, sizeof(h->request));
		vgpu_ring_write(r, sizeof(h->request), desc, bytes);
		vgpu_ring_write(r, sizeof(h->request) + bytes, &h->call, sizeof(h->call));
		at += bytes;
	} else {
		vgpu_ring_write(r, 0, h, sizeof(*h));
	}
	for (size_t i = 0; i < n; i++) {
		vgpu_ring_write(r, at, piece[i].data, piece[i].length);
		at += piece[i].length;
	}
	vgpu_ring_publish(r, h->request.length);
}

CUresult client_send(uint32_t fn, uint64_t ctx, const struct vgpu_desc *desc, unsigned int ndesc,
		     const struct vgpu_piece *piece, size_t n, void *out, size_t size,
		     struct slot **slot)
{
	struct head h = {.request = {.command = VGPU_CMD_CUDA,
				     .flags = slot ? 0 : VGPU_REQUEST_QUIET,
				     .ndesc = (uint16_t)ndesc},
			 .call = {.function = fn, .context = ctx}};
	size_t total = sizeof(h) + ndesc * sizeof(*desc);

	if (client_sticky())
		return client_sticky();
	if (!__atomic_load_n(&client.connected, __ATOMIC_ACQUIRE))
		return CUDA_ERROR_NOT_INITIALIZED;
	for (size_t i = 0; i < n; i++)
		total += piece[i].length;
	if (ndesc > VGPU_DESCS_MAX || total > VGPU_RECORD_MAX)
		return CUDA_ERROR_INVALID_VALUE;
	h.request.length = (uint32_t)total;
	client_lock(&client.submit);
	if (vgpu_ring_room(client.ring, total) && !make_room(total)) {
		client_unlock(&client.submit);
		return client_sticky();
	}
	if (slot) {
		*slot = take_slot(out, size);
		h.request.id = __atomic_load_n(&(*slot)->id, __ATOMIC_RELAXED);
		__atomic_store_n(&client.waited, client.waited + 1, __ATOMIC_RELAXED);
	}
	write_record(&h, desc, piece, n);
	__atomic_store_n(&client.sequence, client.sequence + 1, __ATOMIC_RELAXED);
	client_unlock(&client.submit);
	vgpu_session_kick(client.session);
	return CUDA_SUCCESS;
}

CUresult client_post(uint32_t fn, uint64_t ctx, const struct vgpu_desc *desc, unsigned int ndesc,
		     const struct vgpu_piece *piece, size_t n)
{
	return client_send(fn, ctx, desc, ndesc, piece, n, NULL, 0, NULL);
}

CUresult client_call(uint32_t fn, uint64_t ctx, const struct vgpu_desc *desc, unsigned int ndesc,
		     const struct vgpu_piece *piece, size_t n, void *out, size_t size, size_t *got)
{
	int cancel = cancel_disable(); /* the answer would be written to a stack that is gone */
	struct slot *slot = NULL;
	CUresult r;

	if (got)
		*got = 0;
	r = client_send(fn, ctx, desc, ndesc, piece, n, out, size, &slot);
	if (slot) {
		client_wait(slot);
		r = slot->result;
		if (got && r == CUDA_SUCCESS)
			*got = slot->got;
		__atomic_store_n(&slot->used, false, __ATOMIC_RELEASE);
	}
	cancel_restore(cancel);
	if (slot && r != CUDA_SUCCESS)
		client_note_error(r);
	return r;
}

uint64_t client_sequence(void)
{
	return __atomic_load_n(&client.sequence, __ATOMIC_RELAXED);
}

void client_counts(uint64_t *calls, uint64_t *waited)
{
	*calls = client_sequence();
	*waited = __atomic_load_n(&client.waited, __ATOMIC_RELAXED);
}
