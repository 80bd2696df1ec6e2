/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Threads of the library's own. */
#ifndef VGPU_OWN_THREAD_H
#define VGPU_OWN_THREAD_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Starts a thread that nobody waits for and that gets none of the program's
 * signals: these are for the program's threads, which may have blocked them to
 * take them in a way of their own.  `stack` in bytes, 0: as usual.
 */
bool own_thread_start(void *(*run)(void *), void *arg, size_t stack);

#endif /* VGPU_OWN_THREAD_H */
