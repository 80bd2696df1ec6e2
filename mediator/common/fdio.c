/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Bytes with file descriptors over Unix sockets, pidfds, sealed memory files. */
#include "fdio.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

union fdio_control {
	char buf[CMSG_SPACE(sizeof(int) * FDIO_FDS_MAX)];
	struct cmsghdr align;
};

static void close_it(int fd)
{
	close(fd);
}

void (*fdio_drop)(int fd) = close_it;

ssize_t fdio_send(int sock, const void *data, size_t len, const int *fds, size_t nfds)
{
	struct iovec iov = {.iov_base = (void *)data, .iov_len = len};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	union fdio_control control;
	ssize_t ret;

	if (nfds > FDIO_FDS_MAX)
		return -EINVAL;
	if (nfds) {
		struct cmsghdr *cmsg = &control.align;

		memset(&control, 0, sizeof(control));
		msg.msg_control = control.buf;
		msg.msg_controllen = CMSG_SPACE(sizeof(int) * nfds);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(sizeof(int) * nfds);
		memcpy(CMSG_DATA(cmsg), fds, sizeof(int) * nfds);
	}
	do {
		ret = sendmsg(sock, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
	} while (ret < 0 && errno == EINTR);
	return ret < 0 ? -errno : ret;
}

/* Takes the descriptors out of the control data: as many as there is room for. */
static size_t take_fds(struct msghdr *msg, int *fds, size_t room)
{
	size_t total = 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		size_t n;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < n; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
			if (total < room)
				fds[total] = fd;
			else
				fdio_drop(fd);
			total++;
		}
	}
	return total;
}

ssize_t fdio_recv(int sock, void *data, size_t len, int *fds, size_t *nfds)
{
	struct iovec iov = {.iov_base = data, .iov_len = len};
	union fdio_control control;
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control.buf,
			     .msg_controllen = sizeof(control.buf)};
	size_t room = *nfds;
	size_t got;
	ssize_t ret;

	*nfds = 0;
	do {
		ret = recvmsg(sock, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	} while (ret < 0 && errno == EINTR);
	if (ret < 0)
		return -errno;
	got = take_fds(&msg, fds, room);
	if (got > room || (msg.msg_flags & (MSG_CTRUNC | MSG_TRUNC))) {
		for (size_t i = 0; i < got && i < room; i++)
			fdio_drop(fds[i]);
		return -EBADMSG;
	}
	*nfds = got;
	return ret;
}

void fdio_close_all(int *fds, size_t n)
{
	for (size_t i = 0; i < n; i++)
		fdio_clear(&fds[i]);
}

void fdio_clear(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

int fdio_pidfd_open(pid_t pid)
{
	int fd = (int)syscall(SYS_pidfd_open, pid, 0);

	return fd < 0 ? -errno : fd;
}

int fdio_pidfd_kill(int pidfd, int signum)
{
	return syscall(SYS_pidfd_send_signal, pidfd, signum, NULL, 0) < 0 ? -errno : 0;
}

int fdio_memfd(const char *name, size_t size)
{
	int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int err;

	if (fd < 0)
		return -errno;
	/* Nobody but the owner may open it anew, and so for writing, by /proc. */
	if (fchmod(fd, S_IRUSR) == 0 && ftruncate(fd, (off_t)size) == 0 &&
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0)
		return fd;
	err = -errno;
	close(fd);
	return err;
}

int fdio_is_sealed_memfd(int fd)
{
	int seals = fcntl(fd, F_GET_SEALS);

	return seals >= 0 &&
	       (seals & (F_SEAL_SHRINK | F_SEAL_GROW)) == (F_SEAL_SHRINK | F_SEAL_GROW);
}

int fdio_is_memory(int fd)
{
	return fcntl(fd, F_GET_SEALS) >= 0; /* no other file system knows of seals */
}

int fdio_is_eventfd(int fd)
{
	char path[64], target[64];
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	n = readlink(path, target, sizeof(target) - 1);
	if (n < 0)
		return 1;
	target[n] = '\0';
	return strcmp(target, "anon_inode:[eventfd]") == 0;
}

uint64_t fdio_now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}
