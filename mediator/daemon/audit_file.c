/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The file that the audit log is kept in. */
#include "audit_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A file that cannot be opened is tried again so often. */
#define TRY_AGAIN G_USEC_PER_SEC

/* A write that signals interrupt is tried again so often. */
#define INTERRUPTS_MAX 8

void audit_file_init(struct audit_file *f, const char *path, uint64_t most, guint keep)
{
	*f = (struct audit_file){.path = g_strdup(path), .fd = -1, .most = most, .keep = keep};
}

void audit_file_clear(struct audit_file *f)
{
	if (f->fd >= 0)
		close(f->fd);
	g_free(f->path);
	*f = (struct audit_file){.fd = -1};
}

bool audit_file_error_passes(int error)
{
	return error == -ENOSPC || error == -EDQUOT || error == -EFBIG || error == -EIO ||
	       error == -EMFILE || error == -ENFILE || error == -ENOMEM;
}

static int write_once(int fd, const char *data, size_t length)
{
	for (int i = 0; i < INTERRUPTS_MAX; i++) {
		ssize_t n = write(fd, data, length);

		if (n >= 0)
			return (int)n;
		if (errno != EINTR)
			return -errno;
	}
	return -EINTR;
}

/* What a crash of the machine left of a last line ends here, so that the next one is whole. */
static void end_torn_line(int fd, off_t size)
{
	char last = '\n';

	if (size > 0 && pread(fd, &last, 1, size - 1) == 1 && last != '\n')
		write_once(fd, "\n", 1);
}

int audit_file_open(struct audit_file *f)
{
	/* A pipe without a reader must not hang us before it is found out. */
	int fd = open(f->path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK,
		      0600);
	struct stat st;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0 || (!S_ISREG(st.st_mode) && !S_ISCHR(st.st_mode))) {
		close(fd);
		return -EINVAL;
	}
	if (S_ISREG(st.st_mode))
		end_torn_line(fd, st.st_size);
	if (f->fd >= 0)
		close(f->fd);
	f->fd = fd;
	f->grow_to = 0;
	f->torn = false;
	return 0;
}

static bool may_try_again(struct audit_file *f)
{
	gint64 now = g_get_monotonic_time();

	if (now < f->next_try)
		return false;
	f->next_try = now + TRY_AGAIN;
	return true;
}

/* path.1 to path.2 and so on; what would be path.<keep + 1> is written over. */
static int shift(const struct audit_file *f)
{
	int ret = 0;

	/* Moved away last time, and could not be made anew: what is older stays where it is. */
	if (access(f->path, F_OK) < 0 && errno == ENOENT)
		return 0;
	for (guint i = f->keep; i > 0 && !ret; i--) {
		char *to = g_strdup_printf("%s.%u", f->path, i);
		char *from = i > 1 ? g_strdup_printf("%s.%u", f->path, i - 1) : g_strdup(f->path);

		if (rename(from, to) < 0 && errno != ENOENT)
			ret = -errno;
		g_free(from);
		g_free(to);
	}
	return ret;
}

static int rotate(struct audit_file *f)
{
	int ret = shift(f);

	if (!ret)
		ret = audit_file_open(f);
	return ret;
}

/* So much of the line went out and no more: as if there had been none of it. */
static void take_back(struct audit_file *f, uint64_t size, int written)
{
	struct stat st;

	f->torn = !(fstat(f->fd, &st) == 0 && (uint64_t)st.st_size == size + (uint64_t)written &&
		    ftruncate(f->fd, (off_t)size) == 0);
}

int audit_file_append(struct audit_file *f, const char *line, size_t length, int *rotation)
{
	struct stat st = {0};
	int n;

	*rotation = 0;
	if (f->fd < 0) {
		n = may_try_again(f) ? audit_file_open(f) : -EAGAIN;
		if (n)
			return n;
	}
	if (fstat(f->fd, &st) == 0 && st.st_size > 0 &&
	    (uint64_t)st.st_size + length > MAX(f->most, f->grow_to)) {
		*rotation = rotate(f);
		if (*rotation)
			f->grow_to = (uint64_t)st.st_size + f->most / 8;
		else
			st.st_size = 0;
	}
	if (f->torn && write_once(f->fd, "\n", 1) == 1) {
		f->torn = false;
		st.st_size++;
	}
	n = write_once(f->fd, line, length);
	if (n == (int)length)
		return 0;
	if (n <= 0)
		return n ? n : -ENOSPC;
	take_back(f, (uint64_t)st.st_size, n);
	return -ENOSPC;
}
