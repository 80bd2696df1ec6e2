/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Where the exporter is asked. */
#include "listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#if VGPU_HAVE_SYSTEMD
#include <systemd/sd-daemon.h>
#endif

#include "unix_address.h"

#define BACKLOG 16

static int fail(GError **err, int fd, const char *where)
{
	int code = errno;

	g_set_error(err, G_FILE_ERROR, g_file_error_from_errno(code), "cannot listen at %s: %s",
		    where, g_strerror(code));
	if (fd >= 0)
		close(fd);
	return -1;
}

/* One of a program that is gone may be replaced; nothing else may. */
static void remove_stale(const struct sockaddr_un *addr)
{
	struct stat st;
	int fd;

	if (lstat(addr->sun_path, &st) < 0 || !S_ISSOCK(st.st_mode))
		return;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return;
	if (connect(fd, (const struct sockaddr *)addr, sizeof(*addr)) < 0 && errno == ECONNREFUSED)
		unlink(addr->sun_path);
	close(fd);
}

static int listen_unix(const char *path, guint mode, GError **err)
{
	struct sockaddr_un addr;
	mode_t old;
	int fd, ret;

	if (!unix_address(&addr, path))
		return fail(err, -1, path);
	remove_stale(&addr);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return fail(err, fd, path);
	old = umask(0777 & ~mode);
	ret = bind(fd, (struct sockaddr *)&addr, sizeof(addr));
	umask(old);
	return ret < 0 || listen(fd, BACKLOG) < 0 ? fail(err, fd, path) : fd;
}

/* "127.0.0.1:9890" or "[::1]:9890"; false: anything else, as what others could reach. */
static bool parse_loopback(const char *where, struct sockaddr_storage *addr, socklen_t *size)
{
	struct sockaddr_in *v4 = (void *)addr;
	struct sockaddr_in6 *v6 = (void *)addr;
	const char *colon = strrchr(where, ':');
	guint64 port;

	memset(addr, 0, sizeof(*addr));
	if (!colon || !g_ascii_string_to_unsigned(colon + 1, 10, 0, 65535, &port, NULL))
		return false;
	if (g_str_has_prefix(where, "127.0.0.1:") && colon == where + strlen("127.0.0.1")) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons((uint16_t)port);
		v4->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		*size = sizeof(*v4);
		return true;
	}
	v6->sin6_family = AF_INET6;
	v6->sin6_port = htons((uint16_t)port);
	v6->sin6_addr = in6addr_loopback;
	*size = sizeof(*v6);
	return g_str_has_prefix(where, "[::1]:") && colon == where + strlen("[::1]");
}

static int listen_loopback(const char *where, GError **err)
{
	struct sockaddr_storage addr;
	socklen_t size;
	int fd, one = 1;

	if (!parse_loopback(where, &addr, &size)) {
		g_set_error(
			err, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE,
			"\"%s\" is neither unix:PATH nor 127.0.0.1:PORT nor [::1]:PORT; for others "
			"than this machine put a proxy before it that knows who may ask",
			where);
		return -1;
	}
	fd = socket(addr.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return fail(err, fd, where);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&addr, size) < 0 || listen(fd, BACKLOG) < 0)
		return fail(err, fd, where);
	return fd;
}

/* By socket activation; -1: there is none. */
static int given(void)
{
#if VGPU_HAVE_SYSTEMD
	if (sd_listen_fds(1) == 1) {
		fcntl(SD_LISTEN_FDS_START, F_SETFL, O_NONBLOCK);
		return SD_LISTEN_FDS_START;
	}
#endif
	return -1;
}

int listen_open(const char *where, guint mode, GError **err)
{
	int fd = given();

	if (fd >= 0)
		return fd;
	if (g_str_has_prefix(where, "unix:"))
		return listen_unix(where + strlen("unix:"), mode, err);
	return listen_loopback(where, err);
}
