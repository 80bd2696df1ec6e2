/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Devices that cannot come. */
#include "call.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client.h"
#include "log.h"
#include "unix_address.h"
#include "vgpu_socket.h"

/*
 * Whoever may make a socket there says which domain it acts for, so nobody else
 * may: the directory is ours alone.
 */
static bool is_safe(const char *dir)
{
	struct stat st;

	if (g_mkdir(dir, 0700) < 0 && errno != EEXIST) {
		log_warning(NULL, "devices that wait to be called are not: %s: %s", dir,
			    g_strerror(errno));
		return false;
	}
	if (lstat(dir, &st) == 0 && S_ISDIR(st.st_mode) && st.st_uid == geteuid() &&
	    !(st.st_mode & 022))
		return true;
	log_warning(NULL,
		    "devices that wait to be called are not: %s must be a directory of this "
		    "daemon's user that nobody else can write to",
		    dir);
	return false;
}

/* A connected socket, or a negative errno. */
static int call(const char *path)
{
	struct sockaddr_un addr;
	int fd, err;

	if (!unix_address(&addr, path))
		return -errno;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (const struct sockaddr *)&addr, sizeof(addr)) == 0)
		return fd;
	err = -errno;
	close(fd);
	return err;
}

/* The domain that the place was made for; else none. */
static uint32_t domain_of_place(const char *name)
{
	unsigned int domid;

	return sscanf(name, VGPU_CALL_XEN, &domid) == 1 && domid && domid < VGPU_XEN_DOMID_END
		       ? domid
		       : MEMTABLE_NO_DOMAIN;
}

/* True: a device is connected. */
static bool call_one(const struct listener *l, const char *dir, const char *name)
{
	char *path = g_build_filename(dir, name, NULL);
	int fd = call(path);

	if (fd >= 0)
		client_called(client_new(l->d, fd, l->shared ? NULL : l->path),
			      domain_of_place(name));
	else if (fd == -ECONNREFUSED)
		g_unlink(path); /* nobody waits there any more */
	else
		log_warning(NULL, "cannot call the device at %s: %s", path, g_strerror(-fd));
	g_free(path);
	return fd >= 0;
}

void call_devices(struct listener *l)
{
	struct daemon *d = l->d;
	char *dir = g_strconcat(l->path, VGPU_CALL_DIR, NULL);
	GDir *list = is_safe(dir) ? g_dir_open(dir, 0, NULL) : NULL;
	guint called = 0;
	const char *name;

	while (list && d->clients->len < d->config->max_connections &&
	       (name = g_dir_read_name(list)))
		called += call_one(l, dir, name);
	if (called)
		log_info(NULL, "devices that waited to be called: %u", called);
	if (list)
		g_dir_close(list);
	g_free(dir);
}
