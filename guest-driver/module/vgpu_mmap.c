// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Mapping a session's queue and doorbell to its process.
 *
 * Pages are put in at the first touch.  The doorbell is taken out again when
 * the device goes away; what the process then writes lands in a page of its
 * own, so that it learns of the loss by an error and not by a signal.
 */
#include <linux/fs.h>
#include <linux/mm.h>

#include "vgpu_drv.h"

static vm_fault_t vgpu_queue_fault(struct vm_fault *vmf)
{
	struct vgpu_session *s = vmf->vma->vm_private_data;
	size_t at = (size_t)vmf->pgoff << PAGE_SHIFT;
	struct page *page;

	if (vmf->pgoff >= s->ring_bytes >> PAGE_SHIFT)
		return VM_FAULT_SIGBUS;
	page = virt_to_page(s->ring + at);
	get_page(page);
	vmf->page = page;
	return 0;
}

static const struct vm_operations_struct vgpu_queue_vm_ops = {
	.fault = vgpu_queue_fault,
};

static vm_fault_t vgpu_doorbell_fault(struct vm_fault *vmf)
{
	struct vm_area_struct *vma = vmf->vma;
	struct vgpu_session *s = vma->vm_private_data;
	struct vgpu_dev *vdev = s->vdev;
	vm_fault_t ret;

	if (vmf->pgoff != VGPU_STUB_MMAP_DOORBELL >> PAGE_SHIFT)
		return VM_FAULT_SIGBUS;
	down_read(&vdev->gate);
	if (vdev->alive && READ_ONCE(s->attached)) {
		phys_addr_t at = vdev->doorbells_phys +
				 s->queue * VGPU_DOORBELL_STRIDE;

		ret = vmf_insert_pfn_prot(vma, vmf->address, at >> PAGE_SHIFT,
					  pgprot_noncached(vma->vm_page_prot));
	} else {
		ret = vmf_insert_pfn(vma, vmf->address, page_to_pfn(s->sink));
	}
	up_read(&vdev->gate);
	return ret;
}

static const struct vm_operations_struct vgpu_doorbell_vm_ops = {
	.fault = vgpu_doorbell_fault,
};

static int vgpu_mmap_queue(struct vgpu_session *s, struct vm_area_struct *vma)
{
	size_t bytes = vma->vm_end - vma->vm_start;
	int mode;

	if (bytes > s->ring_bytes)
		return -EINVAL;
	/* a ring that read() and write() have used stays theirs */
	mode = atomic_cmpxchg(&s->mode, VGPU_MODE_IDLE, VGPU_MODE_MAPPED);
	if (mode == VGPU_MODE_KERNEL)
		return -EBUSY;
	vgpu_vm_flags_set(vma, VM_DONTEXPAND | VM_DONTDUMP | VM_DONTCOPY);
	vma->vm_ops = &vgpu_queue_vm_ops;
	return 0;
}

static int vgpu_mmap_doorbell(struct vgpu_session *s,
			      struct vm_area_struct *vma)
{
	if (vma->vm_end - vma->vm_start != PAGE_SIZE)
		return -EINVAL;
	/* a page of the CPU may hold doorbells of several queues */
	if (PAGE_SIZE > VGPU_DOORBELL_STRIDE)
		return -EOPNOTSUPP;
	vgpu_vm_flags_set(vma, VM_IO | VM_PFNMAP | VM_DONTEXPAND |
			  VM_DONTDUMP | VM_DONTCOPY);
	vma->vm_ops = &vgpu_doorbell_vm_ops;
	return 0;
}

/**
 * vgpu_mmap - mmap() of /dev/vgpu_stub
 * @file: open file
 * @vma: what is to be mapped
 *
 * Return: 0, -EINVAL (not MAP_SHARED, or no such range), -EBUSY (read() and
 * write() were used), -EOPNOTSUPP (no queue) or the session's error.
 */
int vgpu_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct vgpu_session *s = file->private_data;

	if (vgpu_session_error(s))
		return vgpu_session_error(s);
	if (atomic_read(&s->mode) == VGPU_MODE_REGISTERS)
		return -EOPNOTSUPP;
	if (!(vma->vm_flags & VM_SHARED) || vma->vm_flags & VM_EXEC)
		return -EINVAL;
	vma->vm_private_data = s;
	switch ((u64)vma->vm_pgoff << PAGE_SHIFT) {
	case VGPU_STUB_MMAP_QUEUE:
		return vgpu_mmap_queue(s, vma);
	case VGPU_STUB_MMAP_DOORBELL:
		return vgpu_mmap_doorbell(s, vma);
	default:
		return -EINVAL;
	}
}

/**
 * vgpu_mmap_zap - take the doorbell away from whoever maps it
 * @s: session that is not attached any more
 *
 * Sessions share the file's address space, so others lose theirs too and get
 * it back at the next touch.
 */
void vgpu_mmap_zap(struct vgpu_session *s)
{
	unmap_mapping_range(s->mapping, VGPU_STUB_MMAP_DOORBELL, PAGE_SIZE, 1);
}
