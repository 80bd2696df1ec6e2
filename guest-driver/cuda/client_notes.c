// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The client's threads.  Neither exists unless it is needed: one receives notes
 * while no thread is in a call, the other keeps the connection to a daemon that
 * may be started anew.
 */
#include <poll.h>
#include <pthread.h>
#include <unistd.h>

#include "client_priv.h"
#include "own_thread.h"

#define STACK ((size_t)256 << 10)
#define WATCH_MS 1000
#define OTHERS_US 500
#define AWAY_MS 50 /* how often a daemon is looked for that is not there */

/* -------------------------------------------------------------------- notes */

static uint32_t seen_responses(void)
{
	return __atomic_load_n(&client.ring->hdr->rsp_prod, __ATOMIC_ACQUIRE);
}

/*
 * Takes part only while nobody else receives.  Who does receive leaves with
 * GUEST_POLLS off and an empty ring, so that the next response wakes us.
 * Responses that others took are none of our business, so we stay away a little.
 */
static void *receive_notes(void *unused)
{
	(void)unused;
	while (!client_is_lost()) {
		uint32_t seen = seen_responses();

		if (!client_drain())
			usleep(OTHERS_US);
		vgpu_session_watch(client.session, seen, WATCH_MS);
	}
	return NULL;
}

CUresult client_notes_start(void)
{
	static pthread_mutex_t starting = PTHREAD_MUTEX_INITIALIZER;
	CUresult r = CUDA_SUCCESS;

	if (!client_session())
		return CUDA_ERROR_NOT_INITIALIZED;
	if (__atomic_load_n(&client.notes, __ATOMIC_ACQUIRE) || client_sticky())
		return client_sticky();
	pthread_mutex_lock(&starting);
	if (!client.notes) {
		__atomic_store_n(&client.notes, true, __ATOMIC_SEQ_CST);
		if (!own_thread_start(receive_notes, NULL, STACK)) {
			__atomic_store_n(&client.notes, false, __ATOMIC_SEQ_CST);
			r = CUDA_ERROR_OUT_OF_MEMORY;
		}
	}
	pthread_mutex_unlock(&starting);
	return r;
}

/* --------------------------------------------------------------- the daemon */

static void *keep(void *unused)
{
	bool needed;

	(void)unused;
	while (!client_is_lost()) {
		struct pollfd p = {.fd = vgpu_session_tend_fd(client.session, &needed),
				   .events = POLLIN | POLLRDHUP};

		poll(&p, 1, p.fd < 0 ? AWAY_MS : -1);
		if (vgpu_session_tend(client.session) < 0)
			break; /* whoever makes a call finds out too */
	}
	return NULL;
}

void client_keeper_start(void)
{
	bool needed;

	vgpu_session_tend_fd(client.session, &needed);
	if (needed)
		own_thread_start(keep, NULL,
				 STACK); /* without it a call must come soon after a restart */
}
