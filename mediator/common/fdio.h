/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Sending and receiving bytes with file descriptors, and a few calls that the
 * C library of older systems lacks.
 */
#ifndef VGPU_FDIO_H
#define VGPU_FDIO_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* As many as the kernel sends at once: what there is no room for is let go of there and then. */
#define FDIO_FDS_MAX 253

/*
 * Sends `len` bytes with `nfds` descriptors, which stay the caller's.  Does
 * not block.  Bytes sent, or a negative errno.
 */
ssize_t fdio_send(int sock, const void *data, size_t len, const int *fds, size_t nfds);

/*
 * Receives at most `len` bytes.  *nfds is the room in `fds` on entry and the
 * number received on return; they are the caller's then, close-on-exec.
 * Bytes (0 at the end of the stream), or a negative errno; -EBADMSG when there
 * were more descriptors than room (all are closed) or, for packets, more bytes.
 */
ssize_t fdio_recv(int sock, void *data, size_t len, int *fds, size_t *nfds);

/*
 * What fdio_recv() does with descriptors that it does not return; close() if
 * nothing else is set.  The close may block, if the sender wants it to.
 */
extern void (*fdio_drop)(int fd);

/* Closes and forgets `n` descriptors; those below 0 are skipped. */
void fdio_close_all(int *fds, size_t n);

/* Closes *fd if it is one and sets it to -1. */
void fdio_clear(int *fd);

/* A descriptor for a process, close-on-exec; or a negative errno. */
int fdio_pidfd_open(pid_t pid);
int fdio_pidfd_kill(int pidfd, int signum);

/* A memfd of `size` zero bytes whose size is sealed; or a negative errno. */
int fdio_memfd(const char *name, size_t size);

/* Is it a memory file whose size is sealed?  Asks nothing that could block. */
int fdio_is_sealed_memfd(int fd);

/* Is it memory: a memfd, a file of a tmpfs or a hugetlbfs?  Asks nothing that could block. */
int fdio_is_memory(int fd);

/* Is it an eventfd?  Without a /proc to look at: yes.  Asks nothing that could block. */
int fdio_is_eventfd(int fd);

/* Monotonic time. */
uint64_t fdio_now_ns(void);

#endif /* VGPU_FDIO_H */
