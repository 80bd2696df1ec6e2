// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The client's responses.
 *
 * Of the threads that wait, one receives: it holds the receive lock, takes
 * responses out of the ring and gives them to their slots.  Once it has its own
 * it stops, and wakes one of the others to go on.  The lock is not only for the
 * ring: while it is held, the memory of those who wait may be written.
 */
#include <errno.h>
#include <sched.h>
#include <unistd.h>

#include "client_priv.h"

/* How long the receiver watches the ring before it sleeps; the longer where processors abound. */
#define SPIN_NS 100000
#define SPIN_MANY_NS 1000000
#define MANY_CPUS 4
#define KEEP_NS 4000       /* how long of it without giving way to others */
#define FOLLOW_SPINS 400   /* how often the others look before they do */
#define SPINS_PER_CLOCK 32 /* the clock may cost a system call */
#define SLEEP_MS 200       /* a look around now and then, and at the doorbell */

/* ---------------------------------------------------------------- responses */

static CUresult of_status(int32_t status)
{
	switch (status) {
	case -EOPNOTSUPP:
		return CUDA_ERROR_NOT_SUPPORTED;
	case -ENOMEM:
		return CUDA_ERROR_OUT_OF_MEMORY;
	case -EIO:
		return CUDA_ERROR_DEVICE_UNAVAILABLE;
	default:
		return CUDA_ERROR_INVALID_VALUE;
	}
}

static void finish(struct slot *s)
{
	if (__atomic_exchange_n(&s->state, SLOT_DONE, __ATOMIC_SEQ_CST) == SLOT_SLEEPS)
		client_futex_wake(&s->state);
}

/* The call's own failure comes first, then one of an earlier quiet call. */
static CUresult result_of(const struct vgpu_cuda_result *r)
{
	if (r->deferred)
		client_note_error((CUresult)r->deferred);
	return (CUresult)(r->result ? r->result : r->deferred);
}

/* The response in the ring is the slot's: straight to where the caller wants it. */
static void fill_slot(struct slot *s, const struct vgpu_response *rsp)
{
	const size_t before = sizeof(*rsp) + sizeof(struct vgpu_cuda_result);
	struct vgpu_cuda_result r;

	if ((int32_t)rsp->status < 0 || rsp->length < before) {
		s->result = of_status((int32_t)rsp->status);
		return;
	}
	vgpu_ring_read(client.ring, sizeof(*rsp), &r, sizeof(r));
	s->result = result_of(&r);
	s->got = rsp->length - before;
	if (s->got > s->size)
		s->got = s->size;
	if (r.result)
		s->got = 0;
	if (s->got)
		vgpu_ring_read(client.ring, before, s->out, s->got);
}

static void take_note(const struct vgpu_response *rsp)
{
	uint8_t data[VGPU_RECORD_MAX];
	struct vgpu_cuda_note note;
	size_t room = rsp->length - sizeof(*rsp);

	if (room < sizeof(note))
		return;
	vgpu_ring_read(client.ring, sizeof(*rsp), &note, sizeof(note));
	room -= sizeof(note);
	if (note.length > room)
		note.length = (uint32_t)room;
	vgpu_ring_read(client.ring, sizeof(*rsp) + sizeof(note), data, note.length);
	if (client.hook)
		client.hook(&note, data);
}

/* Who waits for this response, NULL if nobody does; never twice for the same. */
static struct slot *slot_of(uint64_t id)
{
	struct slot *s = &client.slot[id % CLIENT_SLOTS];

	if (!id || id == VGPU_CUDA_NOTE_ID)
		return NULL;
	return __atomic_compare_exchange_n(&s->id, &id, 0, false, __ATOMIC_ACQ_REL,
					   __ATOMIC_RELAXED)
		       ? s
		       : NULL;
}

/* Takes one response.  False: there is none. */
static bool take_response(void)
{
	struct vgpu_response rsp;
	struct slot *s;
	int length = vgpu_ring_peek(client.ring, &rsp);

	if (length == -EAGAIN)
		return false;
	if (length < 0) {
		client_lose();
		return false;
	}
	s = slot_of(rsp.id);
	if (s)
		fill_slot(s, &rsp);
	else if (rsp.id == VGPU_CUDA_NOTE_ID)
		take_note(&rsp);
	vgpu_ring_consume(client.ring, (uint32_t)length);
	if (s)
		finish(s);
	return true;
}

/* With the lock held: takes all there are.  False: there were none. */
static bool take_all(void)
{
	bool some = false;

	while (!client_is_lost() && take_response())
		some = true;
	if (some)
		vgpu_session_kick_full(client.session);
	return some;
}

/* ------------------------------------------------------------------ the role */

/* The one who receives polls; where notes may come, nobody else may say so. */
static void begin(void)
{
	if (__atomic_load_n(&client.notes, __ATOMIC_RELAXED))
		vgpu_ring_set_polling(client.ring, true);
}

