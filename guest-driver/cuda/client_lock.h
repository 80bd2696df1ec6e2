/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A lock for sections of some ten nanoseconds, and sleeping on a word.
 *
 * pthread's mutexes cost as much as the whole of a post; and a thread that is
 * cancelled must not die in one of these, so they are no cancellation points.
 */
#ifndef VGPU_CLIENT_LOCK_H
#define VGPU_CLIENT_LOCK_H

#include <linux/futex.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define CLIENT_LOCK_SPINS 200

static inline void client_relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield");
#endif
}

/* Sleeps while *word is `value`; wakes for no reason now and then. */
static inline void client_futex_wait(uint32_t *word, uint32_t value)
{
	syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0);
}

static inline void client_futex_wake(uint32_t *word)
{
	syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

/* 0 free, 1 held, 2 held and somebody sleeps. */
struct client_lock {
	uint32_t word;
};

static inline bool client_trylock(struct client_lock *l)
{
	uint32_t free = 0;

	return __atomic_compare_exchange_n(&l->word, &free, 1, false, __ATOMIC_ACQUIRE,
					   __ATOMIC_RELAXED);
}

static inline void client_lock_slowly(struct client_lock *l)
{
	for (int i = 0; i < CLIENT_LOCK_SPINS; i++) {
		if (!__atomic_load_n(&l->word, __ATOMIC_RELAXED) && client_trylock(l))
			return;
		client_relax();
	}
	while (__atomic_exchange_n(&l->word, 2, __ATOMIC_ACQUIRE))
		client_futex_wait(&l->word, 2);
}

static inline void client_lock(struct client_lock *l)
{
	if (!client_trylock(l))
		client_lock_slowly(l);
}

static inline void client_unlock(struct client_lock *l)
{
	if (__atomic_exchange_n(&l->word, 0, __ATOMIC_RELEASE) == 2)
		client_futex_wake(&l->word);
}

static inline int64_t client_now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

#endif /* VGPU_CLIENT_LOCK_H */
