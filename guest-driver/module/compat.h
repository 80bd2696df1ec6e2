/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Differences between kernels, from 5.10 on, in one place.
 */
#ifndef VGPU_COMPAT_H
#define VGPU_COMPAT_H

#include <linux/device.h>
#include <linux/mm.h>
#include <linux/version.h>

/* 6.3: vm_flags may be changed through helpers only. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 3, 0)
static inline void vgpu_vm_flags_set(struct vm_area_struct *vma,
				     unsigned long flags)
{
	vma->vm_flags |= flags;
}
#else
static inline void vgpu_vm_flags_set(struct vm_area_struct *vma,
				     unsigned long flags)
{
	vm_flags_set(vma, flags);
}
#endif

/* 6.4: class_create() lost its first argument. */
static inline struct class *vgpu_class_create(const char *name)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 4, 0)
	return class_create(THIS_MODULE, name);
#else
	return class_create(name);
#endif
}

/*
 * 6.2: a long-term pin for reading breaks copy-on-write by itself.  Before, it
 * could pin a page that the process leaves behind at its next write, so memory
 * that the process may write is pinned for writing.
 */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 2, 0)
#define VGPU_FOLL_READ (FOLL_LONGTERM | FOLL_WRITE)
#else
#define VGPU_FOLL_READ FOLL_LONGTERM
#endif
#define VGPU_FOLL_WRITE (FOLL_LONGTERM | FOLL_WRITE)

#endif /* VGPU_COMPAT_H */
