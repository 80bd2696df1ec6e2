/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A few threads that close descriptors. */
#include "discard.h"

#include <glib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fdio.h"

/* A thread that hangs is lost for as long as the peer likes; the others go on. */
#define THREADS_MAX 16
#define BACKLOG_MAX 256u

/*
 * The pool's own lock orders the push before the close.  GLib is not built for
 * ThreadSanitizer, which therefore cannot see that; this count it can.
 */
static unsigned int handed_over;

static void close_one(gpointer data, gpointer unused)
{
	(void)unused;
	(void)__atomic_load_n(&handed_over, __ATOMIC_ACQUIRE);
	close(GPOINTER_TO_INT(data) - 1);
}

/* Made at the first need, when the daemon has forked for the last time. */
static GThreadPool *threads(bool wanted)
{
	static GThreadPool *pool;

	if (!pool && wanted)
		pool = g_thread_pool_new(close_one, NULL, THREADS_MAX, FALSE, NULL);
	return pool;
}

void discard(int fd)
{
	const struct linger none = {0};

	if (fd < 0)
		return;
	/* Doorbells hold nothing that could wait; nor do memory files, but their pages are many. */
	if (fdio_is_eventfd(fd) || (discard_is_full() && fdio_is_memory(fd))) {
		close(fd);
		return;
	}
	/* If it is a socket. */
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &none, sizeof(none));
	__atomic_fetch_add(&handed_over, 1, __ATOMIC_RELEASE);
	g_thread_pool_push(threads(true), GINT_TO_POINTER(fd + 1), NULL);
}

void discard_all(const int *fds, size_t n)
{
	for (size_t i = 0; i < n; i++)
		discard(fds[i]);
}

bool discard_is_full(void)
{
	GThreadPool *pool = threads(false);

	return pool && g_thread_pool_unprocessed(pool) >= BACKLOG_MAX;
}
