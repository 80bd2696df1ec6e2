/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The memory table of one device: its regions and their descriptors.  The
 * daemon keeps it for the workers to come and never touches the memory nor
 * asks the descriptors anything: they are a stranger's.
 */
#ifndef VGPU_DAEMON_MEMTABLE_H
#define VGPU_DAEMON_MEMTABLE_H

#include "vgpu_socket.h"

struct memtable {
	struct vgpu_mem_region region[VGPU_MEM_REGIONS_MAX];
	int fd[VGPU_MEM_REGIONS_MAX];
	uint32_t n;
};

/*
 * All three: 0, or a negative errno with *why in words and nothing changed.
 * On success the table owns the descriptors, on failure they stay the caller's.
 */
int memtable_set(struct memtable *t, const struct vgpu_mem_region *region, const int *fds,
		 uint32_t n, const char **why);
int memtable_add(struct memtable *t, const struct vgpu_mem_region *region, int fd,
		 const char **why);
int memtable_remove(struct memtable *t, const struct vgpu_mem_region *region, const char **why);

void memtable_clear(struct memtable *t);

#endif /* VGPU_DAEMON_MEMTABLE_H */
