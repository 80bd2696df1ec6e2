/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Closing what strangers sent.  The last close of a file may take as long as
 * its owner likes: a socket that lingers, a file system served by a process.
 * So the main loop leaves it to threads.
 */
#ifndef VGPU_DAEMON_DISCARD_H
#define VGPU_DAEMON_DISCARD_H

#include <stdbool.h>
#include <stddef.h>

/* Closes `fd` before long and returns at once; below 0: does nothing. */
void discard(int fd);
void discard_all(const int *fds, size_t n);

/* Do so many closes hang that nothing more should be taken from strangers? */
bool discard_is_full(void);

#endif /* VGPU_DAEMON_DISCARD_H */
