/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The address of a Unix socket. */
#ifndef VGPU_UNIX_ADDRESS_H
#define VGPU_UNIX_ADDRESS_H

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

/* False with ENAMETOOLONG in errno: no address holds such a path. */
static inline bool unix_address(struct sockaddr_un *addr, const char *path)
{
	const size_t length = strlen(path);

	*addr = (struct sockaddr_un){.sun_family = AF_UNIX};
	if (length >= sizeof(addr->sun_path)) {
		errno = ENAMETOOLONG;
		return false;
	}
	memcpy(addr->sun_path, path, length);
	return true;
}

#endif /* VGPU_UNIX_ADDRESS_H */