/* Somebody else shall receive, if anybody is left. */
static void hand_over(void)
{
	for (unsigned int i = 0; i < CLIENT_SLOTS; i++) {
		uint32_t sleeps = SLOT_SLEEPS;

		if (__atomic_load_n(&client.slot[i].state, __ATOMIC_RELAXED) == SLOT_SLEEPS &&
		    __atomic_compare_exchange_n(&client.slot[i].state, &sleeps, SLOT_WOKEN, false,
						__ATOMIC_SEQ_CST, __ATOMIC_RELAXED)) {
			client_futex_wake(&client.slot[i].state);
			return;
		}
	}
}

static void end(void)
{
	bool notes = __atomic_load_n(&client.notes, __ATOMIC_RELAXED);

	if (notes) {
		vgpu_ring_set_polling(client.ring, false);
		take_all(); /* what came before the flag was off, for which nobody is woken */
	}
	client_unlock(&client.receive);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (__atomic_load_n(&client.sleepers, __ATOMIC_RELAXED))
		hand_over();
	if (!notes && __atomic_load_n(&client.notes, __ATOMIC_RELAXED))
		client_drain(); /* just begun: the flag must be off */
}

/* Sleeps until there is a response, or a little longer. */
static void doze(void)
{
	int ret;

	vgpu_ring_set_polling(client.ring, false);
	ret = vgpu_session_sleep(client.session, client.ring->rsp_cons, SLEEP_MS);
	if (ret < 0 && errno == ETIMEDOUT)
		vgpu_session_kick_again(client.session);
	else if (ret < 0 && errno != EINTR)
		client_lose();
	vgpu_ring_set_polling(client.ring, true);
}

static bool is_done(const struct slot *s)
{
	return __atomic_load_n(&s->state, __ATOMIC_ACQUIRE) == SLOT_DONE;
}

static int64_t spin_ns(void)
{
	static int64_t ns;
	int64_t known = __atomic_load_n(&ns, __ATOMIC_RELAXED);

	if (!known) {
		known = sysconf(_SC_NPROCESSORS_ONLN) >= MANY_CPUS ? SPIN_MANY_NS : SPIN_NS;
		__atomic_store_n(&ns, known, __ATOMIC_RELAXED);
	}
	return known;
}

/* Keeps the processor for a moment only: the worker may be waiting for this very one. */
static void watch_ring(void)
{
	int64_t begin_ns = 0, now_ns;

	for (unsigned int i = 1; !vgpu_ring_has_response(client.ring); i++) {
		client_relax();
		if (i % SPINS_PER_CLOCK)
			continue;
		now_ns = client_now_ns();
		if (!begin_ns)
			begin_ns = now_ns;
		if (now_ns - begin_ns >= spin_ns())
			return;
		if (now_ns - begin_ns >= KEEP_NS && spin_ns() == SPIN_NS)
			sched_yield();
	}
}

/* With the lock held: receives until the slot is done. */
static void receive_for(const struct slot *s)
{
	begin();
	for (;;) {
		take_all();
		if (is_done(s) || client_is_lost())
			break;
		watch_ring();
		if (!vgpu_ring_has_response(client.ring))
			doze();
	}
}

/* ------------------------------------------------------------------- waiting */

/* Sleeps until the slot is done or nobody receives. */
static void follow(struct slot *s)
{
	uint32_t waits = SLOT_WAITS;

	__atomic_add_fetch(&client.sleepers, 1, __ATOMIC_SEQ_CST);
	if (__atomic_compare_exchange_n(&s->state, &waits, SLOT_SLEEPS, false, __ATOMIC_SEQ_CST,
					__ATOMIC_RELAXED)) {
		uint32_t sleeps = SLOT_SLEEPS;

		/* who received may have left before it could see that we sleep */
		if (!client_is_lost() && __atomic_load_n(&client.receive.word, __ATOMIC_SEQ_CST))
			client_futex_wait(&s->state, SLOT_SLEEPS);
		__atomic_compare_exchange_n(&s->state, &sleeps, SLOT_WAITS, false, __ATOMIC_SEQ_CST,
					    __ATOMIC_RELAXED);
	}
	waits = SLOT_WOKEN;
	__atomic_compare_exchange_n(&s->state, &waits, SLOT_WAITS, false, __ATOMIC_SEQ_CST,
				    __ATOMIC_RELAXED);
	__atomic_sub_fetch(&client.sleepers, 1, __ATOMIC_SEQ_CST);
}

void client_wait(struct slot *s)
{
	for (unsigned int i = 0; !is_done(s); i++) {
		if (client_trylock(&client.receive)) {
			if (!is_done(s))
				receive_for(s);
			end();
			/* lost: nobody writes to the slot any more, as we had the lock */
			if (client_is_lost())
				return;
		} else if (i < FOLLOW_SPINS) {
			client_relax();
		} else {
			follow(s);
		}
	}
}

bool client_drain(void)
{
	bool some;

	if (!client_trylock(&client.receive))
		return false;
	begin();
	some = take_all();
	end();
	return some;
}
