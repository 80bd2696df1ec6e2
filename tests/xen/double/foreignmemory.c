/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The double of libxenforeignmemory. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xenforeignmemory.h>

#include "double.h"

#define PAGE 4096u

struct xen_double xen_double;

struct xenforeignmemory_handle {
	int fd;
	bool restricted;
	domid_t domid;
};

xenforeignmemory_handle *xenforeignmemory_open(struct xentoollog_logger *logger,
					       unsigned int open_flags)
{
	const char *path = xen_double.path ? xen_double.path : getenv("XEN_DOUBLE_MEMORY");
	xenforeignmemory_handle *h = calloc(1, sizeof(*h));

	(void)logger;
	(void)open_flags;
	h->fd = xen_double.refuse_open || !path ? -1 : open(path, O_RDWR | O_CLOEXEC);
	if (h->fd < 0) {
		free(h);
		errno = xen_double.refuse_open ? EACCES : ENOENT;
		return NULL;
	}
	xen_double.handles++;
	return h;
}

int xenforeignmemory_close(xenforeignmemory_handle *h)
{
	close(h->fd);
	free(h);
	xen_double.handles--;
	return 0;
}

int xenforeignmemory_restrict(xenforeignmemory_handle *h, domid_t domid)
{
	if (xen_double.refuse_restrict) {
		errno = ENOTTY;
		return -1;
	}
	h->restricted = true;
	h->domid = domid;
	return 0;
}

static bool is_there(const xenforeignmemory_handle *h, xen_pfn_t frame)
{
	struct stat st;

	return fstat(h->fd, &st) == 0 && frame < (uint64_t)st.st_size / PAGE &&
	       (!xen_double.missing || frame != xen_double.missing);
}

/* A page of the file, or one that must not be touched. */
static int map_page(const xenforeignmemory_handle *h, uint8_t *at, int prot, xen_pfn_t frame)
{
	if (is_there(h, frame) && mmap(at, PAGE, prot, MAP_SHARED | MAP_FIXED, h->fd,
				       (off_t)(frame * PAGE)) != MAP_FAILED)
		return 0;
	mmap(at, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	return EINVAL;
}

void *xenforeignmemory_map2(xenforeignmemory_handle *h, uint32_t dom, void *addr, int prot,
			    int flags, size_t pages, const xen_pfn_t arr[], int err[])
{
	uint8_t *at;

	if (!h->restricted || dom != h->domid || (xen_double.domid && dom != xen_double.domid)) {
		errno = EPERM;
		return NULL;
	}
	if (xen_double.dead) {
		/* As the library does: the place is taken before the hypervisor is asked. */
		if (flags & MAP_FIXED)
			munmap(addr, pages * PAGE);
		errno = ESRCH;
		return NULL;
	}
	at = mmap(addr, pages * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | (flags & MAP_FIXED),
		  -1, 0);
	if (at == MAP_FAILED)
		return NULL;
	for (size_t i = 0; i < pages; i++)
		err[i] = map_page(h, at + i * PAGE, prot, arr[i]);
	xen_double.maps++;
	return at;
}
