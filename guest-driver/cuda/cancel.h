/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A thread that is cancelled in a call would leave locks held, and the host
 * with a place in its stack to answer to.  No call is a cancellation point:
 * what holds a lock or waits for an answer, and uses functions that are,
 * stands between these two.
 */
#ifndef VGPU_CANCEL_H
#define VGPU_CANCEL_H

#include <pthread.h>

/* What cancel_restore() is to be given. */
static inline int cancel_disable(void)
{
	int before;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before);
	return before;
}

static inline void cancel_restore(int before)
{
	pthread_setcancelstate(before, NULL);
}

#endif /* VGPU_CANCEL_H */
