// SPDX-License-Identifier: GPL-2.0-or-later
/* libvgpu: waiting for responses. */
#include <errno.h>
#include <limits.h>
#include <stdbool.h>

#include "session.h"

#define SPIN_NS 50000       /* how long the adaptive wait polls */
#define LOOK_NS 20000000    /* how often a poller asks whether the session lives */
#define DOZE_MS 200         /* how long a sleeper trusts that the doorbell was not needed */
#define SPINS_PER_RELAX 8u  /* a pause may leave the virtual CPU */
#define SPINS_PER_CLOCK 64u /* the clock may cost a system call */

static inline void relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield");
#endif
}

int64_t deadline_of(int timeout_ms)
{
	return timeout_ms < 0 ? INT64_MAX : now_ns() + (int64_t)timeout_ms * 1000000;
}

int remaining_ms(int64_t deadline)
{
	int64_t left;

	if (deadline == INT64_MAX)
		return -1;
	left = (deadline - now_ns() + 999999) / 1000000;
	if (left <= 0)
		return 0;
	return left > INT_MAX ? INT_MAX : (int)left;
}

/* Polls until rsp_prod leaves `seen` or the time is `until`: 0 or -1. */
static int spin(struct vgpu_session *s, uint32_t seen, int64_t until)
{
	for (unsigned int i = 1;; i++) {
		if (rsp_prod(s) != seen)
			return 0;
		if (i % SPINS_PER_CLOCK == 0 && now_ns() >= until)
			return -1;
		if (i % SPINS_PER_RELAX == 0)
			relax();
	}
}

/* A poller sees no error in the ring, so it asks now and then. */
static int poll_until_moved(struct vgpu_session *s, uint32_t seen, int64_t deadline)
{
	for (;;) {
		int64_t look = now_ns() + LOOK_NS;

		if (spin(s, seen, look < deadline ? look : deadline) == 0)
			return 0;
		if (s->transport->sleep(s, seen, 0) == 0)
			return 0;
		if (errno != ETIMEDOUT || now_ns() >= deadline)
			return -1;
	}
}

static int doze_until_moved(struct vgpu_session *s, uint32_t seen, int64_t deadline)
{
	int ret, left;

	do {
		/* the ring is looked at again after our flag is off */
		vgpu_ring_set_polling(&s->ring, false);
		left = remaining_ms(deadline);
		ret = s->transport->sleep(s, seen, left < 0 || left > DOZE_MS ? DOZE_MS : left);
		if (ret == 0 || errno != ETIMEDOUT || now_ns() >= deadline)
			break;
		vgpu_session_kick_again(s);
	} while (true);
	if (s->wait == VGPU_WAIT_ADAPTIVE)
		vgpu_ring_set_polling(&s->ring, true);
	return ret;
}

int wait_moved(struct vgpu_session *s, uint32_t seen, int64_t deadline)
{
	if (rsp_prod(s) != seen)
		return 0;
	if (s->wait == VGPU_WAIT_POLL)
		return poll_until_moved(s, seen, deadline);
	if (s->wait == VGPU_WAIT_ADAPTIVE && spin(s, seen, now_ns() + SPIN_NS) == 0)
		return 0;
	return doze_until_moved(s, seen, deadline);
}
