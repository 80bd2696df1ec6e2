/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Memory of another domain, named by frame number instead of by descriptor.
 *
 * The worker itself knows no hypervisor: a module beside the backends does the
 * mapping, so that one worker runs with and without Xen.  All calls come from
 * one thread.
 */
#ifndef VGPU_FOREIGN_H
#define VGPU_FOREIGN_H

#include <glib.h>
#include <stddef.h>
#include <stdint.h>

#define VGPU_FOREIGN_API 1u

/* Pages of one call of map() at most. */
#define VGPU_FOREIGN_PAGES_MAX 512u

struct vgpu_foreign; /* private to the module */

struct vgpu_foreign_ops {
	uint32_t api; /* VGPU_FOREIGN_API */
	/*
	 * A way to the memory of `domid`, and of no other domain whatever is asked of it
	 * later.  Needs the privilege to open the hypervisor's device; nothing else here
	 * does.  0 or a negative errno with `err` set.
	 */
	int (*open)(struct vgpu_foreign **f, uint32_t domid, GError **err);
	void (*close)(struct vgpu_foreign *f);
	/*
	 * Maps the frames from `gfn` on, shared and writable: at `at` in place of what is
	 * there, or anywhere if that is NULL.  bad[i] is 0, or the errno for which page i
	 * is not there: touching that one is fatal.  NULL with errno set if nothing was
	 * mapped; what was at `at` is gone all the same.  What is mapped goes by munmap()
	 * or by another mapping over it, of all its pages at once.
	 */
	void *(*map)(struct vgpu_foreign *f, void *at, uint64_t gfn, size_t pages,
		     int bad[VGPU_FOREIGN_PAGES_MAX]);
};

/* The symbol that the module exports. */
typedef const struct vgpu_foreign_ops *(*vgpu_foreign_get_fn)(void);
#define VGPU_FOREIGN_SYMBOL "vgpu_foreign_get"

#endif /* VGPU_FOREIGN_H */
