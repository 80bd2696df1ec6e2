/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The memory table of one device: its regions and their descriptors.  The
 * daemon keeps it for the workers to come and never touches the memory nor
 * asks the descriptors anything: they are a stranger's.
 */
#ifndef VGPU_DAEMON_MEMTABLE_H
#define VGPU_DAEMON_MEMTABLE_H

#include <stdbool.h>

#include "vgpu_socket.h"

/* No domain has this number, and no device may name its own ones. */
#define MEMTABLE_NO_DOMAIN 0xffffffffu

struct memtable {
	/*
	 * A region by domain has no fd (-1), and in user_addr a number that changes when
	 * the device says that other pages are behind it.
	 */
	struct vgpu_mem_region region[VGPU_MEM_REGIONS_MAX];
	int fd[VGPU_MEM_REGIONS_MAX];
	uint32_t n;
	/* Whose memory the device may name: nobody's, this domain's, or that of the first it names.
	 */
	bool by_domain;
	uint32_t domid; /* MEMTABLE_NO_DOMAIN: none yet */
	uint64_t generation;
};

/* An empty table. */
void memtable_init(struct memtable *t);

/*
 * All three: 0, or a negative errno with *why in words and nothing changed.
 * On success the table owns the descriptors, on failure they stay the caller's.
 */
int memtable_set(struct memtable *t, const struct vgpu_mem_region *region, const int *fds,
		 uint32_t n, const char **why);
int memtable_add(struct memtable *t, const struct vgpu_mem_region *region, int fd,
		 const char **why);
int memtable_remove(struct memtable *t, const struct vgpu_mem_region *region, const char **why);

/* Whose memory a worker needs a way to; MEMTABLE_NO_DOMAIN: all comes by descriptors. */
uint32_t memtable_domain(const struct memtable *t);

void memtable_clear(struct memtable *t);

#endif /* VGPU_DAEMON_MEMTABLE_H */
