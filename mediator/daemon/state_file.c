/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A small text in the runtime directory, for the next daemon. */
#include "state_file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

/* A file of ours is smaller. */
#define FILE_MAX (64u << 10)

static void fail(GError **err, int code)
{
	g_set_error_literal(err, G_FILE_ERROR, g_file_error_from_errno(code), g_strerror(code));
}

/* Could it be of our making, and of nobody else's? */
static bool is_ours(const struct stat *st)
{
	return S_ISREG(st->st_mode) && st->st_uid == geteuid() &&
	       !(st->st_mode & (S_IWGRP | S_IWOTH)) && st->st_size <= FILE_MAX;
}

static char *read_all(int fd, gsize size, gsize *length, GError **err)
{
	char *text = g_malloc(size + 1);
	ssize_t n = 1;

	*length = 0;
	while (n && *length < size) {
		n = read(fd, text + *length, size - *length);
		if (n < 0 && errno != EINTR) {
			fail(err, errno);
			g_free(text);
			return NULL;
		}
		*length += n > 0 ? (gsize)n : 0;
	}
	text[*length] = '\0';
	return text;
}

char *state_file_read(const char *path, gsize *length, GError **err)
{
	/* A pipe that somebody put there must not make us wait. */
	int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	char *text = NULL;
	struct stat st;

	if (fd < 0) {
		if (errno != ENOENT)
			fail(err, errno);
		return NULL;
	}
	if (fstat(fd, &st) < 0)
		fail(err, errno);
	else if (!is_ours(&st))
		g_set_error_literal(err, G_FILE_ERROR, G_FILE_ERROR_INVAL,
				    "it is no file of this daemon's");
	else
		text = read_all(fd, (gsize)st.st_size, length, err);
	close(fd);
	return text;
}

bool state_file_write(const char *path, const char *text, GError **err)
{
	return g_file_set_contents_full(path, text, -1, G_FILE_SET_CONTENTS_CONSISTENT, 0600, err);
}
